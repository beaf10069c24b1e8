"""The definition of an experiment: its cells for a plan of arms and seeds, their cost, and the tables made of them.

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
    """Cost of a cell: arithmetic, steps and memory."""

    multiply_adds: float | int
    """Multiply-adds of the whole cell, backward passes included."""
    steps: int | None = None
    """Training steps of the cell; None: they are not counted."""
    count_memory: Callable[[], int] | None = None
    """Function that counts `memory`, which takes longer than all the rest."""
    assumed: str = ""
    """Facts about the data that were taken from publications, because the data were not looked at; empty: none."""
    precision: str = "bf16"
    """Arithmetic of nearly the whole cell: `no` for float32, `bf16`, `fp16`."""

    @property
    def memory(self) -> int | None:
        """Peak bytes of tensors in a training step; None where there is none."""
        return self.count_memory() if self.count_memory else None


@dataclass(frozen=True)
class Claim:
    """The measure by which a study says whether the paper's claims came out; a greater value is better."""

    measure: str
    words: str
    """Name of the measure in words, as in "retrieval top-1"."""


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
    """An experiment, as a study uses it. A plan holds the settings of the study and of all experiments in it."""

    name: str
    """Name of the experiment in one word, for `--only`, the cells and the files."""
    title: str
    """Heading of the experiment's part of the report."""
    cells: Callable[[Any], Iterable[Cell]]
    """Function from a plan to its cells, each after those that it needs."""
    sections: Callable[[Any, CellStore], Iterable[Section]]
    """Function from a plan and its cells to a table for each data set, of what is done."""
    needs: tuple[str, ...] = ("tuning",)
    """Names of the experiments whose cells this one needs."""
    load: Callable[[Any, Cell], Load] = _no_cost
    """Function from a plan and a cell to what the cell takes, without looking at data that are not on this disk."""
    claim: Claim | None = None
    check: Callable[[Any], None] = _fine
    """Function that raises ValueError for settings that do not go together; it looks at no data."""
    open: Callable[[Any, Callable[[str], object]], None] = _nothing_to_open
    """Function that opens all data that the cells will need, so that a mistake is reported before the first hour; it
    passes what is left out of them to its second argument."""
    differences: Callable[[Any], Iterable[str]] = _as_the_paper
    """Function from a plan to sentences: each names something smaller than in the paper, or otherwise different."""


@dataclass(frozen=True)
class Entry:
    """An experiment in the list of a study. Its libraries are loaded when it is asked for."""

    name: str
    """Name of the experiment."""
    summary: str
    """Summary in a few words, for the help of `--only`."""
    module: str
    """Module that holds the experiment as `EXPERIMENT`."""
    options: type | None = None
    """Settings of the experiment in a study, a dataclass that extends `Plan`; None: it has no settings of its own."""
    presets: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Preset of the study -> the defaults of `options` that it changes."""

    def load(self) -> Experiment:
        """Return the experiment."""
        return import_module(self.module).EXPERIMENT
