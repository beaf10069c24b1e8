"""The right to write to a gallery in object storage: a small object, made only if there is none, and renewed.

A file lock ends with its process. This object does not, so whoever waits takes it over when it was not renewed for a
minute. The storage must write on condition (`If-None-Match`, `If-Match`), as S3, MinIO and others do.
"""

import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from sketchloss.gallery.damage import told
from sketchloss.gallery.places import Bucket

#: Seconds between renewals; without one for so long, the writer is gone; and between two looks of one who waits.
RENEWED, GONE, LOOK = 10.0, 60.0, 0.5


class StillHeldError(Exception):
    """Another process writes, and does not end in the time that somebody waits."""


@contextmanager
def leased(bucket: Bucket, name: str, *, wait: float | int | None, waits: Callable[[], None]) -> Iterator[None]:
    """Hold the right to write.

    Args:
        bucket: place of the gallery.
        name: name of the object.
        wait: seconds to wait for another writer; None: as long as it takes.
        waits: is called once, before waiting.

    Raises:
        StillHeldError: if another process still writes after that time.
        GalleryError: if the storage refuses.
    """
    from obstore.exceptions import BaseError

    owner, ended = secrets.token_hex(16), threading.Event()
    with told(bucket):
        tag = _take(bucket, name, owner, wait, waits)

    def renew() -> None:
        nonlocal tag
        number = 0
        while not ended.wait(RENEWED):
            number += 1
            with suppress(BaseError):  # the next one may succeed; if another has taken it, none does
                tag = bucket.store.put(name, f"{owner} {number}".encode(), mode={"e_tag": tag})["e_tag"]

    thread = threading.Thread(target=renew, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        with suppress(BaseError, FileNotFoundError):  # it ends by itself
            if bucket.store.head(name)["e_tag"] == tag:
                bucket.store.delete(name)


def _take(bucket: Bucket, name: str, owner: str, wait: float | int | None, waits: Callable[[], None]) -> str | None:
    from obstore.exceptions import AlreadyExistsError, PreconditionError

    content, begun, told_once = f"{owner} 0".encode(), time.monotonic(), False
    seen, since = None, begun
    while True:
        with suppress(AlreadyExistsError):
            return bucket.store.put(name, content, mode="create")["e_tag"]
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
