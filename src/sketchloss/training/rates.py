"""The learning rate over the steps of a training: torch's schedules, put together in one place."""

from typing import Literal, TypeAlias

from torch.optim import Optimizer
from torch.optim.lr_scheduler import ChainedScheduler, CosineAnnealingLR, LinearLR, LRScheduler, SequentialLR

Schedule: TypeAlias = Literal["constant", "cosine"]


# note: not `transformers.get_scheduler`, whose warm-up spends its first step at a rate of 0.
def rate_schedule(
    optimizer: Optimizer, schedule: Schedule, *, steps: int, warmup: int = 0, after_warmup: bool = False
) -> LRScheduler:
    """Let the learning rate rise in a line, and then stay as it is or fall to 0 along a cosine.

    Args:
        optimizer: with the rates that are reached, a group's each.
        schedule: `constant` or `cosine`.
        steps: number of steps of the training, 1 or more; the cosine ends there.
        warmup: steps over which the rate rises.
        after_warmup: the cosine begins when the rate has risen; else at the first step, and multiplies the rise.
    """
    rise = warmup + 1 if after_warmup else max(1, warmup)  # the first step is one part of so many
    rising = LinearLR(optimizer, 1 / rise, total_iters=rise - 1)
    if schedule == "constant":
        return rising
    if after_warmup and warmup:  # older torch begins a sequence without a first part one step late
        falling = CosineAnnealingLR(optimizer, max(1, steps - warmup))
        return SequentialLR(optimizer, [rising, falling], [warmup])
    return ChainedScheduler([rising, CosineAnnealingLR(optimizer, steps)], optimizer)
