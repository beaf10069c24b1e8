"""Pages of picture files: `drawings.pdf#page=2` names the second page of a file, and a file says how many it has."""

import os
import re
from functools import lru_cache
from pathlib import Path

from PIL import Image

from sketchloss.system.files import open_input
from sketchloss.system.optional_readers import HEAD_BYTES, reader_of
from sketchloss.system.picture_files import readable_formats
from sketchloss.system.quiet_decoding import quiet

#: Suffixes of files whose pages are a picture each; of others, such as animations, the first one stands for all.
PAGE_BY_PAGE = frozenset((".pdf",))


def split_page(path: str | Path) -> tuple[Path, int]:
    """Return the file that a path names, and the page of it: 1 if none is named, or if a file has that very name."""
    found = re.fullmatch(r"(.+)#page=([1-9][0-9]{0,8})", str(path), re.DOTALL)
    if found is None or os.path.lexists(path):
        return Path(path), 1
    return Path(found[1]), int(found[2])


def with_page(path: str | Path, page: int) -> Path:
    """Return the path of a page, from 1; that of the first page is the file's own."""
    return Path(path) if page == 1 else Path(f"{path}#page={page}")


def pages_of(path: str | Path) -> list[Path]:
    """Return the paths of all pages of a PDF, the first one under its own name; of any other picture only its own."""
    if Path(path).suffix.lower() not in PAGE_BY_PAGE:
        return [Path(path)]
    return [with_page(path, page) for page in range(1, count_pages(path) + 1)]


def is_page_gone(path: str | Path) -> bool:
    """Tell whether a path names a page that its file, which is there and sound, does not have."""
    file, page = split_page(path)
    count = _count(file) if page > 1 else None
    return count is not None and page > count


def count_pages(path: str | Path) -> int:
    """Return how many pages a file has that an extra reads; 1 for any other file, and for a damaged one.

    Reading a damaged file says what is wrong.
    """
    return _count(path) or 1


def _count(path: str | Path) -> int | None:
    try:
        found = Path(path).stat()
        return _count_as_it_is(str(path), found.st_size, found.st_mtime_ns)
    except Exception:  # noqa: BLE001 (damaged in whatever way)
        return None


@lru_cache(maxsize=1024)
def _count_as_it_is(path: str, size: int, modified: int) -> int | None:  # noqa: ARG001 (they tell changed files apart)
    with open_input(path, pipes=False) as file:
        reader = reader_of(file.read(HEAD_BYTES))
        if reader is None or not reader.has_pages:
            return None
        file.seek(0)
        return reader.count(file.read())


def has_later_pages(path: str | Path) -> bool:
    """Tell whether a picture file has further pages or frames than the first.

    A look at the header, mostly. A damaged file has none: reading it says what is wrong.
    """
    if count_pages(path) > 1:
        return True
    try:
        with quiet(), open_input(path, pipes=False) as file, Image.open(file, formats=readable_formats()) as picture:
            # A JPEG of several pictures (MPO), as phones write them, is one photo: the others are previews and depths.
            return bool(getattr(picture, "is_animated", False)) and picture.format != "MPO"
    except Exception:  # noqa: BLE001 (likewise)
        return False
