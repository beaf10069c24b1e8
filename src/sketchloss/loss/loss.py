"""The perceptual loss for sketches: differences of backbone features (Seo 2025)."""

import functools
import warnings
from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from numbers import Real
from pathlib import Path
from typing import Any, Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from sketchloss.loss.blank_paper import BlankPaper, Paper
from sketchloss.loss.large_pictures import FEATURES_PER_PIXEL, LARGE, LargePictures
from sketchloss.loss.sharing import Shareable
from sketchloss.loss.tap_distance import Metric, check_metric, needs_paper, tap_distance, tap_distance_and_map
from sketchloss.loss.target_features import Features, KeptFeatures, check_features, check_kept
from sketchloss.networks.backbone import Backbone, freeze
from sketchloss.networks.paper_layers import LAYERS_BEFORE_0_2
from sketchloss.networks.paper_layers import PAPER_LAYERS as PAPER_LAYERS
from sketchloss.networks.weights import load_backbone, weights_digest
from sketchloss.system.func_transforms import inside_transform
from sketchloss.system.image_contract import check_images, check_value_range
from sketchloss.system.masks import check_mask

Reduction = Literal["mean", "sum", "none"]

#: The metric that both judges drawings and guides strokes well, with the default layers (docs/results.md, chosen on
#: half of the drawings there).
DEFAULT_METRIC: Metric = "ink"
#: The settings that were the default before 0.2: `SketchLoss(**BEFORE_0_2)` gives its formula and
#: taps; its numbers, with that version's weights.
BEFORE_0_2: dict[str, Any] = {"layers": LAYERS_BEFORE_0_2, "metric": "l1"}


def gram(features: Float[Tensor, "n c h w"], weight: Float[Tensor, "n 1 h w"] | None = None) -> Float[Tensor, "n c c"]:
    """Return the Gram matrices of features, divided by C·H·W (Johnson et al. 2016, Eq. 3).

    The matrices are float32; of float64 features they are float64.

    Args:
        features: any float dtype.
        weight: weight of each position, in [0, 1]; H·W becomes its sum. An image without any weight gives zeros.
    """
    _, c, h, w = features.shape
    flat = features.to(torch.promote_types(features.dtype, torch.float32)).flatten(2)
    if weight is None:
        weighted = flat / (c * h * w)
    else:
        positions = weight.to(flat.dtype).flatten(2)
        weighted = flat * (positions / (c * positions.sum(2, keepdim=True).clamp_min(1e-6)))
    with torch.autocast(features.device.type, enabled=False):  # autocast would multiply matrices in its own dtype
        return torch.bmm(weighted, flat.mT)


def _reduce(values: Float[Tensor, " n"], reduction: Reduction) -> Tensor:
    if reduction == "none":
        return values
    return values.mean() if reduction == "mean" else values.sum()


class SketchLoss(Shareable, nn.Module):
    """A measure of how different two drawings look, by the features of a frozen backbone (Seo 2025, section 4.1).

    The loss is `content_weight` × the weighted mean over taps of the features' distance, plus `style_weight` × the
    weighted mean over taps of the squared Frobenius distance of their Gram matrices (Johnson et al. 2016, Eq. 4).

        loss = SketchLoss()
        loss(pred, target).backward()

    The backbone is frozen: always in eval mode, its weights are buffers that `.to()` moves and `state_dict` leaves
    out. Gradients flow to `pred` only; they can be differentiated again, and taken by `torch.func`. Sums run in float32
    whatever the dtype of the backbone; only for a backbone in float64 it is float64.

    Args:
        weights: a name or path for `load_backbone`, or a `Backbone`, which is copied.
        layers: tap names, equally weighted, or a mapping from tap name to a weight ≥ 0; None: the backbone's
            `default_layers`.
        metric: `ink` (ours, `sketchloss.loss.ink_distance`: relative to blank paper, 0 the same drawing, 1 nothing in
            common), `l1` (the paper's: mean absolute difference), `l2` (mean squared), or `cosine` (1 - cosine at each
            position).
        content_weight: weight of the content term, ≥ 0.
        style_weight: weight of the style term, ≥ 0; 0 skips the Gram matrices.
        reduction: reduction over the batch: `mean`, `sum`, or `none`.
        check: whether to check that values lie in their range; this waits for the device, so `False` is faster on a
            GPU.
        invert: inverts both pictures before the backbone, which knows dark ink on light paper; for light on dark.
        value_range: values of black and white in the images, such as (-1, 1).

    Raises:
        ValueError: for a setting outside its choices, or as `load_backbone`.
    """

    def __init__(
        self,
        weights: str | Path | Backbone = "sketch",
        *,
        layers: Sequence[str] | Mapping[str, float] | None = None,
        metric: Metric = DEFAULT_METRIC,
        content_weight: float = 1.0,
        style_weight: float = 0.0,
        reduction: Reduction = "mean",
        check: bool = True,
        invert: bool = False,
        value_range: Sequence[float | int] = (0.0, 1.0),
    ) -> None:
        super().__init__()
        named = None if layers is None else check_layers(layers)
        check_metric(metric)
        if reduction not in ("mean", "sum", "none"):
            raise ValueError(f"reduction {reduction!r} is unknown: use mean, sum or none")
        for name, value in (("content_weight", content_weight), ("style_weight", style_weight)):
            if not (isinstance(value, Real) and 0 <= value < float("inf")):
                raise ValueError(f"{name} is {value!r}: it must be a number, finite and not negative")
        for name, value in (("check", check), ("invert", invert)):
            if not isinstance(value, bool):
                raise ValueError(f"{name} is {value!r}: it must be True or False")
        if content_weight == style_weight == 0:
            raise ValueError("content_weight and style_weight are both 0: the loss would be 0 for all images")
        self.metric: Metric = metric
        self.content_weight = content_weight
        self.style_weight = style_weight
        self.reduction: Reduction = reduction
        self.check = check
        self.invert = invert
        self.value_range = check_value_range(value_range)
        # note: what is made in inference mode could not be used where gradients are wanted
        with torch.inference_mode(False):
            backbone = deepcopy(weights) if isinstance(weights, Backbone) else load_backbone(weights)
            # channels_last is the layout that CPU and GPU convolutions are fastest in.
            self.backbone = freeze(backbone).to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
        self._named = "" if isinstance(weights, Backbone) else str(weights)
        #: Tap name -> weight.
        self.layers = check_layers(backbone.default_layers) if named is None else named
        # A classifier can be eight times the size of the features, and the loss has no use for it.
        self.backbone.classifier = None
        #: Smallest height and width in pixels.
        self.minimum_size = self.backbone.minimum_size(self.layers)
        self._paper = BlankPaper(self.backbone, self.layers)
        if needs_paper(metric):
            self._paper.measure_floors()
        self._weights_digest: str | None = None
        self._warned_of_order = False
        self.eval()

    def train(self, mode: bool = True) -> "SketchLoss":  # noqa: ARG002
        """Stay in eval mode: a parent module that is trained does not train the loss network."""
        return super().train(False)

    def extract(self, target: Tensor) -> dict[str, Tensor]:
        """Compute a target's features once. Later calls take them in place of the target, which halves the work.

        Args:
            target: float n×{1,3}×h×w in `value_range`.

        Returns:
            Tap name -> features, without gradient. `CachedTargets` keeps the features of a whole training set.

        Raises:
            ValueError: as the loss itself.
        """
        target = self._prepare(target, "target")
        with torch.no_grad():
            parts = [self.backbone(part, self.layers) for part in target.split(_images_at_once(target))]
        return parts[0] if len(parts) == 1 else {name: torch.cat([part[name] for part in parts]) for name in parts[0]}

    def forward(
        self, pred: Tensor, target: Tensor | Features, *, mask: Tensor | None = None, return_parts: bool = False
    ) -> Tensor | tuple[Tensor, dict[str, Tensor]]:
        """Return the loss, and with `return_parts` also the terms that add up to it.

        Args:
            pred: float n×{1,3}×h×w in `value_range`, dark ink on light paper; the gradient flows here.
            target: target of the same shape (or n = 1, or the other of the two channel counts), or what `extract` or
                `CachedTargets` returned. No gradient flows to it: if it requires one and `pred` does not, there
                is one warning.
            mask: how much each pixel counts: bool (True counts) or float in [0, 1], n×1×h×w or n×h×w, or h×w for the
                whole batch. An image wholly masked out counts 0.
            return_parts: also return each weighted term, part of the graph.

        Returns:
            A scalar, or (n,) with `reduction="none"`. With `return_parts` that and a dictionary, such as
            `{"content/relu1_2": ..., "style/relu1_2": ...}`: reduced as the loss, and summing up to it.

        Raises:
            ValueError: for images outside the contract, of unequal size, on another device than the loss, or smaller
                than `minimum_size`; features of other shapes, taps or device, or not finite (the loss cannot tell
                whether these weights made them, except those of `CachedTargets`); a mask of another shape or range.
        """
        terms = self._terms(pred, target, mask)
        self._warn_of_order(pred, target)
        kinds = {"content": self.content_weight, "style": self.style_weight}
        taps = self._tap_weights()
        parts = {
            f"{kind}/{name}": _reduce(kinds[kind] * taps[name] * value, self.reduction)
            for (kind, name), value in terms.items()
        }
        total = functools.reduce(torch.add, parts.values())
        return (total, parts) if return_parts else total

    def per_tap(
        self, pred: Tensor, target: Tensor | Features, *, mask: Tensor | None = None
    ) -> dict[str, dict[str, Tensor]]:
        """Return the unweighted terms: `{"content": {tap: value}, "style": {tap: value}}`, reduced as the loss.

        A term whose weight is 0 is left out. Arguments and errors as the loss itself.
        """
        values: dict[str, dict[str, Tensor]] = {}
        for (kind, name), value in self._terms(pred, target, mask).items():
            values.setdefault(kind, {})[name] = _reduce(value, self.reduction)
        return values

    def map(self, pred: Tensor, target: Tensor | Features) -> Float[Tensor, "n 1 h w"]:
        """Return a map of where the two drawings differ: the taps' distances, enlarged to the images' size.

        Args:
            pred: as for the loss.
            target: as for the loss.

        Returns:
            float32, ≥ 0, weighted over taps as the content term; its mean is close to the content distance.

        Raises:
            ValueError: as the loss itself.
        """
        return self.per_tap_and_map(pred, target)[1]

    def per_tap_and_map(
        self, pred: Tensor, target: Tensor | Features
    ) -> tuple[dict[str, Tensor], Float[Tensor, "n 1 h w"]]:
        """Return the content term of each tap, (n,) unweighted, and the map, with the work of only one of them.

        Arguments and errors as the loss itself.
        """
        pred, target = self._prepare_both(pred, target)
        ours = self.backbone(pred, self.layers)
        theirs = self._target_features(target, ours)
        weights, papers = self._tap_weights(), self._papers(pred)
        terms, enlarged = {}, []
        for name in self.layers:
            terms[name], where = tap_distance_and_map(ours[name], theirs[name], self.metric, paper=papers.get(name))
            size = tuple(pred.shape[-2:])
            enlarged.append(weights[name] * F.interpolate(where, size=size, mode="bilinear", align_corners=False))
        return terms, torch.stack(enlarged).sum(0)

    def features_recipe(self) -> dict[str, Any]:
        """Return the settings that decide the features of `extract`, JSON-ready, with the digest of the weights."""
        if self._weights_digest is None:
            self._weights_digest = weights_digest(self.backbone)
        return {
            "weights": self._weights_digest,
            "dtype": str(self.backbone.mean.dtype).removeprefix("torch."),
            "taps": sorted(self.layers),
            "value_range": list(self.value_range),
            "invert": self.invert,
        }

    def extra_repr(self) -> str:
        """Return the settings, for `print(loss)`."""
        return (
            f"layers={self.layers}, metric={self.metric}, content_weight={self.content_weight}, "
            f"style_weight={self.style_weight}, reduction={self.reduction}, invert={self.invert}, "
            f"value_range={self.value_range}"
        )

    def _apply(self, *arguments, **settings) -> "SketchLoss":
        self._weights_digest = None  # another type is another rounding
        self._paper.forget()
        with torch.inference_mode(False):
            return super()._apply(*arguments, **settings)

    def _papers(self, images: Float[Tensor, "n 3 h w"]) -> dict[str, Paper]:
        return self._paper.seen(images.shape[2], images.shape[3]) if needs_paper(self.metric) else {}

    def _tap_weights(self) -> dict[str, float]:
        total = sum(self.layers.values())
        return {name: weight / total for name, weight in self.layers.items()}

    def _prepare(self, images: Tensor, name: str) -> Float[Tensor, "n 3 h w"]:
        images = check_images(
            images, name=name, minimum=self.minimum_size, value_range=self.value_range, check=self.check
        )
        device = self.backbone.mean.device
        if images.device != device:
            mend = f"loss.to({name}.device)" if name == "pred" else f"{name}.to({str(device)!r})"
            raise ValueError(f"{name} is on {images.device} and the loss on {device}: move one of them, {mend}")
        low, high = self.value_range
        if (low, high) != (0, 1) or self.invert:  # half precision would lose a digit of its two
            images = images.to(torch.promote_types(images.dtype, torch.float32))
        if (low, high) != (0, 1):
            images = (images - low) / (high - low)
        return 1 - images if self.invert else images

    def _prepare_both(self, pred: Tensor, target: Tensor | Features) -> tuple[Tensor, Tensor | Features]:
        pred = self._prepare(pred, "pred")
        if isinstance(target, Mapping):
            check_features(target, self.layers, pred.device, check=self.check)
            if isinstance(target, KeptFeatures) and not torch.compiler.is_compiling():
                check_kept(target, self.features_recipe(), (pred.shape[2], pred.shape[3]))
            # note: here, where the whole batch is known; a part of it may be as long as the features are
            for name in self.layers:
                if len(target[name]) not in (1, len(pred)):
                    raise ValueError(
                        f"{name} of target holds features of {len(target[name])} images and pred is "
                        f"{tuple(pred.shape)}: give as many targets as preds, or one"
                    )
            # note: the network's own dtype says whether the loss is in float64, and not what was kept
            wide = torch.promote_types(self.backbone.mean.dtype, torch.float32)
            kept = {name: target[name] for name in self.layers}
            return pred, {
                name: one if torch.promote_types(one.dtype, torch.float32) == wide else one.to(wide)
                for name, one in kept.items()
            }
        target = self._prepare(target, "target")
        if target.shape[-2:] != pred.shape[-2:] or len(target) not in (1, len(pred)):
            raise ValueError(
                f"pred is {tuple(pred.shape)} and target {tuple(target.shape)}: give images of one size, and as many "
                "targets as preds, or one"
            )
        return pred, target

    def _target_features(self, target: Tensor | Features, ours: dict[str, Tensor]) -> dict[str, Tensor]:
        if isinstance(target, Mapping):
            theirs = dict(target)
        else:
            with torch.no_grad():
                theirs = self.backbone(target, self.layers)
        for name in self.layers:
            one, other = ours[name].shape, theirs[name].shape
            if one[1:] != other[1:] or other[0] not in (1, one[0]):
                raise ValueError(f"{name} of pred is {tuple(one)} and of target {tuple(other)}: give matching images")
            theirs[name] = theirs[name].detach().expand(one)
        return theirs

    def _terms(
        self, pred: Tensor, target: Tensor | Features, mask: Tensor | None
    ) -> dict[tuple[str, str], Float[Tensor, " n"]]:
        pred, target = self._prepare_both(pred, target)
        if mask is not None:
            mask = check_mask(mask, pred, check=self.check)
        count, at_once = len(pred), _images_at_once(pred)

        def part(images: Tensor, start: int) -> Tensor:
            return images[start : start + at_once] if len(images) == count else images

        parts = []
        for start in range(0, count, at_once):
            their_part = (
                part(target, start)
                if isinstance(target, Tensor)
                else {name: part(target[name], start) for name in self.layers}
            )
            parts.append(self._terms_of(part(pred, start), their_part, None if mask is None else part(mask, start)))
        return parts[0] if len(parts) == 1 else {key: torch.cat([terms[key] for terms in parts]) for key in parts[0]}

    def _warn_of_order(self, pred: Tensor, target: Tensor | Features) -> None:
        if self._warned_of_order or pred.requires_grad or torch.compiler.is_compiling() or not torch.is_grad_enabled():
            return
        given = (target,) if isinstance(target, Tensor) else target.values()
        if any(isinstance(tensor, Tensor) and tensor.requires_grad for tensor in given):
            self._warned_of_order = True
            warnings.warn(
                "the target requires a gradient and pred does not, but the gradient flows to pred only: were they "
                "given in the wrong order? It is loss(pred, target)",
                stacklevel=5,
            )

    def _terms_of(
        self, pred: Tensor, target: Tensor | Features, mask: Tensor | None
    ) -> dict[tuple[str, str], Float[Tensor, " n"]]:
        if self.backbone.in_patches and _is_large(pred):
            return self._terms_of_large(pred, target, mask)
        ours = self.backbone(pred, self.layers)
        theirs = self._target_features(target, ours)
        papers = self._papers(pred) if self.content_weight else {}
        terms: dict[tuple[str, str], Tensor] = {}
        for name in self.layers:
            features, other = ours[name], theirs[name]
            weight = None if mask is None else F.interpolate(mask, size=features.shape[-2:], mode="area")
            if self.content_weight:
                terms["content", name] = tap_distance(
                    features, other, self.metric, paper=papers.get(name), weight=weight
                )
            if self.style_weight:
                gap = gram(features, weight) - gram(other, weight)
                terms["style", name] = gap.square().sum((1, 2))
        return terms

    def _terms_of_large(
        self, pred: Tensor, target: Tensor | Features, mask: Tensor | None
    ) -> dict[tuple[str, str], Float[Tensor, " n"]]:
        look = LargePictures(
            self.backbone,
            tuple(self.layers),
            self.metric,
            self._paper,
            content=bool(self.content_weight),
            style=bool(self.style_weight),
            height=pred.shape[2],
            width=pred.shape[3],
        )
        return look.terms(pred, target, mask)


def _is_large(images: Float[Tensor, "n 3 h w"]) -> bool:
    """Tell whether images are looked at one by one and in patches, because memory would be short."""
    if torch.compiler.is_compiling() or inside_transform() or images[0, 0].numel() <= LARGE:
        return False
    needed = images[:, 0].numel() * FEATURES_PER_PIXEL * images.element_size()
    return images.device.type != "cuda" or needed > torch.cuda.mem_get_info(images.device)[0]


def _images_at_once(images: Float[Tensor, "n 3 h w"]) -> int:
    """Return how many images to evaluate together: on a GPU all, on a CPU so many that their features are small.

    Features of up to 32 MB live in memory that the C library hands out again; more is taken from the system anew each
    time, which on a CPU costs more than the arithmetic on it.
    """
    if _is_large(images):
        return 1
    if images.device.type != "cpu" or torch.compiler.is_compiling():
        return len(images)
    return max(1, 2**16 // (images.shape[-2] * images.shape[-1]))


def check_layers(layers: Sequence[str] | Mapping[str, float]) -> dict[str, float]:
    """Return tap name -> weight; ValueError for no names, and weights that make no sum."""
    if isinstance(layers, str):
        raise ValueError(f"layers is the text {layers!r}: give a sequence such as ({layers!r},)")
    if not isinstance(layers, Iterable):
        raise ValueError(f"layers is {layers!r}: give names of layers, or a mapping from names to weights")
    if not isinstance(layers, Mapping):
        layers = tuple(layers)
        if other := [name for name in layers if not isinstance(name, str)]:
            raise ValueError(f"layers has {other[0]!r}: each must be the name of a layer")
        if twice := [name for name in layers if layers.count(name) > 1]:
            raise ValueError(f"layers names {twice[0]} twice: give it a weight instead, such as {{{twice[0]!r}: 2.0}}")
    named = dict(layers) if isinstance(layers, Mapping) else dict.fromkeys(layers, 1.0)
    if not named:
        raise ValueError("layers is empty: name at least one, or leave it out")
    for name, weight in named.items():
        if not (isinstance(weight, Real) and 0 <= weight < float("inf")):
            raise ValueError(f"weight of {name} is {weight!r}: it must be a number, finite and not negative")
    if sum(named.values()) == 0:
        raise ValueError(f"the weights of {', '.join(named)} are all 0: the loss would be 0 for all images")
    return {name: float(weight) for name, weight in named.items()}
