"""Distilling from a backbone an eighth as wide, on a few doodles. Oracles: the unbroken run, and a random start."""

import itertools
import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from sketchloss import Backbone, SketchLoss, load_backbone, save_backbone
from sketchloss.data.doodles.kinds import doodle
from sketchloss.data.sources import open_sketches
from sketchloss.experiments.tuning import distil as module
from sketchloss.experiments.tuning.distil import distil
from sketchloss.experiments.tuning.distil_settings import Distil

pytestmark = pytest.mark.usefixtures("fresh_accelerate")


@pytest.fixture(scope="module")
def drawings(tmp_path_factory) -> str:
    """Two classes of twelve doodles, as files."""
    folder = tmp_path_factory.mktemp("drawings")
    for kind in ("cat", "ladder"):
        (folder / kind).mkdir()
        for seed in range(12):
            doodle(kind, seed).sketch(32).save(folder / kind / f"{seed}.png")
    return str(folder)


@pytest.fixture
def config(narrow, drawings, tmp_path) -> Distil:
    return Distil(
        data=drawings,
        out=tmp_path / "run",
        teacher=narrow,
        width=0.0625,
        image_size=32,
        image_sizes=(24, 32),
        held_out=8,
        steps=6,
        batch_size=4,
        lr=2e-3,
        warmup=1,
        precision="no",
        workers=0,
        log_every=1,
        validate_every=3,
        checkpoint_every=2,
    )


def lines(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_a_random_start_comes_nearer_to_the_teacher_and_the_nearest_weights_are_kept(config):
    summary = distil(replace(config, start="random", steps=30, validate_every=10))
    losses = [line["validation_loss"] for line in lines(config.out) if "validation_loss" in line]
    assert len(losses) == 4
    assert min(losses) < 0.7 * losses[0]
    assert summary["validation_loss"] == min(losses)
    student = load_backbone(config.out)
    assert student.config.width == 0.0625
    assert student.origin.started_from == "narrow"
    images = torch.rand(2, 3, 32, 32)
    assert SketchLoss(str(config.out))(images, images).item() == 0
    assert (config.out / "curves.png").stat().st_size > 5000


def test_fitted_filters_start_nearer_than_random_ones(config):
    losses = {}
    for start in ("fitted", "random"):
        distil(replace(config, start=start, steps=1, out=config.out / start))
        losses[start] = lines(config.out / start)[0]["validation_loss"]
    assert losses["fitted"] < 0.6 * losses["random"]


def test_a_resumed_run_ends_with_the_weights_of_an_unbroken_one(config, monkeypatch):
    config = replace(config, start="random")
    unbroken = replace(config, out=config.out.with_name("unbroken"))
    distil(unbroken)
    stops = iter([5])

    def stop(loss: float, step: int, learning_rate: float) -> None:
        if step == 5 and next(stops, None):
            raise KeyboardInterrupt

    monkeypatch.setattr(module, "require_finite", stop)
    with pytest.raises(KeyboardInterrupt):
        distil(config)
    assert json.loads((config.out / "checkpoints" / "last" / "position.json").read_text())["step"] == 4
    distil(replace(config, resume=True))
    for file in ("best/model.safetensors", "checkpoints/last/model.safetensors"):
        one, other = (load_file(run.out / file) for run in (unbroken, config))
        assert one.keys() == other.keys()
        assert all(torch.equal(one[name], other[name]) for name in one)
    told = [[line for line in lines(run.out) if "validation_loss" in line] for run in (unbroken, config)]
    assert told[0] == told[1]
    assert [line["step"] for line in told[0]] == [0, 3, 6]


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"width": 0.25}, "width is 0.25: it must be above 0 and at most the teacher's, 0.125"),
        ({"image_sizes": (8, 32)}, "a size of image_sizes is 8: relu5_3 needs 16 pixels or more"),
        ({"image_size": 8, "image_sizes": (32,)}, "image_size is 8: relu5_3 needs 16 pixels or more"),
        ({"held_out": 21}, "has 24 sketches: 21 are held out, and a batch is 4; use more sketches, or a smaller held"),
        ({"leave_out": ("dog",)}, "has no class 'dog'"),
    ],
)
def test_what_does_not_fit_is_refused_in_a_line_and_leaves_no_folder(config, change, line):
    with pytest.raises(ValueError, match=line) as caught:
        distil(replace(config, **change))
    assert "\n" not in str(caught.value)
    assert not config.out.exists()


def test_sketches_of_one_photo_are_on_one_side(config, tmp_path, monkeypatch):
    """As Sketchy names them; the number held out is reached, and may be passed by the last photo's."""
    for kind in ("cat", "ladder"):
        (tmp_path / "sketchy" / kind).mkdir(parents=True)
        for photo, version in itertools.product(range(4), range(1, 4)):
            picture = doodle(kind, photo).redrawn(version).sketch(32)
            picture.save(tmp_path / "sketchy" / kind / f"n0000000{len(kind)}_{photo}-{version}.png")
    parts = module._split(open_sketches(str(tmp_path / "sketchy"), 32), config)
    learnt, held = (set(part.groups) for part in parts)
    assert (len(learnt), len(held)) == (5, 3)
    assert not learnt & held
    assert len(parts[1]) == 9


def test_data_that_is_not_there_is_named(config, tmp_path):
    with pytest.raises(ValueError, match="nowhere does not exist; give"):
        distil(replace(config, data=str(tmp_path / "nowhere")))
    assert not config.out.exists()


def test_a_folder_with_a_run_in_it_is_not_overwritten(config):
    config.out.mkdir()
    (config.out / "config.json").write_text("{}")
    with pytest.raises(ValueError, match="already holds a run: add --resume to continue it"):
        distil(config)
    shutil.rmtree(config.out)
    config.out.write_text("mine")
    with pytest.raises(ValueError, match="is a file: choose a folder for --out"):
        distil(config)


def test_a_teacher_without_pools_is_refused(config, tmp_path):
    save_backbone(Backbone(width=0.125, attention=True, downsample="none"), tmp_path / "large")
    with pytest.raises(ValueError, match=r"teacher's downsample is none, .*: give weights with downsample max"):
        distil(replace(config, teacher=str(tmp_path / "large")))


def test_a_teacher_of_transformers_is_refused(config, tmp_path):
    from transformers import ResNetConfig, ResNetForImageClassification

    small = ResNetConfig(embedding_size=4, hidden_sizes=[4, 4], depths=[1, 1], layer_type="basic")
    ResNetForImageClassification(small).save_pretrained(tmp_path / "resnet")
    with pytest.raises(ValueError, match="has no thinner form here: give weights of a VGG-16, such as sketch"):
        distil(replace(config, teacher=f"transformers:{tmp_path / 'resnet'}"))
    assert not config.out.exists()


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"batch_size": 1}, "batch_size is 1: it must be 2 or more, since drawings are compared"),
        ({"width": 0.0}, "width is 0.0: it must be positive"),
        ({"width": float("nan")}, "width is nan: it must be positive"),
        ({"steps": 0}, "steps is 0: it must be positive"),
        ({"distance_weight": -1.0}, "distance_weight is -1.0: it must be finite and not negative"),
        (
            {"feature_weight": 0.0, "distance_weight": 0.0, "embedding_weight": 0.0},
            "feature_weight, distance_weight, embedding_weight are all 0: there is nothing to imitate",
        ),
        ({"size_shares": (1.0,), "image_sizes": None}, "size_shares are given without image_sizes"),
    ],
)
def test_settings_outside_their_range_are_refused(config, change, line):
    with pytest.raises(ValueError, match=line):
        replace(config, **change)
