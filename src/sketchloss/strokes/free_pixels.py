"""Recovery of free pixels: a drawing blurred, noisy or displaced, and gradient descent by a loss on every pixel.

Nothing but the loss says here what a drawing looks like: what it does not see stays wrong.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from sketchloss.data.quickdraw.drawings import StrokeDrawing
from sketchloss.metrics.ink_overlap import ink_overlap
from sketchloss.strokes.recovery import PEN, Loss, begin_strokes, check_numbers, total_of
from sketchloss.strokes.renderer import render
from sketchloss.strokes.starts import PIXEL_STARTS, PixelStart

#: Standard deviation of the blur as a share of the side, that of the noise, and pixels of 64 that strokes are moved by.
BLUR, NOISE, MOVED = 3 / 64, 0.3, 4.0
#: Adam's step of a pixel.
RATE = 0.02


@dataclass(frozen=True, eq=False)
class PixelRecovery:
    """Result of a recovery of free pixels, for each of n drawings."""

    truth: Float[Tensor, "n 1 h w"]
    way: list[Float[Tensor, "n 1 h w"]]
    """Pictures at each step of `recorded`."""
    recorded: Int[Tensor, " records"]
    """Steps at which the pictures were recorded; the first is 0, the last the end."""
    chamfer: Float[Tensor, "records n"]
    """Chamfer distance of the ink in pixels, as `metrics.ink_overlap` measures it."""
    pen: float
    """Limit in pixels: a drawing is recovered once its chamfer distance is below it."""


def recover_pixels(
    loss: Loss,
    drawings: Sequence[StrokeDrawing],
    *,
    start: PixelStart = "blurred",
    size: int = 64,
    steps: int = 120,
    seed: int = 0,
    record_every: int = 5,
) -> PixelRecovery:
    """Blur, disturb or displace drawings, and let the gradient of a loss lead every pixel back.

    Adam moves all pixels, which stay in [0, 1].

    Args:
        loss: as for `recover`.
        drawings: one or more.
        start: `blurred` by a Gaussian of `BLUR`; `noisy`, with Gaussian noise of `NOISE` and cut to [0, 1];
            `displaced-pixels`, with each stroke moved by `MOVED` and turned.
        size: side of the pictures in pixels.
        steps: number of steps of Adam, 1 or more; the learning rate falls from `RATE` to 0 along a cosine.
        seed: random seed of noise and directions.
        record_every: steps between records.

    Raises:
        ValueError: for bad arguments, or as `recover`.
    """
    if start not in PIXEL_STARTS:
        raise ValueError(f"start {start!r} is unknown: use one of {', '.join(PIXEL_STARTS)}")
    check_numbers(size=size, steps=steps, record_every=record_every)
    begun = begin_strokes(drawings, "displaced", MOVED / 64 * size, size, seed)
    target = render(begun.truth, size)
    if start == "displaced-pixels":
        pictures = render(begun.strokes, size)
    else:
        pictures = _blurred(target) if start == "blurred" else _noisy(target, drawings, seed)
    pixels = pictures.clone().requires_grad_()
    optimiser = torch.optim.Adam([pixels], lr=RATE, betas=(0.9, 0.99), eps=1e-14)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    extract = getattr(loss, "extract", None)
    given = target if extract is None else extract(target)
    way, recorded = [pictures], [0]
    for step in range(1, steps + 1):
        optimiser.zero_grad()
        total_of(loss(pixels, given), len(target), step).backward()
        optimiser.step()
        schedule.step()
        with torch.no_grad():
            pixels.clamp_(0, 1)
        if step % record_every == 0 or step == steps:
            way.append(pixels.detach().clone())
            recorded.append(step)
    far = torch.stack([ink_overlap(picture, target).chamfer for picture in way])
    return PixelRecovery(target, way, torch.tensor(recorded), far, PEN * size)


def _blurred(pictures: Float[Tensor, "n 1 h w"]) -> Float[Tensor, "n 1 h w"]:
    from kornia.filters import gaussian_blur2d  # in an extra

    deviation = BLUR * pictures.shape[-1]
    radius = max(1, round(3 * deviation))
    return gaussian_blur2d(pictures, 2 * radius + 1, (deviation, deviation), border_type="replicate")


def _noisy(pictures: Float[Tensor, "n 1 h w"], drawings: Sequence[StrokeDrawing], seed: int) -> Tensor:
    noise = np.stack([drawing.generator("noise", seed).normal(0, NOISE, pictures.shape[1:]) for drawing in drawings])
    return (pictures + torch.from_numpy(noise).to(pictures)).clamp(0, 1)
