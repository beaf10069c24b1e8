"""The probe in a study: each arm's loss, asked about drawings whose difference is known."""

import shutil
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from sketchloss.data.left_out import say_left_out
from sketchloss.data.quickdraw.drawings import open_drawings
from sketchloss.data.quickdraw.ignorable import CHANGES
from sketchloss.data.sources import split_sources
from sketchloss.experiments.cells import RUN, Cell, CellStore, Result, done
from sketchloss.experiments.experiment import Experiment, Load
from sketchloss.experiments.keys import decisive, network_of
from sketchloss.experiments.probe import table
from sketchloss.experiments.probe.asking import probe
from sketchloss.experiments.probe.figure import draw_probe
from sketchloss.experiments.probe.plan import ProbePlan
from sketchloss.experiments.probe.settings import PRESETS, Probe
from sketchloss.experiments.section import Figure, Section
from sketchloss.experiments.table import Table
from sketchloss.experiments.tuning.counted import count_forward, network_of_cell
from sketchloss.experiments.tuning.plan import (
    arm_paths,
    arm_settings,
    check_file,
    is_tuned,
    start_of,
    weights_needed,
    whose,
)
from sketchloss.loss.loss import DEFAULT_METRIC
from sketchloss.loss.tap_distance import VERSIONS
from sketchloss.metrics.triplets import read_triplets
from sketchloss.networks.arms import ARMS, Arm

#: Pictures that a probe looks at for each drawing, about.
EDITS_OF_A_DRAWING = 45


def cells(plan: ProbePlan) -> Iterator[Cell]:
    """Yield a cell for each arm and seed."""
    for seed in plan.all_seeds():
        for arm in plan.entries().values():
            # note: the drawings are the same for every seed, and so are weights that were given once.
            if is_tuned(arm) or len(arm.weights) > 1 or seed == plan.seed:
                yield _cell(plan, arm, seed)


def _cell(plan: ProbePlan, arm: Arm, seed: int) -> Cell:
    settings: dict[str, Any] = {
        **PRESETS[plan.probe_preset],
        "data": plan.probed,
        "triplets": plan.triplets,
        "baselines": arm.name == [*ARMS][-1],  # what is no network is measured once, beside one of the arms
        **arm_settings(plan, arm, seed),
        "seed": plan.seed,
    }
    # note: what the loss is by default decides a result, too, and so do the metrics that the chosen one is one of.
    start = start_of(plan, arm, seed)
    default = [*network_of(start).default_layers, DEFAULT_METRIC]
    known = {**decisive(Probe, settings, start), "default": default, "metrics": VERSIONS}

    def compute(run: Path, needs: Mapping[str, Path]) -> dict[str, Any]:
        return probe(Probe(**settings, out=run, again=run.exists(), **arm_paths(arm, seed, needs)))

    def headline(found: Mapping[str, Any]) -> str:
        return f"score {next(row for row in found['rows'] if row['arm'] == arm.name)['report']['score']:.3f}"

    return Cell(
        f"probe/{arm.name}/{seed}",
        "probe",
        compute,
        known,
        needs=weights_needed(arm, seed),
        headline=headline,
        **whose(plan, arm.name, seed),
    )


def load(plan: ProbePlan, cell: Cell) -> Load:
    """Return what a probe takes."""
    settings: Any = cell.settings
    forward = count_forward(network_of_cell(plan, cell), settings["image_size"])
    return Load(settings["drawings"] * EDITS_OF_A_DRAWING * 2 * forward, precision="no")


def open_data(plan: ProbePlan, say: Callable[[str], object]) -> None:
    """Open the drawings and the judgments."""
    check_file(plan, "triplets")
    faults: list[str] = []
    open_drawings(plan.probed, per_class=2, classes=2, seed=plan.seed, faults=faults)
    say_left_out(plan.probed, faults, say=say)
    if plan.triplets is not None:
        read_triplets(plan.triplets)


# Report --------------------------------------------------------------------------------------------------------------


def sections(plan: ProbePlan, store: CellStore) -> Iterator[Section]:
    """Yield the table of the arms' losses over the seeds, and all that one seed's probe says."""
    found = done(store, "probe")
    if not found:
        return
    merged = _merge(found)
    cell, _ = found[0]
    trials = partial(shutil.copyfile, store.place(cell.name) / RUN / "trials.png")
    seeds = f"{plan.seeds} seeds" if plan.seeds > 1 else "one seed"
    yield Section(
        Table(table.measures(_counts(merged)), _values(found), corner="distance"),
        source=plan.probed,
        caption=(
            "Each arm's loss as it is by default and with the paper's l1, and what is no network. Score: mean of "
            "grows, ignores, and the mean of the two choices. Grows: Spearman's correlation with the share of strokes "
            "removed, added, displaced, redrawn. Ignores: share of the changes that people ignore (line width, a small "
            "shift, a slight scale, pencil for ink, JPEG) which count for less than a fifth of the strokes. Same "
            "class, other class: how often a redrawn version is nearer than another drawing, where pixels say the "
            f"contrary. People: agreement with human judgments. Tuned arms: {seeds}. {_probed_are_known(plan)}"
        ).strip(),
        figures={
            "probe.png": Figure("How distances behave, by the depth of the tap", partial(draw_probe, merged)),
            "trials.png": Figure("What the distances were asked", trials),
        },
    )
    yield from table.sections(merged)


def _probed_are_known(plan: ProbePlan) -> str:
    if plan.probed == "doodles" or plan.probed not in split_sources(plan.data):
        return ""
    return "The tuned arms were tuned on drawings of the same files, on these among others, which favours them."


def _values(results: list[tuple[Cell, Result]]) -> dict[str, dict[str, dict[int, float]]]:
    """Return what was found of each arm's loss, and of what is no network."""
    found: dict[str, dict[str, dict[int, float]]] = {}
    for cell, result in results:
        names = {"default": cell.arm, "paper": f"{cell.arm}, the paper's l1"}
        for row in result["rows"]:
            if row["kind"] in (*names, "baseline"):
                values = found.setdefault(names.get(row["kind"]) or row["name"], {})
                for name, value in table.answers(row).items():
                    values.setdefault(name, {})[cell.seed] = value
    return found


def _merge(results: list[tuple[Cell, Result]]) -> dict[str, Any]:
    """Return what `sketchloss probe` would have found of all arms together, with the first seed's weights."""
    firsts: dict[str, Result] = {}
    for cell, result in results:  # in the order of the seeds
        firsts.setdefault(cell.arm, result)
    found = list(firsts.values())
    rows = [row for result in found for row in result["rows"]]
    return {
        **found[0],
        "rows": sorted(rows, key=lambda row: row["group"] is not None),
        "chosen": [chosen for result in found for chosen in result["chosen"]],
    }


def _counts(merged: Mapping[str, Any]) -> dict[str, int]:
    """Return of how many yes-or-no trials the shares are."""
    row = merged["rows"][0]
    counts = {rival: share["trials"] for rival, share in row["report"]["choice"].items() if share}
    counts["ignores"] = row["report"]["drawings"] * len(CHANGES)
    if row["people"]:
        counts["people"] = row["people"]["judgments"]
    return counts


EXPERIMENT = Experiment(
    name="probe",
    title="Distances of drawings whose difference is known (probe)",
    cells=cells,
    sections=sections,
    load=load,
    open=open_data,
)
