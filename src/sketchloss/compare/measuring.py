"""Pairs of pictures: how far apart they are, and where they differ."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from copy import copy
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from threading import Lock
from typing import TypeAlias

import torch
from PIL import Image
from torch import Tensor

from sketchloss.compare.pairing import Pair
from sketchloss.figures.difference import Caption, draw_difference
from sketchloss.loss.loss import SketchLoss
from sketchloss.metrics.ink_amount import ink_amount, nearly_blank
from sketchloss.metrics.plain_distance import PlainDistance
from sketchloss.system.ahead import in_threads
from sketchloss.system.device import Precision, in_bfloat16
from sketchloss.system.images import fit_square, to_tensor
from sketchloss.system.visible_ink import open_visible

#: Pixels evaluated at once, on a CPU and on a GPU: 1 pair and 16 pairs at 256. Large pictures need no more memory than
#: small ones.
BATCH_PIXELS = (256**2, 16 * 256**2)
#: Largest side in pixels of pictures of which each core measures its own.
LARGEST_SHARED = 512


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


#: A pair, its pictures 3×h×w, and the words about an odd page.
_Fitted: TypeAlias = tuple[Pair, Tensor, Tensor, str]


def measure(
    loss: SketchLoss,
    pairs: Iterable[Pair],
    *,
    size: int = 256,
    invert: bool = False,
    others: Sequence[PlainDistance] = (),
    precision: Precision = "no",
    workers: int | None = None,
) -> tuple[list[PairDistance], list[LeftOut]]:
    """Measure pairs of pictures: `measure_each`, which has the same arguments and errors, as two lists.

    Returns:
        The distances in the order of the pairs, and the pairs left out.
    """
    distances: list[PairDistance] = []
    left_out: list[LeftOut] = []
    for found in measure_each(
        loss, pairs, size=size, invert=invert, others=others, precision=precision, workers=workers
    ):
        if isinstance(found, PairDistance):
            distances.append(found)
        else:
            left_out.append(found)
    return distances, left_out


def measure_each(
    loss: SketchLoss,
    pairs: Iterable[Pair],
    *,
    size: int = 256,
    invert: bool = False,
    others: Sequence[PlainDistance] = (),
    precision: Precision = "no",
    workers: int | None = None,
) -> Iterator[PairDistance | LeftOut]:
    """Measure pairs of pictures in threads, and yield what was found for each pair in the order of the pairs.

    Each thread decodes and measures a block of `pairs_at_once` pairs. Only a few blocks are under way, so that any
    number of pairs needs the same memory. A value does not depend on the number of threads, except on `workers=1`.

    Args:
        loss: its content term is what is measured; on any device.
        pairs: which pictures.
        size: side in pixels of the square that both are fitted into; 0 keeps them as they are.
        invert: whether they are light on dark.
        others: other distances to measure of the same fitted pictures, one call at a time.
        precision: `no`: float32; `bf16`: the network runs under autocast to bfloat16, which is quicker on CPUs and GPUs
            that have it, and less exact; on others it is float32.
        workers: threads that use one core each; 1: no threads, and each pair has all the cores that torch may use.
            None: one for each such core, 8 at most; on a GPU 2; no threads for pictures larger than 512 pixels or of
            their own size, which need much memory.

    Raises:
        ValueError: if `size` is too small for the loss, or the loss wants another range than [0, 1]; while measuring,
            if a distance is not finite, or one of the others fails.
    """
    if loss.value_range != (0, 1):
        raise ValueError(f"the loss's value_range is {loss.value_range}: it must be (0, 1), that of pictures here")
    if 0 < size < loss.minimum_size:
        raise ValueError(f"size is {size}: {'/'.join(loss.layers)} need at least {loss.minimum_size} pixels")
    if workers is not None and workers < 1:
        raise ValueError(f"workers is {workers}: it must be at least 1")
    kind = loss.backbone.mean.device.type
    if workers is None:
        few = 2 if kind == "cuda" else min(8, torch.get_num_threads())
        workers = few if 0 < size <= LARGEST_SHARED else 1
    alone = Lock()

    def measure_block(block: Sequence[Pair]) -> list[PairDistance | LeftOut]:
        with in_bfloat16(kind, wanted=precision == "bf16"):
            return _measure_block(loss, block, size, invert, others, alone)

    return _in_blocks(measure_block, pairs, pairs_at_once(size, kind), workers)


def pairs_at_once(size: int, device_type: str) -> int:
    """Return how many pairs of pictures of a size are measured together, of any number of pairs.

    Blocks begin at the same pairs however often the work is stopped, and so the last digits stay.

    Args:
        size: as for `measure_each`.
        device_type: of the loss, such as `cpu`.
    """
    if size == 0:
        return 16
    return min(64, max(1, BATCH_PIXELS[device_type == "cuda"] // size**2))


def _in_blocks(
    measure_block: Callable[[Sequence[Pair]], list[PairDistance | LeftOut]],
    pairs: Iterable[Pair],
    at_once: int,
    workers: int,
) -> Iterator[PairDistance | LeftOut]:
    rest = iter(pairs)
    blocks = iter(lambda: list(islice(rest, at_once)), [])
    if workers == 1:
        for block in blocks:
            yield from measure_block(block)
        return
    # note: cores that share the work on one picture wait for each other at each layer; a picture for each core is
    # several times as quick where other programs run, too.
    threads = torch.get_num_threads()
    prepare = partial(torch.set_num_threads, 1)
    try:
        for found in in_threads(measure_block, blocks, workers=workers, ahead=2 * workers, prepare=prepare):
            yield from found
    finally:
        torch.set_num_threads(threads)  # also what threads that are started later begin with


def _measure_block(
    loss: SketchLoss,
    block: Sequence[Pair],
    size: int,
    invert: bool,
    others: Sequence[PlainDistance],
    alone: AbstractContextManager[object],
) -> list[PairDistance | LeftOut]:
    found: list[PairDistance | LeftOut] = []
    waiting: list[_Fitted] = []
    limit = BATCH_PIXELS[loss.backbone.mean.device.type == "cuda"]
    for pair in block:
        try:
            drawings = _read(pair, invert)
            a, b = (to_tensor(picture) for picture in _fit(drawings, pair, size, loss.minimum_size))
        except ValueError as error:
            found += _measure_batch(loss, waiting, others, alone)
            waiting = []
            found.append(LeftOut(pair, str(error)))
            continue
        if waiting and (waiting[0][1].shape != a.shape or (len(waiting) + 1) * a[0].numel() > limit):
            found += _measure_batch(loss, waiting, others, alone)
            waiting = []
        waiting.append((pair, a, b, nearly_blank(*map(ink_amount, drawings))))
    return found + _measure_batch(loss, waiting, others, alone)


@torch.no_grad()  # not inference mode: what a user's distance keeps of it could not be trained through later
def _measure_batch(
    loss: SketchLoss, batch: Sequence[_Fitted], others: Sequence[PlainDistance], alone: AbstractContextManager[object]
) -> list[PairDistance]:
    if not batch:
        return []
    each = copy(loss)  # shares the backbone
    each.reduction, each.content_weight, each.style_weight = "none", 1.0, 0.0
    pairs, ours, theirs, words = zip(*batch, strict=True)
    device = loss.backbone.mean.device
    first, second = torch.stack(ours).to(device), torch.stack(theirs).to(device)
    per_tap = each.per_tap(first, second)["content"]
    # A user's function may not be made for threads, nor is what catches its output. Its precision is its own.
    with alone, torch.autocast(device.type, enabled=False):
        beside = {distance.name: distance(first, second).tolist() for distance in others}
    rows = torch.stack([per_tap[name] for name in loss.layers], dim=1).tolist()
    weights = [weight / sum(loss.layers.values()) for weight in loss.layers.values()]
    distances = []
    for place, (pair, row, odd) in enumerate(zip(pairs, rows, words, strict=True)):
        total = sum(weight * value for weight, value in zip(weights, row, strict=True))
        if not math.isfinite(total):
            raise ValueError(
                f"the distance of {pair.a} and {pair.b} is {total}: are these weights from a diverged run?"
            )
        values = {name: column[place] for name, column in beside.items()}
        distances.append(PairDistance(pair, total, dict(zip(loss.layers, row, strict=True)), odd, values))
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
