"""Drawings as a loss knows them, dark ink on white paper, and none opened as a blank page in silence.

drawing = open_visible("chalk.png", invert=True)
"""

from pathlib import Path
from typing import cast

import numpy as np
from PIL import Image, ImageOps
from torch import Tensor

from sketchloss.system.images import BinaryFile, UnreadablePicture, open_picture

#: A page whose lightest and darkest greys differ by less, of 255, is blank.
FAINT = 13

Picture = Image.Image | np.ndarray | Tensor | str | Path | bytes | BinaryFile


class HiddenInk(UnreadablePicture):
    """A drawing whose ink has the colour that its transparent ground becomes. The text is one line with the fix."""


def open_visible(picture: Picture, *, name: str | None = None, invert: bool = False) -> Image.Image:
    """Open a drawing as dark ink on white paper.

    Args:
        picture: what `open_picture` takes.
        name: its name in an error; a path is its own name.
        invert: invert the drawing, which is light on dark: a transparent ground becomes black, and all is inverted.

    Returns:
        8-bit RGB.

    Raises:
        HiddenInk: if the page is blank only because of what its transparent ground became.
        UnreadablePicture: as `open_picture`.
        ValueError: as `open_picture`.
    """
    label = " ".join((name or (str(picture) if isinstance(picture, str | Path) else "picture")).split())
    if isinstance(picture, str | Path | bytes | BinaryFile):
        picture = open_picture(picture, name=name, paper=None)
    page = open_page(picture, invert=invert)
    if not (_is_blank(page) and hides_ink(picture, invert=invert)):
        return page
    if invert:
        raise HiddenInk(
            f"{label}: its ink is dark on a transparent ground, and lost on black paper: leave --invert out, or save "
            "it with light ink"
        )
    raise HiddenInk(
        f"{label}: its ink is light on a transparent ground, and lost on white paper: add --invert, or save it with "
        "dark ink"
    )


def hides_ink(picture: Picture, *, invert: bool = False) -> bool:
    """Tell whether a drawing is a blank page only because of what its transparent ground becomes.

    Args:
        picture: as for `open_visible`.
        invert: as for `open_visible`.
    """
    if isinstance(picture, str | Path | bytes | BinaryFile):
        picture = open_picture(picture, paper=None)
        if picture.mode != "RGBA":  # no transparency
            return False
    return _is_blank(open_page(picture, invert=invert)) and not _is_blank(open_page(picture, invert=not invert))


def open_to_show(picture: Picture, *, name: str | None = None) -> Image.Image:
    """Open a drawing to show or to learn from: as `open_visible` does, inverted if its ink would be lost otherwise.

    Args:
        picture: what `open_picture` takes.
        name: its name in an error; a path is its own name.
    """
    if isinstance(picture, str | Path | bytes | BinaryFile):
        picture = open_picture(picture, name=name, paper=None)
        if picture.mode != "RGBA":  # no transparency
            return picture
    return open_page(picture, invert=hides_ink(picture))


def open_photo(picture: str | Path | bytes | BinaryFile, *, name: str | None = None) -> Image.Image:
    """Read a photo as `open_picture` does, on black where all of it would be lost on white; its colours stay.

    Args:
        picture: what `open_picture` takes.
        name: its name in an error; a path is its own name.
    """
    read = open_picture(picture, name=name, paper=None)
    if read.mode != "RGBA":
        return read
    return open_picture(read, paper="black" if hides_ink(read) else "white")


def open_page(picture: Image.Image | np.ndarray | Tensor, *, invert: bool) -> Image.Image:
    """Open a drawing as dark ink on white paper, whatever is to be seen of it.

    Args:
        picture: what `open_picture` takes.
        invert: as for `open_visible`.
    """
    page = open_picture(picture, paper="black" if invert else "white")
    return ImageOps.invert(page) if invert else page


def _is_blank(page: Image.Image) -> bool:
    darkest, lightest = cast("tuple[int, int]", page.convert("L").getextrema())
    return lightest - darkest < FAINT
