"""Changes that people ignore. Oracles: closed forms on a known drawing, and Pillow's own JPEG."""

from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from sketchloss.data.quickdraw.drawings import StrokeDrawing, fill_in, open_drawings
from sketchloss.data.quickdraw.ignorable import CHANGES, JPEG_QUALITY, SCALE, SHIFT, THICKER, THINNER, changed, shifted


def ink(picture):
    return (255 - np.asarray(picture, dtype=float)).sum() / 255


def box(picture):
    rows, columns = np.nonzero(np.asarray(picture) < 128)
    return np.array([columns.min(), columns.max() + 1, rows.min(), rows.max() + 1])


@pytest.fixture
def line():
    return StrokeDrawing("line", 0, (fill_in(np.array([[0.2, 0.5], [0.8, 0.5]])),), 0.02)


@pytest.fixture
def drawing():
    return open_drawings("doodles", per_class=1, classes=1, seed=1)[0]


def test_lines_are_thicker_and_thinner_by_the_stated_factor(line):
    size = 400  # a line of 8 pixels, 240 long, and round ends
    plain, thicker, thinner = (ink(line.picture(size)), *(ink(changed(line, name, size, seed=0)) for name in
                               ("thicker", "thinner")))  # fmt: skip
    for found, width in ((plain, 8), (thicker, 8 * THICKER), (thinner, 8 * THINNER)):
        assert found == pytest.approx(240 * width + np.pi * width**2 / 4, rel=0.04)


def test_a_thin_line_can_be_thinner_still(line):
    assert ink(changed(line, "thinner", 16, seed=0)) < ink(line.picture(16))


def test_a_shift_moves_everything_by_the_stated_distance(drawing):
    moves = [new - old for new, old in zip(shifted(drawing, 3).strokes, drawing.strokes, strict=True)]
    flat = np.concatenate(moves)
    np.testing.assert_allclose(np.hypot(*flat.T), SHIFT)
    np.testing.assert_allclose(flat, np.broadcast_to(flat[0], flat.shape))
    assert changed(drawing, "shifted", 64, seed=3).tobytes() == shifted(drawing, 3).picture(64).tobytes()
    assert not np.allclose(shifted(drawing, 4).strokes[0], shifted(drawing, 3).strokes[0])


@pytest.mark.parametrize("seed", range(8))
def test_a_shift_does_not_push_a_drawing_out_of_the_picture(seed):
    corner = StrokeDrawing("corner", 0, (fill_in(np.array([[0.01, 0.01], [0.01, 0.9]])),), 0.02)
    found = shifted(corner, seed).strokes[0]
    assert found.min() >= 0
    assert np.hypot(*(found[0] - corner.strokes[0][0])) == pytest.approx(SHIFT)


def test_scale_is_about_the_middle_of_the_drawing(line):
    left, right, top, bottom = box(changed(line, "scaled", 400, seed=0))
    length = 240 * SCALE
    assert right - left == pytest.approx(length + 8, abs=2)
    assert (left + right) / 2 == pytest.approx(200, abs=1)
    assert (top + bottom) / 2 == pytest.approx(200, abs=1)
    assert bottom - top == pytest.approx(8, abs=1)  # the line is as wide as before


def test_pencil_is_greyer_and_grainy_in_the_same_place(drawing):
    pencil, plain = (
        np.asarray(picture, float) for picture in (changed(drawing, "pencil", 128, seed=0), drawing.picture(128))
    )
    assert ink(pencil) < 0.9 * ink(plain)
    assert len(np.unique(pencil)) > 50
    assert (pencil[plain == 255] > 200).mean() > 0.98
    again = np.asarray(changed(drawing, "pencil", 128, seed=0), float)
    np.testing.assert_array_equal(pencil, again)


def test_a_pencil_draws_dots_too():
    dot = StrokeDrawing("dot", 0, (np.array([[0.5, 0.5]]),), 0.05)
    assert ink(changed(dot, "pencil", 64, seed=0)) > 1


def test_jpeg_is_pillow_s(drawing):
    file = BytesIO()
    drawing.picture(64).save(file, format="JPEG", quality=JPEG_QUALITY)
    expected = Image.open(file).convert("L")
    assert changed(drawing, "jpeg", 64, seed=0).tobytes() == expected.tobytes()
    assert expected.tobytes() != drawing.picture(64).tobytes()


@pytest.mark.parametrize("name", CHANGES)
def test_every_change_is_a_picture_of_its_own(drawing, name):
    found = changed(drawing, name, 64, seed=0)
    assert found.size == (64, 64)
    assert found.mode == "L"
    assert found.tobytes() != drawing.picture(64).tobytes()


def test_an_unknown_change_is_refused(drawing):
    with pytest.raises(ValueError, match=r"change 'blurred' is unknown: use one of thinner"):
        changed(drawing, "blurred", 64, seed=0)
