"""Oracles: the library's own models, called as it calls them; VGG, by the same contract; what a saved folder says."""

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor
from transformers import (
    BertConfig,
    BertModel,
    ConvNextConfig,
    ConvNextModel,
    Dinov2Backbone,
    Dinov2Config,
    Dinov2Model,
    ResNetBackbone,
    ResNetConfig,
    ResNetForImageClassification,
)

from sketchloss import Backbone, SketchLoss, load_backbone, save_backbone
from sketchloss.networks.auto import TransformersBackbone, TransformersConfig
from sketchloss.networks.backbone import IMAGENET_MEAN, IMAGENET_STD, freeze
from sketchloss.networks.vgg import VGG
from sketchloss.networks.weights import identify_files, weights_digest

RESNET = ResNetConfig(embedding_size=8, hidden_sizes=[8, 16, 24, 32], depths=[1, 1, 1, 1], layer_type="basic")
DINOV2 = Dinov2Config(hidden_size=32, num_hidden_layers=6, num_attention_heads=2, image_size=56, patch_size=14)
KINDS = ("vgg", "resnet", "dinov2")


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> Path:
    """Model folders of transformers: tiny, random, and as whole models, as the hub has them."""
    place = tmp_path_factory.mktemp("models")
    torch.manual_seed(0)
    ResNetForImageClassification(RESNET).save_pretrained(place / "resnet")
    Dinov2Model(DINOV2).save_pretrained(place / "dinov2")
    ConvNextModel(ConvNextConfig(hidden_sizes=[8, 16, 24, 32], depths=[1, 1, 1, 1])).save_pretrained(place / "convnext")
    save_backbone(Backbone(width=0.125), place / "vgg")
    return place


@pytest.fixture(params=KINDS)
def backbone(request, models) -> Backbone:
    """A backbone of each kind."""
    return load_backbone(name_of(models, request.param))


def name_of(models: Path, kind: str) -> str:
    return f"{models / kind}" if kind == "vgg" else f"transformers:{models / kind}"


def pictures(count: int = 2, side: int = 64) -> Tensor:
    return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(1))


# What every backbone is ----------------------------------------------------------------------------------------------


def test_a_backbone_says_what_its_features_are(backbone):
    images = pictures()
    with torch.no_grad():
        found = backbone(images, backbone.taps)
    assert list(found) == list(backbone.taps)
    for layer, features in found.items():
        assert (features.ndim, features.shape[:2]) == (4, (2, backbone.channels(layer)))
        assert features.dtype == torch.float32
    places = [backbone.taps.index(layer) for layer in backbone.default_layers]
    assert places == sorted(set(places))
    assert set(backbone.stages) <= set(backbone.taps)
    assert 1 <= len(backbone.stages) <= 8
    assert backbone.depth(backbone.taps[-1]) == len(backbone.taps) - 1
    with torch.no_grad():
        embedded = backbone.embed(images)
    mean = found[backbone.embedding_layer].mean((2, 3))
    torch.testing.assert_close(embedded, mean / mean.norm(dim=1, keepdim=True))


def test_a_backbone_takes_pictures_from_its_smallest_size_on(backbone):
    least = backbone.minimum_size(backbone.taps)
    with torch.no_grad():
        found = backbone(pictures(1, least), backbone.taps)
    assert all(min(features.shape[2:]) >= 1 for features in found.values())
    if least > 1:
        with pytest.raises(ValueError, match=f"of this backbone needs {least}x{least}"):
            backbone(pictures(1, least - 1), backbone.taps)


def test_a_backbone_refuses_layers_that_it_does_not_have(backbone):
    for call in (
        lambda: backbone(pictures(), ("conv9",)),
        lambda: backbone.channels("conv9"),
        lambda: backbone.minimum_size(("conv9",)),
        lambda: backbone.depth("conv9"),
        lambda: SketchLoss(backbone, layers=("conv9",)),
    ):
        with pytest.raises(ValueError, match=f"layer 'conv9' is unknown: choose from {backbone.taps[0]}"):
            call()
    with pytest.raises(ValueError, match="no layer named"):
        backbone(pictures(), ())


def test_normalisation_is_what_it_says(backbone):
    images = pictures()
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (IMAGENET_MEAN, IMAGENET_STD))
    torch.testing.assert_close(backbone.normalise(images), (images - mean) / std)


def test_a_frozen_backbone_has_nothing_to_train_or_to_store(backbone):
    frozen = freeze(backbone)
    assert list(frozen.parameters()) == []
    assert frozen.state_dict() == {}
    assert not frozen.training
    with pytest.raises(ValueError, match="this backbone is frozen"):
        save_backbone(frozen, "nowhere")


def test_a_saved_backbone_is_the_same_offline(backbone, tmp_path):
    save_backbone(backbone, tmp_path / "saved", dtype=torch.float32)
    again = load_backbone(tmp_path / "saved")
    assert type(again) is type(backbone)
    assert (
        weights_digest(again) == weights_digest(backbone) == weights_digest(freeze(load_backbone(tmp_path / "saved")))
    )
    images = pictures()
    with torch.no_grad():
        for layer, features in again(images, again.taps).items():
            torch.testing.assert_close(features, backbone(images, (layer,))[layer])
    assert (again.load_report.new, again.load_report.unused) == ((), ())


def test_the_digest_tells_weights_apart(backbone):
    before = weights_digest(backbone)
    weight = next(backbone.parameters())
    with torch.no_grad():
        weight[0] += 0.1
    assert weights_digest(backbone) != before


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("pair", ["the same", "all white", "all black", "black and white"])
def test_the_loss_and_its_gradient_are_finite(backbone, dtype, pair):
    loss = SketchLoss(backbone).to(dtype)
    white, black, drawing = torch.ones(1, 3, 64, 64), torch.zeros(1, 3, 64, 64), pictures(1)
    pred, target = {
        "the same": (drawing, drawing),
        "all white": (white, white),
        "all black": (black, black),
        "black and white": (black, white),
    }[pair]
    pred = pred.clone().requires_grad_()
    value = loss(pred, target)
    value.backward()
    assert value.dtype == torch.float32
    assert value.isfinite()
    assert pred.grad.isfinite().all()
    assert (value.item() == 0) == (pair != "black and white")


def test_the_default_loss_compares_the_layers_that_the_backbone_names(backbone):
    loss = SketchLoss(backbone)
    assert tuple(loss.layers) == backbone.default_layers
    pred = pictures().requires_grad_()
    target = pictures().flip(0)
    total, parts = loss(pred, target, return_parts=True)
    assert list(parts) == [f"content/{layer}" for layer in backbone.default_layers]
    (gradient,) = torch.autograd.grad(total, pred, create_graph=True)
    (again,) = torch.autograd.grad(gradient.square().sum(), pred)  # gradients can be differentiated again
    assert again.isfinite().all()
    assert loss(pred, loss.extract(target)).item() == pytest.approx(total.item(), rel=1e-5)
    assert loss.map(pred, target).shape == (2, 1, 64, 64)


def test_a_backbone_without_a_kind_is_a_vgg():
    made = Backbone(width=0.125, attention=True)
    assert type(made) is VGG
    assert isinstance(made, Backbone)
    assert made.default_layers == ("relu1_2", "relu2_2", "relu3_3", "relu4_1")
    assert (made.embedding_layer, made.channels("relu1_1"), made.channels("pool5")) == ("relu5_3", 8, 64)


# Models of transformers ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "network", "config"), [("resnet", ResNetBackbone, RESNET), ("dinov2", Dinov2Backbone, DINOV2)]
)
def test_features_are_those_of_the_library(kind, network, config, models):
    stages = list(config.stage_names)
    peer = network.from_pretrained(models / kind, out_features=stages).eval()
    backbone = load_backbone(f"transformers:{models / kind}")
    images = pictures()
    with torch.no_grad():
        wanted = dict(zip(stages, peer(backbone.normalise(images)).feature_maps, strict=True))
        found = backbone(images, stages)
    for stage in stages:
        torch.testing.assert_close(found[stage], wanted[stage])
    assert backbone.taps == tuple(stages)


def test_default_layers_are_spread_over_the_depth(models):
    resnet, dinov2 = (load_backbone(f"transformers:{models / kind}") for kind in ("resnet", "dinov2"))
    assert resnet.default_layers == ("stage1", "stage2", "stage3", "stage4")
    assert dinov2.default_layers == ("stage2", "stage3", "stage4", "stage6")
    assert (resnet.embedding_layer, dinov2.embedding_layer) == ("stage4", "stage6")
    assert (resnet.minimum_size(()), dinov2.minimum_size(())) == (1, 14)


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        ({"image_mean": [0.5, 0.4, 0.3], "image_std": [0.1, 0.2, 0.3]}, ((0.5, 0.4, 0.3), (0.1, 0.2, 0.3))),
        ({"do_normalize": False}, ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))),
        ({}, (IMAGENET_MEAN, IMAGENET_STD)),
    ],
)
def test_the_preprocessor_says_how_pictures_are_normalised(said, wanted, models, tmp_path):
    folder = copied(models / "resnet", tmp_path / "own")
    (folder / "preprocessor_config.json").write_text(json.dumps(said))
    config = load_backbone(f"transformers:{folder}").config
    assert (config.mean, config.std) == wanted


def copied(folder: Path, place: Path) -> Path:
    place.mkdir()
    for file in folder.iterdir():
        (place / file.name).write_bytes(file.read_bytes())
    return place


def test_gates_stand_behind_the_first_two_stages_and_start_without_effect(models):
    for kind in ("resnet", "convnext"):
        plain = load_backbone(f"transformers:{models / kind}")
        gated = load_backbone(f"transformers:{models / kind}", attention=True, gate_init="half", downsample="max")
        assert len(gated.gates) == 2
        assert all(".stages.0." in name or ".stages.1." in name for name in gated.gates)
        assert {name for name in gated.load_report.new if "hidden_states_norms" not in name} == {
            name for name in gated.state_dict() if name.startswith(tuple(f"{gate}." for gate in gated.gates))
        }
        images = pictures()
        with torch.no_grad():
            before, after = plain(images, plain.taps), gated(images, gated.taps)
            for layer in plain.taps:
                torch.testing.assert_close(after[layer], before[layer])
            for gate in gated.gates.values():  # and with effect once they are no longer as they start
                gate.channel.expand.bias.copy_(torch.linspace(-5, 5, len(gate.channel.expand.bias)))
            changed = gated(images, gated.taps)
        assert not torch.allclose(changed["stage1"], before["stage1"], rtol=0.1)
        torch.testing.assert_close(changed["stem"], before["stem"])


def test_gates_have_no_place_among_tokens(models):
    with pytest.raises(ValueError, match=r"dinov2 \(dinov2\) has no convolutional stages to put attention gates after"):
        load_backbone(f"transformers:{models / 'dinov2'}", attention=True)


def test_a_gated_network_loses_and_gets_gates_by_settings(models, tmp_path):
    save_backbone(load_backbone(f"transformers:{models / 'resnet'}", attention=True), tmp_path / "gated")
    assert len(load_backbone(tmp_path / "gated").gates) == 2
    without = load_backbone(tmp_path / "gated", attention=False)
    assert without.gates == {}
    assert any(".channel.reduce." in name for name in without.load_report.unused)
    save_backbone(without, tmp_path / "plain")
    assert len(load_backbone(tmp_path / "plain", attention=True).gates) == 2


def test_activations_may_be_recomputed_where_the_network_can(models):
    images = pictures(1).requires_grad_()
    backbone = load_backbone(f"transformers:{models / 'dinov2'}").train()
    kept = torch.autograd.grad(backbone(images, ("stage6",))["stage6"].sum(), images)
    backbone.checkpoint_activations = True
    again = torch.autograd.grad(backbone(images, ("stage6",))["stage6"].sum(), images)
    torch.testing.assert_close(again, kept)
    resnet = load_backbone(f"transformers:{models / 'resnet'}")
    resnet.checkpoint_activations = True
    with pytest.raises(ValueError, match="cannot recompute activations: leave checkpoint_activations out"):
        resnet(images, ("stage1",))


def test_files_of_a_model_folder_are_identified(models):
    files = identify_files(f"transformers:{models / 'resnet'}")
    assert {Path(file.path).name for file in files} == {"model.safetensors", "config.json"}


# Refusals ------------------------------------------------------------------------------------------------------------


def refused(name: str, **settings) -> str:
    with pytest.raises((ValueError, FileNotFoundError)) as caught:
        load_backbone(name, **settings)
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_what_is_no_backbone_is_refused_in_one_line(models, tmp_path):
    bert = BertModel(BertConfig(hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8))
    bert.save_pretrained(tmp_path / "bert")
    assert "a model of the type bert cannot be a backbone" in refused(f"transformers:{tmp_path / 'bert'}")

    unknown = copied(models / "resnet", tmp_path / "unknown")
    (unknown / "config.json").write_text('{"model_type": "novel"}')
    assert "of the type novel cannot be a backbone: transformers has none" in refused(f"transformers:{unknown}")
    (unknown / "config.json").write_text("{}")
    assert "does not say a model_type" in refused(f"transformers:{unknown}")

    pickled = copied(models / "resnet", tmp_path / "pickled")
    (pickled / "model.safetensors").rename(pickled / "pytorch_model.bin")
    assert "only pickles, which can hold code and are refused" in refused(f"transformers:{pickled}")

    damaged = copied(models / "resnet", tmp_path / "damaged")
    (damaged / "model.safetensors").write_bytes((damaged / "model.safetensors").read_bytes()[:1000])
    assert "holds no whole resnet" in refused(f"transformers:{damaged}")

    assert "holds no config.json" in refused(f"transformers:{tmp_path}")
    assert "does not exist" in refused(f"transformers:{tmp_path / 'nowhere'}")
    assert "head is vgg" in refused(f"transformers:{models / 'resnet'}", head="vgg")
    assert "pooling is max_blur" in refused(f"transformers:{models / 'resnet'}", pooling="max_blur")
    assert "slots is nothing" in refused(f"transformers:{models / 'resnet'}", slots="nothing")
    assert "unknown backbone setting 'width'" in refused(f"transformers:{models / 'resnet'}", width=0.5)


def test_weights_of_another_network_are_refused(models, tmp_path):
    mixed = copied(models / "resnet", tmp_path / "mixed")
    (mixed / "model.safetensors").write_bytes((models / "dinov2" / "model.safetensors").read_bytes())
    assert "tensors are missing" in refused(f"transformers:{mixed}")


def test_offline_a_repo_that_is_not_in_the_cache_is_refused_with_what_to_do():
    text = refused("transformers:facebook/dinov2-small")
    assert "could not fetch facebook/dinov2-small: the hub cannot be reached" in text
    assert "hf download facebook/dinov2-small" in text


def test_without_transformers_it_says_what_to_install(models, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "transformers", None)
    text = refused(f"transformers:{models / 'resnet'}")
    assert "needs the library transformers, which is not installed: pip install" in text


def test_a_folder_of_a_later_kind_is_refused(models, tmp_path):
    save_backbone(Backbone(width=0.125), tmp_path / "later")
    config = tmp_path / "later" / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "kind": "mamba"}))
    assert "kind is 'mamba': this sketchloss knows vgg and transformers" in refused(str(tmp_path / "later"))


def test_a_size_that_a_network_cannot_take_is_refused_in_one_line(models):
    backbone = load_backbone(f"transformers:{models / 'resnet'}")
    assert isinstance(backbone, TransformersBackbone)

    def only_64(pixels):
        if pixels.shape[-1] != 64:
            raise ValueError(f"Input image size ({pixels.shape[-1]}) doesn't match model (64)")
        return original(pixels)

    original, backbone.network.forward = backbone.network.forward, only_64
    assert backbone.minimum_size(()) == 64
    with pytest.raises(ValueError, match=r"images are 65x65 pixels, which the network resnet \(resnet\) cannot take"):
        backbone(pictures(1, 65), ("stage1",))


def test_settings_are_checked():
    model = {"model_type": "resnet"}
    ends = TransformersConfig(model, mean=(-1000.0, 0.0, 1000.0), std=(1e-6, 1.0, 1000.0))
    assert (ends.mean, ends.std) == ((-1000.0, 0.0, 1000.0), (1e-6, 1.0, 1000.0))
    for mean in ((0.5, 0.5, 1000.5), (-1000.5, 0.5, 0.5)):
        with pytest.raises(ValueError, match=r"mean is .*must be from -1,000 to 1,000"):
            TransformersConfig(model, mean=mean)
    for std in ((1.0, 1.0, 0.0), (1.0, 1000.5, 1.0)):
        with pytest.raises(ValueError, match=r"std is .*must be from 1e-06 to 1,000"):
            TransformersConfig(model, std=std)
    with pytest.raises(ValueError, match="does not say its model_type"):
        TransformersConfig({})
    with pytest.raises(ValueError, match="gate_kernel is 2"):
        TransformersConfig({"model_type": "resnet"}, gate_kernel=2)
