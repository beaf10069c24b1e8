"""Teach a Stable Diffusion pipeline to sketch: LoRA with the perceptual term (Seo 2025, section 4.1, prompt-to-image).

    sketchloss lora train --preset demo --out runs/doodles                       minutes on two cores, on `tiny`
    sketchloss lora train --data SKETCHES --out runs/mine                        Stable Diffusion 1.5, with a GPU
    sketchloss lora train --preset paper --out runs/paper
    sketchloss lora sample --base tiny --lora runs/doodles --classes cat house --out drawn

The result is `OUT/lora/pytorch_lora_weights.safetensors`, a standard file that `pipe.load_lora_weights` of diffusers
takes, with `OUT/samples/` and `OUT/curves.png`.
"""

import hashlib
import json
import math
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from diffusers.models.attention_processor import AttnProcessor
from jaxtyping import Float
from torch import Tensor
from tqdm import tqdm

from sketchloss.data.captions.captioned import Captioned
from sketchloss.data.loading import HeldPictures, hold_if_small, to_unit_range
from sketchloss.data.names import short_name
from sketchloss.diffusion.bases import TINY
from sketchloss.diffusion.denoising import Denoising, DenoisingTerms
from sketchloss.diffusion.latent_cache import encode_pictures
from sketchloss.diffusion.latents import Moments
from sketchloss.diffusion.pipeline import training_scheduler
from sketchloss.diffusion.prompt_embeddings import PromptEmbeddings
from sketchloss.diffusion.quiet import StableDiffusionPipeline
from sketchloss.experiments.prompts.training_settings import LatentDiffusion
from sketchloss.figures.curves import draw_curves
from sketchloss.figures.grid import draw_grid
from sketchloss.lora.adapters import add_lora, save_lora
from sketchloss.lora.networks import open_networks
from sketchloss.lora.prompted import open_prompted
from sketchloss.lora.sampling import draw
from sketchloss.loss.balance import Balance, gradient_norms
from sketchloss.metrics.features import pixels_digest
from sketchloss.networks.weights import weights_digest
from sketchloss.system.files import write_json
from sketchloss.system.images import save_picture
from sketchloss.system.memory import reuse_freed_memory
from sketchloss.training.accelerator import describe, new_accelerator
from sketchloss.training.guards import require_finite
from sketchloss.training.held_folder import hold_run_folder
from sketchloss.training.meter import Meter
from sketchloss.training.order import Order, seeded
from sketchloss.training.plan import peak_memory
from sketchloss.training.rates import rate_schedule
from sketchloss.training.run import Run, check_data, check_run_folder
from sketchloss.training.trained_part import TrainedPart, leave_out_frozen_weights

RESULT = "result.json"
#: Timesteps that the validation losses are measured at, as shares of all.
VALIDATION_TIMES = (0.02, 0.08, 0.15, 0.3, 0.5, 0.7, 0.9, 1.0)
CURVES = {
    "noise loss": {"training": "noise_loss", "validation": "validation_noise_loss"},
    "perceptual term": {"training": "perceptual", "validation": "validation_perceptual"},
    "share": {"of the perceptual term": "perceptual_share", "of the samples that have it": "active_fraction"},
}


def latent_diffusion(config: LatentDiffusion) -> dict[str, Any]:
    """Run `sketchloss lora train`.

    Returns:
        What `result.json` holds: `lora`, the folder of the LoRA file, `samples`, the last progress picture, None
        without one, the numbers of `pictures` and `steps`, the last validation losses, and `peak_memory_bytes`.

    Raises:
        ValueError: as `LatentDiffusion`, `load_text_to_image`, `open_captioned`, `load_backbone` and `Run`.
        TrainingStopped: if the loss is not finite.
    """
    accelerator = new_accelerator(config.precision, seed=config.seed)
    check_run_folder(config.out, config, config.resume)  # before an hour of encoding, not after
    with hold_run_folder(config.out, main=accelerator.is_main_process):
        return _latent_diffusion(config, accelerator)


def _latent_diffusion(config: LatentDiffusion, accelerator: Accelerator) -> dict[str, Any]:
    # Set-up ----------------------------------------------------------------------------------------------------------
    say, device = accelerator.print, accelerator.device
    reuse_freed_memory()
    pipeline, perceptual = open_networks(config, config.arm_name, device)
    noising = training_scheduler(pipeline)

    # Loss ------------------------------------------------------------------------------------------------------------
    denoising = Denoising(noising, perceptual, min_snr_gamma=config.min_snr_gamma)
    with_images = perceptual is not None and config.target == "image"
    weights = {"noise": 1.0, "perceptual": config.perceptual_weight if perceptual else 0.0}
    balance = Balance(weights, config.balance, reference="noise")

    # Data ------------------------------------------------------------------------------------------------------------
    learnt, held = _part(open_prompted(config, config.data, say), config)
    pictures = hold_if_small(learnt, workers=config.workers)
    digests = (pixels_digest(part, workers=config.workers) for part in (pictures, held))
    known = hashlib.sha256(json.dumps([*digests, learnt.captions, held.captions]).encode()).hexdigest()
    if config.resume:
        check_data(config.out, known)
    how = {"folder": config.cache, "workers": config.workers, "progress": accelerator.is_local_main_process}
    moments, held_moments = (encode_pictures(pipeline.vae, part, **how) for part in (pictures, held))
    prompts = PromptEmbeddings(pipeline, [*learnt.captions, *held.captions])
    sizes = f"{len(learnt):,} pictures to learn from, {len(held):,} held out, {len(prompts):,} prompts"
    say(f"{config.data}: {sizes}")

    # Model and optimiser ---------------------------------------------------------------------------------------------
    parameters = add_lora(pipeline.unet, rank=config.rank, alpha=config.alpha, targets=config.targets, seed=config.seed)
    if device.type == "cpu":
        pipeline.unet.set_attn_processor(AttnProcessor())  # fused attention is slower there, for small heads
    if config.checkpointing in ("unet", "both"):
        pipeline.unet.enable_gradient_checkpointing()
    if config.checkpointing in ("decoder", "both") and perceptual:
        pipeline.vae.enable_gradient_checkpointing()
    per_step = config.batch_size * config.accumulate * accelerator.num_processes
    steps = config.steps or math.ceil(config.epochs * len(learnt) / per_step)
    optimizer = torch.optim.AdamW(parameters, lr=config.lr, weight_decay=0.01)
    schedule = rate_schedule(optimizer, config.schedule, steps=steps, warmup=config.warmup)
    model, optimizer = accelerator.prepare(pipeline.unet, optimizer)
    accelerator.register_for_checkpointing(schedule, balance, TrainedPart(parameters))
    leave_out_frozen_weights(accelerator)
    trained = sum(parameter.numel() for parameter in parameters)
    say(f"{config.base}: {trained:,} numbers to train; perceptual term: {config.arm_name if perceptual else 'none'}")
    say(f"{steps:,} steps of {per_step} at {config.image_size} pixels, {describe(accelerator)}")

    # Loop ------------------------------------------------------------------------------------------------------------
    run = Run(config.out, config, accelerator, config.resume)
    run.pin_data(known, loss=weights_digest(perceptual.loss.backbone) if perceptual else None)
    step = ((run.load_checkpoint() if config.resume else None) or {"step": 0})["step"]
    if config.resume:
        say(f"continuing after step {step:,}")
    order = Order(len(learnt), config.seed)

    def measure(rows: Tensor, chance: torch.Generator) -> DenoisingTerms:
        """Run the networks on some pictures; all that is random comes from `chance`."""
        view = (torch.rand(len(rows), generator=chance) < config.flip).long()
        clean = Moments(moments.mean[view, rows], moments.deviation[view, rows]).sample(chance)
        times = torch.randint(len(noising), (len(rows),), generator=chance)
        noise = torch.randn(clean.shape, generator=chance)
        worded = torch.rand(len(rows), generator=chance) >= config.unconditional
        words = prompts.embeddings(rows.where(worded, -1))
        images = _images(pictures, rows, view).to(device) if with_images else None
        down, across = torch.rand(2, generator=chance).tolist()
        clean, noise, times = (tensor.to(device) for tensor in (_scaled(clean, pipeline.vae), noise, times))
        with accelerator.autocast():
            return denoising(model, clean, noise, times, words, images, (down, across))

    def passed(step: int, part: int) -> DenoisingTerms:
        """One of the passes through the UNet that make a step."""
        place = (step * config.accumulate + part) * accelerator.num_processes + accelerator.process_index
        return measure(order.take(place * config.batch_size, config.batch_size), seeded("step", config.seed, place))

    def pulls(number: int) -> dict[str, float]:
        """Return the gradient norms of the terms of one batch at the UNet's output."""
        chance = seeded("balance", config.seed, number, accelerator.process_index)
        terms = measure(torch.randint(len(learnt), (config.batch_size,), generator=chance), chance)
        return _norms(accelerator, terms, balance.active)

    if perceptual and config.balance == "initial" and not step:
        for number in range(config.balance_batches):
            balance.observe(pulls(number))
        if not balance.norms.get("perceptual"):
            raise ValueError(
                f"balance is initial, but the perceptual term had no gradient in {config.balance_batches} batches: "
                "raise --balance-batches, lower --minimum-snr, or set its factor yourself with --balance none"
            )
        say(f"factor of the perceptual term: {balance.factors['perceptual']:.3g}")
    everything = torch.arange(len(held))
    held_out = _HeldOut(
        latents=_scaled(
            Moments(held_moments.mean[0], held_moments.deviation[0]).sample(seeded("validation latents")), pipeline.vae
        ),
        words=prompts.embeddings(len(learnt) + everything),
        images=_images(held, everything, torch.zeros_like(everything)) if with_images else None,
    )
    validate = partial(_validate, accelerator, model, denoising, held_out, config.batch_size)
    scores = {} if step else validate()
    if scores:
        run.log(0, **scores)
    bar = tqdm(
        total=steps,
        initial=step,
        disable=None if accelerator.is_local_main_process else True,  # None: shown on a terminal only
        mininterval=1,
    )
    meter, started, since = Meter(), time.perf_counter(), step
    model.train()
    while step < steps:
        rate = optimizer.param_groups[0]["lr"]
        for part in range(config.accumulate):
            with nullcontext() if part == config.accumulate - 1 else accelerator.no_sync(model):
                terms = passed(step, part)
                total = balance.total(terms.named())
                require_finite(total.item(), step, rate)
                accelerator.backward(total / config.accumulate)
            share = 1 - balance.factors["noise"] * terms.noise.item() / total.item() if perceptual else 0.0
            meter.add(
                **{"loss": total.item(), "noise_loss": terms.noise.item(), "perceptual": terms.perceptual.item()},
                **{"perceptual_share": share, "active_fraction": terms.active},
            )
        # A list: a generator would be empty after its first use, and nothing would be clipped from then on.
        norm = float(accelerator.clip_grad_norm_(parameters, config.clip or math.inf))  # pyright: ignore[reportArgumentType]
        if accelerator.scaler is None:  # which leaves such steps out
            require_finite(norm, step, rate)
        optimizer.step()
        if not optimizer.step_was_skipped:
            schedule.step()
        optimizer.zero_grad()
        step += 1
        bar.update()
        if step % config.log_every == 0 or step == steps:
            speed = (step - since) * per_step / (time.perf_counter() - started)
            numbers = {
                **meter.read(),
                **{"gradient_norm": norm if math.isfinite(norm) else None, "learning_rate": rate},
            }
            bar.set_postfix_str(f"loss {numbers['loss']:.3f}, {speed:.1f} pictures/s")
            run.log(step, pictures_per_second=speed, peak_memory_bytes=peak_memory(device), **numbers)
            started, since = time.perf_counter(), step
        if step % config.sample_every == 0 or step == steps:
            scores = validate()
            require_finite(sum(scores.values()), step, rate)
            run.log(step, **scores)
            say(f"step {step:,}: " + ", ".join(f"{name} {value:.4f}" for name, value in scores.items()))
            if config.shown and accelerator.is_main_process:
                try:
                    with accelerator.autocast():  # the prepared UNet answers in float32, the decoder may take another
                        _save_samples(pipeline, learnt, config, run.folder, step)
                except ValueError as error:  # a picture that is not finite must not cost what is not saved yet
                    say(f"no pictures of step {step:,}: {error}")
            model.train()
        if step % config.checkpoint_every == 0 or step == steps:
            # First the LoRA: killed in between, a resumed run makes it again.
            if accelerator.is_main_process:
                save_lora(pipeline.unet, run.folder / "lora", about=_about(config, step))
            run.save_checkpoint({"step": step})
            started, since = time.perf_counter(), step
    bar.close()
    run.close()

    # Report ----------------------------------------------------------------------------------------------------------
    if not scores:  # a finished run, resumed
        scores = validate()
    memory = peak_memory(device)
    samples = str(run.folder / "samples.png") if config.shown else None
    result = {
        **{"lora": str(run.folder / "lora"), "samples": samples, "pictures": len(learnt)},
        **{"steps": steps, **scores, "perceptual_factor": balance.factors["perceptual"], "peak_memory_bytes": memory},
    }
    if accelerator.is_main_process:
        title = f"{short_name(config.data)}, {config.arm_name}"
        draw_curves(run.metrics(), run.folder / "curves.png", title=title, panels=CURVES)
        write_json(run.folder / RESULT, result)  # last: it says that the run is done
    drawn = f", what it draws in {samples}" if samples else ""
    say(f"LoRA in {result['lora']}{drawn}, peak memory {memory / 2**30:.1f} GiB")
    return result


# Data ----------------------------------------------------------------------------------------------------------------


def _part(opened: Captioned, config: LatentDiffusion) -> tuple[Captioned, Captioned]:
    """Return the pictures to learn from, and some of those held out."""
    learnt, held = opened.split(config.held_out, seed=config.split_seed)
    if not len(held):
        raise ValueError(
            f"{config.data} has {len(opened)} picture{'s' * (len(opened) > 1)}, too few to hold some out: give more"
        )
    mixed = torch.randperm(len(held), generator=seeded("validation pictures", config.split_seed))
    return learnt, held.select(mixed[: config.validation_pictures].sort().values.numpy())


def _images(pictures: Captioned | HeldPictures, rows: Tensor, view: Tensor) -> Float[Tensor, "n 3 s s"]:
    images = to_unit_range(torch.stack([pictures[int(row)]["image"] for row in rows]))
    return torch.where(view.bool()[:, None, None, None], images.flip(3), images)


def _scaled(latents: Tensor, autoencoder: Any) -> Tensor:
    """Return latents as the UNet knows them."""
    return (latents - (getattr(autoencoder.config, "shift_factor", None) or 0.0)) * autoencoder.config.scaling_factor


# Steps ---------------------------------------------------------------------------------------------------------------


def _norms(accelerator: Accelerator, terms: DenoisingTerms, names: Sequence[str]) -> dict[str, float]:
    """Return the norms of the terms' gradients at the UNet's output, the same in all processes."""
    named = {name: term for name, term in terms.named().items() if term.requires_grad}
    scale = 2.0**16 if accelerator.mixed_precision == "fp16" else 1.0  # where the smallest gradients would vanish
    present = [name for name in names if name in named]
    norms = dict.fromkeys(names, 0.0) | gradient_norms(named, terms.output, present, scale=scale)
    means = accelerator.reduce(torch.tensor([norms[name] for name in names], device=terms.output.device), "mean")
    return dict(zip(names, means.tolist(), strict=True))  # pyright: ignore[reportAttributeAccessIssue] - a tensor


@dataclass(frozen=True)
class _HeldOut:
    """What the validation losses are measured on."""

    latents: Float[Tensor, "n c h w"]
    words: Float[Tensor, "n t d"]
    images: Float[Tensor, "n 3 s s"] | None


@torch.no_grad()
def _validate(
    accelerator: Accelerator, model: Any, denoising: Denoising, held_out: _HeldOut, batch_size: int
) -> dict[str, float]:
    """Return the mean terms on held-out pictures, always with the same noise and timesteps: comparable over time."""
    model.eval()
    device, last = accelerator.device, len(denoising.scheduler) - 1
    sums, count = {"validation_noise_loss": 0.0, "validation_perceptual": 0.0}, 0
    for start in range(0, len(held_out.latents), batch_size):
        some = slice(start, start + batch_size)
        clean, words = held_out.latents[some].to(device), held_out.words[some]
        images = None if held_out.images is None else held_out.images[some].to(device)
        noise = torch.randn(clean.shape, generator=seeded("validation noise", start)).to(device)
        for share in VALIDATION_TIMES:
            times = torch.full((len(clean),), round(share * last), device=device)
            with accelerator.autocast():
                terms = denoising(model, clean, noise, times, words, images)
            sums["validation_noise_loss"] += terms.noise.item() * len(clean)
            sums["validation_perceptual"] += terms.perceptual.item() * len(clean)
            count += len(clean)
    model.train()
    return {name: value / count for name, value in sums.items()}


# Results -------------------------------------------------------------------------------------------------------------


def _save_samples(
    pipeline: StableDiffusionPipeline, learnt: Captioned, config: LatentDiffusion, folder: Path, step: int
) -> None:
    """Draw some prompts from the same noise every time."""
    known = list(dict.fromkeys(learnt.captions))
    prompts = [known[index] for index in torch.linspace(0, len(known) - 1, min(config.shown, len(known))).long()]
    drawn = draw(
        pipeline,
        prompts,
        (0, 1, 2, 3),
        steps=25,
        guidance=config.guidance,
        size=config.image_size,
        batch_size=config.batch_size,
    )
    pictures = [drawing.picture for drawing in drawn]
    rows = [pictures[start : start + 4] for start in range(0, len(pictures), 4)]
    sheet = draw_grid(
        rows, side=max(96, config.image_size), row_names=prompts, title=f"{config.arm_name}, step {step:,}"
    )
    (folder / "samples").mkdir(exist_ok=True)
    for file in (folder / "samples" / f"step_{step:06}.png", folder / "samples.png"):
        save_picture(sheet, file)


def _about(config: LatentDiffusion, step: int) -> dict[str, str]:
    """What the LoRA file says of itself."""
    # A path from the root on: the LoRA may be used from another folder.
    base = str(Path(config.base).resolve()) if config.base != TINY and Path(config.base).is_dir() else config.base
    return {
        **{"base": base, "data": short_name(config.data), "template": config.template, "arm": config.arm_name},
        **{"image_size": str(config.image_size), "steps": str(step)},
    }
