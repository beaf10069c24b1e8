"""Oracle: the network in one piece, in float64."""

from copy import deepcopy

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode

from sketchloss.networks.stylizer import Stylizer, StylizerConfig
from sketchloss.stylize.tiles import Moments, stylize_tiled


def make(**config) -> Stylizer:
    torch.manual_seed(0)
    stylizer = Stylizer(StylizerConfig(**config)).eval()
    with torch.no_grad():
        for parameter in stylizer.parameters():  # norms start as 1 and 0, which would hide a mistake with them
            parameter += 0.1 * torch.randn_like(parameter)
    return stylizer


TINY = make(width=0.125, blocks=1)
TINY_EXACT = deepcopy(TINY).double()


def draw(height: int, width: int, seed: int = 0) -> torch.Tensor:
    """Noise, darker and coarser to one side, so that a tile's own statistics are far from the image's."""
    noise = torch.rand((3, height, width), generator=torch.Generator().manual_seed(seed))
    return noise * torch.linspace(0.05, 1, width) * torch.linspace(1, 0.3, height)[:, None]


@torch.inference_mode()
def whole(stylizer: Stylizer, image: torch.Tensor) -> torch.Tensor:
    return stylizer(image[None].double())[0]


@pytest.mark.parametrize(
    ("height", "width", "tile"),
    [
        (64, 96, 32),  # tiles divide the image
        (70, 101, 32),  # they do not, and the sides are no multiples of 4
        (68, 36, 32),  # the last tile is as narrow as can be
        (40, 50, 512),  # one tile
        (7, 90, 16),  # padded to the smallest side
        (1, 2, 16),
    ],
)
def test_tiles_give_the_result_of_one_piece(height, width, tile):
    image = draw(height, width)
    tiled = stylize_tiled(TINY, image, tile=tile)
    assert tiled.shape == image.shape
    assert tiled.dtype == torch.float32
    torch.testing.assert_close(tiled.double(), whole(TINY_EXACT, image), rtol=0, atol=1e-5)


@settings(max_examples=25, deadline=None)
@given(height=st.integers(1, 90), width=st.integers(1, 90), tile=st.integers(4, 16).map(lambda n: 4 * n))
def test_any_size_in_any_tiles(height, width, tile):
    assume(height * width > 1)  # one colour is all rounding, which each norm magnifies
    image = draw(height, width, seed=height * 100 + width)
    torch.testing.assert_close(
        stylize_tiled(TINY, image, tile=tile).double(), whole(TINY_EXACT, image), rtol=0, atol=1e-4
    )


@pytest.mark.parametrize("config", [{"blocks": 3, "channels": 1}, {"blocks": 0, "width": 0.3}, {"blocks": 5}])
def test_every_kind_of_stylizer(config):
    stylizer = make(**{"width": 0.25, **config})
    image = draw(75, 61)
    expected = whole(deepcopy(stylizer).double(), image)
    tiled = stylize_tiled(stylizer, image[None], tile=20)
    assert tiled.shape == (stylizer.config.channels, 75, 61)
    torch.testing.assert_close(tiled.double(), expected, rtol=0, atol=1e-5)
    torch.testing.assert_close(stylizer(image[None])[0].double(), expected, rtol=0, atol=1e-5)  # nothing is altered


def test_eight_bits_in_give_eight_bits_out():
    pixels = (draw(50, 40) * 255).round().to(torch.uint8)
    expected = (stylize_tiled(TINY, pixels.float() / 255, tile=16) * 255).round()
    tiled = stylize_tiled(TINY, pixels, tile=16)
    assert tiled.dtype == torch.uint8
    assert (tiled - expected).abs().max() <= 1  # where rounding is on the edge between two levels
    assert (tiled == expected).float().mean() > 0.99


def test_bfloat16_is_no_farther_off_in_tiles():
    stylizer = make(width=0.25, blocks=2)
    image = draw(90, 80)
    exact = whole(deepcopy(stylizer).double(), image)
    stylizer.bfloat16()
    with torch.inference_mode():
        in_one_piece = (stylizer(image[None].bfloat16())[0] - exact).abs()
    tiled = (stylize_tiled(stylizer, image, tile=32) - exact).abs()
    assert tiled.mean() <= 1.2 * in_one_piece.mean()
    assert tiled.max() <= 1.5 * in_one_piece.max()


class Largest(TorchDispatchMode):
    """Notes how many values the largest tensor has that any operation returns."""

    values = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        if isinstance(result, torch.Tensor):
            self.values = max(self.values, result.untyped_storage().nbytes() // 4)
        return result


def test_no_full_size_map_is_held():
    stylizer, image = make(width=0.25, blocks=1), draw(256, 256)
    with Largest() as tiled:
        stylize_tiled(stylizer, image, tile=32)
    with Largest() as untiled, torch.inference_mode():
        stylizer(image[None])
    assert tiled.values <= 3 * 256**2  # the sketch itself, and no map of 8 channels or more
    assert untiled.values >= 16 * 256**2  # the detector detects


def test_moments_of_pieces_are_those_of_the_whole():
    # Far from 0 and close together: sums of squares in float32 would leave nothing of the variance.
    features = 1e4 + torch.randn((1, 5, 40, 30), generator=torch.Generator().manual_seed(1))
    moments = Moments()
    for piece in features.split([1, 17, 22], dim=2):
        moments.add(piece)
    variance, mean = torch.var_mean(features.double(), dim=(0, 2, 3), correction=0)
    torch.testing.assert_close(moments.mean, mean, rtol=1e-14, atol=0)
    torch.testing.assert_close(moments.squares / moments.count, variance, rtol=1e-9, atol=0)


@pytest.mark.parametrize(
    ("shape", "tile", "said"),
    [
        ((3, 40, 40), 18, "tile is 18: it must be a multiple of 4"),
        ((3, 40, 40), 8, "at least 16"),
        ((2, 3, 40, 40), 16, "one image of shape"),
        ((1, 40, 40), 16, "got (1, 40, 40)"),
        ((3, 0, 40), 16, "got (3, 0, 40)"),
    ],
)
def test_bad_input_is_named(shape, tile, said):
    with pytest.raises(ValueError, match=r"^[^\n]+$") as caught:
        stylize_tiled(TINY, torch.zeros(shape), tile=tile)
    assert said in str(caught.value)


def test_other_types_are_refused():
    with pytest.raises(ValueError, match=r"got torch\.int32"):
        stylize_tiled(TINY, torch.zeros((3, 20, 20), dtype=torch.int32))


def test_a_diverged_network_is_named():
    broken = deepcopy(TINY)
    torch.nn.init.constant_(broken.output.bias, float("nan"))
    with pytest.raises(ValueError, match="holds NaN: the network has diverged"):
        stylize_tiled(broken, torch.zeros((3, 20, 20), dtype=torch.uint8))
