"""Which weights stand for which arm. Oracle: the tensors of the files themselves."""

from dataclasses import fields, replace
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor

from sketchloss import ARMS, Backbone, load_backbone, save_backbone
from sketchloss.experiments.prompts.settings import LoraTable
from sketchloss.experiments.prompts.training_settings import LatentDiffusion
from sketchloss.experiments.retrieval.settings import Retrieval
from sketchloss.experiments.separation.settings import ClassSeparation
from sketchloss.experiments.style.settings import StyleTable
from sketchloss.experiments.style.transfer_settings import StyleTransfer
from sketchloss.networks.arms import PROPOSED, REFERENCE, Arm, ArmWeights, read_arms
from sketchloss.networks.weights import weights_digest


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("weights")
    torch.manual_seed(0)
    for name, attention in (("plain", False), ("tuned", False), ("tuned2", False), ("gates", True)):
        save_backbone(Backbone(width=0.1, attention=attention), place / name)
    return place


def test_the_arms_of_the_package_can_be_loaded():
    assert list(ARMS) == ["attention+tuning", "tuning", "attention", "original"]
    for name, arm in ARMS.items():
        assert arm.name == name
        assert arm.load().config.attention == ArmWeights().load(name).config.attention == (arm.gates != "none")


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
        object.__setattr__(config, "only", (name,))
        if (kind, name) == ("lora table", "none"):  # a LoRA without the term
            config.__post_init__()
            assert config.arms() == []
            continue
        with pytest.raises(ValueError, match=rf"only names '{name}': .*choose from attention") as error:
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


# Further arms --------------------------------------------------------------------------------------------------------


def test_the_papers_arms_are_entries_made_from_the_options(folder):
    weights = ArmWeights(photo="p", tuning=("a", "b"), attention_tuning=(), gate_init="open", downsample="none")
    entries = weights.entries()
    assert {name: (arm.gates, arm.weights) for name, arm in entries.items()} == {
        **{PROPOSED: ("trained", ()), REFERENCE: ("none", ("a", "b"))},
        **{"attention": ("untrained", ("p",)), "original": ("none", ("p",))},
    }
    assert entries["attention"].new_gates == {"gate_init": "open", "downsample": "none"}
    assert [name for name, arm in entries.items() if arm.tuning is not None] == [PROPOSED, REFERENCE]
    for name, arm in entries.items():  # what an entry says of its setting gives the entry's weights
        given = ArmWeights(**arm.settings(str(folder / "plain"))).entries()[name]
        assert given.weights == (str(folder / "plain"),)


def test_a_further_arm_comes_after_the_papers_and_is_chosen_like_them(folder):
    given = (f"mine={folder / 'gates'}", f"two={folder / 'tuned'},{folder / 'tuned2'}")
    weights = ArmWeights(tuning=(), arm=given)
    assert weights.arms() == ["attention+tuning", "attention", "original", "mine", "two"]
    assert replace(weights, only=("two", "original")).arms() == ["original", "two"]
    entry = weights.entries()["two"]
    assert (entry.gates, entry.tuning) == ("any", None)
    assert [entry.weights_of(run) for run in range(3)] == [str(folder / name) for name in ("tuned", "tuned2", "tuned")]
    for name, file, run in (("mine", "gates", 0), ("two", "tuned", 0), ("two", "tuned2", 1)):
        loaded = weights.load(name, run)
        assert weights_digest(loaded) == weights_digest(load_backbone(folder / file))
        assert bool(loaded.gates) == (file == "gates")
    weights.check_counts(2)
    with pytest.raises(ValueError, match="arm two has 2 weights for 3 seeds: give one, or one for each seed"):
        weights.check_counts(3)
    with pytest.raises(ValueError, match=r"only names .three.: .*original, mine, two$"):
        replace(weights, only=("three",))


def test_a_path_with_commas_is_one(folder):
    (folder / "a,b").symlink_to(folder / "plain")
    assert read_arms((f"x={folder}/a,b",))["x"].weights == (f"{folder}/a,b",)
    assert read_arms(("x=a, b",))["x"].weights == ("a", "b")
    assert read_arms(("x=transformers:some=/where",))["x"].weights == ("transformers:some=/where",)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (("sketch",), "arm is 'sketch': give a name and weights, as in dino="),
        (("mine=",), "arm is 'mine=': give a name and weights"),
        (("=sketch",), "its name must be 1 to 40 letters, digits"),
        (("../up=sketch",), "its name must be 1 to 40 letters, digits"),
        (("two words=sketch",), "its name must be"),
        (("tuning=sketch",), "the name tuning is taken; choose another"),
        (("Original=sketch",), "the name Original is taken"),
        (("none=sketch",), "the name none is taken"),
        (("ssim=sketch",), "the name ssim is taken"),
        (("mine=sketch", "Mine=imagenet"), "arm names Mine twice: name each once"),
        (("mine=sketch,",), "it has a comma with no weights beside it"),
        (("mine=finetune:contrast=0.1",), "as `sketchloss study` does; tune it .* and give mine=FOLDER"),
    ],
)
@pytest.mark.parametrize("kind", MAKERS)
def test_what_is_no_arm_is_one_line(kind, given, words):
    with pytest.raises(ValueError, match=words) as error:
        MAKERS[kind](arm=given)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("kind", [StyleTransfer, LatentDiffusion])
def test_a_training_takes_an_arm_of_yours(kind, folder):
    data = {"content": "doodles", "style": "doodles"} if kind is StyleTransfer else {"data": "doodles"}
    make = partial(kind, out=Path("never"), **data)
    config = make(arm=f"mine={folder / 'tuned'}")
    assert config.arm_name == "mine"
    assert weights_digest(config.load("mine")) == weights_digest(load_backbone(folder / "tuned"))
    assert make().arm_name == PROPOSED
    for arm, words in (
        ("mine", "arm is 'mine', which is unknown: choose from attention"),
        ("mine=a,b", "arm mine has 2 weights for one training: give one"),
        ("tuning=sketch", "the name tuning is taken"),
    ):
        with pytest.raises(ValueError, match=words):
            make(arm=arm)
    with pytest.raises(ValueError, match=r"^attention_tuning has 2 weights for one training: give one$"):
        make(attention_tuning=("a", "b"))


def test_an_entry_names_itself_for_one_training():
    assert ARMS["tuning"].named() == "tuning"
    assert Arm(name="mine", weights=("a", "b")).named(1) == "mine=b"
