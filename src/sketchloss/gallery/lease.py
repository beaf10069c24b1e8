"""The right to write to a gallery in object storage: a small object, made only if there is none, and renewed.

A file lock ends with its process. This object does not, so whoever waits takes it over when it was not renewed for a
minute. The storage must write on condition (`If-None-Match`, `If-Match`), as S3, MinIO and others do.
"""

import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from sketchloss.gallery.damage import GalleryError, told
from sketchloss.gallery.places import Bucket

#: Seconds between renewals; without one for so long, the writer is gone; and between two looks of one who waits.
RENEWED, GONE, LOOK = 10.0, 60.0, 0.5


class StillHeldError(Exception):
    """Another process writes, and does not end in the time that somebody waits."""


@contextmanager
def leased(
    bucket: Bucket, name: str, *, wait: float | int | None, waits: Callable[[], None]
) -> Iterator[Callable[[], None]]:
    """Hold the right to write.

    Args:
        bucket: place of the gallery.
        name: name of the object.
        wait: seconds to wait for another writer; None: as long as it takes.
        waits: is called once, before waiting.

    Yields:
        A function to call before each write, which raises GalleryError if another process has taken the right over.

    Raises:
        StillHeldError: if another process still writes after that time.
        GalleryError: if the storage refuses.
    """
    from obstore.exceptions import BaseError

    owner, ended = secrets.token_hex(16), threading.Event()
    with told(bucket):
        lease = _Lease(bucket, name, owner, _take(bucket, name, owner, wait, waits))

    def renew() -> None:
        while not ended.wait(RENEWED):
            with suppress(BaseError):  # the next one may succeed
                lease.renew()

    thread = threading.Thread(target=renew, daemon=True)
    thread.start()
    try:
        yield lease.check
    finally:
        ended.set()
        thread.join()
        with suppress(BaseError, FileNotFoundError):  # it ends by itself
            if _held(bucket, name, owner):
                bucket.store.delete(name)


class _Lease:
    def __init__(self, bucket: Bucket, name: str, owner: str, tag: str | None) -> None:
        self.bucket, self.name, self.owner, self.tag = bucket, name, owner, tag
        self.renewals, self.renewed, self.is_lost = 0, time.time(), False
        self._lock = threading.Lock()

    def renew(self) -> None:
        from obstore.exceptions import PreconditionError

        with self._lock:
            if self.is_lost:  # whoever has it now keeps it
                return
            self.renewals += 1
            content, now = f"{self.owner} {self.renewals}".encode(), time.time()
            try:
                self.tag = self.bucket.store.put(self.name, content, mode={"e_tag": self.tag})["e_tag"]
            except (PreconditionError, FileNotFoundError):
                # note: not always lost: the storage may have renewed it before, and the answer did not come
                self.tag = _held(self.bucket, self.name, self.owner)
                self.is_lost = self.tag is None
            self.renewed = now

    def check(self) -> None:
        # note: a process that was stopped for a while writes before its thread has renewed
        if not self.is_lost and time.time() - self.renewed > GONE / 2:
            with told(self.bucket):
                self.renew()
        if self.is_lost:
            raise GalleryError(
                f"{self.bucket}: another process writes to this gallery now, because this one was stopped or cut off "
                "for a minute; what was committed is kept: give the same command again"
            )


def _held(bucket: Bucket, name: str, owner: str) -> str | None:
    """Return the tag of the object if it is this owner's."""
    try:
        found = bucket.store.get(name)
        return found.meta["e_tag"] if bytes(found.bytes()).startswith(owner.encode()) else None
    except FileNotFoundError:
        return None


def _take(bucket: Bucket, name: str, owner: str, wait: float | int | None, waits: Callable[[], None]) -> str | None:
    from obstore.exceptions import AlreadyExistsError, PreconditionError

    content, begun, told_once = f"{owner} 0".encode(), time.monotonic(), False
    seen, since = None, begun
    while True:
        with suppress(AlreadyExistsError):
            return bucket.store.put(name, content, mode="create")["e_tag"]
        if tag := _held(bucket, name, owner):  # made, but the answer did not come, and it was tried again
            return tag
        try:
            found = bucket.store.head(name)["e_tag"]
        except FileNotFoundError:
            continue
        now = time.monotonic()
        if found != seen:
            seen, since = found, now
        elif now - since > GONE:
            with suppress(PreconditionError, FileNotFoundError):  # somebody else was sooner
                return bucket.store.put(name, content, mode={"e_tag": found})["e_tag"]
        if wait is not None and now - begun >= wait:
            raise StillHeldError
        if not told_once:
            told_once = True
            waits()
        time.sleep(LOOK)
