"""The width of lines. Oracle: the width that they were drawn with."""

import pytest
from PIL import Image

from sketchloss.data.doodles.kinds import doodle
from sketchloss.metrics.stroke_width import stroke_width


@pytest.mark.parametrize("width", [1, 2, 4, 8])
@pytest.mark.parametrize("kind", ["cat", "house", "tree"])
def test_it_is_found_within_a_fourth(kind, width):
    assert stroke_width(doodle(kind, 1).sketch(256, style="ink", line_width=width)) == pytest.approx(width, rel=0.26)


def test_colour_and_strength_of_the_ink_do_not_matter():
    drawing = doodle("cat", 1).sketch(256, style="ink", line_width=4)
    pale = drawing.point([round(155 + value * 100 / 255) for value in range(256)])
    assert stroke_width(pale) == pytest.approx(stroke_width(drawing), rel=0.02)
    assert stroke_width(drawing.convert("RGB")) == pytest.approx(stroke_width(drawing))


def test_no_ink_has_no_width():
    assert stroke_width(Image.new("L", (64, 64), 255)) == 0
