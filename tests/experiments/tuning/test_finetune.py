"""Fine-tuning on a few doodles, mostly with a backbone an eighth as wide.

Oracles: the unbroken run, evaluation written anew, and counts worked out by hand.
"""

import json
import math
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from accelerate.utils import set_seed
from PIL import ImageOps
from safetensors.torch import load_file
from torch.optim.swa_utils import AveragedModel

from child_process import Child, forked
from sketchloss import load_backbone
from sketchloss.data.doodles.kinds import KINDS, doodle
from sketchloss.data.loading import to_unit_range
from sketchloss.data.sources import open_sketches
from sketchloss.experiments.tuning import finetune as module
from sketchloss.experiments.tuning.finetune import finetune, load_start
from sketchloss.experiments.tuning.settings import PRESETS, Finetune
from sketchloss.networks.attention import is_gate_tensor
from sketchloss.system.files import read_json
from sketchloss.training import resources
from sketchloss.training.classifier import Classifier
from sketchloss.training.guards import TrainingStopped, chance_warning
from sketchloss.training.held_folder import hold_run_folder
from sketchloss.training.sizes import StepSizes
from two_processes import launched

pytestmark = pytest.mark.usefixtures("fresh_accelerate")


@pytest.fixture(scope="module")
def drawings(tmp_path_factory) -> str:
    """Four classes of fifteen doodles, as files."""
    folder = tmp_path_factory.mktemp("drawings")
    for kind in ("cat", "ladder", "star", "umbrella"):
        (folder / kind).mkdir()
        for seed in range(15):
            doodle(kind, seed).sketch(48).save(folder / kind / f"{seed}.png")
    return str(folder)


@pytest.fixture(scope="module")
def finished_run(narrow, drawings, tmp_path_factory) -> Path:
    """The folder of a run of one epoch, to be copied."""
    place = tmp_path_factory.mktemp("finished")
    config_of_run = replace(config.__wrapped__(narrow, drawings, place), epochs=1)
    finetune(config_of_run)
    return config_of_run.out


@pytest.fixture
def done(config, finished_run) -> Finetune:
    """The config of a run of one epoch in a folder of its own."""
    shutil.copytree(finished_run, config.out)
    return replace(config, epochs=1)


@pytest.fixture
def config(narrow, drawings, tmp_path) -> Finetune:
    return Finetune(
        data=drawings,
        out=tmp_path / "run",
        weights=narrow,
        image_size=32,
        image_sizes=(32,),
        held_out=0.34,
        batch_size=8,
        epochs=2,
        lr=1e-3,
        new_lr_factor=1.0,
        warmup=3,
        precision="no",
        workers=0,
        log_every=1,
        checkpoint_every=3,
    )


def accuracy_of(folder: Path, config: Finetune) -> float:
    """Validation accuracy, computed without the recipe."""
    backbone = load_backbone(folder)
    sketches = open_sketches(config.data, config.image_size, seed=config.seed)
    _, held_out = sketches.split(config.held_out, seed=config.seed)
    items = [held_out[index] for index in range(len(held_out))]
    with torch.no_grad():
        logits = backbone.classify(to_unit_range(torch.stack([item["image"] for item in items])))
    labels = torch.tensor([item["label"] for item in items])
    return (logits.argmax(1) == labels).float().mean().item()


def lines(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def same_weights(one: Path, other: Path) -> bool:
    a, b = load_file(one / "model.safetensors"), load_file(other / "model.safetensors")
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_learns_and_keeps_the_best_weights(config):
    config = replace(config, weights="imagenet", lr=1e-4, new_lr_factor=10.0, epochs=4, crop_scale=(0.6, 1.0))
    summary = finetune(config)
    logged = lines(config.out)
    train = [line["train_loss"] for line in logged if "train_loss" in line]
    assert sum(train[-5:]) < 0.7 * sum(train[:5])
    validated = [line["validation_accuracy"] for line in logged if "validation_accuracy" in line]
    assert load_backbone(config.out).config.classes == ("cat", "ladder", "star", "umbrella")
    assert summary["best_validation_accuracy"] == max(validated) > 0.5  # chance is 0.25
    # float16 on disk may turn one borderline sketch of twenty.
    assert accuracy_of(config.out / "best", config) == pytest.approx(max(validated), abs=0.051)
    assert (config.out / "curves.png").stat().st_size > 5000
    assert list((config.out / "tensorboard").glob("events*"))
    assert logged[-1]["step"] == config.epochs * len(
        [line for line in logged if line["epoch"] == 1 and "train_loss" in line]
    )


@contextmanager
def trained_elsewhere(config: Finetune) -> Iterator[Child]:
    """A process that trains, killed at the end of the block if it has not ended by itself."""
    script = (
        "import sys, json, torch; from pathlib import Path; from sketchloss.experiments.tuning.finetune import *;"
        "settings = json.loads(sys.argv[1]); settings['out'] = Path(settings['out']);"
        "settings = {key: tuple(value) if isinstance(value, list) else value for key, value in settings.items()};"
        # As many threads as here: sums over threads round differently.
        f"torch.set_num_threads({torch.get_num_threads()}); finetune(Finetune(**settings))"
    )
    with forked(script, json.dumps(config.__dict__, default=str), seconds=300) as child:
        yield child


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"accumulate": 2},
        {
            **{"image_sizes": (24, 32, 48), "size_shares": (0.3, 0.4, 0.3), "thicken": 0.5, "arm": "tuning"},
            **{"ema": 0.8, "contrast": 0.5},
        },
    ],
)
def test_killed_again_and_again_and_resumed_ends_as_the_unbroken_run(config, tmp_path, change):
    config = replace(config, **change)
    unbroken = replace(config, out=tmp_path / "unbroken")
    finetune(unbroken)
    last = lines(unbroken.out)[-1]["step"]

    def logged() -> int:
        return len(lines(config.out)) if (config.out / "metrics.jsonl").exists() else 0

    # Before the first checkpoint, after it, and after the second epoch's first: checkpoints are 3 steps apart.
    for resume, steps in ((False, 1), (True, 4), (True, 8)):
        with trained_elsewhere(replace(config, resume=resume)) as child:
            child.wait_until(lambda steps=steps: logged() >= steps)
    assert lines(config.out)[-1]["step"] < last, "the process finished before it was killed"

    finetune(replace(config, resume=True))
    assert same_weights(config.out / "checkpoints" / "last", unbroken.out / "checkpoints" / "last")
    assert same_weights(config.out / "best", unbroken.out / "best")
    steps = [(line["step"], line.get("train_loss"), line.get("validation_loss")) for line in lines(config.out)]
    assert steps == [
        (line["step"], line.get("train_loss"), line.get("validation_loss")) for line in lines(unbroken.out)
    ]


def test_each_step_is_trained_at_its_own_size_and_validated_at_one(config, monkeypatch):
    # Oracle: the sizes drawn without the recipe.
    config = replace(config, image_sizes=(24, 40), size_shares=(0.4, 0.6), image_size=32, epochs=2)
    seen = {True: [], False: []}
    forward = Classifier.forward

    def watched(classifier, images):
        if torch.is_grad_enabled() == classifier.training:  # and not the look before a checkpoint
            seen[classifier.training].append(images.shape[-1])
        return forward(classifier, images)

    monkeypatch.setattr(Classifier, "forward", watched)
    steps = finetune(config)["steps"]
    drawn = StepSizes((24, 40), (0.4, 0.6))
    assert seen[True] == [drawn.at(config.seed, step) for step in range(steps)]
    assert set(seen[True]) == {24, 40}
    assert set(seen[False]) == {32}


def test_averaged_weights_are_kept_and_judged(config, monkeypatch):
    # Oracle: the average worked out from the weights after each step.
    seen = []
    update = AveragedModel.update_parameters

    def watched(averaged, model):
        seen.append(model.backbone.features[0].weight.detach().clone())
        update(averaged, model)

    monkeypatch.setattr(AveragedModel, "update_parameters", watched)
    finetune(replace(config, epochs=1, ema=0.7))
    assert len(seen) == 5
    average = seen[0]
    for weights in seen[1:]:
        average = 0.7 * average + 0.3 * weights
    kept = load_backbone(config.out).features[0].weight
    torch.testing.assert_close(kept, average, atol=1e-4, rtol=1e-3)  # float16 on disk
    assert (kept - seen[-1]).abs().max() > 3e-4
    logged = lines(config.out)[-1]["validation_accuracy"]
    assert logged == pytest.approx(accuracy_of(config.out / "best", config), abs=0.051)


def test_contrast_has_its_weight_and_classes_come_together(config, monkeypatch):
    # Oracle: a term that is always 2, and the labels that it is given.
    seen = []

    def two(embeddings, labels):
        seen.append(labels)
        assert embeddings.shape == (len(labels), 64)
        return 2 + 0 * embeddings.sum()

    monkeypatch.setattr(module, "supervised_contrast", lambda: two)
    finetune(replace(config, epochs=1, contrast=50.0, lr=1e-9, label_smoothing=0.0))
    first = lines(config.out)[0]["train_loss"]
    assert first == pytest.approx(100 + math.log(4), abs=0.2)  # a new classifier knows nothing of four classes
    for labels in seen[:-1]:
        assert labels.bincount().max() >= 4


def test_a_second_training_in_one_folder_is_refused(config):
    config = replace(config, epochs=400)
    with trained_elsewhere(config) as child:
        child.wait_until((config.out / "metrics.jsonl").exists)
        before = (config.out / "config.json").read_bytes()
        for resume, words in (
            (True, "another process is working in .*run: wait until"),
            (False, "already holds a run"),
        ):
            with pytest.raises(ValueError, match=words) as error:
                finetune(replace(config, resume=resume))
            assert "\n" not in str(error.value)
        assert (config.out / "config.json").read_bytes() == before
        assert child.process.poll() is None
    # Killed, it holds the folder no longer.
    with hold_run_folder(config.out):
        pass


def test_a_held_folder_that_stays_empty_is_removed(tmp_path):
    with pytest.raises(RuntimeError), hold_run_folder(tmp_path / "run"):
        raise RuntimeError
    assert not (tmp_path / "run").exists()
    with hold_run_folder(tmp_path / "run"):
        (tmp_path / "run" / "config.json").touch()
        with pytest.raises(ValueError, match="another process is working"), hold_run_folder(tmp_path / "run"):
            pass
    assert (tmp_path / "run" / "config.json").exists()
    with hold_run_folder(tmp_path / "other", main=False):
        assert not (tmp_path / "other").exists()


def test_dry_run_counts_each_size(config, capsys):
    config = replace(config, arm="tuning", image_sizes=(16, 32), size_shares=(0.25, 0.75), dry_run=True, epochs=5)
    plan = finetune(config)
    small, large = plan["sizes"]
    assert (small["pixels"], large["pixels"], small["share"], large["share"]) == (16, 32, 0.25, 0.75)
    assert {16: small["steps"], 32: large["steps"]} == StepSizes((16, 32), (0.25, 0.75)).count(0, plan["steps"])
    # Convolutions take a quarter at half the side, the linear layer the same.
    linear = 64 * plan["classes"]
    assert large["multiply_adds_an_image_forward"] - linear == 4 * (small["multiply_adds_an_image_forward"] - linear)
    mean = (small["steps"] * small["multiply_adds_an_image_forward"]) + (
        large["steps"] * large["multiply_adds_an_image_forward"]
    )
    assert plan["multiply_adds_an_image_forward"] == round(mean / plan["steps"])
    said = capsys.readouterr().out
    assert "at 16 (25%), 32 (75%) pixels" in said
    assert f"at 16 pixels: share 0.25, steps {small['steps']}" in said


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"image_sizes": ()}, "image_sizes is empty"),
        ({"image_sizes": (64, -1)}, "image_sizes has -1"),
        ({"image_sizes": (32, 64), "size_shares": (1.0,)}, "size_shares are 1.0, 1 for 2 sizes"),
        ({"image_sizes": None, "size_shares": (0.5, 0.5)}, "size_shares are given without image_sizes"),
    ],
)
def test_sizes_that_cannot_be_are_refused_at_once(config, change, words):
    with pytest.raises(ValueError, match=words):
        replace(config, **change)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"image_sizes": (12, 32)}, "a size of image_sizes is 12: relu5_3 of this backbone needs 16 pixels or more"),
        ({"image_sizes": None, "image_size": 20}, "a size of image_sizes is 15: relu5_3"),
        ({"image_sizes": (32,), "image_size": 8}, "image_size is 8: relu5_3"),
        ({"image_sizes": (16, 32), "head": "vgg"}, "a size of image_sizes is 16: pool5 of this backbone needs 32"),
        (
            {"image_sizes": (32, 2048)},
            r"8 images at 2048 pixels takes about \d+\.\d GiB, and 2\.0 GiB are",
        ),
    ],
)
def test_sizes_that_network_or_memory_will_not_take_are_refused_before_anything_is_decoded(
    config, change, words, monkeypatch
):
    monkeypatch.setattr(resources, "free_memory", lambda device: 2 * 2**30)
    monkeypatch.setattr(module, "load_batches", lambda *_, **__: pytest.fail("decoding began"))
    with pytest.raises(ValueError, match=words) as error:
        finetune(replace(config, **change))
    assert "\n" not in str(error.value)
    assert not config.out.exists()


def test_two_processes_log_once_and_score_every_sketch_once(config):
    arguments = [f"--{name.replace('_', '-')}={value}" for name, value in _flags(config).items()]
    run = launched("-m", "sketchloss", "finetune", *arguments)
    assert run.returncode == 0, run.stderr
    (position,) = (read_json(found) for found in config.out.rglob("position.json"))
    assert position["processes"] == 2
    logged = lines(config.out)
    trained = [line["step"] for line in logged if "train_loss" in line]
    assert trained == list(range(1, len(trained) + 1))
    assert logged[-1]["validation_accuracy"] == pytest.approx(accuracy_of(config.out / "best", config), abs=0.051)


def _flags(config: Finetune) -> dict[str, object]:
    names = ("data", "out", "weights", "image_size", "held_out", "batch_size", "lr", "warmup", "precision")
    return {name: getattr(config, name) for name in names} | {"epochs": 1, "log_every": 1, "workers": 0}


def test_accumulation_moves_the_weights_less_often(config):
    finetune(replace(config, epochs=1, batch_size=8, accumulate=2, schedule="constant", warmup=1000))
    rates = [line["learning_rate"] for line in lines(config.out) if "learning_rate" in line]
    # Warming up, the rate rises with every update: at every second of five steps, and after the last.
    assert rates[0] < rates[1] == rates[2] < rates[3] < rates[4]


def test_dry_run_plans_and_leaves_nothing(config):
    plan = finetune(replace(config, dry_run=True, arm="tuning"))
    sketches = open_sketches(config.data, 32)
    train, _ = sketches.split(0.34, seed=0)
    assert plan["training_images"] == len(train)
    assert plan["steps"] == config.epochs * -(-len(train) // config.batch_size)
    # Analytic: 3×3 convolutions at 32 px, halving after each block, and the linear layer.
    channels, count, size = 3, 0, 32
    for width, convolutions in ((8, 2), (16, 2), (32, 3), (64, 3), (64, 3)):
        for _ in range(convolutions):
            count += 9 * channels * width * size * size
            channels = width
        size //= 2
    assert plan["multiply_adds_an_image_forward"] == count + 64 * len(sketches.classes)
    assert not config.out.exists()


def test_a_diverging_run_stops_with_a_plain_message(config):
    with pytest.raises(TrainingStopped, match=r"the loss is (nan|inf) at step \d+ \(learning rate .*a tenth"):
        finetune(replace(config, lr=1e18, optimizer="adam", clip=0.0, warmup=0, schedule="constant"))


def test_what_has_diverged_does_not_take_the_place_of_the_last_checkpoint(config):
    wild = replace(config, lr=1e18, optimizer="adam", clip=0.0, warmup=0, schedule="constant", checkpoint_every=1)
    with pytest.raises(TrainingStopped, match="the last checkpoint is intact"):
        finetune(wild)
    for tensors in (config.out / "checkpoints").rglob("*.safetensors"):
        assert all(tensor.abs().max() < 1e6 for tensor in load_file(tensors).values())


def test_one_sketch_of_each_class_is_too_few(config):
    with pytest.raises(ValueError, match="has one sketch of each class, and one must be held out: give two or more"):
        finetune(replace(config, per_class=1))


def test_duplicates_stay_together(config, tmp_path):
    # Ten mirrored pairs a class: with the option no pair is parted, so there are even numbers on each side.
    folder = tmp_path / "mirrored"
    for kind in KINDS[:2]:
        (folder / kind).mkdir(parents=True)
        for seed in range(6):
            picture = doodle(kind, seed).sketch(64)
            picture.save(folder / kind / f"{seed}.png")
            ImageOps.mirror(picture).save(folder / kind / f"{seed}-mirrored.png")
    plan = finetune(replace(config, data=str(folder), duplicates="together", dry_run=True, held_out=0.25))
    assert plan["training_images"] % 2 == 0
    assert plan["training_images"] < 24


def test_classes_that_are_left_out_are_never_trained_on(config):
    config = replace(config, epochs=1, leave_out=("Ladder",))
    whole = open_sketches(config.data, 32).select_classes(["ladder"], leave_out=True)
    plan = finetune(replace(config, dry_run=True))
    assert (plan["classes"], plan["training_images"]) == (3, len(whole.split(config.held_out, seed=0)[0]))
    first = finetune(config)
    assert load_backbone(config.out).config.classes == ("cat", "star", "umbrella")
    assert json.loads((config.out / "config.json").read_text())["leave_out"] == ["Ladder"]
    assert finetune(replace(config, resume=True)) == first
    with pytest.raises(ValueError, match=r"was started with leave_out=\['Ladder'\], now it is \['star'\]"):
        finetune(replace(config, resume=True, leave_out=("star",)))


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (("cat", "laddder"), "has no class 'laddder': did you mean 'ladder'?"),
        (("cat", "ladder", "star", "umbrella"), "no class is left of its 4; name fewer to leave out"),
        (("cat", "ladder", "star"), "without cat, ladder, star is one class: leave out fewer"),
    ],
)
def test_too_much_left_out_is_refused_in_one_line(config, names, words):
    with pytest.raises(ValueError, match=re.escape(words)) as error:
        finetune(replace(config, leave_out=names))
    assert "\n" not in str(error.value)
    assert not config.out.exists()


def test_several_sources_are_trained_on_together(config, tmp_path, monkeypatch):
    for kind in ("Cat", "snail"):
        (tmp_path / "more" / kind).mkdir(parents=True)
        for seed in range(20, 26):
            doodle(kind.lower(), seed).sketch(48).save(tmp_path / "more" / kind / f"{seed}.png")
    titles = []
    monkeypatch.setattr("sketchloss.figures.curves.draw_curves", lambda *_, title: titles.append(title))
    together = f"{config.data},{tmp_path / 'more'}"
    plan = finetune(replace(config, data=together, dry_run=True))
    # Of each class of each source a third is held out: 5 of 15, 2 of 6.
    assert (plan["classes"], plan["training_images"]) == (5, 4 * 10 + 2 * 4)
    finetune(replace(config, data=together, epochs=1))
    assert load_backbone(config.out).config.classes == ("cat", "ladder", "snail", "star", "umbrella")
    assert f"on {Path(config.data).name},more" in titles[0]


def test_a_run_folder_is_never_overwritten(done):
    before = (done.out / "metrics.jsonl").read_text()
    with pytest.raises(ValueError, match="already holds a run: add --resume"):
        finetune(done)
    with pytest.raises(ValueError, match=r"was started with lr=0\.001, now it is 0\.1"):
        finetune(replace(done, lr=0.1, resume=True))
    assert (done.out / "metrics.jsonl").read_text() == before


def test_out_may_not_be_a_file(config):
    config.out.write_text("precious")
    with pytest.raises(ValueError, match="is a file: choose a folder"):
        finetune(config)
    assert config.out.read_text() == "precious"


def test_nothing_to_resume(config):
    with pytest.raises(ValueError, match="holds no run to resume"):
        finetune(replace(config, resume=True))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"epochs": 0}, "epochs is 0"),
        ({"lr": -1.0}, r"lr is -1\.0"),
        ({"lr": float("nan")}, "lr is nan"),
        ({"held_out": 1.0}, r"held_out is 1\.0"),
        ({"crop_scale": (0.5, 0.2)}, r"crop_scale is 0\.5 0\.2"),
        ({"label_smoothing": 1.0}, "label_smoothing"),
        ({"clip": -1.0}, r"clip is -1\.0"),
        ({"gate_lr_factor": -1.0}, r"gate_lr_factor is -1\.0"),
        ({"arm": "attention+tuning", "slots": "nothing"}, "slots is nothing, but there are attention gates in these"),
        ({"arm": "tuning", "slots": "nothing"}, "slots is nothing and downsample is max, which is VGG itself"),
        ({"gate_weight_decay": -0.1}, r"gate_weight_decay is -0\.1"),
        ({"ema": 1.0}, r"ema is 1\.0: it must be at least 0 and below 1"),
        ({"contrast": -1.0}, r"contrast is -1\.0"),
        ({"contrast_together": 0}, "contrast_together is 0"),
        ({"rotation": -3.0}, r"rotation is -3\.0"),
        ({"workers": -1}, "workers is -1"),
    ],
)
def test_bad_settings_are_named(config, change, words):
    with pytest.raises(ValueError, match=words):
        replace(config, **change)


def test_gates_at_random_can_stay_as_they_start_while_all_else_is_tuned(config):
    config = replace(config, epochs=1, gate_init="random", gate_lr_factor=0.0, gate_weight_decay=0.1, precision="no")
    finetune(config)
    set_seed(config.seed)
    start, end = load_start(config, ["a"]).state_dict(), load_backbone(config.out).state_dict()
    for name, weight in start.items():
        if is_gate_tensor(name):
            assert torch.equal(end[name], weight.half().float()), name
        elif name.startswith("features."):
            assert not torch.equal(end[name], weight.half().float()), name


def test_a_control_is_tuned_and_noted(config):
    config = replace(config, epochs=1, arm="tuning", slots="convolutions", downsample="dilated")
    finetune(config)
    tuned = load_backbone(config.out)
    assert (tuned.config.slots, tuned.config.downsample, tuned.config.attention) == ("convolutions", "dilated", False)
    assert all(tuned.features[slot].expand.weight.any() for slot in (4, 9)), "they are trained"


def test_paper_preset_is_algorithm_1():
    paper = Finetune(data="x", out=Path("x"), **PRESETS["paper"])
    assert (paper.optimizer, paper.lr, paper.batch_size, paper.epochs) == ("adam", 0.005, 32, 25)
    assert (paper.image_size, paper.image_sizes, paper.crop_scale, paper.held_out) == (224, (224,), (0.08, 1.0), 0.1)
    changes = ("rotate", "thicken", "thin", "soften", "grey", "colour", "tint")
    assert [getattr(paper, name) for name in changes] == [0] * len(changes)
    assert (paper.downsample, paper.gate_init, paper.head, paper.schedule) == ("none", "default", "vgg", "constant")
    assert (paper.clip, paper.warmup, paper.label_smoothing) == (0, 0, 0)
    assert (paper.new_lr_factor, paper.gate_lr_factor) == (1, 1)


@pytest.mark.parametrize(
    ("accuracy", "spread", "words"),
    [(0.02, 3e-5, "all images have the same features"), (0.02, 0.01, "train longer"), (0.5, 0.1, None)],
)
def test_chance_is_noticed(accuracy, spread, words):
    warning = chance_warning(accuracy, classes=50, feature_spread=spread, learning_rate=0.005)
    assert (words is None and warning is None) or words in warning


def test_changed_data_is_not_resumed_on(done):
    more = Path(done.data) / "cat" / "99.png"
    doodle("cat", 99).sketch(48).save(more)
    try:
        with pytest.raises(ValueError, match="has changed since it was started"):
            finetune(replace(done, resume=True))
    finally:
        more.unlink()


def test_half_precision_needs_a_gpu(config):
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(ValueError, match="precision is fp16, which needs a GPU"):
        finetune(replace(config, precision="fp16"))


@pytest.mark.parametrize(
    "file",
    ["config.json", *(f"checkpoints/last/{name}" for name in ("model.safetensors", "optimizer.bin", "position.json"))],
)
def test_a_damaged_run_is_named(done, file):
    (done.out / file).write_bytes((done.out / file).read_bytes()[:40])
    with pytest.raises(ValueError, match="is damaged"):
        finetune(replace(done, resume=True))
