"""The default distance means the same at every size, with a margin, in a batch, and for weights of any scale."""

import functools
import itertools

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.stats import spearmanr

from sketchloss import SketchLoss, load_backbone
from sketchloss.data.doodles.kinds import KINDS, doodle
from sketchloss.loss.loss import BEFORE_0_2
from sketchloss.system.images import to_tensor

#: Of two drawings of a kind, and of two kinds, in turn.
PAIRS = [
    ((kind, 1), (kind, 2) if number % 2 else (other, 3))
    for number, (kind, other) in enumerate(itertools.pairwise(list(KINDS)[:15]))
]


@functools.cache
def _batches(size: int) -> tuple[torch.Tensor, torch.Tensor]:
    ones, others = (
        torch.stack([to_tensor(doodle(kind, seed, style="ink").sketch(size)) for kind, seed in drawings])
        for drawings in zip(*PAIRS, strict=True)
    )
    return ones, others


def _distances(loss: SketchLoss, size: int, *, margin: int = 0, count: int | None = None) -> np.ndarray:
    with torch.inference_mode():
        return loss(*(F.pad(images[:count], [margin] * 4, value=1.0) for images in _batches(size))).numpy()


@pytest.fixture(scope="module")
def loss() -> SketchLoss:
    return SketchLoss(reduction="none")


def test_sizes_agree(loss):
    small, large = (_distances(loss, size) for size in (80, 160))
    assert large.mean() == pytest.approx(small.mean(), rel=0.1)
    assert spearmanr(small, large).statistic > 0.95
    before = SketchLoss(reduction="none", **BEFORE_0_2)
    assert spearmanr(*(_distances(before, size) for size in (80, 160))).statistic < 0.95  # the test can fail


def test_a_margin_of_a_quarter_changes_little(loss):
    plain, wide = (_distances(loss, 128, margin=margin, count=6) for margin in (0, 32))
    assert np.abs(wide / plain - 1).mean() < 0.02
    before = SketchLoss(reduction="none", **BEFORE_0_2)
    plain, wide = (_distances(before, 128, margin=margin, count=2) for margin in (0, 32))
    assert np.abs(wide / plain - 1).mean() > 0.2  # the test can fail


def test_the_batch_and_the_scale_of_the_weights_change_nothing(loss):
    ones, others = (images[:3] for images in _batches(96))
    backbone = load_backbone("imagenet", classes=())
    with torch.inference_mode():
        together = loss(ones, others)
        alone = torch.cat([loss(ones[place : place + 1], others[place : place + 1]) for place in range(3)])
        torch.testing.assert_close(alone, together, rtol=1e-4, atol=0)
        plain = SketchLoss(backbone, reduction="none")(ones, others)
        for index in (0, 2, 5, 7, 10, 12, 14, 17):  # the convolutions up to relu4_1: a ReLU network of another scale
            backbone.features[index].bias.data *= 3.0 ** (1 + (0, 2, 5, 7, 10, 12, 14, 17).index(index))
            backbone.features[index].weight.data *= 3.0
        torch.testing.assert_close(SketchLoss(backbone, reduction="none")(ones, others), plain, rtol=1e-3, atol=0)
