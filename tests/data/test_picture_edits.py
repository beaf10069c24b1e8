"""Edits of pixels. Oracles: straight lines and ramps, whose edits have a closed form; counting by hand."""

import numpy as np
import pytest
from PIL import Image

from sketchloss.data.picture_edits import (
    GRID,
    erased,
    longest_piece,
    pieces,
    speck,
    to_ink,
    to_paper,
    warped,
    widened,
)

SIDE = 120


def line(width=4, side=SIDE):
    """A horizontal line from edge to edge."""
    ink = np.zeros((side, side))
    ink[side // 2 : side // 2 + width] = 1
    return ink


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_ink_and_paper_are_each_others_inverse():
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (9, 7), dtype=np.uint8))
    assert to_ink(Image.new("L", (2, 2), 0)).tolist() == [[1, 1], [1, 1]]
    assert np.array_equal(to_paper(to_ink(picture)), picture)


@pytest.mark.parametrize("pixels", [-3.0, -1.5, 0.0, 0.5, 2.0, 5.25])
def test_lines_become_wider_by_so_many_pixels(pixels):
    found = widened(line(4), pixels)
    assert found.sum() / SIDE == pytest.approx(4 + pixels)
    assert found.min() == 0
    assert found.max() <= 1


@pytest.mark.parametrize("axis", [0, 1])
def test_a_warp_moves_ink_as_far_as_said(axis, rng):
    ramp = np.indices((SIDE, SIDE))[axis] / SIDE
    other = np.indices((SIDE, SIDE))[1 - axis] / SIDE
    moved = [warped(one, 0.02, np.random.default_rng(3)) - one for one in (ramp, other)]
    # Away from the border, where paper comes in, a ramp rises by what it moved.
    inner = (slice(None), slice(12, -12), slice(12, -12))
    assert np.sqrt((np.stack(moved)[inner] ** 2).sum(0).mean()) == pytest.approx(0.02, rel=0.15)
    assert np.array_equal(warped(line(), 0.0, rng), line())


def test_a_line_is_cut_into_a_piece_for_each_square():
    ink = line()
    numbers = pieces(ink)
    assert numbers.shape == ink.shape
    assert sorted(np.bincount(numbers[ink > 0])) == [4 * SIDE // GRID] * GRID
    assert len(np.unique(numbers)) == GRID  # paper goes with the nearest piece


def test_lines_that_do_not_touch_are_two_pieces_in_one_square():
    ink = np.zeros((SIDE, SIDE))
    ink[3:5, 3:8] = ink[10:12, 3:9] = 1
    assert len(np.unique(pieces(ink))) == 2
    assert longest_piece(ink).sum() == 12
    ink[12, 3:8] = 0.2  # a pale edge is no line, and goes with its own
    assert longest_piece(ink).sum() == pytest.approx(13)


@pytest.mark.parametrize("share", [0.3, 0.5])
def test_what_is_erased_is_near_to_the_share_and_the_rest_stays(share, rng):
    ink = line()
    found = erased(ink, share, rng)
    assert 1 - found.sum() / ink.sum() == pytest.approx(share, abs=0.5 / GRID)
    assert set(np.unique(found - ink)) == {-1.0, 0.0}


def test_of_one_piece_nothing_is_erased(rng):
    dot = np.zeros((SIDE, SIDE))
    dot[5:8, 5:8] = 1
    assert np.array_equal(erased(dot, 0.5, rng), dot)
    assert np.array_equal(longest_piece(dot), dot)


def test_a_speck_lies_on_the_ink_and_is_as_wide_and_dark_as_said(rng):
    found = speck(0.5 * line(), 6.0, rng)
    assert found.max() == 0.5
    assert found.sum() == pytest.approx(0.5 * np.pi * 3**2, rel=0.15)
    assert SIDE // 2 <= (found.sum(1) @ np.arange(SIDE)) / found.sum() <= SIDE // 2 + 4


def test_without_ink_there_are_no_pieces():
    with pytest.raises(ValueError, match="the picture has no ink"):
        pieces(np.zeros((8, 8)))
