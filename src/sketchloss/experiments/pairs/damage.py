"""Inputs made from true drawings: the same drawing sketched roughly, or scanned poorly."""

from io import BytesIO

import numpy as np
from jaxtyping import Float
from PIL import Image

from sketchloss.data.doodles.drawing import draw_pencil
from sketchloss.data.quickdraw.drawings import StrokeDrawing
from sketchloss.data.quickdraw.edits import by_other_hand, removed
from sketchloss.data.quickdraw.painting import draw_strokes

#: Passes of a rough drawing; how far each goes astray, in units of the doodles' hand; the share of it that is missing.
PASSES, ASTRAY, MISSING = (2, 4), (1.5, 4.0), (0.1, 0.3)
#: Width of the pencil as a share of the true pen's, and darkness of construction lines.
PENCIL, CONSTRUCTION = 0.6, 0.25
#: What makes a dot of a pencil, which draws from point to point, in sides of the picture.
DASH = np.array([[-0.002, 0.0], [0.002, 0.0]])
#: Side of a poor scan as a share of the drawing's, quality of its JPEG, lightness of its paper and of its ink.
SCANNED, QUALITY, PAPER, INK = (0.25, 0.5), (10, 30), (0.8, 0.97), (0.0, 0.35)
#: Greatest standard deviation of a scan's noise, and greatest fall of its light from one side to the other.
NOISE, SHADE = 0.04, 0.1


def rough(drawing: StrokeDrawing, size: int, *, version: int = 0, seed: int = 0) -> Image.Image:
    """Sketch a drawing roughly: several pencil passes, each a little astray and broken, and construction lines.

    Args:
        drawing: true drawing.
        size: side of the picture in pixels.
        version: another version is another hand.
        seed: random seed.

    Returns:
        An `L` picture, `size`×`size`, grey lines on white.
    """
    rng = drawing.generator(f"rough {version}", seed)
    strokes = []
    for number in range(rng.integers(PASSES[0], PASSES[1] + 1)):
        hand = by_other_hand(drawing, rng.uniform(*ASTRAY), seed=_number(rng))
        strokes += removed(hand, rng.uniform(*MISSING), seed=_number(rng) + number).drawing.strokes
    strokes = [stroke if len(stroke) > 1 else stroke + DASH for stroke in strokes]
    pencil = draw_pencil(strokes, size, line_width=PENCIL * drawing.pen(size), rng=rng)
    lines = draw_strokes(_construction(drawing, rng), size, line_width=PENCIL * drawing.pen(size))
    lighter = 1 - CONSTRUCTION * (1 - _lightness(lines))
    return _picture(_lightness(pencil) * lighter)


def _construction(drawing: StrokeDrawing, rng: np.random.Generator) -> list[Float[np.ndarray, "2 2"]]:
    """Return two or three long lines about the drawing, as a hand puts them down first."""
    points = np.concatenate(drawing.strokes)
    low, high = points.min(0), points.max(0)
    lines = []
    for _ in range(rng.integers(2, 4)):
        axis = int(rng.integers(2))
        across = rng.choice([low[axis], (low[axis] + high[axis]) / 2, high[axis]])
        ends = np.array([[across, across], [low[1 - axis], high[1 - axis]]]).T
        ends = ends[:, ::-1] if axis == 1 else ends
        lines.append(ends + rng.normal(0, 0.02, (2, 2)))
    return lines


def scan(drawing: StrokeDrawing, size: int, *, version: int = 0, seed: int = 0) -> Image.Image:
    """Scan a drawing poorly: few pixels, grey paper, uneven light, noise, and a JPEG of low quality.

    Args:
        drawing: true drawing.
        size: side of the picture in pixels.
        version: another version is another scan.
        seed: random seed.

    Returns:
        An `L` picture, `size`×`size`.
    """
    rng = drawing.generator(f"scan {version}", seed)
    small = max(8, round(size * rng.uniform(*SCANNED)))
    lightness = _lightness(drawing.picture(2 * size).resize((small, small), Image.Resampling.BOX))
    paper, ink = rng.uniform(*PAPER), rng.uniform(*INK)
    page = ink + (paper - ink) * lightness
    light = np.linspace(-0.5, 0.5, small) * rng.uniform(-SHADE, SHADE)
    page = page + (light if rng.integers(2) else light[:, None]) + rng.normal(0, rng.uniform(0, NOISE), page.shape)
    file = BytesIO()
    _picture(page).save(file, format="JPEG", quality=int(rng.integers(QUALITY[0], QUALITY[1] + 1)))
    with Image.open(file) as picture:
        return picture.convert("L").resize((size, size), Image.Resampling.BICUBIC)


def _number(rng: np.random.Generator) -> int:
    return int(rng.integers(2**31))


def _lightness(picture: Image.Image) -> Float[np.ndarray, "h w"]:
    return np.asarray(picture, dtype=np.float64) / 255


def _picture(lightness: Float[np.ndarray, "h w"]) -> Image.Image:
    return Image.fromarray((255 * lightness).round().clip(0, 255).astype(np.uint8))
