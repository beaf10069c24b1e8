"""What the perceptual term costs in a LoRA step: gated by signal-to-noise or not, decoder checkpointed or not, by arm.

    python benchmarks/lora_step.py                                     the tiny base, 64 pixels, batch 8
    python benchmarks/lora_step.py --model sd15 --pixels 256 --batch 1  Stable Diffusion 1.5's sizes, random weights

Every variant takes the same steps on the same latents, noise and timesteps, spread evenly over all, in turn, in one
run; the time of a step is the mean, since a gated step is cheap or dear. Arithmetic (of matrix products, convolutions
and attention, by torch's counter) and peak memory are measured in a fresh process for each variant; memory is that of
the allocator on a GPU, else by how much the process grows over its steps.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any, get_args

import torch
from diffusers.models.attention_processor import AttnProcessor
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch.utils.flop_counter import FlopCounterMode

from peak_memory import peak_growth
from sketchloss import SketchLoss, load_backbone
from sketchloss.diffusion.denoising import Denoising
from sketchloss.diffusion.perceptual import LatentPerceptualLoss
from sketchloss.diffusion.pipeline import NOISE_SCHEDULE, build_tiny
from sketchloss.diffusion.quiet import quiet
from sketchloss.diffusion.schedules import noise_schedule
from sketchloss.figures.tables import markdown_table
from sketchloss.lora.adapters import add_lora
from sketchloss.loss.loss import PAPER_LAYERS
from sketchloss.system.memory import reuse_freed_memory
from sketchloss.training.accelerator import TrainingPrecision, dtype_of

PLAIN = "plain LoRA"
USUAL: dict[str, Any] = {"downsample": "max", "gate": "snr", "target": "latent", "part": 1.0, "checkpoint": False}
# Of each variant, what it changes of the usual.
VARIANTS: dict[str, dict[str, Any]] = {
    PLAIN: {},
    "every sample": {"gate": "none"},
    "every sample, decoder checkpointed": {"gate": "none", "checkpoint": True},
    "gated": {},
    "gated, decoder checkpointed": {"checkpoint": True},
    "gated, against the picture": {"target": "image"},
    "gated, a window of half the side": {"part": 0.5},
    "every sample, gates in place of pools": {"gate": "none", "downsample": "none"},
    "gated, gates in place of pools": {"downsample": "none"},
}
# The public configuration of Stable Diffusion 1.5; what is left out is diffusers' default, which was made for it.
SD15_UNET: dict[str, Any] = {"sample_size": 64, "cross_attention_dim": 768}
SD15_AUTOENCODER: dict[str, Any] = {
    **{"block_out_channels": (128, 256, 512, 512), "layers_per_block": 2, "latent_channels": 4, "sample_size": 512},
    **{"down_block_types": ("DownEncoderBlock2D",) * 4, "up_block_types": ("UpDecoderBlock2D",) * 4},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=("tiny", "sd15"), default="tiny")
    parser.add_argument("--pixels", type=int, default=64)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--precision", choices=get_args(TrainingPrecision), default="bf16")
    parser.add_argument("--steps", type=int, default=24, help="of each variant")
    parser.add_argument("--checkpoint-unet", action="store_true")
    parser.add_argument("--variants", nargs="*", choices=tuple(VARIANTS), default=list(VARIANTS))
    parser.add_argument("--costs-of", choices=tuple(VARIANTS), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.costs_of:
        print(json.dumps(measure_costs(options)))
        return

    reuse_freed_memory()  # `sketchloss lora train` does so too
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    steps = {name: prepare(name, options, device) for name in options.variants}
    seconds = dict.fromkeys(steps, 0.0)
    for step in steps.values():  # warm up, in the step that has most to do
        step(0)
    for number in range(options.steps):
        for name, step in steps.items():
            synchronize(device)
            start = time.perf_counter()
            step(number)
            synchronize(device)
            seconds[name] += time.perf_counter() - start
    plain = seconds[next(iter(seconds))]
    del steps
    costs = {name: in_fresh_process(name) for name in seconds}
    least = costs[next(iter(seconds))]["flops"]
    rows = [
        [
            *(name, f"{spent / options.steps:.3g}", f"{spent / plain:.2f}x", f"{costs[name]['flops'] / least:.2f}x"),
            f"{costs[name]['memory'] / 2**20:,.0f}",
        ]
        for name, spent in seconds.items()
    ]
    threads = f", {torch.get_num_threads()} threads" if device.type == "cpu" else ""
    print(f"{options.model}, {options.pixels} pixels, batch {options.batch}, {options.precision}, {device}{threads}\n")
    print(markdown_table(["perceptual term", "s/step", "time", "arithmetic", "peak memory (MiB)"], rows))


def in_fresh_process(name: str) -> dict[str, float]:
    command = [sys.executable, *sys.argv, "--costs-of", name]
    return json.loads(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, timeout=3600).stdout)


def measure_costs(options: argparse.Namespace) -> dict[str, float]:
    """Return the peak memory in bytes, and the floating-point operations of a step in the mean."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    step = prepare(options.costs_of, options, device)

    def some_steps() -> None:
        for number in range(3):
            step(number)

    if device.type == "cuda":
        some_steps()
        memory = torch.cuda.max_memory_allocated(device)
    else:
        memory = peak_growth(some_steps)
    with FlopCounterMode(display=False) as counter:
        for number in range(options.steps):
            step(number)
    return {"memory": memory, "flops": counter.get_total_flops() / options.steps}


def prepare(name: str, options: argparse.Namespace, device: torch.device) -> Callable[[int], None]:
    """Return a training step of a variant, which is given its number."""
    variant = USUAL | VARIANTS[name]
    dtype = dtype_of(options.precision, device.type)
    torch.manual_seed(0)
    unet: Any
    autoencoder: Any
    if options.model == "tiny":
        pipeline = build_tiny(["a sketch of a cat"])
        unet, autoencoder, factor = pipeline.unet, pipeline.vae, 4
    else:
        unet, autoencoder, factor = UNet2DConditionModel(**SD15_UNET), AutoencoderKL(**SD15_AUTOENCODER), 8
    with quiet():
        unet, autoencoder = unet.to(device, dtype), autoencoder.to(device, dtype)
    trained = add_lora(unet, rank=16, seed=0)
    if device.type == "cpu" and options.model == "tiny":
        unet.set_attn_processor(AttnProcessor())
    if options.checkpoint_unet:
        unet.enable_gradient_checkpointing()
    optimizer = torch.optim.AdamW(trained, lr=1e-4)
    scheduler = noise_schedule({"_class_name": "DDIMScheduler", **NOISE_SCHEDULE})
    perceptual = None
    if name != PLAIN:
        if variant["checkpoint"]:
            autoencoder.enable_gradient_checkpointing()
        backbone = load_backbone("sketch", downsample=variant["downsample"], classes=())
        loss = SketchLoss(backbone, layers=PAPER_LAYERS, metric="l1", reduction="none", check=False)
        perceptual = LatentPerceptualLoss(
            autoencoder, loss, gate=variant["gate"], target=variant["target"], part=variant["part"]
        ).to(device)
    denoising = Denoising(scheduler, perceptual)

    chance = torch.Generator().manual_seed(0)
    side = options.pixels // factor
    clean = torch.randn(options.batch, 4, side, side, generator=chance).to(device)
    words = torch.randn(
        options.batch, 16 if options.model == "tiny" else 77, unet.config.cross_attention_dim, generator=chance
    ).to(device, dtype)
    images = torch.rand(options.batch, 3, options.pixels, options.pixels, generator=chance).to(device)
    count = options.steps * options.batch
    # As many timesteps of each height in every part of the run; from least noise, so that a warm-up passes the gate.
    times = torch.linspace(0, len(scheduler) - 1, count).long().view(options.batch, options.steps).T.contiguous()

    def step(number: int) -> None:
        noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(number)).to(device)
        with torch.autocast(device.type, dtype, enabled=dtype is not torch.float32):
            terms = denoising(unet, clean, noise, times[number].to(device), words, images, (0.5, 0.5))
        (terms.noise + terms.perceptual).backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


if __name__ == "__main__":
    main()
