"""The report of a study: one Markdown text with figures, and the same as a page, as CSV and as JSON."""

import datetime
import json
import os
import platform
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from sketchloss.data.names import short_name
from sketchloss.experiments.cells import CellStore
from sketchloss.experiments.experiment import Experiment
from sketchloss.experiments.section import Section
from sketchloss.experiments.study.plan import planned
from sketchloss.experiments.study.running import format_seconds
from sketchloss.experiments.study.settings import Study
from sketchloss.experiments.table import CSV_HEADER
from sketchloss.experiments.tuning.arms import describe
from sketchloss.figures.page import write_page
from sketchloss.figures.tables import format_p, markdown_table, write_csv
from sketchloss.metrics.comparison import (
    FEWEST_SEEDS,
    SIGNIFICANT,
    Pairs,
    compare_all,
    format_difference,
    format_signed,
    one_trial,
)
from sketchloss.networks.arms import CLAIMS
from sketchloss.system.files import write_atomic, write_json

FIGURES = "figures"
NUMBERS = ("table", "set", "row", "measure", "seed", "value")
TITLE = "Improved Perceptual Loss for Sketch Image Domain"


def write_report(config: Study, store: CellStore, *, seconds: float | int, devices: int = 0) -> dict[str, Any]:
    """Write `report.html`, `report.md`, figures, `tables.csv` (what the tables say), `numbers.csv` (every value) and
    `results.json`; return what the JSON holds.

    Args:
        config: settings of the study.
        store: its cells.
        seconds: that this run of the command took.
        devices: GPUs that it had.
    """
    figures = config.out / FIGURES
    shutil.rmtree(figures, ignore_errors=True)
    figures.mkdir(parents=True)
    results: dict[str, Any] = {
        "format": "sketchloss study",
        "settings": json.loads(json.dumps(asdict(config), default=str)),
        "environment": _environment(devices),
        "seconds": {"this run": round(seconds), "all cells": round(sum(map(store.seconds, _names(store, "done"))))},
        "cells": [
            {"name": cell.name, "key": store.keys[cell.name], "state": (state := store.state(cell.name))}
            | ({"seconds": round(store.seconds(cell.name), 1)} if state == "done" else {})
            | ({"reason": store.reason(cell.name)} if state == "failed" else {})
            for cell in store
        ],
    }
    made = {experiment: list(experiment.sections(config, store)) for experiment in planned(config)}
    tables = [(one.name, part.source, part.table) for one, parts in made.items() for part in parts if part.table]
    results["tables"] = {}
    for name, source, table in tables:
        results["tables"].setdefault(name, {})[source] = table.as_json()
    parts = [text for experiment, sections in made.items() for text in _part(config, experiment, sections)]
    head = [f"# {TITLE}", *_opening(config, results), *_in_short(made)]
    text = "\n\n".join([*head, *parts, *_closing(config, results)]) + "\n"
    with write_atomic(config.out / "report.md") as temporary:
        temporary.write_text(text, encoding="utf-8")
    write_page(text, config.out / "report.html", title=TITLE)
    summary = [(name, *row) for name, source, table in tables for row in table.csv_rows(short_name(source))]
    write_csv(config.out / "tables.csv", ("table", *CSV_HEADER), summary)
    numbers = [(name, short_name(source), *row) for name, source, table in tables for row in table.seed_rows()]
    write_csv(config.out / "numbers.csv", NUMBERS, numbers)
    write_json(config.out / "results.json", results)
    return results


def _names(store: CellStore, state: str) -> list[str]:
    return [cell.name for cell in store if store.state(cell.name) == state]


# Before the tables ---------------------------------------------------------------------------------------------------


def _opening(config: Study, results: Mapping[str, Any]) -> Iterator[str]:
    here = results["environment"]
    computed = f"{here['device']}, {format_seconds(results['seconds']['all cells'])} of computing"
    yield (
        "C. W. Seo, J. Imaging 2025, 11(9), 323, claims that VGG-16 with attention, tuned on sketches, gives features "
        "that train better sketch generators, find sketches better and keep classes further apart."
    )
    if _tunes(config):
        sketches = ", ".join(map(short_name, config.data.split(",")))
        yield (
            f"Four arms are compared: with and without attention, with and without tuning. Here: tuned on {sketches}, "
            f"{config.image_size} pixels, from the weights {short_name(config.weights)}, {_seeds(config.seeds)}; "
            f"{computed}. Smaller than the paper where the last section says so."
        )
    else:
        yield f"Here: {', '.join(experiment.name for experiment in planned(config))}; {computed}. No arm was tuned."
    if further := config.further().values():
        said = "; ".join(f"{arm.name}, {describe(arm)}" for arm in further)
        yield f"Beside the paper's arms: {said}. The paper claims nothing of these."


def _tunes(config: Study) -> bool:
    return any(experiment.name == "tuning" for experiment in planned(config))


def _in_short(made: Mapping[Experiment, list[Section]]) -> Iterator[str]:
    """Say whether each claim came out, judged only by the numbers."""
    claims = list(_claims(made))
    found = compare_all({(claim.what, claim.arm, claim.other): claim.paired for claim in claims})
    lines = []
    for claim in claims:
        one = found.get((claim.what, claim.arm, claim.other))
        if one is None:
            continue
        points, verdict = claim.paired.share, one.verdict()
        missed = one.detectable is not None and verdict == "undecided"
        lines.append(
            [
                *(claim.what, claim.arm, claim.other, format_signed(one, percent=points), format_p(one.p)),
                {"better": "yes", "worse": "no, worse"}.get(verdict, verdict),
                format_difference(one.detectable, percent=points) if missed and one.detectable is not None else "-",
                one_trial(claim.paired.trials) if claim.paired.trials else "-",
            ]
        )
    if lines:
        yield "## In short"
        header = ["what", "arm", "against", "difference ± 95 %", "p", "better?", "smallest that would be found"]
        yield markdown_table([*header, "a share of"], lines)
        yield (
            f"The paper claims that the arm is better in every row. Here *yes* is said where p < {SIGNIFICANT} (paired "
            f"t-test over seeds, Holm's correction for the tests of this table), and nothing below {FEWEST_SEEDS} "
            "seeds. *Undecided* is not *equal*: the last column but one says how large a true difference must be to be "
            "found in four of five such studies. Seeds are other trainings on the same data: p says nothing about "
            "other data."
        )


@dataclass(frozen=True)
class _Claim:
    what: str
    arm: str
    other: str
    paired: Pairs


def _claims(made: Mapping[Experiment, list[Section]]) -> Iterator[_Claim]:
    for experiment, sections in made.items():
        if (claim := experiment.claim) is None:
            continue
        for section in sections:
            if section.table is None:
                continue
            where = f"{claim.words}, {short_name(section.source)}" if section.source else claim.words
            measure = next((one for one in section.table.measures if one.name == claim.measure), None)
            if measure is None:
                continue
            for arm, other in CLAIMS:
                one, two = (section.table.values.get(row, {}).get(measure.name) for row in (arm, other))
                if one and two:
                    yield _Claim(where, arm, other, Pairs(one, two, share=measure.share, trials=measure.trials))


# The tables ----------------------------------------------------------------------------------------------------------


def _part(config: Study, experiment: Experiment, sections: list[Section]) -> Iterator[str]:
    """Write the sections of an experiment, and draw their pictures."""
    if sections:
        yield f"## {experiment.title}"
    for section in sections:
        if section.source:
            yield f"### {short_name(section.source)}"
        yield section.markdown()
        if section.figures:
            yield section.draw(config.out, FIGURES)


# After the tables ----------------------------------------------------------------------------------------------------


def _closing(config: Study, results: Mapping[str, Any]) -> Iterator[str]:
    failed = [(cell["name"], cell["reason"]) for cell in results["cells"] if cell["state"] == "failed"]
    if failed:
        yield "## What failed"
        yield "\n".join(f"- {name}: {reason}" for name, reason in failed)
    yield "## How this was made"
    here = results["environment"]
    times = results["seconds"]
    cells = results["cells"]
    yield (
        f"`sketchloss study`, version {here['sketchloss']}, finished {here['date']}; Python {here['python']}, torch "
        f"{here['torch']}, {here['system']}, {here['device']}. {sum(cell['state'] == 'done' for cell in cells)} of "
        f"{len(cells)} cells are done; they took {format_seconds(times['all cells'])} of processes' time, the last run "
        f"of the command {format_seconds(times['this run'])}."
        + (f" Seeds {config.seed} to {config.seed + config.seeds - 1}." if _tunes(config) else "")
    )
    yield "What is smaller than in the paper, or otherwise:"
    yield "\n".join(f"- {line}" for line in _differences(config))
    yield "Settings:"
    settings = [(name, value) for name, value in results["settings"].items() if name not in _NOT_SHOWN]
    yield markdown_table(["setting", "value"], [[f"`{name}`", _in_cell(value)] for name, value in settings])


_NOT_SHOWN = ("out", "again", "dry_run", "device_speed")


def _in_cell(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(_in_cell(item) for item in value) or "-"
    text = "-" if value is None else short_name(value) if isinstance(value, str) and "/" in value else str(value)
    return text.replace("|", "\\|")


def _differences(config: Study) -> Iterator[str]:
    if _tunes(config):
        yield from _differences_of_tuning(config)
    for experiment in planned(config):
        yield from experiment.differences(config)
    yield (
        "Slips in print: Table 1's second average FID is 116.44 by its rows and not 116.16; “over 10 %” in Table 3 "
        "holds only against `attention`; an inter distance of 1.000 ± 0.041 cannot be a spread of means over runs."
    )


def _differences_of_tuning(config: Study) -> Iterator[str]:
    if config.data != "songweig/imagenet_sketch":
        yield f"Tuned on {short_name(config.data)} and not on ImageNet-Sketch (50,889 sketches of 1,000 classes)."
    if config.weights != "imagenet":
        start = short_name(config.weights)
        yield f"All arms start from the weights {start} and not from VGG-16 trained on ImageNet."
    if config.image_size != 224:
        yield f"{config.image_size} pixels and not 224."
    if config.downsample == "max":
        yield "Gates come before their pools (`downsample=max`); the paper's text says that they replace them."
    if config.tuning_preset != "paper":
        yield (
            "Tuning with AdamW, a warm-up, a cosine schedule, clipping and label smoothing, and not Adam at 0.005, "
            "at which VGG-16 does not train."
        )
    if config.gate_init != "default":
        yield f"Gates start {config.gate_init} in tuning; the paper does not say how, and PyTorch has them near 0.5."
    if config.per_class is not None:
        yield f"At most {config.per_class} sketches a class of each source; ImageNet-Sketch has about 51."
    if config.held_out != 0.1:
        yield f"{config.held_out:.0%} of each class are held out and not 10 %."
    if config.epochs != 25:
        yield f"{_epochs(config.epochs)} of tuning and not 25."
    if config.seeds != 5:
        yield f"{_seeds(config.seeds)} and not five."


def _seeds(count: int) -> str:
    return f"{count} seeds" if count > 1 else "one seed"


def _epochs(count: int) -> str:
    return f"{count} epochs" if count > 1 else "one epoch"


def _environment(devices: int) -> dict[str, Any]:
    device = f"{os.cpu_count()} CPU cores ({_processor()})"
    if torch.cuda.is_available():
        device = f"{devices} x {torch.cuda.get_device_name()}"
    return {
        "sketchloss": metadata.version("sketchloss"),
        "python": platform.python_version(),
        **{name: metadata.version(name) for name in ("torch", "numpy", "kornia", "accelerate", "diffusers")},
        "system": platform.platform(),
        "device": device,
        "date": datetime.datetime.now().astimezone().strftime("%Y-%m-%d %H:%M"),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
