"""The drawings of a gallery as pictures, small and large: no other file is ever read.

A visitor names a gallery that he may see and the SHA-256 of a drawing in it, never a path. What is read must still have
this content: a file that was put in its place since is not shown.
"""

import base64
import os
import re
from functools import lru_cache
from io import BytesIO
from pathlib import Path

from PIL import Image

from sketchloss.gallery import Gallery
from sketchloss.gallery.looking import content_hash
from sketchloss.gallery.table import Known
from sketchloss.system.files import open_input
from sketchloss.system.images import UnreadablePicture, fit_square
from sketchloss.system.picture_pages import split_page
from sketchloss.system.visible_ink import open_to_show

#: Pixels of the longer side of a large picture: a scan with more is reduced.
LARGEST = 2048
#: Bytes of a large picture as PNG. Beyond, it is sent as JPEG.
MOST_BYTES = 2**20
#: Pixels of a small picture's square.
SMALL = 106
#: Small pictures that are held in memory: 100 MB at most.
REMEMBERED = 1024
GONE = "the file of this drawing is gone or has changed: choose another drawing, or bring the gallery up to date"


def row_of(gallery: Gallery, content: str | None) -> Known:
    """Return the row of a drawing.

    Args:
        gallery: one that the visitor may see.
        content: SHA-256 of the drawing's file, in hexadecimal.

    Raises:
        ValueError: if the gallery holds no such drawing.
    """
    rows = gallery.table.known(f"hash = '{content}'") if re.fullmatch("[0-9a-f]{64}", content or "") else []
    if not rows:
        raise ValueError("this drawing is not in the gallery any more: search again")
    return next((row for row in rows if split_page(os.fsdecode(row.path))[0].is_file()), rows[0])


def read_original(path: Path, content: str) -> Image.Image:
    """Read a drawing's file, if it has this content.

    Returns:
        The drawing, dark on light where its ink would be lost otherwise.

    Raises:
        ValueError: if the file is gone, has other content by now, or cannot be read; without its path.
    """
    try:
        place, page = split_page(path)
        with open_input(place, pipes=False) as file:
            if content_hash(file, page) != content:
                raise ValueError(GONE)
            file.seek(0)
            return open_to_show(file if page == 1 else path, name="the drawing")
    except (OSError, UnreadablePicture):
        raise ValueError(GONE) from None


def large_picture(path: Path, content: str) -> tuple[Image.Image, tuple[int, int]]:
    """Return a drawing, of `LARGEST` pixels at most, and the size that it has in its file.

    Raises:
        ValueError: as `read_original`.
    """
    picture = read_original(path, content)
    size = picture.size
    picture.thumbnail((LARGEST, LARGEST), Image.Resampling.LANCZOS)
    return picture, size


def small_picture(path: Path, content: str, side: int = SMALL) -> Image.Image:
    """Return a square picture of a gallery's drawing, so many pixels wide; grey if its file is gone or has changed."""
    try:
        return _reduced(path, content, side)
    except ValueError:
        return Image.new("L", (side, side), 225)


@lru_cache(maxsize=REMEMBERED)
def _reduced(path: Path, content: str, side: int) -> Image.Image:
    return fit_square(read_original(path, content), side)


def forget_pictures() -> None:
    """Forget all small pictures: those of a gallery that was deleted among them."""
    _reduced.cache_clear()


def as_address(picture: Image.Image, *, colours: int | None = None) -> str:
    """Return a picture as a `data:` address, so that nobody but who asked can have it.

    Args:
        picture: any.
        colours: of a small picture, how many greys are enough.
    """
    encoded = BytesIO()
    if colours is not None:
        picture.convert("L").quantize(colours).save(encoded, format="PNG", optimize=True)
        return _as_data("png", encoded)
    picture.save(encoded, format="PNG")
    if encoded.tell() <= MOST_BYTES:
        return _as_data("png", encoded)
    smaller = BytesIO()
    picture.convert("RGB").save(smaller, format="JPEG", quality=90)
    return _as_data("jpeg", smaller)


def _as_data(kind: str, encoded: BytesIO) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(encoded.getvalue()).decode()}"
