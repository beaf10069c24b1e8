"""Words on pictures. Oracle: the built-in font itself, which draws a box for a letter that it has not."""

import pytest
from PIL import ImageFont

from sketchloss.figures.lettering import drawable, shorten

FONT = ImageFont.load_default(size=15)


def glyphs(text: str) -> list[bytes]:
    return [bytes(FONT.getmask(character)) for character in text if character != " "]


@pytest.mark.parametrize("name", ["Zoë", "café \u2013 «été»", "猫", "кот cat", "a\tb\nc", "3\u00d74", "\udce9"])
def test_what_is_left_has_no_letter_that_the_font_draws_as_a_box(name):
    box = bytes(FONT.getmask("猫"))
    assert box in glyphs("猫é"), "the font has no box for what it lacks"
    assert box not in glyphs(drawable(name))


def test_accents_are_taken_off_and_other_letters_marked():
    assert drawable("Zoë \u2013 café") == "Zoe - cafe"
    assert drawable("two 猫猫") == "two ?"
    assert drawable("a\n b") == "a b"


@pytest.mark.parametrize("width", [5, 40, 90, 400])
def test_shortened_text_fits_and_loses_no_more_than_it_must(width):
    text = "a rather long name of a drawing"
    begun = [text, *(text[:length] + "..." for length in reversed(range(len(text))))]
    assert shorten(text, FONT, width) == next((one for one in begun if FONT.getlength(one) <= width), "...")
