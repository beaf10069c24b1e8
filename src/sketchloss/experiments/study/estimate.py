"""What a study would take: its cells, steps and memory, counted, and its time on a device of known speed."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import torch

from sketchloss.comparison import FEWEST_SEEDS
from sketchloss.data.photos import open_photos
from sketchloss.data.sources import open_sketches
from sketchloss.models.embedder import Embedder, EmbedderConfig
from sketchloss.models.stylizer import Stylizer, StylizerConfig
from sketchloss.networks.arms import ARMS
from sketchloss.networks.backbone import freeze
from sketchloss.networks.own_layers import content_layer_for, layers_for
from sketchloss.recipes.study.cells import Cell, CellStore
from sketchloss.recipes.study.counted import Network, count_forward, feature_shape, tuning_memory
from sketchloss.recipes.study.device_speed import HERE, Speed, speed_of
from sketchloss.recipes.study.offline import offline
from sketchloss.recipes.study.plan import plan_cells, start_of
from sketchloss.recipes.study.running import CELLS, format_seconds
from sketchloss.recipes.study.settings import PARTS, Study
from sketchloss.report.lora_table import PLAIN
from sketchloss.report.tables import markdown_table
from sketchloss.training.resources import count_multiply_adds, peak_training_memory
from sketchloss.training.sizes import StepSizes

#: Published counts of data sets, for a plan made where they are not: pictures and classes.
PUBLISHED = {"songweig/imagenet_sketch": (50_889, 1_000), "detection-datasets/coco": (118_288, 0)}
#: Seconds that a cell takes beside its arithmetic: opening data and weights, pictures, tables.
OVERHEAD = 4.0
#: Seconds that a training step takes beside its arithmetic: starting hundreds of kernels, fetching a batch. With small
#: batches on a large card it is most of the time.
STEP_OVERHEAD = 0.03


@dataclass(frozen=True)
class Load:
    """What a cell takes."""

    multiply_adds: float | int
    """Of everything, backward passes included."""
    steps: int | None = None
    """Of its training."""
    count_memory: Callable[[], int] | None = None
    """Counts `memory`, which takes longer than all the rest."""
    assumed: str = ""
    """What was not looked at but taken from publications."""
    precision: str = "bf16"
    """Arithmetic of nearly all of it: `no` for float32, `bf16`, `fp16`."""

    @property
    def memory(self) -> int | None:
        """Peak bytes of tensors in a training step; None where there is none."""
        return self.count_memory() if self.count_memory else None


def describe_plan(config: Study) -> list[dict[str, Any]]:
    """Print what a study would do and return it, a row for each part. Nothing is fetched, whatever is missing.

    Raises:
        ValueError: for data whose size is neither known nor to be found on this disk.
    """
    with offline():
        here = _measure_speed(config)
        speed = here if config.device_speed == HERE else speed_of(config.device_speed)
        plan = _plan(config, speed)
        savings = _savings(config, speed, plan)
        on_this = math.fsum(row["seconds"] for row in _plan(config, here, memory=False))
    print(_in_words(config, plan, speed, here, on_this, savings))
    return plan


def _plan(config: Study, speed: Speed, *, memory: bool = True) -> list[dict[str, Any]]:
    store = CellStore(config.out / CELLS, plan_cells(config), started=math.inf)
    plan = []
    for part in dict.fromkeys(cell.part for cell in store):
        cells = [cell for cell in store if cell.part == part]
        loads = [load_of(config, cell) for cell in cells]
        left = [load for cell, load in zip(cells, loads, strict=True) if store.state(cell.name) != "done"]
        steps = sorted({load.steps for load in loads if load.steps})
        plan.append(
            {
                **{"part": part, "cells": len(cells), "done": len(cells) - len(left), "steps": steps},
                "memory": max((load.memory or 0 for load in loads), default=0) or None if memory else None,
                "seconds": math.fsum(_seconds(load, speed) for load in left),
                "multiply_adds": sum(load.multiply_adds for load in loads),
                "assumed": sorted({load.assumed for load in loads if load.assumed}),
            }
        )
    return plan


def _seconds(load: Load, speed: Speed) -> float:
    return OVERHEAD + STEP_OVERHEAD * (load.steps or 0) + speed.seconds(load.multiply_adds, load.precision)


def _savings(config: Study, speed: Speed, plan: list[dict[str, Any]]) -> list[tuple[float, str]]:
    """Return what would be saved by leaving something out, the most first: seconds, and the flags."""
    parts = config.only or PARTS
    saved: list[tuple[float, str]] = []
    for part in parts:
        # Nothing can be measured without tuned arms, and separation needs the heads of retrieval.
        without = {part, *(["separation"] if part == "retrieval" else [])}
        rest = [name for name in parts if name not in without]
        if rest and part != "tuning" and not (part == "separation" and "retrieval" not in parts):
            saved.append((sum(row["seconds"] for row in plan if row["part"] in without), f"--only {' '.join(rest)}"))
    smaller: dict[str, Study] = {}
    if config.downsample == "none":
        smaller["--downsample max"] = replace(config, downsample="max")
    if config.generator_seeds > 1:
        smaller[f"--generator-seeds 1 (no verdicts on generators: these need {FEWEST_SEEDS})"] = replace(
            config, generator_seeds=1
        )
    whole = sum(row["seconds"] for row in plan)
    for flags, less in smaller.items():
        saved.append((whole - sum(row["seconds"] for row in _plan(less, speed, memory=False)), flags))
    return sorted((found for found in saved if found[0] > 0.01 * whole), reverse=True)


def _in_words(
    config: Study,
    plan: list[dict[str, Any]],
    speed: Speed,
    here: Speed,
    on_this: float,
    savings: list[tuple[float, str]],
) -> str:
    rows = [
        [
            *(row["part"], f"{row['cells']}", f"{row['done']}"),
            " or ".join(f"{steps:,}" for steps in row["steps"]) or "-",
            f"{row['memory'] / 2**30:.1f} GiB" if row["memory"] else "-",
            f"{row['multiply_adds']:.2g}",
            _hours(row["seconds"]),
            format_seconds(row["seconds"]),
        ]
        for row in plan
    ]
    header = ["part", "cells", "done", "steps of a training", "memory", "multiply-adds", "hours", "or"]
    total = math.fsum(row["seconds"] for row in plan)
    workers = config.workers or max(1, torch.cuda.device_count())
    shared = f", {format_seconds(total / workers)} with {workers} processes on as many devices" if workers > 1 else ""
    lines = [
        markdown_table(header, rows),
        "",
        f"What is left: about {_hours(total)} hours of {speed.device}, {format_seconds(total)}{shared}. {speed.basis} "
        f"{STEP_OVERHEAD:g} seconds a step and {OVERHEAD:g} a cell come on top and are counted.",
    ]
    if speed is not here:
        lines.append(f"On {here.device}: {format_seconds(on_this)}. {here.basis} --device-speed counts for another.")
    for saved, flags in savings[:MOST_SAVINGS]:
        lines.append(f"Saves {_hours(saved)} hours, {saved / total:.0%}: {flags}")
    lines.append(
        "Memory: weights, gradients, Adam's states and what is kept for the backward pass, counted; libraries take "
        "up to a third on top."
    )
    assumed = [text for row in plan for text in row["assumed"]]
    return "\n".join([*lines, *(f"Not opened: {text}." for text in dict.fromkeys(assumed))])


def _hours(seconds: float) -> str:
    hours = seconds / 3600
    return f"{hours:,.0f}" if hours >= 10 else f"{hours:.1f}" if hours >= 1 else f"{hours:.2f}"


#: Ways to save time that a plan names.
MOST_SAVINGS = 4


# Cells ---------------------------------------------------------------------------------------------------------------


def load_of(config: Study, cell: Cell) -> Load:
    """Return what a cell takes."""
    settings: Any = cell.settings
    match cell.part:
        case "tuning" | "ablation":
            return _tuning_load(settings)
        case "retrieval":
            return _retrieval_load(network_of(config, cell), settings)
        case "style":
            return _style_load(network_of(config, cell), settings)
        case "lora":
            return _lora_load(None if cell.arm == PLAIN else network_of(config, cell), settings)
        case "probe":
            images = settings["drawings"] * PROBE_EDITS
            forward = count_forward(network_of(config, cell), settings["image_size"])
            return Load(images * 2 * forward, precision="no")
        case _:
            return Load(0.0)


def network_of(config: Study, cell: Cell) -> Network:
    """Return the network of a cell's arm."""
    arm = config.entries()[cell.arm]
    attention = None if arm.gates == "any" else arm.gates != "none"
    return Network(start_of(config, arm, cell.seed), attention, config.downsample)


#: Pictures that a probe looks at for each drawing, about.
PROBE_EDITS = 45


def _tuning_load(settings: dict[str, Any]) -> Load:
    count, classes, assumed = _count(
        settings["data"], settings["per_class"], settings["seed"], tuple(settings["leave_out"])
    )
    # At least one of a class is held out, and no class wholly.
    train = count - classes * min(max(1, round(count / classes * settings["held_out"])), max(1, count // classes - 1))
    steps = settings["epochs"] * math.ceil(train / settings["batch_size"])
    network = Network(settings["weights"], ARMS[settings["arm"]].gates != "none", settings["downsample"])
    sizes = StepSizes(tuple(settings["image_sizes"]), settings["size_shares"] and tuple(settings["size_shares"]))
    an_image = math.fsum(
        share * count_forward(network, size) for size, share in zip(sizes.sizes, sizes.shares, strict=True)
    )
    arithmetic = 3 * train * settings["epochs"] * an_image
    trained = (settings["head"], classes, settings["batch_size"], settings["precision"])
    memory = partial(tuning_memory, network, max(sizes.sizes), *trained)
    return Load(arithmetic, steps, memory, assumed, settings["precision"])


def _retrieval_load(network: Network, settings: dict[str, Any]) -> Load:
    count, classes, assumed = _count(settings["data"], settings["per_class"], settings["seed"])
    forward = count_forward(network, settings["image_size"], (settings["layer"],))
    channels, *sides = feature_shape(network, settings["image_size"], settings["layer"])
    numbers = channels * math.prod(min(settings["grid"], side) for side in sides)
    head = EmbedderConfig(numbers, tuple(map(str, range(classes))), hidden=settings["hidden"])
    with torch.device("meta"):
        weights = sum(weight.numel() for weight in Embedder(head).parameters())
    return Load(count * (forward + 3 * weights * settings["epochs"]), None, None, assumed, settings["precision"])


def _style_load(network: Network, settings: dict[str, Any]) -> Load:
    photos, assumed = settings["limit"], ""
    if photos is None:
        photos, _, assumed = _count(settings["content"], None, settings["seed"], photos=True)
    batch, size = settings["batch_size"], settings["image_size"]
    steps = settings["steps"] or settings["epochs"] * math.ceil(photos / batch)
    stylizer = _stylizer(settings["width"], settings["blocks"], size)
    # The network and the loss of what it draws, there and back; the loss network's own weights get no gradient.
    compared = layers_for(network.like, tuple(settings["style_layers"]))
    content = content_layer_for(network.like, settings["content_layer"])
    an_image = 3 * stylizer + 2 * count_forward(network, size, compared) + count_forward(network, size, (content,))
    memory = partial(_style_memory, settings["width"], settings["blocks"], network, size, compared, batch)
    return Load(steps * batch * an_image, steps, memory, assumed, settings["precision"])


def _lora_load(network: Network | None, settings: dict[str, Any]) -> Load:
    count, classes, assumed = _count(settings["data"], settings["per_class"], settings["seed"])
    held = classes * max(1, round(count / classes * settings["held_out"])) if settings["held_out"] else 0
    batch = settings["batch_size"] * settings["accumulate"]
    steps = settings["steps"] or settings["epochs"] * math.ceil((count - held) / batch)
    unet, decoder = _diffusion(settings["base"], settings["image_size"])
    perceptual = 0.0
    if network is not None:
        share = 1.0 if settings["gate"] == "none" else 0.25  # of the timesteps, those with an SNR of 3 and more
        size = round(settings["image_size"] * settings["decoded_part"])
        seen = count_forward(network, size, layers_for(network.like, tuple(settings["layers"])))
        perceptual = share * (4 * decoder * settings["decoded_part"] ** 2 + 3 * seen)
    # Every class is drawn, with guidance, that is in two passes a step of the denoising.
    drawing = classes * settings["drawings"] * (2 * settings["drawing_steps"] * unet + decoder)
    return Load(steps * batch * (3 * unet + perceptual) + drawing, steps, None, assumed, settings["precision"])


# Counting ------------------------------------------------------------------------------------------------------------


@cache
def _count(
    source: str, per_class: int | None, seed: int, leave_out: tuple[str, ...] = (), *, photos: bool = False
) -> tuple[int, int, str]:
    """Return how many pictures and classes a source has, and what was taken from publications."""
    if source in PUBLISHED:
        count, classes = PUBLISHED[source]
        if per_class:
            count = min(count, classes * per_class)
        return count, classes or 1, f"{source}, {count:,} pictures by publication"
    if photos:
        return len(open_photos(source, 64)), 1, ""
    sketches = open_sketches(source, 64, per_class=per_class, seed=seed)
    if leave_out:
        sketches = sketches.select_classes(leave_out, leave_out=True)
    return len(sketches), len(sketches.classes), ""


@cache
def _stylizer(width: float, blocks: int, size: int) -> int:
    config = StylizerConfig(width=width, blocks=blocks)
    return count_multiply_adds(lambda: Stylizer(config)(torch.rand(1, 3, size, size)))


@cache
def _style_memory(width: float, blocks: int, network: Network, size: int, layers: tuple[str, ...], batch: int) -> int:
    class Both(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stylizer = Stylizer(StylizerConfig(width=width, blocks=blocks))
            self.backbone = freeze(network.build())

    def loss(both: Any) -> torch.Tensor:
        taps = both.backbone(both.stylizer(torch.rand(batch, 3, size, size)), layers)
        return torch.stack([features.float().square().mean() for features in taps.values()]).sum()

    return peak_training_memory(Both, loss)


@cache
def _diffusion(base: str, size: int) -> tuple[int, int]:
    """Return the multiply-adds of a UNet and of a decoder pass; of a base that is not here, Stable Diffusion's."""
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

    from sketchloss.diffusion.bases import TINY
    from sketchloss.networks.weights import bundled_folder

    folder = bundled_folder(TINY) if base == TINY else Path(base)
    if folder.is_dir():
        unet_config: Any = UNet2DConditionModel.load_config(str(folder), subfolder="unet")
        vae_config: Any = AutoencoderKL.load_config(str(folder), subfolder="vae")
    else:  # the sizes of 1.4 and 1.5
        unet_config = {"cross_attention_dim": 768}
        vae_config = {
            **{"block_out_channels": (128, 256, 512, 512), "layers_per_block": 2, "latent_channels": 4},
            **{"down_block_types": ("DownEncoderBlock2D",) * 4, "up_block_types": ("UpDecoderBlock2D",) * 4},
        }
    halvings = len(vae_config["block_out_channels"]) - 1
    latents, channels = size // 2**halvings, vae_config["latent_channels"]

    def run_unet() -> None:
        unet: Any = UNet2DConditionModel.from_config(unet_config)
        words = torch.rand(1, 77, unet.config["cross_attention_dim"])
        unet(torch.rand(1, channels, latents, latents), torch.zeros(1), words)

    def run_decoder() -> None:
        vae: Any = AutoencoderKL.from_config(vae_config)
        vae.decode(torch.rand(1, channels, latents, latents))

    return count_multiply_adds(run_unet), count_multiply_adds(run_decoder)


def _measure_speed(config: Study) -> Speed:
    """Return the speed of training steps of the backbone on this machine, from two small ones after a third."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    precision = "no" if config.tuning_preset == "paper" else "bf16"
    # note: on a processor small pictures and batches are as fast as large ones, and a plan must not take long.
    size, most = (min(config.image_size, 224), 6e10) if device.type == "cuda" else (min(config.image_size, 64), 1e10)
    tuned = Network(config.weights, True, config.downsample)
    an_image = 3 * count_forward(tuned, size)
    batch = max(1, min(config.batch_size, int(most / an_image)))
    network = tuned.build().to(device, memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    images = torch.rand(batch, 3, size, size, device=device)
    start = 0.0
    for step in range(3):
        if step == 1:
            start = time.perf_counter()
        with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
            features = network(images, (network.embedding_layer,))[network.embedding_layer]
        features.float().mean().backward()
        if device.type == "cuda":
            torch.cuda.synchronize()
    rate = 2 * batch * an_image / (time.perf_counter() - start)
    basis = f"Measured on a few steps of tuning: {rate / 1e9:,.0f} billion multiply-adds a second."
    return Speed(rate, rate, "this machine", basis)
