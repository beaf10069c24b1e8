"""Scoot, a similarity of face sketches made to agree with people: texture statistics block by block.

Source: Fan et al., "Scoot: A Perceptual Metric for Facial Sketches", ICCV 2019, and their code,
https://github.com/DengPingFan/Scoot. Its choices: 6 grey levels, co-occurrence of neighbours in 4 directions, whose
counts are averaged and rounded, contrast and energy (the pair that agreed best), 4×4 blocks.
"""

from itertools import pairwise

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from sketchloss.system.images import check_images

LEVELS, BLOCKS = 6, 4
#: To the right, up and right, up, up and left, as the rows of pictures go downwards.
ANGLES = (0, -np.pi / 4, -np.pi / 2, -3 * np.pi / 4)
#: What the paper calls energy is the sum of squares, as in MATLAB; scikit-image calls its root so.
STATISTICS = ("contrast", "ASM")
#: Each block must hold neighbours in every direction.
LEAST = 2 * BLOCKS


def scoot(pred: Tensor, target: Tensor) -> Float[Tensor, " n"]:
    """Return how similar sketches of faces are to others, by the structure and co-occurrence of their texture.

    Args:
        pred: n×{1,3}×h×w in [0, 1], at least 8 pixels high and wide; colours are averaged.
        target: of the same shape.

    Returns:
        float64, in (0, 1]; 1 for equal statistics. On the CPU.

    Raises:
        ValueError: for unequal shapes, or as `check_images`.
    """
    for name, images in (("pred", pred), ("target", target)):
        check_images(images, name=name, minimum=LEAST)
    if pred.shape != target.shape:
        raise ValueError(f"pred is {tuple(pred.shape)}, target {tuple(target.shape)}: give pairs of one shape")
    pairs = zip(_levels(pred), _levels(target), strict=True)
    far = [np.linalg.norm(_statistics(one) - _statistics(other)) for one, other in pairs]
    return 1 / (1 + torch.tensor(far, dtype=torch.float64))


def _levels(images: Tensor) -> np.ndarray:
    grey = images.detach().double().mean(1).clamp(0, 1).cpu().numpy()
    return np.minimum(grey * LEVELS, LEVELS - 1).astype(np.uint8)


def _statistics(levels: np.ndarray) -> np.ndarray:
    """Return each statistic of each block."""
    from skimage.feature import graycomatrix, graycoprops  # in an extra

    found = []
    rows, columns = (np.arange(BLOCKS + 1) * side // BLOCKS for side in levels.shape)
    for top, bottom in pairwise(rows):
        for left, right in pairwise(columns):
            counts = graycomatrix(levels[top:bottom, left:right], [1], ANGLES, levels=LEVELS)
            mean = counts.mean(-1, keepdims=True)
            rounded = np.floor(mean + 0.5)
            # note: of the smallest blocks nothing may be left
            pairs = rounded if rounded.any() else mean
            found += [graycoprops(pairs, name).item() for name in STATISTICS]
    return np.array(found)
