"""The terms of a loss for pictures too large for memory: in strips, with the value that the whole pictures give.

A forward and backward pass over a picture of 1.5 megapixels grows the peak by 5.5 GB, of 3 by 10.8. In strips the first
took 2.8 GB, and four times as long with the gated weights `sketch` (benchmarks/large_picture.py).
"""

from typing import cast

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from sketchloss.backbone import Backbone
from sketchloss.blank_paper import BlankPaper
from sketchloss.feature_distance import PlainMetric, position_distance
from sketchloss.ink_distance import joins, relative_distance, relative_ink
from sketchloss.strips import InStrips, Strip
from sketchloss.tap_distance import Metric
from sketchloss.target_features import Features

#: Pixels of a picture that is looked at in strips.
LARGE = 2**21
#: Features that forward and backward pass hold of a pixel, gradients and all (benchmarks/large_picture.py: 3.6 kB
#: in float32).
FEATURES_PER_PIXEL = 900


class LargePictures:
    """The content and style terms of one loss, for pictures of one size.

    Args:
        backbone: frozen.
        layers: names of the taps.
        metric: of the content term.
        paper: of the backbone and the layers.
        content: whether the content term is wanted.
        style: whether the style term is wanted.
        height: of the pictures in pixels.
        width: in pixels.
    """

    def __init__(
        self,
        backbone: Backbone,
        layers: tuple[str, ...],
        metric: Metric,
        paper: BlankPaper,
        *,
        content: bool,
        style: bool,
        height: int,
        width: int,
    ) -> None:
        self._layers, self._metric, self._content, self._style = layers, metric, content, style
        strides = InStrips(backbone, layers, height, width).strides
        #: Of each tap: so many by so many positions are added up, with the metric `ink`.
        self._sides = {layer: joins(height // strides[layer], width // strides[layer]) for layer in layers}
        grid = max(self._sides[layer] * strides[layer] for layer in layers) if metric == "ink" else 1
        self._floors = paper.floors(height, width) if metric == "ink" else {}
        self._look = InStrips(backbone, layers, height, width, grid=grid)
        self._size = height, width

    def terms(
        self, pred: Float[Tensor, "1 3 h w"], target: Tensor | Features, mask: Float[Tensor, "1 1 h w"] | None
    ) -> dict[tuple[str, str], Float[Tensor, " 1"]]:
        """Return the unweighted terms, by kind and tap.

        Args:
            pred: one picture; the gradient flows here.
            target: another, or its features.
            mask: weight of each pixel; None: all alike.

        Raises:
            ValueError: for features of pictures of another size.
        """
        theirs = target if isinstance(target, Tensor) else None
        if not isinstance(target, Tensor):
            self._check(target)
        with torch.no_grad():
            white = pred.new_ones(1, 3, 1, 1).expand(1, 3, *self._size)
            their_weights = [] if theirs is None else self._look.channel_weights(theirs)
            white_weights = self._look.channel_weights(white) if self._metric == "ink" and self._content else []

        def use(features: dict[str, Tensor], strip: Strip) -> tuple[Tensor, ...]:
            with torch.no_grad():
                if theirs is not None:
                    others = self._look.features(theirs, strip, their_weights)
                else:
                    assert not isinstance(target, Tensor)
                    others = {layer: strip.outer(target[layer], self._look.strides[layer]) for layer in self._layers}
                blank = self._look.features(white, strip, white_weights) if self._metric == "ink" else {}
            found: list[Tensor] = []
            for layer in self._layers:
                weight = None if mask is None else strip.outer(self._weight(mask, layer), self._look.strides[layer])
                found += self._summarise(layer, features[layer], others[layer].detach(), blank.get(layer), weight)
            return tuple(found)

        return self._finish([list(parts) for parts in self._look.each(pred, use)])

    def _summarise(
        self, layer: str, ours: Tensor, theirs: Tensor, blank: Tensor | None, weight: Tensor | None
    ) -> list[Tensor]:
        """Return what is kept of a strip at one tap."""
        found: list[Tensor] = []
        if self._content and self._metric == "ink":
            assert blank is not None
            found += [relative_ink(one, blank, weight=weight, side=self._sides[layer]) for one in (ours, theirs)]
        elif self._content:
            each = position_distance(ours, theirs, cast(PlainMetric, self._metric))
            counts = torch.ones_like(each) if weight is None else weight
            found += [(each * counts).sum((1, 2, 3)), counts.sum((1, 2, 3))]
        if self._style:
            counts = torch.ones_like(ours[:, :1], dtype=torch.float32) if weight is None else weight
            found += [_products(ours, counts), _products(theirs, counts), counts.sum((1, 2, 3))]
        return found

    def _finish(self, strips: list[list[Tensor]]) -> dict[tuple[str, str], Tensor]:
        columns = iter(zip(*strips, strict=True))
        terms: dict[tuple[str, str], Tensor] = {}
        for layer in self._layers:
            if self._content and self._metric == "ink":
                ours, theirs = (torch.cat(next(columns), dim=2) for _ in range(2))
                terms["content", layer] = relative_distance(ours, theirs, floor=self._floors[layer]).float()
            elif self._content:
                total, count = (torch.stack(next(columns)).sum(0) for _ in range(2))
                terms["content", layer] = total / count.clamp_min(1e-6)
            if self._style:
                ours, theirs, count = (torch.stack(next(columns)).sum(0) for _ in range(3))
                gap = (ours - theirs) / (ours.shape[-1] * count.clamp_min(1e-6))[:, None, None]
                terms["style", layer] = gap.square().sum((1, 2))
        return terms

    def _check(self, target: Features) -> None:
        for layer, stride in self._look.strides.items():
            height, width = (side // stride for side in self._size)
            if target[layer].shape[0] != 1 or target[layer].shape[2:] != (height, width):
                raise ValueError(
                    f"{layer} of target is {tuple(target[layer].shape)}, and of pred {height}x{width} positions: give "
                    "matching images"
                )

    def _weight(self, mask: Tensor, layer: str) -> Tensor:
        height, width = (side // self._look.strides[layer] for side in self._size)
        return F.interpolate(mask, size=(height, width), mode="area")


def _products(features: Float[Tensor, "n c h w"], weight: Float[Tensor, "n 1 h w"]) -> Float[Tensor, "n c c"]:
    flat = features.float().flatten(2)
    with torch.autocast(features.device.type, enabled=False):
        return torch.bmm(flat * weight.flatten(2), flat.mT)
