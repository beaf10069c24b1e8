"""Pages of PDF files. Oracle: areas in closed form, and the pictures that Pillow put into a file."""

from contextlib import suppress
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from foreign_files import LOCKED, pdf
from sketchloss.data.doodles.kinds import doodle
from sketchloss.system.drawn_page import LEAST, MOST
from sketchloss.system.images import UnreadablePicture, open_picture, probe_picture

pytest.importorskip("pypdfium2")
HALF, THIRD = "0 0 150 600 re f", "0 0 300 200 re f"


def ink(picture: Image.Image) -> float:
    return 1 - np.asarray(picture.convert("L")).mean() / 255


@pytest.fixture(scope="module")
def two_pages() -> bytes:
    return pdf([(300, 600, HALF), (300, 600, THIRD)])


def test_the_first_page_is_read_on_white(two_pages, tmp_path):
    for paper in ("white", "black", None):
        page = open_picture(two_pages, paper=paper)
        assert (page.mode, page.size) == ("RGB", (600, 1200))
        assert ink(page) == pytest.approx(0.5, abs=0.002)
        assert page.getpixel((10, 10)) == (0, 0, 0)
        assert page.getpixel((590, 10)) == (255, 255, 255)
    (tmp_path / "x.pdf").write_bytes(two_pages)
    probe_picture(tmp_path / "x.pdf")
    with (tmp_path / "x.pdf").open("rb") as file:
        assert ink(open_picture(file)) == pytest.approx(0.5, abs=0.002)
        assert not file.closed


def test_a_page_is_named(two_pages, tmp_path):
    (tmp_path / "x.pdf").write_bytes(two_pages)
    assert ink(open_picture(tmp_path / "x.pdf#page=1")) == pytest.approx(1 / 2, abs=0.002)
    assert ink(open_picture(f"{tmp_path}/x.pdf#page=2")) == pytest.approx(1 / 3, abs=0.002)
    with pytest.raises(UnreadablePicture, match=r"x\.pdf#page=3: it has 2 pages, and no page 3; name one"):
        open_picture(tmp_path / "x.pdf#page=3")
    with pytest.raises(UnreadablePicture, match="no such file"):
        open_picture(tmp_path / "y.pdf#page=3")


@pytest.mark.parametrize(
    ("points", "size"),
    [
        ((595, 842), (1190, 1684)),  # A4
        ((72, 36), (LEAST, LEAST // 2)),
        ((2384, 3370), (1449, MOST)),  # A0
        ((14400, 14400), (MOST, MOST)),
        ((14400, 1), (MOST, 1)),
    ],
)
def test_its_size_is_two_pixels_a_point_within_limits(points, size):
    assert open_picture(pdf([(*points, HALF)])).size == size


@pytest.mark.parametrize("points", [(0, 0), (-5, 10), (1e9, 1e9), (float("inf"), 5)])
def test_pages_of_absurd_size_are_bounded_or_refused(points):
    with suppress(UnreadablePicture):
        assert max(open_picture(pdf([(*points, HALF)])).size) <= MOST


def test_a_scanned_page_is_the_picture():
    drawing = doodle("cat", 1).sketch(300).convert("RGB")
    file = BytesIO()
    drawing.save(file, "PDF", resolution=72, quality=95)
    page = open_picture(file.getvalue())
    assert page.size == (600, 600)
    difference = np.asarray(page.resize((300, 300)), float) - np.asarray(drawing, float)
    assert np.abs(difference).mean() < 4


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (pdf([(300, 600, HALF)], LOCKED), "it asks for a password; save it without one"),
        (pdf([]), "damaged or cut off .*fetch it again"),
        (b"%PDF-1.7\n", "damaged or cut off .*fetch it again"),
        (b"%PDF-1.7\nthis is none", "damaged or cut off .*fetch it again"),
    ],
    ids=["locked", "no pages", "only a header", "words"],
)
def test_what_cannot_be_read_is_one_line(data, said, tmp_path):
    (tmp_path / "x.pdf").write_bytes(data)
    for read in (open_picture, probe_picture):
        with pytest.raises(UnreadablePicture, match=rf"x\.pdf: {said}") as refused:
            read(tmp_path / "x.pdf")
        assert "\n" not in str(refused.value)
