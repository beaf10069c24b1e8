"""Whether the ink of a drawing lies where it should: precision, recall and F1 within a tolerance, chamfer distance.

The measures are those of boundary detection (Martin, Fowlkes & Malik 2004, "Learning to Detect Natural Image
Boundaries"), without its one-to-one matching. Ink is every pixel darker than `INK`, so they judge where lines are, and
not how dark or wide.
"""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from sketchloss.system.images import check_images

#: A pixel is ink if it is so much darker than white: thin antialiased lines count, the grain of paper does not.
INK = 0.3
#: Tolerance as a share of the longer side: 1 pixel of 64.
TOLERANCE = 1 / 64


class InkOverlap(NamedTuple):
    """How well the ink of n drawings overlaps with the ink that was wanted."""

    precision: Float[Tensor, " n"]
    """Share of the drawn ink that lies near wanted ink; 1 where nothing is drawn."""
    recall: Float[Tensor, " n"]
    """Share of the wanted ink that lies near drawn ink; 1 where none is wanted."""
    f1: Float[Tensor, " n"]
    """Harmonic mean of the two; 0 if one is."""
    chamfer: Float[Tensor, " n"]
    """Mean distance in pixels from drawn ink to the nearest wanted ink and back; the picture's diagonal where one of
    the two has none, 0 where both have none."""


def ink_overlap(pred: Tensor, target: Tensor, *, tolerance: float | int = TOLERANCE) -> InkOverlap:
    """Measure where the ink of drawings lies.

    Args:
        pred: drawn, n×{1,3}×h×w in [0, 1], dark ink on light paper.
        target: wanted, of the same shape.
        tolerance: greatest distance of ink that counts as the same place, as a share of the longer side, 0 or more.

    Returns:
        float64, on the CPU.

    Raises:
        ValueError: for unequal shapes, a negative tolerance, or as `check_images`.
    """
    if not 0 <= tolerance < 1:
        raise ValueError(f"tolerance is {tolerance}: it must be a share of the longer side, 0 or more and below 1")
    drawn, wanted = ink_masks(pred, target)
    height, width = drawn.shape[1:]
    reach, diagonal = float(tolerance * max(height, width)), (height**2 + width**2) ** 0.5
    rows = []
    for ours, theirs in zip(drawn.numpy(), wanted.numpy(), strict=True):
        precision, there = _near(ours, theirs, reach, diagonal)
        recall, back = _near(theirs, ours, reach, diagonal)
        f1 = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
        has_none = not (ours.any() or theirs.any())
        rows.append((precision, recall, f1, 0.0 if has_none else (there + back) / 2))
    return InkOverlap(*torch.tensor(rows, dtype=torch.float64).T)


def _near(ink: np.ndarray, other: np.ndarray, reach: float, diagonal: float) -> tuple[float, float]:
    """Return the share of ink that lies near the other's, and how far it lies from it on average."""
    from scipy.ndimage import distance_transform_edt  # in an extra

    if not ink.any():
        return 1.0, diagonal
    if not other.any():
        return 0.0, diagonal
    far = np.asarray(distance_transform_edt(~other))[ink]
    return float((far <= reach).mean()), float(far.mean())


def ink_masks(pred: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Return which pixels of two batches are ink: bool n×h×w each, on the CPU; checks them as `ink_overlap` does."""
    masks = []
    for name, images in (("pred", pred), ("target", target)):
        check_images(images, name=name)
        masks.append((1 - images.detach().float().mean(1)).cpu() > INK)
    if pred.shape != target.shape:
        raise ValueError(f"pred is {tuple(pred.shape)}, target {tuple(target.shape)}: give pairs of one shape")
    return masks[0], masks[1]
