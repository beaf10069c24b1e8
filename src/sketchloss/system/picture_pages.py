"""Pages of picture files: `drawings.pdf#page=2` names the second page of a file, and a file says how many it has."""

import os
import re
from pathlib import Path

from PIL import Image

from sketchloss.system.files import open_input
from sketchloss.system.optional_readers import HEAD_BYTES, reader_of
from sketchloss.system.picture_files import readable_formats
from sketchloss.system.quiet_decoding import quiet


def split_page(path: str | Path) -> tuple[Path, int]:
    """Return the file that a path names, and the page of it: 1 if none is named, or if a file has that very name."""
    found = re.fullmatch(r"(.+)#page=([1-9][0-9]{0,8})", str(path), re.DOTALL)
    if found is None or os.path.lexists(path):
        return Path(path), 1
    return Path(found[1]), int(found[2])


def with_page(path: str | Path, page: int) -> Path:
    """Return the path of a page, from 1; that of the first page is the file's own."""
    return Path(path) if page == 1 else Path(f"{path}#page={page}")


def count_pages(path: str | Path) -> int:
    """Return how many pages a file has that an extra reads; 1 for any other file, and for a damaged one.

    Reading a damaged file says what is wrong.
    """
    try:
        with open_input(path, pipes=False) as file:
            reader = reader_of(file.read(HEAD_BYTES))
            if reader is None or not reader.has_pages:
                return 1
            file.seek(0)
            return max(1, reader.count(file.read()))
    except Exception:  # noqa: BLE001 (damaged in whatever way)
        return 1


def has_later_pages(path: str | Path) -> bool:
    """Tell whether a picture file has further pages or frames than the first.

    A look at the header, mostly. A damaged file has none: reading it says what is wrong.
    """
    if count_pages(path) > 1:
        return True
    try:
        with quiet(), open_input(path, pipes=False) as file, Image.open(file, formats=readable_formats()) as picture:
            return bool(getattr(picture, "is_animated", False))
    except Exception:  # noqa: BLE001 (likewise)
        return False
