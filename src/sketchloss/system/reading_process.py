"""Files of some kinds are read in a process beside this one: what is wrong with them cannot take this one down.

The libraries that read SVG, PDF and HEIF are not written in Python. Of a damaged or hostile file they may crash, take
hours or all memory. PDFium must not be asked from two threads, nor after a fork. One process, `reading_child.py`, which
is started for the first such file, answers one request after another. It ends with this one.
"""

import atexit
import json
import os
import subprocess
import sys
import threading
import time
from contextlib import suppress
from typing import IO, Any

from PIL import Image

from sketchloss.system.drawn_page import CannotRead

#: Bytes of a file that is read.
MOST_BYTES = 2**28
#: Seconds that reading one file may take.
MOST_SECONDS = 30
#: Seconds beyond these, for its start; a process that then has not even ended itself is killed.
GRACE = 60


class ReadingProcess:
    """The process beside this one. Any thread may ask; a forked process gets one of its own."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        atexit.register(self.end)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._begin_in_fork)

    def read(self, kind: str, data: bytes, page: int = 1) -> Image.Image:
        """Read one picture.

        Args:
            kind: `SVG`, `PDF` or `HEIF`.
            data: bytes of a file.
            page: number of the page, from 1.

        Returns:
            A picture of any mode, in memory.

        Raises:
            CannotRead: if there is no such page, it asks for a password, or reading it takes too long, too much memory,
                or makes the library crash.
            Image.DecompressionBombError: if it has more than `PIL.Image.MAX_IMAGE_PIXELS` pixels.
            ValueError: for a damaged file.
        """
        found, pixels = self._ask(kind, data, page, count_only=False)
        return Image.frombytes(found["mode"], tuple(found["size"]), pixels)

    def count(self, kind: str, data: bytes) -> int:
        """Return how many pages a file has; raises as `read`."""
        return self._ask(kind, data, 1, count_only=True)[0]["pages"]

    def end(self) -> None:
        """End the process; the next file starts a new one."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            with suppress(subprocess.TimeoutExpired):  # what the system cannot end keeps nobody waiting
                process.communicate(timeout=GRACE)

    def _ask(self, kind: str, data: bytes, page: int, *, count_only: bool) -> tuple[dict[str, Any], bytes]:
        if len(data) > MOST_BYTES:
            raise CannotRead(f"it has {len(data) / 2**20:,.0f} MB, more than {MOST_BYTES // 2**20}; make it smaller")
        request = {
            "kind": kind,
            "page": page,
            "count_only": count_only,
            "most_pixels": Image.MAX_IMAGE_PIXELS,
            "most_seconds": MOST_SECONDS,
            "bytes": len(data),
        }
        with self._lock:
            if self._process is None:
                self._process = _start()
            process = self._process
            assert process.stdin is not None
            assert process.stdout is not None
            start = time.monotonic()
            guard = threading.Timer(MOST_SECONDS + GRACE, process.kill)
            guard.daemon = True
            guard.start()
            try:
                _write(process.stdin, json.dumps(request).encode() + b"\n" + data)
                found = json.loads(_read(process.stdout, int.from_bytes(_read(process.stdout, 8))))
                pixels = _read(process.stdout, found.get("bytes", 0))
            except (BrokenPipeError, EOFError):
                found, pixels = None, b""
            except BaseException:  # Ctrl+C: what it would answer now belongs to no question
                self.end()
                raise
            finally:
                guard.cancel()
            if found is None:
                self.end()
                raise CannotRead(
                    f"to read it takes longer than {MOST_SECONDS} seconds; save it as PNG"
                    if time.monotonic() - start >= MOST_SECONDS
                    else "its reader crashes on it, or runs out of memory; fetch it again, or save it as PNG"
                )
        match found.get("raised"):
            case None:
                return found, pixels
            case "CannotRead":
                raise CannotRead(found["error"])
            case "DecompressionBombError":
                raise Image.DecompressionBombError(found["error"])
            case _:
                raise ValueError(found["error"])

    def _begin_in_fork(self) -> None:
        # note: the process is the parent's; a fork must neither use nor end it
        if self._process is not None:
            for pipe in filter(None, (self._process.stdin, self._process.stdout)):
                pipe.close()
            self._process.returncode = 0
        self._lock, self._process = threading.Lock(), None


def _start() -> "subprocess.Popen[bytes]":
    # note: it must find the same packages, wherever this process has found them, and no others: without -P the current
    # folder would come first, where a file named json.py may have come with the drawings
    paths = os.pathsep.join(path or os.getcwd() for path in sys.path)  # noqa: PTH109 (text)
    return subprocess.Popen(
        [sys.executable, "-P", "-W", "ignore", "-m", "sketchloss.system.reading_child"],
        bufsize=0,  # so that a fork can close its copies of the pipes, whatever a thread was writing
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": paths},
    )


def _write(pipe: IO[bytes], data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[pipe.write(left) :]


def _read(pipe: IO[bytes], count: int) -> bytes:
    found = bytearray()
    while len(found) < count:
        some = pipe.read(min(count - len(found), 2**20))
        if not some:
            raise EOFError
        found += some
    return bytes(found)


reading_process = ReadingProcess()
