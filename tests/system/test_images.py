import gc
import os
import struct
import warnings
import zlib
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from sketchloss.system.images import (
    UnreadablePicture,
    fit_square,
    open_picture,
    probe_picture,
    save_picture,
    to_picture,
    to_tensor,
)
from sketchloss.system.passed_over import other_kinds
from sketchloss.system.picture_files import find_pictures


def file_of(picture, kind="PNG", **options):
    file = BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def png_claiming(width, height):
    """A PNG of a few bytes whose header claims any size."""

    def chunk(name, body):
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")


def open_files():
    return len(list(Path("/dev/fd").iterdir()))


def noise(size=(64, 64)):
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8))


def test_transparency_is_flattened_on_white():
    clear_black, half_black, solid_red = (0, 0, 0, 0), (0, 0, 0, 128), (255, 0, 0, 255)
    picture = Image.new("RGBA", (3, 1))
    for x, colour in enumerate((clear_black, half_black, solid_red)):
        picture.putpixel((x, 0), colour)
    read = open_picture(file_of(picture))
    assert read.mode == "RGB"
    assert [read.getpixel((x, 0)) for x in range(3)] == [(255, 255, 255), (127, 127, 127), (255, 0, 0)]


def test_grey_with_transparency_is_flattened_on_white():
    picture = Image.new("LA", (2, 1), (0, 0))
    picture.putpixel((1, 0), (40, 255))
    read = open_picture(file_of(picture))
    assert [read.getpixel((x, 0)) for x in range(2)] == [(255, 255, 255), (40, 40, 40)]


@pytest.mark.parametrize("transparency", [1, b"\xff\x00"], ids=["one index", "alpha of each index"])
def test_palette_with_transparency_is_flattened_on_white(transparency):
    picture = Image.new("P", (2, 1))
    picture.putpalette([10, 20, 30, 0, 0, 0])
    picture.putpixel((1, 0), 1)
    read = open_picture(file_of(picture, transparency=transparency))
    assert [read.getpixel((x, 0)) for x in range(2)] == [(10, 20, 30), (255, 255, 255)]


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "PPM"])
def test_sixteen_bit_grey_is_scaled_not_clipped(kind):
    levels = np.array([[0, 257, 32896, 65535]], dtype=np.uint16)
    read = open_picture(file_of(Image.fromarray(levels), kind))
    assert np.asarray(read)[0].tolist() == [[0] * 3, [1] * 3, [128] * 3, [255] * 3]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.0, 0.5, 1.0], [0, 128, 255]),
        ([0.0, 100.0, 255.0], [0, 100, 255]),
        ([-1.0, 0.0, 3.0], [0, 64, 255]),
        ([0.0, float("nan"), 1.0], [0, 255, 255]),
    ],
    ids=["unit", "bytes", "stretched", "not a number is paper"],
)
def test_float_pictures(values, expected):
    read = open_picture(file_of(Image.fromarray(np.array([values], dtype=np.float32)), "TIFF"))
    assert np.asarray(read)[0, :, 0].tolist() == expected


def test_one_bit():
    picture = Image.new("1", (2, 1), 1)
    picture.putpixel((0, 0), 0)
    assert np.asarray(open_picture(file_of(picture)))[0].tolist() == [[0] * 3, [255] * 3]


def test_cmyk_jpeg_keeps_its_colours():
    # Pillow writes CMYK as Adobe does, inverted; read as it stands, this yellow would come out blue.
    read = open_picture(file_of(Image.new("CMYK", (16, 16), (0, 0, 255, 0)), "JPEG", quality=95))
    red, green, blue = read.getpixel((8, 8))
    assert min(red, green) > 245
    assert blue < 10


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(orientation):
    upright = Image.new("L", (32, 16), 255)
    upright.paste(0, (0, 0, 8, 8))  # ink at the top left
    transpose = Image.Transpose
    stored_as = {
        2: transpose.FLIP_LEFT_RIGHT,
        3: transpose.ROTATE_180,
        4: transpose.FLIP_TOP_BOTTOM,
        5: transpose.TRANSPOSE,
        6: transpose.ROTATE_90,
        7: transpose.TRANSVERSE,
        8: transpose.ROTATE_270,
    }
    stored = upright.transpose(stored_as[orientation]) if orientation > 1 else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    read = open_picture(file_of(stored, "JPEG", exif=exif, quality=95))
    assert np.abs(np.asarray(read)[..., 0].astype(int) - np.asarray(upright)).max() < 10


def test_damaged_exif_does_not_make_a_picture_unreadable():
    picture = file_of(Image.new("RGB", (8, 8), "red"), "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff\x01\x12")
    assert open_picture(picture).size == (8, 8)


def test_first_frame_of_an_animation():
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
    read = open_picture(file_of(frames[0], "GIF", save_all=True, append_images=frames[1:]))
    assert read.getpixel((0, 0)) == (255, 0, 0)


def test_path_bytes_and_file_read_the_same_and_the_file_stays_open(tmp_path):
    path = tmp_path / "Zeichnung\n№ 1.png"
    noise().save(path)
    with path.open("rb") as file:
        pictures = [open_picture(path), open_picture(str(path)), open_picture(path.read_bytes()), open_picture(file)]
        assert not file.closed
    assert all(picture.tobytes() == noise().tobytes() for picture in pictures)


BAD_FILES = {
    "empty": (b"", "empty"),
    "text": (b"not a picture at all", "not a picture"),
    "cut png": (file_of(noise())[:-5000], "cut off"),
    "cut jpeg": (file_of(noise((200, 200)), "JPEG")[:-9000], "cut off"),
    "header only": (file_of(noise())[:20], "cut off|not a picture"),
    "bomb": (png_claiming(30_000, 30_000), "too large"),
    "between one and two times the limit": (png_claiming(11_000, 11_000), "too large"),
    "postscript": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n", "not a picture"),
}


@pytest.mark.parametrize(("content", "reason"), BAD_FILES.values(), ids=BAD_FILES.keys())
def test_unreadable_files_are_refused_in_one_line_without_a_warning_or_an_open_file(tmp_path, content, reason):
    path = tmp_path / "bad.png"
    path.write_bytes(content)
    open_before = open_files()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with pytest.raises(UnreadablePicture, match=reason) as error:
            open_picture(path)
        with pytest.raises(UnreadablePicture, match=reason):
            probe_picture(path)
        error_text = str(error.value)
        del error
        gc.collect()
    assert not caught
    assert open_files() == open_before
    assert error_text.startswith(str(path))
    assert "\n" not in error_text


def test_missing_file_and_folder_are_named(tmp_path):
    with pytest.raises(UnreadablePicture, match=r"nowhere\.png: no such file"):
        open_picture(tmp_path / "nowhere.png")
    with pytest.raises(UnreadablePicture, match="a folder"):
        open_picture(tmp_path)


def test_the_name_given_is_the_one_in_the_error():
    with pytest.raises(UnreadablePicture, match=r"^row 7: "):
        open_picture(b"junk", name="row 7")


@given(cut=st.integers(1, 2000))
def test_a_cut_file_never_passes_for_a_whole_picture_elsewhere(cut):
    whole = file_of(Image.effect_noise((48, 48), 80), "PNG")
    try:
        read = open_picture(whole[: -min(cut, len(whole))])
    except UnreadablePicture:
        return
    assert read.tobytes() == open_picture(whole).tobytes()  # only the end mark was cut


def test_a_line_one_pixel_wide_survives_and_the_ink_is_kept():
    picture = Image.new("L", (512, 512), 255)
    ImageDraw.Draw(picture).line((100, 3, 100, 508), fill=0, width=1)
    reduced = fit_square(picture, 64)
    ink, ink_before = 255 - np.asarray(reduced, float), 255 - np.asarray(picture, float)
    assert ink[2:62].max(axis=1).min() > 10  # in every row that the line crosses
    assert ink.mean() == pytest.approx(ink_before.mean(), rel=0.02)


@pytest.mark.parametrize(("width", "height"), [(40, 20), (20, 40), (1, 500), (7, 7), (300, 200)])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_fit_square_keeps_the_whole_picture_centred_on_white(width, height, mode):
    square = fit_square(Image.new(mode, (width, height), "black"), 32)
    ink = np.asarray(square.convert("L")) < 128
    rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
    assert square.mode == mode
    assert square.size == (32, 32)
    assert len(rows) == max(1, round(32 * height / max(width, height)))
    assert len(columns) == max(1, round(32 * width / max(width, height)))
    assert abs(rows.sum() / len(rows) - 15.5) <= 0.5
    assert abs(columns.sum() / len(columns) - 15.5) <= 0.5


def test_to_tensor_and_back():
    for picture in (noise(), noise().convert("L")):
        tensor = to_tensor(picture)
        assert tensor.dtype == torch.float32
        assert tensor.shape == (len(picture.getbands()), 64, 64)
        assert tensor.min() >= 0
        assert tensor.max() <= 1
        assert tensor[-1, 3, 5] * 255 == np.asarray(picture)[3, 5].flat[-1]
        assert to_picture(tensor).tobytes() == picture.tobytes()
    assert to_picture(to_tensor(noise().convert("L"))[0]).mode == "L"


def every_mode() -> dict[str, Image.Image]:
    colours = noise((12, 9))
    clear = colours.copy().convert("RGBA")
    clear.putalpha(Image.linear_gradient("L").resize(clear.size))
    return {
        "1": colours.convert("1"),
        "L": colours.convert("L"),
        "LA": clear.convert("LA"),
        "P": colours.convert("P"),
        "PA": clear.convert("PA"),
        "RGB": colours,
        "RGBA": clear,
        "RGBa": clear.convert("RGBa"),
        "RGBX": colours.convert("RGBX"),
        "CMYK": colours.convert("CMYK"),
        "YCbCr": colours.convert("YCbCr"),
        "LAB": colours.convert("RGB").convert("LAB"),
        "HSV": colours.convert("HSV"),
        "I": Image.fromarray(np.arange(108, dtype=np.int32).reshape(9, 12) * 600),
        "I;16": Image.fromarray(np.arange(108, dtype=np.uint16).reshape(9, 12) * 600),
        "F": Image.fromarray(np.arange(108, dtype=np.float32).reshape(9, 12) / 107),
    }


@pytest.mark.parametrize("mode", every_mode())
def test_a_picture_of_any_mode_is_what_read_picture_makes_of_its_file(mode):
    picture = every_mode()[mode]
    assert picture.mode == mode
    kind = {"CMYK": "TIFF", "LAB": "TIFF", "I": "TIFF", "F": "TIFF"}.get(mode, "PNG")
    # What no format here can hold whole is converted first.
    stored = {"PA": "RGBA", "RGBa": "RGBA", "RGBX": "RGB", "HSV": "RGB", "YCbCr": "RGB"}.get(mode)
    expected = open_picture(file_of(picture.convert(stored) if stored else picture, kind))
    tensor = to_tensor(picture)
    assert tensor.shape == (1 if mode == "L" else 3, 9, 12)
    np.testing.assert_array_equal(
        (tensor.expand(3, -1, -1) * 255).round().numpy(), np.asarray(expected).transpose(2, 0, 1)
    )


def test_to_tensor_reads_paths_bytes_and_files_as_read_picture_does(tmp_path):
    upright = Image.new("RGB", (12, 8), "white")
    upright.paste((0, 0, 0), (0, 0, 4, 4))
    exif = Image.Exif()
    exif[0x0112] = 6
    path = tmp_path / "photo.png"
    upright.transpose(Image.Transpose.ROTATE_90).save(path, exif=exif)
    expected = np.asarray(upright).transpose(2, 0, 1) / 255
    with path.open("rb") as file, Image.open(path) as opened:
        for source in (path, str(path), path.read_bytes(), BytesIO(path.read_bytes()), file, opened):
            tensor = to_tensor(source)
            assert tensor.dtype == torch.float32
            np.testing.assert_allclose(tensor.numpy(), expected, rtol=1e-6)
    with pytest.raises(UnreadablePicture, match=r"nowhere.png: no such file"):
        to_tensor(tmp_path / "nowhere.png")
    with pytest.raises(UnreadablePicture, match="picture: not a picture"):
        to_tensor(b"no picture")
    (tmp_path / "cut.png").write_bytes(file_of(noise())[:-5000])
    with Image.open(tmp_path / "cut.png") as cut, pytest.raises(UnreadablePicture, match="picture: damaged or cut off"):
        to_tensor(cut)


def test_grey_with_a_transparent_level_is_flattened_on_white():
    picture = Image.new("L", (2, 1), 40)
    picture.putpixel((0, 0), 7)
    with Image.open(BytesIO(file_of(picture, transparency=7))) as opened:
        assert opened.mode == "L"
        assert (to_tensor(opened)[:, 0] * 255).tolist() == [[255, 40]] * 3


BYTES = np.random.default_rng(0).integers(0, 256, (5, 7, 4), dtype=np.uint8)


@pytest.mark.parametrize("channels", [None, 1, 3, 4])
@pytest.mark.parametrize("kind", ["uint8", "float16", "float32", "float64", ">f4"])
@pytest.mark.parametrize("layout", ["plain", "reversed", "read-only", "Fortran"])
def test_arrays_are_the_pictures_that_they_hold(channels, kind, layout):
    array = BYTES[..., 0] if channels is None else BYTES[..., :channels]
    # Oracle: Pillow's own picture of the bytes; transparency by the formula of laying colour over white.
    if channels == 4:
        share = array[..., 3:].astype(float) / 255
        expected = (array[..., :3] / 255.0 * share + 1 - share).transpose(2, 0, 1)
    else:
        picture = Image.fromarray(array[..., 0] if channels == 1 else array)
        expected = to_tensor(picture).numpy()
    array = array if kind == "uint8" else (array / np.float64(255)).astype(kind)
    if layout == "reversed":
        array = array[::-1, ::-1].copy()[::-1, ::-1]
    elif layout == "Fortran":
        array = np.asfortranarray(array)
    array.flags.writeable = layout != "read-only"
    tensor = to_tensor(array)
    assert tensor.dtype == torch.float32
    assert tensor.is_contiguous()
    np.testing.assert_allclose(tensor.numpy(), expected, atol=1e-3 if kind == "float16" else 1e-6)
    if kind == "uint8" and channels != 4:
        np.testing.assert_array_equal(tensor.numpy(), expected)
    if layout != "read-only":  # a copy: writing to one leaves the other
        tensor.zero_()
        assert array.any()


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (np.zeros((3, 8, 8), np.uint8), r"got \(3, 8, 8\); move the channels back: array.transpose\(1, 2, 0\)"),
        (np.zeros((1, 3, 8, 8)), r"array: expected shape \(h, w\) or .* got \(1, 3, 8, 8\); give one picture"),
        (np.zeros((8, 8, 2)), r"got \(8, 8, 2\)"),
        (np.zeros((8, 0, 3)), r"got \(8, 0, 3\)"),
        (np.zeros(8), r"got \(8,\)"),
        (np.zeros((8, 8), bool), "expected uint8, or floats in .* got bool"),
        (np.zeros((8, 8), np.int64), r"got int64; if it holds bytes, convert it: array.astype\('uint8'\)"),
        (np.zeros((8, 8), np.uint16), "got uint16; divide by 65535"),
        (np.zeros((8, 8), complex), "got complex128"),
        (np.full((8, 8), "a"), "got <U1"),
        (np.full((8, 8), None), "got object"),
        (np.linspace(0, 255, 64).reshape(8, 8), r"expected values in \[0, 1\], got \[0, 255\].*: array / 255"),
        (np.full((8, 8), np.nan), "array: .*NaN or infinity"),
        (np.full((8, 8), 1e300), "array: .*NaN or infinity"),
        (torch.zeros(3, 8, 8), "picture: .* got Tensor; it is one already"),
        (None, "picture: .* got NoneType; give a path, bytes, an array or a Pillow picture"),
        ([[0, 1]], "got list"),
        (7, "got int"),
        ("", "no such file|a folder"),
    ],
    ids=repr,
)
def test_what_is_no_picture_is_refused_in_one_line(source, words, without_type_checks):
    with pytest.raises(ValueError, match=words) as error:
        to_tensor(source)
    assert "\n" not in str(error.value)


def test_to_picture_clamps_and_rounds():
    picture = to_picture(torch.tensor([[-0.2, 0.0, 0.4999 / 255, 0.5001 / 255, 1.3]]))
    assert np.asarray(picture).tolist() == [[0, 0, 0, 1, 255]]


def test_to_picture_refuses_what_is_not_one_picture():
    with pytest.raises(ValueError, match=r"tensor\[0\]"):
        to_picture(torch.zeros(1, 3, 4, 4))
    with pytest.raises(ValueError, match="uint8"):
        to_picture(torch.zeros(3, 4, 4, dtype=torch.uint8))
    with pytest.raises(ValueError, match="NaN"):
        to_picture(torch.full((4, 4), float("nan")))


def test_save_picture_is_whole_or_not_at_all(tmp_path):
    path = tmp_path / "drawing.png"
    save_picture(noise(), path)
    assert open_picture(path).tobytes() == noise().tobytes()
    before = path.read_bytes()
    with pytest.raises(ValueError, match="suffix"):
        save_picture(noise(), tmp_path / "drawing.xyz")
    with pytest.raises(ValueError, match="does not exist"):
        save_picture(noise(), tmp_path / "nowhere" / "drawing.png")
    with pytest.raises(OSError, match="RGBA"):  # fails while writing
        save_picture(Image.new("RGBA", (4, 4)), tmp_path / "drawing.jpg")
    assert [file.name for file in tmp_path.iterdir()] == ["drawing.png"]
    assert path.read_bytes() == before


def test_find_pictures_is_sorted_recursive_and_safe_from_loops(tmp_path):
    for name in ("b.PNG", "a/2.jpg", "a/1 й\n.webp", "a/notes.txt", ".hidden/x.png", "a/._1.png", "c/d/e.gif"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    (tmp_path / "a" / "loop").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "linked").symlink_to(tmp_path / "c", target_is_directory=True)
    (tmp_path / "gone.png").symlink_to(tmp_path / "nowhere")
    found = [str(path.relative_to(tmp_path)) for path in find_pictures(tmp_path)]
    assert found == ["a/1 й\n.webp", "a/2.jpg", "b.PNG", "c/d/e.gif", "gone.png"]
    with pytest.raises(ValueError, match="not a folder"):
        find_pictures(tmp_path / "b.PNG")


def test_folders_that_link_to_each_other_are_listed_once(tmp_path):
    root = tmp_path / "root"
    for name in "abcdefg":
        (root / name).mkdir(parents=True)
        (root / name / f"{name}.png").touch()
    for one in "abcdefg":
        for other in "abcdefg":
            (root / one / f"to-{other}").symlink_to(root / other, target_is_directory=True)
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "deep").mkdir(parents=True)
    (elsewhere / "deep" / "x.png").touch()
    (elsewhere / "back").symlink_to(root, target_is_directory=True)
    for name in "ab":
        (root / name / "out").symlink_to(elsewhere, target_is_directory=True)
    names = [path.relative_to(root).as_posix() for path in find_pictures(root)]
    assert names == ["a/a.png", "a/out/deep/x.png", *(f"{name}/{name}.png" for name in "bcdefg")]


def test_a_subfolder_without_permission_is_passed_over_and_named(tmp_path, monkeypatch):
    (tmp_path / "open").mkdir()
    (tmp_path / "open" / "a.png").touch()
    (tmp_path / "lost+found").mkdir()
    listdir = os.listdir

    def refuse(folder):  # a superuser may list everything
        if Path(folder).name in ("lost+found", "closed"):
            raise PermissionError(13, "Permission denied", str(folder))
        return listdir(folder)

    monkeypatch.setattr(os, "listdir", refuse)
    assert find_pictures(tmp_path) == [tmp_path / "open" / "a.png"]
    assert other_kinds(tmp_path) == [
        f"{tmp_path}: no permission to list 1 folder in it: lost+found; change its permissions"
    ]
    (tmp_path / "closed").mkdir()
    with pytest.raises(ValueError, match="closed: no permission to list it; change its permissions"):
        find_pictures(tmp_path / "closed")
