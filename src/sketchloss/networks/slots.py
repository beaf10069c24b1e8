"""Contents of VGG-16's first two pool slots without gates: controls, which tell what acts where gates do.

Gates that replace their pools change four things at once: features are weighed, parameters are added, features stay
fine, and the next convolutions see less of the picture. A control changes some of these and leaves the others out.
"""

from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor, nn

from sketchloss.networks.pooling import BlurredPool

Slots = Literal["pools", "convolutions", "nothing"]
Downsample = Literal["none", "dilated", "max"]


class SlotConvolution(nn.Module):
    """A plain 1x1 convolution through a few channels, with as many parameters as an `AttentionGate`, in its place.

    It computes `F + W1 relu(W0 F)`. W1 starts at zero, so that features start as they are.

    Args:
        channels: C of the features.
        reduction: r of the gate that it stands for.
        kernel_size: side of that gate's spatial convolution.
        pool: the pool that follows, or the identity.
    """

    def __init__(self, channels: int, *, reduction: int, kernel_size: int, pool: nn.Module) -> None:
        super().__init__()
        hidden = max(1, channels // reduction)
        of_gate = (channels + 1) * hidden + (hidden + 1) * channels + 2 * kernel_size**2 + 1
        # W0 and W1 with their biases have (2C + 1)k + C parameters: k is where that is nearest to the gate's.
        narrow = max(1, round((of_gate - channels) / (2 * channels + 1)))
        self.reduce = nn.Conv2d(channels, narrow, 1)  # W0
        self.expand = nn.Conv2d(narrow, channels, 1)  # W1
        self.pool = pool
        nn.init.zeros_(self.expand.weight)
        assert self.expand.bias is not None
        nn.init.zeros_(self.expand.bias)

    def forward(self, features: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h2 w2"]:
        """Add what the convolutions find; the size halves with a pool."""
        return self.pool(features + self.expand(torch.relu(self.reduce(features))))


def check_slots(*, attention: bool, slots: str, downsample: str) -> None:
    """Refuse contents of the slots that contradict each other.

    Raises:
        ValueError: naming them, and what to give.
    """
    for name, value, kind in (("slots", slots, Slots), ("downsample", downsample, Downsample)):
        if value not in get_args(kind):
            raise ValueError(f"{name} {value!r} is unknown: use {', '.join(get_args(kind))}")
    if attention and slots != "pools":
        raise ValueError(
            f"slots is {slots}, but there are attention gates in these slots: leave one out; --arm tuning has no gates"
        )
    if slots == "nothing" and downsample == "max":
        raise ValueError("slots is nothing and downsample is max, which is VGG itself: take downsample none or dilated")
    if not attention and slots == "pools" and downsample == "dilated":
        raise ValueError(
            "downsample is dilated, but VGG's pools stay: take attention gates, or slots nothing or convolutions"
        )


def halves(module: nn.Module) -> bool:
    """Tell whether a module of `VGG.features` halves height and width: a pool, or what a pool follows in its slot."""
    return isinstance(getattr(module, "pool", module), nn.MaxPool2d | BlurredPool)
