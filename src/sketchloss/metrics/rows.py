"""Rows of features with their labels: checked, taken in blocks, and their lengths."""

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np
import torch
from jaxtyping import Float64, Int64
from torch import Tensor

# Rows added one by one to the same sums before these go on to the totals: else rounding would grow with their number.
SUMMED_ROWS = 2**13
# note: NumPy here and in `blocks`, because torch's threads gain little on blocks this small, and on a busy machine
# each of its steps waits for them.
_dot_rows = getattr(np, "vecdot", None) or partial(np.einsum, "ij,ij->i")  # NumPy 2 has the faster one
# Float64 numbers worked on at once: 4 MiB, which stay in the processor's cache between the steps.
BLOCK_ELEMENTS = 2**19


# A mean distance below this is what rounding leaves of equal rows; float32 rows that differ are farther apart.
LEAST_DISTANCE = 1e-12


# Squared lengths that neither overflow nor lose digits.
SAFE_SQUARES = (1e-280, 1e280)


# Others than these (bfloat16, float8) NumPy does not have.
NUMPY_FLOATS = (torch.float16, torch.float32, torch.float64)


def checked_labels(labels: Tensor | np.ndarray | Sequence[int], embeddings: Tensor | np.ndarray) -> Int64[Tensor, " m"]:
    """Return the labels of embeddings that fit them, on the CPU.

    Raises:
        ValueError: naming the shape or dtype found, of either.
    """
    shape, dtype = tuple(embeddings.shape), embeddings.dtype
    is_float = dtype.is_floating_point if isinstance(dtype, torch.dtype) else np.issubdtype(dtype, np.floating)
    if len(shape) != 2 or not is_float or shape[1] == 0:
        raise ValueError(f"embeddings are {dtype} of shape {shape}: they must be float, rows by numbers")
    if not isinstance(labels, Tensor):
        labels = np.asarray(labels)
        kind = labels.dtype
        labels = torch.from_numpy(labels.astype(np.int64)) if np.issubdtype(kind, np.integer) else torch.zeros(0)
    else:
        kind = labels.dtype
    if kind == torch.bool or labels.is_floating_point() or labels.is_complex():
        raise ValueError(f"labels are {kind}: they must be integers, one for each row")
    if labels.shape != shape[:1]:
        raise ValueError(f"labels are {tuple(labels.shape)}: it needs one for each of {shape[0]} rows")
    return labels.to("cpu", torch.int64)


def distinct(labels: Int64[Tensor, " m"]) -> tuple[Int64[Tensor, " k"], Int64[Tensor, " m"]]:
    """Return the values that occur, in order, and of each label its place among them."""
    lowest, highest = (int(end) for end in labels.aminmax()) if len(labels) else (0, 0)
    if highest - lowest > 4 * len(labels):
        return torch.unique(labels, return_inverse=True)
    # Sorting would take longer than counting, a tenth of the whole.
    present = torch.bincount(labels - lowest) > 0
    return present.nonzero()[:, 0] + lowest, (present.cumsum(0) - 1)[labels - lowest]


def blocks(embeddings: Tensor | np.ndarray) -> Iterator[tuple[int, Float64[Tensor, "m d"]]]:
    """Yield where each block of rows starts, and a float64 copy of it, which the next one overwrites."""
    embeddings = embeddings.detach() if isinstance(embeddings, Tensor) else embeddings
    rows = min(len(embeddings), SUMMED_ROWS, max(1, BLOCK_ELEMENTS // embeddings.shape[1]))
    buffer = torch.empty(rows, embeddings.shape[1], dtype=torch.float64)
    for start in range(0, len(embeddings), max(1, rows)):
        part = embeddings[start : start + rows]
        block = buffer[: len(part)]
        if isinstance(part, Tensor) and (part.device.type != "cpu" or part.dtype not in NUMPY_FLOATS):
            block.copy_(part)
        else:
            np.copyto(block.numpy(), part.numpy() if isinstance(part, Tensor) else part)
        yield start, block


def inverse_lengths(block: Float64[Tensor, "m d"], start: int) -> Float64[Tensor, " m"]:
    """Return what makes each row a unit row; rows of extreme lengths are first rescaled, in place."""
    with np.errstate(over="ignore", invalid="ignore"):
        squares = torch.from_numpy(_dot_rows(block.numpy(), block.numpy()))
    if not (squares.min() > SAFE_SQUARES[0] and squares.max() < SAFE_SQUARES[1]):  # also if one is NaN
        peaks = block.abs().amax(1)
        broken = (peaks == 0) | ~peaks.isfinite()
        if broken.any():
            row = start + int(broken.nonzero()[0])
            raise ValueError(f"row {row} of the embeddings is zero or not finite: leave out such rows")
        block /= peaks[:, None]
        squares = block.square().sum(1)
    return squares.rsqrt_()
