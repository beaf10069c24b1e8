"""Oracles: distances, angles and sizes of strokes, in closed form."""

import numpy as np
import pytest

from sketchloss.strokes.starts import DOT, STARTS, TURN, begin, usual_amount

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


def test_rotated_strokes_are_turned_by_the_angle_to_either_side():
    begun, changed, gone = begin(STROKES, "rotated", 30.0, 64, np.random.default_rng(1))
    assert all(changed)
    assert not any(gone)
    turns = set()
    for before, after in zip(STROKES, begun, strict=True):
        if len(before) > 1:
            ways = [np.arctan2(*(stroke[1] - stroke[0])[::-1]) for stroke in (before, after)]
            turns.add(round(float(np.degrees((ways[1] - ways[0] + np.pi) % (2 * np.pi) - np.pi))))
            apart = [np.linalg.norm(stroke[:, None] - stroke, axis=-1) for stroke in (before, after)]
            np.testing.assert_allclose(*apart, atol=1e-9)
    assert turns == {-30, 30}


def test_a_bent_stroke_keeps_its_ends_and_its_middle_moves_across():
    straight = np.stack([np.linspace(10, 50, 41), np.full(41, 20.0)], axis=1)
    (bent,), changed, _ = begin([straight], "bent", 6.0, 64, np.random.default_rng(0))
    assert changed == [True]
    np.testing.assert_allclose(bent[[0, -1]], straight[[0, -1]], atol=1e-12)
    np.testing.assert_allclose(bent[:, 0], straight[:, 0])
    assert abs(bent[20, 1] - 20) == pytest.approx(6.0)
    assert abs(bent[10, 1] - 20) == pytest.approx(6.0 * np.sqrt(0.5))


def test_closed_strokes_and_dots_can_be_bent():
    ring = np.array([[30.0, 30.0], [40.0, 30.0], [35.0, 40.0], [30.0, 30.0]])
    dot = np.array([[30.0, 30.0]])
    (bent, same), *_ = begin([ring, dot], "bent", 6.0, 64, np.random.default_rng(0))
    assert np.isfinite(bent).all()
    assert not np.allclose(bent, ring)
    np.testing.assert_array_equal(same, dot)


def test_dots_keep_their_widths():
    begun, changed, gone = begin(STROKES, "dots", 0.0, 64, np.random.default_rng(2))
    assert all(changed)
    assert not any(gone)
    for before, after in zip(STROKES, begun, strict=True):
        np.testing.assert_allclose(after, middle(before) + DOT * (before - middle(before)))


def test_usual_amounts_grow_with_the_picture_but_angles_do_not():
    assert usual_amount("displaced", 128) == 2 * usual_amount("displaced", 64) == 20
    assert usual_amount("rotated", 128) == usual_amount("rotated", 64) > 0
    assert usual_amount("dots", 64) == 0


@pytest.mark.parametrize("start", [start for start in STARTS if start != "dots"])
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
