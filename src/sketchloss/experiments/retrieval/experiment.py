"""Retrieval in a study: a head for each arm, seed and set of sketches (Table 3)."""

import math
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from sketchloss.data.left_out import say_left_out
from sketchloss.data.names import short_name
from sketchloss.data.sources import open_sketches
from sketchloss.experiments.cells import RUN, Cell, CellStore, done
from sketchloss.experiments.experiment import Claim, Experiment, Load
from sketchloss.experiments.keys import decisive
from sketchloss.experiments.retrieval.heads import retrieval
from sketchloss.experiments.retrieval.plan import RetrievalPlan
from sketchloss.experiments.retrieval.settings import PRESETS, Retrieval
from sketchloss.experiments.retrieval.table import section
from sketchloss.experiments.section import Figure, Section
from sketchloss.experiments.tuning.counted import count_forward, count_pictures, feature_shape, network_of_cell
from sketchloss.experiments.tuning.experiment import check_image_size
from sketchloss.experiments.tuning.plan import (
    Plan,
    arm_paths,
    arm_settings,
    feature_cache,
    image_size_of,
    other_sizes,
    start_of,
    weights_in_words,
    weights_needed,
    whose,
)
from sketchloss.networks.arms import Arm
from sketchloss.networks.embedder import Embedder, EmbedderConfig


def retrieval_cell(source: str, arm: str, seed: int) -> str:
    """Return the name of the cell that trains a head."""
    return f"retrieval/{short_name(source)}/{arm}/{seed}"


def cells(plan: RetrievalPlan) -> Iterator[Cell]:
    """Yield a cell for each set, seed and arm."""
    for source in plan.measured_sets():
        for seed in plan.all_seeds():
            for arm in plan.entries().values():
                yield _cell(plan, source, arm, seed)


def _cell(plan: RetrievalPlan, source: str, arm: Arm, seed: int) -> Cell:
    settings: dict[str, Any] = {
        **PRESETS[plan.retrieval_preset],
        "data": source,
        "image_size": image_size_of(plan, arm),
        "per_class": plan.per_class,
        "grid": plan.retrieval_grid,
        "seeds": 1,
        "held_out": plan.held_out,
        **arm_settings(plan, arm, seed),
    }

    def compute(run: Path, needs: Mapping[str, Path]) -> dict[str, Any]:
        resume = (run / "config.json").is_file()
        paths = arm_paths(arm, seed, needs)
        return retrieval(Retrieval(**settings, out=run, cache=feature_cache(run), resume=resume, **paths))

    return Cell(
        retrieval_cell(source, arm.name, seed),
        "retrieval",
        compute,
        decisive(Retrieval, settings, start_of(plan, arm, seed)),
        needs=weights_needed(arm, seed),
        headline=lambda found: f"top-1 {found['arms'][arm.name]['runs'][0]['top_1']:.1%}",
        **whose(plan, arm.name, seed, source),
    )


def load(plan: RetrievalPlan, cell: Cell) -> Load:
    """Return what a head takes: one pass of the backbone, and training on what it gives."""
    settings: Any = cell.settings
    network = network_of_cell(plan, cell)
    count, classes, assumed = count_pictures(settings["data"], settings["per_class"], settings["seed"])
    forward = count_forward(network, settings["image_size"], (settings["layer"],))
    channels, *sides = feature_shape(network, settings["image_size"], settings["layer"])
    numbers = channels * math.prod(min(settings["grid"], side) for side in sides)
    head = EmbedderConfig(numbers, tuple(map(str, range(classes))), hidden=settings["hidden"])
    with torch.device("meta"):
        weights = sum(weight.numel() for weight in Embedder(head).parameters())
    return Load(count * (forward + 3 * weights * settings["epochs"]), None, None, assumed, settings["precision"])


def check(plan: Plan) -> None:
    """See that images are large enough for the deepest layer, which heads see."""
    check_image_size(plan, lambda network: network.taps[-1])


def open_data(plan: Plan, say: Callable[[str], object]) -> None:
    """Open the sets that are measured."""
    for source in plan.measured_sets():
        sketches = open_sketches(source, plan.image_size, per_class=plan.per_class, seed=plan.seed)
        if source != plan.data:
            say_left_out(source, sketches.unreadable, sketches.passed_over, say=say)


def sections(plan: Plan, store: CellStore) -> Iterator[Section]:
    """Yield the table of each set, with what the first arm's first head finds."""
    for number, source in enumerate(plan.measured_sets(), 1):
        if found := done(store, "retrieval", source=source):
            cell, _ = found[0]
            nearest = store.place(cell.name) / RUN / "nearest.png"
            caption = f"Held-out sketches of {short_name(source)} and their five nearest: {cell.arm}"
            made = section([result for _, result in found], weights_in_words(plan))
            made = replace(made, notes=(*made.notes, *other_sizes(plan)))
            yield made.with_figures({f"nearest-{number}.png": Figure(caption, partial(shutil.copyfile, nearest))})


EXPERIMENT = Experiment(
    name="retrieval",
    title="Retrieval (Table 3)",
    cells=cells,
    sections=sections,
    load=load,
    claim=Claim("top_1", "retrieval top-1"),
    check=check,
    open=open_data,
)
