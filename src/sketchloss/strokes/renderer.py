"""A differentiable stroke renderer: polylines with widths to pictures, so that a loss of pictures can move strokes.

Method: the distance from each pixel to each stroke, turned into ink by a soft edge (Mihai & Hare 2021, "Differentiable
Drawing and Sketching"; Li et al. 2020, "Differentiable Vector Graphics Rasterization for Editing and Learning").
"""

import math
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from sketchloss.strokes.batch import StrokeBatch

#: Softness of an antialiased edge: the standard deviation of a pixel's own square, in every direction.
SHARP = 1 / math.sqrt(12)
#: Ink ends so many softnesses from a line's edge, where 3e-7 of it is left.
REACH = 5.0
#: Paper that shows through full ink: keeps the logarithm, and with it the gradient, finite.
LEAST_PAPER = 1e-6
# Pairs of segment and pixel that are looked at together: 64 MB or so.
AT_ONCE = 2**20


def render(
    strokes: StrokeBatch, size: int | tuple[int, int], *, softness: float | int = SHARP
) -> Float[Tensor, "n 1 h w"]:
    """Draw strokes as dark ink on white paper; gradients flow to points, widths and opacities.

    A pixel's ink by one stroke is that of an endless straight line of its width, blurred by a Gaussian: with d the
    distance from the pixel's centre to the nearest point of the stroke, w the width, s the softness and Φ the normal
    distribution, Φ((w/2 - d) / s) - Φ((-w/2 - d) / s). At s = 1/√12 the Gaussian spreads as a pixel's square does, and
    the picture is antialiased. A line of width 0 leaves no ink, but its width has a gradient.

    Strokes lie over one another as transparent ink does: paper = Π (1 - opacity · ink). So every stroke keeps its
    gradient where it meets others. Within a stroke only the nearest segment counts: joints are not drawn twice.

    The work grows with the inked area: only pixels that a segment can reach are computed.

    Args:
        strokes: strokes of n drawings.
        size: side of the pictures in pixels, or (height, width).
        softness: standard deviation of the blur across a line, in pixels, above 0. Greater values reach further.

    Returns:
        Pictures in [0, 1] of the points' dtype. Gradients are exact, but only the first: they cannot be differentiated
        again.

    Raises:
        ValueError: for a size below 1, or a softness that is not above 0.
    """
    height, width = (size, size) if isinstance(size, int) else size
    if height < 1 or width < 1:
        raise ValueError(f"size is {size}: give at least 1 pixel")
    if not 0 < softness < math.inf:
        raise ValueError(f"softness is {softness}: it must be above 0 pixels, such as {SHARP:.3f}")
    if not len(strokes.points):
        return strokes.points.new_ones(strokes.drawings, 1, height, width)
    with torch.no_grad():
        near = _near(strokes, height, width, softness)
    starts, ends = strokes.points.index_select(0, near.start), strokes.points.index_select(0, near.end)
    # The derivative by `along` is 0 where it lies inside the segment, as the nearest point does: it may stay constant.
    distance = torch.linalg.vector_norm(near.centre - torch.lerp(starts, ends, near.along[:, None]), dim=1)
    half, scale = strokes.widths.index_select(0, near.stroke) / 2, softness * math.sqrt(2)
    ink = (torch.erf((half - distance) / scale) + torch.erf((half + distance) / scale)) / 2
    if strokes.opacities is not None:
        ink = ink * strokes.opacities.index_select(0, near.stroke)
    paper = near.share * (1 - ink).clamp_min(LEAST_PAPER).log()
    total = paper.new_zeros(strokes.drawings * height * width).index_add(0, near.pixel, paper)
    return total.exp().view(strokes.drawings, 1, height, width)


class _Near(NamedTuple):
    """Pairs of a pixel and the segment of a stroke that is nearest to it."""

    pixel: Int[Tensor, " pairs"]
    """Index of the pixel, counted through all pictures."""
    stroke: Int[Tensor, " pairs"]
    start: Int[Tensor, " pairs"]
    """Index of the segment's first point."""
    end: Int[Tensor, " pairs"]
    centre: Float[Tensor, "pairs 2"]
    """Centre of the pixel."""
    along: Float[Tensor, " pairs"]
    """Place of the nearest point on the segment, from 0 to 1."""
    share: Float[Tensor, " pairs"]
    """Share that the pair counts: 1, or less where several segments are equally near, so that a pixel beyond a joint
    counts once."""


def _near(strokes: StrokeBatch, height: int, width: int, softness: float | int) -> _Near:
    """Find the nearest segment of each stroke for each pixel that the stroke can reach."""
    start, end = strokes.segments()
    stroke = strokes.stroke_of[start]
    reach = (strokes.widths / 2 + REACH * softness)[stroke]
    starts, ends = strokes.points[start], strokes.points[end]
    corner, span = _rectangles(starts, ends, reach, height, width)
    area = span.prod(1)
    # Whole strokes are looked at together, since their segments compete for pixels.
    cost = torch.zeros_like(strokes.drawing_of).index_add(0, stroke, area) + height * width
    group = ((cost.cumsum(0) - cost) // AT_ONCE)[stroke]
    found = []
    for number in group.unique():
        chosen = (group == number).nonzero()[:, 0]
        index = chosen.repeat_interleave(area[chosen])
        before = (area[chosen].cumsum(0) - area[chosen]).repeat_interleave(area[chosen])
        place = torch.arange(len(index), device=index.device) - before
        column, row = corner[index, 0] + place % span[index, 0], corner[index, 1] + place // span[index, 0]
        centre = torch.stack([column, row], 1).to(starts.dtype) + 0.5
        along = _along(starts[index], ends[index], centre)
        distance = (centre - torch.lerp(starts[index], ends[index], along[:, None])).square().sum(1)
        # Every pixel of every stroke of this group has a cell, where its segments compete.
        first, last = int(stroke[chosen[0]]), int(stroke[chosen[-1]])
        cells = (last - first + 1) * height * width
        cell = ((stroke[index] - first) * height + row) * width + column
        best = distance.new_full((cells,), math.inf).scatter_reduce(0, cell, distance, "amin")
        wins = ((distance <= best[cell]) & (distance < reach[index].square())).nonzero()[:, 0]
        index, cell = index[wins], cell[wins]
        share = 1 / cell.bincount(minlength=cells)[cell].to(distance.dtype)
        pixel = (strokes.drawing_of[stroke[index]] * height + row[wins]) * width + column[wins]
        found.append((pixel, stroke[index], start[index], end[index], centre[wins], along[wins], share))
    return _Near(*(torch.cat(part) for part in zip(*found, strict=True)))


def _rectangles(
    starts: Float[Tensor, "s 2"], ends: Float[Tensor, "s 2"], reach: Float[Tensor, " s"], height: int, width: int
) -> tuple[Int[Tensor, "s 2"], Int[Tensor, "s 2"]]:
    """Return the first column and row, and the numbers of columns and rows, whose pixels each segment can reach."""
    limit = torch.tensor([width, height], dtype=starts.dtype, device=starts.device)
    low = torch.minimum(starts, ends) - reach[:, None] - 0.5
    high = torch.maximum(starts, ends) + reach[:, None] - 0.5
    first = low.ceil().clamp_min(0).minimum(limit).long()  # within the picture while still floats: these may be huge
    last = high.floor().clamp_min(-1).minimum(limit - 1).long()
    return first, (last - first + 1).clamp_min(0)


def _along(
    starts: Float[Tensor, "p 2"], ends: Float[Tensor, "p 2"], points: Float[Tensor, "p 2"]
) -> Float[Tensor, " p"]:
    """Return where on each segment the nearest place to a point lies, from 0 to 1; 0 on a segment of no length."""
    way = ends - starts
    length = way.square().sum(1).clamp_min(torch.finfo(way.dtype).tiny)
    return (((points - starts) * way).sum(1) / length).clamp(0, 1)
