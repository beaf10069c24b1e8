"""Large pictures of galleries' drawings, and nothing else. Oracle: the files that were put there."""

import base64
import hashlib
import io
import os
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from foreign_files import pdf
from sketchloss.app.originals import (
    GONE,
    LARGEST,
    as_address,
    forget_pictures,
    large_picture,
    read_original,
    row_of,
    small_picture,
)
from sketchloss.app.private import GALLERIES_KEPT, PrivateFolder
from sketchloss.data.doodles.kinds import doodle
from sketchloss.gallery import Gallery


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def drawing(tmp_path) -> Path:
    doodle("cat", 1).sketch(64).save(tmp_path / "cat.png")
    return tmp_path / "cat.png"


def test_a_drawing_of_the_gallery_is_known_by_its_content_alone(tmp_path, narrow, drawing):
    (tmp_path / "in").mkdir()
    doodle("house", 1).sketch(64).save(tmp_path / "in" / "a.png")
    gallery, _ = Gallery.build(tmp_path / "gallery", [tmp_path / "in"], weights=narrow, image_size=32)
    content = _digest(tmp_path / "in" / "a.png")
    assert os.fsdecode(row_of(gallery, content).path) == str(tmp_path / "in" / "a.png")
    for other in (
        _digest(drawing),
        str(drawing),
        "../cat.png",
        "",
        None,
        "' OR 1=1 --",
        content.upper(),
        f"{content}\n",
    ):
        with pytest.raises(ValueError, match="this drawing is not in the gallery any more"):
            row_of(gallery, other)


def test_a_file_that_took_its_place_is_not_shown(tmp_path, drawing):
    content = _digest(drawing)
    assert read_original(drawing, content).size == (64, 64)
    doodle("house", 2).sketch(64).save(tmp_path / "secret.png")
    drawing.unlink()
    drawing.symlink_to(tmp_path / "secret.png")
    for path in (drawing, tmp_path / "gone.png", tmp_path, Path("/dev/zero")):
        with pytest.raises(ValueError, match=GONE) as refused:
            read_original(path, content)
        assert str(tmp_path) not in str(refused.value)
        assert len(set(small_picture(path, content, 8).convert("L").tobytes())) == 1  # grey
    assert small_picture(tmp_path / "secret.png", _digest(tmp_path / "secret.png"), 8).size == (8, 8)


def test_a_text_with_the_right_digest_is_no_drawing(tmp_path):
    (tmp_path / "text.png").write_text("no picture")
    with pytest.raises(ValueError, match=GONE):
        read_original(tmp_path / "text.png", _digest(tmp_path / "text.png"))


def test_a_large_scan_is_reduced_and_a_heavy_one_sent_as_jpeg(tmp_path):
    scan = tmp_path / "scan.png"
    Image.new("L", (5000, 100), 200).save(scan)
    picture, size = large_picture(scan, _digest(scan))
    assert (picture.size, size) == ((LARGEST, round(100 * LARGEST / 5000)), (5000, 100))
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (700, 700, 3), dtype=np.uint8))
    for one, kind in ((picture, "png"), (noise, "jpeg")):
        head, _, data = as_address(one).partition(",")
        assert head == f"data:image/{kind};base64"
        assert Image.open(io.BytesIO(base64.b64decode(data))).size == one.size


def test_a_page_of_a_pdf_is_shown(tmp_path, narrow):
    pytest.importorskip("pypdfium2")
    (tmp_path / "in").mkdir()
    half, whole = "0 0 100 200 re f", "0 0 200 200 re f"
    (tmp_path / "in" / "book.pdf").write_bytes(pdf([(200, 200, half), (200, 200, whole)]))
    gallery, _ = Gallery.build(tmp_path / "gallery", [tmp_path / "in"], weights=narrow, image_size=32)
    ink = {}
    for known in gallery.table.known():
        row = row_of(gallery, known.hash)
        path = Path(os.fsdecode(row.path))
        ink[path.name] = 1 - np.asarray(read_original(path, row.hash).convert("L")).mean() / 255
    assert ink == pytest.approx({"book.pdf": 0.5, "book.pdf#page=2": 1.0}, abs=0.02)


def test_what_was_read_of_a_deleted_gallery_is_forgotten(tmp_path, drawing):
    content, before = _digest(drawing), drawing.read_bytes()
    private = PrivateFolder(3600, 10, forget=forget_pictures)
    place = private.new_place("somebody")
    (place / "cat.png").write_bytes(before)
    assert small_picture(place / "cat.png", content, 8).convert("L").getextrema() != (225, 225)
    (place / "cat.png").unlink()
    assert small_picture(place / "cat.png", content, 8).convert("L").getextrema() != (225, 225)  # remembered
    private.sweep(now=time.time() + 10 * GALLERIES_KEPT)
    assert small_picture(place / "cat.png", content, 8).convert("L").getextrema() == (225, 225)
    place.mkdir(parents=True)
    (place / "cat.png").write_bytes(before)
    assert small_picture(place / "cat.png", content, 8).convert("L").getextrema() != (225, 225)  # grey is not kept
    private.remove()
