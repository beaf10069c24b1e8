"""Oracle: `SketchLoss` itself, built anew."""

import copy
import os
import shutil
from collections import deque
from functools import cache

import pytest
import torch
from torch import Tensor

import sketchloss.loss.loss
from sketchloss import Backbone, SketchLoss, save_backbone, sketch_loss


@cache
def small_backbone() -> Backbone:
    """Tests share it; a loss copies it."""
    torch.manual_seed(0)
    return Backbone(width=0.125, attention=True)


def pictures(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"metric": "cosine", "reduction": "none"},
        {"layers": {"relu2_2": 2.0, "relu1_1": 1.0}, "style_weight": 1.0},
        {"layers": ["pool1"], "invert": True, "check": False},
    ],
)
def test_the_function_is_the_module(arguments):
    pred, target = pictures(2, 3, 16, 16), pictures(2, 3, 16, 16, seed=1)
    mask = pictures(2, 1, 16, 16, seed=2)
    found = sketch_loss(pred, target, mask=mask, weights=small_backbone(), **arguments)
    assert torch.equal(found, SketchLoss(small_backbone(), **arguments)(pred, target, mask=mask))


def test_what_cannot_be_kept_is_taken_as_the_module_takes_it():
    pred, target = pictures(2, 3, 16, 16), pictures(2, 3, 16, 16, seed=1)
    settings = {"value_range": deque([-1.0, 1.0])}
    assert torch.equal(sketch_loss(pred, target, **settings), SketchLoss(**settings)(pred, target))


def test_the_function_loads_a_file_once_for_the_same_settings(tmp_path, monkeypatch):
    save_backbone(small_backbone(), tmp_path)
    loads = []
    load = sketchloss.loss.loss.load_backbone
    monkeypatch.setattr(sketchloss.loss.loss, "load_backbone", lambda *args: loads.append(args) or load(*args))
    pred, target = pictures(1, 3, 16, 16), pictures(1, 3, 16, 16, seed=1)
    values = {sketch_loss(pred, target, weights=tmp_path, style_weight=2.0, metric="l2").item() for _ in range(3)}
    assert len(loads) == len(values) == 1
    assert sketch_loss(pred, target, weights=tmp_path, metric="l1").item() not in values
    assert len(loads) == 2


def test_the_function_sees_that_a_backbone_has_learned():
    backbone = copy.deepcopy(small_backbone())
    pred, target = pictures(1, 3, 16, 16), pictures(1, 3, 16, 16, seed=1)
    before = sketch_loss(pred, target, weights=backbone)
    with torch.no_grad():
        backbone.features[0].weight.mul_(2)
    after = sketch_loss(pred, target, weights=backbone)
    assert after != before
    assert after == SketchLoss(backbone)(pred, target)


def test_the_function_first_called_in_inference_mode_trains_later(tmp_path):
    save_backbone(small_backbone(), tmp_path)
    pred, target = pictures(1, 3, 16, 16), pictures(1, 3, 16, 16, seed=1)
    with torch.inference_mode():
        value = sketch_loss(pred, target, weights=tmp_path)
    trained = sketch_loss(pred.requires_grad_(), target, weights=tmp_path)
    trained.backward()
    assert trained == value
    assert pred.grad.any()


@pytest.mark.parametrize("place", ["", "best"], ids=["weights folder", "run folder"])
def test_the_function_sees_that_a_folders_weights_have_changed(tmp_path, place):
    folder = tmp_path / "weights"
    pred, target = pictures(1, 3, 16, 16), pictures(1, 3, 16, 16, seed=1)
    save_backbone(small_backbone(), folder / place)
    before = sketch_loss(pred, target, weights=folder)
    torch.manual_seed(1)
    save_backbone(Backbone(width=0.125), folder / place)
    after = sketch_loss(pred, target, weights=folder)
    assert after != before
    assert after == SketchLoss(folder)(pred, target)
    assert after == sketch_loss(pred, target, weights=str(folder))
    shutil.rmtree(folder)
    with pytest.raises(FileNotFoundError, match="does not exist"):
        sketch_loss(pred, target, weights=folder)


def test_a_file_of_the_same_size_and_time_is_told_apart_by_its_inode(tmp_path):
    pred, target = pictures(1, 3, 16, 16), pictures(1, 3, 16, 16, seed=1)
    values = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        save_backbone(Backbone(width=0.125), tmp_path)
        os.utime(tmp_path / "model.safetensors", ns=(0, 0))
        os.utime(tmp_path / "config.json", ns=(0, 0))
        values.append(sketch_loss(pred, target, weights=tmp_path))
    assert values[0] != values[1]


def test_a_changed_configuration_is_seen(tmp_path):
    pred, target = pictures(1, 3, 16, 16), pictures(1, 3, 16, 16, seed=1)
    save_backbone(small_backbone(), tmp_path)
    before = sketch_loss(pred, target, weights=tmp_path)
    other = copy.deepcopy(small_backbone())
    other.mean.add_(0.1)
    config = (tmp_path / "config.json").read_text()
    assert '"mean": [\n    0.485' in config
    (tmp_path / "config.json").write_text(config.replace("0.485", "0.4"))
    assert sketch_loss(pred, target, weights=tmp_path) != before


def test_names_in_the_package_are_loaded_once_and_not_looked_at_again(monkeypatch):
    pred, target = pictures(1, 3, 16, 16), pictures(1, 3, 16, 16, seed=1)
    loads = []
    load = sketchloss.loss.loss.load_backbone
    monkeypatch.setattr(sketchloss.loss.loss, "load_backbone", lambda *args: loads.append(args) or load(*args))
    values = {sketch_loss(pred, target, weights="imagenet", style_weight=0.37).item() for _ in range(2)}
    assert len(loads) == len(values) == 1


def test_parts_and_lists_as_settings():
    pred, target = pictures(2, 1, 16, 16), pictures(2, 1, 16, 16, seed=1)
    settings = {"weights": small_backbone(), "layers": ["relu1_2", "relu3_3"]}
    value, parts = sketch_loss(pred * 2 - 1, target * 2 - 1, value_range=[-1, 1], return_parts=True, **settings)
    torch.testing.assert_close(value, sketch_loss(pred, target, **settings))
    assert list(parts) == ["content/relu1_2", "content/relu3_3"]
    assert value == sum(parts.values())
