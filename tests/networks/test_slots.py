"""Controls in the pool slots. Oracles: VGG-16 written out with functional calls; parameters counted."""

import inspect
import json

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from sketchloss.networks.attention import AttentionGate
from sketchloss.networks.backbone import Backbone
from sketchloss.networks.slots import SlotConvolution, check_slots
from sketchloss.networks.vgg import TAPS
from sketchloss.networks.weights import load_backbone, save_backbone, weights_digest

CONTROLS = [
    {"slots": "convolutions"},
    {"slots": "convolutions", "downsample": "none"},
    {"slots": "convolutions", "downsample": "dilated"},
    {"slots": "nothing", "downsample": "none"},
    {"slots": "nothing", "downsample": "dilated"},
]


@pytest.fixture(scope="module")
def plain(tmp_path_factory) -> str:
    """Weights without gates."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("weights") / "plain"
    save_backbone(Backbone(width=0.125), folder, dtype=torch.float32)
    return str(folder)


def written_out(backbone: Backbone, images: Tensor, *, dilation: tuple[int, ...], shifts=((), ())) -> dict[str, Tensor]:
    """VGG-16 whose first two pools do nothing, or pick every second position (`shifts`: which, down and across)."""
    weights, found = backbone.state_dict(), {}
    features = (images - backbone.mean) / backbone.std
    for layer, index in TAPS.items():
        block = int(layer.removeprefix("relu").removeprefix("pool")[0])
        if layer.startswith("relu"):
            weight, bias = weights[f"features.{index - 1}.weight"], weights[f"features.{index - 1}.bias"]
            rate = dilation[block - 1]
            features = F.conv2d(features, weight, bias, padding=rate, dilation=rate).clamp(min=0)
        elif block > 2:
            features = F.max_pool2d(features, 2)
        elif shifts[block - 1]:
            down, across = shifts[block - 1]
            features = features[:, :, down::2, across::2]
        found[layer] = features
    return found


def assert_alike(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    for layer, features in found.items():
        torch.testing.assert_close(features, expected[layer], rtol=1e-4, atol=1e-6)


# What stands there ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("downsample", "dilation"), [("none", (1,) * 5), ("dilated", (1, 2, 4, 4, 4))])
def test_without_pools_and_gates_only_convolutions_are_left(plain, downsample, dilation):
    backbone = load_backbone(plain, slots="nothing", downsample=downsample)
    images = torch.rand(2, 3, 24, 19)
    found = backbone(images, TAPS)
    assert_alike(found, written_out(backbone, images, dilation=dilation))
    assert found["relu3_3"].shape[2:] == images.shape[2:]
    assert backbone.minimum_size(("pool5",)) == 8  # the last three pools stay
    assert backbone.load_report.new == backbone.load_report.unused == ()


@pytest.mark.parametrize("first", [(0, 0), (1, 0)])
@pytest.mark.parametrize("second", [(0, 1), (1, 1)])
def test_dilated_convolutions_are_vggs_that_picked_every_second_position(plain, first, second):
    # With holes ("à trous") a network gives at once what it gives for each choice of the positions that are picked.
    backbone = load_backbone(plain, slots="nothing", downsample="dilated")
    images = torch.rand(1, 3, 40, 64)
    found = backbone(images, ("relu1_2", "relu2_2", "relu3_3"))
    picked = written_out(backbone, images, dilation=(1,) * 5, shifts=(first, second))
    start = [one + 2 * two for one, two in zip(first, second, strict=True)]
    expected = {"relu1_2": found["relu1_2"]}
    expected["relu2_2"] = found["relu2_2"][:, :, first[0] :: 2, first[1] :: 2]
    expected["relu3_3"] = found["relu3_3"][:, :, start[0] :: 4, start[1] :: 4]
    assert_alike(expected, picked)


def test_gates_that_start_at_a_half_and_convolutions_start_as_what_is_left_without_them(plain):
    images = torch.rand(1, 3, 32, 32)
    for downsample in ("none", "dilated", "max"):
        without = {} if downsample == "max" else {"slots": "nothing", "downsample": downsample}
        expected = load_backbone(plain, **without)(images, ("relu2_1", "relu3_1", "relu5_3"))
        gated = load_backbone(plain, attention=True, gate_init="half", downsample=downsample)
        assert_alike(gated(images, expected), expected)
        convolutions = load_backbone(plain, slots="convolutions", downsample=downsample)
        assert_alike(convolutions(images, expected), expected)


def test_gates_at_random_differ_a_little_and_are_made_up_for_like_those_at_a_half(plain):
    images = torch.rand(4, 3, 32, 32)
    expected = load_backbone(plain)(images, ("relu5_3",))["relu5_3"]
    torch.manual_seed(1)
    random = load_backbone(plain, attention=True, gate_init="random")
    found = random(images, ("relu5_3",))["relu5_3"]
    assert not torch.equal(found, expected)
    assert torch.cosine_similarity(found.flatten(), expected.flatten(), dim=0) > 0.98
    assert found.mean().item() == pytest.approx(expected.mean().item(), rel=0.25)
    taps = random(images, ("relu1_2", "relu2_2"))
    for gate, features in zip(random.gates.values(), taps.values(), strict=True):
        for weights in gate.weights(features):
            assert (weights - 0.5).abs().max() < 0.25
            assert weights.std() > 1e-4


@pytest.mark.parametrize(("channels", "reduction", "kernel"), [(64, 16, 7), (128, 16, 7), (8, 16, 7), (64, 4, 3)])
def test_a_convolution_has_as_many_parameters_as_a_gate_as_nearly_as_can_be(channels, reduction, kernel):
    gate = AttentionGate(channels, reduction=reduction, kernel_size=kernel)
    convolution = SlotConvolution(channels, reduction=reduction, kernel_size=kernel, pool=torch.nn.Identity())
    of_gate, found = (sum(weight.numel() for weight in one.parameters()) for one in (gate, convolution))
    a_channel = 2 * channels + 1  # a hidden channel more or less
    assert abs(found - of_gate) <= a_channel / 2 or convolution.reduce.out_channels == 1


@pytest.mark.parametrize("pool", [torch.nn.Identity(), torch.nn.MaxPool2d(2)])
def test_a_convolution_computes_what_it_says(pool):
    torch.manual_seed(0)
    convolution = SlotConvolution(6, reduction=2, kernel_size=3, pool=pool).double()
    torch.nn.init.normal_(convolution.expand.weight)
    features = torch.randn(2, 6, 4, 5, dtype=torch.double)
    first, second = (layer.weight[:, :, 0, 0] for layer in (convolution.reduce, convolution.expand))
    hidden = torch.einsum("oc,nchw->nohw", first, features) + convolution.reduce.bias[:, None, None]
    expected = features + torch.einsum("co,nohw->nchw", second, hidden.clamp(min=0))
    torch.testing.assert_close(convolution(features), pool(expected))


# Kept ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("settings", CONTROLS, ids=str)
def test_a_control_comes_back_from_its_file_and_has_a_digest_of_its_own(plain, tmp_path, settings):
    made = load_backbone(plain, classes=("a", "b"), **settings)
    save_backbone(made, tmp_path, dtype=torch.float32)
    loaded = load_backbone(tmp_path)
    assert loaded.config == made.config
    assert loaded.load_report.new == loaded.load_report.unused == ()
    images = torch.rand(1, 3, 32, 32)
    assert torch.equal(loaded.embed(images), made.embed(images))
    assert weights_digest(loaded) == weights_digest(made)
    digests = {weights_digest(load_backbone(plain, **other)) for other in ({}, *CONTROLS)}
    assert len(digests) == 1 + len(CONTROLS)


def test_a_control_can_be_had_without_its_slots_again(plain, tmp_path):
    save_backbone(load_backbone(plain, slots="convolutions"), tmp_path, dtype=torch.float32)
    loaded = load_backbone(tmp_path, slots="pools")
    assert len(loaded.load_report.unused) == 8
    assert weights_digest(loaded) == weights_digest(load_backbone(plain))
    gated = load_backbone(tmp_path, slots="pools", attention=True)
    assert len(gated.load_report.new) == 12


def test_a_file_without_the_convolutions_that_it_promises_is_refused(plain, tmp_path):
    save_backbone(load_backbone(plain), tmp_path)
    config = tmp_path / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "slots": "convolutions"}))
    with pytest.raises(ValueError, match=r"its config.json has slots, but it holds no tensor features\.4\.reduce"):
        load_backbone(tmp_path)


def test_a_file_from_before_there_were_controls_has_pools(plain, tmp_path):
    save_backbone(load_backbone(plain, downsample="none"), tmp_path, dtype=torch.float32)
    config = tmp_path / "config.json"
    stored = json.loads(config.read_text())
    del stored["slots"]
    config.write_text(json.dumps(stored))
    assert isinstance(load_backbone(tmp_path).features[4], torch.nn.MaxPool2d)


# Mistakes ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"slots": "nothing"}, "slots is nothing and downsample is max, which is VGG itself: take downsample none or"),
        ({"slots": "nothing", "attention": True, "downsample": "none"}, "slots is nothing, but there are attention ga"),
        ({"slots": "convolutions", "attention": True}, "slots is convolutions, but there are attention gates in these"),
        ({"downsample": "dilated"}, "downsample is dilated, but VGG's pools stay: take attention gates, or slots noth"),
    ],
)
def test_settings_that_contradict_each_other_are_refused_in_one_line(plain, settings, words):
    with pytest.raises(ValueError, match=f"^{words}") as error:
        Backbone(**settings)
    assert "\n" not in str(error.value)
    with pytest.raises(ValueError, match=f"model.safetensors: {words}"):
        load_backbone(plain, **settings)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"slots": "empty"}, "slots 'empty' is unknown: use pools, convolutions, nothing"),
        ({"downsample": "avg"}, "downsample 'avg' is unknown: use none, dilated, max"),
    ],
)
def test_an_unknown_choice_is_refused(settings, words):
    with pytest.raises(ValueError, match=words):
        inspect.unwrap(check_slots)(**{"attention": False, "slots": "pools", "downsample": "max", **settings})
