"""Training a small text-to-image model for a few steps on a few small doodles.

Oracles: the unbroken run, plain diffusers in another process, the latents' spread computed anew.
"""

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from child_process import finished
from sketchloss.data.doodles.kinds import doodle
from sketchloss.data.sources import open_sketches
from sketchloss.diffusion.pipeline import load_text_to_image
from sketchloss.experiments.prompts import tiny_base as module
from sketchloss.experiments.prompts.tiny_base import tiny_diffusion
from sketchloss.experiments.prompts.tiny_base_settings import PRESETS, TinyDiffusion
from sketchloss.training.guards import TrainingStopped

pytestmark = pytest.mark.usefixtures("fresh_accelerate")

CLASSES = ("cat", "house")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory) -> Path:
    """Four photos and four sketches of each class, as files."""
    root = tmp_path_factory.mktemp("pictures")
    for name in CLASSES:
        for kind in ("photo", "sketch"):
            (root / kind / name).mkdir(parents=True)
        for seed in range(4):
            drawing = doodle(name, seed)
            drawing.photo(16).save(root / "photo" / name / f"{seed}.png")
            drawing.sketch(16).save(root / "sketch" / name / f"{seed}.png")
    return root


@pytest.fixture
def config(pictures, tmp_path) -> TinyDiffusion:
    return TinyDiffusion(
        out=tmp_path / "run",
        data=str(pictures / "photo"),
        also=(str(pictures / "sketch"),),
        image_size=16,
        per_class=4,
        held_out=0.25,
        autoencoder_steps=4,
        autoencoder_batch_size=4,
        steps=4,
        batch_size=4,
        warmup=2,
        precision="no",
        sample_every=3,
        checkpoint_every=2,
        log_every=1,
        workers=0,
    )


def lines(folder: Path) -> list[dict]:
    logged = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if name != "steps_per_second"} for line in logged]


def model_weights(folder: Path) -> dict[str, torch.Tensor]:
    return {
        f"{path.parent.name}.{name}": tensor
        for path in (folder / "model").rglob("*.safetensors")
        for name, tensor in load_file(path).items()
    }


OPEN_AND_DRAW = """
import sys, numpy
from diffusers import StableDiffusionPipeline
pipeline = StableDiffusionPipeline.from_pretrained(sys.argv[1])
pictures = pipeline(["a photo of a cat"] * 2, num_inference_steps=3, output_type="np").images
assert pictures.shape == (2, 16, 16, 3) and numpy.isfinite(pictures).all() and pictures.std() > 0.01
assert not any(name.partition(".")[0] == "sketchloss" for name in sys.modules)
print("drawn")
"""


def test_a_run_folder_holds_what_it_should_and_plain_diffusers_opens_its_model(config, capsys):
    result = tiny_diffusion(config)
    out = config.out
    assert {path.name for path in out.iterdir()} == {
        *("config.json", "data.json", "metrics.jsonl", "result.json", "tensorboard", "checkpoints"),
        *("model", "samples", "drawn.png", "autoencoder.png"),
    }
    assert json.loads((out / "result.json").read_text()) == result
    assert set(result) == {"model", "samples", "reconstruction_error", "validation_loss"}
    assert sorted(path.name for path in (out / "samples").iterdir()) == [
        *("autoencoder_000003.png", "autoencoder_000004.png", "drawn_000006.png", "drawn_000008.png")
    ]
    logged = lines(out)
    assert [line["step"] for line in logged if "error" in line] == [1, 2, 3, 4]
    assert [line["step"] for line in logged if "loss" in line] == list(range(1, 9))
    assert [line["step"] for line in logged if "validation_loss" in line] == [6, 8]
    assert result["validation_loss"] == logged[-1]["validation_loss"]
    rates = [line["learning_rate"] for line in logged if "loss" in line][:4]  # warmed up in two steps, then a cosine
    cosine = 0.5 * (1 + np.cos(np.pi * np.arange(4) / 4))
    assert rates == pytest.approx(1e-3 * np.array([0.5, 1, 1, 1]) * cosine)
    assert "2 classes, 6 pictures to learn from, 2 held out" in capsys.readouterr().out

    done = finished([sys.executable, "-c", OPEN_AND_DRAW, result["model"]], seconds=240)
    assert done.stdout == "drawn\n", done.stderr


def test_a_run_broken_off_twice_ends_as_the_unbroken_one(config, tmp_path, monkeypatch):
    whole = tiny_diffusion(config)
    broken = replace(config, out=tmp_path / "broken")
    finite = module.require_finite
    for at in (3, 7):  # while the autoencoder and while the UNet is trained, each a step after its checkpoint

        def stop(loss, step, rate, at=at):
            if step == at:
                raise KeyboardInterrupt
            finite(loss, step, rate)

        monkeypatch.setattr(module, "require_finite", stop)
        with pytest.raises(KeyboardInterrupt):
            tiny_diffusion(replace(broken, resume=at > 3))
    monkeypatch.setattr(module, "require_finite", finite)
    torch.manual_seed(99)  # nothing is drawn from what a process happens to begin with
    mended = tiny_diffusion(replace(broken, resume=True))

    one, other = model_weights(config.out), model_weights(broken.out)
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert lines(config.out) == lines(broken.out)
    places = ("model", "samples")
    assert [value for name, value in mended.items() if name not in places] == [
        value for name, value in whole.items() if name not in places
    ]
    again = tiny_diffusion(replace(broken, resume=True))
    assert again == mended, "a run that is done stays so"


def test_losses_fall_and_latents_are_scaled_to_unit_variance(config, pictures):
    tiny_diffusion(replace(config, autoencoder_steps=40, steps=40, sample_every=20, checkpoint_every=1000))
    logged = lines(config.out)
    errors = [line["reconstruction_error"] for line in logged if "reconstruction_error" in line]
    losses = [line["validation_loss"] for line in logged if "validation_loss" in line]
    assert errors[-1] < 0.95 * errors[0], errors
    assert losses[-1] < 0.9 * losses[0], losses

    pipeline = load_text_to_image(config.out)
    photos = open_sketches(str(pictures / "photo"), 16)
    batch = torch.stack([photos[index]["image"] for index in range(len(photos))]).float() / 127.5 - 1
    with torch.no_grad():
        latents = pipeline.vae.encode(batch).latent_dist.sample(torch.Generator().manual_seed(0))
    assert latents.std().item() * pipeline.vae.config.scaling_factor == pytest.approx(1, abs=0.1)
    assert pipeline.vae.config.scaling_factor != pytest.approx(0.18215), "not left at what diffusers begins with"


def test_what_may_change_between_the_parts_of_a_run_and_what_may_not(config):
    tiny_diffusion(replace(config, autoencoder_steps=1, steps=1))
    with pytest.raises(ValueError, match="already holds a run: add --resume"):
        tiny_diffusion(config)
    with pytest.raises(ValueError, match="was started with steps=1, now it is 4"):
        tiny_diffusion(replace(config, autoencoder_steps=1, resume=True))


def test_a_loss_that_is_not_finite_stops_the_run(config):
    with pytest.raises(TrainingStopped, match=r"the loss is .* the last checkpoint is intact"):
        tiny_diffusion(replace(config, autoencoder_lr=1e30))


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"steps": 0}, "steps is 0: it must be positive"),
        ({"autoencoder_lr": -1.0}, "autoencoder_lr is -1.0: it must be positive"),
        ({"lr": float("nan")}, "lr is nan: it must be positive"),
        ({"lr": float("inf")}, "lr is inf: it must be positive"),
        ({"per_class": 0}, "per_class is 0"),
        ({"min_snr_gamma": 0.0}, "min_snr_gamma is 0.0"),
        ({"seed": -1}, "seed is -1: it must be finite and not negative"),
        ({"warmup": -1}, "warmup is -1"),
        ({"held_out": 1.0}, "held_out is 1.0: it must lie between 0 and 1"),
        ({"average": 0.0}, "average is 0.0: it must lie between 0 and 1"),
        ({"unconditional": 1.0}, "unconditional is 1.0: it must be at least 0 and less than 1"),
        ({"templates": ()}, "templates is empty: name at least one"),
        ({"templates": ("a {}", "a cat")}, "template is 'a cat': write one {} where the class goes"),
        ({"image_size": 40}, "image_size is 40: the tiny model takes multiples of 16 pixels"),
    ],
)
def test_bad_settings_are_named(settings, reason, tmp_path):
    with pytest.raises(ValueError) as error:  # noqa: PT011 (its text is looked at below)
        TinyDiffusion(out=tmp_path / "run", **settings)
    assert str(error.value).startswith(reason)
    assert not (tmp_path / "run").exists()


def test_presets_are_settings(tmp_path):
    assert {name: TinyDiffusion(out=tmp_path, **settings).out for name, settings in PRESETS.items()} == {
        "standard": tmp_path,
        "demo": tmp_path,
    }
