"""The chamfer distance between two drawings of strokes: how far a line of one is from the other, on average."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from sketchloss.strokes.batch import StrokeBatch

#: Points on a stroke lie at most so far apart, in pixels.
SPACING = 0.5


def chamfer_distance(ours: Float[Tensor, "n 2"], theirs: Float[Tensor, "m 2"]) -> float:
    """Return the symmetric chamfer distance of two sets of points: the mean of both ways' mean nearest distances.

    Args:
        ours: in pixels.
        theirs: in pixels.

    Returns:
        In pixels; infinity if one set is empty and the other not, 0 if both are.
    """
    if not len(ours) and not len(theirs):
        return 0.0
    return (mean_distance(ours, theirs) + mean_distance(theirs, ours)) / 2


def mean_distance(points: Float[Tensor, "n 2"], others: Float[Tensor, "m 2"]) -> float:
    """Return one way of the chamfer distance: how far points lie from the nearest of others, on average.

    Args:
        points: in pixels.
        others: in pixels.

    Returns:
        In pixels; infinity if either set is empty.
    """
    if not len(points) or not len(others):
        return float("inf")
    # note: the fast way by matrix products is wrong by a hundredth of a pixel
    far = torch.cdist(points.double(), others.double(), compute_mode="donot_use_mm_for_euclid_dist")
    return float(far.amin(1).mean())


def points_along(
    strokes: StrokeBatch, shown: Bool[Tensor, " strokes"] | None = None
) -> list[Float[Tensor, "points 2"]]:
    """Return points along the strokes of each drawing, evenly on each segment and at most `SPACING` pixels apart.

    Args:
        strokes: n drawings.
        shown: strokes to take; None: all, whatever their widths.

    Returns:
        A tensor for each drawing, without gradient.
    """
    with torch.no_grad():
        start, end = strokes.segments()
        if shown is not None:
            taken = shown[strokes.stroke_of[start]]
            start, end = start[taken], end[taken]
        starts, ends = strokes.points[start], strokes.points[end]
        counts = (torch.linalg.vector_norm(ends - starts, dim=1) / SPACING).ceil().long().clamp_min(1)
        index = torch.arange(len(start), device=start.device).repeat_interleave(counts)
        place = torch.arange(len(index), device=start.device) - (counts.cumsum(0) - counts)[index]
        along = (place + 0.5) / counts[index]
        points = torch.lerp(starts[index], ends[index], along[:, None].to(starts.dtype))
        sizes = strokes.drawing_of[strokes.stroke_of[start[index]]].bincount(minlength=strokes.drawings)
        return list(points.split(sizes.tolist()))
