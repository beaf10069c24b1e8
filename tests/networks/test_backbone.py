"""Oracles: torchvision's published layout, VGG-16 written out with functional calls, multiply-adds by hand."""

import gc
import inspect
import weakref
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from sketchloss.networks.arms import ARMS
from sketchloss.networks.attention import AttentionGate
from sketchloss.networks.backbone import IMAGENET_MEAN, IMAGENET_STD, Backbone, freeze, thaw
from sketchloss.networks.vgg import TAPS, BackboneConfig
from sketchloss.networks.weights import load_backbone, save_backbone

# Printed by `torchvision.models.vgg16().features`.
TORCHVISION_TAPS = {
    **{"relu1_1": 1, "relu1_2": 3, "pool1": 4},
    **{"relu2_1": 6, "relu2_2": 8, "pool2": 9},
    **{"relu3_1": 11, "relu3_2": 13, "relu3_3": 15, "pool3": 16},
    **{"relu4_1": 18, "relu4_2": 20, "relu4_3": 22, "pool4": 23},
    **{"relu5_1": 25, "relu5_2": 27, "relu5_3": 29, "pool5": 30},
}
# Index of each convolution there, its channels in and out, and the index of the block (0 to 4) it is in.
CONVOLUTIONS = {
    **{0: (3, 64, 0), 2: (64, 64, 0), 5: (64, 128, 1), 7: (128, 128, 1)},
    **{10: (128, 256, 2), 12: (256, 256, 2), 14: (256, 256, 2)},
    **{17: (256, 512, 3), 19: (512, 512, 3), 21: (512, 512, 3)},
    **{24: (512, 512, 4), 26: (512, 512, 4), 28: (512, 512, 4)},
}
CLASSIFIER = {f"classifier.{layer}.{kind}" for layer in (0, 3, 6) for kind in ("weight", "bias")}
GATES = {
    f"features.{slot}.{layer}.{kind}"
    for slot in (4, 9)
    for layer in ("channel.reduce", "channel.expand", "spatial.conv")
    for kind in ("weight", "bias")
}
SMALL = {"width": 0.125}


def small_backbone(**settings) -> Backbone:
    torch.manual_seed(0)
    return Backbone(**SMALL, **settings).eval()


def vgg_by_hand(weights: dict[str, torch.Tensor], images: torch.Tensor) -> dict[str, torch.Tensor]:
    """VGG-16 with its five pools, from its state dictionary."""
    names = {index: name for name, index in TORCHVISION_TAPS.items()}
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (IMAGENET_MEAN, IMAGENET_STD))
    features, taps = (images - mean) / std, {}
    for index in range(31):
        if index in CONVOLUTIONS:
            weight, bias = weights[f"features.{index}.weight"], weights[f"features.{index}.bias"]
            features = F.conv2d(features, weight, bias, padding=1)
        elif names[index].startswith("pool"):
            taps[names[index]] = features = F.max_pool2d(features, 2)
        else:
            taps[names[index]] = features = features.clamp(min=0)
    return taps


def convolution_macs(side: int, *, pooled_blocks: set[int] = frozenset({0, 1, 2, 3}), last: int = 28) -> int:
    """Multiply-adds of the 3×3 convolutions up to index `last`, on a square image."""
    total = 0
    for index, (inward, outward, block) in CONVOLUTIONS.items():
        here = side // 2 ** sum(earlier < block for earlier in pooled_blocks)
        total += here**2 * 9 * inward * outward if index <= last else 0
    return total


def counted_macs(backbone: Backbone, layers: tuple[str, ...], side: int = 224) -> int:
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        backbone(torch.empty(1, 3, side, side, device="meta"), layers)
    return counter.get_total_flops() // 2


# Layout and arithmetic -----------------------------------------------------------------------------------------------


def test_taps_are_torchvisions_layers():
    assert TAPS == TORCHVISION_TAPS


@pytest.mark.parametrize("attention", [False, True])
def test_parameters_are_torchvisions_and_the_gates(attention):
    with torch.device("meta"):
        backbone = Backbone(attention=attention, classes=("a",) * 1000, head="vgg")
    shapes = {name: tuple(value.shape) for name, value in backbone.state_dict().items()}
    expected = {}
    for index, (inward, outward, _) in CONVOLUTIONS.items():
        expected |= {f"features.{index}.weight": (outward, inward, 3, 3), f"features.{index}.bias": (outward,)}
    for index, (inward, outward) in {0: (25088, 4096), 3: (4096, 4096), 6: (4096, 1000)}.items():
        expected |= {f"classifier.{index}.weight": (outward, inward), f"classifier.{index}.bias": (outward,)}
    assert {name: shape for name, shape in shapes.items() if name not in GATES} == expected
    assert set(shapes) - set(expected) == (GATES if attention else set())
    assert sum(np.prod(shape) for shape in expected.values()) == 138_357_544  # torchvision's documented num_params


def test_features_are_vgg16s():
    backbone = small_backbone()
    images = torch.rand(2, 3, 37, 50)
    expected = vgg_by_hand(backbone.state_dict(), images)
    found = backbone(images, TAPS)
    assert set(found) == set(expected)
    for name, features in found.items():
        torch.testing.assert_close(features, expected[name], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("order", "downsample"), [("channel_spatial", "none"), ("spatial_channel", "max")])
def test_gates_stand_in_the_first_two_pool_slots_only(order, downsample):
    backbone = small_backbone(attention=True, gate_order=order, downsample=downsample)
    images = torch.rand(1, 3, 32, 32)
    with torch.no_grad():
        found = backbone(images, ("relu1_2", "pool1", "relu2_2", "pool2", "relu3_3", "pool3"))
    for before, slot in (("relu1_2", "pool1"), ("relu2_2", "pool2")):
        gate = backbone.features[TAPS[slot]]
        torch.testing.assert_close(found[slot], gate(found[before]))
        factor = 2 if downsample == "max" else 1
        assert found[slot].shape[-1] * factor == found[before].shape[-1]
    torch.testing.assert_close(found["pool3"], F.max_pool2d(found["relu3_3"], 2))


def test_multiply_adds_of_the_original():
    with torch.device("meta"):
        backbone = Backbone()
    assert convolution_macs(224) == 15_346_630_656  # 15.35 GMAC, as published
    assert counted_macs(backbone, ("relu5_3",)) == 15_346_630_656
    assert counted_macs(backbone, ("pool5",)) == 15_346_630_656


def test_multiply_adds_without_the_first_two_pools():
    with torch.device("meta"):
        backbone = Backbone(attention=True, downsample="none")
    expected = convolution_macs(224, pooled_blocks={2, 3})
    assert round(expected / 1e9, 1) == 183.2
    gates = 0
    for slot, channels in ((4, 64), (9, 128)):
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            backbone.features[slot](torch.empty(1, channels, 224, 224, device="meta"))
        gates += counter.get_total_flops() // 2
        # At least the two shared layers on both poolings, and 7×7 from 2 channels to 1.
        assert counter.get_total_flops() // 2 >= 2 * 2 * channels * (channels // 16) + 224**2 * 7**2 * 2
    assert counted_macs(backbone, ("relu5_3",)) - gates == expected
    assert gates < expected / 1000


@pytest.mark.parametrize(("layers", "last"), [(("relu1_2",), 2), (("relu3_1", "relu1_1"), 10), (("pool3",), 14)])
def test_evaluation_stops_at_the_deepest_layer_named(layers, last):
    with torch.device("meta"):
        backbone = Backbone()
    assert counted_macs(backbone, layers) == convolution_macs(224, last=last)


def test_a_taps_features_survive_the_layers_after_it():
    backbone = small_backbone(attention=True)
    images = torch.rand(1, 3, 32, 32)
    seen = images.clone()
    together = backbone(images, TAPS)
    for name, features in together.items():
        torch.testing.assert_close(features, backbone(images, (name,))[name], rtol=0, atol=0)
        assert features.std() > 0, f"{name} says nothing"
    torch.testing.assert_close(images, seen, rtol=0, atol=0)


# Images and sizes ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "layer", "minimum"),
    [
        ({}, "relu1_2", 1),
        ({}, "pool1", 2),
        ({}, "relu4_3", 8),
        ({}, "relu5_3", 16),
        ({}, "pool5", 32),
        ({"attention": True}, "relu4_3", 8),
        ({"attention": True, "downsample": "none"}, "relu3_3", 1),
        ({"attention": True, "downsample": "none"}, "relu4_3", 2),
        ({"attention": True, "downsample": "none"}, "pool5", 8),
        ({"attention": False, "downsample": "none"}, "pool5", 32),
    ],
)
def test_minimum_size_works_and_less_is_refused(settings, layer, minimum):
    backbone = small_backbone(**settings)
    assert backbone.minimum_size((layer,)) == minimum
    assert backbone(torch.rand(1, 3, minimum, minimum), (layer,))[layer].shape[-2:] == (1, 1)
    if minimum > 1:
        with pytest.raises(ValueError, match=rf"{minimum}x{minimum - 1} pixels: {layer} .* needs {minimum}x{minimum}"):
            backbone(torch.rand(1, 3, minimum, minimum - 1), (layer,))


@pytest.mark.parametrize("head", ["vgg", "pooled"])
@pytest.mark.parametrize("size", [(32, 32), (33, 70), (97, 41)])
def test_classifiers_take_any_size(head, size):
    backbone = small_backbone(classes=("cat", "dog", "owl"), head=head)
    images = torch.rand(2, 3, *size)
    taps, weights = vgg_by_hand(backbone.state_dict(), images), backbone.state_dict()

    def linear(layer: int, values: torch.Tensor) -> torch.Tensor:
        return values @ weights[f"classifier.{layer}.weight"].T + weights[f"classifier.{layer}.bias"]

    if head == "pooled":
        expected = linear(2, taps["relu5_3"].mean((2, 3)))
    else:
        flat = F.adaptive_avg_pool2d(taps["pool5"], 7).reshape(2, -1)
        expected = linear(6, linear(3, linear(0, flat).clamp(min=0)).clamp(min=0))
    torch.testing.assert_close(backbone.classify(images), expected, rtol=1e-4, atol=1e-6)


def test_classify_without_a_classifier_is_refused():
    with pytest.raises(ValueError, match="no classifier"):
        small_backbone().classify(torch.rand(1, 3, 32, 32))


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "autocast"])
def test_embedding_is_the_unit_mean_of_the_features_in_float32(precision):
    backbone = small_backbone()
    images = torch.rand(3, 3, 40, 48)
    features = vgg_by_hand(backbone.state_dict(), images)["relu5_3"].detach().double().numpy()
    expected = features.mean((2, 3))
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    if precision == "bfloat16":
        backbone.bfloat16()
    with torch.autocast("cpu", torch.bfloat16, enabled=precision == "autocast"):
        embeddings = backbone.embed(images)
    assert embeddings.dtype == torch.float32
    torch.testing.assert_close(embeddings.norm(dim=1), torch.ones(3), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(embeddings.detach().numpy(), expected, atol=1e-6 if precision == "float32" else 0.02)
    assert backbone.embed(images, "relu2_2").shape == (3, 16)


@pytest.mark.parametrize("images", [torch.float64, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("weights", [torch.float32, torch.bfloat16])
def test_features_come_in_the_weights_dtype_and_near_the_float32_ones(images, weights):
    backbone = small_backbone()
    pictures = torch.rand(1, 3, 16, 16)
    expected = backbone(pictures, ("relu3_3",))["relu3_3"]
    found = backbone.to(weights)(pictures.to(images), ("relu3_3",))["relu3_3"]
    assert found.dtype == weights
    assert F.cosine_similarity(found.float().flatten(), expected.flatten(), dim=0) > 0.999


@pytest.mark.parametrize("weights", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("images", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_white_paper_is_the_same_in_every_dtype(images, weights):
    # Oracle: the normalisation of what the buffers hold, in float64, rounded once.
    backbone = small_backbone().to(weights)
    expected = ((1 - backbone.mean.double()) / backbone.std.double()).to(weights)
    assert torch.equal(backbone.normalise(torch.ones(1, 3, 1, 1, dtype=images)), expected)


# Weights of other makers ---------------------------------------------------------------------------------------------


def torchvision_like(width: float) -> dict[str, torch.Tensor]:
    """A state dictionary with torchvision's names, in its order, at a fraction of its width."""
    generator = torch.Generator().manual_seed(1)
    tensors = {}
    for index, (inward, outward, _) in CONVOLUTIONS.items():
        inward, outward = inward if inward == 3 else int(inward * width), int(outward * width)
        tensors[f"features.{index}.weight"] = torch.randn(outward, inward, 3, 3, generator=generator)
        tensors[f"features.{index}.bias"] = torch.randn(outward, generator=generator)
    hidden, flat = int(4096 * width), int(512 * width) * 49
    for index, (inward, outward) in {0: (flat, hidden), 3: (hidden, hidden), 6: (hidden, 1000)}.items():
        # One number shown as a whole matrix: at full width these hold 120 million, and no test looks at them.
        tensors[f"classifier.{index}.weight"] = torch.zeros(()).expand(outward, inward)
        tensors[f"classifier.{index}.bias"] = torch.zeros(outward)
    return tensors


@pytest.fixture(scope="module")
def other_makers_files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("torchvision")
    small, full = torchvision_like(0.125), torchvision_like(1.0)
    torch.save(small, folder / "small.pth")
    torch.save(
        small, folder / "small-2017.pth", _use_new_zipfile_serialization=False
    )  # torchvision's vgg16 is that old
    torch.save(full, folder / "full.pth")
    save_file({name: tensor.contiguous() for name, tensor in small.items()}, folder / "small.safetensors")
    return folder, {"small": small, "full": full}


@pytest.mark.parametrize("arm", ARMS)
@pytest.mark.parametrize("file", ["small.pth", "small-2017.pth", "small.safetensors", "full.pth"])
def test_torchvision_weights_load_into_each_arm_without_renaming(other_makers_files, arm, file):
    folder, tensors = other_makers_files
    kind = file[: file.index("-" if "-" in file else ".")]
    attention = ARMS[arm].gates != "none"
    backbone = load_backbone(folder / file, attention=attention, width={"small": 0.125, "full": 1.0}[kind])
    loaded = backbone.state_dict()
    for name, tensor in tensors[kind].items():
        assert name in CLASSIFIER or torch.equal(loaded[name], tensor)
    assert backbone.load_report is not None
    assert set(backbone.load_report.new) == (GATES if attention else set())
    assert set(backbone.load_report.unused) == CLASSIFIER


def test_four_arms_are_the_papers():
    assert {name: (arm.gates, arm.tuning is not None) for name, arm in ARMS.items()} == {
        "attention+tuning": ("trained", True),
        "tuning": ("none", True),
        "attention": ("untrained", False),
        "original": ("none", False),
    }


def test_torchvisions_classifier_loads_where_it_fits_and_is_left_where_not():
    tensors = torchvision_like(0.125)
    tensors["classifier.6.bias"] = torch.arange(1000.0)
    images = torch.rand(1, 3, 32, 32)

    fitting = Backbone(width=0.125, classes=tuple(map(str, range(1000))), head="vgg").eval()
    report = fitting.load_weights(tensors)
    assert report.new == ()
    assert report.unused == ()
    torch.testing.assert_close(fitting.classify(images)[0], torch.arange(1000.0))  # the weights are 0: the bias is left

    fewer = Backbone(width=0.125, classes=("cat", "dog"), head="vgg")
    initial = fewer.classifier[6].bias.clone()
    report = fewer.load_weights(tensors)
    assert set(report.new) == set(report.unused) == CLASSIFIER
    assert torch.equal(fewer.classifier[6].bias, initial)


def test_new_gates_keep_their_start_and_unwanted_gates_are_reported():
    with_gates = small_backbone(attention=True, gate_init="open")
    report = with_gates.load_weights(torchvision_like(0.125))
    assert set(report.new) == GATES
    assert (with_gates.features[4].spatial.conv.bias == 5).all()
    report = small_backbone().load_weights(with_gates.state_dict())
    assert report.new == ()
    assert set(report.unused) == GATES


@pytest.mark.parametrize("downsample", ["max", "none"])
@pytest.mark.parametrize("order", ["channel_spatial", "spatial_channel", "parallel"])
def test_gates_that_start_at_a_half_keep_the_function_of_weights_without_gates(order, downsample):
    # Oracle: the network that the weights came from; without pools, the same with nothing in the two slots.
    plain = small_backbone()
    torch.nn.init.uniform_(plain.features[5].bias)  # a bias that is multiplied, too, would be seen
    gated = Backbone(**SMALL, attention=True, gate_init="half", gate_order=order, downsample=downsample).eval()
    gated.load_weights(plain.state_dict())
    if downsample == "none":
        plain.features[4] = plain.features[9] = torch.nn.Identity()
    images = torch.rand(2, 3, 64, 48)
    with torch.no_grad():
        expected, found = plain(images, TAPS), gated(images, TAPS)
    for layer in TAPS:
        scale = 0.25 if layer in ("pool1", "pool2") else 1.0
        torch.testing.assert_close(found[layer], scale * expected[layer], atol=1e-5, rtol=1e-5)


def test_only_gates_that_are_new_are_made_up_for(tmp_path):
    # Oracle: the tensors in the file.
    torch.manual_seed(1)
    tuned = small_backbone(attention=True, gate_init="half", classes=("a", "b"))
    save_backbone(tuned, tmp_path, dtype=torch.float32)
    for settings in ({}, {"gate_init": "half"}, {"classes": ()}):
        loaded = load_backbone(tmp_path, **settings)
        for index in (5, 10):
            assert torch.equal(loaded.features[index].weight, tuned.features[index].weight)
    # Of a file with the second slot's gates alone, only the first slot's are new.
    tensors = {name: value for name, value in tuned.state_dict().items() if not name.startswith("features.4.")}
    half = small_backbone(attention=True, gate_init="half")
    half.load_weights(tensors)
    assert torch.equal(half.features[5].weight, 4 * tuned.features[5].weight)
    assert torch.equal(half.features[10].weight, tuned.features[10].weight)
    # Gates that start elsewhere, and a backbone without gates, take the weights as they are.
    for settings in ({"attention": True, "gate_init": "open"}, {"attention": False, "gate_init": "half"}):
        other = small_backbone(**settings)
        other.load_weights(small_backbone().state_dict())
        assert torch.equal(other.features[5].weight, small_backbone().features[5].weight)


def test_weights_that_do_not_fit_are_refused():
    tensors = torchvision_like(0.125)
    missing = {name: tensor for name, tensor in tensors.items() if name != "features.7.weight"}
    with pytest.raises(ValueError, match=r"not VGG-16 weights: 1 of 26 tensors missing, first features\.7\.weight"):
        small_backbone().load_weights(missing)
    tensors["features.2.weight"] = torch.zeros(8, 8, 5, 5)
    with pytest.raises(ValueError, match=r"features\.2\.weight has shape \(8, 8, 5, 5\).*needs \(8, 8, 3, 3\)"):
        small_backbone().load_weights(tensors)


# Memory --------------------------------------------------------------------------------------------------------------


class LiveBytes(TorchDispatchMode):
    """Counts the bytes of every storage made inside it that is still alive."""

    def __init__(self):
        super().__init__()
        self.storages = {}

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        for value in result if isinstance(result, tuple | list) else (result,):
            if isinstance(value, torch.Tensor):
                storage = value.untyped_storage()
                self.storages[id(storage)] = (weakref.ref(storage), storage.nbytes())
        return result

    def total(self) -> int:
        gc.collect()
        return sum(size for reference, size in self.storages.values() if reference() is not None)


@pytest.mark.parametrize("attention", [False, True])
@pytest.mark.parametrize("frozen", [False, True])
def test_checkpointing_gives_the_same_gradients_with_less_memory(attention, frozen):
    layers = ("relu1_2", "relu2_2", "relu3_3", "relu4_3", "relu5_3")
    results, memory = [], []
    for checkpointing in (False, True):
        backbone = small_backbone(attention=attention, downsample="none" if attention else "max")
        if frozen:
            freeze(backbone)
        backbone.checkpoint_activations = checkpointing
        images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0)).requires_grad_()
        with LiveBytes() as live:
            features = backbone(images, layers)
            memory.append(live.total())
        loss = torch.stack([features[name].square().mean() for name in layers]).sum()
        inputs = [images, *backbone.parameters()]
        results.append([*(features[name] for name in layers), *torch.autograd.grad(loss, inputs)])
    for without, with_checkpoints in zip(*results, strict=True):
        torch.testing.assert_close(with_checkpoints, without, rtol=1e-6, atol=1e-9)
    taps = sum(features.numel() * 4 for features in results[0][: len(layers)])
    assert taps <= memory[1] < 0.75 * memory[0]


# Settings ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def without_type_checks(monkeypatch):
    """The tests check types in signatures; users do not, so our own checks must do."""
    for kind in (AttentionGate, BackboneConfig, Backbone):
        monkeypatch.setattr(kind, "__init__", inspect.unwrap(kind.__init__))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"width": 0}, "width is 0: it must be above 0"),
        ({"width": -1.0}, "width is -1.0"),
        ({"head": "linear"}, "head 'linear' is unknown: use vgg or pooled"),
        ({"mean": (0.5, 0.5)}, r"mean is \(0.5, 0.5\): it needs one number for each"),
        ({"mean": (0.5, 0.5, 1000.5)}, "mean is .*must be from -1,000 to 1,000"),
        ({"mean": (-1000.5, 0.5, 0.5)}, "mean is .*must be from -1,000 to 1,000"),
        ({"std": (1.0, 1.0, 0.0)}, "std is .*must be from 1e-06"),
        ({"std": (1.0, 1000.5, 1.0)}, "std is .*must be from 1e-06 to 1,000"),
        ({"attention": True, "downsample": "avg"}, "downsample 'avg' is unknown"),
        ({"attention": True, "gate_order": "both"}, "gate_order 'both' is unknown"),
        ({"attention": True, "gate_init": "shut"}, "gate_init 'shut' is unknown"),
        ({"attention": True, "gate_kernel": 6}, "gate_kernel is 6"),
        ({"attention": True, "gate_reduction": 0}, "gate_reduction is 0"),
        ({"classes": "cat"}, "classes is the text 'cat'"),
    ],
)
def test_settings_outside_the_choices_are_refused(settings, message, without_type_checks):
    with pytest.raises(ValueError, match=message):
        Backbone(**settings)


def test_the_ends_of_a_range_belong_to_it():
    assert BackboneConfig(mean=(-1000.0, 0.0, 1000.0), std=(1e-6, 1.0, 1000.0)).std == (1e-6, 1.0, 1000.0)
    assert BackboneConfig(width=8.0).width == 8
    with pytest.raises(ValueError, match=r"width is 8\.01: it must be above 0, and 8 at most"):
        BackboneConfig(width=8.01)


def test_a_config_and_settings_together_are_refused():
    with pytest.raises(ValueError, match="give one or the other"):
        Backbone(BackboneConfig(width=0.125), attention=True)


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ((), "no layer named: choose from relu1_1"),
        (("relu6_1",), "layer 'relu6_1' is unknown: choose from relu1_1"),
        ("relu1_2", "layers is the text 'relu1_2'"),
    ],
)
def test_layers_that_are_none_are_refused(layers, message):
    with pytest.raises(ValueError, match=message):
        small_backbone()(torch.rand(1, 3, 32, 32), layers)


def test_input_normalisation_is_the_configs():
    backbone = small_backbone(mean=(0.1, 0.2, 0.3), std=(0.5, 0.6, 0.7))
    images = torch.rand(1, 3, 16, 16)
    plain = small_backbone()  # the same seed, the same weights
    shift = torch.tensor([[0.1, 0.2, 0.3], [0.5, 0.6, 0.7], IMAGENET_MEAN, IMAGENET_STD]).view(4, 1, 3, 1, 1)
    same_inside = (images - shift[0]) / shift[1] * shift[3] + shift[2]
    expected = plain(same_inside, ("relu2_2",))["relu2_2"]
    torch.testing.assert_close(backbone(images, ("relu2_2",))["relu2_2"], expected, rtol=1e-4, atol=1e-5)


def test_thawing_is_the_way_back_from_freezing():
    torch.manual_seed(0)
    backbone = Backbone(width=0.0625, attention=True, classes=("cat", "dog"), mean=(0.5, 0.4, 0.3))
    backbone.origin = replace(backbone.origin, licence="MIT")
    images = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        expected = backbone(images, TAPS)
    wanted = {name: value for name, value in backbone.state_dict().items() if not name.startswith("classifier.")}
    wanted = {name: value.clone() for name, value in wanted.items()}
    frozen = freeze(backbone)
    thawed = thaw(frozen)
    assert thawed.state_dict().keys() == wanted.keys() == dict(thawed.named_parameters()).keys()
    assert all(torch.equal(value, wanted[name]) for name, value in thawed.state_dict().items())
    assert all(parameter.requires_grad for parameter in thawed.parameters())
    assert (thawed.origin.licence, thawed.training) == ("MIT", False)
    assert not list(frozen.parameters())
    with torch.no_grad():
        found = thawed(images, TAPS)
    assert all(torch.equal(found[name], expected[name]) for name in TAPS)
