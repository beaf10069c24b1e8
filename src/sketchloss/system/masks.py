"""Masks that a loss takes, which say which pixels count."""

import torch
from jaxtyping import Float
from torch import Tensor

from sketchloss.system.image_contract import FLOATS, check_dense, check_values


def check_mask(mask: Tensor, pred: Float[Tensor, "n 3 h w"], *, check: bool = True) -> Float[Tensor, "n 1 h w"]:
    """Hold a mask to the contract, and bring it to one shape.

    Args:
        mask: bool (True counts), or float in [0, 1], how much each pixel counts: n×1×h×w, n×h×w, or 1×1×h×w, 1×h×w, h×w
            for the whole batch; on the images' device.
        pred: the images it is for.
        check: False skips the check of float values, which waits for the device.

    Returns:
        float32 in [0, 1], without gradient.

    Raises:
        ValueError: for anything else, with what was expected, what came, and how to fix it.
    """
    mend = "convert it: torch.as_tensor(mask)" if hasattr(mask, "__len__") and not isinstance(mask, str) else "give one"
    check_dense(mask, "mask", mend=mend)
    if mask.dtype not in (torch.bool, *FLOATS):
        raise ValueError(f"mask: expected bool, or floating point in [0, 1], got {mask.dtype}; {_mend_type(mask)}")
    n, _, h, w = pred.shape
    spread = mask[None, None] if mask.ndim == 2 else mask[:, None] if mask.ndim == 3 else mask
    if spread.ndim != 4 or spread.shape[1:] != (1, h, w) or spread.shape[0] not in (1, n):
        raise ValueError(
            f"mask is {tuple(mask.shape)}: it must be {n}x1x{h}x{w} or {n}x{h}x{w}, like pred, or {h}x{w} for all"
        )
    if mask.device != pred.device:
        raise ValueError(f"mask is on {mask.device} and pred on {pred.device}: move it, mask.to(pred.device)")
    if check and mask.dtype != torch.bool:
        check_values(mask, "mask")
    return spread.detach().float().clamp(0, 1).expand(n, 1, h, w)


def _mend_type(mask: Tensor) -> str:
    if mask.is_complex():
        return "take the real part: mask.real"
    return "convert it: mask.float()" if mask.is_floating_point() else "say which pixels count: mask.bool()"
