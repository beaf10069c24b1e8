"""Edits of known size. Oracles: lengths measured on the edited strokes, sets of points, and closed forms."""

import numpy as np
import pytest

from sketchloss.data.quickdraw.drawings import StrokeDrawing, fill_in, open_drawings
from sketchloss.data.quickdraw.edits import (
    DISPLACEMENT,
    EDITS,
    HAND,
    WORST_HAND,
    added,
    by_other_hand,
    displaced,
    edited,
    redrawn,
    removed,
    with_wobble,
)

LEVELS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6)


@pytest.fixture(scope="module")
def drawings():
    return open_drawings("doodles", per_class=2, classes=8, seed=3)


def length(strokes):
    return sum(np.hypot(*np.diff(stroke, axis=0).T).sum() for stroke in strokes)


def points(drawing):
    return {tuple(point) for stroke in drawing.strokes for point in stroke.tolist()}


def ink(drawing):
    return (255 - np.asarray(drawing.picture(128), dtype=float)).sum()


@pytest.mark.parametrize("name", EDITS)
def test_edits_are_the_same_again_and_whatever_else_is_in_the_set(drawings, name):
    one, again = (edited(drawings[0], name, 0.3, seed=5, others=drawings) for _ in range(2))
    assert points(one.drawing) == points(again.drawing)
    other = edited(drawings[0], name, 0.3, seed=6, others=drawings)
    assert points(one.drawing) != points(other.drawing)
    if name != "added":
        assert points(edited(drawings[0], name, 0.3, seed=5).drawing) == points(one.drawing)


@pytest.mark.parametrize("name", EDITS)
def test_amounts_ascend_and_come_near_what_was_asked_for(drawings, name):
    for drawing in drawings:
        amounts = [edited(drawing, name, level, seed=0, others=drawings).amount for level in LEVELS]
        assert amounts == sorted(amounts)
        # Pieces are whole: at most half of the longest is wrong (of another drawing's, where strokes are added).
        longest = max(one.lengths.max() for one in drawings) / drawing.lengths.sum()
        np.testing.assert_allclose(amounts, LEVELS, atol=longest / 2 + 1e-9)


def test_removed_strokes_are_as_long_as_said_and_nested(drawings):
    for drawing in drawings:
        whole, before = length(drawing.strokes), points(drawing)
        for level in LEVELS:
            found = removed(drawing, level, seed=1)
            # Lengths of very short pieces count as the line's width: the two may differ by as much.
            slack = len(drawing.pieces) * drawing.line_width / drawing.lengths.sum() / 4
            assert 1 - length(found.drawing.strokes) / whole == pytest.approx(found.amount, abs=slack)
            assert points(found.drawing) <= before
            before = points(found.drawing)


def test_what_stays_looks_as_before():
    strokes = tuple(fill_in(np.array([[0.1, y], [0.9, y]])) for y in (0.2, 0.5, 0.8))
    drawing = StrokeDrawing("lines", 0, strokes, 0.02)
    whole = np.asarray(drawing.picture(64), dtype=float)
    for level in LEVELS:
        left = np.asarray(removed(drawing, level, seed=0).drawing.picture(64), dtype=float)
        # Pillow's round ends, new where a stroke was cut, are a quarter of a pixel wider than its lines.
        assert np.maximum(whole - left, 0).sum() < 0.01 * (255 - whole).sum()


def test_all_strokes_can_be_removed(drawings):
    found = removed(drawings[0], 1.0, seed=0)
    assert found.drawing.strokes == ()
    assert found.amount == pytest.approx(1)
    assert ink(found.drawing) == 0


def test_displaced_pieces_move_by_the_stated_distance_and_as_before_at_the_next_level(drawings):
    drawing = drawings[0]
    whole = points(drawing)
    moved_before: set = set()
    for level in LEVELS:
        found = displaced(drawing, level, seed=2)
        moved = points(found.drawing) - whole
        assert moved_before <= moved
        moved_before = moved
        parts = [stroke for stroke in found.drawing.strokes if tuple(stroke[1]) not in whole]
        lengths = sum(length([part]) for part in parts)
        assert lengths / length(drawing.strokes) == pytest.approx(found.amount, abs=0.02)
    everything = displaced(drawing, 1.0, seed=2).drawing
    for piece, stroke in zip(drawing.pieces, everything.strokes, strict=True):
        gaps = np.hypot(*(stroke - drawing.part(piece)).T)
        np.testing.assert_allclose(gaps, DISPLACEMENT)


def test_redrawn_pieces_are_another_hand_s_and_the_others_stay(drawings):
    drawing = drawings[1]
    hand = points(by_other_hand(drawing, HAND, seed=2))
    for level in LEVELS:
        found = redrawn(drawing, level, seed=2)
        assert points(found.drawing) <= points(drawing) | hand
        assert points(found.drawing) - points(drawing)
    assert points(redrawn(drawing, 1.0, seed=2).drawing) == hand


def test_wobble_grows_in_the_same_directions(drawings):
    for drawing in drawings:
        small, great = (with_wobble(drawing, share, seed=2).drawing for share in (0.2, 0.6))
        for stroke, one, other in zip(drawing.strokes, small.strokes, great.strokes, strict=True):
            np.testing.assert_allclose(other - stroke, 3 * (one - stroke), atol=1e-12)
    assert WORST_HAND * 0.2 == 1  # the hand of the doodles, which goes astray by about a hundredth
    gaps = [np.abs(by_other_hand(one, 1.0, seed=0).strokes[0] - one.strokes[0]).mean() for one in drawings]
    assert 0.001 < np.mean(gaps) < 0.02


def test_added_strokes_are_another_drawing_s_and_nested(drawings):
    drawing = drawings[0]
    foreign = set().union(*(points(other) for other in drawings[1:]))
    before: list = []
    for level in LEVELS:
        found = added(drawing, level, drawings, seed=0)
        count = len(drawing.strokes)
        for stroke, own in zip(found.drawing.strokes, drawing.strokes, strict=False):
            np.testing.assert_array_equal(stroke, own)
        new = [stroke.tolist() for stroke in found.drawing.strokes[count:]]
        assert new
        assert new[: len(before)] == before
        assert {tuple(point) for stroke in new for point in stroke} <= foreign
        before = new
        grown = length(found.drawing.strokes) / length(drawing.strokes) - 1
        assert grown == pytest.approx(found.amount, abs=0.02)


def test_added_strokes_come_from_several_drawings_where_one_has_too_few(drawings):
    line = StrokeDrawing("line", 0, (fill_in(np.array([[0.1, 0.1], [0.3, 0.1]])),), 0.02)
    lines = [line, StrokeDrawing("line", 1, line.strokes, 0.02), StrokeDrawing("line", 2, line.strokes, 0.02)]
    found = added(drawings[0], 1.0, lines, seed=0)
    assert len(found.drawing.strokes) == len(drawings[0].strokes) + 3
    assert found.amount == pytest.approx(0.6 / drawings[0].lengths.sum())


@pytest.mark.parametrize("name", EDITS)
@pytest.mark.parametrize("share", [0.0, -0.1, 1.1])
def test_shares_outside_their_range_are_refused(drawings, name, share):
    with pytest.raises(ValueError, match=f"share is {share}"):
        edited(drawings[0], name, share, seed=0, others=drawings)


def test_other_mistakes(drawings):
    with pytest.raises(ValueError, match="no other drawing"):
        added(drawings[0], 0.1, drawings[:1], seed=0)
    with pytest.raises(Exception, match="smudged"):
        edited(drawings[0], "smudged", 0.1, seed=0)
