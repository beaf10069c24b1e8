"""One process at a time in a folder for results."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from sketchloss.system.files import LOCK, clear_left_behind, contents


@contextmanager
def hold_run_folder(folder: str | Path, *, main: bool = True) -> Iterator[None]:
    """Inside, no other process can write its results to this folder: two would write over each other's.

    The system frees the folder when the process ends, however it ends.

    Args:
        folder: made if missing, and removed at the end if nothing was put into it, as are the folders above it.
        main: whether this is the process that writes; the others of one training do nothing here.

    Raises:
        ValueError: if another process holds it, or it is a file.
    """
    if not main:
        yield
        return
    folder = Path(folder)
    if os.path.lexists(folder) and not folder.is_dir():
        raise ValueError(f"{folder} is not a folder: choose a folder for --out")
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise ValueError(
            f"another process is working in {folder}: wait until it is done, or choose another --out"
        ) from None
    try:
        if not contents(folder) or (folder / "config.json").is_file():  # else it is not ours to clear
            clear_left_behind(folder)
        yield
    finally:
        with suppress(OSError):  # such as Windows', which removes no open file
            (folder / LOCK).unlink()  # before it is released: after that it may be another's
        lock.release()
        with suppress(OSError):  # that one is not empty
            for path in made:
                path.rmdir()


def is_held(folder: str | Path) -> bool:
    """Tell whether a process works in a folder, as by `hold_run_folder`."""
    lock = Path(folder) / LOCK
    if not lock.is_file():
        return False
    try:
        with FileLock(lock, timeout=0):
            return False
    except Timeout:
        return True
