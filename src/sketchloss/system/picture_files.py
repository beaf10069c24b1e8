"""Which files of a folder are pictures, by their suffixes."""

import os
from collections.abc import Container, Iterator
from functools import cache
from pathlib import Path

from PIL import Image

from sketchloss.system.image_contract import check_images as check_images  # for those who look for it here
from sketchloss.system.optional_readers import READERS, optional_suffixes

# note: a list of our own, because Pillow also opens formats that start other programs (EPS runs Ghostscript).
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "JPEG2000", "AVIF")


def find_pictures(folder: str | Path) -> list[Path]:
    """List the pictures in a folder and its subfolders, by suffix, in a fixed order.

    Hidden files and folders are passed over (`._cat.png`, `.ipynb_checkpoints`). Links to folders elsewhere are
    entered, each folder once; links into `folder` itself are not, since what is there is listed anyway. A broken link
    with a picture's suffix is listed: reading it says what is wrong. Subfolders that may not be listed are passed over;
    `other_kinds` names them.

    Raises:
        ValueError: if `folder` is not a folder, or may not be listed.
    """
    return find_files(folder, picture_suffixes())


def each_picture(folder: str | Path) -> Iterator[Path]:
    """Yield what `find_pictures` lists, for folders of so many pictures that a list of their paths takes memory."""
    return _each_file(folder, picture_suffixes(), [])


def find_files(folder: str | Path, suffixes: Container[str], *, closed: list[Path] | None = None) -> list[Path]:
    """List the files with some suffixes, in lower case with the dot, as `find_pictures` does.

    Args:
        folder: the folder to look through.
        suffixes: suffixes of the files.
        closed: is given the subfolders that may not be listed.
    """
    return list(_each_file(folder, suffixes, [] if closed is None else closed))


def _each_file(folder: str | Path, suffixes: Container[str], closed: list[Path]) -> Iterator[Path]:
    folder = Path(folder)
    if not folder.is_dir():
        raise ValueError(f"{folder} is not a folder; give the path of a folder of pictures")
    try:
        yield from _walk(folder, suffixes, folder.resolve(), set(), closed)
    except PermissionError:
        raise ValueError(f"{folder}: no permission to list it; change its permissions") from None


def _walk(folder: Path, suffixes: Container[str], root: Path, entered: set[Path], closed: list[Path]) -> Iterator[Path]:
    for name in sorted(os.listdir(folder)):  # noqa: PTH208 (names take less memory than paths)
        entry = folder / name
        if entry.name.startswith((".", "__MACOSX")):
            continue
        if not entry.is_dir():
            if entry.suffix.lower() in suffixes:
                yield entry
            continue
        if entry.is_symlink():
            place = entry.resolve()
            if place in entered or place.is_relative_to(root) or root.is_relative_to(place):
                continue
            entered.add(place)
        try:
            below = list(_walk(entry, suffixes, root, entered, closed))
        except PermissionError:
            closed.append(entry)
            continue
        yield from below


def picture_suffixes() -> frozenset[str]:
    """Suffixes of the files that can be read here, such as `.png`, in lower case."""
    return plain_suffixes() | optional_suffixes(installed=True)


@cache
def plain_suffixes() -> frozenset[str]:
    """Suffixes of the files that can be read here without an extra; no other can be written."""
    return frozenset(suffix for suffix, kind in Image.registered_extensions().items() if kind in readable_formats())


@cache
def readable_formats() -> tuple[str, ...]:
    """Pillow's names of the formats that can be read here without an extra."""
    Image.init()
    return tuple(kind for kind in FORMATS if kind in Image.OPEN)  # AVIF only where Pillow was built with it


def readable_kinds() -> tuple[str, ...]:
    """Names of all kinds of pictures that can be read here, such as `PNG` and `SVG`."""
    return (*readable_formats(), *(reader.kind for reader in READERS if reader.is_installed()))
