"""Oracles: the closed form of a rectangle's centre and spread; loops over squares; a drawing that was moved."""

import math

import numpy as np
import pytest
from PIL import Image, ImageOps

from sketchloss.data.doodles.kinds import doodle
from sketchloss.data.picture_edits import erased, to_ink, to_paper
from sketchloss.gallery.duplicates.copy_distance import MOST_LOCAL
from sketchloss.gallery.duplicates.ink_frame import (
    MOST_SIDE,
    SIDE,
    SPREADS,
    bring_together,
    cut_out,
    find_frame,
    local_differences,
    map_ink,
    open_page,
)


def page_of(kind: str, side: int = 128) -> Image.Image:
    return doodle(kind, 1, style="ink").sketch(side).convert("RGB")


def on_page(picture: Image.Image, size: tuple[int, int], at: tuple[int, int]) -> Image.Image:
    page = Image.new("RGB", size, "white")
    page.paste(picture, at)
    return page


def ink_of(page: Image.Image):
    frame = find_frame(page)
    assert frame is not None
    return map_ink(page, frame)


def difference(first: Image.Image, second: Image.Image) -> float:
    return float(local_differences(ink_of(first), ink_of(second)[None])[0])


def test_the_frame_of_a_rectangle_is_its_centre_and_spread():
    page = on_page(Image.new("RGB", (40, 20), (10, 20, 30)), (120, 100), (50, 60))
    frame = find_frame(page)
    assert frame is not None
    assert (frame.x, frame.y) == pytest.approx((70, 70))
    assert frame.half == pytest.approx(SPREADS * math.sqrt((40**2 - 1 + 20**2 - 1) / 12))  # of whole pixels
    assert frame.paper == (255, 255, 255)


def test_a_blank_page_has_no_frame():
    assert find_frame(Image.new("RGB", (50, 40), (250, 240, 230))) is None
    assert find_frame(Image.effect_noise((50, 40), 1).convert("RGB")) is None


def test_where_a_drawing_lies_on_its_page_makes_no_difference():
    drawing = page_of("cat")
    assert difference(drawing, on_page(drawing, (300, 200), (150, 20))) == 0
    assert difference(drawing, drawing.resize((77, 77), Image.Resampling.BILINEAR)) < MOST_LOCAL / 2
    assert difference(drawing, drawing.resize((256, 256), Image.Resampling.BICUBIC)) < MOST_LOCAL / 2


def test_a_missing_stroke_and_another_drawing_make_one():
    drawing = page_of("house")
    less = to_paper(erased(to_ink(drawing), 0.1, np.random.default_rng(0))).convert("RGB")
    assert difference(drawing, less) > MOST_LOCAL
    assert difference(drawing, page_of("cat")) > 2 * MOST_LOCAL


def test_colour_makes_a_difference():
    drawing = page_of("house")
    red, blue = (ImageOps.colorize(drawing.convert("L"), colour, "white") for colour in ("red", "blue"))
    assert difference(red, blue) > 2 * MOST_LOCAL


def test_local_differences_are_those_of_loops():
    rng = np.random.default_rng(0)
    maps = rng.integers(0, 255, (4, 32, 32, 3)).astype(np.uint8)
    maps[3] = 0
    found = local_differences(maps[0], maps[1:])
    for other, value in zip(maps[1:3], found[:2].tolist(), strict=True):
        shares = [each.astype(float) / each.sum() for each in (maps[0], other)]
        most = max(abs(float(a) - float(b)) for a, b in zip(*(each.ravel() for each in shares), strict=True))
        assert value == pytest.approx(most / max(each.max() for each in shares), rel=1e-5)
    assert found[2] == 1  # without ink


def test_a_negative_is_opened_as_its_drawing_and_a_poster_is_reduced(tmp_path):
    drawing = page_of("cat")
    ImageOps.invert(drawing).save(tmp_path / "negative.png")
    page, size = open_page(tmp_path / "negative.png")
    assert (page.tobytes(), size) == (drawing.tobytes(), drawing.size)
    drawing.resize((3000, 1500)).save(tmp_path / "poster.png")
    page, size = open_page(tmp_path / "poster.png")
    assert (page.size, size) == ((MOST_SIDE, MOST_SIDE // 2), (3000, 1500))


def test_two_drawings_are_brought_together_equally_soft():
    drawing = page_of("cat", 256)
    small = drawing.resize((64, 64), Image.Resampling.BILINEAR)
    pages = [(page, find_frame(page)) for page in (drawing, small)]
    ours, theirs = bring_together(*pages)  # pyright: ignore[reportArgumentType]
    assert ours.size == theirs.size == (SIDE, SIDE)
    sharp = cut_out(*pages[0], SIDE)  # pyright: ignore[reportArgumentType]
    apart, before = (np.abs(np.asarray(one, float) - np.asarray(theirs, float)).mean() for one in (ours, sharp))
    assert apart < before / 3
