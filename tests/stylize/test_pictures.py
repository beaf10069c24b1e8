"""Oracle: the network called by hand, and Pillow's own reading of transparency."""

import sys
from copy import deepcopy
from io import BytesIO

import numpy as np
import pytest
import torch
from PIL import Image

from child_process import finished
from sketchloss.networks.stylizer import Stylizer, StylizerConfig
from sketchloss.stylize import prepare_stylizer, stylize
from sketchloss.stylize.pictures import read_with_alpha
from sketchloss.system.images import UnreadablePicture, open_picture, to_tensor


def make(**config) -> Stylizer:
    torch.manual_seed(0)
    return Stylizer(StylizerConfig(**{"width": 0.2, "blocks": 1, **config})).eval()


def photo(width: int = 50, height: int = 38, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (height, width, channels), dtype=np.uint8)


@torch.inference_mode()
def by_hand(stylizer: Stylizer, pixels: np.ndarray) -> np.ndarray:
    values = stylizer(torch.from_numpy(pixels).permute(2, 0, 1)[None] / 255)[0].permute(1, 2, 0)
    return (values * 255).numpy()


@pytest.mark.parametrize("max_pixels", [10_000, 1000])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_picture_becomes_a_sketch_of_its_size(channels, max_pixels):
    stylizer, pixels = make(channels=channels), photo()
    sketch = stylize(prepare_stylizer(stylizer), Image.fromarray(pixels), max_pixels=max_pixels, tile=16)
    assert (sketch.size, sketch.mode) == ((50, 38), "L" if channels == 1 else "RGB")
    difference = np.atleast_3d(np.asarray(sketch)) - by_hand(stylizer, pixels)
    assert np.abs(difference).max() <= 0.51  # rounding


def test_a_grey_picture_is_that_of_three_equal_channels():
    grey = Image.fromarray(photo()[..., 0])
    for max_pixels in (10_000, 1000):
        sketches = [stylize(make(), picture, max_pixels=max_pixels) for picture in (grey, grey.convert("RGB"))]
        assert np.array_equal(*map(np.asarray, sketches))


def test_large_pictures_go_in_tiles(monkeypatch):
    stylizer = make()
    expected = np.asarray(stylize(stylizer, Image.fromarray(photo())))
    monkeypatch.setattr(Stylizer, "forward", lambda *_: pytest.fail("in one piece"))
    tiled = np.asarray(stylize(stylizer, Image.fromarray(photo()), max_pixels=50 * 38 - 1, tile=16))
    assert np.abs(tiled.astype(int) - expected).max() <= 1


@pytest.mark.usefixtures("cpu_with_bfloat16")
def test_prepared_is_a_copy_with_the_same_values():
    stylizer, images = make(), to_tensor(Image.fromarray(photo()))[None]
    before = deepcopy(stylizer.state_dict())
    prepared = prepare_stylizer(stylizer, device="cpu")
    assert prepared.output.weight.dtype == torch.float32
    assert not any(parameter.requires_grad for parameter in prepared.parameters())
    torch.testing.assert_close(prepared(images), stylizer(images), rtol=0, atol=1e-5)
    halved = prepare_stylizer(stylizer, device="cpu", precision="bf16")
    assert halved.output.weight.dtype == torch.bfloat16
    difference = (halved(images.bfloat16()) - stylizer(images)).abs()
    assert 1e-5 < difference.mean() < 0.02
    after = stylizer.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert all(parameter.requires_grad for parameter in stylizer.parameters())


@pytest.mark.usefixtures("cpu_with_bfloat16")
def test_bfloat16_takes_pictures():
    halved = prepare_stylizer(make(), device="cpu", precision="bf16")
    for max_pixels in (10_000, 1000):
        sketch = np.asarray(stylize(halved, Image.fromarray(photo()), max_pixels=max_pixels, tile=16))
        assert np.abs(sketch - by_hand(make(), photo())).mean() < 3


def test_a_missing_gpu_is_named(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ValueError, match="device is cuda: torch finds no GPU here; use --device cpu"):
        prepare_stylizer(make(), device="cuda")


def test_what_is_no_stylizer_takes_no_large_pictures():
    class Other:
        config = StylizerConfig()

        def __call__(self, images: torch.Tensor) -> torch.Tensor:
            return 1 - images

    pixels = photo()
    assert np.array_equal(stylize(Other(), Image.fromarray(pixels), max_pixels=50 * 38), 255 - pixels)
    with pytest.raises(ValueError, match=r"^the picture has 50x38 pixels, and an exported stylizer takes 1,899"):
        stylize(Other(), Image.fromarray(pixels), max_pixels=50 * 38 - 1)


def test_other_modes_are_refused():
    with pytest.raises(ValueError, match="expected a picture of mode L or RGB, got RGBA"):
        stylize(make(), Image.fromarray(photo(channels=4)))


# Transparency --------------------------------------------------------------------------------------------------------


def encode(picture: Image.Image, kind: str, **options) -> bytes:
    file = BytesIO()
    picture.save(file, format=kind, **options)
    return file.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
def test_alpha_is_upright(kind):
    pixels = photo(channels=4)
    turned = Image.Exif()
    turned[0x0112] = 6  # to be shown turned clockwise by a quarter
    picture, alpha = read_with_alpha(encode(Image.fromarray(pixels), kind, exif=turned, lossless=True), name="photo")
    assert alpha is not None
    assert np.array_equal(alpha, np.rot90(pixels[..., 3], -1))
    assert picture.size == alpha.size == (38, 50)
    assert picture.mode == "RGB"


def test_alpha_of_a_palette_and_of_grey():
    palette = Image.fromarray(photo()).convert("P", palette=Image.Palette.ADAPTIVE, colors=8)
    _, alpha = read_with_alpha(encode(palette, "PNG", transparency=3), name="photo")
    assert np.array_equal(alpha, np.where(np.asarray(palette) == 3, 0, 255))
    grey = Image.merge("LA", [Image.fromarray(band) for band in photo(channels=2).transpose(2, 0, 1)])
    _, alpha = read_with_alpha(encode(grey, "PNG"), name="photo")
    assert np.array_equal(alpha, photo(channels=2)[..., 1])


def test_what_is_opaque_has_no_alpha():
    data = encode(Image.fromarray(photo()), "PNG")
    picture, alpha = read_with_alpha(data, name="photo")
    assert alpha is None
    assert np.array_equal(picture, open_picture(data))
    deep = Image.fromarray(np.arange(600, dtype=np.uint16).reshape(20, 30))
    assert read_with_alpha(encode(deep, "PNG"), name="deep")[1] is None


def test_damaged_bytes_are_named():
    for data in (b"", b"no picture", encode(Image.fromarray(photo(channels=4)), "PNG")[:300]):
        with pytest.raises(UnreadablePicture, match=r"^my photo: [^\n]+$"):
            read_with_alpha(data, name="my photo")


def test_a_smaller_drawing_is_that_of_the_smaller_picture_enlarged():
    stylizer, picture = prepare_stylizer(make()), Image.fromarray(photo(80, 60))
    smaller = picture.resize((40, 30), Image.Resampling.LANCZOS)
    expected = stylize(stylizer, smaller).resize((80, 60), Image.Resampling.BICUBIC)
    assert stylize(stylizer, picture, draw_size=30).tobytes() == expected.tobytes()
    assert stylize(stylizer, picture, draw_size=60).tobytes() == stylize(stylizer, picture).tobytes()


def test_the_shares_of_progress_add_up_to_one():
    shares: list[float] = []
    stylize(prepare_stylizer(make()), Image.fromarray(photo()), max_pixels=1000, tile=16, progress=shares.append)
    assert len(shares) > 20
    assert sum(shares) == pytest.approx(1)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"tile": 7}, "tile is 7: it must be a multiple of 4"),
        ({"draw_size": 0}, "draw_size is 0: it must be at least 1 pixel"),
        ({"picture": Image.new("RGBA", (20, 20))}, "got RGBA; open it with open_picture"),
    ],
)
def test_what_cannot_be_drawn_is_refused(changes, said):
    with pytest.raises(ValueError, match=said):
        stylize(**{"stylizer": make(), "picture": Image.new("RGB", (20, 20))} | changes)


def test_names_in_place_of_pictures_and_stylizers_are_refused():
    # In a process of its own: the tests' own check of types would come first.
    code = """
from PIL import Image
from sketchloss.networks.stylizer import Stylizer, StylizerConfig
from sketchloss.stylize import stylize
for stylizer, picture in (
    (Stylizer(StylizerConfig(width=0.1)), "photo.png"), ("my-run", None), ("my-run", Image.new("L", (9, 9)))
):
    try:
        stylize(stylizer, picture)
    except ValueError as error:
        print(error)
"""
    first, second, third = finished([sys.executable, "-c", code], check=True, seconds=240).stdout.splitlines()
    assert "expected a picture, got str: open it with open_picture" in first
    assert "expected a picture, got NoneType" in second
    assert "expected a stylizer, got str: open it with load_stylizer" in third
