"""Photo to sketch in one pass.

Oracles: the layer table and the parameter count of Johnson et al., layers written anew, and the files on disk.
"""

import json
import sys

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from child_process import finished
from sketchloss import Backbone, save_backbone
from sketchloss.networks.stylizer import Stylizer, StylizerConfig, load_stylizer, pad_to_stride, save_stylizer

SMALL = StylizerConfig(width=0.125, blocks=1)


def build(config: StylizerConfig = SMALL) -> Stylizer:
    torch.manual_seed(0)
    stylizer = Stylizer(config).eval()
    for module in stylizer.modules():
        if isinstance(module, torch.nn.InstanceNorm2d):  # they start as 1 and 0, which would hide them
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.uniform_(module.bias, -0.5, 0.5)
    return stylizer


def images(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


# The network ---------------------------------------------------------------------------------------------------------


def test_the_packages_own_opens_by_its_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert load_stylizer("pencil").config.channels == 1
    (tmp_path / "pencil").mkdir()
    with pytest.raises(ValueError, match="pencil is no stylizer"):  # a folder of that name comes first
        load_stylizer("pencil")


def test_the_layers_are_those_of_the_paper():
    # Johnson et al., supplement, table 1, with upsampling and convolution in place of the two of stride 1/2.
    table = [(32, 3, 9, 1), (64, 32, 3, 1), (128, 64, 3, 1), *[(128, 128, 3, 1)] * 10]
    table += [(64, 128, 3, 1), (32, 64, 3, 1), (3, 32, 9, 1)]
    stylizer = Stylizer()
    convolutions = [module for module in stylizer.modules() if isinstance(module, torch.nn.Conv2d)]
    assert [(*module.weight.shape[:3], 1) for module in convolutions] == table
    assert [module.stride for module in convolutions] == [(1, 1), (2, 2), (2, 2), *[(1, 1)] * 13]
    assert all(module.padding_mode == "reflect" for module in convolutions)
    # A published number: PyTorch's example fast_neural_style, the same table.
    assert sum(parameter.numel() for parameter in stylizer.parameters()) == 1_679_235


def by_hand(stylizer: Stylizer, pictures: torch.Tensor) -> torch.Tensor:
    """The network on images whose sides are multiples of 4, from its stored numbers alone."""
    stored = stylizer.state_dict()

    def convolve(name: str, features: torch.Tensor, stride: int = 1) -> torch.Tensor:
        weight = stored[f"{name}.weight"]
        margin = weight.shape[-1] // 2
        rows = np.pad(features.numpy(), ((0, 0), (0, 0), (margin, margin), (margin, margin)), mode="reflect")
        return F.conv2d(torch.from_numpy(rows), weight, stored[f"{name}.bias"], stride=stride)

    def layer(name: str, features: torch.Tensor, stride: int = 1, enlarge: int = 1, relu: bool = True) -> torch.Tensor:
        features = features.repeat_interleave(enlarge, 2).repeat_interleave(enlarge, 3)
        features = convolve(f"{name}.convolution", features, stride)
        variance, mean = torch.var_mean(features, (2, 3), correction=0, keepdim=True)
        weight, bias = (stored[f"{name}.norm.{kind}"][:, None, None] for kind in ("weight", "bias"))
        features = (features - mean) / (variance + 1e-5).sqrt() * weight + bias
        return features.clamp_min(0) if relu else features

    features = layer("encoder.0", pictures * 2 - 1)
    features = layer("encoder.2", layer("encoder.1", features, stride=2), stride=2)
    for index in range(stylizer.config.blocks):
        inside = layer(f"residuals.{index}.first", features)
        features = features + layer(f"residuals.{index}.second", inside, relu=False)
    features = layer("decoder.1", layer("decoder.0", features, enlarge=2), enlarge=2)
    return 1 / (1 + torch.exp(-convolve("output", features)))


@torch.no_grad()
@pytest.mark.parametrize("config", [SMALL, StylizerConfig(width=0.1, blocks=2, channels=1)])
def test_the_forward_pass_is_the_layers_written_anew(config):
    stylizer, pictures = build(config).double(), images(2, 3, 20, 28).double()
    drawn = stylizer(pictures)
    assert drawn.shape == (2, config.channels, 20, 28)
    torch.testing.assert_close(drawn, by_hand(stylizer, pictures), rtol=1e-9, atol=1e-9)
    assert drawn.std() > 0.01


def test_half_the_width_is_a_quarter_of_the_arithmetic():
    # 3x3 convolutions go with the square of the width; the first and the last, which touch the image, with the width.
    full, half = (dict(Stylizer(StylizerConfig(width=width)).named_parameters()) for width in (1.0, 0.5))
    ratios = {name: full[name].numel() / half[name].numel() for name in full if name.endswith("convolution.weight")}
    assert (
        ratios.pop("encoder.0.convolution.weight") == full["output.weight"].numel() / half["output.weight"].numel() == 2
    )
    assert set(ratios.values()) == {4}


@torch.no_grad()
@settings(max_examples=40, deadline=None)
@given(st.integers(1, 41), st.integers(1, 41), st.integers(1, 2), st.sampled_from([1, 3]))
def test_any_size_stays_and_the_output_is_bounded(height, width, count, channels):
    stylizer = build(StylizerConfig(width=0.05, blocks=1, channels=channels))
    drawn = stylizer(images(count, 3, height, width, seed=height * 42 + width))
    assert drawn.shape == (count, channels, height, width)
    assert drawn.min() >= 0
    assert drawn.max() <= 1
    assert not drawn.isnan().any()


def test_compiled_it_draws_small_images_alike():
    """In a process without checks of types, which cannot be compiled."""
    code = """
import torch
from sketchloss.networks.stylizer import Stylizer, StylizerConfig
stylizer = Stylizer(StylizerConfig(width=0.05, blocks=1, channels=1)).eval()
compiled = torch.compile(stylizer, backend="eager")
with torch.no_grad():
    for side in (3, 8):
        small = torch.rand(1, 3, side, side)
        print((compiled(small) - stylizer(small)).abs().max().item())
"""
    done = finished([sys.executable, "-c", code], check=True, seconds=300)
    assert [float(gap) for gap in done.stdout.split()] == pytest.approx([0, 0], abs=1e-6)


@given(st.integers(1, 40), st.integers(1, 40))
@settings(max_examples=60, deadline=None)
def test_padding_repeats_the_edge_to_the_next_multiple_of_four(height, width):
    picture = images(1, 2, height, width)
    below, beside = (max(16, -(-side // 4) * 4) - side for side in (height, width))
    wanted = np.pad(picture.numpy(), ((0, 0), (0, 0), (0, below), (0, beside)), mode="edge")
    np.testing.assert_array_equal(pad_to_stride(picture), wanted)


@torch.no_grad()
def test_an_image_does_not_depend_on_its_batch():
    stylizer, pictures = build(), images(3, 3, 20, 24)
    together = stylizer(pictures)
    for index in range(3):
        torch.testing.assert_close(stylizer(pictures[index : index + 1])[0], together[index], rtol=0, atol=2e-6)


@torch.no_grad()
@pytest.mark.parametrize("size", [(17, 19), (24, 24)])
def test_a_plain_image_gives_a_plain_sketch_without_seams_or_checkerboards(size):
    # Closed form: where nothing varies, a normalised channel is its bias, so that the sketch has one colour, up to the
    # edge, whatever the image's. Zero padding or a transposed convolution would show.
    stylizer = build(StylizerConfig(width=0.25, blocks=2)).double()
    for module in stylizer.modules():
        if isinstance(module, torch.nn.InstanceNorm2d):
            module.eps = 1.0  # with the usual 1e-5 each layer makes rounding errors 300 times larger
    stored = stylizer.state_dict()
    last = stored["decoder.1.norm.bias"].clamp_min(0)
    colour = torch.sigmoid(stored["output.weight"].sum((2, 3)) @ last + stored["output.bias"])
    for grey in (0.0, 0.3, 1.0):
        drawn = stylizer(torch.full((1, 3, *size), grey, dtype=torch.float64))
        torch.testing.assert_close(drawn, colour[None, :, None, None].expand_as(drawn), rtol=0, atol=1e-9)


@torch.no_grad()
def test_both_memory_layouts_give_the_same_sketch():
    pictures = images(2, 3, 21, 30)
    contiguous = build()(pictures)
    turned = build().to(memory_format=torch.channels_last)(pictures.contiguous(memory_format=torch.channels_last))
    torch.testing.assert_close(turned, contiguous, rtol=0, atol=1e-5)


def test_every_weight_and_the_image_get_a_gradient():
    stylizer, pictures = build(), images(1, 3, 18, 18).requires_grad_()
    weights = images(1, 3, 18, 18, seed=1)
    (stylizer(pictures) * weights).sum().backward()
    assert pictures.grad is not None
    assert pictures.grad.abs().min() > 0
    # A constant that is added in front of a normalisation is taken out again by it.
    idle = ("convolution.bias", "second.norm.bias")
    named = {name: parameter for name, parameter in stylizer.named_parameters() if not name.endswith(idle)}
    assert len(named) == 22
    assert all(parameter.grad.abs().sum() > 1e-4 for parameter in named.values())


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"width": 0.0}, r"width is 0\.0: it must be above 0"),
        ({"width": float("nan")}, "width is nan"),
        ({"width": 9.0}, r"width is 9\.0.*8 at most"),
        ({"blocks": -1}, "blocks is -1"),
    ],
)
def test_settings_out_of_range_are_named(settings, words):
    with pytest.raises(ValueError, match=words):
        StylizerConfig(**settings)


# Files ---------------------------------------------------------------------------------------------------------------


@torch.no_grad()
@pytest.mark.parametrize("place", ["run", "run/model", "run/model/model.safetensors"])
def test_what_was_saved_is_loaded_bit_by_bit(tmp_path, place):
    config = StylizerConfig(width=0.2, blocks=2, channels=1, arm="original", style="doodles", image_size=64, steps=7)
    stylizer = build(config).to(memory_format=torch.channels_last)
    save_stylizer(stylizer, tmp_path / "run" / "model")
    (tmp_path / "run" / "config.json").write_text('{"a": "run\'s settings"}')
    loaded = load_stylizer(tmp_path / place)
    assert loaded.config == config
    assert not loaded.training
    pictures = images(2, 3, 18, 21)
    assert torch.equal(loaded(pictures), Stylizer.forward(stylizer.to(memory_format=torch.contiguous_format), pictures))
    stored = load_file(tmp_path / "run" / "model" / "model.safetensors")
    assert {name: tensor.dtype for name, tensor in stored.items()} == dict.fromkeys(stored, torch.float32)
    assert all(torch.equal(stored[name], tensor) for name, tensor in stylizer.state_dict().items())


def test_saving_again_replaces_and_leaves_nothing_else(tmp_path):
    save_stylizer(build(), tmp_path)
    save_stylizer(build(StylizerConfig(width=0.25, blocks=0)).bfloat16(), str(tmp_path))
    assert load_stylizer(tmp_path).config.blocks == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.json", "model.safetensors"]


def change(folder, **changes):
    file = folder / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


def without_a_tensor(folder):
    tensors = load_file(folder / "model.safetensors")
    tensors.pop("output.bias")
    save_file(tensors, folder / "model.safetensors")


def of_a_backbone(folder):
    save_backbone(Backbone(width=0.03), folder)


def of_another_program(folder):
    (folder / "config.json").write_text('{"model_type": "vit", "width": 0.125}')


DAMAGES = {
    "no config": (lambda folder: (folder / "config.json").unlink(), "is no stylizer: give the folder"),
    "no tensors": (lambda folder: (folder / "model.safetensors").unlink(), "is no stylizer: give the folder"),
    "no JSON": (lambda folder: (folder / "config.json").write_text("{"), "is no whole stylizer"),
    "no text": (lambda folder: (folder / "config.json").write_bytes(b"\xff\xfe"), "is no whole stylizer"),
    "a list": (lambda folder: (folder / "config.json").write_text("[1]"), "must hold an object, {...}"),
    "another program": (of_another_program, "says None and not 'sketchloss stylizer'"),
    "a backbone": (of_a_backbone, "says 'sketchloss backbone"),
    "a wrong type": (lambda folder: change(folder, width="wide"), "is no whole stylizer"),
    "a wrong number": (lambda folder: change(folder, blocks=-4), "blocks is -4"),
    "another width": (
        lambda folder: change(folder, width=0.25),
        "this network needs (8, 3, 9, 9)",
    ),
    "more blocks": (lambda folder: change(folder, blocks=2), "residuals.1"),
    "a tensor missing": (without_a_tensor, "output.bias"),
    "cut off": (
        lambda folder: (folder / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes()[:-9]),
        "no whole safetensors file",
    ),
    "empty": (lambda folder: (folder / "model.safetensors").write_bytes(b""), "no whole safetensors file"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_foreign_or_damaged_folder_is_named_in_one_line(tmp_path, damage):
    save_stylizer(build(), tmp_path)
    spoil, words = DAMAGES[damage]
    spoil(tmp_path)
    with pytest.raises(ValueError, match="that sketchloss style train made") as raised:
        load_stylizer(tmp_path)
    message = str(raised.value)
    assert words in message
    assert str(tmp_path) in message
    assert "\n" not in message
    assert len(message) < 450


def test_no_such_folder_and_another_file_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere does not exist: give the folder"):
        load_stylizer(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match=r"model\.safetensors does not exist"):
        load_stylizer(tmp_path / "model.safetensors")
    (tmp_path / "photo.jpg").write_bytes(b"\xff\xd8")
    with pytest.raises(ValueError, match=r"photo\.jpg is no stylizer"):
        load_stylizer(tmp_path / "photo.jpg")


def test_a_run_without_a_network_says_so_and_other_folders_do_not(tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    (run / "config.json").write_text('{"content": "a", "style": "b", "arm": "original", "resume": false}')
    with pytest.raises(ValueError, match="holds no network yet"):
        load_stylizer(run)
    (run / "config.json").write_text('{"data": "doodles", "arm": "tuning", "resume": false}')  # of finetune
    (run / "checkpoints").mkdir()
    with pytest.raises(ValueError, match="is no stylizer"):
        load_stylizer(run)
