"""Prompt to sketch with the perceptual term of each arm and without it (Seo 2025, Table 2 and Figure 3).

    sketchloss lora table --preset demo --out runs/table               on the built-in doodles and `tiny`
    sketchloss lora table --preset small --tuning runs/tuning --seeds 5 --out runs/table2
    sketchloss lora table --preset paper --tuning runs/paper-tuning --attention-tuning runs/paper-attention \\
        --inception FILE --out runs/paper

For every arm and seed one LoRA is trained (`lora train`), which then draws every class. A classifier trained on the
same true drawings judges them. `--resume` trains and draws only what is not there yet.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from diffusers.models.attention_processor import AttnProcessor
from jaxtyping import Float, UInt8
from PIL import Image
from safetensors import SafetensorError, safe_open
from torch import Tensor
from tqdm import tqdm

from sketchloss.data.captions.captioned import Captioned
from sketchloss.data.captions.prompts import readable
from sketchloss.data.loading import hold_if_small, load_batches, to_unit_range
from sketchloss.diffusion.pipeline import load_text_to_image
from sketchloss.experiments.prompts.settings import LoraTable
from sketchloss.experiments.prompts.table import BASE_ROW, PLAIN, TRUE_ROW, section
from sketchloss.experiments.prompts.training import RESULT, latent_diffusion
from sketchloss.experiments.prompts.training_settings import LatentDiffusion
from sketchloss.experiments.section import Figure, write_results
from sketchloss.figures.grid import draw_grid
from sketchloss.lora.adapters import find_lora, load_lora
from sketchloss.lora.networks import open_networks, open_term
from sketchloss.lora.prompted import open_prompted
from sketchloss.lora.sampling import draw
from sketchloss.lora.settings import LoraSettings
from sketchloss.metrics.clip_score import ClipScorer
from sketchloss.metrics.distances import distribution_distance
from sketchloss.metrics.extractors import embed_images, open_extractors, shared_layer
from sketchloss.metrics.features import pixels_digest
from sketchloss.networks.judge import Judge, JudgeConfig, load_judge, save_judge
from sketchloss.system.files import read_json, write_tensors
from sketchloss.system.images import save_picture, to_picture
from sketchloss.system.memory import reuse_freed_memory
from sketchloss.training.accelerator import dtype_of, new_accelerator
from sketchloss.training.held_folder import hold_run_folder
from sketchloss.training.run import check_run_folder, open_run_folder
from sketchloss.training.train_judge import train_judge

BATCH = 16
Drawings: TypeAlias = UInt8[Tensor, "n 3 s s"]


def lora_table(config: LoraTable) -> dict[str, Any]:
    """Run `sketchloss lora table`.

    Returns:
        What `results.json` holds: `rows`, one for each arm and reference, with a list of measures, one for each seed.

    Raises:
        ValueError: as `LoraTable`, `open_captioned` and `latent_diffusion`.
        TrainingStopped: if a loss is not finite.
    """
    if not config.extractor_layer:
        config = replace(config, extractor_layer=shared_layer(config.extractors))  # so that config.json names it
    check_run_folder(config.out, config, config.resume)
    with hold_run_folder(config.out):
        return _lora_table(config)


def _lora_table(config: LoraTable) -> dict[str, Any]:
    # Set-up ----------------------------------------------------------------------------------------------------------
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    reuse_freed_memory()
    backbones = config.arms()
    arms = [*backbones, *([PLAIN] if not config.only or PLAIN in config.only else [])]
    # A mistake in any of these is said before the first hour, not after.
    new_accelerator(config.precision, seed=config.seed)
    pipeline, _ = open_networks(config, arms[0], torch.device("cpu"))
    for arm in backbones[1:]:
        open_term(config, arm, pipeline)
    for arm in backbones:
        for run in range(1, min(config.seeds, len(config.entries()[arm].weights))):
            config.load(arm, run)
    del pipeline
    extractors = open_extractors(
        config.extractors,
        layer=config.extractor_layer,
        image_size=config.image_size,
        inception=config.inception,
        device=device,
    )
    scorer = ClipScorer(config.clip_model, device=device) if config.clip_model else None

    # Data ------------------------------------------------------------------------------------------------------------
    opened = open_prompted(config, config.data, print)
    if len(opened.classes) < 2:
        raise ValueError(f"{config.data} has no classes to tell apart: give two class folders or more, or a data set")
    if twins := [prompt for prompt in opened.class_prompts if opened.class_prompts.count(prompt) > 1]:
        names = [name for name, prompt in zip(opened.classes, opened.class_prompts, strict=True) if prompt == twins[0]]
        raise ValueError(
            f"classes {' and '.join(names)} have one prompt, {twins[0]!r}: rename one or put them together"
        )
    JudgeConfig(tuple(opened.classes), config.image_size)  # says if it cannot judge these
    learnt, held = opened.split(config.held_out, seed=config.split_seed)
    wanted = len(opened.classes) * config.drawings
    # Equal numbers for all: Fréchet distances depend on them.
    compared = min(wanted, len(held), len(learnt))
    if compared < 2:
        raise ValueError(f"{config.data} has {len(held)} held-out drawings to compare with: raise --held-out")
    pixels = pixels_digest(hold_if_small(opened, workers=config.workers), workers=config.workers)
    known = hashlib.sha256(json.dumps([pixels, opened.captions, config.split_seed]).encode()).hexdigest()
    open_run_folder(config.out, config, config.resume, data=known)
    judge = _judge(config, learnt, held, device)
    extractors.insert(0, judge.extractor())

    # Training and drawing --------------------------------------------------------------------------------------------
    drawn: dict[str, list[Drawings]] = {}
    trained: dict[str, Any] = {}
    for run in range(config.seeds):
        for arm in arms:
            training = _training(config, arm, run)
            if not _is_trained(training):
                print(f"\n{arm}, seed {training.seed}")
                latent_diffusion(training)
            trained = read_json(training.out / RESULT)
            drawn.setdefault(arm, []).append(_drawings(config, opened.class_prompts, training.out / "lora", run))
    base = _drawings(config, opened.class_prompts, None, 0) if config.references else None

    # Evaluation ------------------------------------------------------------------------------------------------------
    true = _decoded(held, compared, config)
    features = [embed_images(extractor, _batches(true, device)) for extractor in extractors]
    labels = torch.arange(len(opened.classes)).repeat_interleave(config.drawings)
    prompts = [prompt for prompt in opened.class_prompts for _ in range(config.drawings)]

    def distances(images: Drawings) -> list[dict[str, Any]]:
        return [
            asdict(
                distribution_distance(
                    embed_images(extractor, _batches(images, device)),
                    known,
                    extractor_name=extractor.name,
                    bootstrap=0,
                )
            )
            for extractor, known in zip(extractors, features, strict=True)
        ]

    def measures(images: Drawings) -> dict[str, Any]:
        # The same places for all: of each class as many, or one more.
        some = images[torch.linspace(0, len(images) - 1, compared).round().long()]
        clip = asdict(scorer.measure(images / 255, prompts)) if scorer else None
        accuracy = judge.accuracy_of(images / 255, labels)
        return {"class_accuracy": accuracy, "clip": clip, "distances": distances(some)}

    rows = {arm: [measures(images) for images in of_seeds] for arm, of_seeds in drawn.items()}
    if base is not None:
        rows[BASE_ROW] = [measures(base)]
        others = _decoded(learnt, compared, config)
        rows[TRUE_ROW] = [{"class_accuracy": judge.accuracy, "clip": None, "distances": distances(others)}]

    # Report ----------------------------------------------------------------------------------------------------------
    results = {
        "format": "sketchloss lora table",
        **{name: getattr(config, name) for name in _REPORTED},
        **{"classes": len(opened.classes), "learnt": len(learnt), "compared": compared, "steps": trained["steps"]},
        "judge": {"accuracy": judge.accuracy, "held": judge.config.held, "steps": judge.config.steps},
        "weights": {arm: list(dict.fromkeys(config.weights_of(arm, run) for run in range(config.seeds)))
                    for arm in backbones},
        "rows": rows,
    }  # fmt: skip
    shown = {**({} if base is None else {"base": base}), **{arm: of_seeds[0] for arm, of_seeds in drawn.items()}}
    figure = Figure(
        "What the base and the LoRA of each arm draw, from the same noise",
        lambda path: save_picture(_figure(config, opened, true_ones=held, drawn=shown), path),
    )
    write_results(config.out, results, [section([results]).with_figures({"figure.png": figure})])
    return results


_REPORTED = (
    *("data", "base", "template", "image_size", "batch_size", "accumulate", "seeds", "seed", "rank", "targets"),
    *("drawings", "drawing_steps", "guidance", "perceptual_weight", "balance", "gate", "minimum_snr", "target"),
    *("decoded_part", "only", "references"),
)


# Data ----------------------------------------------------------------------------------------------------------------


def _decoded(pictures: Captioned, count: int, config: LoraTable) -> Drawings:
    """Return so many pictures, spread evenly over the set, which is in the order of its classes."""
    places = np.linspace(0, len(pictures) - 1, count).round().astype(np.int64)
    batches = load_batches(pictures.select(places), batch_size=BATCH, workers=config.workers)
    return torch.cat([batch["image"] for batch in batches])


def _batches(images: Drawings, device: torch.device) -> Iterator[Float[Tensor, "n 3 s s"]]:
    return (to_unit_range(part.to(device)) for part in images.split(BATCH))


# Judges --------------------------------------------------------------------------------------------------------------


def _judge(config: LoraTable, learnt: Captioned, held: Captioned, device: torch.device) -> Judge:
    """Return the classifier, trained once on what the LoRAs are trained on."""
    folder = config.judge or config.out / "judge"
    if config.judge or (folder / "config.json").is_file():
        judge = load_judge(folder)
        if list(judge.classes) != learnt.classes or judge.config.image_size != config.image_size:
            raise ValueError(f"{folder} judges other classes or another size: leave --judge out to train one")
        seen = pixels_digest(hold_if_small(learnt, workers=config.workers), workers=config.workers)
        if judge.config.pixels != seen:  # it may know the held-out drawings, or not the others
            raise ValueError(f"{folder} was trained on other drawings than these: leave --judge out to train one")
    else:
        print("Judge: training a classifier on the true drawings")
        judge = train_judge(
            learnt.sketches, held.sketches, steps=config.judge_steps, device=device, workers=config.workers
        )
        save_judge(judge, folder)
    print(f"Judge: {judge.accuracy:.1%} of {judge.config.held:,} held-out true drawings classified rightly")
    return judge.to(device)


# Training ------------------------------------------------------------------------------------------------------------


def _training(config: LoraTable, arm: str, run: int) -> LatentDiffusion:
    settings: dict[str, Any] = {item.name: getattr(config, item.name) for item in fields(LoraSettings)}
    settings["seed"] = config.seed + run
    known = config.entries()
    for entry in known.values():  # of several weights of an arm, one for each seed
        if entry.tuning is not None and entry.weights:
            settings |= entry.settings(entry.weights_of(run))
    out = config.out / "runs" / f"{arm}-{config.seed + run}"
    begun = (out / "config.json").is_file()
    named = arm if arm == PLAIN else known[arm].named(run)
    return LatentDiffusion(data=config.data, out=out, arm=named, resume=begun, **settings)


def _is_trained(training: LatentDiffusion) -> bool:
    """Tell whether a LoRA was trained to the end, with these settings.

    Raises:
        ValueError: if it was trained with others.
    """
    if training.resume:
        check_run_folder(training.out, training, resume=True)
    return (training.out / RESULT).is_file()


# Drawing -------------------------------------------------------------------------------------------------------------


def _drawings(config: LoraTable, prompts: Sequence[str], lora: Path | None, run: int) -> Drawings:
    """Return what a LoRA draws, or the base: of each prompt so many; from the disk if they were drawn before."""
    seeds = [config.drawings * run + number for number in range(config.drawings)]
    settings = {"prompts": list(prompts), "seeds": seeds, "steps": config.drawing_steps, "guidance": config.guidance}
    known = json.dumps({**settings, "base": config.base, "size": config.image_size, "lora": _file_digest(lora)})
    file = (lora.parent if lora else config.out) / "drawings.safetensors"
    try:
        with safe_open(file, "pt") as stored:
            if (stored.metadata() or {}).get("settings") == known:
                return stored.get_tensor("drawings")
    except (OSError, SafetensorError):
        pass
    device = "cuda" if torch.cuda.is_available() else "cpu"
    pipeline = load_text_to_image(config.base, dtype=dtype_of(config.precision, device)).to(device)
    if lora:
        load_lora(pipeline, lora)
    if device == "cpu":
        pipeline.unet.set_attn_processor(AttnProcessor())  # as in the training
    how = {"steps": config.drawing_steps, "guidance": config.guidance, "size": config.image_size, "batch_size": BATCH}
    with tqdm(total=len(prompts) * len(seeds), desc="drawing", disable=None, leave=False) as bar:
        drawn = draw(pipeline, prompts, seeds, **how, progress=bar.update)
        drawings = torch.stack([torch.from_numpy(np.array(drawing.picture)).permute(2, 0, 1) for drawing in drawn])
    write_tensors(file, {"drawings": drawings.contiguous()}, {"settings": known})
    return drawings


def _file_digest(lora: Path | None) -> str | None:
    if lora is None:
        return None
    with find_lora(lora).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _figure(config: LoraTable, opened: Captioned, true_ones: Captioned, drawn: dict[str, Drawings]) -> Image.Image:
    """Draw Figure 3: a class in each column, in the rows a true sketch, the base and the arms."""
    classes = np.linspace(0, len(opened.classes) - 1, min(config.examples, len(opened.classes))).round().astype(int)
    labels = true_ones.labels
    assert labels is not None
    firsts = [next(iter(np.flatnonzero(labels == label)), None) for label in classes]
    blank = Image.new("RGB", (config.image_size, config.image_size), "white")
    rows = [[blank if place is None else true_ones.picture(int(place)) for place in firsts]]
    rows += [[to_picture(images[label * config.drawings] / 255) for label in classes] for images in drawn.values()]
    names = [readable(opened.classes[label]) for label in classes]
    return draw_grid(rows, side=max(96, config.image_size), row_names=("true sketch", *drawn), column_names=names)
