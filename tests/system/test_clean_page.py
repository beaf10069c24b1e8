"""Oracles: the drawing that a page was made from, and where its ink lies; of pages without a drawing, one line."""

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageOps

from sketchloss.data.doodles.kinds import doodle
from sketchloss.system.clean_page import SIDE, NoDrawing, clean_page, is_light_on_dark
from sketchloss.system.images import UnreadablePicture, fit_square

PAGE = 300


@pytest.fixture(scope="module")
def drawing() -> Image.Image:
    return doodle("house", 5, style="ink").sketch(PAGE).convert("RGB")


def ink_of(picture: Image.Image) -> np.ndarray:
    """Return a clean drawing's ink, cut out by hand and fitted to a square."""
    return fitted(picture.crop(ink_box(picture)))


def ink_box(picture: Image.Image) -> tuple[int, int, int, int]:
    box = ImageOps.invert(picture.convert("L")).point(lambda value: 255 * (value > 40)).getbbox()
    assert box
    return box


def fitted(picture: Image.Image) -> np.ndarray:
    return 1 - np.asarray(fit_square(picture.convert("L"), 64), np.float64) / 255


def on_grey_paper(picture: Image.Image) -> Image.Image:
    """Grey paper with noise, in a light that falls off to the right, a shadow over its lower half."""
    edge = 1 / (1 + np.exp((picture.height / 2 - np.arange(picture.height)) / 6))
    light = np.linspace(1, 0.7, picture.width)[None] * (1 - 0.25 * edge)[:, None]
    noise = 8 * np.random.default_rng(0).standard_normal(light.shape)
    ink = 1 - np.asarray(picture.convert("L"), np.float64) / 255
    return Image.fromarray(((180 + noise) * light * (1 - 0.7 * ink)).clip(0, 255).astype(np.uint8)).convert("RGB")


def in_corner(picture: Image.Image) -> Image.Image:
    sheet = Image.new("RGB", (2480, 3508), "white")
    sheet.paste(picture, (40, sheet.height - picture.height - 40))
    return sheet


def turned(picture: Image.Image, colour: tuple[int, int, int] = (255, 255, 255)) -> Image.Image:
    return picture.rotate(4, Image.Resampling.BICUBIC, expand=True, fillcolor=colour)


def on_table(picture: Image.Image) -> Image.Image:
    table = (70, 60, 50)
    photo = np.asarray(ImageOps.expand(turned(ImageOps.expand(picture, 60, "white"), table), 40, table))
    grain = 6 * np.random.default_rng(0).standard_normal(photo.shape)
    return Image.fromarray((0.9 * photo + grain).clip(0, 255).astype(np.uint8))


@pytest.mark.parametrize(
    ("made", "least"),
    [
        (lambda drawing: drawing, 0.97),
        (ImageOps.invert, 0.97),
        (on_grey_paper, 0.9),
        (lambda drawing: ImageOps.invert(on_grey_paper(drawing)), 0.9),
        (in_corner, 0.97),
        (on_table, 0.9),
        (lambda drawing: drawing.resize((90, 90)), 0.75),
    ],
    ids=["clean", "inverted", "grey paper", "grey paper, inverted", "corner", "table", "90 px"],
)
def test_the_drawing_alone_is_left(drawing, made, least):
    page = clean_page(made(drawing))
    assert page.mode == "RGB"
    margin = round(0.06 * max(page.size) / 1.12)
    found = fitted(page.crop((margin, margin, page.width - margin, page.height - margin)))
    assert np.asarray(page)[[0, -1]].min() == 255
    expected = ink_of(turned(drawing) if made is on_table else drawing)
    assert np.corrcoef(found.ravel(), expected.ravel())[0, 1] > least


def test_pencil_becomes_as_dark_as_ink(drawing):
    faint = Image.blend(drawing, Image.new("RGB", drawing.size, "white"), 0.7)
    assert np.asarray(faint).min() > 150
    first, second = (np.asarray(clean_page(page), np.float64) for page in (drawing, faint))
    assert second.min() == 0
    assert abs(first - second).mean() < 3


def test_a_large_black_area_stays_filled():
    page = Image.new("RGB", (300, 300), "white")
    ImageDraw.Draw(page).ellipse((60, 60, 240, 240), fill="black")
    cleaned = np.asarray(clean_page(page).convert("L"))
    middle = len(cleaned) // 2
    assert (cleaned[middle, 40:-40] == 0).all()
    assert cleaned[0].min() == 255


def test_a_large_black_area_at_the_edge_stays():
    page = Image.new("RGB", (300, 300), "white")
    ImageDraw.Draw(page).rectangle((0, 200, 299, 299), fill="black")
    ImageDraw.Draw(page).line((150, 40, 150, 210), fill="black", width=6)
    height = round(260 / 300 * 336)
    assert clean_page(page).size == pytest.approx((336, height + 5), abs=2)


def test_ink_that_touches_the_edges_stays():
    page = Image.new("RGB", (200, 200), "white")
    ImageDraw.Draw(page).line((0, 0, 199, 199), fill="black", width=5)
    assert clean_page(page).size == (224, 224)


def test_a_scanned_drawing_that_reaches_the_edges_stays():
    random = np.random.default_rng(0)
    page = Image.new("L", (256, 200), "white")
    for _ in range(40):
        start, end = random.integers(-40, 300, (2, 2))
        ImageDraw.Draw(page).line((*start, *end), fill=0, width=2)
    ImageDraw.Draw(page).rectangle((100, 80, 140, 120), fill=255)
    ImageDraw.Draw(page).ellipse((115, 95, 125, 105), fill=0)  # the only ink that does not hang together with the edges
    scan = (0.9 * np.asarray(page) + 2 * random.standard_normal((200, 256))).clip(0, 255).astype(np.uint8)
    assert clean_page(Image.fromarray(scan)).size == pytest.approx((287, 231), abs=2)


def test_a_page_is_reduced_but_a_small_drawing_on_it_is_not(drawing):
    assert max(clean_page(drawing.resize((2000, 2000))).size) <= 1.12 * SIDE + 2
    box = ink_box(drawing)
    assert max(clean_page(in_corner(drawing)).size) == pytest.approx(1.12 * (box[2] - box[0]), abs=4)


def test_dark_paper_is_told_from_a_page_in_the_shadow(drawing):
    grey = drawing.convert("L")
    shadow = Image.fromarray((np.asarray(grey) * np.where(np.arange(PAGE) < 90, 1.0, 0.4)).astype(np.uint8))
    assert not is_light_on_dark(grey)
    assert not is_light_on_dark(shadow)
    assert is_light_on_dark(ImageOps.invert(grey))


@pytest.mark.parametrize("size", [(1, 1), (2, 2), (1, 3000), (3000, 1), (4000, 7), (300, 300)])
@pytest.mark.parametrize("colour", ["white", "black", "#989080"])
def test_a_page_without_a_drawing_is_one_line(size, colour):
    with pytest.raises(NoDrawing, match=r"^scan 1\.png: cleaning finds no drawing on it, only paper or only ink"):
        clean_page(Image.new("RGB", size, colour), name="scan\n1.png")
    assert issubclass(NoDrawing, UnreadablePicture)


def test_paper_with_texture_alone_is_no_drawing():
    with pytest.raises(NoDrawing):
        clean_page(on_grey_paper(Image.new("RGB", (400, 400), "white")))


@pytest.mark.parametrize("size", [(1, 40), (2, 2), (3000, 3), (5, 2000), (256, 256)])
def test_whatever_is_on_it_is_a_page_or_one_line(size):
    noise = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), np.uint8)
    try:
        page = clean_page(Image.fromarray(noise))
    except NoDrawing:
        return
    assert page.mode == "RGB"
    assert max(page.size) <= 1.12 * SIDE + 2
