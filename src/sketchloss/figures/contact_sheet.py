"""A contact sheet: each query with the pictures found for it, row by row. Drawn with Pillow."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from PIL import Image, ImageDraw, ImageFont

from sketchloss.figures.lettering import Font, drawable, shorten
from sketchloss.system.images import fit_square

TEXT, FRAME, RULE = (40, 40, 40), (200, 200, 200), (120, 120, 120)
# Bluish green and vermilion (Okabe & Ito 2008), told apart by the colour-blind as well; a solid frame with a tick and
# a dashed one with a cross say the same without colour.
RIGHT, WRONG = (0, 158, 115), (213, 94, 0)
THICK = 3
DASH, GAP = 7, 5
FONT_SIZE, LINE = 12, 18
MARGIN, SPACE = 16, 10
LEAST_SIDE = 32
SIDE = 112


@dataclass(frozen=True)
class Tile:
    """A picture on the sheet."""

    picture: Image.Image
    """The picture, of any mode and proportions; it is fitted into a square on white paper (`fit_tile` does so
    beforehand)."""
    caption: str = ""
    """Line of text below the picture; shortened to fit: a query's in the middle, since names differ at their ends."""
    verdict: Literal["right", "wrong"] | None = None
    """Frame of the picture: green with a tick (`right`), red and dashed with a cross (`wrong`), or thin and grey
    (None)."""


def draw_contact_sheet(
    rows: Sequence[tuple[Tile, Sequence[Tile]]], *, title: str = "", side: int = SIDE
) -> Image.Image:
    """Draw one row for each query: the query at the left, set apart by a line, then what was found for it.

    Args:
        rows: queries, each with its neighbours, the nearest first; rows may be of different lengths.
        title: a line above.
        side: side of each picture in pixels, at least 32.

    Returns:
        An `RGB` picture.

    Raises:
        ValueError: for no rows, a side that is too small, or more pixels than Pillow would open again.
    """
    size = sheet_size([len(found) for _, found in rows], title=title, side=side)
    top, height, start = _top(title), side + LINE + SPACE, _start(side)
    canvas = Image.new("RGB", size, "white")
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(size=FONT_SIZE)
    if title:
        bigger = ImageFont.load_default(size=FONT_SIZE + 3)
        draw.text((MARGIN, MARGIN), shorten(drawable(title), bigger, size[0] - 2 * MARGIN), fill=TEXT, font=bigger)
    for index, (query, found) in enumerate(rows):
        y = top + index * height
        _draw_tile(canvas, draw, query, (MARGIN, y), side, font, in_middle=True)
        x = MARGIN + side + (3 * SPACE) // 2
        draw.line((x, y, x, y + side - 1), fill=RULE, width=2)
        for place, tile in enumerate(found):
            _draw_tile(canvas, draw, tile, (start + place * (side + SPACE), y), side, font)
    return canvas


def sheet_size(found: Sequence[int], *, title: str = "", side: int = SIDE) -> tuple[int, int]:
    """Return the width and height in pixels of a sheet, so that it can be refused before its pictures are read.

    Args:
        found: for each row, how many neighbours it has.
        title: as for `draw_contact_sheet`.
        side: as for `draw_contact_sheet`.

    Raises:
        ValueError: as `draw_contact_sheet`.
    """
    if not found:
        raise ValueError("a contact sheet needs at least one row")
    if side < LEAST_SIDE:
        raise ValueError(f"side is {side}: tiles need at least {LEAST_SIDE} pixels")
    across, limit = max(found), Image.MAX_IMAGE_PIXELS
    width = _start(side) + max(across, 1) * (side + SPACE) - SPACE + MARGIN
    height = _top(title) + len(found) * (side + LINE + SPACE) - SPACE + MARGIN
    if limit is not None and width * height > limit:
        raise ValueError(
            f"a sheet of {len(found):,} rows with {across:,} pictures would be {width:,} by {height:,} pixels, more "
            f"than {limit:,} in all: draw fewer rows"
        )
    return width, height


def fit_tile(picture: Image.Image, side: int = SIDE) -> Image.Image:
    """Fit a picture into its place on a sheet, as the sheet itself would, and which it then leaves as it is."""
    # The frame lies around the picture, not on it.
    return fit_square(picture if picture.mode in ("L", "RGB") else picture.convert("RGB"), side - 2 * THICK)


def _top(title: str) -> int:
    return MARGIN + (LINE + SPACE if title else 0)


def _start(side: int) -> int:
    # A row: the query, a gap with the line in its middle, the neighbours, which begin here.
    return MARGIN + side + 3 * SPACE


def _draw_tile(
    canvas: Image.Image,
    draw: ImageDraw.ImageDraw,
    tile: Tile,
    at: tuple[int, int],
    side: int,
    font: Font,
    *,
    in_middle: bool = False,
) -> None:
    x, y = at
    canvas.paste(fit_tile(tile.picture, side), (x + THICK, y + THICK))
    box = (x, y, x + side - 1, y + side - 1)
    if tile.verdict is None:
        draw.rectangle((x + THICK - 1, y + THICK - 1, x + side - THICK, y + side - THICK), outline=FRAME)
    elif tile.verdict == "right":
        draw.rectangle(box, outline=RIGHT, width=THICK)
    else:
        _draw_dashed(draw, box)
    if tile.verdict is not None:
        _draw_mark(draw, x + side - 1, y, right=tile.verdict == "right")
    if tile.caption:
        text = (shorten_in_middle if in_middle else shorten)(drawable(tile.caption), font, side)
        draw.text((x + side / 2, y + side + 2), text, fill=TEXT, font=font, anchor="ma")


def shorten_in_middle(text: str, font: Font, width: int) -> str:
    """Cut a text that is wider than this many pixels, with three dots in place of its middle."""

    def cut(kept: int) -> str:
        return text[: kept // 2] + "..." + text[len(text) - (kept - kept // 2) :]

    if font.getlength(text) <= width:
        return text
    return cut(max(0, bisect_right(range(len(text)), width, key=lambda kept: font.getlength(cut(kept))) - 1))


def _draw_dashed(draw: ImageDraw.ImageDraw, box: tuple[int, int, int, int]) -> None:
    left, top, right, bottom = box
    for start in range(left, right + 1, DASH + GAP):
        end = min(start + DASH - 1, right)
        draw.rectangle((start, top, end, top + THICK - 1), fill=WRONG)
        draw.rectangle((start, bottom - THICK + 1, end, bottom), fill=WRONG)
    for start in range(top, bottom + 1, DASH + GAP):
        end = min(start + DASH - 1, bottom)
        draw.rectangle((left, start, left + THICK - 1, end), fill=WRONG)
        draw.rectangle((right - THICK + 1, start, right, end), fill=WRONG)


def _draw_mark(draw: ImageDraw.ImageDraw, right_edge: int, top: int, *, right: bool) -> None:
    """Draw a tick or a cross on a disc in the corner."""
    x, y, radius = right_edge - 9, top + 9, 8
    draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=RIGHT if right else WRONG)
    if right:
        draw.line((x - 4, y, x - 1, y + 3, x + 4, y - 3), fill="white", width=2)
    else:
        draw.line((x - 3, y - 3, x + 3, y + 3), fill="white", width=2)
        draw.line((x - 3, y + 3, x + 3, y - 3), fill="white", width=2)
