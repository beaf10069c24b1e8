"""Prompt to sketch in a study: a LoRA for each arm and seed, and one without the term (Table 2, Figure 3)."""

import math
from collections.abc import Callable, Iterator, Mapping
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from PIL import Image
from safetensors.torch import load_file

from sketchloss.data.captions.captioned import Captioned, open_captioned
from sketchloss.data.captions.prompts import readable
from sketchloss.data.left_out import say_left_out
from sketchloss.diffusion.bases import TINY, find_base
from sketchloss.experiments.cells import RUN, Cell, CellStore, done
from sketchloss.experiments.experiment import Claim, Experiment, Load
from sketchloss.experiments.keys import decisive
from sketchloss.experiments.prompts.drawings import lora_table
from sketchloss.experiments.prompts.plan import PromptsPlan
from sketchloss.experiments.prompts.settings import PRESETS, LoraTable
from sketchloss.experiments.prompts.table import PLAIN, section
from sketchloss.experiments.section import Figure, Section
from sketchloss.experiments.tuning.counted import count_forward, count_pictures, network_of_cell
from sketchloss.experiments.tuning.plan import arm_paths, arm_settings, check_file, weights_needed, whose
from sketchloss.figures.grid import draw_grid
from sketchloss.networks.arms import Arm
from sketchloss.networks.own_layers import layers_for
from sketchloss.networks.weights import bundled_folder
from sketchloss.system.images import save_picture, to_picture
from sketchloss.training.resources import count_multiply_adds

CLASSES, SIDE = 8, 128


def cells(plan: PromptsPlan) -> Iterator[Cell]:
    """Yield a cell for each seed and arm, and for no perceptual term, which comes first: it trains the judge of all."""
    plain = Arm(name=PLAIN, option="photo", weights=(plan.weights,))
    for seed in plan.all_seeds(plan.generator_seeds):
        for arm in (plain, *plan.entries().values()):
            yield _cell(plan, arm, seed)


def _name(arm: str, seed: int) -> str:
    return f"lora/{arm}/{seed}"


def _cell(plan: PromptsPlan, arm: Arm, seed: int) -> Cell:
    name, judged_by = _name(arm.name, seed), _name(PLAIN, plan.seed)
    is_judge = name == judged_by
    settings: dict[str, Any] = {
        **PRESETS[plan.lora_preset],
        "data": plan.taught,
        "classes": plan.taught_classes,
        "base": plan.base,
        "inception": plan.inception,
        "clip_model": plan.clip_model,
        **({} if plan.teaching_steps is None else {"steps": plan.teaching_steps}),
        **arm_settings(plan, arm, seed),
    }

    def compute(run: Path, needs: Mapping[str, Path]) -> dict[str, Any]:
        # The references are the same for all: the first measures them.
        judge: dict[str, Any] = {} if is_judge else {"judge": needs[judged_by] / "judge", "references": False}
        resume = (run / "config.json").is_file()
        return lora_table(LoraTable(**settings, out=run, resume=resume, **judge, **arm_paths(arm, seed, needs)))

    return Cell(
        name,
        "lora",
        compute,
        decisive(LoraTable, settings),
        needs=(*weights_needed(arm, seed), *(() if is_judge else (judged_by,))),
        headline=lambda found: f"class accuracy {found['rows'][arm.name][0]['class_accuracy']:.1%}",
        **whose(plan, arm.name, seed),
    )


# What it takes -------------------------------------------------------------------------------------------------------


def load(plan: PromptsPlan, cell: Cell) -> Load:
    """Return what a training and its drawings take."""
    settings: Any = cell.settings
    count, classes, assumed = count_pictures(settings["data"], settings["per_class"], settings["seed"])
    if chosen := settings.get("classes"):
        count, classes = round(count * len(chosen) / classes), len(chosen)
    held = classes * max(1, round(count / classes * settings["held_out"])) if settings["held_out"] else 0
    batch = settings["batch_size"] * settings["accumulate"]
    steps = settings["steps"] or settings["epochs"] * math.ceil((count - held) / batch)
    unet, decoder = _count_passes(settings["base"], settings["image_size"])
    perceptual = 0.0
    if cell.arm != PLAIN:
        network = network_of_cell(plan, cell)
        share = 1.0 if settings["gate"] == "none" else 0.25  # of the timesteps, those with an SNR of 3 and more
        size = round(settings["image_size"] * settings["decoded_part"])
        seen = count_forward(network, size, layers_for(network.like, tuple(settings["layers"])))
        perceptual = share * (4 * decoder * settings["decoded_part"] ** 2 + 3 * seen)
    # Every class is drawn, with guidance, that is in two passes a step of the denoising.
    drawing = classes * settings["drawings"] * (2 * settings["drawing_steps"] * unet + decoder)
    return Load(steps * batch * (3 * unet + perceptual) + drawing, steps, None, assumed, settings["precision"])


@cache
def _count_passes(base: str, size: int) -> tuple[int, int]:
    """Return the multiply-adds of a UNet and of a decoder pass; of a base that is not here, Stable Diffusion's."""
    folder = bundled_folder(TINY) if base == TINY else Path(base)
    if folder.is_dir():
        unet_config: Any = UNet2DConditionModel.load_config(str(folder), subfolder="unet")
        vae_config: Any = AutoencoderKL.load_config(str(folder), subfolder="vae")
    else:  # the sizes of 1.4 and 1.5
        unet_config = {"cross_attention_dim": 768}
        vae_config = {
            "block_out_channels": (128, 256, 512, 512),
            "layers_per_block": 2,
            "latent_channels": 4,
            "down_block_types": ("DownEncoderBlock2D",) * 4,
            "up_block_types": ("UpDecoderBlock2D",) * 4,
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


# Data ----------------------------------------------------------------------------------------------------------------


def check(plan: PromptsPlan) -> None:
    """See that there are tuned weights for every seed."""
    plan.check_generators()


def open_data(plan: PromptsPlan, say: Callable[[str], object]) -> None:
    """Open the sketches and the model."""
    taught = _open_taught(plan, plan.image_size)
    say_left_out(plan.taught, taught.unreadable, taught.passed_over, say=say)
    find_base(plan.base)
    check_file(plan, "inception")


def _open_taught(plan: PromptsPlan, size: int) -> Captioned:
    """Open a sketch of each class."""
    taught = open_captioned(plan.taught, size, per_class=1)
    return taught.select_classes(plan.taught_classes) if plan.taught_classes else taught


# Report --------------------------------------------------------------------------------------------------------------


def sections(plan: PromptsPlan, store: CellStore) -> Iterator[Section]:
    """Yield the table, with Figure 3."""
    found = done(store, "lora")
    if not found:
        return
    made = section([result for _, result in found])
    if any(cell.seed == plan.seed for cell, _ in found):
        caption = "What the base and the LoRA of each arm draw, from the same noise (Figure 3)"
        made = made.with_figures({"figure-3.png": Figure(caption, partial(_draw, plan, store))})
    yield made


def _draw(plan: PromptsPlan, store: CellStore, path: Path) -> None:
    """Draw Figure 3: a class in each column; in the rows a true sketch, the base, and the first seed's LoRAs."""
    found: dict[str, tuple[int, Mapping[str, torch.Tensor]]] = {}
    for cell, result in done(store, "lora"):
        if cell.seed != plan.seed:
            continue
        run = store.place(cell.name) / RUN
        drawings = result["drawings"]
        if cell.arm == PLAIN:
            found["base"] = drawings, load_file(run / "drawings.safetensors")
        found[cell.arm] = drawings, load_file(run / "runs" / f"{cell.arm}-{cell.seed}" / "drawings.safetensors")
    true = _open_taught(plan, SIDE).sketches
    first = {int(label): place for place, label in reversed(list(enumerate(true.labels)))}
    classes = np.linspace(0, len(true.classes) - 1, min(CLASSES, len(true.classes))).round().astype(int).tolist()
    rows: list[list[Image.Image]] = [[true.picture(first[label]) for label in classes]]
    order = sorted(found, key=lambda name: name != "base")
    for name in order:
        each, drawings = found[name]
        rows.append([to_picture(drawings["drawings"][label * each] / 255) for label in classes])
    names = [readable(true.classes[label]) for label in classes]
    save_picture(draw_grid(rows, side=96, row_names=("true sketch", *order), column_names=names), path)


def differences(plan: PromptsPlan) -> Iterator[str]:
    """Yield what is smaller than in the paper, or otherwise."""
    yield f"Prompt to sketch: {plan.generators_in_words()}"
    if plan.clip_model is None:
        yield "No CLIP similarity (`--clip-model`): a classifier of true drawings judges instead."
    if plan.base == TINY:
        yield "Prompt to sketch: a text-to-image model of four million parameters, not Stable Diffusion 1.5."


EXPERIMENT = Experiment(
    name="lora",
    title="Prompt to sketch (Table 2, Figure 3)",
    cells=cells,
    sections=sections,
    load=load,
    claim=Claim("class_accuracy", "prompt to sketch, class accuracy"),
    check=check,
    open=open_data,
    differences=differences,
)
