"""Ending the processes of a study, and what is seen of its cells. Oracles: exit codes; what a terminal is sent."""

import io
import multiprocessing
import signal
import time
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import pytest

from sketchloss.experiments.cells import Cell, CellStore
from sketchloss.experiments.study import running

SPAWN = multiprocessing.get_context("spawn")
STUBBORN = """
import signal, time
from pathlib import Path
signal.signal(signal.SIGTERM, signal.SIG_IGN)
Path(place).touch()
time.sleep(600)
"""


@pytest.fixture
def start():
    """Start processes as a study does; none of them outlives the test."""
    begun = []

    def starting(target, *arguments):
        process = SPAWN.Process(target=target, args=arguments, daemon=True)
        begun.append(process)
        process.start()
        return process

    yield starting
    for process in begun:
        process.kill()


def test_processes_that_end_by_themselves_are_waited_for(start):
    process = start(time.sleep, 0.5)
    running._end([process, SPAWN.Process(target=time.sleep)], seconds=60)  # one was never started
    assert process.exitcode == 0


def test_processes_that_do_not_end_are_asked_to(start):
    process = start(time.sleep, 600)
    running._end([process], seconds=0)
    assert process.exitcode == -signal.SIGTERM


def test_processes_that_do_not_heed_it_are_made_to(start, tmp_path, monkeypatch):
    process = start(exec, STUBBORN, {"place": str(tmp_path / "ready")})
    while not (tmp_path / "ready").exists():
        assert process.is_alive()
        time.sleep(0.05)
    # A clock on which the twenty seconds of patience are over at once.
    monkeypatch.setattr(running, "time", SimpleNamespace(monotonic=count(step=1000).__next__))
    running._end([process], seconds=0)
    assert process.exitcode == -signal.SIGKILL


class Terminal(io.StringIO):
    """A stream that people look at."""

    def isatty(self) -> bool:
        return True


def store_of(place: Path) -> CellStore:
    cells = [Cell(f"part/{name}", "part", lambda *_: {"ink": 3}, {}, headline=str) for name in "ab"]
    return CellStore(place, cells, started=time.time())


def test_a_bar_is_ended_before_what_is_printed_next(tmp_path):
    store, said, terminal = store_of(tmp_path), io.StringIO(), Terminal()
    store.run("part/a")
    view = running._View(store, said, terminal)
    view.start()
    store.run("part/b")
    view.stop()
    assert "cells: 100%" in terminal.getvalue()
    assert "2/2" in terminal.getvalue()
    assert terminal.getvalue().endswith("\n")  # and the view, which still is there, writes no more
    first, second = said.getvalue().splitlines()
    assert first == "1 of 2 cells are there already"
    assert second.startswith("[  2/2]  part/b ")
    assert second.endswith("{'ink': 3}")
