"""Oracle: the colours that must stand at known places of the picture."""

import numpy as np
import pytest
from PIL import Image, ImageChops, ImageDraw

from sketchloss.figures.difference import HEAT, INK_A, INK_B, INK_BOTH, LINE, MARGIN, PANEL, Caption, draw_difference


def bars(*tops: int, size: tuple[int, int] = (PANEL, PANEL)) -> Image.Image:
    """Black horizontal bars, 20 pixels high, on white."""
    picture = Image.new("L", size, "white")
    for top in tops:
        ImageDraw.Draw(picture).rectangle((0, top, size[0], top + 19), fill=0)
    return picture


def panel(picture: Image.Image, index: int, width: int = PANEL, height: int = PANEL) -> Image.Image:
    left, top = MARGIN + index * (width + MARGIN), MARGIN + LINE
    return picture.crop((left, top, left + width, top + height))


def test_the_panels_are_a_and_b_and_their_inks_by_owner():
    a, b = bars(100, 200), bars(200, 300)
    picture = draw_difference(a, b, np.zeros((64, 64), np.float32))
    for index, drawing in enumerate((a, b)):
        assert ImageChops.difference(panel(picture, index), drawing.convert("RGB")).getbbox() is None
    third = panel(picture, 2)
    found = [third.getpixel((50, y)) for y in (50, 110, 210, 310)]
    assert found == [(255, 255, 255), INK_A, INK_BOTH, INK_B]


def test_paper_is_coloured_by_the_share_of_the_greatest_heat():
    heat = np.zeros((PANEL, PANEL), np.float32)
    heat[:100], heat[100:200] = 4.0, 2.0
    blank = bars()
    third = panel(draw_difference(blank, blank, heat), 2)
    assert [third.getpixel((50, y)) for y in (50, 150, 300)] == [HEAT[4], HEAT[2], HEAT[0]]
    third = panel(draw_difference(blank, blank, heat, greatest=8.0), 2)
    assert [third.getpixel((50, y)) for y in (50, 150, 300)] == [HEAT[2], HEAT[1], HEAT[0]]


def test_ink_can_be_told_from_the_hottest_paper():
    # WCAG 2's contrast ratio; 3 is what it asks of graphics.
    def luminance(colour):
        linear = [value / 255 / 12.92 if value <= 10 else ((value / 255 + 0.055) / 1.055) ** 2.4 for value in colour]
        return float(np.dot(linear, (0.2126, 0.7152, 0.0722)))

    for ink in (INK_A, INK_B, INK_BOTH):
        contrasts = [(luminance(paper) + 0.05) / (luminance(ink) + 0.05) for paper in HEAT]
        assert min(contrasts[:-1]) > 3
        assert min(contrasts) > 1.9


@pytest.mark.parametrize("size", [(300, 150), (40, 90), (1, 1)])
def test_drawings_of_any_proportions_keep_them(size):
    a = bars(0, size=size)
    picture = draw_difference(a, a, np.zeros((size[1], size[0]), np.float32))
    scale = PANEL / max(size)
    width, height = round(size[0] * scale), round(size[1] * scale)
    assert picture.size == (3 * width + 4 * MARGIN, height + 2 * MARGIN + 4 * LINE)
    assert panel(picture, 2, width, height).getpixel((width // 2, 0)) == INK_BOTH


def test_no_difference_is_said_and_words_of_any_kind_are_drawn():
    blank, heat = bars(), np.zeros((8, 8), np.float32)
    plain = draw_difference(blank, blank, heat)
    other = draw_difference(blank, blank, heat, greatest=1.0)
    assert ImageChops.difference(plain, other).getbbox() is not None  # words here, a colour bar there
    long = Caption("a" * 500, "猫.png", "x" * 5000, "unit " * 300)
    assert draw_difference(blank, blank, heat, caption=long, greatest=1.0).size == plain.size
