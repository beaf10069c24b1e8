"""Cells: the pieces of a study, each computed once, kept in a folder, and found again by what it was computed from.

A cell's key is a digest of its settings and of the keys of the cells that it needs. So a changed setting leads to other
folders for what depends on it, and to nothing else. A lock on the folder keeps two processes from the same cell; the
system frees it when a process dies.
"""

import hashlib
import json
import re
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TextIO, TypeAlias

from filelock import FileLock, Timeout

from sketchloss.system.files import read_json, write_json
from sketchloss.system.passed_over import in_one_line

#: Raise when what a cell computes from the same settings changes.
FORMAT = 2
#: Among a cell's settings: those that name files, without the folders that these lie in. They stand for the others in
#: its key, so that it is found again where its data have been moved.
ANYWHERE = "anywhere"
#: Characters of a cell's name in the name of its folder; the key tells apart what is cut alike.
LONGEST_NAME = 200
RESULT, FAILURE, LOG, RUN = "result.json", "failed.json", "log.txt", "run"
#: What a cell has computed, as JSON has it.
Result: TypeAlias = dict[str, Any]
State = Literal["done", "failed", "waiting", "ready"]
#: Computes a cell: its run folder, and those of what it needs by name, to a JSON-ready result.
Compute = Callable[[Path, Mapping[str, Path]], dict[str, Any]]


@dataclass(frozen=True)
class Cell:
    """One piece of a study, which is computed once and kept."""

    name: str
    """Unique name of the cell, with slashes: `retrieval/doodles/tuning/0`."""
    part: str
    """Name of the experiment that the cell belongs to."""
    compute: Compute
    settings: Mapping[str, Any]
    """Settings, JSON-ready: everything that decides the result, except `needs`."""
    needs: tuple[str, ...] = ()
    """Names of cells that must be done before."""
    headline: Callable[[Mapping[str, Any]], str] = field(default=lambda _: "")
    """Function that gives a result in a few words."""
    arm: str = ""
    place: int = 0
    """Place of the cell's arm in tables."""
    seed: int = 0
    source: str = ""
    """Data set that the cell measures, if there are several."""


class CellStore:
    """The cells of a study and what of them is on disk.

    Args:
        folder: made if missing.
        cells: each after those that it needs.
        started: seconds since the epoch; failures before that are tried again.

    Raises:
        ValueError: for two cells of one name, or a need that stands nowhere before.
    """

    def __init__(self, folder: Path, cells: Sequence[Cell], *, started: float | int) -> None:
        self.folder, self.started = folder, started
        self.cells: dict[str, Cell] = {}
        self.keys: dict[str, str] = {}
        for cell in cells:
            if cell.name in self.cells:
                raise ValueError(f"two cells are called {cell.name}")
            if missing := [need for need in cell.needs if need not in self.cells]:
                raise ValueError(f"{cell.name} needs {missing[0]}, which does not come before it")
            self.cells[cell.name] = cell
            recipe = [FORMAT, cell.name, _for_key(cell.settings), [self.keys[need] for need in cell.needs]]
            self.keys[cell.name] = hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()[:12]

    def __iter__(self) -> Iterator[Cell]:
        return iter(self.cells.values())

    def ready(self) -> list[str]:
        """Return the cells that can be run now, those that most others wait for first."""
        waiting = dict.fromkeys(self.cells, 0)
        for cell in self:
            for need in self._behind(cell.name):
                waiting[need] += 1
        return sorted((name for name in self.cells if self.state(name) == "ready"), key=lambda name: -waiting[name])

    def _behind(self, name: str) -> set[str]:
        """Return the cells that one needs, and those that they need."""
        needs = self.cells[name].needs
        return set(needs).union(*(self._behind(need) for need in needs))

    def place(self, name: str) -> Path:
        """Return a cell's folder."""
        words = re.sub(r"[^A-Za-z0-9.+=-]+", "_", name)[:LONGEST_NAME]
        return self.folder / f"{words}-{self.keys[name]}"

    def state(self, name: str) -> State:
        """Return the state of a cell: done, failed in this study, waiting for others, or ready to run."""
        place = self.place(name)
        if _is_whole(place / RESULT):
            return "done"
        failure = _read(place / FAILURE)
        if failure is not None and failure.get("time", 0) >= self.started:
            return "failed"
        states = [self.state(need) for need in self.cells[name].needs]
        return "failed" if "failed" in states else "ready" if all(state == "done" for state in states) else "waiting"

    def result(self, name: str) -> dict[str, Any]:
        """Return what a cell that is done has computed."""
        found = _read(self.place(name) / RESULT)
        assert found is not None
        return found["result"]

    def seconds(self, name: str) -> float:
        """Return how long a cell that is done has taken, over all attempts."""
        found = _read(self.place(name) / RESULT)
        assert found is not None
        return found["seconds"]

    def reason(self, name: str) -> str:
        """Return why a cell failed: its own reason, or which of its needs failed."""
        failure = _read(self.place(name) / FAILURE)
        if failure is not None and failure.get("time", 0) >= self.started:
            return failure["reason"]
        return next(f"needs {need}, which failed" for need in self.cells[name].needs if self.state(need) == "failed")

    def run(self, name: str) -> bool:
        """Compute a cell, unless another process is at it or it is done; return whether this process did.

        What it prints goes to `log.txt`. An error is noted as the cell's failure and not raised.
        """
        cell, place = self.cells[name], self.place(name)
        place.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(place / ".lock", timeout=0):
                if self.state(name) != "ready":
                    return False
                before = (_read(place / "spent.json") or {}).get("seconds", 0.0)
                start = time.monotonic()
                needs = {need: self.place(need) / RUN for need in cell.needs}
                try:
                    with _printing_to(place / LOG):
                        found = cell.compute(place / RUN, needs)
                        write_json(
                            place / RESULT,
                            {"cell": name, "seconds": before + time.monotonic() - start, "result": found},
                        )
                except Exception as error:  # noqa: BLE001 (a failure of one cell must not end the others)
                    with _opened(place / LOG) as log:
                        traceback.print_exception(error, file=log)
                    reason = in_one_line(str(error)) or type(error).__name__
                    write_json(place / FAILURE, {"cell": name, "reason": reason, "time": time.time()})
                finally:
                    if not _is_whole(place / RESULT):  # what an interrupted attempt took counts too
                        write_json(place / "spent.json", {"seconds": before + time.monotonic() - start})
                return True
        except Timeout:
            return False


def _for_key(settings: Mapping[str, Any]) -> dict[str, Any]:
    anywhere = settings.get(ANYWHERE, {})
    return {name: anywhere.get(name, value) for name, value in settings.items() if name != ANYWHERE}


def done(store: CellStore, part: str, **fields: Any) -> list[tuple[Cell, Result]]:
    """Return the cells of an experiment that are done, with their results, in the order of arms and then of seeds.

    Args:
        store: the cells.
        part: the experiment.
        fields: fields of the cells that are wanted.
    """
    found = [cell for cell in store if cell.part == part and all(getattr(cell, k) == v for k, v in fields.items())]
    found.sort(key=lambda cell: (cell.place, cell.seed))
    return [(cell, store.result(cell.name)) for cell in found if store.state(cell.name) == "done"]


def least_count(store: CellStore, part: str, count: str, **fields: Any) -> int | None:
    """Return of how many sketches an experiment's shares are, the least of its cells; None if a cell does not say.

    Args:
        store: the cells.
        part: the experiment.
        count: key of the number in a cell's result.
        fields: fields of the cells that are wanted.
    """
    counts = [result.get(count, 0) for _, result in done(store, part, **fields)]  # older cells do not say
    return min(counts, default=0) or None


def last_line(file: Path) -> str:
    """Return the last line of a log that says something; empty if there is none."""
    try:
        with file.open("rb") as log:
            log.seek(max(0, log.seek(0, 2) - 4096))
            lines = log.read().decode("utf-8", "replace").splitlines()
    except OSError:
        return ""
    return next((line.strip() for line in reversed(lines) if line.strip()), "")


@contextmanager
def _printing_to(file: Path) -> Iterator[None]:
    with _opened(file) as log, redirect_stdout(log), redirect_stderr(log):
        yield


def _opened(file: Path) -> TextIO:
    """Open a log to write to its end; names of files that are no text are spelt out."""
    return file.open("a", encoding="utf-8", errors="backslashreplace", buffering=1)


def _is_whole(file: Path) -> bool:
    """Tell whether a result is there to its end; it is written at once, but a copy of it may be cut."""
    try:
        with file.open("rb") as opened:
            opened.seek(-2, 2)
            return opened.read() == b"}\n"
    except OSError:  # also of an empty file
        return False


def _read(file: Path) -> dict[str, Any] | None:
    try:
        return read_json(file)
    except (OSError, ValueError):
        return None
