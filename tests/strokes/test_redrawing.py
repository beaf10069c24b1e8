"""Oracles: strokes that the picture was drawn from, and the pixels that carry its ink."""

import numpy as np
import pytest
import torch

from sketchloss import SketchLoss
from sketchloss.data.doodles.kinds import doodle
from sketchloss.strokes.batch import StrokeBatch
from sketchloss.strokes.chamfer import chamfer_distance, points_along
from sketchloss.strokes.curves import smooth
from sketchloss.strokes.redrawing import RedrawLoss, begin_on_ink, redraw
from sketchloss.strokes.renderer import render
from sketchloss.system.images import to_tensor

SIZE = 48


@pytest.fixture(scope="module")
def truth() -> StrokeBatch:
    return StrokeBatch.of([[stroke * SIZE for stroke in doodle("umbrella", 2, style="ink").strokes]], [1.2])


@pytest.fixture(scope="module")
def picture(truth) -> torch.Tensor:
    return render(truth, SIZE)


def test_strokes_come_to_lie_where_the_drawing_has_its_own(narrow, truth, picture):
    first, *_, last = redraw(RedrawLoss(SketchLoss(narrow, check=False)), picture, 12, steps=60)
    (lines,) = points_along(truth)
    far = [chamfer_distance(points_along(smooth(strokes))[0], lines) for strokes in (first, last)]
    assert far[1] < 0.6 * far[0]
    assert far[1] < 0.8  # pixels, less than a pen's width
    assert (render(smooth(last), SIZE) - picture).abs().mean() < 0.5 * (1 - picture).mean()


def test_the_same_seed_gives_the_same_strokes_and_another_one_others(narrow, picture):
    loss = RedrawLoss(SketchLoss(narrow, check=False))
    ends = [redraw(loss, picture, 5, steps=3, seed=seed)[-1].points for seed in (0, 0, 1)]
    assert torch.equal(ends[0], ends[1])
    assert not torch.equal(ends[0], ends[2])


def test_strokes_start_on_the_ink_and_share_it(picture):
    strokes = begin_on_ink(picture, 10, 4, seed=0)
    middles = strokes.points.view(10, 4, 2).mean(1)
    rows, columns = torch.nonzero(picture[0, 0] < 0.7, as_tuple=True)
    ink = torch.stack([columns, rows], 1) + 0.5
    apart = torch.cdist(ink, middles)
    assert apart.amin(1).max() < SIZE / 4  # no ink is far from a stroke
    assert apart.argmin(1).unique().numel() == 10  # and no stroke is without ink


@pytest.mark.usefixtures("cpu_with_bfloat16")
def test_a_loss_of_both_terms(narrow, picture):
    loss = SketchLoss(narrow, check=False)
    with torch.autocast("cpu", torch.bfloat16):
        looks = loss(picture.flip(3), loss.extract(picture))
    expected = looks + 3 * (picture.flip(3) - picture).abs().mean()
    both = RedrawLoss(loss, pixels=3)
    torch.testing.assert_close(both(picture.flip(3), both.extract(picture)), expected)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"count": 0}, "count is 0: give at least 1"),
        ({"points": 1}, "points is 1: give at least 2"),
        ({"steps": 0}, "steps is 0: give at least 1"),
        ({"count": 10_000}, r"count is 10000: the drawing has ink on \d+ pixels, so give fewer strokes"),
    ],
)
def test_numbers_out_of_range_are_refused(narrow, picture, changes, said):
    loss = RedrawLoss(SketchLoss(narrow, check=False))
    with pytest.raises(ValueError, match=said):
        redraw(loss, picture, **{"count": 2, "steps": 1, **changes})


def test_a_blank_page_and_a_photo_are_refused(narrow):
    loss = RedrawLoss(SketchLoss(narrow, check=False))
    photo = to_tensor(doodle("boat", 1).photo(SIZE)).mean(0)[None, None]
    for wrong, said in (
        (torch.ones(1, 1, SIZE, SIZE), "the page is blank: give a picture with lines"),
        (torch.full((1, 1, SIZE, SIZE), 0.5), "the page is blank"),
        (photo, r"only \d+% of it is light paper, so it is no line drawing: use --invert"),
        (1 - render(StrokeBatch.of([[np.array([[4.0, 4.0], [40.0, 40.0]])]], [2.0]), SIZE), r"only \d% of it"),
    ):
        with pytest.raises(ValueError, match=said):
            redraw(loss, wrong, 2, steps=1)
