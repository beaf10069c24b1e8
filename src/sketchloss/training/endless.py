"""Batches without end: epoch after epoch, from any step on."""

from collections.abc import Iterator
from itertools import islice
from typing import Any

from accelerate import Accelerator


def endless_batches(accelerator: Accelerator, batches: Any, step: int, steps: int) -> Iterator[dict[str, Any]]:
    """Yield the batches from one step to the last, epoch after epoch, each in an order of its own.

    Args:
        accelerator: that the batches were prepared with.
        batches: a data loader, prepared.
        step: steps that are done.
        steps: steps in all.
    """
    while step < steps:
        epoch, done = divmod(step, len(batches))
        batches.set_epoch(epoch)
        rest = accelerator.skip_first_batches(batches, done) if done else batches
        for batch in islice(rest, steps - step):
            yield batch
            step += 1
