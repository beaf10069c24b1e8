"""Drawings as strokes. Oracles: closed forms of lengths, files written here, and `draw_strokes` itself."""

import json
from itertools import pairwise

import numpy as np
import pytest

from sketchloss.data.doodles.kinds import KINDS, doodle
from sketchloss.data.quickdraw.drawings import (
    LEAST_PIECES,
    LINE_WIDTH,
    PIECE,
    SPACING,
    StrokeDrawing,
    fill_in,
    open_drawings,
)
from sketchloss.data.quickdraw.painting import draw_strokes
from sketchloss.data.sources import open_sketches

SQUARE = [[0, 255, 255, 0, 0], [0, 0, 255, 255, 0]]  # four sides, 3.52 sides of the picture long: 15 pieces


def length(points):
    return np.hypot(*np.diff(points, axis=0).T).sum()


def write(path, drawings):
    word = path.stem
    path.write_text("".join(json.dumps({"word": word, "drawing": drawing}) + "\n" for drawing in drawings))


# Points and pieces ---------------------------------------------------------------------------------------------------


def test_points_are_added_evenly_and_own_points_stay():
    corner = np.array([[0.1, 0.1], [0.4, 0.1], [0.4, 0.2]])
    filled = fill_in(corner, spacing=0.1)
    # 0.3 in three steps, then 0.1 in one
    np.testing.assert_allclose(filled, [[0.1, 0.1], [0.2, 0.1], [0.3, 0.1], [0.4, 0.1], [0.4, 0.2]])
    dense = fill_in(corner)
    assert np.hypot(*np.diff(dense, axis=0).T).max() <= SPACING + 1e-9
    assert length(dense) == pytest.approx(0.4)


@pytest.mark.parametrize("points", [[[0.3, 0.3]], [[0.3, 0.3], [0.3, 0.3]]], ids=["dot", "no length"])
def test_a_dot_is_one_piece_as_long_as_its_line_is_wide(points):
    drawing = StrokeDrawing("dot", 0, (fill_in(np.array(points)),), 0.02)
    assert len(drawing.pieces) == 1
    assert drawing.lengths.tolist() == [0.02]


def test_pieces_of_a_straight_stroke_are_equal_and_share_their_ends():
    stroke = fill_in(np.array([[0.0, 0.5], [0.9, 0.5]]))
    drawing = StrokeDrawing("line", 0, (stroke,), 0.02)
    assert len(drawing.pieces) == 4  # 0.9 in pieces of 0.25 at most
    np.testing.assert_allclose(drawing.lengths, 0.225, atol=SPACING)
    assert drawing.lengths.sum() == pytest.approx(0.9)
    parts = [drawing.part(piece) for piece in drawing.pieces]
    for one, other in pairwise(parts):
        np.testing.assert_array_equal(one[-1], other[0])


@pytest.fixture(scope="module")
def doodles():
    return open_drawings("doodles", per_class=1, seed=1)


@pytest.mark.parametrize("kind", range(0, len(KINDS), 5))
def test_pieces_cover_every_stroke_once(kind, doodles):
    drawing = doodles[kind]
    for index, stroke in enumerate(drawing.strokes):
        pieces = [piece for piece in drawing.pieces if piece.stroke == index]
        assert pieces[0].start == 0
        assert pieces[-1].stop == len(stroke) - 1
        assert all(one.stop == other.start for one, other in pairwise(pieces))
    assert drawing.lengths.max() <= PIECE + 2 * SPACING
    wide = [max(drawing.line_width, length(drawing.part(piece))) for piece in drawing.pieces]
    np.testing.assert_allclose(drawing.lengths, wide)


def test_a_picture_is_its_strokes_in_ink_never_thinner_than_a_pixel_almost():
    drawing = open_drawings("doodles", per_class=1, classes=1)[0]
    assert drawing.pen(100) == pytest.approx(100 * drawing.line_width)
    assert drawing.pen(16) == 0.8
    expected = draw_strokes(drawing.strokes, 96, line_width=drawing.pen(96))
    assert drawing.picture(96).tobytes() == expected.tobytes()


# Doodles -------------------------------------------------------------------------------------------------------------


def test_doodles_are_drawn_by_their_own_hand_from_seeds_that_no_training_meets():
    drawings = open_drawings("doodles", per_class=2, classes=3, seed=4)
    assert len(drawings) == 6
    assert [drawing.number for drawing in drawings] == [0, 1] * 3
    first = drawings[0]
    for stroke, clean in zip(first.strokes, doodle(first.label, 4_500_000).strokes, strict=True):
        np.testing.assert_allclose(stroke[[0, -1]], clean[[0, -1]])
    trained_on = open_sketches("doodles", 16, seed=4).rows["seed"]
    assert max(trained_on) < 4_500_000
    assert all(LINE_WIDTH[0] <= drawing.line_width <= LINE_WIDTH[1] for drawing in drawings)


def test_the_seed_decides_drawings_and_the_same_seed_gives_the_same(doodles):
    def pixels(drawings):
        return [(one.label, one.picture(32).tobytes()) for one in drawings]

    assert pixels(doodles) == pixels(open_drawings("doodles", per_class=1, seed=1))
    assert not set(pixels(doodles)) & set(pixels(open_drawings("doodles", per_class=1, seed=2)))


def test_doodles_are_rich_enough_to_take_a_tenth_away(doodles):
    assert len(doodles) == len(KINDS)
    assert min(len(drawing.pieces) for drawing in doodles) >= LEAST_PIECES


# QuickDraw -----------------------------------------------------------------------------------------------------------


def test_quickdraw_is_read_class_by_class_and_simple_drawings_are_left_out(tmp_path):
    stroke = [[[0, 255], [0, 0]]]
    write(tmp_path / "square.ndjson", [[SQUARE], stroke, [SQUARE, [[128], [128]]], [SQUARE]])
    write(tmp_path / "box.ndjson", [[SQUARE]])
    drawings = open_drawings(tmp_path, per_class=2)
    assert [(drawing.label, drawing.number) for drawing in drawings] == [("box", 0), ("square", 0), ("square", 2)]
    assert [len(drawing.strokes) for drawing in drawings] == [1, 1, 2]
    points = drawings[0].strokes[0]
    assert points.min() == pytest.approx(0.06)
    assert points.max() == pytest.approx(0.94)
    assert length(points) == pytest.approx(4 * 0.88)
    assert len(open_drawings(tmp_path, per_class=2, classes=1)) in (1, 2)


def test_lines_that_are_no_drawings_are_passed_over_and_named(tmp_path):
    write(tmp_path / "square.ndjson", [[SQUARE]])
    with (tmp_path / "square.ndjson").open("a") as file:
        file.write("{oops\n")
    faults = []
    assert len(open_drawings(tmp_path, per_class=5, faults=faults)) == 1
    assert len(faults) == 1
    assert "square.ndjson:2" in faults[0]


def test_real_quickdraw(data_folder):
    drawings = open_drawings(data_folder / "quickdraw", per_class=3, classes=10, seed=1)
    assert len({drawing.label for drawing in drawings}) == 10
    assert min(len(drawing.pieces) for drawing in drawings) >= LEAST_PIECES


# Mistakes ------------------------------------------------------------------------------------------------------------


def test_classes_may_be_named(tmp_path):
    for word in ("cat", "hat", "owl"):
        write(tmp_path / f"{word}.ndjson", [[SQUARE], [SQUARE]])
    assert [one.label for one in open_drawings(tmp_path, per_class=1, classes=("owl", "cat"))] == ["cat", "owl"]
    named, all_of_them = (open_drawings("doodles", per_class=1, classes=some) for some in (("star",), None))
    (same,) = (one for one in all_of_them if one.label == "star")
    assert named[0].picture(32).tobytes() == same.picture(32).tobytes()
    with pytest.raises(ValueError, match=r"has no class 'owls': did you mean 'owl'\?"):
        open_drawings(tmp_path, per_class=1, classes=("cat", "owls"))
    with pytest.raises(ValueError, match="has no class 'zzz': classes are cat, hat, owl"):
        open_drawings(tmp_path, per_class=1, classes=("zzz",))


def test_mistakes_say_what_to_do(tmp_path):
    write(tmp_path / "line.ndjson", [[[[0, 255], [0, 0]]]])
    with pytest.raises(ValueError, match=r"no drawing in it has 8 pieces.*richer"):
        open_drawings(tmp_path, per_class=2)
    (tmp_path / "pictures" / "cat").mkdir(parents=True)
    with pytest.raises(ValueError, match=r"pictures holds no drawings: give doodles, or a folder of QuickDraw"):
        open_drawings(tmp_path / "pictures", per_class=2)
    doodle("cat", 1).sketch(32).save(tmp_path / "pictures" / "cat" / "1.png")
    with pytest.raises(ValueError, match=r"holds pictures.*give doodles, or a folder of QuickDraw"):
        open_drawings(tmp_path / "pictures", per_class=2)
    with pytest.raises(ValueError, match="does not exist"):
        open_drawings(tmp_path / "nowhere", per_class=2)
    with pytest.raises(ValueError, match="give doodles without options"):
        open_drawings("doodles?tool=pencil", per_class=2)
    with pytest.raises(ValueError, match="per_class is 0"):
        open_drawings("doodles", per_class=0)
    with pytest.raises(ValueError, match="seed is -1"):
        open_drawings("doodles", per_class=1, seed=-1)
