"""Distances between the features of two pictures, position by position, as the paper and its field have them."""

from typing import Any, Literal, TypeAlias

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from sketchloss.system.func_transforms import inside_transform

#: `l1`: mean absolute difference; `l2`: mean squared difference; `cosine`: mean of 1 - cosine at each position.
PlainMetric: TypeAlias = Literal["l1", "l2", "cosine"]


def position_distance(pred: Tensor, target: Tensor, metric: PlainMetric) -> Float[Tensor, "n 1 h w"]:
    """Return the distance at each position, in float32 (float64 of float64).

    It is exactly zero, with zero gradient, where features agree.
    """
    wide = torch.promote_types(pred.dtype, torch.float32)
    pred, target = pred.to(wide), target.to(wide)
    if metric == "l1":
        return (pred - target).abs().mean(1, keepdim=True)
    if metric == "l2":
        return (pred - target).square().mean(1, keepdim=True)
    # 1 - cos of unit vectors is half their squared distance, without its cancellation near zero.
    # The floor under the norm keeps the gradient finite where a position has no features at all.
    unit_pred, unit_target = F.normalize(pred, dim=1, eps=1e-4), F.normalize(target, dim=1, eps=1e-4)
    return (unit_pred - unit_target).square().sum(1, keepdim=True) / 2


def _sum_absolute(difference: Float[Tensor, "n c h w"]) -> Float[Tensor, " n"]:
    wide = torch.promote_types(difference.dtype, torch.float32)
    return torch.linalg.vector_norm(difference, ord=1, dim=(1, 2, 3), dtype=wide)


class _MeanAbsolute(torch.autograd.Function):
    """Mean absolute difference of each image: l1 in half the memory traffic of `position_distance`."""

    @staticmethod
    def forward(ctx: Any, pred: Float[Tensor, "n c h w"], target: Float[Tensor, "n c h w"]) -> Float[Tensor, " n"]:
        difference = pred - target
        total = _sum_absolute(difference)
        if ctx.needs_input_grad[0]:
            ctx.save_for_backward(difference.sign_())
        return total / pred[0].numel()

    @staticmethod
    def backward(ctx: Any, *gradients: Float[Tensor, " n"]) -> tuple[Tensor, None]:
        (sign,) = ctx.saved_tensors
        return sign * (gradients[0] / sign[0].numel()).to(sign.dtype)[:, None, None, None], None


def feature_distance(
    pred: Float[Tensor, "n c h w"],
    target: Float[Tensor, "n c h w"],
    metric: PlainMetric,
    weight: Float[Tensor, "n 1 h w"] | None = None,
) -> Float[Tensor, " n"]:
    """Return the distance between the features of each image, in float32 (float64 of float64).

    The gradient flows to `pred` only.

    Args:
        pred: features of any float dtype.
        target: features of the same shape.
        metric: `l1` (mean absolute difference), `l2` (mean squared), `cosine` (1 - cosine at each position).
        weight: weight of each position, in [0, 1]; None: all alike.
    """
    if weight is not None:
        difference = position_distance(pred, target, metric) * weight
        return difference.sum((1, 2, 3)) / weight.sum((1, 2, 3)).clamp_min(1e-6)
    if metric == "l1":
        # The compiler joins the passes over memory itself; transforms and forward mode know no backward pass of ours.
        if torch.compiler.is_compiling() or inside_transform() or not pred.requires_grad:
            return _sum_absolute(pred - target) / pred[0].numel()
        return _MeanAbsolute.apply(pred, target)
    return position_distance(pred, target, metric).mean((1, 2, 3))
