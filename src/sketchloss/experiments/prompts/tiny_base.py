"""Train a small text-to-image pipeline from scratch, to use where Stable Diffusion is not available.

    sketchloss lora base --preset demo --out runs/base       a few minutes, which is too little to draw well
    sketchloss lora base --out runs/base                     about an hour and a half on two cores
    sketchloss lora sample --base runs/base --prompts 'a photo of a cat' --out cats

First the autoencoder, on photo-like twins of the built-in doodles and on their drawings; then the UNet and its text
encoder, only on the photos, so that drawing sketches is left to learn. The result is `OUT/model`, a folder that
`diffusers.StableDiffusionPipeline.from_pretrained` opens; the package holds one, called `tiny`.
"""

import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from accelerate import Accelerator
from diffusers.models.attention_processor import AttnProcessor
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from diffusers.training_utils import EMAModel
from jaxtyping import Float, Int64
from PIL import Image
from torch import Tensor, nn
from tqdm import tqdm
from transformers import CLIPTextModel

from sketchloss.data.captions.prompts import imagenet_names, make_prompts, readable
from sketchloss.data.left_out import say_left_out
from sketchloss.data.loading import HeldSketches
from sketchloss.data.sources import Sketches, open_sketches
from sketchloss.diffusion.arithmetic import add_noise, cumulative_alphas, denoising_loss
from sketchloss.diffusion.latents import Moments, decode_latents, encode_both_views, to_signed
from sketchloss.diffusion.pipeline import build_tiny, save_pipeline, tokenize, training_scheduler
from sketchloss.diffusion.quiet import StableDiffusionPipeline
from sketchloss.experiments.prompts.tiny_base_settings import TinyDiffusion
from sketchloss.figures.grid import draw_grid
from sketchloss.metrics.features import pixels_digest
from sketchloss.system.files import write_json
from sketchloss.system.images import save_picture, to_picture
from sketchloss.system.memory import reuse_freed_memory
from sketchloss.training.accelerator import describe, new_accelerator
from sketchloss.training.guards import require_finite
from sketchloss.training.held_folder import hold_run_folder
from sketchloss.training.meter import Meter
from sketchloss.training.order import seeded
from sketchloss.training.rates import rate_schedule
from sketchloss.training.run import Run, check_run_folder

RESULT = "result.json"


def tiny_diffusion(config: TinyDiffusion) -> dict[str, Any]:
    """Run `sketchloss lora base`.

    Returns:
        What `result.json` holds: `model`, the pipeline's folder, `samples`, the picture of what it draws,
        `reconstruction_error`, the autoencoder's mean absolute error on held-out pictures, whose values are in [0, 1],
        and `validation_loss`, the UNet's on held-out pictures, always with the same noise and timesteps.

    Raises:
        ValueError: as `TinyDiffusion`, `open_sketches`, `build_tiny` and `Run`.
        TrainingStopped: if a loss is not finite.
    """
    accelerator = new_accelerator(config.precision, seed=config.seed)
    check_run_folder(config.out, config, config.resume)
    with hold_run_folder(config.out, main=accelerator.is_main_process):
        return _tiny_diffusion(config, accelerator)


def _tiny_diffusion(config: TinyDiffusion, accelerator: Accelerator) -> dict[str, Any]:
    # Set-up ----------------------------------------------------------------------------------------------------------
    say = accelerator.print
    reuse_freed_memory()

    # Data ------------------------------------------------------------------------------------------------------------
    opened = [_open(source, config, say) for source in (config.data, *config.also)]
    parts = [pictures.split(config.held_out, seed=config.seed) for pictures in opened]
    learnt, held = ([HeldSketches(part[side], workers=config.workers) for part in parts] for side in (0, 1))
    classes = opened[0].classes
    sizes = f"{len(learnt[0]):,} pictures to learn from, {len(held[0]):,} held out"
    say(f"{config.data}: {len(classes)} classes, {sizes}; on {describe(accelerator)}")

    # Models and optimisers -------------------------------------------------------------------------------------------
    torch.manual_seed(config.seed)
    prompts = [prompt for template in config.templates for prompt in make_prompts(classes, template)]
    words = [*prompts, *make_prompts(classes), *map(readable, imagenet_names().values())]
    pipeline = build_tiny(words, image_size=config.image_size)
    for network in (pipeline.unet, pipeline.vae):
        network.set_attn_processor(AttnProcessor())  # fused attention is slow on a CPU, for heads this small
    autoencoder, denoiser = _Autoencoder(pipeline.vae), _Denoiser(pipeline.unet, pipeline.text_encoder)
    average = EMAModel(denoiser.parameters(), decay=config.average, use_ema_warmup=True, power=0.75)
    autoencoder, denoiser, *optimizers = accelerator.prepare(
        autoencoder,
        denoiser,
        torch.optim.AdamW(autoencoder.parameters(), lr=config.autoencoder_lr, weight_decay=0.0),
        torch.optim.AdamW(denoiser.parameters(), lr=config.lr),
    )
    schedules = [
        rate_schedule(optimizer.optimizer, "cosine", steps=steps, warmup=config.warmup)
        for optimizer, steps in zip(optimizers, (config.autoencoder_steps, config.steps), strict=True)
    ]
    accelerator.register_for_checkpointing(*schedules, average)
    run = Run(config.out, config, accelerator, config.resume)
    run.pin_data(" ".join(pixels_digest(part) for part in learnt))
    first = ((run.load_checkpoint() if config.resume else None) or {"step": 0})["step"]
    average.to(accelerator.device)  # note: a checkpoint restores it on the CPU
    if config.resume:
        say(f"continuing after step {first:,}")
    train = partial(_train, accelerator=accelerator, run=run, config=config, first=first)

    # Autoencoder -----------------------------------------------------------------------------------------------------
    images, held_images = (torch.cat([part.images for part in side]) for side in (learnt, held))

    def rebuild(chance: torch.Generator) -> dict[str, Tensor]:
        chosen = torch.randint(len(images), (config.autoencoder_batch_size,), generator=chance)
        flipped = torch.rand(len(chosen), generator=chance) < 0.5
        batch = to_signed(torch.where(flipped[:, None, None, None], images[chosen].flip(3), images[chosen]))
        noise = torch.randn(len(batch), 4, *(side // 4 for side in batch.shape[2:]), generator=chance)
        made, divergence = autoencoder(batch.to(accelerator.device), noise.to(accelerator.device))
        error = F.l1_loss(made.float(), batch.to(accelerator.device))
        return {"loss": error + config.divergence_weight * divergence, "error": error, "divergence": divergence}

    @torch.no_grad()
    def show_rebuilt(step: int) -> dict[str, float]:
        shown = held_images[torch.linspace(0, len(held_images) - 1, 16).long()]
        made = decode_latents(pipeline.vae, encode_both_views(pipeline.vae, shown).mean[0])
        rows = [[to_picture(image) for image in pictures] for pictures in (shown / 255, made)]
        sheet = draw_grid(rows, side=2 * config.image_size, row_names=("picture", "rebuilt"), title=f"step {step:,}")
        if accelerator.is_main_process:
            _save_sheets(run.folder, sheet, f"autoencoder_{step:06}.png", "autoencoder.png")
        return {"reconstruction_error": (made.cpu() - shown / 255).abs().mean().item()}

    rebuilt = train(
        rebuild, show_rebuilt, autoencoder, optimizers[0], schedules[0], steps=range(config.autoencoder_steps)
    )

    # Latents ---------------------------------------------------------------------------------------------------------
    autoencoder.requires_grad_(False).eval()
    moments, held_moments = (encode_both_views(pipeline.vae, side[0].images) for side in (learnt, held))
    # Rombach et al. 2022, section 3.1: latents of unit variance.
    pipeline.vae.register_to_config(scaling_factor=round(1 / moments.sample(torch.Generator()).std().item(), 5))

    # UNet and text encoder -------------------------------------------------------------------------------------------
    noising = training_scheduler(pipeline)
    tokens = tokenize(pipeline, ["", *prompts]).to(accelerator.device)

    def predict_noise(
        chance: torch.Generator, moments: Moments, labels: Int64[np.ndarray, " n"], count: int
    ) -> dict[str, Tensor]:
        chosen = torch.randint(len(labels), (count,), generator=chance)
        clean = pipeline.vae.config.scaling_factor * moments.select(chosen, chance).sample(chance)
        noise = torch.randn(clean.shape, generator=chance)
        times = torch.randint(len(noising), (count,), generator=chance)
        template = torch.randint(len(config.templates), (count,), generator=chance)
        rows = 1 + template * len(classes) + torch.from_numpy(labels)[chosen]
        rows = rows.where(torch.rand(count, generator=chance) >= config.unconditional, 0)
        clean, noise, times = (tensor.to(accelerator.device) for tensor in (clean, noise, times))
        alphas = cumulative_alphas(noising, times)
        output = denoiser(add_noise(clean, noise, alphas), times, tokens[rows.to(tokens.device)]).float()
        loss = denoising_loss(output, noise, alphas, "epsilon", min_snr_gamma=config.min_snr_gamma)
        return {"loss": loss.mean()}

    def show_drawn(step: int) -> dict[str, float]:
        average.store(denoiser.parameters())
        average.copy_to(denoiser.parameters())
        denoiser.eval()
        with torch.no_grad():
            chance = torch.Generator().manual_seed(0)  # the same noise and timesteps every time
            losses = [predict_noise(chance, held_moments, held[0].labels, 256)["loss"].item() for _ in range(4)]
        sheet = _draw_classes(pipeline, make_prompts(classes, config.templates[0]), config, f"step {step:,}")
        if accelerator.is_main_process:
            _save_sheets(run.folder, sheet, f"drawn_{step:06}.png", "drawn.png")
            save_pipeline(pipeline, run.folder / "model")
        denoiser.train()
        average.restore(denoiser.parameters())
        return {"validation_loss": sum(losses) / len(losses)}

    drawn = train(
        partial(predict_noise, moments=moments, labels=learnt[0].labels, count=config.batch_size),
        show_drawn,
        denoiser,
        optimizers[1],
        schedules[1],
        steps=range(config.autoencoder_steps, config.autoencoder_steps + config.steps),
        average=average,
    )
    run.close()

    # Report ----------------------------------------------------------------------------------------------------------
    result = {"model": str(run.folder / "model"), "samples": str(run.folder / "drawn.png"), **rebuilt, **drawn}
    if accelerator.is_main_process:
        write_json(run.folder / RESULT, result)  # last: it says that the run is done
    say(f"pipeline in {result['model']}, what it draws in {result['samples']}")
    return result


# Data ----------------------------------------------------------------------------------------------------------------


def _open(source: str, config: TinyDiffusion, say: Callable[[str], object]) -> Sketches:
    opened = open_sketches(source, config.image_size, per_class=config.per_class, seed=config.seed)
    say_left_out(source, opened.unreadable, opened.passed_over, say=say)
    return opened


# Networks ------------------------------------------------------------------------------------------------------------


class _Autoencoder(nn.Module):
    def __init__(self, vae: AutoencoderKL) -> None:
        super().__init__()
        self.vae: Any = vae

    def forward(
        self, images: Float[Tensor, "n 3 s s"], noise: Float[Tensor, "n c t t"]
    ) -> tuple[Float[Tensor, "n 3 s s"], Float[Tensor, ""]]:
        """Return the images rebuilt from noisy latents, and the mean divergence of these from a normal distribution."""
        latents = self.vae.encode(images).latent_dist
        return self.vae.decode(latents.mean + latents.std * noise).sample, latents.kl().mean()


class _Denoiser(nn.Module):
    def __init__(self, unet: UNet2DConditionModel, text_encoder: CLIPTextModel) -> None:
        super().__init__()
        self.unet, self.text_encoder = unet, text_encoder

    def forward(
        self, noisy: Float[Tensor, "n c t t"], times: Int64[Tensor, " n"], tokens: Int64[Tensor, "n w"]
    ) -> Float[Tensor, "n c t t"]:
        return self.unet(noisy, times, self.text_encoder(tokens)[0]).sample


# Loop ----------------------------------------------------------------------------------------------------------------


def _train(
    loss: Callable[[torch.Generator], dict[str, Tensor]],
    show: Callable[[int], dict[str, float]],
    network: nn.Module,
    optimizer: Any,
    schedule: Any,
    *,
    steps: range,
    average: EMAModel | None = None,
    accelerator: Accelerator,
    run: Run,
    config: TinyDiffusion,
    first: int,
) -> dict[str, float]:
    """Train one network through the given steps of the run, from `first` on; return the last scores."""
    meter, scores, started = Meter(), {}, time.perf_counter()
    network.train()
    todo = range(max(first, steps.start), steps.stop)
    for step in tqdm(todo, initial=todo.start, total=steps.stop, mininterval=1,
                     disable=None if accelerator.is_local_main_process else True):  # fmt: skip
        # All that is random in a step follows from its number, so that a resumed run meets the same.
        terms = loss(seeded("step", config.seed, step, accelerator.process_index))
        rate = optimizer.param_groups[0]["lr"]
        require_finite(terms["loss"].item(), step, rate)
        accelerator.backward(terms["loss"])
        accelerator.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        if average is not None:
            average.step(network.parameters())
        meter.add(**{name: value.item() for name, value in terms.items()})
        done = step + 1
        if done % config.log_every == 0 or done == steps.stop:
            speed = config.log_every / (time.perf_counter() - started)
            run.log(done, learning_rate=rate, steps_per_second=speed, **meter.read())
            started = time.perf_counter()
        if done % config.sample_every == 0 or done == steps.stop:
            scores = show(done)
            network.train()
            run.log(done, **scores)
            accelerator.print(f"step {done:,}: " + ", ".join(f"{name} {value:.4f}" for name, value in scores.items()))
            started = time.perf_counter()
        if done % config.checkpoint_every == 0 or done == steps.stop:
            run.save_checkpoint({"step": done})
    return scores or show(steps.stop)


# Pictures ------------------------------------------------------------------------------------------------------------


@torch.no_grad()
def _draw_classes(
    pipeline: StableDiffusionPipeline, prompts: Sequence[str], config: TinyDiffusion, title: str
) -> Image.Image:
    """Draw each prompt four times, from the same noise whatever the step."""
    pipeline.set_progress_bar_config(disable=True)
    count = 4 * len(prompts)
    chance = torch.Generator().manual_seed(1)
    drawn: Any = pipeline(
        [prompt for prompt in prompts for _ in range(4)],
        num_inference_steps=25,
        guidance_scale=config.guidance,
        generator=chance,
        output_type="pt",
    )
    pictures = [to_picture(image) for image in drawn.images.float()]
    rows = [pictures[start : start + 20] for start in range(0, count, 20)]
    rows[-1] += [Image.new("RGB", pictures[0].size, "white")] * (len(rows[0]) - len(rows[-1]))
    return draw_grid(rows, side=config.image_size, title=title)


def _save_sheets(folder: Path, sheet: Image.Image, *names: str) -> None:
    (folder / "samples").mkdir(exist_ok=True)
    save_picture(sheet, folder / "samples" / names[0])
    save_picture(sheet, folder / names[1])
