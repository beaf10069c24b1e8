"""The folder of what visitors give and get: who may have what, and when it is deleted.

Gradio keeps its files there too. Files are deleted when they are old; a visitor's own galleries when nobody has used
them for a while, soon after the page was closed, or with everything else at the end.
"""

import hashlib
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

#: Seconds without a use after which a visitor's galleries are deleted, and after the page was closed: a telephone that
#: was asleep comes back.
GALLERIES_KEPT, CLOSED_KEPT = 3600.0, 300.0
GALLERIES = "galleries"
#: Seconds after which the folder is measured again.
MEASURED_FOR = 1.0


class PrivateFolder:
    """A new folder that only this user can read.

    Args:
        keep_seconds: files are deleted when they are so old.
        keep_mb: mebibytes that are kept at one time; who brings more is asked to wait.
        forget: called when a visitor's galleries were deleted, to forget what was read of them.
    """

    def __init__(self, keep_seconds: float | int, keep_mb: int, *, forget: Callable[[], object] = lambda: None) -> None:
        self._forget = forget
        self.root = Path(tempfile.mkdtemp(prefix="sketchloss-"))
        self.keep_seconds = keep_seconds
        self.keep_mb = keep_mb
        self._lock = threading.Lock()
        self._room, self._measured = 0, -MEASURED_FOR
        (self.root / GALLERIES).mkdir()
        self._ended = threading.Event()
        self._sweeper = threading.Thread(target=self._sweep_now_and_then, daemon=True)

    def start(self) -> None:
        """Start deleting old files."""
        self._sweeper.start()

    def remove(self) -> None:
        """Delete everything."""
        self._ended.set()
        shutil.rmtree(self.root, ignore_errors=True)

    def room(self) -> int:
        """Measure what is kept, and return how many more bytes may be kept; negative if there is too much."""
        kept = 0
        for folder, _, names in os.walk(self.root):
            for name in names:
                with suppress(OSError):  # it has just been deleted
                    kept += (Path(folder) / name).lstat().st_size
        return self.keep_mb * 2**20 - kept

    def take(self, count: int) -> bool:
        """Tell whether there is room for so many bytes, which are about to be written.

        The folder is measured when it seems full, and otherwise now and then: in between, what comes is counted.
        """
        with self._lock:
            self._room -= count
            if self._room < 0 or time.monotonic() - self._measured > MEASURED_FOR:
                self._room, self._measured = self.room() - count, time.monotonic()
            return self._room >= 0

    def new_place(self, session: str | None) -> Path:
        """Return a new folder for a gallery of the visitor whom the browser calls by this name."""
        place = self._visit(session) / uuid4().hex
        place.mkdir(parents=True)
        return place

    def use(self, gallery: Path) -> None:
        """Note that a visitor's gallery is in use."""
        with suppress(OSError):
            os.utime(gallery.parent.parent)

    def close(self, session: str | None) -> None:
        """Note that a visitor has closed the page: what is not used again goes soon."""
        soon = time.time() - GALLERIES_KEPT + CLOSED_KEPT
        with suppress(OSError):
            os.utime(self._visit(session), (soon, soon))

    def sweep(self, now: float | None = None) -> None:
        """Delete what is old at this time, in seconds since the epoch."""
        now = time.time() if now is None else now
        for visit in _entries(self.root / GALLERIES):
            with suppress(OSError):
                if now - visit.stat().st_mtime > GALLERIES_KEPT:
                    shutil.rmtree(visit, ignore_errors=True)
                    self._forget()
        for entry in _entries(self.root):
            if entry.name != GALLERIES:
                self._sweep_below(entry, now)

    def _sweep_below(self, entry: Path, now: float) -> None:
        with suppress(OSError):  # it has just been deleted, or something has just been put into it
            if entry.is_dir() and not entry.is_symlink():
                for below in _entries(entry):
                    self._sweep_below(below, now)
                if now - entry.stat().st_mtime > self.keep_seconds:
                    entry.rmdir()
            elif now - entry.lstat().st_mtime > self.keep_seconds:
                entry.unlink()

    def _visit(self, session: str | None) -> Path:
        # note: a digest, because what a browser calls its session must decide no path
        return self.root / GALLERIES / hashlib.sha256(str(session).encode()).hexdigest()

    def _sweep_now_and_then(self) -> None:
        while not self._ended.wait(min(60.0, max(1.0, self.keep_seconds / 4))):
            self.sweep()


def _entries(folder: Path) -> Iterator[Path]:
    with suppress(OSError):
        yield from list(folder.iterdir())
