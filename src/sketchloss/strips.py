"""Features of a picture too large for memory: strip by strip, with the numbers that the whole picture gives.

A feature depends on pixels near it, so that a strip of the picture with a border above and below gives its own features
exactly. Channel gates pool over the whole picture: their weights are computed first, likewise in strips. Under autograd
nothing of a strip is kept; it is computed again in the backward pass.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from sketchloss.attention import AttentionGate
from sketchloss.backbone import Backbone, tap_index
from sketchloss.pooling import BlurredPool

#: Pixels of a strip without its border.
PIXELS = 2**19
#: Strips begin at multiples of this many pixels: the pools' grids, and the rows that are added up, start there.
GRID = 32


@dataclass(frozen=True)
class Strip:
    """Rows of a picture."""

    read: slice
    """The rows that are looked at, border included."""
    start: int
    """The first row that it answers for."""
    stop: int | None
    """The row after the last one; None: to the end."""

    def inner(self, features: Tensor, stride: int) -> Tensor:
        """Return the rows that it answers for, of features of the rows that are looked at."""
        begin = (self.start - self.read.start) // stride
        return features[:, :, begin : None if self.stop is None else (self.stop - self.read.start) // stride]

    def outer(self, features: Tensor, stride: int) -> Tensor:
        """Return the rows that it answers for, of features of the whole picture."""
        return features[:, :, self.start // stride : None if self.stop is None else self.stop // stride]


class InStrips:
    """A backbone that looks at pictures of one size strip by strip.

    Args:
        backbone: in eval mode.
        layers: names of the taps.
        height: of the pictures in pixels.
        width: in pixels.
        grid: strips begin at multiples of this many pixels; raised to `GRID`.
    """

    def __init__(self, backbone: Backbone, layers: Iterable[str], height: int, width: int, *, grid: int = GRID) -> None:
        self._modules = list(backbone.features)
        self._backbone = backbone
        self._taps = {tap_index(layer): layer for layer in layers}
        self._last = max(self._taps)
        reach, self.strides = self._measure()
        grid = max(grid, GRID)
        border = -(-reach // GRID) * GRID
        rows = max(1, round(PIXELS / width / grid)) * grid
        stops = [*range(rows, height - reach, rows), None]  # the last one is not narrower than its border
        starts = [0, *(stop for stop in stops if stop is not None)]
        self.strips = [
            Strip(slice(max(0, start - border), height if stop is None else stop + border), start, stop)
            for start, stop in zip(starts, stops, strict=True)
        ]

    def each(
        self, images: Float[Tensor, "n 3 h w"], use: Callable[[dict[str, Tensor], Strip], tuple[Tensor, ...]]
    ) -> Iterator[tuple[Tensor, ...]]:
        """Call a function on the features of each strip, and yield what it returns.

        Args:
            images: of the size; the gradient flows to them.
            use: from the features (layer -> n×c×h'×w') of the rows that a strip answers for, and the strip, to small
                tensors. Called again in the backward pass.
        """
        weights = self.channel_weights(images)

        def look(rows: Tensor, strip: Strip, *weights: Tensor) -> tuple[Tensor, ...]:
            return use(self._look(rows, strip, weights), strip)

        for strip in self.strips:
            yield _again(look, images[:, :, strip.read], strip, *weights)

    def features(
        self, images: Float[Tensor, "n 3 h w"], strip: Strip, weights: Iterable[Tensor]
    ) -> dict[str, Float[Tensor, "n c h2 w2"]]:
        """Return the features of the rows that a strip answers for; `weights` are what `channel_weights` returned."""
        return self._look(images[:, :, strip.read], strip, tuple(weights))

    def channel_weights(self, images: Float[Tensor, "n 3 h w"]) -> list[Float[Tensor, "n c 1 1"]]:
        """Return the weights of each channel gate up to the deepest layer, which are pooled from the whole pictures."""
        found: list[Tensor] = []
        for index, module in enumerate(self._modules[: self._last + 1]):
            if isinstance(module, AttentionGate):

                def pool(rows: Tensor, strip: Strip, *weights: Tensor, index: int = index) -> tuple[Tensor, ...]:
                    gate = self._modules[index]
                    assert isinstance(gate, AttentionGate)
                    seen = self._look(rows, strip, weights, before=index)["gate"]
                    pooled = strip.inner(gate.pooled_features(seen), self._stride_before(index))
                    return pooled.sum((2, 3), keepdim=True, dtype=torch.float32), pooled.amax((2, 3), keepdim=True)

                parts = [_again(pool, images[:, :, strip.read], strip, *found) for strip in self.strips]
                stride = self._stride_before(index)
                count = (images.shape[2] // stride) * (images.shape[3] // stride)
                maximum = torch.stack([greatest for _, greatest in parts]).amax(0)
                mean = torch.stack([total for total, _ in parts]).sum(0) / count
                found.append(module.channel.weigh(mean.to(maximum.dtype), maximum))
        return found

    def _look(
        self, rows: Tensor, strip: Strip, weights: tuple[Tensor, ...], *, before: int | None = None
    ) -> dict[str, Tensor]:
        """Run the network on a strip: to the taps' inner rows, or to all that comes before a gate."""
        first = self._modules[0]
        assert isinstance(first, nn.Conv2d)
        features = ((rows - self._backbone.mean) / self._backbone.std).to(first.weight.dtype)
        known = iter(weights)
        taps: dict[str, Tensor] = {}
        for index, module in enumerate(self._modules[: self._last + 1]):
            if index == before:
                return {"gate": features}
            gated = isinstance(module, AttentionGate)
            features = module.weighted(features, next(known)) if gated else module(features)
            if index in self._taps:
                layer = self._taps[index]
                taps[layer] = strip.inner(features, self.strides[layer])
        return taps

    def _measure(self) -> tuple[int, dict[str, int]]:
        """Return how many pixels a feature of the deepest layer sees to either side, and the strides of all taps."""
        reach, stride, strides = 0, 1, {}
        for index, module in enumerate(self._modules[: self._last + 1]):
            if isinstance(module, nn.Conv2d):
                reach += stride * (module.kernel_size[0] // 2)
            elif isinstance(module, AttentionGate):
                reach += stride * (module.spatial.conv.kernel_size[0] // 2)
            pool = module.pool if isinstance(module, AttentionGate) else module
            if isinstance(pool, nn.MaxPool2d | BlurredPool):
                reach += 2 * stride  # the pool itself, and a blur
                stride *= 2
            if index in self._taps:
                strides[self._taps[index]] = stride
        return reach, strides

    def _stride_before(self, index: int) -> int:
        pools = (module.pool if isinstance(module, AttentionGate) else module for module in self._modules[:index])
        return 2 ** sum(isinstance(pool, nn.MaxPool2d | BlurredPool) for pool in pools)


def _again(function: Callable[..., tuple[Tensor, ...]], rows: Tensor, *more: Any) -> tuple[Tensor, ...]:
    """Call a function, and under autograd once more in the backward pass instead of keeping what it computed."""
    if not torch.is_grad_enabled():
        return function(rows, *more)
    return checkpoint(function, rows, *more, use_reentrant=False)
