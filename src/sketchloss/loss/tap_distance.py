"""The metrics that a loss can have at a tap, by name."""

from typing import Literal, TypeAlias, get_args

from jaxtyping import Float
from torch import Tensor

from sketchloss.loss.blank_paper import Paper
from sketchloss.loss.feature_distance import feature_distance, position_distance
from sketchloss.loss.ink_distance import ink_distance, ink_distance_and_map

#: Names of metrics: those of `feature_distance`, position by position, and that of `ink_distance`.
Metric: TypeAlias = Literal["l1", "l2", "cosine", "ink"]
METRICS: tuple[Metric, ...] = get_args(Metric)
#: Of each metric: raised when it gives another value for the same features. `sketchloss compare` writes it.
VERSIONS: dict[Metric, int] = {"l1": 1, "l2": 1, "cosine": 1, "ink": 1}


def check_metric(metric: str) -> None:
    """Raise ValueError for an unknown metric."""
    if metric not in METRICS:
        raise ValueError(f"metric {metric!r} is unknown: use {', '.join(METRICS[:-1])} or {METRICS[-1]}")


def needs_paper(metric: Metric) -> bool:
    """Tell whether a metric looks at blank paper, too."""
    return metric == "ink"


def tap_distance(
    pred: Float[Tensor, "n c h w"],
    target: Float[Tensor, "n c h w"],
    metric: Metric,
    *,
    paper: Paper | None = None,
    weight: Float[Tensor, "n 1 h w"] | None = None,
) -> Float[Tensor, " n"]:
    """Return the distance between features of n pictures at one tap, in float32 (float64 of float64).

    The gradient flows to `pred` only.

    Args:
        pred: features of any float dtype.
        target: features of the same shape.
        metric: any of `METRICS`.
        paper: the tap's blank paper, for the metrics that need it.
        weight: weight of each position, in [0, 1]; None: all alike.
    """
    if metric == "ink":
        assert paper is not None
        return ink_distance(pred, target, paper.blank, floor=paper.floor, weight=weight)
    return feature_distance(pred, target, metric, weight)


def tap_distance_and_map(
    pred: Float[Tensor, "n c h w"], target: Float[Tensor, "n c h w"], metric: Metric, *, paper: Paper | None = None
) -> tuple[Float[Tensor, " n"], Float[Tensor, "n 1 h w"]]:
    """Return `tap_distance` and where features differ; the map's mean over positions is the distance."""
    if metric == "ink":
        assert paper is not None
        return ink_distance_and_map(pred, target, paper.blank, floor=paper.floor)
    return feature_distance(pred, target, metric), position_distance(pred, target, metric)
