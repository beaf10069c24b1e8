"""Strokes to pixels: polylines with a chosen line width, antialiased, at any size."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from PIL import Image, ImageDraw

# Pillow draws lines without antialiasing; drawing this much larger and averaging down gives it.
SUPERSAMPLING = 4


def draw_strokes(strokes: Sequence[Float[np.ndarray, "_ 2"]], size: int, *, line_width: float) -> Image.Image:
    """Draw polylines as dark ink on white paper.

    Args:
        strokes: one array of (x, y) points per stroke, in the unit square, x to the right and y down. A stroke of a
            single point is a dot. Parts outside the square are cut off.
        size: side of the picture in pixels.
        line_width: in pixels of the finished picture; may be fractional.

    Returns:
        An `L` picture, `size`×`size`, 255 the paper and 0 the ink; round joints and ends.
    """
    large = size * SUPERSAMPLING
    canvas = Image.new("L", (large, large), 255)
    pen = ImageDraw.Draw(canvas)
    width = max(1, round(line_width * SUPERSAMPLING))
    radius = width / 2
    for stroke in strokes:
        points = [(float(x) * large, float(y) * large) for x, y in stroke]
        if len(points) > 1:
            pen.line(points, fill=0, width=width, joint="curve")
        for x, y in (points[0], points[-1]):  # round ends, and dots
            pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=0)
    return canvas.reduce(SUPERSAMPLING)
