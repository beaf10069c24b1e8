"""Oracles: segments counted by hand; for bad input, one line that names the value."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from sketchloss.strokes import StrokeBatch

LINE = np.array([[1.0, 1.0], [5.0, 1.0], [5.0, 6.0]])
DOT = np.array([[3.0, 3.0]])


def test_drawings_lie_one_after_another():
    batch = StrokeBatch.of([[LINE, DOT], [], [LINE[:2]]], [1.0, 2.0, 3.0])
    assert batch.points.tolist() == [*LINE.tolist(), *DOT.tolist(), *LINE[:2].tolist()]
    assert batch.stroke_of.tolist() == [0, 0, 0, 1, 2, 2]
    assert batch.drawing_of.tolist() == [0, 0, 2]
    assert batch.widths.tolist() == [1.0, 1.0, 3.0]
    assert batch.drawings == 3


def test_segments_join_the_points_of_one_stroke_and_a_dot_is_its_own():
    start, end = StrokeBatch.of([[LINE, DOT], [], [LINE[:2]]], [1.0, 2.0, 3.0]).segments()
    assert list(zip(start.tolist(), end.tolist(), strict=True)) == [(0, 1), (1, 2), (3, 3), (4, 5)]


@pytest.mark.parametrize(
    ("strokes", "widths", "message"),
    [
        ([[LINE.T]], [1.0], r"shape \(2, 3\): give \(points, 2\)"),
        ([[LINE[0]]], [1.0], r"shape \(2,\): give \(points, 2\)"),
        ([[LINE[:0]]], [1.0], r"shape \(0, 2\)"),
        ([[LINE]], [0.0], r"line width is 0\.0: it must be above 0"),
        ([[LINE]], [-1.0], r"line width is -1\.0"),
        ([[LINE]], [float("nan")], r"line width is nan"),
        ([[LINE]], [1.0, 2.0], r"1 drawings and 2 widths"),
        ([[np.array([[1.0, np.nan]])]], [1.0], r"points\[0\] is \[1\.0, nan\]: every value must be finite"),
        ([[np.array([[1.0, np.inf]])]], [1.0], r"points\[0\] is \[1\.0, inf\]"),
    ],
)
def test_bad_strokes_are_one_clear_line(strokes, widths, message):
    with pytest.raises(ValueError, match=message) as caught:
        StrokeBatch.of(strokes, widths)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"widths": torch.tensor([1.0, -0.5])}, r"widths\[1\] is -0\.5: every value must be 0 or more"),
        ({"opacities": torch.tensor([1.0, 1.5])}, r"opacities\[1\] is 1\.5: every value must be 0 to 1"),
        ({"opacities": torch.tensor([1.0])}, r"opacities is of shape \(1,\): give \(2,\)"),
        ({"stroke_of": torch.tensor([0, 1, 0, 1])}, r"stroke_of must rise from 0 to below 2"),
        ({"stroke_of": torch.tensor([0, 0, 0, 2])}, r"stroke_of must rise from 0 to below 2"),
        ({"drawing_of": torch.tensor([0, 1])}, r"drawing_of must rise from 0 to below 1"),
        ({"points": torch.zeros(4, 2, dtype=torch.long)}, r"points are torch.int64"),
        ({"points": torch.zeros(4, 3)}, r"shape \(4, 3\): give floats, \(points, 2\)"),
    ],
)
def test_bad_tensors_are_one_clear_line(changes, message):
    fields = {
        "points": torch.zeros(4, 2),
        "widths": torch.ones(2),
        "stroke_of": torch.tensor([0, 0, 0, 1]),
        "drawing_of": torch.tensor([0, 0]),
        "drawings": 1,
        "opacities": None,
    }
    StrokeBatch(**fields)
    # note: called by itself, because beartype, which tests run under, would refuse wrong shapes first
    with pytest.raises(ValueError, match=message) as caught:
        StrokeBatch.__post_init__(SimpleNamespace(**{**fields, **changes}))
    assert "\n" not in str(caught.value)
