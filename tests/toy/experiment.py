"""How many letters the names of the arms have: the smallest experiment that a study can run."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sketchloss.experiments.cells import Cell, CellStore, done
from sketchloss.experiments.experiment import Claim, Experiment, Load
from sketchloss.experiments.keys import decisive
from sketchloss.experiments.section import Section
from sketchloss.experiments.table import Measure, Table, merge
from sketchloss.experiments.tuning.plan import Plan, whose
from sketchloss.system.setting_fields import PLACE


@dataclass(frozen=True)
class Letters:
    arm: str
    seed: int
    noise: float = 0.1
    out: Path | None = field(default=None, metadata=PLACE)


def count_letters(config: Letters) -> dict[str, Any]:
    return {"letters": len(config.arm) + config.noise * (config.seed * 7919 % 5)}


def cells(plan: Plan) -> Iterator[Cell]:
    for seed in plan.all_seeds():
        for arm in plan.entries():
            settings: Mapping[str, Any] = {"arm": arm, "seed": seed}

            def compute(run: Path, _: object, settings: Mapping[str, Any] = settings) -> dict[str, Any]:
                return count_letters(Letters(**settings, out=run))

            yield Cell(f"toy/{arm}/{seed}", "toy", compute, decisive(Letters, settings), **whose(plan, arm, seed))


def sections(_: Plan, store: CellStore) -> Iterator[Section]:
    if found := done(store, "toy"):
        values = merge([{cell.arm: {"letters": {cell.seed: result["letters"]}}} for cell, result in found])
        measure = Measure("letters", "letters", digits=1, paper={"tuning": (7.5, 0.25)}, paper_digits=2)
        yield Section(Table([measure], values), caption="Letters of the arms' names.")


EXPERIMENT = Experiment(
    name="toy",
    title="Names (toy)",
    cells=cells,
    sections=sections,
    needs=(),
    load=lambda plan, cell: Load(2e9, steps=3),
    claim=Claim("letters", "letters of a name"),
)
