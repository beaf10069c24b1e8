"""What an experiment is: its cells for a plan of arms and seeds, what they take, and the tables made of them.

A study runs a list of experiments and knows none of them by name. To add one, make a folder with a module that holds an
`Experiment`, and a line in the list (`study/experiments.py`).
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from sketchloss.experiments.cells import Cell, CellStore
from sketchloss.experiments.section import Section


@dataclass(frozen=True)
class Load:
    """What a cell takes."""

    multiply_adds: float | int
    """Of everything, backward passes included."""
    steps: int | None = None
    """Of its training."""
    count_memory: Callable[[], int] | None = None
    """Counts `memory`, which takes longer than all the rest."""
    assumed: str = ""
    """What was not looked at but taken from publications."""
    precision: str = "bf16"
    """Arithmetic of nearly all of it: `no` for float32, `bf16`, `fp16`."""

    @property
    def memory(self) -> int | None:
        """Peak bytes of tensors in a training step; None where there is none."""
        return self.count_memory() if self.count_memory else None


@dataclass(frozen=True)
class Claim:
    """The measure by which a study says in short whether the paper's claims came out; more of it is better."""

    measure: str
    words: str
    """What it is, as in "retrieval top-1"."""


def _no_cost(_: Any, __: Cell) -> Load:
    return Load(0.0)


def _fine(_: Any) -> None:
    """Find no fault."""


def _nothing_to_open(_: Any, __: Callable[[str], object]) -> None:
    """Open nothing."""


def _as_the_paper(_: Any) -> Iterator[str]:
    yield from ()


@dataclass(frozen=True)
class Experiment:
    """An experiment as a study sees it. A plan is the settings of the study, with those of every experiment in it."""

    name: str
    """One word, for `--only`, the cells and the files."""
    title: str
    """The heading of its part of the report."""
    cells: Callable[[Any], Iterable[Cell]]
    """Plan -> its cells, each after those that it needs."""
    sections: Callable[[Any, CellStore], Iterable[Section]]
    """Plan and cells -> a table for each set of data, of what is done."""
    needs: tuple[str, ...] = ("tuning",)
    """Experiments whose cells its own need."""
    load: Callable[[Any, Cell], Load] = _no_cost
    """Plan and cell -> what that cell takes, without looking at data that are not on this disk."""
    claim: Claim | None = None
    check: Callable[[Any], None] = _fine
    """Raises ValueError for settings that do not go together; looks at no data."""
    open: Callable[[Any, Callable[[str], object]], None] = _nothing_to_open
    """Opens all data that the cells will need, so that a mistake is said before the first hour; what is left out of
    them is told to the second argument."""
    differences: Callable[[Any], Iterable[str]] = _as_the_paper
    """Plan -> what is smaller than in the paper, or otherwise, a sentence each."""


@dataclass(frozen=True)
class Entry:
    """An experiment in the list of a study. Its libraries are loaded when it is asked for."""

    name: str
    """As the experiment's."""
    summary: str
    """A few words, for the help of `--only`."""
    module: str
    """Holds it as `EXPERIMENT`."""
    options: type | None = None
    """Its settings in a study, a dataclass that extends `Plan`; None: it has none of its own."""
    presets: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """What each of the study's presets changes of these."""

    def load(self) -> Experiment:
        """Return the experiment."""
        return import_module(self.module).EXPERIMENT
