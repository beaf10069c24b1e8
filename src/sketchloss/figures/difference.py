"""A picture of where two drawings differ: both of them, and the loss's map laid over their ink. Drawn with Pillow."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from PIL import Image, ImageDraw, ImageFont

from sketchloss.figures.lettering import Font, drawable, shorten
from sketchloss.system.images import fit_square

# Where the drawings differ most the paper turns deep orange. It stays lighter than any ink, so that lines can be read
# on it, and blue and dark red are told apart from each other and from it by the colour-blind as well.
HEAT = ((255, 255, 255), (255, 243, 191), (255, 214, 120), (253, 168, 66), (240, 112, 32))
INK_A, INK_B, INK_BOTH = (0, 85, 195), (190, 0, 90), (25, 25, 25)
TEXT, FRAME = (40, 40, 40), (200, 200, 200)
PANEL = 448  # pixels of a panel's longer side, at least
MARGIN, LINE = 20, 24


@dataclass(frozen=True)
class Caption:
    """Texts on the picture."""

    a: str = "A"
    b: str = "B"
    text: str = ""
    """Text below the picture: the distance and how it was measured."""
    unit: str = "distance"
    """Text beside the colour bar: the quantity that the heat shows."""


def draw_difference(
    a: Image.Image,
    b: Image.Image,
    heat: Float[np.ndarray, "h w"],
    *,
    caption: Caption | None = None,
    greatest: float | None = None,
) -> Image.Image:
    """Draw two drawings side by side, and a third panel with their ink on the map of their difference.

    Ink that both have is black there, ink that only one has is in that one's colour.

    Args:
        a: dark ink on light paper. A drawing of other proportions than the map's is fitted into a square.
        b: the other drawing, in the same form.
        heat: where they differ, ≥ 0, as `SketchLoss.map` gives it for one pair.
        caption: the words on it.
        greatest: the heat that gets the strongest colour; by default the map's own greatest, so that two pictures are
            comparable only if they are drawn with the same number.

    Returns:
        An `RGB` picture.
    """
    caption = caption or Caption()
    greatest = float(heat.max()) if greatest is None else greatest
    height, width = heat.shape
    scale = max(1.0, PANEL / max(height, width))
    size = (round(width * scale), round(height * scale))
    a, b = _enlarge(a, size), _enlarge(b, size)
    panels = (a, b, _inks_on(_warm(heat, size, greatest), a, b))

    canvas = Image.new("RGB", (3 * size[0] + 4 * MARGIN, size[1] + 2 * MARGIN + 4 * LINE), "white")
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(size=15)
    top, below = MARGIN + LINE, MARGIN + LINE + size[1] + 8
    lefts = [MARGIN + index * (size[0] + MARGIN) for index in range(3)]
    titles = (_title("A", caption.a), _title("B", caption.b), "difference")
    for left, panel, title in zip(lefts, panels, titles, strict=True):
        draw.text((left, MARGIN - 4), shorten(title, font, size[0]), fill=TEXT, font=font)
        canvas.paste(panel, (left, top))
        draw.rectangle((left - 1, top - 1, left + size[0], top + size[1]), outline=FRAME)

    for left, colour, words in ((lefts[0], INK_A, "ink only in A"), (lefts[1], INK_B, "ink only in B")):
        draw.rectangle((left, below + 3, left + 26, below + 13), fill=colour)
        draw.text((left + 34, below), words, fill=TEXT, font=font)
    _draw_scale(draw, lefts[2], below, size[0], greatest, caption.unit, font)
    room = lefts[2] - 2 * MARGIN
    draw.text((MARGIN, below + 2 * LINE), shorten(caption.text, font, room), fill=TEXT, font=font)
    return canvas


def lay_heat_under(
    drawing: Image.Image, heat: Float[np.ndarray, "h w"], *, greatest: float | None = None
) -> Image.Image:
    """Draw a drawing's ink, black, on the map of its difference from another.

    Args:
        drawing: dark ink on light paper; fitted into a square if the map is one, as for `draw_difference`.
        heat: as for `draw_difference`.
        greatest: as for `draw_difference`.

    Returns:
        An `RGB` picture, at least `PANEL` pixels on its longer side.
    """
    height, width = heat.shape
    scale = max(1.0, PANEL / max(height, width))
    size = (round(width * scale), round(height * scale))
    drawing = _enlarge(drawing, size)
    return _picture(_lay(_warm(heat, size, greatest), _ink(drawing), INK_BOTH))


def _warm(
    heat: Float[np.ndarray, "h w"], size: tuple[int, int], greatest: float | None
) -> Float[np.ndarray, "h2 w2 3"]:
    greatest = float(heat.max()) if greatest is None else greatest
    share = np.clip(heat / greatest, 0, 1) if greatest > 0 else np.zeros_like(heat)
    return _ramp(np.asarray(Image.fromarray(share.astype(np.float32)).resize(size, Image.Resampling.BILINEAR)))


def _enlarge(picture: Image.Image, size: tuple[int, int]) -> Image.Image:
    picture = picture.convert("RGB")
    # Pictures compared at their own size have the map's proportions; all others were fitted into a square.
    if size[0] == size[1]:
        return fit_square(picture, size[0])
    return picture.resize(size, Image.Resampling.BILINEAR)


def _ramp(share: Float[np.ndarray, "h w"]) -> Float[np.ndarray, "h w 3"]:
    stops = np.linspace(0, 1, len(HEAT))
    return np.stack([np.interp(share, stops, channel) for channel in zip(*HEAT, strict=True)], axis=-1)


def _inks_on(paper: Float[np.ndarray, "h w 3"], a: Image.Image, b: Image.Image) -> Image.Image:
    ink_a, ink_b = _ink(a), _ink(b)
    both = np.minimum(ink_a, ink_b)
    for amount, colour in ((ink_a - both, INK_A), (ink_b - both, INK_B), (both, INK_BOTH)):
        paper = _lay(paper, amount, colour)
    return _picture(paper)


def _ink(picture: Image.Image) -> Float[np.ndarray, "h w 1"]:
    return 1 - np.asarray(picture.convert("L"), np.float64)[..., None] / 255


def _lay(
    paper: Float[np.ndarray, "h w 3"], ink: Float[np.ndarray, "h w 1"], colour: tuple[int, int, int]
) -> Float[np.ndarray, "h w 3"]:
    return paper * (1 - ink) + np.array(colour) * ink


def _picture(paper: Float[np.ndarray, "h w 3"]) -> Image.Image:
    return Image.fromarray(paper.round().clip(0, 255).astype(np.uint8))


def _draw_scale(
    draw: ImageDraw.ImageDraw,
    left: int,
    top: int,
    width: int,
    greatest: float,
    unit: str,
    font: Font,
) -> None:
    if greatest <= 0:
        draw.text((left, top), "no difference anywhere", fill=TEXT, font=font)
        return
    colours = _ramp(np.linspace(0, 1, width)[None])[0].round().astype(int).tolist()
    for x, colour in enumerate(colours):
        draw.line((left + x, top + 3, left + x, top + 13), fill=tuple(colour))
    draw.rectangle((left - 1, top + 2, left + width, top + 14), outline=FRAME)
    low, high = "0", f"{greatest:.3g}"
    draw.text((left, top + LINE - 4), low, fill=TEXT, font=font)
    draw.text((left + width, top + LINE - 4), high, fill=TEXT, font=font, anchor="ra")
    room = width - 2 * round(font.getlength(high)) - 16
    draw.text((left + width // 2, top + LINE - 4), shorten(unit, font, room), fill=TEXT, font=font, anchor="ma")


def _title(letter: str, name: str) -> str:
    plain = drawable(name)
    # A row of question marks says less than only the letter.
    return letter if name == letter or plain.count("?") > name.count("?") else f"{letter}: {plain}"
