"""What the disk or LanceDB says of a gallery that is damaged or out of reach, in one line."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def told(folder: Path) -> Iterator[None]:
    """Say in one line what LanceDB says in several, or with the place in its own source."""
    try:
        yield
    except GalleryError:
        raise
    except Exception as error:
        # note: what its own code calls a panic, as damaged files may cause, is of a class that cannot be imported
        if not isinstance(error, RuntimeError | ValueError | OSError) and type(error).__name__ != "RustPanic":
            raise
        raise GalleryError(f"{folder}: {reason_of(error)}") from error


class GalleryError(ValueError):
    """The table of a gallery that is damaged or out of reach. The text is one line: which, why, and what to do."""


def reason_of(error: Exception) -> str:
    """Return why a gallery cannot be read or written, and what to do."""
    text = " ".join(str(error).split())
    for sign, reason in _REFUSALS.items():
        if sign in text.lower():
            return reason
    detail = text.partition(", /")[0]
    return f"the gallery is damaged ({detail[:200]}); copy it again, or build it anew in another folder"


_FULL = "no space left on the disk; free some and run this again, what was committed is kept"
_REFUSALS = {
    "permission denied": "no permission for this; change the folder's permissions, or copy the gallery elsewhere",
    "read-only file system": "the disk is read-only; copy the gallery elsewhere to write to it",
    "no space left": _FULL,
    "disk quota exceeded": _FULL,
    "file too large": _FULL,
}
