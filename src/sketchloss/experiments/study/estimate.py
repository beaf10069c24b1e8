"""Estimate of a study: its cells, steps and memory, counted, and its time on a device of known speed."""

import math
import time
from dataclasses import replace
from typing import Any

import torch

from sketchloss.experiments.cells import CellStore
from sketchloss.experiments.experiment import Load
from sketchloss.experiments.study.device_speed import HERE, Speed, speed_of
from sketchloss.experiments.study.offline import offline
from sketchloss.experiments.study.plan import plan_cells, planned
from sketchloss.experiments.study.running import CELLS, format_seconds
from sketchloss.experiments.study.settings import Study
from sketchloss.experiments.tuning.counted import Network, count_forward
from sketchloss.figures.tables import markdown_table
from sketchloss.metrics.comparison import FEWEST_SEEDS
from sketchloss.system.device import in_bfloat16

#: Seconds that a cell takes beside its arithmetic: opening data and weights, pictures, tables.
OVERHEAD = 4.0
#: Seconds that a training step takes beside its arithmetic: starting hundreds of kernels, fetching a batch. With small
#: batches on a large card it is most of the time.
STEP_OVERHEAD = 0.03


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
    for experiment in planned(config):
        cells = [cell for cell in store if cell.part == experiment.name]
        loads = [experiment.load(config, cell) for cell in cells]
        left = [load for cell, load in zip(cells, loads, strict=True) if store.state(cell.name) != "done"]
        steps = sorted({load.steps for load in loads if load.steps})
        plan.append(
            {
                **{"part": experiment.name, "cells": len(cells), "done": len(cells) - len(left), "steps": steps},
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
    wanted = [entry.name for entry in config.asked()]
    behind = {name: {one.name for one in planned(replace(config, only=(name,)))} for name in wanted}
    saved: list[tuple[float, str]] = []
    for part in wanted:
        rest = [name for name in wanted if part not in behind[name]]
        if rest and len(rest) * 2 >= len(wanted) - 1:  # what most others need is no part to leave out
            kept = set[str]().union(*(behind[name] for name in rest))
            less = sum(row["seconds"] for row in plan if row["part"] not in kept)
            saved.append((less, f"--only {' '.join(rest)}"))
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
        with in_bfloat16(device.type, wanted=precision == "bf16"):
            features = network(images, (network.embedding_layer,))[network.embedding_layer]
        features.float().mean().backward()
        if device.type == "cuda":
            torch.cuda.synchronize()
    rate = 2 * batch * an_image / (time.perf_counter() - start)
    basis = f"Measured on a few steps of tuning: {rate / 1e9:,.0f} billion multiply-adds a second."
    return Speed(rate, rate, "this machine", basis)
