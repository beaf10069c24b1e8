"""The strokes of many drawings as tensors: what is rendered, and what gradients flow to."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor


@dataclass(frozen=True, eq=False)
class StrokeBatch:
    """Polylines of several drawings, one after another, without padding.

    A stroke is a polyline through its control points, with round joints and ends. Polylines and not curves: the
    distance to a segment has a closed form, corners stay corners, and a curve is a polyline through samples of it. SVG
    takes the points as they are (`polyline`), or smoothed (a Catmull-Rom curve through them is cubic Béziers).

    Strokes have as many points as they need: drawings are never padded, so no point exists without being drawn.
    """

    points: Float[Tensor, "points 2"]
    """Points of all strokes, (x, y) in pixels, x to the right and y down; the first pixel's centre is (0.5, 0.5)."""
    widths: Float[Tensor, " strokes"]
    """Line width of each stroke in pixels, 0 (nothing is drawn) or more."""
    stroke_of: Int[Tensor, " points"]
    """Stroke that each point belongs to: 0, 0, 0, 1, 1, ... A stroke of a single point is a dot."""
    drawing_of: Int[Tensor, " strokes"]
    """Drawing that each stroke belongs to: 0, 0, 1, ..."""
    drawings: int
    """Number of drawings, those without strokes included."""
    opacities: Float[Tensor, " strokes"] | None = None
    """Opacity of each stroke, from 0 (nothing is drawn) to 1; None: all 1."""

    def __post_init__(self) -> None:
        """Check that everything fits together."""
        strokes = len(self.widths)
        if self.points.ndim != 2 or self.points.shape[1] != 2 or not self.points.is_floating_point():
            raise ValueError(
                f"points are {self.points.dtype} of shape {tuple(self.points.shape)}: give floats, (points, 2)"
            )
        for name, tensor, shape in (
            ("widths", self.widths, (strokes,)),
            ("stroke_of", self.stroke_of, (len(self.points),)),
            ("drawing_of", self.drawing_of, (strokes,)),
            ("opacities", self.widths if self.opacities is None else self.opacities, (strokes,)),
        ):
            if tuple(tensor.shape) != shape:
                raise ValueError(f"{name} is of shape {tuple(tensor.shape)}: give {shape}, one for each")
        _check_values("points", self.points, -float("inf"), float("inf"))
        _check_values("widths", self.widths, 0.0, float("inf"))
        if self.opacities is not None:
            _check_values("opacities", self.opacities, 0.0, 1.0)
        for name, owners, count in (
            ("stroke_of", self.stroke_of, strokes),
            ("drawing_of", self.drawing_of, self.drawings),
        ):
            if len(owners) and (bool((owners.diff() < 0).any()) or int(owners[0]) < 0 or int(owners[-1]) >= count):
                raise ValueError(f"{name} must rise from 0 to below {count}: give the strokes of one drawing together")

    @classmethod
    def of(
        cls,
        drawings: Sequence[Sequence[np.ndarray]],
        widths: Sequence[float],
        dtype: torch.dtype = torch.float32,
    ) -> "StrokeBatch":
        """Put drawings together.

        Args:
            drawings: strokes of each drawing, each (points, 2) in pixels, with at least one point.
            widths: line width of each drawing in pixels, above 0.
            dtype: number type of points and widths.

        Raises:
            ValueError: for other shapes, a width that is not above 0, a point that is not finite.
        """
        if len(widths) != len(drawings):
            raise ValueError(f"{len(drawings)} drawings and {len(widths)} widths: give one for each drawing")
        for width in widths:
            if not 0 < width < float("inf"):
                raise ValueError(f"a line width is {width}: it must be above 0 pixels")
        strokes = [np.asarray(stroke) for stroke in chain.from_iterable(drawings)]
        for stroke in strokes:
            if stroke.ndim != 2 or stroke.shape[1] != 2 or not len(stroke):
                raise ValueError(f"a stroke is of shape {stroke.shape}: give (points, 2) with at least one point")
        counts = torch.tensor([len(drawing) for drawing in drawings], dtype=torch.long)
        drawing_of = torch.arange(len(drawings)).repeat_interleave(counts)
        lengths = torch.tensor([len(stroke) for stroke in strokes], dtype=torch.long)
        points = np.concatenate(strokes) if strokes else np.empty((0, 2))
        return cls(
            points=torch.from_numpy(points).to(dtype),
            widths=torch.tensor(widths, dtype=dtype)[drawing_of],
            stroke_of=torch.arange(len(strokes)).repeat_interleave(lengths),
            drawing_of=drawing_of,
            drawings=len(drawings),
        )

    def moved(self, points: Tensor, widths: Tensor | None = None) -> "StrokeBatch":
        """Return the same strokes with other points, and other widths where given."""
        return replace(self, points=points, widths=self.widths if widths is None else widths)

    def segments(self) -> tuple[Int[Tensor, " segments"], Int[Tensor, " segments"]]:
        """Return the indices of the points where each segment starts and ends; a dot is a segment of its one point."""
        index = torch.arange(len(self.points), device=self.points.device)
        same = self.stroke_of[:-1] == self.stroke_of[1:]
        lone = self.stroke_of.bincount(minlength=len(self.widths))[self.stroke_of] == 1
        starts = torch.cat([index[:-1][same], index[lone]])
        ends = torch.cat([index[1:][same], index[lone]])
        order = starts.argsort()
        return starts[order], ends[order]


def _check_values(name: str, values: Tensor, low: float, high: float) -> None:
    wrong = ~(values.isfinite() & (values >= low) & (values <= high))
    if wrong.any():
        where = int(wrong.reshape(len(values), -1).any(1).nonzero()[0])
        wanted = (
            "finite" if low == -float("inf") else f"{low:g} or more" if high == float("inf") else f"{low:g} to {high:g}"
        )
        raise ValueError(f"{name}[{where}] is {values[where].tolist()}: every value must be {wanted}")
