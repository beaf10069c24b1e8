"""Oracles: the formula of the paper and its authors' code, with loops; the order of changes that the paper demands."""

import numpy as np
import pytest
import torch

from sketchloss.data.doodles.kinds import doodle
from sketchloss.metrics.scoot import scoot
from sketchloss.system.images import to_tensor

pytest.importorskip("skimage")


def by_loops(one: np.ndarray, other: np.ndarray) -> float:
    statistics = []
    for grey in (one, other):
        levels = np.minimum((grey * 6).astype(int), 5)
        height, width = levels.shape
        found = []
        for row in range(4):
            for column in range(4):
                lines = levels[int(height * row / 4) : int(height * (row + 1) / 4)]
                block = lines[:, int(width * column / 4) : int(width * (column + 1) / 4)]
                counts = np.zeros((6, 6))
                for down, right in ((0, 1), (-1, 1), (-1, 0), (-1, -1)):
                    for y in range(block.shape[0]):
                        for x in range(block.shape[1]):
                            if 0 <= y + down < block.shape[0] and 0 <= x + right < block.shape[1]:
                                counts[block[y, x], block[y + down, x + right]] += 1
                counts = np.floor(counts / 4 + 0.5)
                shares = counts / counts.sum()
                gaps = np.arange(6)[:, None] - np.arange(6)
                found += [(shares * gaps**2).sum(), (shares**2).sum()]
        statistics.append(np.array(found))
    return 1 / (1 + np.linalg.norm(statistics[0] - statistics[1]))


@pytest.mark.parametrize("size", [(32, 32), (33, 46)])
def test_it_is_the_formula_of_the_paper(size):
    torch.manual_seed(0)
    pred, target = torch.rand(2, 2, 1, *size)
    expected = [by_loops(a[0].numpy(), b[0].numpy()) for a, b in zip(pred, target, strict=True)]
    assert scoot(pred, target).tolist() == pytest.approx(expected, rel=1e-9)


def test_of_what_is_known_the_order_is_right():
    scene = doodle("cat", 3)
    kept, redrawn, half = (one.sketch(96) for one in (scene, scene.redrawn(1), scene.without(0.5, seed=0)))
    target, slightly, badly, other = (
        to_tensor(picture)[None] for picture in (kept, redrawn, half, doodle("bicycle", 1).sketch(96))
    )
    same, near, far, none = (scoot(pred, target).item() for pred in (target, slightly, badly, other))
    assert same == 1 > near > far
    assert near > none


@pytest.mark.parametrize(
    ("pred", "target", "said"),
    [
        (torch.ones(1, 1, 7, 7), torch.ones(1, 1, 7, 7), "at least 8 by 8"),
        (torch.ones(1, 1, 8, 8), torch.ones(1, 1, 9, 9), "give pairs of one shape"),
        (torch.ones(1, 1, 8, 8) * 2, torch.ones(1, 1, 8, 8), "pred"),
    ],
)
def test_bad_input_is_refused(pred, target, said):
    with pytest.raises(ValueError, match=said):
        scoot(pred, target)
