"""Oracle: pixels counted in the picture. Tiles are of one colour each, so that they can be told apart on the sheet."""

import numpy as np
import pytest
from PIL import Image, ImageFont

from sketchloss.figures.contact_sheet import (
    FRAME,
    RIGHT,
    WRONG,
    Tile,
    draw_contact_sheet,
    fit_tile,
    sheet_size,
    shorten_in_middle,
)

SIDE = 40
COLOURS = [(10 * i, 0, 255 - 10 * i) for i in range(8)]


def tile(index: int, caption: str = "", verdict=None, size: tuple[int, int] = (9, 9)) -> Tile:
    return Tile(Image.new("RGB", size, COLOURS[index]), caption, verdict)


def places(sheet: Image.Image, colour: tuple[int, int, int]) -> np.ndarray:
    """Rows and columns of the pixels of a colour."""
    return np.argwhere((np.asarray(sheet) == colour).all(-1))


def test_a_row_for_each_query_with_the_query_at_the_left():
    sheet = draw_contact_sheet([(tile(0), [tile(1), tile(2)]), (tile(3), [tile(4), tile(5), tile(6)])], side=SIDE)
    centres = [places(sheet, colour).mean(0) for colour in COLOURS[:7]]
    first, second = [0, 1, 2], [3, 4, 5, 6]
    for row in (first, second):
        assert len({centres[i][0] for i in row}) == 1
        columns = [centres[i][1] for i in row]
        assert columns == sorted(columns)
    assert centres[0][0] < centres[3][0]
    assert [centres[i][1] for i in first] == [centres[i][1] for i in second[:3]]
    # Set apart: the gap after the query is wider than between neighbours.
    assert centres[4][1] - centres[3][1] > centres[5][1] - centres[4][1]
    for i in range(7):
        spread = np.ptp(places(sheet, COLOURS[i]), axis=0) + 1
        assert (spread > SIDE - 8).all()
        assert (spread <= SIDE).all()


def test_a_picture_is_fitted_whole_and_of_any_mode():
    sheet = draw_contact_sheet([(tile(1, size=(60, 30)), [])], side=SIDE)
    height, width = np.ptp(places(sheet, COLOURS[1]), axis=0) + 1
    assert width == pytest.approx(2 * height, abs=2)
    for mode in ("1", "L", "P", "RGBA", "LA", "CMYK"):
        assert draw_contact_sheet([(Tile(Image.new(mode, (5, 5))), [])], side=SIDE).mode == "RGB"


def test_verdicts_are_told_by_colour_line_and_mark():
    def frame(verdict) -> tuple[int, int, int]:
        sheet = draw_contact_sheet([(tile(0), [tile(1, verdict=verdict)])], side=SIDE)
        return tuple(len(places(sheet, colour)) for colour in (RIGHT, WRONG, FRAME))

    plain, right, wrong = frame(None), frame("right"), frame("wrong")
    assert plain[:2] == (0, 0)
    assert plain[2] > right[2] > 0  # the query's frame stays grey
    assert right[1] == wrong[0] == 0
    edge = 4 * SIDE * 3
    assert right[0] > 0.9 * edge
    assert 0.3 * right[0] < wrong[1] < 0.8 * right[0]  # dashed

    grey = [
        np.asarray(draw_contact_sheet([(tile(0), [tile(1, verdict=verdict)])], side=SIDE).convert("L"))
        for verdict in ("right", "wrong")
    ]
    assert (grey[0] != grey[1]).sum() > 100  # without colour they differ too


def ink(sheet: Image.Image) -> np.ndarray:
    return np.argwhere(np.asarray(sheet.convert("L")) < 100)


def test_captions_are_shortened_to_their_tile():
    white = Image.new("L", (9, 9), "white")

    def caption(text: str) -> np.ndarray:
        # The line beside the query is dark as well, and the same on both.
        sheet, empty = (draw_contact_sheet([(Tile(white, words), [])], side=96) for words in (text, ""))
        return np.argwhere(np.asarray(sheet) != np.asarray(empty))[:, :2]

    short, long = caption("cat"), caption("a caption that is a good deal longer than its tile is wide")
    assert len(short) > 0
    assert np.ptp(long[:, 1]) <= 96
    assert np.ptp(short[:, 1]) < 40
    assert caption("ménage").tolist() == caption("menage").tolist()
    assert caption("猫の絵.png").tolist() == caption("?.png").tolist()
    assert caption("two\nlines").tolist() == caption("two lines").tolist()
    assert caption("stray \udce9").tolist() == caption("stray ?").tolist()


def test_a_querys_name_is_shortened_in_the_middle():
    font = ImageFont.load_default(size=12)
    text = "n02691156_airplane_sketch-17.png"
    short = shorten_in_middle(text, font, 100)
    start, end = short.split("...")
    assert text.startswith(start)
    assert text.endswith(end)
    assert 0 <= len(end) - len(start) <= 1
    wider = text[: (len(start) + len(end) + 1) // 2] + "..." + text[-((len(start) + len(end) + 2) // 2) :]
    assert font.getlength(short) <= 100 < font.getlength(wider)
    assert shorten_in_middle("cat.png", font, 100) == "cat.png"
    white = Image.new("L", (9, 9), "white")
    one, other = (
        draw_contact_sheet([(Tile(white, text.replace("17", number)), [Tile(white, text)])]) for number in ("17", "24")
    )
    assert one != other


def test_a_picture_fitted_beforehand_gives_the_same_sheet():
    picture = Image.linear_gradient("L").resize((300, 200))
    whole, fitted = (draw_contact_sheet([(Tile(some), [])], side=SIDE) for some in (picture, fit_tile(picture, SIDE)))
    assert whole == fitted
    assert whole.size == sheet_size([0], side=SIDE)


def test_a_title_stands_above():
    row = [(tile(0), [tile(1)])]
    plain, titled = draw_contact_sheet(row, side=SIDE), draw_contact_sheet(row, side=SIDE, title="what was found")
    assert titled.height > plain.height
    assert titled.width == plain.width
    assert len(ink(titled)) > len(ink(plain))


def test_mistakes_are_named():
    with pytest.raises(ValueError, match="at least one row"):
        draw_contact_sheet([])
    with pytest.raises(ValueError, match="side is 8: tiles need at least 32"):
        draw_contact_sheet([(tile(0), [])], side=8)
    with pytest.raises(ValueError, match=r"a sheet of 5,000 rows with 1 pictures would be .*: draw fewer rows"):
        draw_contact_sheet([(tile(0), [tile(1)])] * 5000)
