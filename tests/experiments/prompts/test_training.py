"""Training a LoRA on a few small drawings, with an untrained base of 16 pixels and a narrow backbone.

Oracles: a plain loop written out here, the unbroken run, and numbers worked out by hand.
"""

import json
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from accelerate import Accelerator
from accelerate.optimizer import AcceleratedOptimizer
from diffusers.models.attention_processor import AttnProcessor
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor

from sketchloss import SketchLoss
from sketchloss.cli import main
from sketchloss.data.captions.captioned import open_captioned
from sketchloss.data.doodles.kinds import KINDS as DOODLES
from sketchloss.data.doodles.kinds import doodle
from sketchloss.diffusion.latent_cache import encode_pictures
from sketchloss.diffusion.perceptual import LatentPerceptualLoss
from sketchloss.diffusion.pipeline import load_text_to_image, tokenize, training_scheduler
from sketchloss.diffusion.prompt_embeddings import PromptEmbeddings
from sketchloss.experiments.prompts import training as module
from sketchloss.experiments.prompts.settings import PRESETS as TABLE_PRESETS
from sketchloss.experiments.prompts.settings import LoraTable
from sketchloss.experiments.prompts.training import latent_diffusion
from sketchloss.experiments.prompts.training_settings import PRESETS, LatentDiffusion
from sketchloss.figures.curves import draw_curves
from sketchloss.lora.adapters import add_lora, read_about
from sketchloss.training.guards import TrainingStopped
from sketchloss.training.order import Order, seeded
from sketchloss.training.run import Run

pytestmark = pytest.mark.usefixtures("fresh_accelerate")

KINDS = ("cat", "house", "star")


@pytest.fixture(scope="module")
def drawings(tmp_path_factory) -> str:
    """Four drawings of each of three classes, as files."""
    folder = tmp_path_factory.mktemp("drawings")
    for kind in KINDS:
        (folder / kind).mkdir()
        for seed in range(4):
            doodle(kind, seed).sketch(16).save(folder / kind / f"{seed}.png")
    return str(folder)


@pytest.fixture
def config(untrained_base, narrow, drawings, tmp_path) -> LatentDiffusion:
    return LatentDiffusion(
        base=untrained_base,
        data=drawings,
        out=tmp_path / "run",
        arm="original",
        photo=narrow,
        image_size=16,
        layers=("relu1_2", "relu2_2"),
        rank=2,
        batch_size=2,
        steps=6,
        warmup=2,
        lr=1e-2,
        held_out=0.25,
        balance_batches=3,
        minimum_snr=0.05,
        decoded_part=1.0,
        sample_every=6,
        checkpoint_every=3,
        log_every=1,
        validation_pictures=2,
        shown=0,
        checkpointing="none",
        precision="no",
        workers=0,
    )


def trained(folder: Path) -> dict[str, Tensor]:
    return load_file(folder / "lora" / "pytorch_lora_weights.safetensors")


def lines(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_a_run_leaves_a_lora_pictures_numbers_and_a_checkpoint_without_the_base(config):
    result = latent_diffusion(replace(config, validation_pictures=64, shown=2))
    out = config.out
    assert json.loads((out / "result.json").read_text()) == result
    assert result["pictures"] == 9
    assert result["steps"] == 6
    about = read_about(out)
    assert {name: about[name] for name in ("base", "arm", "steps", "image_size")} == {
        **{"base": config.base, "arm": "original", "steps": "6", "image_size": "16"}
    }
    changed = [name for name, tensor in trained(out).items() if ".lora_B." in name and tensor.abs().sum() > 0]
    assert len(changed) > 10
    steps = [line for line in lines(out) if "loss" in line]
    assert [line["step"] for line in steps] == [1, 2, 3, 4, 5, 6]
    for line in steps:
        factor = result["perceptual_factor"]
        assert line["loss"] == pytest.approx(line["noise_loss"] + factor * line["perceptual"], rel=1e-5)
        assert line["perceptual_share"] == pytest.approx(factor * line["perceptual"] / line["loss"], abs=1e-5)
        assert line["active_fraction"] in (0, 0.5, 1)
        assert line["peak_memory_bytes"] > 10**6
    assert any(line["active_fraction"] for line in steps)
    assert [line["step"] for line in lines(out) if "validation_noise_loss" in line] == [0, 6]
    for picture in ("samples.png", "samples/step_000006.png", "curves.png"):
        with Image.open(out / picture) as image:
            assert len(np.unique(np.asarray(image.convert("L")))) > 2
    kept = sum(file.stat().st_size for file in (out / "checkpoints" / "last").rglob("*"))
    whole = sum(tensor.nbytes for tensor in load_text_to_image(config.base).unet.state_dict().values())
    assert kept < whole / 2


def test_a_weight_of_zero_is_a_plain_lora_run_bit_for_bit(config):
    config = replace(config, steps=3)
    latent_diffusion(replace(config, perceptual_weight=0.0, out=config.out / "zero"))
    latent_diffusion(replace(config, arm="none", out=config.out / "none"))
    latent_diffusion(replace(config, out=config.out / "with"))
    zero, none, with_term = (trained(config.out / name) for name in ("zero", "none", "with"))
    assert equal(zero, none)
    assert not equal(zero, with_term)


def test_a_plain_run_is_the_loop_as_it_is_usually_written(config):
    latent_diffusion(replace(config, arm="none", schedule="constant", warmup=0))

    pipeline = load_text_to_image(config.base)
    learnt, _ = open_captioned(config.data, 16).split(0.25, seed=0)
    moments = encode_pictures(pipeline.vae, learnt)
    with torch.no_grad():
        words = pipeline.text_encoder(tokenize(pipeline, learnt.captions))[0]
    noising, order = training_scheduler(pipeline), Order(len(learnt), 0)
    unet = pipeline.unet
    unet.train()
    optimizer = torch.optim.AdamW(add_lora(unet, rank=2, seed=0), lr=1e-2, weight_decay=0.01)
    unet.set_attn_processor(AttnProcessor())  # adds up in another order than the fused one
    for step in range(6):
        rows, chance = order.take(2 * step, 2), seeded("step", 0, step)
        view = (torch.rand(2, generator=chance) < 0.5).long()
        mean, deviation = moments.mean[view, rows].float(), moments.deviation[view, rows].float()
        clean = (mean + deviation * torch.randn(mean.shape, generator=chance)) * pipeline.vae.config.scaling_factor
        times = torch.randint(1000, (2,), generator=chance)
        noise = torch.randn(clean.shape, generator=chance)
        output = unet(noising.add_noise(clean, noise, times), times, words[rows]).sample
        F.mse_loss(output, noise).backward()
        torch.nn.utils.clip_grad_norm_([p for p in unet.parameters() if p.requires_grad], 1.0)
        optimizer.step()
        optimizer.zero_grad()
    ours = trained(config.out)
    theirs = {
        f"unet.{name.replace('.default', '')}": parameter.detach()
        for name, parameter in unet.named_parameters()
        if parameter.requires_grad
    }
    assert ours.keys() == theirs.keys()
    for name, tensor in theirs.items():
        torch.testing.assert_close(ours[name], tensor, rtol=1e-3, atol=1e-5)


def test_a_run_with_everything_is_the_loop_written_out(config):
    settings = {"minimum_snr": 0.5, "snr_weighting": "signal", "target": "image", "metric": "l2", "min_snr_gamma": 5.0}
    settings |= {"unconditional": 0.5, "alpha": 4.0, "targets": "all", "balance": "none", "perceptual_weight": 0.7}
    settings |= {"decoded_part": 0.5, "schedule": "constant", "warmup": 0, "lr": 1e-3, "clip": 0.0, "accumulate": 2}
    latent_diffusion(replace(config, **settings))

    pipeline = load_text_to_image(config.base)
    learnt, _ = open_captioned(config.data, 16).split(0.25, seed=0)
    moments = encode_pictures(pipeline.vae, learnt)
    with torch.no_grad():
        words, nothing = (pipeline.text_encoder(tokenize(pipeline, texts))[0] for texts in (learnt.captions, [""]))
    noising, order = training_scheduler(pipeline), Order(len(learnt), 0)
    loss = SketchLoss(config.photo, layers=config.layers, metric="l2", reduction="none")
    unet, vae = pipeline.unet, pipeline.vae.requires_grad_(False)
    optimizer = torch.optim.AdamW(add_lora(unet, rank=2, alpha=4.0, targets="all", seed=0), lr=1e-3, weight_decay=0.01)
    unet.set_attn_processor(AttnProcessor())
    with_term = 0
    for number in range(12):
        rows, chance = order.take(2 * number, 2), seeded("step", 0, number)
        view = (torch.rand(2, generator=chance) < 0.5).long()
        mean, deviation = moments.mean[view, rows].float(), moments.deviation[view, rows].float()
        clean = (mean + deviation * torch.randn(mean.shape, generator=chance)) * vae.config.scaling_factor
        times = torch.randint(1000, (2,), generator=chance)
        noise = torch.randn(clean.shape, generator=chance)
        worded = torch.rand(2, generator=chance) >= 0.5
        top, left = (round(place * 2) for place in torch.rand(2, generator=chance).tolist())  # 2 of 4 rows and columns

        noisy = noising.add_noise(clean, noise, times)
        output = unet(noisy, times, torch.where(worded[:, None, None], words[rows], nothing)).sample
        alphas = noising.alphas_cumprod[times]
        snr = alphas / (1 - alphas)
        total = ((output - noise).square().mean((1, 2, 3)) * snr.clamp(max=5) / snr).mean()
        for place in (snr >= 0.5).nonzero().flatten().tolist():
            with_term += 1
            predicted = (noisy[place] - (1 - alphas[place]).sqrt() * output[place]) / alphas[place].sqrt()
            window = predicted[None, :, top : top + 2, left : left + 2] / vae.config.scaling_factor
            decoded = vae.decode(window).sample / 2 + 0.5
            decoded = decoded + (decoded.clamp(0, 1) - decoded).detach()
            picture = learnt[int(rows[place])]["image"][None] / 255
            picture = picture.flip(3) if view[place] else picture
            there = picture[..., 4 * top : 4 * top + 8, 4 * left : 4 * left + 8]
            total = total + 0.7 * alphas[place] * loss(decoded, there)[0] / 2
        (total / 2).backward()
        if number % 2:
            optimizer.step()
            optimizer.zero_grad()
    assert 3 < with_term < 24
    ours = trained(config.out)
    for name, parameter in unet.named_parameters():
        if parameter.requires_grad:
            found = ours[f"unet.{name.replace('.default', '')}"]
            torch.testing.assert_close(found, parameter.detach(), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("checkpointing", ["none", "decoder", "unet", "both"])
def test_activations_are_computed_again_where_it_is_asked_for(config, checkpointing, monkeypatch):
    opened = []
    open_networks = module.open_networks
    monkeypatch.setattr(module, "open_networks", lambda *given: opened.append(open_networks(*given)) or opened[-1])
    latent_diffusion(replace(config, checkpointing=checkpointing, steps=1, balance="none"))
    pipeline = opened[0][0]
    assert pipeline.unet.is_gradient_checkpointing == (checkpointing in ("unet", "both"))
    assert pipeline.vae.is_gradient_checkpointing == (checkpointing in ("decoder", "both"))


def test_a_name_with_dollars_is_drawn_as_it_is(tmp_path):
    draw_curves([{"step": 1, "loss": 2.0}], tmp_path / "curves.png", title="my_$^$_data$\\frac$", panels=module.CURVES)
    assert (tmp_path / "curves.png").stat().st_size > 1000


def test_the_held_out_pictures_are_measured_with_their_own_captions(config, monkeypatch):
    asked = []
    embeddings = PromptEmbeddings.embeddings

    def noted(self, rows):
        asked.append([self._texts[self._rows[row]] for row in rows.tolist()])
        return embeddings(self, rows)

    monkeypatch.setattr(PromptEmbeddings, "embeddings", noted)
    latent_diffusion(replace(config, steps=1, balance="none", validation_pictures=64))
    _, held = open_captioned(config.data, 16).split(0.25, seed=0)
    assert held.captions in asked


def test_a_balance_without_a_single_gradient_is_refused(config):
    with pytest.raises(ValueError, match="the perceptual term had no gradient in 3 batches: raise --balance-batches"):
        latent_diffusion(replace(config, minimum_snr=1e9))


def test_a_picture_that_cannot_be_drawn_does_not_cost_the_training(config, monkeypatch, capsys):
    def fail(*_, **__):
        raise ValueError("the picture is not finite")

    monkeypatch.setattr(module, "draw", fail)
    latent_diffusion(replace(config, arm="none", steps=1, shown=1))
    assert "no pictures of step 1: the picture is not finite" in capsys.readouterr().out
    assert (config.out / "checkpoints" / "last" / "position.json").is_file()


def test_a_gradient_that_is_not_finite_stops_before_it_reaches_the_weights(config, monkeypatch):
    clip = Accelerator.clip_grad_norm_
    monkeypatch.setattr(Accelerator, "clip_grad_norm_", lambda *given: clip(*given) * float("inf"))
    with pytest.raises(TrainingStopped):
        latent_diffusion(replace(config, arm="none"))
    assert not (config.out / "lora").exists()


def test_another_number_of_processes_cannot_take_over(config):
    latent_diffusion(replace(config, arm="none", steps=3))
    position = config.out / "checkpoints" / "last" / "position.json"
    position.write_text(json.dumps({**json.loads(position.read_text()), "processes": 4}))
    with pytest.raises(ValueError, match="was trained with 4 processes, now there are 1: resume with 4"):
        latent_diffusion(replace(config, arm="none", steps=3, resume=True))


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {
            **{"gate": "none", "accumulate": 2, "unconditional": 0.5, "target": "image", "checkpointing": "both"},
            **{"decoded_part": 0.75},
        },
    ],
)
def test_a_run_that_was_killed_and_resumed_ends_as_the_unbroken_one(config, changes, monkeypatch):
    config = replace(config, steps=4, checkpoint_every=2, **changes)
    latent_diffusion(replace(config, out=config.out / "whole"))
    broken = replace(config, out=config.out / "broken")

    class Killed(BaseException):
        pass

    save = Run.save_checkpoint

    def save_and_die(self, position):
        save(self, position)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Run, "save_checkpoint", save_and_die)
        with pytest.raises(Killed):
            latent_diffusion(broken)
    assert not (broken.out / "result.json").exists()
    latent_diffusion(replace(broken, resume=True))
    assert equal(trained(config.out / "whole"), trained(broken.out))

    def without_times(folder: Path) -> list[dict]:
        measured = ("pictures_per_second", "peak_memory_bytes")
        return [{name: value for name, value in line.items() if name not in measured} for line in lines(folder)]

    assert without_times(config.out / "whole") == without_times(broken.out)


def test_a_finished_run_resumed_stays_as_it_is(config):
    first = latent_diffusion(replace(config, steps=3))
    weights = trained(config.out)
    second = latent_diffusion(replace(config, steps=3, resume=True))
    assert equal(weights, trained(config.out))
    assert second["validation_noise_loss"] == pytest.approx(first["validation_noise_loss"])


@pytest.mark.parametrize("clip", [1e-3, 0.0])
def test_clipping_bounds_the_gradient_at_every_step(config, clip, monkeypatch):
    norms, step = [], AcceleratedOptimizer.step

    def measured(self, closure=None):
        gradients = [p.grad for group in self.param_groups for p in group["params"] if p.grad is not None]
        norms.append(torch.linalg.vector_norm(torch.stack([gradient.norm() for gradient in gradients])).item())
        return step(self, closure)

    monkeypatch.setattr(AcceleratedOptimizer, "step", measured)
    latent_diffusion(replace(config, clip=clip, arm="none"))
    assert len(norms) == 6
    if clip:
        assert norms == pytest.approx([1e-3] * 6, rel=1e-2)
    else:
        assert min(norms) > 1e-2
    logged = [line["gradient_norm"] for line in lines(config.out) if "loss" in line]
    assert min(logged) > 1e-2  # the log tells the norm before clipping


def test_an_accumulated_gradient_is_the_mean_of_its_parts(config, monkeypatch):
    seen, step = [], AcceleratedOptimizer.step

    def measured(self, closure=None):
        seen[-1].append([p.grad.clone() for group in self.param_groups for p in group["params"]])
        return step(self, closure)

    monkeypatch.setattr(AcceleratedOptimizer, "step", measured)
    still = replace(config, arm="none", clip=0.0, lr=1e-20, warmup=0)
    for name, changes in (("parts", {"steps": 2}), ("whole", {"steps": 1, "accumulate": 2})):
        seen.append([])
        latent_diffusion(replace(still, out=config.out / name, **changes))
    (first, second), (together,) = seen
    for one, other, mean in zip(first, second, together, strict=True):
        torch.testing.assert_close((one + other) / 2, mean, rtol=1e-3, atol=1e-6)


def test_the_validation_losses_do_not_depend_on_the_seed_of_the_training(config):
    for seed in (0, 1):
        latent_diffusion(replace(config, seed=seed, steps=1, out=config.out / str(seed)))
    first, second = (lines(config.out / str(seed)) for seed in (0, 1))
    names = ("validation_noise_loss", "validation_perceptual")
    # Before the first step a LoRA changes nothing, whatever its start.
    assert [first[0][name] for name in names] == pytest.approx([second[0][name] for name in names], rel=1e-5)
    assert first[-1]["validation_noise_loss"] != second[-1]["validation_noise_loss"]


def test_the_window_lies_elsewhere_at_each_step_and_the_validation_sees_everything(config, monkeypatch):
    corners = []
    window = LatentPerceptualLoss.window

    def noted(self, size, corner):
        corners.append(corner)
        return window(self, size, corner)

    monkeypatch.setattr(LatentPerceptualLoss, "window", noted)
    latent_diffusion(replace(config, gate="none", decoded_part=0.5, balance="none", steps=4, sample_every=4))
    at_steps = [corner for corner in corners[1:] if corner is not None]  # the first is a check of sizes
    assert len(at_steps) == len(set(at_steps)) == 4
    assert all(0 <= place <= 1 for corner in at_steps for place in corner)
    assert corners.count(None) >= 2  # before the first step and after the last


def test_the_ratio_of_the_gradients_is_the_weight(config, monkeypatch):
    observed = []
    observe = module.Balance.observe

    def kept(self, norms):
        observed.append(dict(norms))
        observe(self, norms)

    monkeypatch.setattr(module.Balance, "observe", kept)
    result = latent_diffusion(replace(config, steps=1, perceptual_weight=0.3, gate="none"))
    noise, perceptual = (sum(norms[name] for norms in observed) for name in ("noise", "perceptual"))
    assert len(observed) == 3
    assert result["perceptual_factor"] == pytest.approx(0.3 * noise / perceptual, rel=1e-5)


def test_latents_are_kept_and_found_again(config, monkeypatch):
    cache = config.out.parent / "cache"
    latent_diffusion(replace(config, steps=1, arm="none", cache=cache, out=config.out / "first"))
    assert len(list(cache.iterdir())) == 2
    pipeline_encode = module.encode_pictures

    def never(*arguments, **settings):
        monkeypatch.setattr("sketchloss.diffusion.latent_cache.encode_both_views", None)
        return pipeline_encode(*arguments, **settings)

    monkeypatch.setattr(module, "encode_pictures", never)
    latent_diffusion(replace(config, steps=1, arm="none", cache=cache, out=config.out / "second"))
    assert equal(trained(config.out / "first"), trained(config.out / "second"))


def test_pictures_with_captions_of_their_own_are_learnt_from(config, tmp_path, capsys):
    folder = tmp_path / "captioned"
    folder.mkdir()
    rows = []
    for seed in range(8):
        doodle("cat", seed).sketch(16).save(folder / f"{seed}.png")
        rows.append({"file_name": f"{seed}.png", "text": f"cat number {seed % 2}"})
    rows[3]["text"] = ""
    (folder / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)))
    result = latent_diffusion(replace(config, data=str(folder), steps=1))
    said = capsys.readouterr().out
    assert "2 prompts" in said
    assert "metadata.jsonl:4: no caption" in said
    assert result["pictures"] == 5


def test_with_a_full_disk_the_last_checkpoint_stays_whole(config, small_disk, monkeypatch):
    save, count = Run.save_checkpoint, 0

    def save_on_a_full_disk(self, position):
        nonlocal count
        count += 1
        with small_disk(20_000) if count == 2 else nullcontext():
            save(self, position)

    whole = replace(config, arm="none", steps=4, checkpoint_every=2, out=config.out / "whole")
    latent_diffusion(whole)
    broken = replace(whole, out=config.out / "broken")
    with monkeypatch.context() as patch:
        patch.setattr(Run, "save_checkpoint", save_on_a_full_disk)
        with pytest.raises(OSError, match=r"cannot write .*free some space"):
            latent_diffusion(broken)
    assert json.loads((broken.out / "checkpoints" / "last" / "position.json").read_text()) == {
        "step": 2,
        "processes": 1,
    }
    latent_diffusion(replace(broken, resume=True))
    assert equal(trained(whole.out), trained(broken.out))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"rank": 0}, "rank is 0: it must be positive"),
        ({"alpha": 0.0}, "alpha is 0.0: it must be positive"),
        ({"lr": float("nan")}, "lr is nan: it must be positive"),
        ({"perceptual_weight": -1.0}, "perceptual_weight is -1.0: it must be finite and not negative"),
        ({"unconditional": 1.0}, "unconditional is 1.0: it must be at least 0 and less than 1"),
        ({"flip": 1.5}, "flip is 1.5: it must be at least 0 and at most 1"),
        ({"held_out": 0.0}, "held_out is 0.0: it must lie between 0 and 1"),
        ({"layers": ()}, "layers is empty"),
        ({"decoded_part": 0.0}, "decoded_part is 0.0: it must be above 0 and at most 1"),
        ({"template": "a sketch"}, "write one {} where the class goes"),
    ],
)
def test_settings_out_of_range_are_named(config, changes, words):
    with pytest.raises(ValueError, match=words):
        replace(config, **changes)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"arm": "tuning", "tuning": ()}, "arm is tuning, which has no weights: give --tuning"),
        ({"image_size": 20}, "image_size is 20: this base takes multiples of 8, such as 16"),
        ({"layers": ("relu9_9",)}, "relu9_9"),
        ({"layers": ("pool5",)}, "image_size is 16: the layers of original need at least 32 pixels"),
        (
            {"layers": ("relu5_1",), "decoded_part": 0.5},
            "and decoded_part 0.5: the layers of original need at least 16 pixels",
        ),
        ({"base": "nowhere"}, "nowhere does not exist"),
        ({"data": "nowhere"}, "nowhere does not exist"),
        ({"precision": "fp16"}, "precision is fp16, which needs a GPU"),
        ({"resume": True}, "holds no run to resume"),
    ],
)
def test_what_cannot_be_trained_is_refused_before_anything_is_written(config, changes, words):
    with pytest.raises((ValueError, FileNotFoundError), match=words):
        latent_diffusion(replace(config, **changes))
    assert not config.out.exists()


def test_a_single_picture_leaves_nothing_to_validate_on(config, tmp_path):
    folder = tmp_path / "one" / "cat"
    folder.mkdir(parents=True)
    doodle("cat", 0).sketch(16).save(folder / "0.png")
    with pytest.raises(ValueError, match=r"has 1 picture, too few to hold some out"):
        latent_diffusion(replace(config, data=str(folder.parent)))
    assert not config.out.exists()


def test_the_command_line_trains_and_says_its_mistakes_in_one_line(config, capsys):
    arguments = ["--base", config.base, "--data", config.data, "--photo", config.photo, "--arm", "original"]
    arguments += ["--image-size", "16", "--layers", "relu1_2", "--steps", "1", "--workers", "0", "--held-out", "0.25"]
    quick = ["--batch-size", "2", "--balance-batches", "8", "--shown", "0"]
    assert main(["lora", "train", *arguments, "--out", str(config.out), *quick]) == 0
    said = capsys.readouterr().out
    assert "LoRA in" in said
    assert "draws" not in said
    assert "no pictures" not in said
    assert not list(config.out.rglob("samples*"))
    assert main(["lora", "train", *arguments, "--out", str(config.out), "--rank", "0"]) == 2
    assert capsys.readouterr().err == "sketchloss lora train: rank is 0: it must be positive\n"
    assert main(["lora", "train", *arguments, "--out", str(config.out)]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_the_paper_preset_is_the_paper():
    paper = PRESETS["paper"]
    assert paper.get("image_size", LatentDiffusion.image_size) == 256
    assert (paper["batch_size"], paper["epochs"], paper["precision"], paper["gate"]) == (1, 100, "fp16", "none")
    assert paper["data"] == "songweig/imagenet_sketch"


def test_the_published_loras_are_of_the_demo_preset_with_more_drawings_and_steps(tmp_path):
    said = " ".join((Path(__file__).parents[3] / "docs" / "results-version-1.md").read_text(encoding="utf-8").split())
    found = LoraTable(out=tmp_path, **TABLE_PRESETS["small"])
    assert f"LoRAs of rank {found.rank} on the bundled base `{found.base}`" in said
    assert f"as coloured pictures of {found.image_size} pixels" in said
    assert (
        f"each draws every kind {found.drawings} times ({found.drawing_steps} steps, guidance {found.guidance:g})"
        in said
    )
    assert (
        f"The perceptual term has weight {found.perceptual_weight:g} (ratio of gradients at the UNet's output)" in said
    )
    learnt = len(DOODLES) * round(found.per_class * (1 - found.held_out))
    assert f"They learn from {learnt:,} ink drawings" in said
    assert found.data == PRESETS["demo"]["data"] == "doodles?tool=ink"
