"""Smooth curves through control points: Catmull-Rom splines, which are cubic Béziers, and their SVG.

Source: Catmull & Rom 1974, "A Class of Local Interpolating Splines", with the usual tension of 1/2.
"""

from functools import lru_cache

import torch
from jaxtyping import Float
from torch import Tensor

from sketchloss.strokes.batch import StrokeBatch

#: Straight pieces that a curve from one control point to the next is drawn as.
PIECES = 4
#: Strokes thinner than this, in pixels, are not written.
THINNEST = 0.05


def smooth(strokes: StrokeBatch, pieces: int = PIECES) -> StrokeBatch:
    """Return strokes as smooth curves through their control points; gradients flow to these.

    Args:
        strokes: strokes that all have the same number of control points.
        pieces: number of straight pieces from one control point to the next, 1 or more.

    Returns:
        The same strokes, each as a polyline of (control points - 1) · pieces + 1 points.

    Raises:
        ValueError: if strokes differ in the number of points, or for pieces below 1.
    """
    if pieces < 1:
        raise ValueError(f"pieces is {pieces}: give at least 1")
    count = len(strokes.widths)
    controls = _each_as_many(strokes)
    matrix = _samples(controls.shape[1], pieces).to(controls)
    points = torch.einsum("sc,kcd->ksd", matrix, controls)
    owners = torch.arange(count, device=controls.device).repeat_interleave(points.shape[1])
    return StrokeBatch(
        points.reshape(-1, 2), strokes.widths, owners, strokes.drawing_of, strokes.drawings, strokes.opacities
    )


def to_svg(strokes: StrokeBatch, width: float | int, height: float | int) -> str:
    """Return the curves through the control points of one drawing as an SVG file: a path of cubic Béziers each.

    Args:
        strokes: strokes of one drawing, all with the same number of control points, in pixels.
        width: width of the page in pixels.
        height: height of the page in pixels.

    Returns:
        Text of a whole file. Strokes thinner than `THINNEST` are left out.

    Raises:
        ValueError: if strokes differ in the number of points.
    """
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:g}" height="{height:g}" '
        f'viewBox="0 0 {width:g} {height:g}">',
        '<rect width="100%" height="100%" fill="white"/>',
        '<g fill="none" stroke="black" stroke-linecap="round" stroke-linejoin="round">',
    ]
    for points, pen in zip(_each_as_many(strokes), strokes.widths.tolist(), strict=True):
        if pen >= THINNEST:
            lines.append(f'<path stroke-width="{pen:.2f}" d="{_path(points.tolist())}"/>')
    return "\n".join([*lines, "</g>", "</svg>", ""])


def _path(points: list[list[float]]) -> str:
    """Return the Bézier path: the handles of a control point lie along the line between its neighbours."""
    said = [f"M{_at(points[0])}"]
    before = [points[0], *points, points[-1]]
    for first, start, end, last in zip(before, before[1:], before[2:], before[3:], strict=False):
        out = [a + (c - b) / 6 for a, b, c in zip(start, first, end, strict=True)]
        into = [a - (c - b) / 6 for a, b, c in zip(end, start, last, strict=True)]
        said.append(f"C{_at(out)} {_at(into)} {_at(end)}")
    return " ".join(said)


def _at(point: list[float]) -> str:
    return ",".join(f"{value:.2f}" for value in point)


def _each_as_many(strokes: StrokeBatch) -> Float[Tensor, "strokes points 2"]:
    counts = strokes.stroke_of.bincount(minlength=len(strokes.widths))
    if len(counts.unique()) > 1:
        raise ValueError(f"strokes have {counts.min()} to {counts.max()} points: give each as many")
    return strokes.points.view(len(strokes.widths), -1, 2)


@lru_cache(maxsize=16)
def _samples(controls: int, pieces: int) -> Float[Tensor, "samples controls"]:
    """Return the weights of the control points in each point of the curve."""
    if controls == 1:
        return torch.ones(1, 1)
    # The ends are repeated, so that the curve begins and ends there.
    index = torch.arange(controls)
    rows = []
    for piece in range(controls - 1):
        four = index[[max(piece - 1, 0), piece, piece + 1, min(piece + 2, controls - 1)]]
        for step in range(pieces + (piece == controls - 2)):
            t = step / pieces
            weights = torch.tensor(
                [-t + 2 * t**2 - t**3, 2 - 5 * t**2 + 3 * t**3, t + 4 * t**2 - 3 * t**3, -(t**2) + t**3]
            )
            rows.append(torch.zeros(controls).index_add(0, four, weights / 2))
    return torch.stack(rows)
