"""Oracles: torchvision's parameter names and the gates' slots, listed by hand."""

import pytest
import torch

from sketchloss.networks.backbone import Backbone
from sketchloss.networks.weights import load_backbone, save_backbone
from sketchloss.training.groups import parameter_groups

RATES = {"lr": 1e-4, "new_lr_factor": 10.0, "gate_lr_factor": 30.0, "weight_decay": 0.01, "gate_weight_decay": 0.002}
PARTS = ("weight", "bias")
HEAD = {"classifier.2.weight", "classifier.2.bias"}
GATES = {
    f"features.{slot}.{layer}.{kind}"
    for slot in (4, 9)
    for layer in ("channel.reduce", "channel.expand", "spatial.conv")
    for kind in ("weight", "bias")
}


@pytest.fixture
def gated(tmp_path) -> str:
    """Weights with gates and a classifier of two classes."""
    save_backbone(Backbone(width=0.125, attention=True, classes=("cat", "dog")), tmp_path / "gated")
    return str(tmp_path / "gated")


def parts_of(backbone: Backbone) -> dict[str, set[str]]:
    names = {id(weight): name for name, weight in backbone.named_parameters()}
    groups = parameter_groups(backbone, **RATES)
    every = [weight for group in groups for weight in group["params"]]
    assert len(every) == len(names) == len({id(weight) for weight in every})  # each once
    return {group["name"]: {names[id(weight)] for weight in group["params"]} for group in groups}


def test_gates_from_a_file_are_trained_as_gates(gated):
    parts = parts_of(load_backbone(gated, classes=("a", "b", "c")))
    assert parts["gates"] == GATES
    assert parts["new"] == HEAD
    assert len(parts["trained"]) == 26  # weights and biases of 13 convolutions


def test_new_gates_are_trained_as_gates_and_not_as_the_classifier(narrow):
    parts = parts_of(load_backbone(narrow, attention=True, classes=("a", "b")))
    assert (parts["gates"], parts["new"]) == (GATES, HEAD)


def test_what_stands_in_the_place_of_gates_is_trained_as_gates(narrow):
    parts = parts_of(load_backbone(narrow, slots="convolutions", classes=("a", "b")))
    names = {f"features.{slot}.{part}.{kind}" for slot in (4, 9) for part in ("reduce", "expand") for kind in PARTS}
    assert (parts["gates"], parts["new"]) == (names, HEAD)


def test_a_classifier_from_the_file_is_not_new(gated):
    parts = parts_of(load_backbone(gated))
    assert set(parts) == {"trained", "gates"}
    assert parts["trained"] > HEAD


def test_without_gates_there_is_no_group_of_them(narrow):
    assert set(parts_of(load_backbone(narrow, classes=("a", "b")))) == {"trained", "new"}
    assert set(parts_of(load_backbone(narrow))) == {"trained"}


def test_rates_and_decay_reach_the_optimiser(gated):
    optimizer = torch.optim.AdamW(parameter_groups(load_backbone(gated, classes=("a", "b", "c")), **RATES))
    found = {group["name"]: (group["lr"], group["weight_decay"]) for group in optimizer.param_groups}
    assert found == {
        "trained": (1e-4, 0.01),
        "new": (pytest.approx(1e-3), 0.01),
        "gates": (pytest.approx(3e-3), 0.002),
    }
