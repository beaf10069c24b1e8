"""A grid of pictures with names along its sides: before and after, one method beside another. Drawn with Pillow."""

from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

from sketchloss.figures.lettering import drawable, shorten
from sketchloss.system.images import fit_square

TEXT = (40, 40, 40)
FONT_SIZE, LINE = 13, 20
MARGIN, GAP = 12, 4


def draw_grid(
    rows: Sequence[Sequence[Image.Image]],
    *,
    side: int,
    row_names: Sequence[str] = (),
    column_names: Sequence[str] = (),
    title: str = "",
) -> Image.Image:
    """Draw pictures in rows and columns.

    Args:
        rows: pictures of mode `L` or `RGB`, each fitted whole into its square; as many in each row.
        side: side of a square in pixels.
        row_names: one for each row, at its left; none: no names.
        column_names: one for each column, above it; shortened to fit.
        title: a line above all.

    Returns:
        An `RGB` picture.

    Raises:
        ValueError: for no pictures, rows of unequal length, or names that are fewer or more than what they name.
    """
    if not rows or not rows[0]:
        raise ValueError("a grid needs at least one picture")
    columns = len(rows[0])
    if any(len(row) != columns for row in rows):
        raise ValueError(f"the rows hold {[len(row) for row in rows]} pictures: they must be equally long")
    for what, names, count in (("row", row_names, len(rows)), ("column", column_names, columns)):
        if names and len(names) != count:
            raise ValueError(f"{len(names)} {what} names for {count} {what}s: give one for each, or none")
    font = ImageFont.load_default(size=FONT_SIZE)
    bold = ImageFont.load_default(size=FONT_SIZE + 2)
    row_texts, column_texts = [drawable(name) for name in row_names], [drawable(name) for name in column_names]
    left = MARGIN + (round(max(font.getlength(text) for text in row_texts)) + MARGIN if row_texts else 0)
    top = MARGIN + LINE * (bool(title) + bool(column_texts))
    width, height = left + columns * (side + GAP) - GAP + MARGIN, top + len(rows) * (side + GAP) - GAP + MARGIN
    canvas = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(canvas)
    if title:
        draw.text((MARGIN, MARGIN), shorten(drawable(title), bold, width - 2 * MARGIN), fill=TEXT, font=bold)
    for column, text in enumerate(column_texts):
        middle = left + column * (side + GAP) + side // 2
        draw.text((middle, top - LINE + 2), shorten(text, font, side), fill=TEXT, font=font, anchor="ma")
    for index, row in enumerate(rows):
        y = top + index * (side + GAP)
        if row_texts:
            draw.text((left - MARGIN, y + side // 2), row_texts[index], fill=TEXT, font=font, anchor="rm")
        for column, picture in enumerate(row):
            canvas.paste(fit_square(picture, side), (left + column * (side + GAP), y))
    return canvas
