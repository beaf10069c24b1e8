"""Pairs of pictures: how far apart they are, and where they differ."""

import math
from collections.abc import Iterable, Sequence
from copy import copy
from dataclasses import dataclass, field

import torch
from PIL import Image
from torch import Tensor

from sketchloss.compare.pairing import Pair
from sketchloss.figures.difference import Caption, draw_difference
from sketchloss.loss.loss import SketchLoss
from sketchloss.metrics.ink_amount import ink_amount, nearly_blank
from sketchloss.metrics.plain_distance import PlainDistance
from sketchloss.system.images import fit_square, to_tensor
from sketchloss.system.visible_ink import open_visible

# Pixels evaluated at once: 16 pairs at 256, so that large pictures need no more memory than small ones.
BATCH_PIXELS = 16 * 256**2


@dataclass(frozen=True)
class PairDistance:
    """Distance between the two pictures of a pair."""

    pair: Pair
    total: float
    """Weighted mean of the distances over the layers."""
    per_tap: dict[str, float]
    """Layer name -> distance at that layer."""
    words: str = ""
    """Warning about an odd page, as `nearly_blank` gives it; empty if there is none."""
    others: dict[str, float] = field(default_factory=dict)
    """Name of another distance -> its value."""


@dataclass(frozen=True)
class LeftOut:
    """A pair that could not be compared."""

    pair: Pair
    reason: str
    """One line with the file and how to fix it."""


def measure(
    loss: SketchLoss,
    pairs: Iterable[Pair],
    *,
    size: int = 256,
    invert: bool = False,
    others: Sequence[PlainDistance] = (),
) -> tuple[list[PairDistance], list[LeftOut]]:
    """Measure pairs of pictures, several at a time.

    Args:
        loss: its content term is what is measured; on any device.
        pairs: which pictures.
        size: side in pixels of the square that both are fitted into; 0 keeps them as they are.
        invert: whether they are light on dark.
        others: other distances to measure of the same fitted pictures.

    Returns:
        The distances in the order of the pairs, and the pairs left out.

    Raises:
        ValueError: if `size` is too small for the loss, the loss wants another range than [0, 1], a distance is not
            finite, or one of the others fails.
    """
    if loss.value_range != (0, 1):
        raise ValueError(f"the loss's value_range is {loss.value_range}: it must be (0, 1), that of pictures here")
    if 0 < size < loss.minimum_size:
        raise ValueError(f"size is {size}: {'/'.join(loss.layers)} need at least {loss.minimum_size} pixels")
    distances: list[PairDistance] = []
    left_out: list[LeftOut] = []
    waiting: list[tuple[Pair, Tensor, Tensor, str]] = []
    for pair in pairs:
        try:
            drawings = _read(pair, invert)
            a, b = (to_tensor(picture) for picture in _fit(drawings, pair, size, loss.minimum_size))
        except ValueError as error:
            left_out.append(LeftOut(pair, str(error)))
            continue
        if waiting and (waiting[0][1].shape != a.shape or (len(waiting) + 1) * a[0].numel() > BATCH_PIXELS):
            distances += _measure_batch(loss, waiting, others)
            waiting = []
        waiting.append((pair, a, b, nearly_blank(*map(ink_amount, drawings))))
    if waiting:
        distances += _measure_batch(loss, waiting, others)
    return distances, left_out


@torch.no_grad()  # not inference mode: what a user's distance keeps of it could not be trained through later
def _measure_batch(
    loss: SketchLoss, batch: list[tuple[Pair, Tensor, Tensor, str]], others: Sequence[PlainDistance]
) -> list[PairDistance]:
    each = copy(loss)  # shares the backbone
    each.reduction, each.content_weight, each.style_weight = "none", 1.0, 0.0
    pairs, ours, theirs, words = zip(*batch, strict=True)
    device = loss.backbone.mean.device
    first, second = torch.stack(ours).to(device), torch.stack(theirs).to(device)
    per_tap = each.per_tap(first, second)["content"]
    found = [distance(first, second).tolist() for distance in others]
    rows = torch.stack([per_tap[name] for name in loss.layers], dim=1).tolist()
    weights = [weight / sum(loss.layers.values()) for weight in loss.layers.values()]
    distances = []
    for place, (pair, row, odd) in enumerate(zip(pairs, rows, words, strict=True)):
        total = sum(weight * value for weight, value in zip(weights, row, strict=True))
        if not math.isfinite(total):
            raise ValueError(
                f"the distance of {pair.a} and {pair.b} is {total}: are these weights from a diverged run?"
            )
        beside = {distance.name: values[place] for distance, values in zip(others, found, strict=True)}
        distances.append(PairDistance(pair, total, dict(zip(loss.layers, row, strict=True)), odd, beside))
    return distances


def picture_differences(
    loss: SketchLoss, distances: Sequence[PairDistance], *, size: int = 256, invert: bool = False, weights: str = ""
) -> list[Image.Image]:
    """Draw where the pictures of each pair differ, all with one colour scale.

    Args:
        loss: as for `measure`.
        distances: what `measure` returned.
        size: as for `measure`.
        invert: as for `measure`.
        weights: the name of the loss's weights, for the caption.

    Returns:
        A picture for each, as `draw_difference` makes them.
    """
    drawings = [_read(distance.pair, invert) for distance in distances]
    heats = []
    for distance, pair in zip(distances, drawings, strict=True):
        a, b = (to_tensor(picture)[None] for picture in _fit(pair, distance.pair, size, loss.minimum_size))
        device = loss.backbone.mean.device
        with torch.inference_mode():
            heats.append(loss.map(a.to(device), b.to(device))[0, 0].cpu().numpy())
    greatest = max((float(heat.max()) for heat in heats), default=0.0)
    measured = f"{weights} weights, {'/'.join(loss.layers)}".removeprefix(" weights, ")
    return [
        draw_difference(
            *pair,
            heat,
            caption=Caption(
                distance.pair.a.name,
                distance.pair.b.name,
                f"{loss.metric} distance {distance.total:#.4g} ({measured})",
                f"{loss.metric} distance at each pixel",
            ),
            greatest=greatest,
        )
        for distance, pair, heat in zip(distances, drawings, heats, strict=True)
    ]


def _read(pair: Pair, invert: bool) -> tuple[Image.Image, Image.Image]:
    # Turned here and not in the loss: the paper that `fit_square` puts around a drawing is white.
    return open_visible(pair.a, invert=invert), open_visible(pair.b, invert=invert)


def _fit(
    pictures: tuple[Image.Image, Image.Image], pair: Pair, size: int, minimum: int
) -> tuple[Image.Image, Image.Image]:
    a, b = pictures
    if size:
        return fit_square(a, size), fit_square(b, size)
    found = [f"{path} is {width}x{height}" for path, (width, height) in ((pair.a, a.size), (pair.b, b.size))]
    if a.size != b.size:
        raise ValueError(f"{' and '.join(found)} pixels: name a size to fit both into, such as --size 256")
    if min(a.size) < minimum:
        raise ValueError(f"{found[0]} pixels: the loss needs {minimum}x{minimum}; name a size to enlarge it to")
    return a, b
