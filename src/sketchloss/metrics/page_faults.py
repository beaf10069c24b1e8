"""Faults of a drawn page, found without a network: too little ink, ink where none belongs, grey or coloured paper.

Seo 2025 says in words that generators make "colour artefacts" and "unnecessary details" and should leave "clean white
backgrounds"; these are numbers for that.
"""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from sketchloss.metrics.ink_overlap import TOLERANCE, ink_masks
from sketchloss.system.images import check_images

#: Paper counts as white if every channel is within this of 1.
WHITE = 0.05


class PageFaults(NamedTuple):
    """What is wrong with n pages."""

    ink_ratio: Float[Tensor, " n"]
    """Darkness drawn over darkness wanted, each summed over the page; infinity where none is wanted and some drawn, 1
    where neither has any."""
    stray_ink: Float[Tensor, " n"]
    """Darkness drawn farther than the tolerance from wanted ink, as a share of all darkness wanted. Infinity where none
    is wanted and some drawn, 0 where nothing is drawn."""
    white_paper: Float[Tensor, " n"]
    """Share of the page farther than the tolerance from wanted ink that is within 5 % of white; 1 where there is no
    such place."""
    saturation: Float[Tensor, " n"]
    """Mean saturation (greatest minus least channel): 0 for grey."""


@torch.no_grad()
def page_faults(pred: Tensor, target: Tensor, *, tolerance: float | int = TOLERANCE) -> PageFaults:
    """Look for faults on drawn pages.

    Args:
        pred: drawn, n×{1,3}×h×w in [0, 1], dark ink on light paper.
        target: wanted, of the same shape.
        tolerance: how far from wanted ink a place is blank, across and up and down, as a share of the longer side, 0 or
            more; rounded down to whole pixels.

    Returns:
        float64, on the CPU.

    Raises:
        ValueError: for unequal shapes, a tolerance out of range, or as `check_images`.
    """
    if not 0 <= tolerance < 1:
        raise ValueError(f"tolerance is {tolerance}: it must be a share of the longer side, 0 or more and below 1")
    _, wanted = ink_masks(pred, target)
    reach = math.floor(tolerance * max(wanted.shape[1:]))
    near = F.max_pool2d(wanted[:, None].float(), 2 * reach + 1, stride=1, padding=reach)[:, 0] > 0
    drawn = check_images(pred).cpu().double()
    darkness = 1 - drawn.mean(1).clamp(0, 1)
    asked = (1 - check_images(target).cpu().double().mean(1).clamp(0, 1)).sum((1, 2))
    blank = ~near
    white = ((1 - drawn).abs().amax(1) <= WHITE) & blank
    places = blank.sum((1, 2))
    return PageFaults(
        ink_ratio=_ratio(darkness.sum((1, 2)), asked, empty=1.0),
        stray_ink=_ratio((darkness * blank).sum((1, 2)), asked, empty=0.0),
        white_paper=torch.where(places > 0, white.sum((1, 2)) / places.clamp_min(1).double(), 1.0),
        saturation=(drawn.amax(1) - drawn.amin(1)).mean((1, 2)),
    )


def _ratio(part: Float[Tensor, " n"], whole: Float[Tensor, " n"], *, empty: float) -> Float[Tensor, " n"]:
    ratio = part / whole  # infinite where nothing is wanted
    return torch.where((part == 0) & (whole == 0), torch.full_like(part, empty), ratio)
