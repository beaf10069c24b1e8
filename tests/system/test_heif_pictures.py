"""Photos in HEIC. Oracle: the pictures that were written, and Pillow's turns of them."""

from io import BytesIO

import numpy as np
import pytest
from PIL import Image, ImageOps

from foreign_files import heic
from sketchloss.system.images import UnreadablePicture, open_picture, probe_picture

pillow_heif = pytest.importorskip("pillow_heif")
EXACT = {"quality": -1, "chroma": 444, "matrix_coefficients": 0}


def corner(size: tuple[int, int] = (96, 64)) -> Image.Image:
    """White, with ink at the top left."""
    picture = Image.new("RGB", size, "white")
    picture.paste((200, 30, 60), (0, 0, 24, 12))
    return picture


def difference(a: Image.Image, b: Image.Image) -> int:
    assert (a.size, a.mode) == (b.size, b.mode)
    return int(np.abs(np.asarray(a).astype(int) - np.asarray(b)).max())


def test_a_photo_is_read_as_it_was_written(tmp_path):
    (tmp_path / "x.HEIC").write_bytes(heic(corner(), **EXACT))
    assert difference(open_picture(tmp_path / "x.HEIC"), corner()) <= 2
    probe_picture(tmp_path / "x.HEIC")
    (tmp_path / "named.jpg").write_bytes(heic(corner(), **EXACT))  # as phones and chats rename them
    assert difference(open_picture(tmp_path / "named.jpg"), corner()) <= 2


@pytest.mark.parametrize("orientation", range(1, 9))
def test_it_stands_upright_and_is_turned_once(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    read = open_picture(heic(corner(), exif=exif.tobytes(), **EXACT))
    turned = corner()
    turned.getexif()[0x0112] = orientation
    assert difference(read, ImageOps.exif_transpose(turned)) <= 2


def test_ten_bits_become_eight():
    ramp = np.linspace(0, 65535, 256, dtype=np.uint16)
    values = np.stack([np.tile(ramp, (64, 1))] * 3, axis=-1)
    written = BytesIO()
    pillow_heif.from_bytes("RGB;16", (256, 64), values.tobytes()).save(written, **EXACT)
    assert pillow_heif.open_heif(written.getvalue(), convert_hdr_to_8bit=False).info["bit_depth"] == 10
    read = np.asarray(open_picture(written.getvalue()))[32].astype(int)
    assert np.abs(read - np.arange(256)[:, None]).max() <= 3


def test_transparency_is_kept_or_flattened():
    picture = Image.new("RGBA", (64, 64), (0, 0, 0, 0))
    picture.paste((0, 0, 0, 255), (0, 0, 32, 64))
    data = heic(picture, **EXACT)
    assert open_picture(data, paper=None).mode == "RGBA"
    assert np.asarray(open_picture(data)).mean() == pytest.approx(127.5, abs=2)


def test_the_picture_that_stands_first_is_read_then_the_others(tmp_path):
    red, green, blue = (Image.new("RGB", (64, 64), colour) for colour in ("red", "lime", "blue"))
    (tmp_path / "x.heic").write_bytes(heic(red, green, blue, primary_index=1, **EXACT))
    found = [open_picture(f"{tmp_path}/x.heic#page={page}").getpixel((9, 9)) for page in (1, 2, 3)]
    assert [np.argmax(colour) for colour in found] == [1, 0, 2]
    with pytest.raises(UnreadablePicture, match="it has 3 pages, and no page 4"):
        open_picture(tmp_path / "x.heic#page=4")


def test_what_claims_too_many_pixels_is_refused(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(UnreadablePicture, match=r"too large \(96 by 64 pixels, more than 1000 in all\)"):
        open_picture(heic(corner()))


def test_avif_is_left_to_pillow(tmp_path):
    if "AVIF" not in Image.SAVE:
        pytest.skip("this Pillow writes no AVIF")
    corner().save(tmp_path / "x.avif", quality=95)
    assert difference(open_picture(tmp_path / "x.avif"), corner()) < 60
