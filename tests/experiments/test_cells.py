"""The cells of a study. Oracle: a log of what was computed, kept by the computations themselves."""

import json
import os
import sys
import time
from dataclasses import replace

import pytest
from filelock import FileLock

from child_process import started
from sketchloss.experiments.cells import FAILURE, LOG, RESULT, Cell, CellStore, last_line


def _cell(name: str, log, *, needs=(), fails=False, value=1, **settings) -> Cell:
    def compute(run, found):
        log.append((name, sorted(found)))
        if fails:
            raise ValueError("the ink\nran out")
        run.mkdir(exist_ok=True)
        (run / "weights").write_text(str(value))
        print(f"computing {name}")
        return {"value": value, "from": [(found[need] / "weights").read_text() for need in needs]}

    return Cell(name, "part", compute, settings, needs)


def _work(store: CellStore) -> None:
    while ready := [cell.name for cell in store if store.state(cell.name) == "ready"]:
        for name in ready:
            store.run(name)


def test_a_cell_is_computed_after_what_it_needs_once_and_found_again(tmp_path):
    log: list = []
    cells = [_cell("a", log, value=7), _cell("b/c", log, needs=("a",))]
    store = CellStore(tmp_path, cells, started=0)
    assert [store.state(name) for name in ("a", "b/c")] == ["ready", "waiting"]
    assert not store.run("b/c")
    _work(store)
    assert log == [("a", []), ("b/c", ["a"])]
    again = CellStore(tmp_path, cells, started=time.time())
    assert again.result("b/c") == {"value": 1, "from": ["7"]}
    assert not again.run("a")
    assert len(log) == 2
    assert again.seconds("a") >= 0
    assert last_line(again.place("a") / LOG) == "computing a"


def test_a_changed_setting_leads_to_new_cells_for_what_depends_on_it_alone(tmp_path):
    log: list = []

    def cells(size: int) -> list[Cell]:
        return [
            _cell("a", log, size=size),
            _cell("of a", log, needs=("a",)),
            _cell("b", log),
            _cell("of both", log, needs=("a", "b")),
        ]

    _work(CellStore(tmp_path, cells(64), started=0))
    log.clear()
    changed = CellStore(tmp_path, cells(96), started=0)
    assert [changed.state(name) for name in ("a", "of a", "b", "of both")] == ["ready", "waiting", "done", "waiting"]
    _work(changed)
    assert [name for name, _ in log] == ["a", "of a", "of both"]
    log.clear()
    _work(CellStore(tmp_path, cells(64), started=0))
    assert log == [], "what was computed before the change was thrown away"


def test_a_failure_keeps_its_reason_stops_what_needs_it_and_nothing_else_and_is_tried_again_next_time(tmp_path):
    log: list = []
    cells = [_cell("bad", log, fails=True), _cell("of bad", log, needs=("bad",)), _cell("good", log)]
    store = CellStore(tmp_path, cells, started=time.time())
    _work(store)
    assert {cell.name: store.state(cell.name) for cell in store} == {
        "bad": "failed",
        "of bad": "failed",
        "good": "done",
    }
    assert store.reason("bad") == "the ink ran out"
    assert store.reason("of bad") == "needs bad, which failed"
    assert "Traceback" in (store.place("bad") / LOG).read_text()

    mended = [_cell("bad", log), *cells[1:]]
    later = CellStore(tmp_path, mended, started=time.time())
    _work(later)
    assert [later.state(cell.name) for cell in later] == ["done"] * 3
    assert (later.place("bad") / FAILURE).is_file()  # done all the same


def test_a_cell_that_another_process_is_at_is_left_alone(tmp_path):
    log: list = []
    store = CellStore(tmp_path, [_cell("a", log)], started=0)
    store.place("a").mkdir(parents=True)
    with FileLock(store.place("a") / ".lock"):
        assert not store.run("a")
    assert log == []
    assert store.run("a")


ENDLESS = """
import sys, time
from pathlib import Path
from sketchloss.experiments.cells import Cell, CellStore

def compute(run, _):
    run.mkdir(exist_ok=True)
    (run / "begun").touch()
    time.sleep(600)

CellStore(Path(sys.argv[1]), [Cell("a", "part", compute, {})], started=0).run("a")
"""


def test_a_killed_process_leaves_no_lock_and_no_result(tmp_path):
    with started([sys.executable, "-c", ENDLESS, tmp_path], seconds=240) as child:
        child.wait_until(lambda: bool(list(tmp_path.glob("*/run/begun"))))
        child.kill()

    def compute(run, _):
        assert (run / "begun").exists(), "what was begun is gone"
        return {"resumed": True}

    store = CellStore(tmp_path, [Cell("a", "part", compute, {})], started=0)
    assert store.state("a") == "ready"
    assert store.run("a")
    assert store.result("a") == {"resumed": True}


def test_what_most_others_wait_for_comes_first(tmp_path):
    names = {"alone": (), "first": (), "second": ("first",), "third": ("second",), "late": (), "fourth": ("late",)}
    cells = [Cell(name, "part", lambda run, needs: {}, {}, needs) for name, needs in names.items()]
    store = CellStore(tmp_path, cells, started=0)
    assert store.ready() == ["first", "late", "alone"]
    store.run("first")
    assert store.ready() == ["second", "late", "alone"]


def test_names_and_needs_are_checked(tmp_path):
    log: list = []
    with pytest.raises(ValueError, match="two cells are called a"):
        CellStore(tmp_path, [_cell("a", log), _cell("a", log)], started=0)
    with pytest.raises(ValueError, match="b needs a, which does not come before it"):
        CellStore(tmp_path, [_cell("b", log, needs=("a",)), _cell("a", log)], started=0)


def test_names_that_differ_in_odd_characters_have_folders_of_their_own(tmp_path):
    log: list = []
    store = CellStore(tmp_path, [_cell("a?b", log), _cell("a/b", log)], started=0)
    assert store.place("a?b") != store.place("a/b")
    assert all(store.place(name).parent == tmp_path for name in ("a?b", "a/b"))


def test_a_result_that_json_cannot_hold_is_a_failure_and_not_a_broken_file(tmp_path):
    cell = Cell("a", "part", lambda run, needs: {"value": float("nan")}, {})
    store = CellStore(tmp_path, [cell], started=0)
    store.run("a")
    assert store.state("a") == "failed"
    assert not (store.place("a") / RESULT).exists()


def test_time_of_interrupted_attempts_counts(tmp_path):
    log: list = []
    store = CellStore(tmp_path, [_cell("a", log)], started=0)
    store.place("a").mkdir(parents=True)
    (store.place("a") / "spent.json").write_text(json.dumps({"seconds": 100.0}))
    store.run("a")
    assert 100 <= store.seconds("a") < 160

    def interrupted(run, needs):
        raise KeyboardInterrupt

    second = CellStore(tmp_path, [replace(_cell("b", log), compute=interrupted)], started=0)
    with pytest.raises(KeyboardInterrupt):
        second.run("b")
    assert second.state("b") == "ready"
    assert json.loads((second.place("b") / "spent.json").read_text())["seconds"] >= 0


def test_a_result_that_was_cut_is_computed_again(tmp_path):
    log: list = []
    store = CellStore(tmp_path, [_cell("a", log), _cell("b", log, needs=("a",))], started=0)
    _work(store)
    for left in (b"", b'{"cell": "a", "seconds": 1'):
        (store.place("a") / RESULT).write_bytes(left)
        assert [store.state(name) for name in ("a", "b")] == ["ready", "done"]
        _work(store)
        assert store.result("a")["value"] == 1
    assert [name for name, _ in log] == ["a", "b", "a", "a"]


def test_a_file_whose_name_is_no_text_is_named_in_the_log_and_in_the_reason(tmp_path):
    name = os.fsdecode(b"caf\xe9.png")

    def says(run, needs):
        print(f"skipped {name}")
        return {"skipped": name}

    def fails(run, needs):
        raise ValueError(f"{name} is damaged")

    store = CellStore(tmp_path, [Cell("a", "part", says, {}), Cell("b", "part", fails, {})], started=0)
    _work(store)
    assert [store.state(cell.name) for cell in store] == ["done", "failed"]
    assert last_line(store.place("a") / LOG) == r"skipped caf\udce9.png"
    assert store.result("a") == {"skipped": name}
    assert store.reason("b") == r"caf\udce9.png is damaged"
