"""The terms of a loss for pictures too large for memory: in patches, with the value that the whole pictures give."""

import math
from typing import cast

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from sketchloss.loss.blank_paper import BlankPaper
from sketchloss.loss.feature_distance import PlainMetric, position_distance
from sketchloss.loss.ink_distance import joins, relative_distance, relative_ink
from sketchloss.loss.tap_distance import Metric
from sketchloss.loss.target_features import Features
from sketchloss.networks.backbone import Backbone
from sketchloss.networks.patches import BlankPage, InPatches, Patch

#: Pixels of a picture that is looked at in patches.
LARGE = 2**21
#: Features that forward and backward pass hold of a pixel, gradients and all (benchmarks/large_picture.py: 3.6 kB
#: in float32).
FEATURES_PER_PIXEL = 900


class LargePictures:
    """The content and style terms of one loss, for pictures of one size.

    Args:
        backbone: frozen.
        layers: names of the taps.
        metric: metric of the content term.
        paper: blank paper of the backbone and the layers.
        content: whether the content term is wanted.
        style: whether the style term is wanted.
        height: height of the pictures in pixels.
        width: width in pixels.
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
        strides = InPatches(backbone, layers, height, width).strides
        #: Of each tap: so many by so many positions are added up, with the metric `ink`.
        self._sides = {layer: joins(height // strides[layer], width // strides[layer]) for layer in layers}
        grid = max(self._sides[layer] * strides[layer] for layer in layers) if metric == "ink" else 1
        self._floors = paper.floors(height, width) if metric == "ink" else {}
        self._look = InPatches(backbone, layers, height, width, grid=grid)
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
        if not isinstance(target, Tensor):
            self._check(target)
        with torch.no_grad():
            weights = self._look.channel_weights(target) if isinstance(target, Tensor) else []
            paper = self._look.blank(pred.dtype) if self._content and self._metric == "ink" else None

        def of_target(patch: Patch) -> dict[str, Tensor]:
            with torch.no_grad():
                if isinstance(target, Tensor):
                    return self._look.features(target, patch, weights)
                return {layer: patch.outer(target[layer].detach(), self._look.strides[layer]) for layer in self._layers}

        def summarise(features: dict[str, Tensor], patch: Patch) -> tuple[Tensor, ...]:
            return self._summarise(features, patch, paper, mask)

        def compare(features: dict[str, Tensor], patch: Patch) -> tuple[Tensor, ...]:
            return summarise(features, patch) + self._compare(features, of_target(patch), patch, mask)

        place_by_place = self._content and self._metric != "ink"
        ours = list(self._look.each(pred, compare if place_by_place else summarise))
        with torch.no_grad():
            alone = self._style or not place_by_place
            theirs = [summarise(of_target(patch), patch) for patch in self._look.patches] if alone else []
        return self._finish(ours, theirs, mask)

    def _summarise(
        self, features: dict[str, Tensor], patch: Patch, paper: BlankPage | None, mask: Tensor | None
    ) -> tuple[Tensor, ...]:
        """Return what is kept of a patch of one picture: of each tap its ink and its products, as far as wanted."""
        blank = None if paper is None else paper.of(patch)
        found: list[Tensor] = []
        for layer in self._layers:
            weight = self._weight(mask, layer, patch)
            if blank is not None:
                found.append(relative_ink(features[layer], blank[layer], weight=weight, side=self._sides[layer]))
            if self._style:
                found.append(_products(features[layer], weight))
        return tuple(found)

    def _compare(
        self, ours: dict[str, Tensor], theirs: dict[str, Tensor], patch: Patch, mask: Tensor | None
    ) -> tuple[Tensor, ...]:
        """Return the sum of the distances at the positions of a patch, of each tap."""
        found: list[Tensor] = []
        for layer in self._layers:
            each = position_distance(ours[layer], theirs[layer], cast(PlainMetric, self._metric))
            weight = self._weight(mask, layer, patch)
            found.append((each if weight is None else each * weight).sum((1, 2, 3)))
        return tuple(found)

    def _finish(
        self, ours: list[tuple[Tensor, ...]], theirs: list[tuple[Tensor, ...]], mask: Tensor | None
    ) -> dict[tuple[str, str], Tensor]:
        our_parts, their_parts = iter(zip(*ours, strict=True)), iter(zip(*theirs, strict=True))
        terms: dict[tuple[str, str], Tensor] = {}
        for layer in self._layers:
            if self._content and self._metric == "ink":
                ink, their_ink = (self._join(next(parts)) for parts in (our_parts, their_parts))
                whole = self._whole(mask, layer)
                floor = self._floors[layer] if whole is None else self._floors[layer].under(whole)
                terms["content", layer] = relative_distance(ink, their_ink, floor=floor)
            if self._style:
                gap = torch.stack(next(our_parts)).sum(0) - torch.stack(next(their_parts)).sum(0)
                gap = gap / (gap.shape[-1] * self._count(mask, layer))
                terms["style", layer] = gap.square().sum((1, 2))
        if self._content and self._metric != "ink":
            for layer in self._layers:
                terms["content", layer] = torch.stack(next(our_parts)).sum(0) / self._count(mask, layer)
        return terms

    def _join(self, parts: tuple[Tensor, ...]) -> Tensor:
        """Return the whole map of what was kept of each patch."""
        known = iter(parts)
        return torch.cat([torch.cat([next(known) for _ in row], dim=3) for row in self._look.rows], dim=2)

    def _count(self, mask: Tensor | None, layer: str) -> Tensor | int:
        """Return the sum of the positions' weights."""
        whole = self._whole(mask, layer)
        if whole is None:
            return math.prod(side // self._look.strides[layer] for side in self._size)
        return whole.sum().clamp_min(1e-6)

    def _check(self, target: Features) -> None:
        for layer, stride in self._look.strides.items():
            height, width = (side // stride for side in self._size)
            if target[layer].shape[0] != 1 or target[layer].shape[2:] != (height, width):
                raise ValueError(
                    f"{layer} of target is {tuple(target[layer].shape)}, and of pred {height}x{width} positions: give "
                    "matching images"
                )

    def _weight(self, mask: Tensor | None, layer: str, patch: Patch) -> Tensor | None:
        whole = self._whole(mask, layer)
        return None if whole is None else patch.outer(whole, self._look.strides[layer])

    def _whole(self, mask: Tensor | None, layer: str) -> Tensor | None:
        """Return the weights of all positions of a tap."""
        if mask is None:
            return None
        height, width = (side // self._look.strides[layer] for side in self._size)
        return F.interpolate(mask, size=(height, width), mode="area")


def _products(features: Float[Tensor, "n c h w"], weight: Float[Tensor, "n 1 h w"] | None) -> Float[Tensor, "n c c"]:
    flat = features.to(torch.promote_types(features.dtype, torch.float32)).flatten(2)
    with torch.autocast(features.device.type, enabled=False):
        return torch.bmm(flat if weight is None else flat * weight.to(flat.dtype).flatten(2), flat.mT)
