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

from sketchloss.comparison import (
    FEWEST_SEEDS,
    SIGNIFICANT,
    Pairs,
    compare_all,
    format_difference,
    format_signed,
    one_trial,
)
from sketchloss.data.names import short_name
from sketchloss.data.sources import split_sources
from sketchloss.files import write_atomic, write_json
from sketchloss.networks.arms import CLAIMS
from sketchloss.recipes.study.arms import describe
from sketchloss.recipes.study.cells import RUN, CellStore
from sketchloss.recipes.study.figures import draw_prompts, draw_stylized
from sketchloss.recipes.study.merging import (
    Table,
    average_style,
    done,
    least_count,
    long_rows,
    lora_values,
    merge_probe,
    merge_retrieval,
    merge_separation,
    probe_counts,
    probe_values,
    style_values,
    tuning_values,
    values_of_runs,
)
from sketchloss.recipes.study.plan import REFERENCE, ablation_variants
from sketchloss.recipes.study.running import format_seconds
from sketchloss.recipes.study.settings import Part, Study
from sketchloss.report import lora_table as table_2
from sketchloss.report import retrieval_table as table_3
from sketchloss.report import separation_table as table_4
from sketchloss.report import style_table as table_1
from sketchloss.report.arm_table import Measure, arm_table
from sketchloss.report.page import write_page
from sketchloss.report.probe_figure import draw_probe
from sketchloss.report.probe_table import probe_report
from sketchloss.report.separation_figures import RatioBar, draw_ratios
from sketchloss.report.tables import format_p, markdown_table, write_csv
from sketchloss.statistics import Spread

FIGURES = "figures"
CSV_HEADER = ("table", "set", "row", "measure", "seed", "value")
TITLE = "Improved Perceptual Loss for Sketch Image Domain: the four arms"


def write_report(config: Study, store: CellStore, *, seconds: float | int, devices: int = 0) -> dict[str, Any]:
    """Write `report.html`, `report.md`, `numbers.csv`, `results.json` and the figures; return what the JSON holds.

    Args:
        config: of the study.
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
        "tables": {},
        "counts": {},
        "cells": [
            {"name": cell.name, "key": store.keys[cell.name], "state": (state := store.state(cell.name))}
            | ({"seconds": round(store.seconds(cell.name), 1)} if state == "done" else {})
            | ({"reason": store.reason(cell.name)} if state == "failed" else {})
            for cell in store
        ],
    }
    sections = [text for make in _SECTIONS for text in make(config, store, results)]
    head = [f"# {TITLE}", *_opening(config, results), *_in_short(results)]
    text = "\n\n".join([*head, *sections, *_closing(config, results)]) + "\n"
    with write_atomic(config.out / "report.md") as temporary:
        temporary.write_text(text, encoding="utf-8")
    write_page(text, config.out / "report.html", title=TITLE)
    write_csv(config.out / "numbers.csv", CSV_HEADER, long_rows(results))
    write_json(config.out / "results.json", results)
    return results


def _names(store: CellStore, state: str) -> list[str]:
    return [cell.name for cell in store if store.state(cell.name) == state]


# Before the tables ---------------------------------------------------------------------------------------------------


def _opening(config: Study, results: Mapping[str, Any]) -> Iterator[str]:
    here = results["environment"]
    sketches = ", ".join(map(short_name, config.data.split(",")))
    yield (
        "C. W. Seo, J. Imaging 2025, 11(9), 323, claims that VGG-16 with attention, tuned on sketches, gives features "
        "that train better sketch generators, find sketches better and keep classes further apart. Four arms are "
        f"compared: with and without attention, with and without tuning. Here: tuned on {sketches}, "
        f"{config.image_size} pixels, from the weights {short_name(config.weights)}, {_seeds(config.seeds)}; "
        f"{here['device']}, "
        f"{format_seconds(results['seconds']['all cells'])} of computing. Smaller than the paper where the last "
        "section says so."
    )
    if further := config.further().values():
        said = "; ".join(f"{arm.name}, {describe(arm)}" for arm in further)
        yield f"Beside the paper's arms: {said}. The paper claims nothing of these."


def _in_short(results: Mapping[str, Any]) -> Iterator[str]:
    """Say of each claim whether it came out, from the numbers alone."""
    claims = list(_claims(results))
    found = compare_all({(claim.what, claim.arm, claim.other): claim.pairs for claim in claims})
    lines = []
    for claim in claims:
        one = found.get((claim.what, claim.arm, claim.other))
        if one is None:
            continue
        points, verdict = claim.pairs.share, one.verdict()
        missed = one.detectable is not None and verdict == "undecided"
        lines.append(
            [
                *(claim.what, claim.arm, claim.other, format_signed(one, percent=points), format_p(one.p)),
                {"better": "yes", "worse": "no, worse"}.get(verdict, verdict),
                format_difference(one.detectable, percent=points) if missed and one.detectable is not None else "-",
                one_trial(claim.pairs.trials) if claim.pairs.trials else "-",
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
    pairs: Pairs


#: Table -> measure, whether it is a share, what it is about. Of all of them more is better.
_CLAIMS = {
    "tuning": ("validation_accuracy", True, "classification"),
    "retrieval": ("top_1", True, "retrieval top-1"),
    "separation": ("ratio", False, "separation ratio"),
    "style": ("ssim", False, "photo to sketch, SSIM"),
    "lora": ("class_accuracy", True, "prompt to sketch, class accuracy"),
}


def _claims(results: Mapping[str, Any]) -> Iterator[_Claim]:
    for name, (measure, share, what) in _CLAIMS.items():
        for source, table in results["tables"].get(name, {}).items():
            where = f"{what}, {short_name(source)}" if source else what
            trials = results["counts"].get(name, {}).get(source)
            for arm, other in CLAIMS:
                one, two = table.get(arm, {}).get(measure), table.get(other, {}).get(measure)
                if one and two:
                    yield _Claim(where, arm, other, Pairs(one, two, share=share, trials=trials))


# The tables ----------------------------------------------------------------------------------------------------------


def _tuning(config: Study, store: CellStore, results: dict[str, Any]) -> Iterator[str]:
    table = tuning_values(store)
    if not table:
        return
    results["tables"]["tuning"] = {"": table}
    results["counts"]["tuning"] = {"": least_count(store, "tuning", "held_out_sketches")}
    yield "## Tuning (Algorithm 1)"
    yield (
        f"VGG-16 tuned to classify sketches for {_epochs(config.epochs)}, best epoch by the held-out sketches; mean ± "
        f"standard deviation over seeds.{_left_out(config)}"
    )
    yield arm_table(_tuning_measures(config, store, "tuning"), table)
    for arm in table:
        cell, _ = next(iter(done(store, "tuning", arm=arm)))
        curves = store.place(cell.name) / RUN / "curves.png"
        if curves.is_file():
            yield _figure(config, curves, f"tuning-{arm}.png", f"Training of {arm}, seed {cell.seed}")


def _tuning_measures(config: Study, store: CellStore, part: Part) -> list[Measure]:
    held_out, left_out = (least_count(store, part, name) for name in ("held_out_sketches", "left_out_sketches"))
    share: dict[str, Any] = {"percent": True, "share": True}
    measures = [Measure("validation_accuracy", "validation top-1 (%)", **share, trials=held_out)]
    if part == "tuning":
        measures.append(Measure("validation_top5", "top-5 (%)", **share, trials=held_out))
    if config.leave_out:
        measures.append(Measure("left_out_top_1", "left-out classes: 1-NN (%)", **share, trials=left_out))
        measures.append(Measure("left_out_ratio", "left-out classes: inter / intra"))
    return measures


def _left_out(config: Study) -> str:
    if not config.leave_out:
        return ""
    return (
        f" Left-out classes: {len(config.leave_out)} that no arm was tuned on; each of their sketches looks for its "
        "class among the others, by the averaged features that are the embedding."
    )


def _style(config: Study, store: CellStore, results: dict[str, Any]) -> Iterator[str]:
    tables = {source: table for source in config.sets if (table := style_values(store, source))}
    if not tables:
        return
    yield "## Photo to sketch (Table 1, Figure 2)"
    first = done(store, "style")[0][1]
    yield (
        f"Networks of width {first['width']:g}, trained {first['steps']:,} steps of {first['batch_size']} on "
        f"{first['photos']:,} photos at {first['image_size']} pixels with the mean style of each set's training part, "
        "draw the photos of its test part. SSIM with the true sketches; FD: Fréchet distance of the two sets by the "
        "features of a network, no FID unless it says so. Mean over pairs, then mean ± standard deviation over "
        f"{_seeds(config.generator_seeds)}."
    )
    if len(tables) > 1:
        tables["average"] = average_style(list(tables.values()))
    results["tables"]["style"] = tables
    folders: list[str] = []
    for source, table in tables.items():
        folder = next((found["sets"][source]["folder"] for _, found in done(store, "style", source=source)), "average")
        pairs = next((found["sets"][source]["pairs"] for _, found in done(store, "style", source=source)), None)
        folders.append(folder)
        paper = table_1.PAPER.get(folder, {}) if folder != "average" or set(folders) == set(table_1.PAPER) else {}
        columns = {
            "SSIM ↑": {arm: f"{value:.4f}" for arm, (value, _) in paper.items()},
            "FID ↓": {arm: f"{value:.2f}" for arm, (_, value) in paper.items()},
        }
        yield f"### {short_name(source)}{f', {pairs:,} test pairs' if pairs else ''}"
        yield arm_table(
            _style_measures(table),
            table,
            columns if paper else None,
            corner="loss of the arm",
            same_data=table_1.is_papers_protocol(first),
        )
    yield (
        "Judges are parties: an arm was trained through features of its own weights, so that a distance by features of "
        "the same weights favours it."
    )
    if file := draw_stylized(config, store, config.out / FIGURES / "figure-2.png"):
        yield _picture(file, "Photos, true sketches, and what the networks of each arm draw (Figure 2)")


def _style_measures(table: Table) -> list[Measure]:
    names = list(dict.fromkeys(name for measures in table.values() for name in measures if name != "ssim"))
    return [Measure("ssim", "SSIM", digits=3), *(Measure(name, name, greater_is_better=False) for name in names)]


def _lora(config: Study, store: CellStore, results: dict[str, Any]) -> Iterator[str]:
    table = lora_values(store)
    if not table:
        return
    results["tables"]["lora"] = {"": table}
    first = done(store, "lora")[0][1]
    drawn = first["classes"] * first["drawings"]
    results["counts"]["lora"] = {"": drawn}
    yield "## Prompt to sketch (Table 2, Figure 3)"
    yield (
        f"LoRAs of rank {first['rank']} on {short_name(first['base'])}, trained {first['steps']:,} steps of "
        f"{first['batch_size'] * first['accumulate']} on {first['learnt']:,} sketches ({short_name(first['data'])}) at "
        f"{first['image_size']} pixels, with the perceptual term of each arm and without it (none). Class accuracy: "
        "share of the generated drawings that a classifier of the same true drawings takes for what they should be "
        f"(it is right about {first['judge']['accuracy']:.1%} of held-out true ones). FD: Fréchet distance of "
        f"{first['compared']:,} drawings from as many true ones."
    )
    paper = {
        "CLIP ↑": {arm: f"{clip:.2f}" for arm, (clip, _) in table_2.PAPER.items()},
        "FID ↓": {arm: f"{fid:.2f}" for arm, (_, fid) in table_2.PAPER.items()},
    }
    names = list(dict.fromkeys(name for measures in table.values() for name in measures))
    measures = [
        Measure(
            name,
            {"class_accuracy": "class accuracy (%)", "clip": "CLIP similarity"}.get(name, name),
            greater_is_better=name in ("class_accuracy", "clip"),
            percent=name == "class_accuracy",
            share=name == "class_accuracy",
            trials=drawn if name == "class_accuracy" else None,
        )
        for name in names
    ]
    same = table_2.is_papers_protocol(first["base"], first["data"], first["image_size"])
    yield arm_table(measures, table, paper, corner="perceptual term", same_data=same)
    if file := draw_prompts(config, store, config.out / FIGURES / "figure-3.png"):
        yield _picture(file, "What the base and the LoRA of each arm draw, from the same noise (Figure 3)")


def _retrieval(config: Study, store: CellStore, results: dict[str, Any]) -> Iterator[str]:
    for source in config.measured_sets() if config.does("retrieval") else ():
        merged = merge_retrieval(store, source, config.entries())
        if merged is None:
            continue
        results["tables"].setdefault("retrieval", {})[source] = values_of_runs(merged, table_3.MEASURES)
        results["counts"].setdefault("retrieval", {})[source] = least_count(
            store, "retrieval", "queries", source=source
        )
        if len(results["tables"]["retrieval"]) == 1:
            yield "## Retrieval (Table 3)"
        yield f"### {short_name(source)}"
        yield table_3.retrieval_report({**merged, "data": short_name(source)})
        cell, _ = done(store, "retrieval", source=source)[0]
        picture = store.place(cell.name) / RUN / "nearest.png"
        name = f"nearest-{len(results['tables']['retrieval'])}.png"
        yield _figure(
            config, picture, name, f"Held-out sketches of {short_name(source)} and their five nearest: {cell.arm}"
        )


def _separation(config: Study, store: CellStore, results: dict[str, Any]) -> Iterator[str]:
    for source in config.measured_sets():
        merged = merge_separation(store, source, config.entries())
        if merged is None:
            continue
        tables = results["tables"].setdefault("separation", {})
        tables[source] = values_of_runs(merged, table_4.QUANTITIES)
        if len(tables) == 1:
            yield "## Class separation (Table 4, Figure 4)"
        yield f"### {short_name(source)}"
        yield table_4.separation_report({**merged, "data": short_name(source)})
        yield _ratios(config, merged, source, f"figure-4-{len(tables)}.png")
        for cell, _ in done(store, "separation", source=source):
            if cell.seed == config.seed:
                name = f"map-{len(tables)}-{cell.arm}.png"
                yield _figure(
                    config, store.place(cell.name) / RUN / "map.png", name, f"Map of the embedding: {cell.arm}"
                )


def _ratios(config: Study, merged: dict[str, Any], source: str, name: str) -> str:
    bars = [
        RatioBar(arm, Spread(**ratio), table_4.mark("ratio", found), table_4.paper_ratio(arm))
        for arm, found in merged["arms"].items()
        if (ratio := found["spread"]["ratio"])
    ]
    draw_ratios(bars, config.out / FIGURES / name, title=f"Class separation: {short_name(source)}, trained embedding")
    return _picture(config.out / FIGURES / name, f"Distance across classes over distance within, {short_name(source)}")


def _probe(config: Study, store: CellStore, results: dict[str, Any]) -> Iterator[str]:
    table, merged = probe_values(store), merge_probe(store)
    if merged is None:
        return
    results["tables"]["probe"] = {config.probed: table}
    yield "## Distances of drawings whose difference is known (probe)"
    yield (
        "Each arm's loss as it is by default and with the paper's l1, and what is no network. Score: mean of grows, "
        "ignores, and the mean of the two choices. Grows: Spearman's correlation with the share of strokes removed, "
        "added, displaced, redrawn. Ignores: share of the changes that people ignore (line width, a small shift, a "
        "slight scale, pencil for ink, JPEG) which count for less than a fifth of the strokes. Same class, other "
        "class: how often a redrawn version is nearer than another drawing, where pixels say the contrary. People: "
        "agreement with human judgments. "
        f"Tuned arms: {_seeds(config.seeds)}. {_probed_are_known(config)}"
    )
    headings = {
        "score": "score",
        "grows": "grows",
        "ignores": "ignores",
        "same class": "same class",
        "people": "people",
    }
    headings["other class"] = "other class"
    counts = probe_counts(merged)
    measures = [
        Measure(name, heading, digits=3, share=name in counts, trials=counts.get(name))
        for name, heading in headings.items()
        if any(name in found for found in table.values())
    ]
    yield arm_table(measures, table, corner="distance")
    draw_probe(merged, config.out / FIGURES / "probe.png")
    yield _picture(config.out / FIGURES / "probe.png", "How distances behave, by the depth of the tap")
    cell, _ = done(store, "probe")[0]
    yield _figure(config, store.place(cell.name) / RUN / "trials.png", "trials.png", "What the distances were asked")
    yield "### Every tap"
    yield probe_report(merged)


def _probed_are_known(config: Study) -> str:
    if config.probed == "doodles" or config.probed not in split_sources(config.data):
        return ""
    return "The tuned arms were tuned on drawings of the same files, on these among others, which favours them. "


def _ablation(config: Study, store: CellStore, results: dict[str, Any]) -> Iterator[str]:
    table: Table = {}
    for variant in ablation_variants(config):
        for arm, measures in tuning_values(store, "ablation", source=variant).items():
            table[arm if variant == REFERENCE else f"{arm}, {variant}"] = measures
    if not table:
        return
    results["tables"]["ablation"] = {"": table}
    yield "## Which choices matter"
    yield (
        f"One choice at a time turned the other way round, in smaller trainings: "
        f"{config.ablation_image_size or config.image_size} pixels, "
        f"{config.ablation_per_class or 'all'} sketches a class, "
        f"{_epochs(config.ablation_epochs)}, {_seeds(config.ablation_seeds)}; else as above "
        f"(`downsample={config.downsample}`, `gate_init={config.gate_init}`).{_left_out(config)}"
    )
    yield arm_table(_tuning_measures(config, store, "ablation"), table, corner="arm, and what is different")


_SECTIONS = (_tuning, _style, _lora, _retrieval, _separation, _probe, _ablation)


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
        f"of the command {format_seconds(times['this run'])}. Seeds {config.seed} to {config.seed + config.seeds - 1}."
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
    if config.does("style") or config.does("lora"):
        yield f"Photo to sketch and prompt to sketch: {_seeds(config.generator_seeds)}; the paper reports one training."
    if config.does("style") and config.inception is None:
        yield "No FID: its network's weights were not given (`--inception`). FD names the network that judges."
    if config.does("lora") and config.clip_model is None:
        yield "No CLIP similarity (`--clip-model`): a classifier of true drawings judges instead."
    if config.does("lora") and config.base == "tiny":
        yield "Prompt to sketch: a text-to-image model of four million parameters, not Stable Diffusion 1.5."
    yield (
        "Slips in print: Table 1's second average FID is 116.44 by its rows and not 116.16; “over 10 %” in Table 3 "
        "holds only against `attention`; an inter distance of 1.000 ± 0.041 cannot be a spread of means over runs."
    )


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


# ---------------------------------------------------------------------------------------------------------------------


def _figure(config: Study, source: Path, name: str, caption: str) -> str:
    """Copy a picture that a cell made into the report's figures, and return the Markdown that shows it."""
    shutil.copyfile(source, config.out / FIGURES / name)
    return _picture(config.out / FIGURES / name, caption)


def _picture(file: Path, caption: str) -> str:
    return f"![{caption}]({FIGURES}/{file.name})\n\n*{caption}.*"
