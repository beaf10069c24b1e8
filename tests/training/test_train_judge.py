"""Oracles: chance, drawings turned into noise, the stated digest, and a second training."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from sketchloss.data.doodles.kinds import doodle
from sketchloss.data.sources import open_sketches
from sketchloss.metrics.features import pixels_digest
from sketchloss.networks.judge import load_judge, save_judge
from sketchloss.training.train_judge import train_judge

KINDS, SIDE = ("cat", "house", "tree"), 32


@pytest.fixture(scope="module")
def sides(tmp_path_factory):
    """Sixteen ink drawings of each of three kinds to learn from, and eight others of each."""
    folder = tmp_path_factory.mktemp("drawings") / "three"
    for kind in KINDS:
        (folder / kind).mkdir(parents=True)
        for seed in range(24):
            doodle(kind, seed).sketch(SIDE, style="ink").save(folder / kind / f"{seed}.png")
    return open_sketches(folder, SIDE).split(1 / 3, seed=0)


@pytest.fixture(scope="module")
def judge(sides):
    return train_judge(*sides, steps=60, batch_size=16, workers=0, progress=False)


def stack(sketches):
    images = torch.stack([sketches[index]["image"] for index in range(len(sketches))]).float() / 255
    return images, torch.from_numpy(sketches.labels)


def test_it_learns_to_tell_three_kinds_apart(judge, sides):
    # Chance is 1/3; of 24 guesses 20 or more are right by chance in 3 of 10 million trials.
    images, labels = stack(sides[1])
    assert judge.accuracy_of(images, labels) >= 20 / 24
    assert judge.accuracy_of(torch.rand(images.shape), labels) < 0.7  # noise is no drawing of the kind


def test_its_accuracy_is_that_on_the_held_out_drawings(judge, sides):
    assert judge.accuracy == judge.accuracy_of(*stack(sides[1]))
    assert judge.config.held == 24


def test_it_says_what_it_was_made_from(judge, sides):
    assert judge.classes == KINDS
    assert (judge.config.data, judge.config.image_size, judge.config.steps) == ("three", SIDE, 60)
    assert judge.config.pixels == pixels_digest(sides[0], workers=0)
    assert judge.extractor().name == "judge of three"
    assert not judge.training


def test_a_trained_judge_survives_its_folder(judge, sides, tmp_path):
    save_judge(judge, tmp_path)
    images, _ = stack(sides[1])
    assert torch.equal(load_judge(tmp_path).classify(images), judge.classify(images))


def test_a_seed_repeats_and_the_programs_random_state_is_left_alone(sides):
    torch.manual_seed(11)
    first = train_judge(*sides, steps=3, batch_size=8, workers=0, progress=False)
    after = torch.rand(3)
    torch.manual_seed(12)
    again, other = (train_judge(*sides, steps=3, batch_size=8, seed=seed, workers=0, progress=False) for seed in (0, 1))
    for name, tensor in first.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[name])
    assert not torch.equal(next(first.parameters()), next(other.parameters()))
    torch.manual_seed(11)
    assert torch.equal(after, torch.rand(3))


@pytest.mark.parametrize("steps", [2, 4, 10, 11])
def test_any_number_of_steps_will_do(sides, steps):
    assert train_judge(*sides, steps=steps, batch_size=2, workers=0, progress=False).config.steps == steps


def test_one_step_and_an_odd_drawing_are_enough(sides):
    # 33 drawings in batches of 8 leave one, which batch norm cannot take.
    judge = train_judge(sides[0].select(np.arange(15, 48)), sides[1], steps=6, batch_size=8, workers=0, progress=False)
    assert 0 <= judge.accuracy <= 1
    train_judge(*sides, steps=1, batch_size=2, workers=0, progress=False)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"steps": 0}, "steps is 0"),
        ({"batch_size": 1}, "batch_size is 1"),
        ({"lr": 0.0}, "lr is 0.0"),
        ({"lr": float("nan")}, "lr is nan"),
    ],
)
def test_settings_out_of_range_are_refused(sides, settings, message):
    with pytest.raises(ValueError, match=message):
        train_judge(*sides, **settings)


def test_sets_that_do_not_fit_are_refused(sides):
    train, held = sides
    with pytest.raises(ValueError, match=r"differ in their classes or in size \(32 and 40 pixels\)"):
        train_judge(train, held.with_size(40))
    with pytest.raises(ValueError, match="differ in their classes"):
        train_judge(train, replace(held, classes=["cat", "house", "star"]))
    with pytest.raises(ValueError, match="class 'house' has no drawing to learn from"):
        train_judge(train.select(np.flatnonzero(train.labels != 1)), held)
    with pytest.raises(ValueError, match="no drawings are held out"):
        train_judge(train, held.select([]))
