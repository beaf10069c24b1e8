"""What an experiment leaves. Oracle: the files."""

import csv
import json

import pytest

from sketchloss.experiments.section import WRITTEN, Figure, Section, write_results
from sketchloss.experiments.table import CSV_HEADER, Measure, Table


def section(source="", value=0.5, **settings):
    return Section(Table([Measure("ratio", "ratio")], {"tuning": {"ratio": {0: value}}}), source, **settings)


def test_numbers_table_and_pictures_are_written_and_named(tmp_path, capsys):
    made = section(figures={"a.png": Figure("a", lambda path: path.write_bytes(b"x"))})
    write_results(tmp_path, {"ratio": 0.5}, [made])
    assert {path.name for path in tmp_path.iterdir()} == {*WRITTEN, "a.png"}
    assert json.loads((tmp_path / "results.json").read_text()) == {"ratio": 0.5}
    assert (tmp_path / "table.md").read_text() == made.markdown() + "\n"
    with (tmp_path / "table.csv").open(newline="") as file:
        header, row = csv.reader(file)
    assert tuple(header) == CSV_HEADER
    assert row[:5] == ["", "tuning", "ratio", "1", "0.5"]
    said = capsys.readouterr().out
    assert said == f"\n{made.markdown()}\n\nIn {tmp_path}: a.png, results.json, table.csv, table.md\n"


def test_several_sections_are_told_apart_by_the_short_names_of_their_sets(tmp_path):
    made = [Section(None, caption="Words."), section("/far/away/cufs"), section("average", 0.75)]
    write_results(tmp_path, {}, made)
    words, first, second = (one.markdown() for one in made)
    assert (tmp_path / "table.md").read_text() == f"{words}\n\n### cufs\n\n{first}\n\n### average\n\n{second}\n"
    with (tmp_path / "table.csv").open(newline="") as file:
        assert [row["set"] for row in csv.DictReader(file)] == ["/far/away/cufs", "average"]


def test_what_is_not_printed_is_in_the_csv_file(tmp_path, capsys):
    made = [section(), section("96 pixels", 0.75, printed=False)]
    write_results(tmp_path, {}, made)
    assert (tmp_path / "table.md").read_text() == made[0].markdown() + "\n"
    assert "0.75" not in capsys.readouterr().out
    with (tmp_path / "table.csv").open(newline="") as file:
        assert [row["mean"] for row in csv.DictReader(file)] == ["0.5", "0.75"]


def test_a_picture_that_cannot_be_drawn_costs_no_numbers(tmp_path):
    def fail(path):
        raise OSError("no room")

    with pytest.raises(OSError, match="no room"):
        write_results(tmp_path, {"ratio": 0.5}, [section(figures={"a.png": Figure("a", fail)})])
    assert {path.name for path in tmp_path.iterdir()} == WRITTEN
