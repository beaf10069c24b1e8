"""The commands of a trained LoRA: draw with it, merge it into the model that it was trained on.

    sketchloss lora sample --lora my-run --prompts 'a sketch of a cat' 'a sketch of a house' --out drawn
    sketchloss lora sample --lora my-run --class-file classes.txt --seeds 0 1 2 3 --out drawn
    sketchloss lora merge --lora my-run --out merged

In Python, see `sketchloss.lora`.
"""

import json
import re
import sys
import time
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image, PngImagePlugin
from tqdm import tqdm

from sketchloss.data.captions.prompts import TEMPLATE, check_template, make_prompts
from sketchloss.diffusion.bases import DEFAULT_BASE
from sketchloss.diffusion.pipeline import load_text_to_image, save_pipeline
from sketchloss.diffusion.quiet import StableDiffusionPipeline
from sketchloss.figures.grid import draw_grid
from sketchloss.lora.adapters import load_lora, merge_lora, read_about
from sketchloss.lora.options import LoraMerge, LoraSample
from sketchloss.lora.sampling import Drawing, draw, find_cut
from sketchloss.system.device import pick_device
from sketchloss.system.files import claim_folder, contents, read_json, write_atomic, write_json
from sketchloss.system.images import LARGEST_SIDE, fit_square, save_picture
from sketchloss.system.stored import show
from sketchloss.training.accelerator import dtype_of
from sketchloss.training.held_folder import hold_run_folder

KIND = "sampling"
RESULTS, GRID = "results.json", "grid.png"
# What of the pictures is shown in one: a page to look at, whatever their number and size.
GRID_ROWS, GRID_COLUMNS, GRID_SIDE = 40, 12, 192
SLUG, LABEL, NOTES = 40, 40, 5
LONGEST_PATH = 4096


# Sample --------------------------------------------------------------------------------------------------------------


def sample(config: LoraSample) -> dict[str, Any]:
    """Run `sketchloss lora sample`.

    Returns:
        What `OUT/results.json` holds: the settings, and for each picture `file`, `prompt` and `seed`.

    Raises:
        ValueError: for no prompts or files of them that cannot be read, as `load_text_to_image`, `load_lora`, `draw`;
            or if `out` holds anything but an earlier sampling.
        OSError: if a file cannot be written; those made before are whole.
    """
    with hold_run_folder(config.out):
        return _sample(config)


def _sample(config: LoraSample) -> dict[str, Any]:
    about = {} if config.lora is None else read_about(config.lora)
    if config.negative_prompt is not None:
        _check_readable("negative_prompt", config.negative_prompt)
    prompts = _gather_prompts(config, _choose_template(config, about))
    size = _choose_size(config, about)
    device = _choose_device(config)
    base = _choose_base(config.base, about)
    pipeline = load_text_to_image(base, dtype=dtype_of(config.precision, device))
    if config.lora is not None:
        load_lora(pipeline, config.lora, scale=config.lora_scale)
    pipeline.to(device)
    jobs = _name_files(prompts, config.seeds)
    bar = tqdm(total=len(jobs), disable=None, leave=False, bar_format="{l_bar}{bar}| {n:.1f}/{total_fmt} [{elapsed}]")
    drawings = draw(
        pipeline,
        prompts,
        config.seeds,
        steps=config.steps,
        guidance=config.guidance,
        negative_prompt=config.negative_prompt,
        size=size,
        batch_size=config.batch_size,
        progress=bar.update,
    )
    settings: dict[str, Any] = {"base": base, "steps": config.steps, "guidance": config.guidance}
    settings["precision"] = config.precision
    if config.lora is not None:
        settings |= {"lora": str(config.lora), "lora_scale": config.lora_scale}
    if config.negative_prompt is not None:
        settings["negative_prompt"] = config.negative_prompt
    listed = [{"file": file, "prompt": prompt, "seed": seed} for file, prompt, seed in jobs]
    results = {"format": f"sketchloss {KIND}", **settings, "drawings": listed}
    files = [file for file, _, _ in jobs]
    claim_folder(config.out, kind=KIND, made={RESULTS, GRID, *files, *_earlier_files(config.out)}, again=config.again)
    write_json(config.out / RESULTS, results)  # first: it says what is ours, should this be broken off
    _note_cut(pipeline, prompts, config.negative_prompt)

    start = time.perf_counter()
    shown: list[list[Image.Image]] = [[] for _ in prompts[:GRID_ROWS]]
    for number, (file, drawing) in enumerate(zip(files, drawings, strict=True)):
        _write_drawing(drawing, config.out / file, settings)
        row, column = divmod(number, len(config.seeds))
        if row < GRID_ROWS and column < GRID_COLUMNS:
            shown[row].append(fit_square(drawing.picture, min(GRID_SIDE, drawing.picture.width)))
    bar.close()
    seconds = (time.perf_counter() - start) / len(files)
    save_picture(_draw_sheet(shown, prompts, config.seeds), config.out / GRID)  # last: it says that all are done
    if config.json:
        sys.stdout.write(json.dumps({"out": str(config.out), "grid": GRID, **results}, ensure_ascii=False) + "\n")
    else:
        count = f"{len(files):,} drawing{'s' * (len(files) != 1)}"
        sys.stdout.write(f"{count} in {config.out}, {seconds:.2f} seconds each; {_describe(config, prompts)}\n")
    return results


def _gather_prompts(config: LoraSample, template: str) -> list[str]:
    given = list(config.prompts)
    if config.prompt_file is not None:
        given += _read_lines(config.prompt_file)
    classes = list(config.classes)
    if config.class_file is not None:
        classes += _read_lines(config.class_file)
    if not given and not classes:
        raise ValueError("no prompt is given: use --prompts, --prompt-file, --classes or --class-file")
    for what, texts in (("prompts", given), ("classes", classes)):
        for text in texts:
            if not text.strip():
                raise ValueError(f"{what} holds an empty one: write what to draw")
            _check_readable(what, text)
    return list(dict.fromkeys([*given, *make_prompts(classes, template)]))


def _check_readable(what: str, text: str) -> None:
    # Control characters, and what was no UTF-8 on the command line. Joiners and unusual spaces are letters' business.
    if any(unicodedata.category(letter) in ("Cc", "Cs") for letter in text):
        raise ValueError(f"{what} holds {text!r}, which no one can read: write plain text in UTF-8")


def _read_lines(path: Path) -> list[str]:
    """Return the lines of a text file that are not blank."""
    if not path.exists():
        raise ValueError(f"{path} does not exist: check the path")
    if not path.is_file():
        raise ValueError(f"{path} is not a file: give a text file with one prompt or class a line")
    try:
        text = path.read_text(encoding="utf-8-sig")  # Windows' editors put a mark at the start
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is no UTF-8 text (byte {error.start:,}): save it as UTF-8") from None
    lines = [" ".join(line.split()) for line in text.splitlines()]
    lines = [line for line in lines if line]
    if not lines:
        raise ValueError(f"{path} is empty: write one prompt or class a line")
    return lines


def _choose_device(config: LoraSample) -> str:
    device = pick_device(config.device).type
    if config.precision == "fp16" and device == "cpu":
        raise ValueError("precision is fp16, which needs a GPU: use bf16 or no")
    return device


def _choose_base(base: str | None, about: dict[str, str]) -> str:
    if base is not None:
        return base
    trained_on = about.get("base", DEFAULT_BASE)
    if not trained_on.strip() or not trained_on.isprintable() or len(trained_on) > LONGEST_PATH:
        raise ValueError(f"the LoRA's file says its base is {show(trained_on)}: give one by --base")
    if trained_on != DEFAULT_BASE:
        sys.stderr.write(f"note: the base is {trained_on}, which the LoRA was trained on; another is given by --base\n")
    return trained_on


def _choose_template(config: LoraSample, about: dict[str, str]) -> str:
    said = about.get("template", TEMPLATE)
    if config.template is None and (config.classes or config.class_file):
        try:
            check_template(said)
            _check_readable("template", said)
        except ValueError:
            raise ValueError(f"{config.lora} says its template is {show(said)}: give one by --template") from None
    return config.template or said


def _choose_size(config: LoraSample, about: dict[str, str]) -> int | None:
    said = about.get("image_size")
    if config.image_size is not None or said is None:
        return config.image_size
    if not (said.isascii() and said.isdecimal() and len(said) < 6 and 0 < int(said) <= LARGEST_SIDE):
        raise ValueError(f"{config.lora} says its pictures have {show(said)} pixels a side: give --image-size")
    return int(said)


def _name_files(prompts: Sequence[str], seeds: Sequence[int]) -> list[tuple[str, str, int]]:
    """Return file, prompt and seed of each picture; the number makes names differ where the words do not."""
    digits = len(str(len(prompts)))
    jobs = []
    for number, prompt in enumerate(prompts, start=1):
        plain = unicodedata.normalize("NFKD", prompt).encode("ascii", "ignore").decode().lower()
        slug = re.sub(r"[^a-z0-9]+", "-", plain)[:SLUG].strip("-")
        name = "_".join(part for part in (f"{number:0{digits}}", slug) if part)
        jobs += [(f"{name}_{seed}.png", prompt, seed) for seed in seeds]
    return jobs


def _earlier_files(out: Path) -> list[str]:
    """Return the names of the pictures that an earlier sampling in a folder made, or was to make."""
    try:
        drawings = read_json(out / RESULTS)["drawings"]
        return [str(drawing["file"]) for drawing in drawings]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def _note_cut(pipeline: StableDiffusionPipeline, prompts: Sequence[str], negative_prompt: str | None) -> None:
    cut = find_cut(pipeline, [*prompts, *([negative_prompt] if negative_prompt else [])])
    for prompt, end in list(cut.items())[:NOTES]:
        tail = end if len(end) <= LABEL else f"...{end[3 - LABEL :]}"
        sys.stderr.write(f"note: {_shorten(prompt)!r} is too long for the model: {tail!r} at its end has no effect\n")
    if len(cut) > NOTES:
        sys.stderr.write(f"note: {len(cut) - NOTES:,} more prompts are too long for the model, and were cut as well\n")


def _write_drawing(drawing: Drawing, path: Path, settings: dict[str, Any]) -> None:
    text = PngImagePlugin.PngInfo()
    for name, value in {"prompt": drawing.prompt, "seed": drawing.seed, **settings}.items():
        text.add_itxt(name, str(value))
    with write_atomic(path) as temporary:
        drawing.picture.save(temporary, format="PNG", pnginfo=text)


def _draw_sheet(shown: Sequence[Sequence[Image.Image]], prompts: Sequence[str], seeds: Sequence[int]) -> Image.Image:
    rows = prompts[: len(shown)]
    return draw_grid(
        shown,
        side=shown[0][0].width,
        row_names=[_shorten(row) for row in rows],
        column_names=[f"seed {seed}" for seed in seeds[:GRID_COLUMNS]],
    )


def _shorten(prompt: str) -> str:
    return prompt if len(prompt) <= LABEL else f"{prompt[: LABEL - 3]}..."


def _describe(config: LoraSample, prompts: Sequence[str]) -> str:
    """Say what the grid shows of all."""
    parts = []
    if len(prompts) > GRID_ROWS:
        parts.append(f"the first {GRID_ROWS} of {len(prompts):,} prompts")
    if len(config.seeds) > GRID_COLUMNS:
        parts.append(f"the first {GRID_COLUMNS} of {len(config.seeds):,} seeds")
    return f"{GRID} shows {' and '.join(parts) or 'them all'}"


# Merge ---------------------------------------------------------------------------------------------------------------


def merge(config: LoraMerge) -> Path:
    """Run `sketchloss lora merge`.

    Returns:
        The folder.

    Raises:
        ValueError: as `load_text_to_image`, `load_lora` and `save_pipeline`; or if `out` is there and not an empty
            folder.
        OSError: if it cannot be written; then nothing is left of it.
    """
    out = config.out
    if out.is_symlink() or (out.exists() and not out.is_dir()):
        raise ValueError(f"{out} is not a folder: choose another --out")
    if out.exists() and contents(out):
        raise ValueError(f"{out} is not empty: choose another --out")
    if not out.name:  # . or /, which cannot be put in place once it is whole
        raise ValueError(f"{out} is no name for a folder: choose another --out")
    with hold_run_folder(out):
        return _merge(config, out)


def _merge(config: LoraMerge, out: Path) -> Path:
    pipeline = load_text_to_image(_choose_base(config.base, read_about(config.lora)))  # in float32, for the sum
    load_lora(pipeline, config.lora, scale=config.lora_scale)
    merge_lora(pipeline)
    save_pipeline(pipeline, out, dtype=getattr(torch, config.dtype))
    size = sum(path.stat().st_size for path in out.rglob("*") if path.is_file()) / 2**20
    sys.stdout.write(f"{out}  {size:,.1f} MiB, {config.dtype}\n")
    return out
