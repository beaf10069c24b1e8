"""What the optional readers share: the page that is asked for, and the size at which it is drawn."""

import math

#: Least and greatest longer side in pixels: a smaller drawing is enlarged, a larger one is reduced.
LEAST, MOST = 512, 2048


def drawn_size(width: float, height: float) -> tuple[int, int]:
    """Return the size at which a drawing is drawn: its own, unless its longer side is below `LEAST` or above `MOST`.

    Args:
        width: its own width in pixels.
        height: its own height in pixels.

    Returns:
        Width and height in pixels, each at least 1.

    Raises:
        ValueError: if it has no size.
    """
    longer = max(width, height)
    if not (math.isfinite(width) and math.isfinite(height) and width > 0 and height > 0):
        raise ValueError(f"its size is {width:g} by {height:g}")
    scale = min(max(longer, LEAST), MOST) / longer
    return max(1, round(width * scale)), max(1, round(height * scale))


class CannotRead(ValueError):  # noqa: N818 (it names what was found)
    """A sound file that is not read. The text says why, and what to do."""


def check_page(page: int, count: int) -> None:
    """Raise CannotRead for a number, from 1, that is none of a file's pages."""
    if not 1 <= page <= count:
        has = "1 page" if count == 1 else f"{count:,} pages"
        raise CannotRead(f"it has {has}, and no page {page}; name one that is there")
