"""Arms that a study tunes itself, from one text. Oracles: the settings of `sketchloss finetune`; what tables say."""

import pytest

from sketchloss.experiments.retrieval.experiment import cells
from sketchloss.experiments.retrieval.plan import RetrievalPlan
from sketchloss.experiments.tuning.arms import describe, read_tuning
from sketchloss.experiments.tuning.experiment import further_tunings
from sketchloss.experiments.tuning.plan import Plan, other_sizes, weights_in_words
from sketchloss.networks.arms import ARMS, REFERENCE, Arm


def test_settings_are_read_as_finetune_reads_them():
    arm = read_tuning("soft", "contrast=0.1, image-sizes=48 64,lr=1e-4")
    assert (arm.name, arm.gates, arm.weights) == ("soft", "none", ())
    assert arm.tuning == {"arm": REFERENCE, "contrast": 0.1, "image_sizes": (48, 64), "lr": 1e-4}
    assert read_tuning("gated", "arm=attention+tuning,gate_init=half").gates == "trained"


@pytest.mark.parametrize(
    "text",
    [
        "slots=nothing,downsample=none",
        "slots=nothing,downsample=dilated",
        "slots=convolutions,gate_lr_factor=3",
        "slots=convolutions,downsample=dilated",
        "arm=attention+tuning,downsample=dilated,gate_init=half",
        "arm=attention+tuning,gate_init=random,gate_lr_factor=0",
        "image_size=96",
    ],
)
def test_controls_are_arms(text, tmp_path):
    arm = read_tuning("control", text)
    assert arm.gates == ("trained" if "attention" in text else "none")
    plan = Plan(out=tmp_path, arm=(f"control=finetune:{text}",), downsample="none", gate_init="half")
    (settings,) = further_tunings(plan).values()
    for name, value in (pair.split("=") for pair in text.split(",")):
        assert getattr(settings, name) == (float(value) if value.isdigit() else value), name
    assert settings.image_sizes == (settings.image_size,)


def test_an_arm_is_measured_at_the_size_that_it_is_tuned_at(tmp_path):
    plan = RetrievalPlan(out=tmp_path, arm=("large=finetune:image_size=96",), per_class=4, seeds=1)
    sizes = {cell.arm: cell.settings["image_size"] for cell in cells(plan)}
    assert sizes == {**dict.fromkeys(ARMS, 64), "large": 96}
    assert other_sizes(plan) == ("large: measured at 96 pixels.",)


def test_weights_of_each_seed_are_said_to_be_taken_by_turns(tmp_path):
    plan = Plan(out=tmp_path, seeds=2, arm=("two=some/first,some/second", "soft=finetune:contrast=0.1"))
    said = weights_in_words(plan)
    assert said["two"] == "some/first, some/second, by turns"
    assert said["soft"] == "tuned with contrast 0.1 in this study, anew for each seed"
    assert said["original"] == "imagenet"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("lr=1e-4,lr=1e-3", "arm soft sets lr twice: leave one out"),
        ("image-sizes=48,image_sizes=64", "arm soft sets image_sizes twice: leave one out"),
        ("lr=1e-4,seed=3", "arm soft sets seed, which is the same for all arms of a study: leave it out"),
        ("lr=1e-4,out=there", "arm soft sets out, which is the same for all arms of a study"),
        ("learn=1e-4", "arm soft sets learn, which sketchloss finetune does not know: "),
        (
            "image_sizes=48,64",
            "arm soft says '64', which is no setting with a value: give several values of image_size",
        ),
        ("lr", "arm soft says 'lr': give settings and values, as in finetune:contrast=0.1,lr=1e-4"),
        ("lr=", "arm soft says 'lr=': give settings and values"),
        ("=3", "arm soft says '=3': give settings and values"),
        ("lr=--help", "arm soft says 'lr=--help': give settings and values"),
        ("lr=many", "arm soft: "),
        ("gate_init=half", "arm soft sets gate_init and has no gates: add arm=attention+tuning"),
        ("slots=convolutions,gate_init=half", "arm soft sets gate_init and has no gates: add arm=attention+tuning"),
        ("slots=nothing,downsample=none,gate_lr_factor=1", "arm soft sets gate_lr_factor and has no gates: add arm="),
        ("slots=nothing", "arm soft: slots is nothing and downsample is max, which is VGG itself: take downsample"),
        ("downsample=dilated", "arm soft: downsample is dilated, but VGG's pools stay: take attention gates, or slots"),
        ("arm=attention+tuning,slots=convolutions", "arm soft: slots is convolutions, but there are attention gates"),
        ("slots=gates", "arm soft: --slots 'gates' is unknown"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(text, words):
    with pytest.raises(ValueError, match=f"^{words}".replace("+", r"\+")) as error:
        read_tuning("soft", text)
    assert "\n" not in str(error.value)


def test_an_arm_is_described_by_its_settings_with_files_by_their_names_alone(tmp_path):
    arm = read_tuning("soft", f"weights={tmp_path}/runs/best,image_sizes=48 64,pooling=blur_max")
    assert describe(arm) == "tuned with weights best, image_sizes 48 64, pooling blur_max"
    assert describe(read_tuning("soft", "weights=imagenet,lr=1e-4")) == "tuned with weights imagenet, lr 0.0001"
    assert describe(read_tuning("gated", "arm=attention+tuning,lr=0.001")) == "tuned with gates, lr 0.001"
    assert describe(read_tuning("gated", "arm=attention+tuning")) == "tuned"
    assert describe(ARMS[REFERENCE]) == "tuned"
    assert describe(Arm(name="mine", weights=(f"{tmp_path}/a", "b"))) == "the weights a, b"
