"""Which weights stand for which arm. Oracle: the tensors of the files themselves."""

from dataclasses import fields
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor

from sketchloss import ARMS, Backbone, save_backbone
from sketchloss.networks.arms import ArmWeights
from sketchloss.networks.weights import weights_digest
from sketchloss.recipes.class_separation import ClassSeparation
from sketchloss.recipes.latent_diffusion import LatentDiffusion
from sketchloss.recipes.lora_table import LoraTable
from sketchloss.recipes.retrieval import Retrieval
from sketchloss.recipes.style_table import StyleTable
from sketchloss.recipes.style_transfer import StyleTransfer


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("weights")
    torch.manual_seed(0)
    for name, attention in (("plain", False), ("tuned", False), ("tuned2", False), ("gates", True)):
        save_backbone(Backbone(width=0.1, attention=attention), place / name)
    return place


def test_the_arms_of_the_package_can_be_loaded():
    for arm, kind in ARMS.items():
        assert ArmWeights().load(arm).config.attention == kind.attention


def gates(backbone: Backbone) -> list[Tensor]:
    return [tensor for name, tensor in backbone.state_dict().items() if name.startswith(("features.4.", "features.9."))]


def test_arms_without_weights_are_left_out():
    assert ArmWeights().arms() == list(ARMS)
    assert ArmWeights(tuning=()).arms() == ["attention+tuning", "attention", "original"]
    assert ArmWeights(tuning=("x",), attention_tuning=()).arms() == ["tuning", "attention", "original"]


def test_only_the_arms_that_are_named_are_compared_in_the_order_of_the_paper():
    for only in (("tuning",), ("original", "attention"), ("attention+tuning",), ()):
        found = ArmWeights(tuning=("x",), only=only).arms()
        assert found == [arm for arm in ARMS if not only or arm in only]
    assert ArmWeights(attention_tuning=(), only=("original", "original")).arms() == ["original"]


MAKERS = {
    "weights": ArmWeights,
    "retrieval": partial(Retrieval, data="doodles", out=Path("never")),
    "separation": partial(ClassSeparation, out=Path("never")),
    "style table": partial(StyleTable, content="doodles", sets=("doodles",), out=Path("never")),
    "lora table": partial(LoraTable, data="doodles", out=Path("never")),
}


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"only": ("tuning",), "tuning": ()}, "only names tuning, which has no weights: give --tuning"),
        ({"only": ("original", "attention+tuning"), "attention_tuning": ()}, "no weights: give --attention-tuning"),
    ],
)
@pytest.mark.parametrize("kind", MAKERS)
def test_an_arm_without_weights_is_refused(kind, settings, words):
    with pytest.raises(ValueError, match=words):
        MAKERS[kind](**settings)


@pytest.mark.parametrize("kind", MAKERS)
def test_a_name_that_is_no_arm_is_refused(kind):
    config = MAKERS[kind]()
    for name in ("tunning", "none"):
        object.__setattr__(config, "only", (name,))  # here, not outside tests, its type would speak first
        if (kind, name) == ("lora table", "none"):  # a LoRA without the term
            config.__post_init__()
            assert config.arms() == []
            continue
        with pytest.raises(ValueError, match=f"only names '{name}': choose from attention") as error:
            config.__post_init__()
        assert str(error.value).endswith("original, none" if kind == "lora table" else "original")


def test_trainings_for_one_arm_have_no_choice_of_arms():
    names = {field.name for kind in (StyleTransfer, LatentDiffusion) for field in fields(kind)}
    assert "photo" in names
    assert "only" not in names, "a run started before there was one could not be resumed"


def test_several_weights_take_turns(folder):
    weights = ArmWeights(photo=str(folder / "plain"), tuning=(str(folder / "tuned"), str(folder / "tuned2")))
    assert [weights.weights_of("tuning", run) for run in range(3)] == [
        str(folder / "tuned"),
        str(folder / "tuned2"),
        str(folder / "tuned"),
    ]
    first, second, third = (weights_digest(weights.load("tuning", run)) for run in range(3))
    assert first == third != second


def test_untrained_gates_are_drawn_from_the_repeat_and_nothing_else(folder):
    weights = ArmWeights(photo=str(folder / "plain"))
    before = torch.get_rng_state()
    one, again, other = (gates(weights.load("attention", run)) for run in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(a, b) for a, b in zip(one, again, strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(one, other, strict=True))
    assert not gates(weights.load("original"))
    # The convolutions are the file's.
    loaded, plain = weights.load("attention").state_dict(), weights.load("original").state_dict()
    assert all(torch.equal(loaded[name], plain[name]) for name in plain)


def test_gate_settings_reach_the_untrained_arm_only(folder):
    weights = ArmWeights(
        photo=str(folder / "plain"), attention_tuning=(str(folder / "gates"),), gate_init="open", downsample="none"
    )
    assert weights.load("attention").config.downsample == "none"
    assert weights.load("attention").config.gate_init == "open"
    assert weights.load("attention+tuning").config.downsample == "max"


@pytest.mark.parametrize(
    ("settings", "arm", "message"),
    [
        ({"tuning": ("gates",)}, "tuning", "have attention gates: give them as --attention-tuning"),
        ({"attention_tuning": ("plain",)}, "attention+tuning", "have no attention gates: give them as --tuning"),
        ({"photo": "gates"}, "original", "--photo takes weights without any"),
        ({"photo": "gates"}, "attention", "--photo takes weights without any"),
    ],
)
def test_weights_given_for_the_wrong_arm_are_refused(folder, settings, arm, message):
    settings = {
        name: tuple(str(folder / one) for one in value) if isinstance(value, tuple) else str(folder / value)
        for name, value in settings.items()
    }
    with pytest.raises(ValueError, match=message):
        ArmWeights(**settings).load(arm)
