"""Features of a picture too large for memory: patch by patch, with the numbers that the whole picture gives.

A feature depends on pixels near it, so that a patch of the picture with a border around it gives its own features
exactly. Channel gates pool over the whole picture: their weights are computed first, also patch by patch. Under
autograd nothing of a patch is kept; it is computed again in the backward pass.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from sketchloss.networks.attention import AttentionGate
from sketchloss.networks.backbone import Backbone
from sketchloss.networks.slots import halves
from sketchloss.networks.vgg import VGG, tap_index

#: Side of a patch in pixels, without its border.
SIDE = 448
#: Patches begin at multiples of this many pixels: the grids of the pools start there.
GRID = 32


@dataclass(frozen=True)
class Span:
    """Pixels of a picture along one axis."""

    read: slice
    """The pixels that are looked at, border included."""
    start: int
    """The first pixel that the span answers for."""
    stop: int | None
    """The pixel after the last one; None: to the end."""

    def inner(self, stride: int) -> slice:
        """Return where the positions that the span answers for are among those that are looked at."""
        begin = self.read.start
        return slice((self.start - begin) // stride, None if self.stop is None else (self.stop - begin) // stride)

    def outer(self, stride: int) -> slice:
        """Return where the positions that the span answers for are in the whole picture."""
        return slice(self.start // stride, None if self.stop is None else self.stop // stride)


@dataclass(frozen=True)
class Patch:
    """A rectangle of a picture."""

    down: Span
    across: Span

    def read(self, images: Tensor) -> Tensor:
        """Return the pixels that are looked at, border included."""
        return images[:, :, self.down.read, self.across.read]

    def inner(self, features: Tensor, stride: int) -> Tensor:
        """Return the positions that it answers for, of features of the pixels that are looked at."""
        return features[:, :, self.down.inner(stride), self.across.inner(stride)]

    def outer(self, features: Tensor, stride: int) -> Tensor:
        """Return the positions that it answers for, of features of the whole picture."""
        return features[:, :, self.down.outer(stride), self.across.outer(stride)]


class InPatches:
    """A backbone that looks at pictures of one size patch by patch.

    Args:
        backbone: in eval mode, of a kind that is `in_patches`.
        layers: names of the taps.
        height: height of the pictures in pixels.
        width: width in pixels.
        grid: patches begin at multiples of this many pixels, a power of two; raised to `GRID`.
    """

    def __init__(self, backbone: Backbone, layers: Iterable[str], height: int, width: int, *, grid: int = GRID) -> None:
        assert isinstance(backbone, VGG)
        self._modules = list(backbone.features)
        self._backbone = backbone
        self._taps = {tap_index(layer): layer for layer in layers}
        self._last = max(self._taps)
        self._size = height, width
        self._side = max(1, round(SIDE / max(grid, GRID))) * max(grid, GRID)
        self.strides = {layer: self._stride(index + 1) for index, layer in self._taps.items()}
        """Pixels from one position to the next, of each tap."""
        self.rows = self._cut(self._last + 1)
        """The patches, by rows."""

    @property
    def patches(self) -> list[Patch]:
        """The patches, row by row."""
        return [patch for row in self.rows for patch in row]

    def each(
        self, images: Float[Tensor, "n 3 h w"], use: Callable[[dict[str, Tensor], Patch], tuple[Tensor, ...]]
    ) -> Iterator[tuple[Tensor, ...]]:
        """Call a function on the features of each patch, row by row, and yield what it returns.

        Args:
            images: images of this size; the gradient flows to them.
            use: from the features (layer -> n×c×h'×w') of the positions that a patch answers for, and the patch, to
                small tensors. Called again in the backward pass.
        """
        weights = self.channel_weights(images)

        def look(pixels: Tensor, patch: Patch, *weights: Tensor) -> tuple[Tensor, ...]:
            return use(self._look(pixels, patch, weights), patch)

        for patch in self.patches:
            yield _again(look, patch.read(images), patch, *weights)

    def features(
        self, images: Float[Tensor, "n 3 h w"], patch: Patch, weights: Iterable[Tensor]
    ) -> dict[str, Float[Tensor, "n c h2 w2"]]:
        """Return features of the positions that a patch answers for; `weights` are what `channel_weights` returned."""
        return self._look(patch.read(images), patch, tuple(weights))

    def channel_weights(self, images: Float[Tensor, "n 3 h w"]) -> list[Float[Tensor, "n c 1 1"]]:
        """Return the weights of each channel gate up to the deepest layer, which are pooled from the whole pictures."""
        found: list[Tensor] = []
        for index, module in enumerate(self._modules[: self._last + 1]):
            if not isinstance(module, AttentionGate):
                continue
            stride = self._stride(index)

            def pool(
                pixels: Tensor, patch: Patch, *weights: Tensor, gate: AttentionGate = module, at: int = index
            ) -> tuple[Tensor, ...]:
                seen = self._look(pixels, patch, weights, before=at)["gate"]
                pooled = patch.inner(gate.pooled_features(seen), self._stride(at))
                exact = torch.promote_types(pooled.dtype, torch.float32)
                return pooled.sum((2, 3), keepdim=True, dtype=exact), pooled.amax((2, 3), keepdim=True)

            patches = [patch for row in self._cut(index, gate=True) for patch in row]
            parts = [_again(pool, patch.read(images), patch, *found) for patch in patches]
            maximum = torch.stack([greatest for _, greatest in parts]).amax(0)
            count = (self._size[0] // stride) * (self._size[1] // stride)
            mean = torch.stack([total for total, _ in parts]).sum(0) / count
            found.append(module.channel.weigh(mean.to(maximum.dtype), maximum))
        return found

    def blank(self, dtype: torch.dtype) -> "BlankPage":
        """Return how the backbone sees a white page of the size, computed from a small one.

        Args:
            dtype: number type of the page's pixels.
        """
        border = -(-self._reach(self._last + 1) // GRID) * GRID
        small = tuple(min(side, 4 * border + side % GRID) for side in self._size)
        page = self._backbone.mean.new_ones((1, 3, *small), dtype=dtype)
        patch = Patch(*(Span(slice(0, side), 0, None) for side in small))
        weights: list[Tensor] = []
        for index, module in enumerate(self._modules[: self._last + 1]):
            if isinstance(module, AttentionGate):
                seen = module.pooled_features(self._look(page, patch, tuple(weights), before=index)["gate"])
                total = seen.to(torch.promote_types(seen.dtype, torch.float32))
                for dim, (side, page_side) in enumerate(zip(self._size, small, strict=True), start=2):
                    places = _of_small(side, page_side, self._stride(index), 2 * border, seen.device)
                    counts = places.bincount(minlength=seen.shape[dim]).to(total.dtype)
                    total = (total.movedim(dim, -1) * counts).sum(-1, keepdim=True).movedim(-1, dim) / len(places)
                weights.append(module.channel.weigh(total.to(seen.dtype), seen.amax((2, 3), keepdim=True)))
        return BlankPage(self._look(page, patch, tuple(weights)), self.strides, self._size, small, 2 * border)

    def _look(
        self, pixels: Tensor, patch: Patch, weights: tuple[Tensor, ...], *, before: int | None = None
    ) -> dict[str, Tensor]:
        """Run the network on a patch: to the taps' inner positions, or to all that comes before a gate."""
        features = self._backbone.normalise(pixels)
        known = iter(weights)
        taps: dict[str, Tensor] = {}
        for index, module in enumerate(self._modules[: self._last + 1]):
            if index == before:
                return {"gate": features}
            gated = isinstance(module, AttentionGate)
            features = module.weighted(features, next(known)) if gated else module(features)
            if index in self._taps:
                layer = self._taps[index]
                taps[layer] = patch.inner(features, self.strides[layer])
        return taps

    def _cut(self, depth: int, *, gate: bool = False) -> list[list[Patch]]:
        """Return patches, by rows, whose borders suffice for the first so many modules, and for the gate after them."""
        border = -(-self._reach(depth + gate) // GRID) * GRID
        down, across = (_spans(length, self._side, border) for length in self._size)
        return [[Patch(row, column) for column in across] for row in down]

    def _reach(self, depth: int) -> int:
        """Return how many pixels a feature of the first so many modules sees to either side."""
        reach, stride = 0, 1
        for module in self._modules[:depth]:
            if isinstance(module, nn.Conv2d):
                reach += stride * module.dilation[0] * (module.kernel_size[0] // 2)
            elif isinstance(module, AttentionGate):
                reach += stride * (module.spatial.conv.kernel_size[0] // 2)
            if halves(module):
                reach += 2 * stride  # the pool itself, and a blur
                stride *= 2
        return reach

    def _stride(self, depth: int) -> int:
        """Return the pixels from one position to the next after the first so many modules."""
        return 2 ** sum(map(halves, self._modules[:depth]))


@dataclass(frozen=True)
class BlankPage:
    """Features of a white page: far from its edges all positions are alike, so a small page is enough."""

    _seen: dict[str, Float[Tensor, "1 c h w"]]
    _strides: dict[str, int]
    _size: tuple[int, int]
    _small: tuple[int, ...]
    _middle: int

    def of(self, patch: Patch) -> dict[str, Float[Tensor, "1 c h2 w2"]]:
        """Return the features of the positions that a patch answers for."""
        found = {}
        for layer, features in self._seen.items():
            stride = self._strides[layer]
            for dim, span in ((2, patch.down), (3, patch.across)):
                side, small = self._size[dim - 2], self._small[dim - 2]
                places = _of_small(side, small, stride, self._middle, features.device)[span.outer(stride)]
                features = features.index_select(dim, places)
            found[layer] = features
        return found


# ---------------------------------------------------------------------------------------------------------------------


def _of_small(side: int, small: int, stride: int, middle: int, device: torch.device) -> Tensor:
    """Return for each position along an axis of a white page which position of the small page looks the same."""
    places = torch.arange(side // stride, device=device)
    return torch.where(
        places < middle // stride, places, (places - (side - small) // stride).clamp_min(middle // stride)
    )


def _spans(length: int, side: int, border: int) -> list[Span]:
    stops = [*range(side, length - border, side), None]  # the last one is not narrower than its border
    starts = [0, *(stop for stop in stops if stop is not None)]
    return [
        Span(slice(max(0, start - border), length if stop is None else min(length, stop + border)), start, stop)
        for start, stop in zip(starts, stops, strict=True)
    ]


def _again(function: Callable[..., tuple[Tensor, ...]], pixels: Tensor, *more: Any) -> tuple[Tensor, ...]:
    """Call a function, and under autograd once more in the backward pass instead of keeping what it computed."""
    if not torch.is_grad_enabled():
        return function(pixels, *more)
    return checkpoint(function, pixels, *more, use_reentrant=False)
