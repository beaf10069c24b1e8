"""Photos in HEIC and HEIF to pictures, by libheif."""

from io import BytesIO

from PIL import Image
from pillow_heif import HeifImageFile

from sketchloss.system.drawn_page import check_page


def read_heif(data: bytes, page: int) -> Image.Image:
    """Read a picture of a HEIF file: upright, as the file turns it, and with 8 bits.

    Args:
        data: bytes of a file.
        page: number of the picture, from 1: the one that the file puts first, then the others in their order.

    Returns:
        A picture that is not decoded yet.

    Raises:
        CannotRead: if it has no such picture.
        Exception: whatever libheif raises of a damaged file.
    """
    # note: Pillow need not know of the format, so that nothing else in this process reads it unasked
    picture = HeifImageFile(BytesIO(data))
    first = picture.tell()
    check_page(page, picture.n_frames)
    picture.seek([first, *(frame for frame in range(picture.n_frames) if frame != first)][page - 1])
    return picture


def count_pictures(data: bytes) -> int:
    """Return the number of pictures in a HEIF file; raises as `read_heif`."""
    return HeifImageFile(BytesIO(data)).n_frames
