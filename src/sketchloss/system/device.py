"""The device that a command computes on, as its option `--device` names it."""

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import torch

Device = Literal["auto", "cpu", "cuda"]


def pick_device(name: Device) -> "torch.device":
    """Return the device of a name.

    Args:
        name: `auto`: the GPU if there is one.

    Raises:
        ValueError: for `cuda` where torch finds no GPU.
    """
    import torch  # here: settings name a device, and need not wait for torch

    if name == "cuda" and not torch.cuda.is_available():
        raise ValueError("device is cuda: torch finds no GPU here; use --device cpu")
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")
