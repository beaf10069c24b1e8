"""The device and the precision that a command computes with, as its options `--device` and `--precision` name them."""

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import torch

Device = Literal["auto", "cpu", "cuda"]
#: float32, or a network under autocast to bfloat16 where the device has instructions for it (`in_bfloat16`).
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


def bfloat16_of(kind: str) -> Literal["native", "emulated", "unknown"]:
    """Tell whether a kind of device has instructions for bfloat16; one that has none emulates it, slowly.

    Args:
        kind: `cpu`, `cuda` or another type of a `torch.device`.
    """
    import torch

    if kind == "cuda":
        return "native" if torch.cuda.is_bf16_supported(including_emulation=False) else "emulated"
    capabilities = getattr(torch.cpu, "get_capabilities", None)  # older releases of torch lack it
    if kind != "cpu" or capabilities is None:
        return "unknown"
    known = capabilities()
    return "native" if any(known.get(name) for name in ("avx512_bf16", "amx_bf16", "bf16")) else "emulated"


def in_bfloat16(kind: str, *, wanted: bool = True) -> "torch.autocast":
    """Return a context in which networks compute in bfloat16; in float32 on a device that would emulate it.

    A CPU of AVX2 alone is about ten times as slow in emulated bfloat16 as in float32.

    Args:
        kind: type of the device.
        wanted: whether bfloat16 is asked for at all.
    """
    import torch

    return torch.autocast(kind, torch.bfloat16, enabled=wanted and bfloat16_of(kind) != "emulated")
