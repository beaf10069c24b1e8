"""Contract of image tensors: dense, of a float type, n×{1,3}×h×w, with values in a known range."""

import math
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from sketchloss.system.func_transforms import inside_transform

OVERSHOOT = 0.01  # how far outside the range a generator may stray, as a share of the range
FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


def check_images(
    images: Tensor,
    *,
    name: str = "images",
    minimum: int = 1,
    value_range: tuple[float, float] = (0.0, 1.0),
    check: bool = True,
) -> Float[Tensor, "n 3 h w"]:
    """Hold a batch of images to the contract; grey is expanded to three channels without copying.

    Args:
        images: float, n×{1,3}×h×w with n >= 1, values in `value_range`; as a generator may overshoot, a hundredth of
            the range beyond is allowed.
        name: its name in an error.
        minimum: least height and width in pixels.
        value_range: least and greatest value, such as (0, 1) or (-1, 1).
        check: False skips the check of the values, which waits for the device. Under `torch.compile` and
            `torch.export`, and inside transforms of `torch.func`, it is skipped as well.

    Returns:
        The same values, n×3×h×w, of the same type and on the same device.

    Raises:
        ValueError: with `name`, what was expected, the type, shape or range found, and how to fix it.
    """
    check_dense(images, name, mend=_mend_kind(images, name, value_range))
    if images.dtype not in FLOATS:
        mend = _mend_type(images, name, value_range)
        raise ValueError(f"{name}: expected floating point in {_said(value_range)}, got {images.dtype}; {mend}")
    shape = tuple(images.shape)
    if images.ndim != 4 or images.shape[1] not in (1, 3) or images.shape[0] < 1:
        raise ValueError(
            f"{name}: expected shape (n, 1, h, w) or (n, 3, h, w), got {shape}; {_mend_shape(images, name)}"
        )
    if images.shape[2] < minimum or images.shape[3] < minimum:
        raise ValueError(
            f"{name}: expected at least {minimum} by {minimum} pixels, got shape {shape}; enlarge or pad the images"
        )
    if check:
        check_values(images, name, value_range)
    return images.expand(-1, 3, -1, -1) if images.shape[1] == 1 else images


def check_dense(tensor: object, name: str, *, mend: str) -> None:
    """Raise ValueError for what is no tensor, and for tensors that are nested, sparse, quantized or laid out oddly.

    Args:
        tensor: what was given.
        name: its name in an error.
        mend: what to do about something that is no tensor at all.
    """
    if not isinstance(tensor, Tensor):
        raise ValueError(f"{name}: expected a torch tensor, got {type(tensor).__name__}; {mend}")
    if tensor.is_nested:
        raise ValueError(f"{name}: expected a dense tensor, got a nested one; give a batch for each size, or pad")
    if tensor.layout != torch.strided:
        raise ValueError(f"{name}: expected a dense tensor, got layout {tensor.layout}; convert it: {name}.to_dense()")
    if tensor.is_quantized:
        raise ValueError(f"{name}: expected a dense float tensor, got {tensor.dtype}; convert it: {name}.dequantize()")


def check_values(values: Tensor, name: str, value_range: tuple[float, float] = (0.0, 1.0)) -> None:
    """Raise ValueError if values lie outside a range by more than a hundredth of it, or are no numbers.

    It waits for the device. Under `torch.compile` and inside transforms of `torch.func` it does nothing.
    """
    if torch.compiler.is_compiling() or inside_transform():
        return
    if values.is_meta:
        raise ValueError(f"{name}: expected values, got a meta tensor, which has none; make it on a device, as the CPU")
    low, high = torch.stack(torch.aminmax(values.detach())).tolist()  # one wait for the device, not two
    bottom, top = value_range
    slack = OVERSHOOT * (top - bottom)
    if low >= bottom - slack and high <= top + slack:  # false for NaN
        return
    if math.isnan(low) or math.isinf(low) or math.isinf(high):
        found, mend = "NaN or infinity", "find the step that makes it: a diverged generator, or a division by zero"
    else:
        found, mend = f"[{low:.4g}, {high:.4g}]", _mend_range(low, high, name, value_range)
    raise ValueError(
        f"{name}: expected values in {_said(value_range)}, got {found} in shape {tuple(values.shape)}; {mend}"
    )


def check_value_range(value_range: object) -> tuple[float, float]:
    """Return the least and the greatest value that images may have.

    Raises:
        ValueError: unless they are two numbers, the first below the second, that float32 can hold and tell apart.
    """
    try:
        low, high = value_range  # pyright: ignore[reportGeneralTypeIssues]
        texts = any(isinstance(one, str | bytes) for one in (value_range, low, high))
        low, high = (math.nan, math.nan) if texts else (float(low), float(high))
    except (TypeError, ValueError):
        low, high = math.nan, math.nan
    greatest, smallest = torch.finfo(torch.float32).max, torch.finfo(torch.float32).tiny
    if not (max(-low, high) <= greatest and smallest <= high - low <= greatest):
        raise ValueError(f"value_range is {value_range!r}: give two finite numbers, the lower first, such as (-1, 1)")
    return low, high


# ---------------------------------------------------------------------------------------------------------------------
# What to do about it


def _said(value_range: tuple[float, float]) -> str:
    return f"[{value_range[0]:g}, {value_range[1]:g}]"


def _mend_kind(value: object, name: str, value_range: tuple[float, float]) -> str:
    if isinstance(value, np.ndarray) and value.ndim == 4:
        return f"convert it: torch.from_numpy({name})"
    if isinstance(value, np.ndarray | str | Path | bytes | Image.Image):
        return f"convert it: {_from_unit(f'sketchloss.to_tensor({name})[None]', value_range)}"
    return "give a tensor of shape (n, 3, h, w)"


def _mend_type(images: Tensor, name: str, value_range: tuple[float, float]) -> str:
    if images.is_complex():
        return f"take the real part: {name}.real"
    if images.is_floating_point():
        return f"convert it: {name}.float()"
    if images.dtype == torch.bool:
        return f"convert it: {_from_unit(f'{name}.float()', value_range)}"
    if value_range == (0, 255):
        return f"convert it: {name}.float()"
    greatest = 65535 if images.dtype == torch.uint16 else 255
    return f"divide by {greatest}: {_from_unit(f'{name}.float() / {greatest}', value_range)}"


def _mend_range(low: float, high: float, name: str, value_range: tuple[float, float]) -> str:
    bottom, top = value_range
    if low >= -OVERSHOOT and max(2, 2 * top) < high <= 256:
        return f"divide by 255: {_from_unit(f'{name} / 255', value_range)}"
    if value_range == (0, 1) and -1 - OVERSHOOT <= low < -0.1 and high <= 1 + OVERSHOOT:
        return f"if it is in [-1, 1], rescale: ({name} + 1) / 2"
    if low >= bottom - (top - bottom) / 2 and high <= top + (top - bottom) / 2:
        return f"clamp it: {name}.clamp({bottom:g}, {top:g})"
    if value_range == (0, 1):
        return f"if it was normalised, undo that: {name} * std + mean"
    return "rescale it, or build the loss with the range that it has"


def _from_unit(expression: str, value_range: tuple[float, float]) -> str:
    """Return the code that brings values in [0, 1] into the range."""
    bottom, top = value_range
    if value_range == (0, 1):
        return expression
    shift = "" if not bottom else f" {'-' if bottom < 0 else '+'} {abs(bottom):g}"
    return f"({expression}) * {top - bottom:g}{shift}"


def _mend_shape(images: Tensor, name: str) -> str:
    shape = images.shape
    if images.ndim == 4:
        if shape[0] < 1:
            return "the batch is empty"
        if shape[3] in (1, 3):
            return f"move the channels forward: {name}.permute(0, 3, 1, 2)"
        if shape[1] in (2, 4):
            return "flatten the transparency on white, as to_tensor does"
    if images.ndim == 3:
        if shape[0] in (1, 3):
            return f"add a batch dimension with {name}[None]"
        if shape[2] in (1, 3):
            return f"move the channels forward and add a batch dimension: {name}.permute(2, 0, 1)[None]"
        return f"add a channel dimension with {name}[:, None]"
    if images.ndim == 2:
        return f"add batch and channel dimensions with {name}[None, None]"
    return "reshape it"
