"""A distance of drawings by their ink: features relative to blank paper, seen through windows of several widths.

Ours; the paper (Seo 2025) has the mean absolute difference of features, `metric="l1"`. That one is fooled by blank
paper: few features of a line drawing differ from those of white paper, so that leaving everything out costs less than
drawing something a little elsewhere. Three things mend it, at each tap:

1. *Relative to paper.* `a = f(pred) - f(blank)` and `b = f(target) - f(blank)`: blank paper is the zero, and only ink
   counts. White margins add nothing, but for what convolutions make of a page's edge.
2. *A share, not an amount.* With the inner products over all windows and channels,

       A = |a|² + k (|a|² + |b|²),   B = |b|² + k (|a|² + |b|²),   d = 1 - (1 + 2k) <a, b> / sqrt(A B).

   d is 0 for the same drawing, and near 1 for drawings that have no ink in the same windows, and against blank paper.
   The weights' scale is without effect. k says how much darkness counts. k = 0 would be 1 - cosine, which does not notice
   a drawing as it fades, and has no gradient at blank paper; great k give |a - b|² / (|a|² + |b|²).
3. *Windows.* Features are seen through Gaussian windows whose width is a share of the drawing's own spread (the root
   mean square distance of its ink from its middle), and d is the mean over five widths. A stroke that is drawn beside
   its place is so pulled there from afar, and pictures of all sizes, with or without a margin, are measured alike.

A floor is added to every |a|² and |b|²: the energy of a dot a quarter as dark. It keeps two blank pages alike, and a
faint speck from counting as a drawing.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

#: How much darkness counts, k of the formula: lines at half their darkness then lie 0.02 away, at a tenth 0.41.
DARKNESS = 0.02
#: Standard deviations of the windows, as shares of the drawing's spread.
WINDOWS = (0.0625, 0.125, 0.25, 0.5, 1.0)
#: Windows lie one standard deviation apart, up to so many spreads from the drawing's middle.
REACH = 3.0
#: No window is narrower than this many positions.
NARROWEST = 0.5
#: The energy of a point seen through the windows of one axis, as a share of the point's: that of a Gaussian.
_POINT = 1 / (2 * math.sqrt(math.pi))
#: Of the floor, where a tap does not react to a dot at all.
_LEAST = 1e-12


@dataclass(frozen=True)
class Floor:
    """How much of a tap's energy counts as nothing, for pictures of 64 pixels."""

    places: float
    """Of features at their positions."""
    windows: float
    """Of features seen through windows."""

    @classmethod
    def of(cls, dot: Float[Tensor, "1 c h w"]) -> "Floor":
        """Measure the floor: the energy of a dot a quarter as dark.

        Args:
            dot: features of a dot relative to those of blank paper.
        """
        point = dot.sum((2, 3)).square().sum().item() * _POINT**2
        return cls(max(dot.square().sum().item() / 16, _LEAST), max(point / 16, _LEAST))

    def times(self, factor: float) -> "Floor":
        """Return the floor for pictures whose side is so many times 64 pixels."""
        return Floor(self.places * factor, self.windows * factor)


def ink_distance(
    pred: Float[Tensor, "n c h w"],
    target: Float[Tensor, "n c h w"],
    blank: Float[Tensor, "1 c h w"],
    *,
    floor: Floor,
    darkness: float = DARKNESS,
    weight: Float[Tensor, "n 1 h w"] | None = None,
) -> Float[Tensor, " n"]:
    """Return the distance between the features of each drawing, in float32 (or float64 of float64).

    It is 0 for features that agree, about 1 for drawings that have nothing in common, and at most 2, for features that
    are each other's opposite relative to paper. It is symmetric, and may be differentiated any number of times, also
    where both are equal or one is blank.

    Args:
        pred: features of any float dtype; the gradient flows here.
        target: features of the same shape.
        blank: features of a white page of the same size.
        floor: for pictures of this size.
        darkness: k of the formula, above 0.
        weight: weight of each position, in [0, 1]; None: all alike.
    """
    levels = _levels(pred, target, blank, floor, weight)
    return torch.stack([level.distance(darkness) for level in levels]).mean(0)


def ink_map(
    pred: Float[Tensor, "n c h w"],
    target: Float[Tensor, "n c h w"],
    blank: Float[Tensor, "1 c h w"],
    *,
    floor: Floor,
    darkness: float = DARKNESS,
) -> Float[Tensor, "n 1 h w"]:
    """Return where two drawings differ: each window's part of `ink_distance` at the positions that it sees.

    Its mean over positions is the distance. Arguments as there.
    """
    maps = []
    for level in _levels(pred, target, blank, floor, None):
        seen = level.spread_out((level.ours - level.theirs).square().sum(1))
        share = seen / seen.mean((1, 2), keepdim=True).clamp_min(_LEAST)
        maps.append(share * level.distance(darkness)[:, None, None])
    return torch.stack(maps).mean(0)[:, None]


# ---------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Level:
    """Two drawings seen through windows of one width."""

    ours: Float[Tensor, "n c g k"]
    theirs: Float[Tensor, "n c g k"]
    floor: float
    down: Float[Tensor, "n g h"]
    """The windows, down the page."""
    across: Float[Tensor, "n k w"]
    """The windows, across the page."""

    def distance(self, darkness: float) -> Float[Tensor, " n"]:
        a, b = (features.square().sum((1, 2, 3)) + self.floor for features in (self.ours, self.theirs))
        gap = (self.ours - self.theirs).square().sum((1, 2, 3))
        root_a, root_b = (torch.sqrt(energy + darkness * (a + b)) for energy in (a, b))
        # 1 - (1 + 2k) <a, b> / sqrt(A B), written with a - b: without cancellation where the drawings are nearly alike.
        return ((1 + 2 * darkness) * gap - ((a - b) / (root_a + root_b)).square()) / (2 * root_a * root_b)

    def spread_out(self, seen: Float[Tensor, "n g k"]) -> Float[Tensor, "n h w"]:
        return self.down.mT @ seen @ self.across


def _levels(pred: Tensor, target: Tensor, blank: Tensor, floor: Floor, weight: Tensor | None) -> Sequence[_Level]:
    # note: not in autocast's dtype, which holds three digits
    with torch.autocast(pred.device.type, enabled=False):
        wide = torch.promote_types(pred.dtype, torch.float32)
        ours, theirs = (features.to(wide) - blank.to(wide) for features in (pred, target))
        if weight is not None:
            ours, theirs = ours * weight.to(wide), theirs * weight.to(wide)
        down, across = _places(ours, theirs, floor)
        levels = []
        for width in WINDOWS:
            rows, columns = (_gaussians(*axis, width) for axis in (down, across))
            seen = _look(ours, rows, columns), _look(theirs, rows, columns)
            levels.append(_Level(*seen, floor.windows, rows, columns))
        return levels


def _places(
    ours: Float[Tensor, "n c h w"], theirs: Float[Tensor, "n c h w"], floor: Floor
) -> tuple[tuple[Tensor, Tensor, Tensor], tuple[Tensor, Tensor, Tensor]]:
    """Return, down and across the page, the positions, the middle (n,) of both drawings' ink, and its spread (n,)."""
    energy = ours.square().sum(1) + theirs.square().sum(1)
    energy = energy + floor.places / energy[0].numel()  # of two blank pages: the page's own middle and spread
    profiles = energy.sum(2), energy.sum(1)
    total = profiles[0].sum(1)
    found = []
    for profile in profiles:
        positions = torch.arange(profile.shape[1], device=profile.device, dtype=profile.dtype)
        middle = (profile * positions).sum(1) / total
        found.append((positions, middle, (profile * (positions - middle[:, None]).square()).sum(1) / total))
    spread = torch.sqrt((found[0][2] + found[1][2]) / 2 + _LEAST)
    down, across = ((positions, middle, spread) for positions, middle, _ in found)
    return down, across


def _gaussians(
    positions: Float[Tensor, " h"], middle: Float[Tensor, " n"], spread: Float[Tensor, " n"], width: float
) -> Float[Tensor, "n g h"]:
    """Return Gaussian windows one standard deviation apart, scaled to add up to 1 at each position.

    The outermost windows so see all that lies beyond them: no ink on the page is without effect.
    """
    deviation = (width * spread).clamp_min(NARROWEST)[:, None, None]
    count = round(REACH / width)
    steps = torch.arange(-count, count + 1, device=positions.device, dtype=positions.dtype)[:, None]
    away = (positions - middle[:, None, None]) / deviation - steps
    return torch.softmax(-away.square() / 2, dim=1)


def _look(
    features: Float[Tensor, "n c h w"], rows: Float[Tensor, "n g h"], columns: Float[Tensor, "n k w"]
) -> Float[Tensor, "n c g k"]:
    n, c, h, w = features.shape
    # note: channels last, so that the larger product runs over contiguous memory
    seen = torch.bmm(rows, features.permute(0, 2, 3, 1).reshape(n, h, w * c))
    return torch.matmul(columns[:, None], seen.reshape(n, -1, w, c)).permute(0, 3, 1, 2)
