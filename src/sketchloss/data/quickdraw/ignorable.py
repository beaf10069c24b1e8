"""Changes of a drawing that people ignore: another line width, a small shift, another scale, pencil for ink, JPEG."""

from collections.abc import Callable, Sequence
from io import BytesIO

import numpy as np
from jaxtyping import Float
from PIL import Image

from sketchloss.data.doodles.drawing import draw_pencil
from sketchloss.data.quickdraw.drawings import StrokeDrawing
from sketchloss.data.quickdraw.painting import draw_strokes

#: Factor of the line width.
THICKER, THINNER = 1.5, 1 / 1.5
#: In sides of the picture, in a direction of the drawing's own: 2 pixels at 64.
SHIFT = 0.03
#: Factor, about the middle of the drawing.
SCALE = 0.94
JPEG_QUALITY = 50


def _thinner(drawing: StrokeDrawing, size: int, _: int) -> Image.Image:
    return draw_strokes(drawing.strokes, size, line_width=THINNER * drawing.pen(size))


def _thicker(drawing: StrokeDrawing, size: int, _: int) -> Image.Image:
    return draw_strokes(drawing.strokes, size, line_width=THICKER * drawing.pen(size))


def _shifted(drawing: StrokeDrawing, size: int, seed: int) -> Image.Image:
    return shifted(drawing, seed).picture(size)


def _scaled(drawing: StrokeDrawing, size: int, _: int) -> Image.Image:
    points = np.concatenate(drawing.strokes)
    centre = (points.min(0) + points.max(0)) / 2
    return drawing.with_strokes([centre + SCALE * (stroke - centre) for stroke in drawing.strokes]).picture(size)


def _pencil(drawing: StrokeDrawing, size: int, seed: int) -> Image.Image:
    width = drawing.pen(size)
    dash = np.array([[-0.25, 0.0], [0.25, 0.0]]) * width / size  # a pencil draws from point to point: a dot needs two
    strokes = [stroke if len(stroke) > 1 else stroke + dash for stroke in drawing.strokes]
    return draw_pencil(strokes, size, line_width=width, rng=drawing.generator("pencil", seed))


def _jpeg(drawing: StrokeDrawing, size: int, _: int) -> Image.Image:
    file = BytesIO()
    drawing.picture(size).save(file, format="JPEG", quality=JPEG_QUALITY)
    with Image.open(file) as picture:
        return picture.convert("L")


_CHANGES: dict[str, Callable[[StrokeDrawing, int, int], Image.Image]] = {
    **{"thinner": _thinner, "thicker": _thicker, "shifted": _shifted},
    **{"scaled": _scaled, "pencil": _pencil, "jpeg": _jpeg},
}
#: Name -> what is changed, in words.
CHANGES = {
    "thinner": f"lines {THINNER:.2g} times as wide",
    "thicker": f"lines {THICKER:g} times as wide",
    "shifted": f"moved by {100 * SHIFT:g} % of the side",
    "scaled": f"{SCALE:g} times as large",
    "pencil": "in pencil instead of ink",
    "jpeg": f"JPEG of quality {JPEG_QUALITY}",
}


def changed(drawing: StrokeDrawing, name: str, size: int, *, seed: int) -> Image.Image:
    """Draw a drawing with a change that people ignore.

    Args:
        drawing: the drawing to draw.
        name: one of `CHANGES`.
        size: side of the picture in pixels.
        seed: random seed of the direction of the shift, and of the pencil's grain.

    Returns:
        An `L` picture, `size`×`size`, dark on white.

    Raises:
        ValueError: for an unknown name.
    """
    if name not in _CHANGES:
        raise ValueError(f"change {name!r} is unknown: use one of {', '.join(_CHANGES)}")
    return _CHANGES[name](drawing, size, seed)


def shifted(drawing: StrokeDrawing, seed: int, purpose: str = "shift") -> StrokeDrawing:
    """Move a whole drawing by `SHIFT`; towards the middle of the picture where it would leave it."""
    angle = drawing.generator(purpose, seed).uniform(0, 2 * np.pi)
    move = SHIFT * np.array([np.cos(angle), np.sin(angle)])
    return drawing.with_strokes([stroke + _inward(move, drawing.strokes) for stroke in drawing.strokes])


def _inward(move: Float[np.ndarray, "2"], strokes: Sequence[Float[np.ndarray, "_ 2"]]) -> Float[np.ndarray, "2"]:
    points = np.concatenate(strokes)
    low, high = points.min(0), points.max(0)
    outside = (low + move < 0) & (move < 0) | (high + move > 1) & (move > 0)
    return np.where(outside, -move, move)
