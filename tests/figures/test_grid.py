"""Oracle: pixels counted in the picture. Pictures are of one colour each, so that they can be told apart."""

from itertools import product

import numpy as np
import pytest
from PIL import Image

from sketchloss.figures.grid import GAP, MARGIN, draw_grid

SIDE = 30


def colour(row: int, column: int) -> tuple[int, int, int]:
    return (40 * row + 10, 200 - 30 * column, 180)


def plain(row: int, column: int, size: tuple[int, int] = (8, 8)) -> Image.Image:
    return Image.new("RGB", size, colour(row, column))


def pictures(rows: int, columns: int) -> list[list[Image.Image]]:
    return [[plain(row, column) for column in range(columns)] for row in range(rows)]


def box(grid: Image.Image, wanted: tuple[int, int, int]) -> tuple[int, int, int, int]:
    """First and last row and column of the pixels of a colour, which must fill what lies between."""
    places = np.argwhere((np.asarray(grid) == wanted).all(-1))
    (top, left), (bottom, right) = places.min(0), places.max(0)
    assert len(places) == (bottom - top + 1) * (right - left + 1)
    return int(top), int(bottom), int(left), int(right)


def ink(grid: Image.Image) -> np.ndarray:
    return np.argwhere(np.asarray(grid.convert("L")) < 70)


@pytest.mark.parametrize("named", [False, True])
def test_rows_and_columns_lie_on_a_lattice(named):
    names = {"row_names": ("a", "b"), "column_names": ("x", "y", "z"), "title": "t"} if named else {}
    grid = draw_grid(pictures(2, 3), side=SIDE, **names)
    boxes = {(row, column): box(grid, colour(row, column)) for row, column in product(range(2), range(3))}
    top, left = boxes[0, 0][0], boxes[0, 0][2]
    for (row, column), found in boxes.items():
        y, x = top + row * (SIDE + GAP), left + column * (SIDE + GAP)
        assert found == (y, y + SIDE - 1, x, x + SIDE - 1)
    assert grid.mode == "RGB"
    assert grid.size == (left + 3 * SIDE + 2 * GAP + MARGIN, top + 2 * SIDE + GAP + MARGIN)
    assert named or (top, left) == (MARGIN, MARGIN)


def test_a_picture_is_fitted_whole_and_may_be_grey():
    grid = draw_grid([[plain(0, 0, (60, 30)), Image.new("L", (3, 3), 77)]], side=SIDE)
    top, bottom, left, right = box(grid, colour(0, 0))
    assert (bottom - top + 1, right - left + 1) == (SIDE // 2, SIDE)
    top, bottom, left, right = box(grid, (77, 77, 77))
    assert (bottom - top + 1, right - left + 1) == (SIDE, SIDE)


def test_names_stand_at_their_rows_and_columns_and_the_title_above():
    rows = pictures(2, 2)
    bare = draw_grid(rows, side=SIDE)
    assert not len(ink(bare))
    named = ink(draw_grid(rows, side=SIDE, row_names=("", "photo")))
    grid = draw_grid(rows, side=SIDE, row_names=("", "photo"))
    top, bottom, left, _ = box(grid, colour(1, 0))
    assert (named[:, 1] < left).all()
    assert (named[:, 0] >= top).all()
    assert (named[:, 0] <= bottom).all()

    grid = draw_grid(rows, side=SIDE, column_names=("", "abc"))
    named = ink(grid)
    top, _, left, right = box(grid, colour(0, 1))
    assert (named[:, 0] < top).all()
    assert (named[:, 1] >= left - 1).all()
    assert (named[:, 1] <= right + 1).all()

    grid = draw_grid(rows, side=SIDE, column_names=("", ""), title="abc")
    titled = ink(grid)
    assert len(titled)
    assert titled[:, 0].max() < box(grid, colour(0, 0))[0] - 15  # the line of the column names lies between


def test_a_long_row_name_makes_room_and_a_long_column_name_is_cut():
    rows = pictures(1, 2)
    long = draw_grid(rows, side=SIDE, row_names=("a row with a long name",))
    assert ink(long)[:, 1].min() >= MARGIN - 1
    assert ink(long)[:, 1].max() < box(long, colour(0, 0))[2]
    cut = draw_grid(rows, side=SIDE, column_names=("a column with a long name", ""))
    assert cut.size == draw_grid(rows, side=SIDE, column_names=("a", "")).size
    assert ink(cut)[:, 1].max() <= box(cut, colour(0, 0))[3] + 1


def test_letters_that_the_font_lacks_are_replaced():
    rows = pictures(1, 1)
    names = [draw_grid(rows, side=SIDE, row_names=(name,)).tobytes() for name in ("Pferd é", "Pferd e", "Pferd 馬")]
    assert names[0] == names[1] != names[2]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"rows": []}, "at least one picture"),
        ({"rows": [[], []]}, "at least one picture"),
        ({"rows": [*pictures(1, 2), *pictures(1, 1)]}, r"the rows hold \[2, 1\] pictures"),
        ({"row_names": ("a",)}, "1 row names for 2 rows"),
        ({"column_names": ("a", "b", "c", "d")}, "4 column names for 3 columns"),
        ({"side": 0}, "size must be at least 1 pixel, got 0"),
        ({"rows": [[Image.new("P", (3, 3))]]}, "got P; open it with open_picture"),
    ],
)
def test_what_makes_no_grid_is_refused(arguments, words):
    with pytest.raises(ValueError, match=words):
        draw_grid(**({"rows": pictures(2, 3), "side": SIDE} | arguments))
