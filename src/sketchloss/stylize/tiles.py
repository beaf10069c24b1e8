"""A picture of any size through the stylizer, tile by tile, with the result of the picture in one piece.

Plain tiles would show seams, because instance normalisation takes its mean and variance over the whole picture. So the
tiles go through the first layer once to gather its statistics, then through two layers with the first's known, and so
on: nothing is approximated. Only the bottleneck, a quarter of the height and width, is ever held whole, twice: 16
floats a pixel at full width, where the network in one piece holds about 200 at its widest place. The price is half as
much arithmetic again, which a CPU wins back on pictures of some megapixels, as the tiles' maps fit its caches.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import product
from typing import NamedTuple

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from sketchloss.networks.stylizer import SMALLEST, STRIDE, Layer, Stylizer

TILE = 512  # pixels
# How far the padding around a tile spoils what comes out, rounded up to whole bottleneck positions: 4 + 1 + 2 pixels
# for the encoder's kernels of 9, 3 and 3; 2 + 1 + 4 for the decoder's, and no more in each of their earlier layers.
MARGIN = 8


class Span(NamedTuple):
    """A tile's stretch of one side of the map, and how much is read beyond it on either end."""

    start: int
    stop: int
    before: int
    after: int


class Statistics(NamedTuple):
    """Instance normalisation with its statistics known: a factor and a summand for each channel, c×1×1, float32."""

    scale: Float[Tensor, "c 1 1"]
    shift: Float[Tensor, "c 1 1"]


class Moments:
    """Mean and variance of each channel of a map that comes in pieces (Chan, Golub & LeVeque 1983), in float64."""

    def __init__(self) -> None:
        self.count = 0
        self.mean = self.squares = torch.zeros(())

    def add(self, features: Float[Tensor, "1 c h w"]) -> None:
        """Count a piece in."""
        values = features.to(torch.float64, copy=True)
        mean = values.mean((0, 2, 3))
        squares = values.sub_(mean[:, None, None]).square_().sum((0, 2, 3))  # faster than torch.var_mean
        count = features[0, 0].numel()
        difference, total = mean - self.mean.to(mean), self.count + count
        self.mean = self.mean + difference * (count / total)
        self.squares = self.squares + squares + difference**2 * (self.count * count / total)
        self.count = total

    def statistics(self, norm: nn.InstanceNorm2d | nn.GroupNorm) -> Statistics:
        """Return what the norm does to a map with these moments."""
        scale = norm.weight.double() / (self.squares / self.count + norm.eps).sqrt()
        shift = norm.bias.double() - self.mean * scale
        return Statistics(scale.float()[:, None, None], shift.float()[:, None, None])


@torch.inference_mode()
def stylize_tiled(
    stylizer: Stylizer, image: Tensor, *, tile: int = TILE, progress: Callable[[float], object] = lambda _: None
) -> Shaped[Tensor, "channels h w"]:
    """Turn one image into a sketch of the same size, with the memory of the bottleneck and one tile.

    Args:
        stylizer: on the device, and of the float type, to compute with.
        image: RGB, 3×h×w or 1×3×h×w, on any device: float in [0, 1], or uint8, which takes a quarter of the memory.
        tile: side in pixels of what goes through the full-size layers at once: a multiple of 4, and 16 at least.
        progress: is told now and then what share of the passes over the picture is done since it was told last; the
            shares add up to 1.

    Returns:
        The sketch, with the stylizer's 1 or 3 channels, of the image's type and on its device. From `stylizer(image)`
        it differs by rounding.

    Raises:
        ValueError: for another shape or type of image, another tile, or if the sketch is to be uint8 and its values are
            not numbers.
    """
    check_tile(tile)
    shape = tuple(image.shape)
    if len(shape) not in (3, 4) or shape[-3] != 3 or shape[:-3] not in ((), (1,)) or 0 in shape:
        raise ValueError(f"expected one image of shape (3, h, w) or (1, 3, h, w), got {shape}: give one at a time")
    if not image.is_floating_point() and image.dtype != torch.uint8:
        raise ValueError(f"expected an image of floats in [0, 1] or of uint8, got {image.dtype}: convert it")
    image = image.reshape(3, *shape[-2:])
    # A pass over the picture for each layer of the encoder, each block, each layer of the decoder, and the output.
    share = 1 / (len(stylizer.encoder) + len(stylizer.residuals) + len(stylizer.decoder) + 1)

    def tell(part: float) -> None:
        progress(part * share)

    bottleneck = _encode(stylizer, image, tile, tell)
    rows = max(1, (tile // STRIDE) ** 2 // bottleneck.shape[-1])
    for block in stylizer.residuals:
        _add_correction(block.first, block.second, bottleneck, rows)  # pyright: ignore
        tell(1.0)
    return _decode(stylizer, bottleneck, image, tile, tell)


def check_tile(tile: int) -> None:
    """Raise ValueError if a tile cannot be so many pixels high and wide."""
    if tile < SMALLEST or tile % STRIDE:
        raise ValueError(f"tile is {tile}: it must be a multiple of {STRIDE}, and at least {SMALLEST}")


# The full-size layers, in tiles --------------------------------------------------------------------------------------


def _encode(
    stylizer: Stylizer, image: Shaped[Tensor, "3 h w"], tile: int, tell: Callable[[float], object]
) -> Float[Tensor, "1 c h4 w4"]:
    height, width = (max(side + -side % STRIDE, SMALLEST) for side in image.shape[-2:])
    like = stylizer.output.weight
    layers = [layer for layer in stylizer.encoder if isinstance(layer, Layer)]
    shape = (1, layers[-1].convolution.out_channels, height // STRIDE, width // STRIDE)
    bottleneck = like.new_empty(shape).contiguous(memory_format=torch.channels_last)

    def read(rows: Span, columns: Span) -> Tensor:
        # Beyond the last row and column these are repeated, as pad_to_stride does.
        ys, xs = (
            torch.arange(span.start - span.before, span.stop + span.after, device=image.device).clamp(max=side - 1)
            for span, side in zip((rows, columns), image.shape[-2:], strict=True)
        )
        piece = image[None, :, ys[:, None], xs].to(like)
        return (piece / 255 if image.dtype == torch.uint8 else piece) * 2 - 1

    def store(rows: Span, columns: Span, features: Tensor) -> None:
        ys, xs = (slice(span.start // STRIDE, span.stop // STRIDE) for span in (rows, columns))
        bottleneck[..., ys, xs] = features

    tiles = [*product(_spans(height, tile, MARGIN), _spans(width, tile, MARGIN))]
    statistics = _measure(layers, tiles, tell, read, store)
    for strip in bottleneck.split(tile // STRIDE, dim=2):
        strip.copy_(_normalise(layers[-1], strip, statistics[-1]))
    return bottleneck


def _decode(
    stylizer: Stylizer,
    bottleneck: Float[Tensor, "1 c h4 w4"],
    image: Shaped[Tensor, "3 h w"],
    tile: int,
    tell: Callable[[float], object],
) -> Shaped[Tensor, "channels h w"]:
    height, width = image.shape[-2:]
    layers = [layer for layer in stylizer.decoder if isinstance(layer, Layer)]
    sketch = torch.empty((stylizer.config.channels, height, width), dtype=image.dtype, device=image.device)

    def read(rows: Span, columns: Span) -> Tensor:
        ys, xs = (slice(span.start - span.before, span.stop + span.after) for span in (rows, columns))
        return bottleneck[..., ys, xs]

    ys, xs = (_spans(side, tile // STRIDE, MARGIN // STRIDE) for side in bottleneck.shape[-2:])
    tiles = [*product(ys, xs)]
    statistics = _measure(layers, tiles, tell, read)
    for rows, columns in tiles:
        features = stylizer.output(_through(layers, statistics, read(rows, columns)))
        values = torch.sigmoid(_crop(features, rows, columns).float())[0]
        place = sketch[:, rows.start * STRIDE : rows.stop * STRIDE, columns.start * STRIDE : columns.stop * STRIDE]
        values = values[:, : place.shape[1], : place.shape[2]]  # without what was padded
        if sketch.dtype == torch.uint8:
            if values.isnan().any():
                raise ValueError(f"a sketch of shape {tuple(sketch.shape)} holds NaN: the network has diverged")
            values = (values * 255).round()
        place.copy_(values)
        tell(1 / len(tiles))
    return sketch


def _measure(
    layers: Sequence[Layer],
    tiles: Sequence[tuple[Span, Span]],
    tell: Callable[[float], object],
    read: Callable[[Span, Span], Tensor],
    store: Callable[[Span, Span, Tensor], None] | None = None,
) -> list[Statistics]:
    """Return each layer's statistics over the whole map; `store` is given what comes before the last one's norm."""
    statistics: list[Statistics] = []
    for depth, layer in enumerate(layers):
        moments = Moments()
        for rows, columns in tiles:
            features = _through(layers[:depth], statistics, read(rows, columns))
            features = _crop(layer.convolve(features), rows, columns)
            moments.add(features)
            if store is not None and depth == len(layers) - 1:
                store(rows, columns, features)
            tell(1 / len(tiles))
        statistics.append(moments.statistics(layer.norm))
    return statistics


def _through(layers: Sequence[Layer], statistics: Sequence[Statistics], features: Tensor) -> Tensor:
    for layer, known in zip(layers, statistics, strict=True):
        features = _normalise(layer, layer.convolve(features), known)
    return features


def _normalise(layer: Layer, features: Tensor, known: Statistics) -> Tensor:
    """Do what the layer does after its convolution, in place where the type allows it."""
    normalised = features.float().mul_(known.scale).add_(known.shift)
    return (normalised.relu_() if layer.relu else normalised).to(features.dtype)


def _spans(length: int, tile: int, margin: int) -> list[Span]:
    """Cut a side into tiles; at its two ends there is no margin, and a tile's padding is the image's own."""
    spans = []
    for start in range(0, length, tile):
        stop = min(start + tile, length)
        spans.append(Span(start, stop, min(margin, start), min(margin, length - stop)))
    return spans


def _crop(features: Tensor, rows: Span, columns: Span) -> Tensor:
    """Take off the margin, which is as many times larger or smaller as the features are than what was read."""
    slices = []
    for span, side in zip((rows, columns), features.shape[-2:], strict=True):
        read = span.before + span.stop - span.start + span.after
        slices.append(slice(span.before * side // read, side - span.after * side // read))
    return features[..., slices[0], slices[1]]


# The bottleneck, in strips -------------------------------------------------------------------------------------------


def _add_correction(first: Layer, second: Layer, features: Float[Tensor, "1 c h w"], rows: int) -> None:
    """Run a residual block in place, with one more map of its size."""
    inner = torch.empty_like(features)
    inside = _convolve_strips(first, features, inner, rows)
    known = _convolve_strips(second, inner, inner, rows, lambda strip: _normalise(first, strip, inside))
    for strip, correction in zip(features.split(rows, dim=2), inner.split(rows, dim=2), strict=True):
        strip.add_(_normalise(second, correction, known))


def _convolve_strips(
    layer: Layer,
    source: Float[Tensor, "1 c h w"],
    target: Float[Tensor, "1 c h w"],
    rows: int,
    prepare: Callable[[Tensor], Tensor] = lambda strip: strip,
) -> Statistics:
    """Convolve a few rows at a time; the target may be the source."""
    moments = Moments()
    for top, strip in _strips_with_margin(source, rows):
        bottom = min(top + rows, source.shape[2])
        convolved = layer.convolve(prepare(strip))
        convolved = convolved[:, :, min(top, 1) :][:, :, : bottom - top]
        target[:, :, top:bottom] = convolved
        moments.add(convolved)
    return moments.statistics(layer.norm)


def _strips_with_margin(source: Tensor, rows: int) -> Iterator[tuple[int, Tensor]]:
    """Give copies of a few rows at a time with the row above and the one below, as they were at the start."""
    above = source[:, :, :0]
    for top in range(0, source.shape[2], rows):
        strip = torch.cat([above, source[:, :, top : top + rows + 1]], dim=2)
        above = source[:, :, top + rows - 1 : top + rows].clone()  # before the caller writes over it
        yield top, strip
