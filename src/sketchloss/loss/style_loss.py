"""The loss of style transfer: content, style and total variation (Seo 2025, 4.1)."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import get_args

import torch
from jaxtyping import Float
from torch import Tensor, nn

from sketchloss.loss.feature_distance import PlainMetric, feature_distance
from sketchloss.loss.loss import SketchLoss, gram
from sketchloss.networks.backbone import Backbone
from sketchloss.networks.paper_layers import PAPER_CONTENT_LAYER, PAPER_LAYERS
from sketchloss.system.images import check_images


class StyleTransferLoss(nn.Module):
    """Johnson et al.'s three terms on one pass through a frozen backbone, that of `SketchLoss(weights)`.

    - content: distance between the features of what was drawn and of the photo at one layer (their Eq. 2);
    - style: squared Frobenius distance between the Gram matrices of what was drawn and the mean Gram matrices of the
      style pictures, a term for each style layer (Eq. 4, averaged over a set of pictures);
    - total variation: mean squared difference of neighbouring pixels.

    The style's Gram matrices are computed once, and the photo's features only as deep as the content layer.

    Args:
        weights: a name or path for `load_backbone`, or a `Backbone`, which is copied.
        content_layer: a layer name.
        style_layers: layer names.
        metric: metric of the content term: `l2` (Johnson et al.), `l1` or `cosine`.

    Raises:
        ValueError: for an unknown layer or metric, or as `SketchLoss`.
    """

    def __init__(
        self,
        weights: str | Path | Backbone = "sketch",
        *,
        content_layer: str = PAPER_CONTENT_LAYER,
        style_layers: Sequence[str] = PAPER_LAYERS,
        metric: PlainMetric = "l2",
    ) -> None:
        super().__init__()
        if metric not in get_args(PlainMetric):
            raise ValueError(f"metric {metric!r} is unknown here: use l1, l2 or cosine")
        self.backbone = SketchLoss(weights, layers=style_layers, metric=metric).backbone
        self.backbone.depth(content_layer)  # an unknown one is refused
        self.content_layer = content_layer
        self.style_layers = tuple(style_layers)
        self.metric: PlainMetric = metric
        self._taps = tuple(dict.fromkeys((content_layer, *style_layers)))
        #: Smallest height and width in pixels.
        self.minimum_size = self.backbone.minimum_size(self._taps)

    def train(self, mode: bool = True) -> "StyleTransferLoss":  # noqa: ARG002
        """Stay in eval mode, as `SketchLoss` does."""
        return super().train(False)

    @torch.no_grad()
    def set_style(self, batches: Iterable[Float[Tensor, "_ 3 _ _"]]) -> int:
        """Take the style: the mean Gram matrices over all pictures.

        Args:
            batches: RGB in [0, 1], on the loss's device; the size may differ from batch to batch.

        Returns:
            How many pictures there were.

        Raises:
            ValueError: for images outside the contract, or none at all.
        """
        sums: dict[str, Tensor] = {}
        count = 0
        for images in batches:
            images = check_images(images, name="style", minimum=self.minimum_size)
            for name, features in self.backbone(images, self.style_layers).items():
                # On the CPU, because not every device has float64.
                sums[name] = sums.get(name, 0) + gram(features).cpu().double().sum(0)
            count += len(images)
        if not count:
            raise ValueError("there is no style picture: give one at least")
        for name, total in sums.items():
            self.register_buffer(_buffer(name), (total / count).float().to(self.backbone.mean.device), persistent=False)
        return count

    def forward(self, pred: Float[Tensor, "n c h w"], content: Float[Tensor, "n 3 h w"]) -> dict[str, Tensor]:
        """Return the terms, unweighted, each a float32 scalar: `content`, `style_relu1_2` and so on, `total_variation`.

        Args:
            pred: what was drawn, grey or RGB, in [0, 1]; the gradient flows here.
            content: the photos that it was drawn after, as many and of the same size.

        Raises:
            ValueError: before `set_style`, or for images outside the contract or of unequal shapes.
        """
        if not hasattr(self, _buffer(self.style_layers[0])):
            raise ValueError("no style is set: call set_style first")
        pred = check_images(pred, name="pred", minimum=self.minimum_size, check=False)
        content = check_images(content, name="content", check=False)
        if pred.shape != content.shape:
            raise ValueError(f"pred is {tuple(pred.shape)} and content {tuple(content.shape)}: give images of one size")
        with torch.no_grad():
            wanted = self.backbone(content, (self.content_layer,))[self.content_layer]
        features = self.backbone(pred, self._taps)
        style = {
            f"style_{name}": (gram(features[name]) - getattr(self, _buffer(name))).square().sum((1, 2)).mean()
            for name in self.style_layers
        }
        return {
            "content": feature_distance(features[self.content_layer], wanted, self.metric).mean(),
            **style,
            "total_variation": total_variation(pred),
        }

    def share_out(self, *, content: float, style: float, total_variation: float) -> dict[str, float]:
        """Return the weight of each term that `forward` names; the style's is shared equally by its layers."""
        share = style / len(self.style_layers)
        return {
            "content": content,
            **{f"style_{name}": share for name in self.style_layers},
            "total_variation": total_variation,
        }


def total_variation(images: Float[Tensor, "n c h w"]) -> Tensor:
    """Return the mean squared difference of neighbouring pixels, down and across added up, as a float32 scalar.

    Where there are no neighbours, in one row or one column, it is 0.
    """
    steps = (images.float().diff(dim=side).square() for side in (2, 3))
    down, across = (step.sum() / max(1, step.numel()) for step in steps)
    return down + across


def _buffer(layer: str) -> str:
    return f"gram_{layer}"
