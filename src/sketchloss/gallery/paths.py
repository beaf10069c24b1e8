"""The paths of a gallery's pictures: as text, as rows keep them, below a folder, and whether there is such a file."""

import os
from collections.abc import Iterable
from pathlib import Path

from sketchloss.gallery.table import Known
from sketchloss.system.picture_pages import is_page_gone, split_page


def as_text(name: str | bytes | Path) -> str:
    r"""Return a file's name as text in one line: bytes that are no UTF-8 as `\xe9`, a newline as `\n`."""
    text = os.fsencode(name).decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def is_below(path: bytes, roots: Iterable[bytes]) -> bool:
    """Tell whether a path is one of some files or folders, or lies below one of them, or is a page of one."""
    file, separator = path.rpartition(b"#page=")[0], os.fsencode(os.sep)
    return any(root in (path, file) or path.startswith(root.rstrip(separator) + separator) for root in roots)


def is_one_of(path: str | Path, others: Iterable[str | Path | bytes]) -> bool:
    """Tell whether a file is one of others, also through links; a file that is not there is none of them."""
    here = _stat(path)
    if here is None:
        return False
    found = (_stat(other) for other in others)
    return any(there is not None and os.path.samestat(here, there) for there in found)


def is_gone(path: bytes) -> bool:
    """Tell whether there is no such file, or page of it; False for a file that may not be looked at."""
    try:
        split_page(os.fsdecode(path))[0].lstat()
        return is_page_gone(os.fsdecode(path))
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False


def _stat(path: str | Path | bytes) -> os.stat_result | None:
    try:
        return Path(os.fsdecode(path)).stat()
    except OSError:
        return None


def to_bytes(path: str | Path) -> bytes:
    """Return the absolute path of a file as a gallery keeps it: as the operating system has it."""
    return os.fsencode(os.path.abspath(path))  # noqa: PTH100 (not resolved: links keep their names)


def to_path(row: Known) -> Path:
    """Return the path of a row's file."""
    return Path(os.fsdecode(row.path))
