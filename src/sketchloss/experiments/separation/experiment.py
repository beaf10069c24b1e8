"""Class separation in a study: of the heads that retrieval has trained (Table 4, Figure 4)."""

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from sketchloss.data.names import short_name
from sketchloss.experiments.cells import RUN, Cell, CellStore, done
from sketchloss.experiments.experiment import Claim, Experiment
from sketchloss.experiments.retrieval.experiment import retrieval_cell
from sketchloss.experiments.section import Figure, Section
from sketchloss.experiments.separation.distances import class_separation
from sketchloss.experiments.separation.figures import draw_ratios, ratio_bars
from sketchloss.experiments.separation.settings import ClassSeparation
from sketchloss.experiments.separation.table import section, table_of
from sketchloss.experiments.tuning.plan import Plan, feature_cache, other_sizes, weights_needed, whose
from sketchloss.networks.arms import Arm


def cells(plan: Plan) -> Iterator[Cell]:
    """Yield a cell for each set, seed and arm."""
    for source in plan.measured_sets():
        for seed in plan.all_seeds():
            for arm in plan.entries().values():
                yield _cell(plan, source, arm, seed)


def _cell(plan: Plan, source: str, arm: Arm, seed: int) -> Cell:
    heads = retrieval_cell(source, arm.name, seed)

    def compute(run: Path, needs: Mapping[str, Path]) -> dict[str, Any]:
        where: dict[str, Any] = {"out": run, "heads": needs[heads], "cache": feature_cache(run)}
        return class_separation(ClassSeparation(only=(arm.name,), again=run.exists(), **where))

    return Cell(
        f"separation/{short_name(source)}/{arm.name}/{seed}",
        "separation",
        compute,
        {"arm": arm.name, "seed": seed},
        needs=(heads, *weights_needed(arm, seed)),
        headline=lambda found: f"ratio {found['arms'][arm.name]['runs'][0]['ratio'] or float('nan'):.2f}",
        **whose(plan, arm.name, seed, source),
    )


def sections(plan: Plan, store: CellStore) -> Iterator[Section]:
    """Yield the table of each set, with the ratios as bars, and the map of each arm's first seed."""
    varies = {name: _what_varies(arm) for name, arm in plan.entries().items()}
    for number, source in enumerate(plan.measured_sets(), 1):
        found = done(store, "separation", source=source)
        if not found:
            continue
        results = [{**result, "data": source, "left_out": []} for _, result in found]
        title = f"Class separation: {short_name(source)}, trained embedding"
        bars = ratio_bars(table_of(results))
        caption = f"Distance across classes over distance within, {short_name(source)}"
        figures = {f"figure-4-{number}.png": Figure(caption, partial(draw_ratios, bars, title=title))}
        for cell, _ in found:
            if cell.seed == plan.seed:
                drawn = partial(shutil.copyfile, store.place(cell.name) / RUN / "map.png")
                figures[f"map-{number}-{cell.arm}.png"] = Figure(f"Map of the embedding: {cell.arm}", drawn)
        made = section(results, varies)
        yield replace(made, notes=(*made.notes, *other_sizes(plan))).with_figures(figures)


def _what_varies(arm: Arm) -> str:
    varies = ["the sketches, the split and the trained head"]
    if arm.gates == "untrained":
        varies.insert(0, "the untrained gates")
    elif arm.tuning is not None or len(arm.weights) > 1:
        varies.insert(0, "the weights" if arm.weights else "the tuned weights")
    return ", ".join(varies)


EXPERIMENT = Experiment(
    name="separation",
    title="Class separation (Table 4, Figure 4)",
    cells=cells,
    sections=sections,
    needs=("retrieval",),
    claim=Claim("ratio", "separation ratio"),
)
