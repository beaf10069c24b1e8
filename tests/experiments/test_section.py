"""What an experiment leaves, and how a table stands among what is said about it. Oracle: the files, and hand-written
Markdown."""

import csv
import json

import pytest

from sketchloss.experiments.section import WRITTEN, Figure, Section, write_results
from sketchloss.experiments.table import CSV_HEADER, Measure, Table

TABLE = Table([Measure("ratio", "ratio", digits=1)], {"tuning": {"ratio": {0: 0.5}}})
SHOWN = "| arm    | ratio ↑ |\n| ------ | ------: |\n| tuning |     0.5 |"
PICTURE = Figure("A picture", lambda path: path.write_bytes(b"x"))


def test_caption_table_notes_and_the_rest_follow_each_other():
    section = Section(TABLE, caption="Ratios.", notes=("one seed", "no p"), after="And so on.")
    assert section.markdown() == f"Ratios.\n\n{SHOWN}\n\n- one seed\n- no p\n\nAnd so on."
    assert Section(TABLE).markdown() == SHOWN, "what is not there leaves no gap"
    assert Section(None, caption="Words.", notes=("alone",)).markdown() == "Words.\n\n- alone"


def test_notes_of_the_table_come_before_the_others():
    two = Table(TABLE.measures, {"tuning": {"ratio": {0: 0.5}}, "ours": {"ratio": {0: 0.7}}})
    notes = [line for line in Section(two, notes=("mine",)).markdown().splitlines() if line.startswith("- ")]
    assert notes == [*(f"- {note}" for note in two.notes()), "- mine"]
    assert len(notes) == 3


def test_pictures_are_added_to_those_that_are_there():
    section = Section(TABLE, figures={"a.png": PICTURE})
    assert list(section.with_figures({"b.png": PICTURE}).figures) == ["a.png", "b.png"]
    assert list(section.figures) == ["a.png"]


def test_numbers_table_and_pictures_are_written_and_named(tmp_path, capsys):
    section = Section(TABLE, source="doodles", notes=("one seed",), figures={"a.png": PICTURE})
    write_results(tmp_path, {"ratio": 0.5}, [section])
    assert {path.name for path in tmp_path.iterdir()} == {*WRITTEN, "a.png"}
    assert json.loads((tmp_path / "results.json").read_text()) == {"ratio": 0.5}
    text = f"{SHOWN}\n\n- one seed"
    assert (tmp_path / "table.md").read_text() == f"{text}\n"
    assert (tmp_path / "table.csv").read_text().split() == [
        ",".join(CSV_HEADER),
        "doodles,tuning,ratio,1,0.5,,,,,,,,,,",
    ]
    said = capsys.readouterr().out
    assert said == f"\n{text}\n\nIn {tmp_path}: a.png, results.json, table.csv, table.md\n"


def test_several_tables_stand_under_the_names_of_their_sets(tmp_path):
    sections = [
        Section(TABLE, source="some/place/cats", figures={"a.png": PICTURE}),
        Section(TABLE, source="doodles", figures={"b.png": PICTURE}),
        Section(None, caption="Words."),
    ]
    write_results(tmp_path, {}, sections)
    text = (tmp_path / "table.md").read_text()
    assert text == f"### cats\n\n{SHOWN}\n\n### doodles\n\n{SHOWN}\n\nWords.\n"
    with (tmp_path / "table.csv").open(newline="") as file:
        assert [row["set"] for row in csv.DictReader(file)] == ["some/place/cats", "doodles"]
    assert {path.name for path in tmp_path.iterdir()} == {*WRITTEN, "a.png", "b.png"}


def test_what_is_not_printed_is_in_the_csv_file(tmp_path, capsys):
    hidden = Table(TABLE.measures, {"tuning": {"ratio": {0: 0.75}}})
    write_results(tmp_path, {}, [Section(TABLE, "doodles"), Section(hidden, "96 pixels", printed=False)])
    assert (tmp_path / "table.md").read_text() == f"{SHOWN}\n", "one that is printed needs no heading"
    assert "96 pixels" not in capsys.readouterr().out
    with (tmp_path / "table.csv").open(newline="") as file:
        assert [row["mean"] for row in csv.DictReader(file)] == ["0.5", "0.75"]


def test_a_picture_that_cannot_be_drawn_costs_no_numbers(tmp_path):
    def fail(path):
        raise OSError("no room")

    with pytest.raises(OSError, match="no room"):
        write_results(tmp_path, {"ratio": 0.5}, [Section(TABLE, figures={"a.png": Figure("A picture", fail)})])
    assert {path.name for path in tmp_path.iterdir()} == WRITTEN


def test_a_table_that_cannot_be_made_costs_no_numbers(tmp_path):
    broken = Table(TABLE.measures, {"tuning": {"ratio": {0: float("nan")}}})
    with pytest.raises(ValueError, match="must be finite"):
        write_results(tmp_path, {"ratio": 0.5}, [Section(broken)])
    assert json.loads((tmp_path / "results.json").read_text()) == {"ratio": 0.5}
    assert {path.name for path in tmp_path.iterdir()} == {"results.json"}
