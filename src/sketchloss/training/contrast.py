"""Supervised contrast: drawings of one class near each other, those of others far (Khosla et al. 2020)."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.utils.data import Sampler

from sketchloss.training.order import seeded


def supervised_contrast(
    temperature: float = 0.1,
) -> Callable[[Float[Tensor, "n d"], Int64[Tensor, " n"]], Float[Tensor, ""]]:
    """Return a loss of embeddings and labels: pytorch-metric-learning's `SupConLoss`, on cosine similarities.

    Drawings without another of their class in the batch do not count.

    Args:
        temperature: by which similarities are divided; smaller minds the nearest of other classes more.

    Raises:
        ValueError: if pytorch-metric-learning is not installed.
    """
    try:
        from pytorch_metric_learning.losses import SupConLoss
    except ModuleNotFoundError:
        raise ValueError(
            "contrast needs pytorch-metric-learning, which is not installed: pip install 'sketchloss[eval]', "
            "or leave contrast at 0"
        ) from None
    return SupConLoss(temperature=temperature)


class ClassesTogether(Sampler[int]):
    """Every sample once in each epoch, in random order, but some of a class beside each other.

    Batches of a random order hold hardly two drawings of one class if there are hundreds.

    Args:
        labels: class of each sample.
        together: number of samples of a class that stand together; the last of a class may be fewer.
        seed: random seed of the orders; another epoch has another order.
    """

    def __init__(self, labels: Sequence[int] | Int64[np.ndarray, " n"], together: int, seed: int) -> None:
        self.labels = torch.as_tensor(np.asarray(labels))
        self.together, self.seed, self.epoch = together, seed, 0

    def set_epoch(self, epoch: int) -> None:
        """Say which epoch's order comes next, counted from 0."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.labels)

    def __iter__(self) -> Iterator[int]:
        generator = seeded("classes together", self.seed, self.epoch)
        mixed = torch.randperm(len(self), generator=generator)
        by_class = mixed[self.labels[mixed].argsort(stable=True)]
        counts = torch.bincount(self.labels).tolist()
        groups = [group for samples in by_class.split(counts) for group in samples.split(self.together) if len(group)]
        for number in torch.randperm(len(groups), generator=generator):
            yield from groups[number].tolist()
