"""Structural similarity of a generated sketch to the true one."""

from typing import Literal

import torch
from jaxtyping import Float
from kornia.color import rgb_to_grayscale
from kornia.metrics import ssim as ssim_map
from torch import Tensor

from sketchloss.system.images import check_images

WINDOW = 11  # pixels of the Gaussian window; kornia's sigma is 1.5
AT_ONCE = 16  # images evaluated together


@torch.no_grad()
def ssim(pred: Tensor, target: Tensor, *, colour: Literal["grey", "rgb"] = "grey") -> Float[Tensor, " n"]:
    """Return the structural similarity of each pair of images (Wang et al. 2004, "Image quality assessment").

    Settings, as in the paper: 11×11 Gaussian window of standard deviation 1.5, K1 = 0.01, K2 = 0.03, data range 1, mean
    over the positions at which the window lies within the image (kornia: `padding="valid"`; scikit-image:
    `gaussian_weights=True, use_sample_covariance=False`). In float64: variances on flat paper are small differences.

    Args:
        pred: n×{1,3}×h×w in [0, 1], at least 11 pixels high and wide.
        target: target of the same shape.
        colour: `grey`: on the luma of ITU-R BT.601; `rgb`: the mean over the channels.

    Returns:
        float32, in [-1, 1]; 1 for equal images.

    Raises:
        ValueError: for unequal shapes, or as `check_images`; for an unknown `colour`.
    """
    if colour not in ("grey", "rgb"):
        raise ValueError(f"colour {colour!r} is unknown: use grey or rgb")
    one, other = check_images(pred, name="pred", minimum=WINDOW), check_images(target, name="target", minimum=WINDOW)
    if pred.shape != target.shape:
        raise ValueError(f"pred is {tuple(pred.shape)}, target {tuple(target.shape)}: give pairs of one shape")
    values = []
    for pair in zip(one.split(AT_ONCE), other.split(AT_ONCE), strict=True):
        first, second = (rgb_to_grayscale(image.double()) if colour == "grey" else image.double() for image in pair)
        values.append(ssim_map(first, second, WINDOW, max_val=1.0, eps=0.0, padding="valid").mean((1, 2, 3)))
    return torch.cat(values).float()
