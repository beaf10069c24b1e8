"""The cells of a study's experiments, from its settings."""

from sketchloss.experiments.cells import Cell
from sketchloss.experiments.experiment import Experiment
from sketchloss.experiments.study import experiments
from sketchloss.experiments.study.settings import Study


def planned(config: Study) -> list[Experiment]:
    """Return the experiments that are asked for and those that these need, in the order in which cells are planned."""
    known = {entry.name: entry for entry in experiments.EXPERIMENTS}
    found: dict[str, Experiment] = {}

    def add(name: str) -> None:
        if name not in found:
            experiment = known[name].load()
            for need in experiment.needs:
                add(need)
            found[name] = experiment

    for entry in config.asked():
        add(entry.name)
    return list(found.values())


def plan_cells(config: Study) -> list[Cell]:
    """Return the cells of a study, each after those that it needs."""
    return [cell for experiment in planned(config) for cell in experiment.cells(config)]
