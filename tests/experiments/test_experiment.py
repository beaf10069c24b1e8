"""A study knows no experiment by name: a toy that is named in its list is planned, run, resumed and reported like the
paper's. Oracles: the toy's own numbers, the files of the study, keys of cells that an earlier version computed.
"""

import csv
import hashlib
import json
import re
from dataclasses import fields, replace
from pathlib import Path

import pytest

import sketchloss
from sketchloss.experiments.cells import RESULT, CellStore
from sketchloss.experiments.experiment import Entry
from sketchloss.experiments.section import Section
from sketchloss.experiments.study import Study, experiments, study
from sketchloss.experiments.study.plan import plan_cells, planned
from sketchloss.experiments.study.report import _in_short
from sketchloss.experiments.study.running import CELLS
from sketchloss.experiments.table import Measure, Table
from sketchloss.system.setting_fields import decides_result, may_change
from toy.experiment import Letters, count_letters

ARMS = ("attention+tuning", "tuning", "attention", "original")


@pytest.fixture
def config(tmp_path, narrow, monkeypatch) -> Study:
    known = experiments.EXPERIMENTS
    monkeypatch.setattr(experiments, "EXPERIMENTS", (*known, Entry("toy", "letters of names", "toy.experiment")))
    return Study(out=tmp_path / "out", weights=narrow, only=("toy",), seeds=5)


def test_a_dry_run_counts_it(config, capsys):
    (row,) = study(replace(config, dry_run=True))["plan"]
    assert (row["part"], row["cells"], row["done"], row["steps"]) == ("toy", 20, 0, [3])
    assert row["multiply_adds"] == 20 * 2e9
    assert re.search(r"^\| toy +\| +20 \|", capsys.readouterr().out, re.MULTILINE)


def test_it_is_run_resumed_and_reported_with_its_marks_and_the_papers_row(config, capsys):
    results = study(config)
    expected = {arm: {str(seed): count_letters(Letters(arm, seed))["letters"] for seed in range(5)} for arm in ARMS}
    table = results["tables"]["toy"][""]
    assert {arm: table[arm]["letters"]["values"] for arm in ARMS} == expected
    assert json.loads((config.out / "results.json").read_text())["tables"]["toy"][""] == table

    # The noise is the same for all arms, so that no difference has a deviation to be tested by.
    text = (config.out / "report.md").read_text()
    assert "## Names (toy)\n\nLetters of the arms' names." in text
    assert re.search(r"^\| \*tuning \(Seo 2025, other data\)\* +\| +\*7\.50 ± 0\.25\* \|$", text, re.MULTILINE)
    assert "| letters of a name | attention+tuning | tuning" in re.sub(" +", " ", text)
    with (config.out / "numbers.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["row"] == "original"]
    assert {row["seed"]: float(row["value"]) for row in rows} == expected["original"]

    # again: nothing is computed anew
    before = {path: path.stat().st_mtime_ns for path in (config.out / CELLS).glob(f"*/{RESULT}")}
    capsys.readouterr()
    assert study(config)["tables"] == results["tables"]
    assert "20 of 20 cells are there already" in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in (config.out / CELLS).glob(f"*/{RESULT}")} == before


def test_its_marks_are_those_of_every_table(config, monkeypatch):
    from toy import experiment as toy

    def uneven(settings: Letters) -> dict[str, float]:
        return {"letters": len(settings.arm) + 0.1 * ((len(settings.arm) + settings.seed**2) % 7)}

    monkeypatch.setattr(toy, "count_letters", uneven)
    table = study(config)["tables"]["toy"][""]
    verdicts = {arm: table[arm]["letters"]["comparison"]["verdict"] for arm in ARMS if arm != "tuning"}
    assert verdicts == dict.fromkeys(verdicts, "better"), "longer names, by far more than they vary"
    text = (config.out / "report.md").read_text()
    assert len(re.findall(r"^\| [a-z+]+ +\| +[*0-9. ±]+ \* \|$", text, re.MULTILINE)) == 3
    with (config.out / "tables.csv").open(newline="") as file:
        rows = {row["row"]: row for row in csv.DictReader(file)}
    assert [rows[arm]["verdict"] for arm in ("original", "tuning")] == ["better", ""]
    assert (rows["tuning"]["paper_mean"], rows["tuning"]["paper_deviation"]) == ("7.5", "0.25")
    assert float(rows["original"]["p"]) < 0.05


def test_a_table_without_the_claimed_measure_makes_no_claim():
    from toy.experiment import EXPERIMENT

    values = {arm: {"other": {0: 1.0}} for arm in ARMS}
    assert list(_in_short({EXPERIMENT: [Section(Table([Measure("other", "other")], values))]})) == []


def test_the_study_names_no_experiment_outside_its_list():
    place = Path(sketchloss.__file__).parent / "experiments" / "study"
    names = [entry.name for entry in experiments.EXPERIMENTS if entry.name != "tuning"]  # whose settings all share
    found = [
        f"{file.name}: {line.strip()}"
        for file in place.glob("*.py")
        if file.name != "experiments.py"
        for line in file.read_text(encoding="utf-8").splitlines()
        if re.search(rf"\b({'|'.join(names)})\b", line)
    ]
    assert found == []


def test_entries_are_what_their_modules_hold():
    for entry in experiments.EXPERIMENTS:
        assert entry.load().name == entry.name


def test_what_an_experiment_needs_is_planned_before_it(tmp_path, narrow):
    config = Study(out=tmp_path / "out", weights=narrow)
    assert [one.name for one in planned(replace(config, only=("separation",)))] == ["tuning", "retrieval", "separation"]
    assert [one.name for one in planned(replace(config, only=("ablation",)))] == ["ablation"]


def test_cells_that_earlier_versions_computed_are_found(tmp_path, monkeypatch):
    """Keys written down at commit 3e76e52; a change of them has every user compute a study anew, and must be said."""
    monkeypatch.chdir(tmp_path)
    store = CellStore(tmp_path, plan_cells(Study(out=Path("out"))), started=0)
    keys = {name: key for name, key in store.keys.items() if not name.startswith(("pairs/", "recovery/"))}
    assert len(keys) == 55
    some = {
        "tuning/tuning/0": "c62d7809b023",
        "retrieval/doodles/attention/2": "f10b31106c15",
        "separation/doodles/original/1": "c8fc725f3f06",
        "probe/attention+tuning/0": "fa2eb7bbd0e0",
        "style/doodles?tool=ink/tuning/0": "d2602d65ffd3",
        "lora/none/0": "82cf251dceca",
        "ablation/lr=0.005, adam/tuning/0": "8819e27260d0",
    }
    assert {name: keys[name] for name in some} == some
    told = "\n".join(f"{name} {key}" for name, key in sorted(keys.items()))
    assert hashlib.sha256(told.encode()).hexdigest()[:16] == "7464918c82ef67e3"


def test_what_decides_a_result_stands_on_the_field():
    from sketchloss.experiments.prompts.settings import LoraTable
    from sketchloss.experiments.retrieval.settings import Retrieval

    named = {item.name: item for item in fields(LoraTable)}
    assert [name for name in ("out", "resume", "judge", "tuning") if decides_result(named[name])] == []
    assert [name for name in ("out", "drawings", "checkpoint_every", "arm") if may_change(named[name])] == [
        *("out", "drawings", "checkpoint_every", "arm"),
    ]
    of_retrieval = {item.name: item for item in fields(Retrieval)}
    assert not may_change(of_retrieval["seeds"])
    assert decides_result(of_retrieval["seeds"])
