"""Inputs made from true drawings. Oracles: where the ink of the true drawing lies, and the same seed."""

import numpy as np
import pytest
import torch

from sketchloss.data.quickdraw.drawings import open_drawings
from sketchloss.experiments.pairs.damage import rough, scan
from sketchloss.metrics.ink_overlap import ink_overlap
from sketchloss.system.images import to_tensor

SIZE = 64


@pytest.fixture(scope="module")
def drawings():
    return open_drawings("doodles", per_class=2, classes=("cat", "house"))


@pytest.mark.parametrize("make", [rough, scan])
def test_a_version_is_the_same_each_time_and_another_version_is_not(make, drawings):
    one, again, other = (make(drawings[0], SIZE, version=version, seed=3) for version in (0, 0, 1))
    assert one.size == (SIZE, SIZE)
    assert one.mode == "L"
    assert one.tobytes() == again.tobytes()
    assert one.tobytes() != other.tobytes()
    assert one.tobytes() != make(drawings[0], SIZE, seed=4).tobytes()


def test_rough_lines_lie_near_the_true_ones_and_are_thinner_and_grey(drawings):
    for drawing in drawings:
        true, drawn = (to_tensor(picture)[None] for picture in (drawing.picture(SIZE), rough(drawing, SIZE)))
        near = ink_overlap(drawn, true, tolerance=4 / SIZE)
        assert near.recall.item() > 0.7
        assert ink_overlap(drawn, true, tolerance=0).f1.item() < 0.8, "astray"
        assert drawn.min() > 0.05, "pencil, not ink"


def test_a_scan_has_grey_paper_and_soft_ink(drawings):
    for drawing in drawings:
        true, scanned = (to_tensor(picture)[0] for picture in (drawing.picture(SIZE), scan(drawing, SIZE)))
        paper = true == 1
        assert scanned[paper].mean() < 0.98
        assert scanned[~paper].mean() < scanned[paper].mean() - 0.05, "the drawing is still there"


def test_a_dot_is_drawn_too(drawings):
    dot = drawings[0].with_strokes([np.array([[0.5, 0.5]])] * 12)
    assert torch.from_numpy(np.array(rough(dot, SIZE))).min() < 200
