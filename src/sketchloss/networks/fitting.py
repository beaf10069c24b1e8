"""Tensors of a file against the network that they are for, before the network takes memory, and before it is used."""

import math
from collections.abc import Callable, Mapping
from typing import TypeVar

import torch
from torch import Tensor, nn

Network = TypeVar("Network", bound=nn.Module)


def load_fitting(build: Callable[[], Network], tensors: Mapping[str, Tensor]) -> Network:
    """Build a network and put tensors into it: all that it has, and no others.

    The first network is built without memory, to compare: settings that make one of another size cost nothing.

    Args:
        build: returns the network.
        tensors: by the names of its state dictionary, on the CPU.

    Returns:
        The network on the CPU, in evaluation mode.

    Raises:
        ValueError: if one is missing or too many, or as `check_shapes` and `check_values`.
    """
    with torch.device("meta"):
        wanted = build().state_dict()
    missing = [name for name in wanted if name not in tensors]
    if missing:
        raise ValueError(f"tensor {missing[0]} is missing{_and_more(missing)}")
    unknown = [name for name in tensors if name not in wanted]
    if unknown:
        raise ValueError(f"tensor {unknown[0]}{_and_more(unknown)} has no place in the network of its settings")
    check_shapes(tensors, wanted)
    check_values(tensors)
    network = build()
    network.load_state_dict(tensors)
    return network.eval()


def check_shapes(tensors: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> None:
    """Compare tensors with those of a network, which may be on the device `meta`; those that it lacks pass.

    Raises:
        ValueError: for the first of another shape, or with whole numbers in place of floats or the reverse.
    """
    for name, own in wanted.items():
        found = tensors.get(name, own)
        if found.shape != own.shape:
            raise ValueError(f"tensor {name} has shape {tuple(found.shape)}: this network needs {tuple(own.shape)}")
        if found.is_floating_point() != own.is_floating_point():
            kinds = [str(tensor.dtype).removeprefix("torch.") for tensor in (found, own)]
            raise ValueError(f"tensor {name} is of {kinds[0]}: it must be of {kinds[1]}, or another of that kind")


def check_values(tensors: Mapping[str, Tensor], *, zeros_in: tuple[str, ...] = ()) -> None:
    """Look once at every float: weights that no training leaves are refused.

    Args:
        tensors: tensors by name; those of whole numbers pass.
        zeros_in: names that begin like this may be all zero, as others with one dimension may (biases).

    Raises:
        ValueError: for the first that holds nan or infinity, or is all zero.
    """
    for name, tensor in tensors.items():
        if not tensor.is_floating_point() or not tensor.numel():
            continue
        low, high = (extreme.item() for extreme in tensor.aminmax())  # nan, if there is one
        if not (math.isfinite(low) and math.isfinite(high)):
            found = low if not math.isfinite(low) else high
            raise ValueError(f"tensor {name} holds {found}: weights must be finite; are they of a diverged run?")
        if low == high == 0 and tensor.ndim > 1 and not name.startswith(zeros_in):
            raise ValueError(f"tensor {name} is all zero: such weights see nothing; is the file whole?")


def _and_more(names: list[str]) -> str:
    return f" and {len(names) - 1:,} more" if len(names) > 1 else ""
