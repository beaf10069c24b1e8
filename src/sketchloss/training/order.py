"""The order that a training meets its samples in, known from the place: nothing of it needs a checkpoint."""

import zlib
from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor


class Order:
    """Every sample once in each epoch, each epoch in another order, without end.

    Args:
        count: number of samples, at least 1.
        seed: random seed of the orders.
    """

    def __init__(self, count: int, seed: int) -> None:
        if count < 1:
            raise ValueError(f"there are {count} samples: give at least one")
        self.count, self.seed = count, seed
        self._epoch = lru_cache(maxsize=2)(self._shuffle)

    def take(self, start: int, number: int) -> Int64[Tensor, " number"]:
        """Return the samples at so many places from a start on, counted from the beginning of the training."""
        places = range(start, start + number)
        return torch.stack([self._epoch(place // self.count)[place % self.count] for place in places])

    def _shuffle(self, epoch: int) -> Int64[Tensor, " count"]:
        return torch.randperm(self.count, generator=seeded("order", self.seed, epoch))


def seeded(purpose: str, *numbers: int) -> torch.Generator:
    """Return a generator on the CPU whose numbers follow only from its arguments.

    Args:
        purpose: what the numbers are for; another purpose has other numbers.
        numbers: at least 0, such as seed, step and process.
    """
    return torch.Generator().manual_seed(
        int(
            np.random.SeedSequence((zlib.crc32(purpose.encode()), len(numbers), *numbers)).generate_state(1, np.uint64)[
                0
            ]
            >> 1
        )
    )
