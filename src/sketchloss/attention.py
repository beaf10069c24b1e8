"""Channel and spatial attention: the gates of Seo 2025, Eq. 1 and 2, after CBAM (Woo et al. 2018)."""

from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

GateOrder = Literal["channel_spatial", "spatial_channel", "parallel"]
GateInit = Literal["default", "open"]

# An open gate's output: sigmoid(OPEN_BIAS). At 5, two gates in a row scale by 0.987 and still let gradients through.
OPEN_BIAS = 5.0


class ChannelGate(nn.Module):
    """Eq. 1: `CH(F) = σ(W1 W0 avg(F) + W1 W0 max(F))`, one weight in (0, 1) per channel.

    Args:
        channels: C of the features.
        reduction: r; the hidden layer has max(1, C // r) units.
    """

    def __init__(self, channels: int, *, reduction: int = 16) -> None:
        super().__init__()
        hidden = max(1, channels // reduction)
        self.reduce = nn.Linear(channels, hidden)  # W0, C/r × C
        self.expand = nn.Linear(hidden, channels)  # W1, C × C/r

    def forward(self, features: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c 1 1"]:
        """Return the weight of each channel."""
        # note: pooling rather than mean() and amax(), whose backward passes are up to ten times slower.
        mean, maximum = F.avg_pool2d(features, features.shape[-2:]), F.adaptive_max_pool2d(features, 1)
        pooled = torch.stack((mean, maximum)).flatten(2)
        weight = self.expand(torch.relu(self.reduce(pooled))).sum(0)
        return torch.sigmoid(weight)[:, :, None, None]


class SpatialGate(nn.Module):
    """Eq. 2: `SP(F) = σ(conv([avg_c(F); max_c(F)]))`, one weight in (0, 1) per position.

    Args:
        kernel_size: side of the convolution, odd.
    """

    def __init__(self, *, kernel_size: int = 7) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 1, kernel_size, padding=kernel_size // 2)

    def forward(self, features: Float[Tensor, "n c h w"]) -> Float[Tensor, "n 1 h w"]:
        """Return the weight of each position."""
        n, c, h, w = features.shape
        # note: as in the channel gate, the plain forms are slow backward. The mean is a 1×1 convolution; the maximum
        # pools over channels moved last, which costs no copy in channels_last layout.
        mean = F.conv2d(features, features.new_full((1, c, 1, 1), 1 / c))
        positions = features.permute(0, 2, 3, 1).reshape(n, h * w, c)
        maximum = F.adaptive_max_pool1d(positions, 1).view(n, 1, h, w)
        return torch.sigmoid(self.conv(torch.cat((mean, maximum), dim=1)))


class AttentionGate(nn.Module):
    """What stands in VGG-16's first two pool slots: features weighted by channel and by position.

    Args:
        channels: C of the features.
        order: `channel_spatial` (CBAM: the spatial gate sees the channel-weighted features), `spatial_channel`, or
            `parallel` (both see the input, both weights multiply it).
        reduction: r of the channel gate.
        kernel_size: side of the spatial gate's convolution, odd.
        init: `default` (PyTorch's; each gate starts near 0.5, so together they scale by about 0.25) or `open`
            (both start at sigmoid(5), about 0.99).
        downsample: `none` (the paper's text: the pool is replaced) or `max` (2×2 max-pool after the gate, VGG's cost).

    Raises:
        ValueError: for a setting outside the choices above.
    """

    def __init__(
        self,
        channels: int,
        *,
        order: GateOrder = "channel_spatial",
        reduction: int = 16,
        kernel_size: int = 7,
        init: GateInit = "default",
        downsample: Literal["none", "max"] = "none",
    ) -> None:
        super().__init__()
        if order not in ("channel_spatial", "spatial_channel", "parallel"):
            raise ValueError(f"gate order {order!r} is unknown: use channel_spatial, spatial_channel or parallel")
        if init not in ("default", "open"):
            raise ValueError(f"gate init {init!r} is unknown: use default or open")
        if downsample not in ("none", "max"):
            raise ValueError(f"downsample {downsample!r} is unknown: use none or max")
        if kernel_size < 1 or kernel_size % 2 == 0:
            raise ValueError(f"gate kernel size is {kernel_size}: it must be odd and positive")
        if reduction < 1:
            raise ValueError(f"gate reduction is {reduction}: it must be at least 1")
        self.order = order
        self.channel = ChannelGate(channels, reduction=reduction)
        self.spatial = SpatialGate(kernel_size=kernel_size)
        self.pool = nn.MaxPool2d(2) if downsample == "max" else nn.Identity()
        if init == "open":
            for last in (self.channel.expand, self.spatial.conv):
                nn.init.zeros_(last.weight)
                assert last.bias is not None
                nn.init.constant_(last.bias, OPEN_BIAS)
            # Eq. 1 adds the average's and the maximum's paths, and the bias with them: half of it each.
            self.channel.expand.bias.data.div_(2)

    def forward(self, features: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h2 w2"]:
        """Weight the features; their size halves with `downsample="max"`."""
        if self.order == "channel_spatial":
            features = features * self.channel(features)
            gated = features * self.spatial(features)
        elif self.order == "spatial_channel":
            features = features * self.spatial(features)
            gated = features * self.channel(features)
        else:
            gated = features * (self.channel(features) * self.spatial(features))
        return self.pool(gated)
