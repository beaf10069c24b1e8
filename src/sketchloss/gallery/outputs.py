"""Where the commands of a gallery may write: never over a drawing, and never into a gallery."""

import os
from collections.abc import Sequence
from pathlib import Path

from sketchloss.gallery import Gallery
from sketchloss.gallery.paths import is_below, is_one_of, to_bytes
from sketchloss.system.files import check_writable
from sketchloss.system.optional_readers import optional_suffixes
from sketchloss.system.picture_files import picture_suffixes, plain_suffixes
from sketchloss.system.picture_pages import split_page


def sheet_suffixes() -> tuple[str, ...]:
    """Return the suffixes of pictures that can be written, PNG first."""
    return (".png", *sorted(plain_suffixes() - {".png"}))


def check_file(file: Path, flag: str, gallery: Gallery, queries: Sequence[Path], *, suffixes: Sequence[str]) -> None:
    """Refuse a file to write before the work is done, not after.

    Args:
        file: the file.
        flag: the option that names it, such as `--sheet`.
        gallery: gallery that is searched.
        queries: files to search with.
        suffixes: suffixes that it may have, the one to suggest first; none: any but those of pictures.

    Raises:
        ValueError: for a folder, a pipe or device, another suffix, a query, a drawing of the gallery, or a place in
            the gallery.
    """
    example = f"{flag[2:]}{suffixes[0]}" if suffixes else "found.csv"
    if file.is_dir():
        raise ValueError(f"{file} is a folder: name a file for {flag}, such as {file / example}")
    if file.exists() and not file.is_file():  # it would be replaced by a file
        raise ValueError(f"{file} is no regular file: name a file for {flag}, such as {example}")
    if suffixes and file.suffix.lower() not in suffixes:
        raise ValueError(f"{file} has no suffix that {flag} can write: name a file such as {example}")
    check_writable(file)
    check_outside(file, gallery)
    if file.exists():
        if is_one_of(file, [split_page(query)[0] for query in queries]):
            raise ValueError(f"{file} is one of the queries: write elsewhere")
        if gallery.holds(file):
            raise ValueError(f"{file} is a drawing of the gallery: write elsewhere")
    if not suffixes and file.suffix.lower() in picture_suffixes() | optional_suffixes(installed=False):
        raise ValueError(f"{file} has the suffix of a picture: name a file for {flag}, such as {example}")


def check_folder(folder: Path, flag: str, gallery: Gallery) -> None:
    """Refuse a folder to write into before the work is done, not after.

    Raises:
        ValueError: for a file, a folder with drawings of the gallery, or a place in the gallery.
    """
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder} is a file: name a folder for {flag}")
    check_outside(folder, gallery)
    roots = {to_bytes(folder), to_bytes(Path(os.path.realpath(folder)))}
    if any(is_below(row.path, roots) for row in gallery.table.known()):
        raise ValueError(f"{folder} holds drawings of the gallery: name a new folder for {flag}")


def check_outside(path: Path, gallery: Gallery) -> None:
    """Refuse a path in the folder of a gallery."""
    folder = gallery.folder
    if isinstance(folder, Path) and Path(os.path.realpath(path)).is_relative_to(folder.resolve()):
        raise ValueError(f"{path} lies in the gallery {gallery.folder}, whose files are its own: write elsewhere")
