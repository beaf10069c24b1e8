"""What the storms share: how many cases there are, what came of them, and the processes that are killed.

The suite runs them in small and always the same; `make storm` in full, with a seed of the day that is printed.
"""

import json
import os
import random
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from random import Random
from typing import Any

import pytest

from child_process import PIPE, Child, name_of_code, started

FULL = os.environ.get("SKETCHLOSS_STORM") == "full"
SEED = int(os.environ.get("SKETCHLOSS_STORM_SEED") or (random.SystemRandom().randrange(10**6) if FULL else 0))
DAY = 86_400.0
ONLY = os.environ.get("SKETCHLOSS_STORM_CASE")
#: For an answer of a program; a command that hangs ends itself before (forking.py).
MOST_SECONDS = 300


class Storm:
    """One storm: its cases, what came of each, and what was lost.

    Args:
        name: of the test.
    """

    full = FULL

    def __init__(self, name: str) -> None:
        self.name = name
        self.kinds: set[str] = set()
        self.tried = 0
        self.outcomes: Counter[str] = Counter()
        self.losses: list[str] = []

    def cases(self, kinds: Iterable[str], *, small: int, full: int) -> Iterator[tuple[str, str, Random]]:
        """Yield so many cases in all, the kinds in turn: the kind, the case's name, and its own random numbers."""
        kinds = list(kinds)
        for number in range(full if FULL else small):
            kind = kinds[number % len(kinds)]
            case = f"{kind} {number // len(kinds)}"
            if ONLY in (None, case):
                self.kinds.add(kind)
                self.tried += 1
                yield kind, case, Random(f"{SEED} {case}")

    def note(self, outcome: str) -> None:
        """Count what came of a case, where that is allowed."""
        self.outcomes[outcome] += 1

    def lose(self, case: str, reason: object) -> None:
        """Note that a promise was broken, and how to see it again."""
        again = f"SKETCHLOSS_STORM_SEED={SEED} SKETCHLOSS_STORM_CASE='{case}' pytest -n 0 tests/storms -k {self.name}"
        self.losses.append(f"{case}: {reason}\n    again: {'SKETCHLOSS_STORM=full ' * FULL}{again}")

    def end(self) -> None:
        """Say what was tried and what was lost; nothing may be."""
        outcomes = ", ".join(f"{number:,} {outcome}" for outcome, number in self.outcomes.most_common())
        kinds = f" of {len(self.kinds)} kinds" if len(self.kinds) > 1 else ""
        said = f"{self.name} (seed {SEED}): tried {self.tried:,}{kinds}: {outcomes}; {len(self.losses):,} lost"
        print("", said, *self.losses, sep="\n")
        assert not self.losses, "\n".join([said, *self.losses])
        assert self.tried, f"no case is called {ONLY!r}"


@pytest.fixture
def storm(request) -> Storm:
    return Storm(request.node.originalname)


@dataclass(frozen=True)
class Ended:
    """A command that has ended: its exit code (-9 and -14: it was killed), what it said, and what it did until then."""

    code: int
    said: str
    seconds: float
    changes: int
    """Of files in the folder; 0 if it was killed."""

    @property
    def was_killed(self) -> bool:
        return self.code < 0

    def __str__(self) -> str:
        said = self.said.strip()[-2000:]
        return f"{name_of_code(self.code)} after {self.seconds:.1f} s, having said: {said or 'nothing'}"


class Commands:
    """Runs commands of sketchloss, each in a process of its own.

    Args:
        child: of the program `forking.py`.
        place: for what they say.
    """

    def __init__(self, child: Child, place: Path) -> None:
        self.child, self.place = child, place
        self.numbers = count()

    def start(self, *arguments: object, folder: Path, change: int = 0, seconds: float = 0) -> tuple[int, Path]:
        """Start a command that is killed before its change number `change` in the folder, or after some seconds."""
        said = self.place / f"{next(self.numbers)}.txt"
        given = {"arguments": list(map(str, arguments)), "folder": str(folder), "change": change, "seconds": seconds}
        return self._ask({**given, "said": str(said)}), said

    def wait(self, process: int, said: Path) -> Ended:
        """Wait for a command that was started."""
        code, seconds = self._ask({"wait": process})
        changes = said.with_suffix(".changes")
        return Ended(code, said.read_text(), seconds, int(changes.read_text()) if changes.exists() else 0)

    def run(self, *arguments: object, folder: Path, change: int = 0, seconds: float = 0) -> Ended:
        """Start a command and wait for it."""
        return self.wait(*self.start(*arguments, folder=folder, change=change, seconds=seconds))

    def _ask(self, job: dict[str, Any]) -> Any:
        answer = self.child.ask(json.dumps(job) + "\n", MOST_SECONDS)
        assert answer, f"the program that runs the commands has ended: {self.child.how_it_ended()}"
        return json.loads(answer)


@pytest.fixture(scope="session")
def commands(tmp_path_factory) -> Iterator[Commands]:
    program = [sys.executable, Path(__file__).with_name("forking.py")]
    # note: no limit of its own. Every command has one, every test too, and all storms together may take long.
    with started(program, seconds=DAY, stdin=PIPE, stdout=PIPE) as child:
        yield Commands(child, tmp_path_factory.mktemp("said"))


class Worker:
    """A program that answers a line of JSON for each line of JSON, and is started again when it has died.

    Args:
        program: what to run.
        stack: ends it.
    """

    def __init__(self, program: Path, stack: ExitStack) -> None:
        self.program, self.stack = program, stack
        self.child: Child | None = None
        self.last_end = ""

    def ask(self, question: Any) -> Any:
        """Return the answer; None if it died of the question, and then `last_end` says how."""
        if self.child is None:
            command = [sys.executable, self.program]
            self.child = self.stack.enter_context(started(command, seconds=DAY, stdin=PIPE, stdout=PIPE))
        if answer := self.child.ask(json.dumps(question) + "\n", MOST_SECONDS):
            return json.loads(answer)
        self.last_end = self.child.how_it_ended()
        self.child = None
        return None


@pytest.fixture
def worker() -> Iterator[Callable[[Path], Worker]]:
    with ExitStack() as stack:
        yield lambda program: Worker(program, stack)
