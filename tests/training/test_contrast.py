"""Oracles: the loss written out after Khosla et al. 2020, Eq. 2; the samples, each once."""

import sys
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from sketchloss.training.contrast import ClassesTogether, supervised_contrast


def test_the_loss_is_the_papers():
    torch.manual_seed(0)
    embeddings, labels = torch.randn(9, 5), torch.tensor([0, 0, 0, 1, 1, 2, 2, 2, 3])  # 3 has no other
    similar = F.normalize(embeddings, dim=1) @ F.normalize(embeddings, dim=1).T / 0.2
    losses = []
    for one in range(8):
        others = [other for other in range(9) if other != one]
        normaliser = torch.logsumexp(similar[one, others], 0)
        of_class = [other for other in others if labels[other] == labels[one]]
        losses.append(-(similar[one, of_class] - normaliser).mean())
    expected = torch.stack(losses).mean()
    torch.testing.assert_close(supervised_contrast(0.2)(embeddings, labels), expected)


def test_a_batch_without_pairs_costs_nothing():
    embeddings = torch.randn(4, 3, requires_grad=True)
    loss = supervised_contrast()(embeddings, torch.arange(4))
    loss.backward()
    assert loss.item() == 0
    assert embeddings.grad is None or not embeddings.grad.any()


def test_without_the_library_one_line_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "pytorch_metric_learning.losses", None)
    with pytest.raises(
        ValueError, match=r"^contrast needs pytorch-metric-learning.*sketchloss\[eval\].*contrast at 0$"
    ):
        supervised_contrast()


@pytest.mark.parametrize("together", [1, 3, 4])
def test_every_sample_comes_once_and_classes_beside_each_other(together):
    labels = np.repeat(np.arange(20), [7, 4, 1, 3] * 5)
    np.random.default_rng(0).shuffle(labels)
    order = list(ClassesTogether(labels, together, seed=0))
    assert sorted(order) == list(range(len(labels)))
    runs = 1 + sum(labels[one] != labels[other] for one, other in pairwise(order))
    # Two groups of a class may meet by chance, so that there may be a few runs less than groups.
    groups = sum(-(-count // together) for count in Counter(labels.tolist()).values())
    assert 0.8 * groups <= runs <= groups


def test_the_order_follows_from_seed_and_epoch():
    labels = np.arange(60) % 6

    def order(seed: int, epoch: int) -> list[int]:
        sampler = ClassesTogether(labels, 2, seed)
        sampler.set_epoch(epoch)
        return list(sampler)

    assert order(0, 0) == order(0, 0)
    assert len({tuple(order(seed, epoch)) for seed in (0, 1) for epoch in (0, 1)}) == 4
