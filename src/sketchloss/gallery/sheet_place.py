"""Where a contact sheet may be written."""

from collections.abc import Sequence
from pathlib import Path

from sketchloss.gallery.adding import is_one_of
from sketchloss.gallery.gallery import Gallery
from sketchloss.system.picture_files import picture_suffixes


def check_sheet(sheet: Path, gallery: Gallery, queries: Sequence[Path] = ()) -> None:
    """Find out before the work is done, not after, whether a sheet can be written.

    Raises:
        ValueError: if it is a folder, has no picture's suffix, is in no folder, is a query or one of the drawings.
    """
    if sheet.is_dir():
        raise ValueError(f"{sheet} is a folder: name a picture for --sheet, such as {sheet / 'sheet.png'}")
    if sheet.suffix.lower() not in picture_suffixes():
        raise ValueError(f"{sheet} has no picture's suffix: name a picture for --sheet, such as sheet.png")
    if not sheet.parent.is_dir():
        raise ValueError(f"cannot write {sheet}: the folder {sheet.parent} does not exist; make it first")
    if sheet.exists():
        if is_one_of(sheet, queries):
            raise ValueError(f"{sheet} is one of the queries: write elsewhere")
        if gallery.holds(sheet):
            raise ValueError(f"{sheet} is a drawing of the gallery: write elsewhere")
