"""Scoot, a similarity of face sketches made to agree with people: texture statistics block by block.

Source: Fan et al., "Scoot: A Perceptual Metric for Facial Sketches", ICCV 2019. Its choices: 6 grey levels,
co-occurrence of neighbours in 4 directions, contrast and energy (the pair that agreed best), 4×4 blocks.
"""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from sketchloss.system.images import check_images

LEVELS, BLOCKS = 6, 4
ANGLES = (0, np.pi / 4, np.pi / 2, 3 * np.pi / 4)
STATISTICS = ("contrast", "energy")
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
    """Return each statistic of each block, averaged over the directions."""
    from skimage.feature import graycomatrix, graycoprops  # in an extra

    found = []
    for rows in np.array_split(levels, BLOCKS, axis=0):
        for block in np.array_split(rows, BLOCKS, axis=1):
            pairs = graycomatrix(block, [1], ANGLES, levels=LEVELS, symmetric=True, normed=True)
            found += [graycoprops(pairs, name).mean() for name in STATISTICS]
    return np.array(found)
