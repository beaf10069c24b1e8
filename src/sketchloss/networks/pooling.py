"""Pooling that small shifts change less: the 2×2 max-pool with a blur before or after the maximum (Zhang 2019)."""

from typing import Literal, get_args

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

#: `max`: VGG's; `blur_max`: a blur, then the 2x2 maximum; `max_blur`: Zhang's MaxBlurPool, the maximum at every place,
#: then a blur at every second.
Pooling = Literal["max", "blur_max", "max_blur"]


class BlurredPool(nn.Module):
    """A 2×2 max-pool with the binomial filter (1, 2, 1)/4 each way, which repeats what lies at the border.

    Args:
        kind: `blur_max` or `max_blur`.
    """

    def __init__(self, kind: Literal["blur_max", "max_blur"]) -> None:
        super().__init__()
        self.kind = kind

    def forward(self, features: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h2 w2"]:
        """Return the features at half the size; an odd side loses its last row, as in VGG."""
        if self.kind == "max_blur":
            features = F.max_pool2d(features, 2, stride=1)
        # Two means of 2×2 are the filter; the first leaves out what it would meet beyond the border.
        features = F.avg_pool2d(features, 2, stride=1, padding=1, count_include_pad=False)
        if self.kind == "max_blur":
            return F.avg_pool2d(features, 2)
        return F.max_pool2d(F.avg_pool2d(features, 2, stride=1), 2)

    def extra_repr(self) -> str:
        """Return the kind."""
        return self.kind


def new_pool(kind: Pooling) -> nn.Module:
    """Return a 2×2 pool, which halves height and width.

    Raises:
        ValueError: for an unknown kind.
    """
    if kind not in get_args(Pooling):
        raise ValueError(f"pooling {kind!r} is unknown: use {', '.join(get_args(Pooling))}")
    return nn.MaxPool2d(2) if kind == "max" else BlurredPool(kind)
