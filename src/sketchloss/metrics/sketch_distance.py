"""`SketchLoss` as a metric of torchmetrics: its mean over all pairs seen, on however many processes."""

from copy import deepcopy
from typing import Any
from uuid import uuid4

import torch
from torch import Tensor

from sketchloss.loss.loss import SketchLoss
from sketchloss.loss.target_features import Features

try:
    from torchmetrics import Metric
except ModuleNotFoundError as error:
    if error.name != "torchmetrics":
        raise
    raise ModuleNotFoundError(
        "torchmetrics is not installed; SketchDistance needs the extra: pip install 'sketchloss[metrics]'",
        name="torchmetrics",
    ) from None


class SketchDistance(Metric):
    """The mean of a `SketchLoss` over all pairs since the last `reset`; lower is more alike.

        distance = SketchDistance()
        for preds, target in batches:
            distance.update(preds, target)
        distance.compute()

    Every pair counts the same, whatever batch and process it was in: a sum and a count are kept, and added up over
    processes. The network is frozen, stays in eval mode, and is no part of `state_dict()` and `parameters()`.

    Args:
        loss: what is averaged, of any `reduction`; it is copied. None: `SketchLoss()`.
        settings: those of `torchmetrics.Metric`, such as `dist_sync_on_step`.

    Raises:
        ValueError: for anything else than a `SketchLoss`.
        ModuleNotFoundError: at import, if torchmetrics is not installed.
    """

    is_differentiable = True
    higher_is_better = False
    full_state_update = False
    plot_lower_bound = 0.0

    sum: Tensor
    count: Tensor

    def __init__(self, loss: SketchLoss | None = None, **settings: Any) -> None:
        super().__init__(**settings)
        if not isinstance(loss, SketchLoss | None):
            raise ValueError(f"loss is of type {type(loss).__name__}: give a SketchLoss, or nothing for the default")
        self.loss = SketchLoss() if loss is None else deepcopy(loss)
        self.loss.reduction = "none"
        self.add_state("sum", torch.tensor(0.0), dist_reduce_fx="sum")
        self.add_state("count", torch.tensor(0), dist_reduce_fx="sum")
        # note: a MetricCollection takes metrics whose states are equal after the first batch for one and the same. Two
        # different distances are both 0 for a batch of identical pairs; a state of its own keeps each apart.
        self.add_state("identity", torch.tensor(list(uuid4().bytes)), dist_reduce_fx="max")

    def update(self, preds: Tensor, target: Tensor | Features, mask: Tensor | None = None) -> None:
        """Add a batch of pairs.

        Args:
            preds: as the loss's `pred`.
            target: as for the loss.
            mask: as for the loss.

        Raises:
            ValueError: as the loss.
        """
        distances = self.loss(preds, target, mask=mask)
        self.sum = self.sum + distances.sum()
        self.count = self.count + len(distances)

    def compute(self) -> Tensor:
        """Return the mean as a float32 scalar; NaN if there was no pair."""
        return self.sum / self.count
