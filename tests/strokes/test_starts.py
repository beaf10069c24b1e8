"""Oracles: distances, angles and sizes of strokes, in closed form."""

import numpy as np
import pytest

from sketchloss.strokes.starts import DOT, STARTS, TURN, begin

RNG = np.random.default_rng(0)
STROKES = [RNG.uniform(20, 44, (points, 2)) for points in (4, 7, 2, 3, 5)] + [np.array([[30.0, 30.0]])]


def middle(stroke):
    return (stroke.min(0) + stroke.max(0)) / 2


def test_displaced_strokes_are_moved_by_the_amount_and_turned_a_little():
    begun, changed, gone = begin(STROKES, "displaced", 7.0, 64, np.random.default_rng(1))
    assert all(changed)
    assert not any(gone)
    angles = []
    for before, after in zip(STROKES, begun, strict=True):
        # Rigid: distances between points stay. The move is that of the point the stroke was turned about.
        apart = [np.linalg.norm(stroke[:, None] - stroke, axis=-1) for stroke in (before, after)]
        np.testing.assert_allclose(*apart, atol=1e-9)
        if len(before) > 1:
            ways = [np.arctan2(*(stroke[1] - stroke[0])[::-1]) for stroke in (before, after)]
            turn = (ways[1] - ways[0] + np.pi) % (2 * np.pi) - np.pi
            rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
            move = after[0] - (middle(before) + rotation @ (before[0] - middle(before)))
            angles.append(abs(np.degrees(turn)))
        else:
            move = after[0] - before[0]
        assert np.linalg.norm(move) == pytest.approx(7.0)
    assert 0 < max(angles) <= TURN


def test_strokes_stay_in_the_picture_where_they_can():
    corner = [np.array([[2.0, 2.0], [6.0, 3.0]])] * 8
    begun, *_ = begin(corner, "displaced", 10.0, 64, np.random.default_rng(0))
    assert all((stroke >= 0).all() for stroke in begun)


def test_half_of_the_length_is_erased():
    begun, changed, gone = begin(STROKES, "half-erased", 0.0, 64, np.random.default_rng(2))
    assert changed == gone
    lengths = np.array([np.linalg.norm(np.diff(stroke, axis=0), axis=1).sum() for stroke in STROKES])
    assert abs(lengths[gone].sum() / lengths.sum() - 0.5) < lengths.max() / lengths.sum() / 2
    for before, after, missing in zip(STROKES, begun, gone, strict=True):
        expected = middle(before) + DOT * (before - middle(before)) if missing else before
        np.testing.assert_allclose(after, expected)


def test_blank_is_all_dots_and_moved_where_asked():
    begun, changed, gone = begin(STROKES, "blank", 5.0, 64, np.random.default_rng(2))
    assert all(gone)
    assert all(changed)
    for before, after in zip(STROKES, begun, strict=True):
        assert np.linalg.norm(after[0] - after[-1]) == pytest.approx(DOT * np.linalg.norm(before[0] - before[-1]))
        assert np.linalg.norm(middle(after) - middle(before)) == pytest.approx(5.0, abs=2)


@pytest.mark.parametrize("start", STARTS)
def test_the_seed_decides(start):
    first, again, other = (begin(STROKES, start, 5.0, 64, np.random.default_rng(seed))[0] for seed in (4, 4, 5))
    assert all(np.array_equal(*pair) for pair in zip(first, again, strict=True))
    assert not all(np.array_equal(*pair) for pair in zip(first, other, strict=True))


@pytest.mark.parametrize(
    ("start", "amount", "message"),
    [
        ("displaced", -1.0, r"amount is -1\.0: give 0 or more pixels"),
        ("displaced", float("nan"), "amount is nan"),
    ],
)
def test_bad_amounts_are_one_clear_line(start, amount, message):
    with pytest.raises(ValueError, match=message):
        begin(STROKES, start, amount, 64, np.random.default_rng(0))
