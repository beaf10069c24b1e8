"""A distance of drawings by their ink: features relative to blank paper, seen through windows of several widths.

This distance is ours; the paper (Seo 2025) has the mean absolute difference of features, `metric="l1"`. Blank paper
fools that one: few features of a line drawing differ from those of white paper, so leaving everything out costs less
than drawing something a little elsewhere. Three things fix this, at each tap:

1. *Relative to paper.* `a = f(pred) - f(blank)` and `b = f(target) - f(blank)`: blank paper is the zero, and only ink
   counts. White margins add nothing, except what convolutions make of a page's edge.
2. *A share, not an amount.* With the inner products over all windows and channels,

       A = |a|² + k (|a|² + |b|²),   B = |b|² + k (|a|² + |b|²),   d = 1 - (1 + 2k) <a, b> / sqrt(A B).

   d is 0 for the same drawing, and near 1 for drawings that have no ink in the same windows, and against blank paper.
   The scale of the weights has no effect. k says how much darkness counts. k = 0 would be 1 - cosine, which does not
   notice a drawing as it fades, and has no gradient at blank paper; great k give |a - b|² / (|a|² + |b|²).
3. *Windows.* Features are seen through Gaussian windows whose width is a share of the drawing's own spread (the root
   mean square distance of its ink from its middle), and d is the mean over four widths. So a stroke that is drawn in
   the wrong place is pulled there from afar, and pictures of all sizes, with or without a margin, are measured alike.

A floor is added to every |a|² and |b|²: the energy of a dot a quarter as dark. It keeps two blank pages alike, and a
faint speck from counting as a drawing. It grows with the side of the picture, or under a mask of what counts.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

#: How much darkness counts, k of the formula: lines at half their darkness then lie 0.02 away, at a tenth 0.41.
DARKNESS = 0.02
#: Standard deviations of the windows, as shares of the drawing's spread.
WINDOWS = (0.125, 0.25, 0.5, 1.0)
#: Windows, one standard deviation apart, lie up to so many spreads from the drawing's middle, and so many more.
REACH, MORE = 3.0, 2
#: No window is narrower than this many positions.
NARROWEST = 0.5
#: Positions along an axis that suffice for the narrowest windows: of more, neighbours are added up first.
POSITIONS = 64
#: The energy of a point seen through the windows of one axis, as a share of the point's: that of a Gaussian.
_POINT = 1 / (2 * math.sqrt(math.pi))
#: Of the floor, where a tap does not react to a dot at all.
_LEAST = 1e-12
#: Of the factor on the floor, where nothing counts.
_LEAST_PART = 1e-6


@dataclass(frozen=True)
class Floor:
    """Energy of a tap that counts as nothing: one value for all pictures, or one for each of n under its mask."""

    places: float | Float[Tensor, " n"]
    """Floor for features at their positions."""
    windows: float | Float[Tensor, " n"]
    """Floor for features seen through windows."""

    @classmethod
    def of(cls, dot: Float[Tensor, "1 c h w"]) -> "Floor":
        """Measure the floor for pictures of 64 pixels: the energy of a dot a quarter as dark.

        Args:
            dot: features of a dot relative to those of blank paper.
        """
        point = dot.sum((2, 3)).square().sum().item() * _POINT**2
        return cls(max(dot.square().sum().item() / 16, _LEAST), max(point / 16, _LEAST))

    def times(self, factor: float | Float[Tensor, " n"]) -> "Floor":
        """Return the floor for pictures whose side is so many times 64 pixels."""
        return Floor(self.places * factor, self.windows * factor)

    def under(self, weight: Float[Tensor, "n 1 h w"]) -> "Floor":
        """Return the floor of what counts: a part of a picture is measured as a picture of that size would be.

        Args:
            weight: weight of each position, in [0, 1].
        """
        # Energy goes by the square of a weight, and the floor by the side, the root of the area.
        return self.times(weight.square().square().mean((1, 2, 3)).sqrt().clamp_min(_LEAST_PART))


def ink_distance(
    pred: Float[Tensor, "n c h w"],
    target: Float[Tensor, "n c h w"],
    blank: Float[Tensor, "1 c h w"],
    *,
    floor: Floor,
    darkness: float = DARKNESS,
    windows: Sequence[float] = WINDOWS,
    weight: Float[Tensor, "n 1 h w"] | None = None,
) -> Float[Tensor, " n"]:
    """Return the distance between the features of each drawing, in float32 (float64 for float64 features).

    It is 0 for features that agree, about 1 for drawings that have nothing in common, and at most 2, for features that
    are each other's opposite relative to paper. It is symmetric, and may be differentiated any number of times, also
    where both are equal or one is blank.

    Args:
        pred: features of any float dtype; the gradient flows here.
        target: features of the same shape.
        blank: features of a white page of the same size.
        floor: floor for pictures of this size.
        darkness: k of the formula, above 0.
        windows: standard deviations of the windows, as shares of the drawing's spread.
        weight: weight of each position, in [0, 1]; None: all alike.
    """
    side = joins(*pred.shape[-2:])
    # What came in half precision has lost more than what follows does, which takes as long as the network.
    dtype = torch.bfloat16 if pred.dtype == torch.bfloat16 else None
    ours, theirs = (relative_ink(features, blank, weight=weight, side=side, dtype=dtype) for features in (pred, target))
    floor = floor if weight is None else floor.under(weight.to(torch.promote_types(pred.dtype, torch.float32)))
    if pred.dtype == torch.float16:  # of a smaller range
        ours, theirs = ours.bfloat16(), theirs.bfloat16()
    return relative_distance(ours, theirs, floor=floor, darkness=darkness, windows=windows)


def relative_ink(
    features: Float[Tensor, "n c h w"],
    blank: Float[Tensor, "1 c h w"],
    *,
    weight: Float[Tensor, "n 1 h w"] | None = None,
    side: int = 1,
    dtype: torch.dtype | None = None,
) -> Float[Tensor, "n c g k"]:
    """Return features relative to those of a white page, the first half of `ink_distance`.

    Args:
        features: any float dtype.
        blank: features of a white page of the same size.
        weight: weight of each position, in [0, 1]; None: all alike.
        side: so many by so many positions are added up; see `joins`.
        dtype: dtype of the result; None: float32, or float64 of float64.
    """
    dtype = dtype or torch.promote_types(features.dtype, torch.float32)
    relative = features.to(dtype) - blank.to(dtype)
    if weight is not None:
        relative = relative * weight.to(dtype)
    if side == 1:
        return relative
    height, width = relative.shape[-2:]
    padded = F.pad(relative, (0, -width % side, 0, -height % side))  # beyond the page there is no ink
    return F.avg_pool2d(padded, side, divisor_override=1)


def joins(height: int, width: int) -> int:
    """Return how many neighbouring positions are added up, along each axis: a power of two.

    As many as leave `POSITIONS` along the longer axis, where the narrowest windows are still wider than a position.
    """
    return 2 ** max(0, math.floor(math.log2(max(height, width) / POSITIONS)))


def relative_distance(
    ours: Float[Tensor, "n c h w"],
    theirs: Float[Tensor, "n c h w"],
    *,
    floor: Floor,
    darkness: float = DARKNESS,
    windows: Sequence[float] = WINDOWS,
) -> Float[Tensor, " n"]:
    """Return the distance between what `relative_ink` made of two drawings, in float32 (or float64).

    Products of features and windows have the features' dtype; all sums over them are float32 or wider.

    Args:
        ours: first drawing.
        theirs: second drawing.
        floor: as for `ink_distance`.
        darkness: as for `ink_distance`.
        windows: as for `ink_distance`.
    """
    with _exactly(ours):
        ours, theirs = _channels_last(ours), _channels_last(theirs)
        down, across = _places(ours, theirs, floor)
        # Of a - b, which is seen as it is: without cancellation where the drawings are nearly alike.
        gap = ours - theirs
        energies = (_energies(gap, theirs, down, across, width) for width in windows)
        return torch.stack([_share(*of_width, floor.windows, darkness) for of_width in energies]).mean(0)


def ink_distance_and_map(
    pred: Float[Tensor, "n c h w"],
    target: Float[Tensor, "n c h w"],
    blank: Float[Tensor, "1 c h w"],
    *,
    floor: Floor,
    darkness: float = DARKNESS,
) -> tuple[Float[Tensor, " n"], Float[Tensor, "n 1 h w"]]:
    """Return `ink_distance` and where two drawings differ: each window's part of it at the positions that it sees.

    The map's mean over positions is the distance. Arguments as there; all is float32 (float64 for float64 features).
    """
    side = joins(*pred.shape[-2:])
    ours, theirs = (relative_ink(features, blank, side=side) for features in (pred, target))
    with _exactly(pred):
        ours, theirs = _channels_last(ours), _channels_last(theirs)
        down, across = _places(ours, theirs, floor)
        gap, distances, maps = ours - theirs, [], []
        for width in WINDOWS:
            rows, columns = _gaussians(down, width), _gaussians(across, width)
            seen = _look(gap, rows, columns)
            place = rows.mT @ seen.square().sum(3) @ columns
            distance = _share(*_energies(gap, theirs, down, across, width, seen), floor.windows, darkness)
            maps.append(place * (distance / place.mean((1, 2)).clamp_min(_LEAST))[:, None, None])
            distances.append(distance)
        joined = torch.stack(maps).mean(0)[:, None]
    height, width = pred.shape[-2:]
    where = joined.repeat_interleave(side, 2).repeat_interleave(side, 3)[..., :height, :width]
    return torch.stack(distances).mean(0), where


def through_windows(
    ours: Float[Tensor, "n c h w"], theirs: Float[Tensor, "n c h w"], floor: Floor, windows: Sequence[float] = WINDOWS
) -> Iterator[tuple[Float[Tensor, "n c g k"], Float[Tensor, "n c g k"]]]:
    """Yield, for each width, what the windows see of two drawings that are relative to paper, for other formulas."""
    ours, theirs = _channels_last(ours), _channels_last(theirs)
    down, across = _places(ours, theirs, floor)
    for width in windows:
        rows, columns = _gaussians(down, width), _gaussians(across, width)
        one, other = (_look(features, rows, columns).permute(0, 3, 1, 2) for features in (ours, theirs))
        yield one, other


# ---------------------------------------------------------------------------------------------------------------------


def _exactly(features: Tensor) -> AbstractContextManager[object]:
    # note: not in autocast's dtype, which holds three digits; and without values there is no autocast
    on_meta = features.device.type == "meta"
    return nullcontext() if on_meta else torch.autocast(features.device.type, enabled=False)


class _Axis(NamedTuple):
    """Where the ink of both drawings lies along one axis of the page."""

    positions: Float[Tensor, " h"]
    middle: Float[Tensor, " n"]
    spread: Float[Tensor, " n"]
    """Spread of the ink along both axes together."""


def _share(
    a: Float[Tensor, " n"],
    b: Float[Tensor, " n"],
    gap: Float[Tensor, " n"],
    floor: float | Float[Tensor, " n"],
    darkness: float,
) -> Float[Tensor, " n"]:
    """Return 1 - (1 + 2k) <a, b> / sqrt(A B), from |a|², |b|² and |a - b|²."""
    a, b = a + floor, b + floor
    root_a, root_b = (torch.sqrt(energy + darkness * (a + b)) for energy in (a, b))
    # Written with a - b: without cancellation where the drawings are nearly alike.
    return ((1 + 2 * darkness) * gap - ((a - b) / (root_a + root_b)).square()) / (2 * root_a * root_b)


def _energies(
    gap: Float[Tensor, "n h w c"],
    theirs: Float[Tensor, "n h w c"],
    down: _Axis,
    across: _Axis,
    width: float,
    seen_gap: Float[Tensor, "n g k c"] | None = None,
) -> tuple[Float[Tensor, " n"], Float[Tensor, " n"], Float[Tensor, " n"]]:
    """Return |a|², |b|² and |a - b|² of b and a - b, seen through windows of one width.

    `seen_gap` is what they see of a - b, if that is known already.
    """
    if (2 * _count(width) + 1) ** 2 < gap[0, ..., 0].numel():
        rows, columns = _gaussians(down, width), _gaussians(across, width)
        seen = _look(theirs, rows, columns)
        seen_gap = _look(gap, rows, columns) if seen_gap is None else seen_gap
        b, c = seen, seen_gap
    else:  # fewer positions than windows: two positions share windows by how near they are to each other
        rows, columns = _nearness(down, width), _nearness(across, width)
        seen, seen_gap = _look(theirs, rows, columns), _look(gap, rows, columns)
        b, c = theirs, gap
    energy, between, difference = _inner(b, seen), _inner(c, seen), _inner(c, seen_gap)
    return energy + 2 * between + difference, energy, difference


def _channels_last(features: Float[Tensor, "n c h w"]) -> Float[Tensor, "n h w c"]:
    # note: windows then run over contiguous memory, and features that the network gave in this order are not copied
    return features.permute(0, 2, 3, 1).contiguous()


def _inner(one: Float[Tensor, "n h w c"], other: Float[Tensor, "n h w c"]) -> Float[Tensor, " n"]:
    return _wide((one * other).sum(3)).sum((1, 2))


def _wide(features: Tensor) -> Tensor:
    return features.to(torch.promote_types(features.dtype, torch.float32))


def _places(ours: Float[Tensor, "n h w c"], theirs: Float[Tensor, "n h w c"], floor: Floor) -> tuple[_Axis, _Axis]:
    """Describe where the ink of both drawings lies, down and across the page."""
    energy = _wide(ours.square().sum(3)) + _wide(theirs.square().sum(3))
    least = torch.as_tensor(floor.places, dtype=energy.dtype, device=energy.device).reshape(-1, 1, 1)
    energy = energy + least / energy[0].numel()  # of two blank pages: the page's own middle and spread
    profiles = energy.sum(2), energy.sum(1)
    total = profiles[0].sum(1)
    found = []
    for profile in profiles:
        positions = torch.arange(profile.shape[1], device=profile.device, dtype=profile.dtype)
        middle = (profile * positions).sum(1) / total
        found.append((positions, middle, (profile * (positions - middle[:, None]).square()).sum(1) / total))
    spread = torch.sqrt((found[0][2] + found[1][2]) / 2 + _LEAST)
    down, across = (_Axis(positions, middle, spread) for positions, middle, _ in found)
    return down, across


def _gaussians(axis: _Axis, width: float) -> Float[Tensor, "n g h"]:
    """Return Gaussian windows, scaled to add up to 1 at each position.

    They lie one standard deviation apart. The outermost see all that lies beyond them: no ink on the page is without
    effect.
    """
    deviation = (width * axis.spread).clamp_min(NARROWEST)[:, None, None]
    count = _count(width)
    steps = torch.arange(-count, count + 1, device=deviation.device, dtype=deviation.dtype)[:, None]
    away = (axis.positions - axis.middle[:, None, None]) / deviation - steps
    return torch.softmax(-away.square() / 2, dim=1)


def _count(width: float) -> int:
    """Return how many windows lie on either side of the middle."""
    return round(REACH / width) + MORE


def _nearness(axis: _Axis, width: float) -> Float[Tensor, "n h h"]:
    """Return the sum over all windows of what they see of one position times what they see of another."""
    deviation = (width * axis.spread).clamp_min(NARROWEST)[:, None, None]
    return _POINT * torch.exp(-((axis.positions - axis.positions[:, None]) / (2 * deviation)).square())


def _look(
    features: Float[Tensor, "n h w c"], rows: Float[Tensor, "n g h"], columns: Float[Tensor, "n k w"]
) -> Float[Tensor, "n g k c"]:
    """Return what windows see, in the features' dtype."""
    n, h, w, c = features.shape
    seen = torch.bmm(rows.to(features.dtype), features.reshape(n, h, w * c))
    return torch.matmul(columns.to(features.dtype)[:, None], seen.reshape(n, -1, w, c))
