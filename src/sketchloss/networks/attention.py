"""Channel and spatial attention: the gates of Seo 2025, Eq. 1 and 2, after CBAM (Woo et al. 2018)."""

from collections.abc import Callable
from typing import Any, Literal, get_args

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from sketchloss.networks.pooling import Pooling, new_pool
from sketchloss.system.func_transforms import inside_transform

GateOrder = Literal["channel_spatial", "spatial_channel", "parallel"]
GateInit = Literal["default", "half", "random", "ajar", "open"]

# A gate's output at the start is sigmoid(bias). At 5, two gates in a row scale by 0.987; but the sigmoid is so flat
# there that training hardly moves them. At 2 they scale by 0.776, and the slope is sixteen times as steep. At 0 it is
# steepest, and they scale by exactly 1/4, in every order.
START_BIASES: dict[GateInit, float] = {"half": 0.0, "random": 0.0, "ajar": 2.0, "open": 5.0}
#: Part of PyTorch's random weights that the last layer of each gate starts with, by `random`. On VGG's features of
#: drawings the whole of them would close some gates and open others fully, which leaves little of the features.
RANDOM_PART = 0.1
LARGEST_KERNEL, LARGEST_REDUCTION = 63, 4096
#: What two gates that start at 1/2 scale features by.
HALF_TWICE = 0.25
#: Starts of gates after which the network makes up for that scale.
MADE_UP: tuple[GateInit, ...] = ("half", "random")


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

    def weigh(self, mean: Float[Tensor, "n c 1 1"], maximum: Float[Tensor, "n c 1 1"]) -> Float[Tensor, "n c 1 1"]:
        """Return the weight of each channel from its mean and maximum over positions."""
        pooled = torch.stack((mean, maximum)).flatten(2)
        weight = self.expand(torch.relu(self.reduce(pooled))).sum(0)
        return torch.sigmoid(weight)[:, :, None, None]

    def forward(self, features: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c 1 1"]:
        """Return the weight of each channel."""
        return self.weigh(_mean(features, (2, 3)), features.amax((2, 3), keepdim=True))


class SpatialGate(nn.Module):
    """Eq. 2: `SP(F) = σ(conv([avg_c(F); max_c(F)]))`, one weight in (0, 1) per position.

    Args:
        kernel_size: side of the convolution, odd.
    """

    def __init__(self, *, kernel_size: int = 7) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 1, kernel_size, padding=kernel_size // 2)

    def weigh(self, mean: Float[Tensor, "n 1 h w"], maximum: Float[Tensor, "n 1 h w"]) -> Float[Tensor, "n 1 h w"]:
        """Return the weight of each position from its mean and maximum over channels."""
        return torch.sigmoid(self.conv(torch.cat((mean, maximum), dim=1)))

    def forward(self, features: Float[Tensor, "n c h w"]) -> Float[Tensor, "n 1 h w"]:
        """Return the weight of each position."""
        return self.weigh(_mean(features, (1,)), features.amax(1, keepdim=True))


class AttentionGate(nn.Module):
    """A gate in the first two pool slots of VGG-16, which weights features by channel and by position.

    Args:
        channels: C of the features.
        order: `channel_spatial` (CBAM: the spatial gate sees the channel-weighted features), `spatial_channel`, or
            `parallel` (both see the input, both weights multiply it).
        reduction: r of the channel gate.
        kernel_size: side of the spatial gate's convolution, odd.
        init: `default` (PyTorch's; each gate starts near 0.5, so together they scale by about 0.25), `half` (each at
            exactly 1/2), `random` (each around 1/2, a tenth as uneven as PyTorch's), `ajar` (both start at sigmoid(2),
            about 0.88) or `open` (at sigmoid(5), about 0.99).
        downsample: `none` (the paper's text: the pool is replaced) or `max` (2×2 max-pool after the gate, VGG's cost).
        pooling: kind of that pool.

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
        pooling: Pooling = "max",
    ) -> None:
        super().__init__()
        check_gate(order, init, downsample, kernel_size, reduction)
        self.order = order
        self.channel = ChannelGate(channels, reduction=reduction)
        self.spatial = SpatialGate(kernel_size=kernel_size)
        self.pool = new_pool(pooling) if downsample == "max" else nn.Identity()
        if init in START_BIASES:
            # Eq. 1 adds the average's and the maximum's paths, and the bias with them: half of it each.
            for last, bias in (
                (self.channel.expand, START_BIASES[init] / 2),
                (self.spatial.conv, START_BIASES[init]),
            ):
                if init != "random":
                    nn.init.zeros_(last.weight)
                elif not last.weight.is_meta:
                    last.weight.data.mul_(RANDOM_PART)
                assert last.bias is not None
                # note: filled, not computed: arithmetic without memory (`meta`) makes torch load its compiler
                nn.init.constant_(last.bias, bias)

    def forward(self, features: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h2 w2"]:
        """Weight the features; their size halves with `downsample="max"`."""
        if self.order == "channel_spatial":
            features = weigh_by_pooled(features, (2, 3), self.channel.weigh)
            gated = weigh_by_pooled(features, (1,), self.spatial.weigh, owned=True)
        elif self.order == "spatial_channel":
            features = weigh_by_pooled(features, (1,), self.spatial.weigh)
            gated = weigh_by_pooled(features, (2, 3), self.channel.weigh, owned=True)
        else:
            gated = features * (self.channel(features) * self.spatial(features))
        return self.pool(gated)

    def weights(self, features: Float[Tensor, "n c h w"]) -> tuple[Float[Tensor, "n c 1 1"], Float[Tensor, "n 1 h w"]]:
        """Return what `forward` multiplies the features by: the weight of each channel, and of each position."""
        channel = self.channel(self.pooled_features(features))
        return channel, self.spatial(features * channel if self.order == "channel_spatial" else features)

    def pooled_features(self, features: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        """Return what the channel gate pools from."""
        return features * self.spatial(features) if self.order == "spatial_channel" else features

    def weighted(self, features: Float[Tensor, "n c h w"], weight: Float[Tensor, "n c 1 1"]) -> Tensor:
        """Return what `forward` does, with weights of the channels that are known."""
        if self.order == "channel_spatial":
            features = features * weight
            return self.pool(features * self.spatial(features))
        return self.pool(features * (weight * self.spatial(features)))


def is_gate_tensor(name: str) -> bool:
    """Tell by its name in a state dictionary whether a tensor is of an `AttentionGate`."""
    return any(part in name for part in (".channel.reduce.", ".channel.expand.", ".spatial.conv."))


def check_gate(order: str, init: str, downsample: str, kernel_size: int, reduction: int) -> None:
    """Raise ValueError for a setting of `AttentionGate` outside its choices or its range."""
    if order not in get_args(GateOrder):
        raise ValueError(f"gate_order {order!r} is unknown: use channel_spatial, spatial_channel or parallel")
    if init not in get_args(GateInit):
        raise ValueError(f"gate_init {init!r} is unknown: use {', '.join(get_args(GateInit))}")
    if downsample not in ("none", "max"):
        raise ValueError(f"downsample {downsample!r} is unknown: use none or max")
    if not 1 <= kernel_size <= LARGEST_KERNEL or kernel_size % 2 == 0:
        raise ValueError(f"gate_kernel is {kernel_size}: it must be odd and positive, {LARGEST_KERNEL} at most")
    if not 1 <= reduction <= LARGEST_REDUCTION:
        raise ValueError(f"gate_reduction is {reduction}: it must be at least 1, and {LARGEST_REDUCTION} at most")


# ---------------------------------------------------------------------------------------------------------------------
# Weighing features by what is pooled from them


def weigh_by_pooled(
    features: Float[Tensor, "n c h w"],
    dims: tuple[int, ...],
    weigh: Callable[[Tensor, Tensor], Tensor],
    *,
    owned: bool = False,
) -> Float[Tensor, "n c h w"]:
    """Return `features * weigh(mean, maximum)`, both pooled from the features over `dims` and kept as size 1.

    Written out, autograd passes over the features a dozen times on the way back, which costs as much as the
    convolutions around a gate. Here the gradient is put together in four passes. Where it is to be differentiated again
    (`create_graph=True`), inside a transform of `torch.func`, and compiled, the product is written out: the first two
    need it, and the compiler joins the passes itself.

    Args:
        features: fastest in channels_last layout.
        dims: (2, 3) or (1,).
        weigh: from the mean and the maximum to weights that broadcast over the features.
        owned: nobody else holds the features; without gradient they may be overwritten.
    """
    differentiable = torch.is_grad_enabled() and features.requires_grad
    if torch.compiler.is_compiling() or inside_transform() or not differentiable:
        weight = weigh(_mean(features, dims), features.amax(dims, keepdim=True))
        overwrite = owned and not torch.is_grad_enabled()
        return features.mul_(weight) if overwrite else features * weight
    passed: dict[str, Tensor] = {}
    mean, maximum = _Pool.apply(features, dims, passed)
    return _Weigh.apply(features, weigh(mean, maximum), passed)


class _Pool(torch.autograd.Function):
    """Mean and maximum. Its backward pass, always the later, also does the product's that `_Weigh` left to it."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, dims: tuple[int, ...], passed: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        n, c, h, w = features.shape
        rows = _rows(features)
        if dims == (1,):
            maximum, index = F.adaptive_max_pool1d(rows, 1, return_indices=True)
            maximum = maximum.view(n, 1, h, w)
        else:
            maximum, index = F.adaptive_max_pool2d(features, 1, return_indices=True)
            index = index.view(n, 1, c)
        ctx.save_for_backward(index)
        ctx.pooled = c if dims == (1,) else h * w
        ctx.along = 2 if dims == (1,) else 1
        ctx.shape, ctx.dtype = features.shape, features.dtype
        ctx.passed = passed
        return _mean(features, dims), maximum

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (index,) = ctx.saved_tensors
        mean_gradient = (gradients[0] / ctx.pooled).to(ctx.dtype)
        # Of equal greatest features one has the gradient, as in max-pooling.
        maximum_gradient = gradients[1].to(ctx.dtype).reshape(index.shape)
        if not ctx.passed:  # `_Weigh` left nothing
            n, c, h, w = ctx.shape
            of_maximum = maximum_gradient.new_zeros(n, h * w, c).scatter_add(ctx.along, index, maximum_gradient)
            return mean_gradient + of_maximum.view(n, h, w, c).permute(0, 3, 1, 2), None, None
        of_product, weight, space = (ctx.passed.pop(name) for name in ("gradient", "weight", "space"))
        if ctx.along == 1:
            gradient = torch.addcmul(mean_gradient, of_product, weight, out=space)
        else:  # note: with one weight for all channels, `addcmul` takes four times as long as these two on a CPU
            gradient = torch.mul(of_product, weight, out=space).add_(mean_gradient)
        rows = _rows(gradient)
        n, positions, c = rows.shape
        of_picture, of_position, of_channel = (
            torch.arange(count, device=index.device) * step
            for count, step in ((n, positions * c), (positions, c), (c, 1))
        )
        within = of_position[:, None] + index if ctx.along == 2 else index * c + of_channel
        # note: `scatter_add_` takes six times as long on a CPU: it copies all that it adds to
        places = (of_picture[:, None, None] + within).flatten()
        rows.view(-1).index_add_(0, places, maximum_gradient.flatten())
        return gradient, None, None


class _Weigh(torch.autograd.Function):
    """Product of features and weights."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, weight: Tensor, passed: dict[str, Tensor]) -> Tensor:
        ctx.save_for_backward(features, weight)
        ctx.passed = passed
        return features * weight

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor, None]:
        features, weight = ctx.saved_tensors
        gradient = gradients[0].to(features.dtype)
        ctx.passed.clear()
        if torch.is_grad_enabled() or inside_transform():  # to be differentiated again, or for many at once
            return gradient * weight, (gradient * features).sum_to_size(weight.shape), None
        # note: this memory is written to again by _Pool. On a CPU, taking new memory costs more than the arithmetic.
        space = torch.empty_like(features, memory_format=torch.channels_last)
        weight_gradient = torch.mul(gradient, features, out=space).sum_to_size(weight.shape)
        ctx.passed.update(gradient=gradient, weight=weight.to(features.dtype), space=space)
        return None, weight_gradient, None


def _mean(features: Float[Tensor, "n c h w"], dims: tuple[int, ...]) -> Float[Tensor, "n _ _ _"]:
    # note: as pooling and as a 1×1 convolution, because mean() is several times slower in bfloat16.
    _, c, h, w = features.shape
    if dims == (1,):
        return F.conv2d(features, features.new_full((1, c, 1, 1), 1 / c))
    # Row by row: one running sum in float32 over a page of a few hundred pixels a side is off by a thousandth.
    return F.avg_pool2d(F.avg_pool2d(features, (1, w)), (h, 1))


def _rows(features: Float[Tensor, "n c h w"]) -> Float[Tensor, "n positions c"]:
    """Return the features by position; a view in channels_last layout."""
    return features.permute(0, 2, 3, 1).flatten(1, 2)
