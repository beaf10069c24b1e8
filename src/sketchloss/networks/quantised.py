"""Convolutions as 8-bit integers, a little more than half the size of float16.

Each k×k kernel has a scale of its own (float16), since kernels of one layer differ in size a hundredfold: with one
scale for each output channel the error at relu5_3 is four times as large. What that does to features and distances is
in `docs/results.md`.
"""

import torch
from torch import Tensor

#: Appended to a tensor's name: its scales.
SCALE = ".scale"
#: The greatest integer; -128 is not used, so that both signs reach as far.
GREATEST = 127


def quantise(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors with each convolution o×i×k×k as int8 and its scales, float16 o×i×1×1, as `NAME.scale`.

    Args:
        tensors: floats; those of other shapes than o×i×k×k, k > 1, come back as they are.
    """
    found: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        if tensor.dim() != 4 or tensor.shape[-1] == 1:
            found[name] = tensor
            continue
        # note: scales are rounded first, and kept above zero, so that the integers fit the scales that are read back
        scale = (tensor.float().abs().amax((2, 3), keepdim=True) / GREATEST).half()
        scale = scale.clamp_min(torch.finfo(torch.float16).smallest_normal)
        found[name] = (tensor.float() / scale.float()).round().clamp(-GREATEST, GREATEST).to(torch.int8)
        found[name + SCALE] = scale
    return found


def restore(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors with what `quantise` made of convolutions as float32 again, and all others as they are.

    Raises:
        ValueError: for int8 tensors without scales, and scales without a tensor or of another shape.
    """
    found = {name: tensor for name, tensor in tensors.items() if not name.endswith(SCALE)}
    for name, tensor in found.items():
        scale = tensors.get(name + SCALE)
        if tensor.dtype != torch.int8 and scale is None:
            continue
        if scale is None:
            raise ValueError(f"{name} is of 8-bit integers and there is no {name + SCALE}: copy the file again")
        if tensor.dtype != torch.int8 or scale.shape != (*tensor.shape[:2], *(1 for _ in tensor.shape[2:])):
            raise ValueError(
                f"{name} is {tensor.dtype} of {tuple(tensor.shape)} and {name + SCALE} {tuple(scale.shape)}: "
                "they do not belong together, copy the file again"
            )
        found[name] = tensor.float() * scale.float()
    alone = [name for name in tensors if name.endswith(SCALE) and name.removesuffix(SCALE) not in found]
    if alone:
        raise ValueError(f"{alone[0]} is there and {alone[0].removesuffix(SCALE)} is not: copy the file again")
    return found
