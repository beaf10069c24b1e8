"""Image sizes of one training: each step has its own, known only from the seed and the step's number."""

import math
from collections import Counter
from collections.abc import Sequence

import torch

from sketchloss.training.order import seeded

# By default a training at one size also meets sizes around it: these multiples of it, with these shares.
AROUND = (3 / 4, 1.0, 3 / 2, 2.0)
SHARES = (0.1, 0.5, 0.25, 0.15)


class StepSizes:
    """Image sizes, and how often each is drawn. Nothing of it needs a checkpoint, and every process draws the same.

    Args:
        sizes: sides in pixels, each once.
        shares: shares of the steps, one for each size, adding up to 1; None: equal.

    Raises:
        ValueError: for no size, a size below 1 or named twice, or shares that do not match.
    """

    def __init__(self, sizes: Sequence[int], shares: Sequence[float] | None = None) -> None:
        if not sizes:
            raise ValueError("image_sizes is empty: name at least one size in pixels, such as 64")
        for size in sizes:
            if size < 1:
                raise ValueError(f"image_sizes has {size}: a size must be at least 1 pixel")
            if list(sizes).count(size) > 1:
                raise ValueError(f"image_sizes names {size} twice: name it once, and give it a larger share")
        if shares is None:
            shares = [1 / len(sizes)] * len(sizes)
        listed = " ".join(map(str, shares))
        if len(shares) != len(sizes):
            raise ValueError(f"size_shares are {listed}, {len(shares)} for {len(sizes)} sizes: give one for each size")
        if any(not 0 < share <= 1 for share in shares) or not math.isclose(sum(shares), 1, abs_tol=0.015):
            raise ValueError(f"size_shares are {listed}: each must be above 0, and all together must be 1")
        self.sizes = tuple(sizes)
        self.shares = tuple(share / sum(shares) for share in shares)
        self._bounds = torch.tensor(self.shares, dtype=torch.float64).cumsum(0)[:-1]

    def at(self, seed: int, step: int) -> int:
        """Return the size of a step, counted from 0."""
        drawn = torch.rand((), dtype=torch.float64, generator=seeded("image size", seed, step))
        return self.sizes[int(torch.searchsorted(self._bounds, drawn, right=True))]

    def count(self, seed: int, steps: int) -> dict[int, int]:
        """Return how many of the first steps have each size."""
        drawn = Counter(self.at(seed, step) for step in range(steps))
        return {size: drawn[size] for size in self.sizes}


def chosen_sizes(size: int, sizes: Sequence[int] | None, shares: Sequence[float] | None) -> StepSizes:
    """Return the sizes that the settings of a training name, or `sizes_around` its size.

    Args:
        size: the setting `image_size`.
        sizes: the setting `image_sizes`; None: not given.
        shares: the setting `size_shares`; None: not given.

    Raises:
        ValueError: as `StepSizes`, or for shares without sizes.
    """
    if sizes is not None:
        return StepSizes(sizes, shares)
    if shares is not None:
        raise ValueError("size_shares are given without image_sizes: name the sizes, too")
    return sizes_around(size)


def sizes_around(size: int) -> StepSizes:
    """Return 3/4 of a size, the size, 3/2 and twice of it, with shares 0.1, 0.5, 0.25 and 0.15."""
    return StepSizes([round(factor * size) for factor in AROUND], SHARES)
