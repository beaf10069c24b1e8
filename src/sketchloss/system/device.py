"""The device and the precision that a command computes with, as its options `--device` and `--precision` name them."""

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import torch

Device = Literal["auto", "cpu", "cuda"]
#: float32, or a network under autocast to bfloat16.
Precision = Literal["no", "bf16"]


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
