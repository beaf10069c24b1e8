"""What an experiment leaves. Oracle: the files."""

import json

import pytest

from sketchloss.report.results import WRITTEN, write_results

HEADER = ("arm", "ratio")


def report(results):
    return f"| ratio |\n\n{results['ratio']}"


def rows(results):
    return [("tuning", results["ratio"])]


def test_numbers_table_and_pictures_are_written_and_named(tmp_path, capsys):
    write_results(tmp_path, {"ratio": 0.5}, report, HEADER, rows, {"a.png": lambda path: path.write_bytes(b"x")})
    assert {path.name for path in tmp_path.iterdir()} == {*WRITTEN, "a.png"}
    assert json.loads((tmp_path / "results.json").read_text()) == {"ratio": 0.5}
    assert (tmp_path / "table.md").read_text() == "| ratio |\n\n0.5\n"
    assert (tmp_path / "table.csv").read_text().split() == ["arm,ratio", "tuning,0.5"]
    said = capsys.readouterr().out
    assert said == f"\n| ratio |\n\n0.5\n\nIn {tmp_path}: a.png, results.json, table.csv, table.md\n"


def test_a_picture_that_cannot_be_drawn_costs_no_numbers(tmp_path):
    def fail(path):
        raise OSError("no room")

    with pytest.raises(OSError, match="no room"):
        write_results(tmp_path, {"ratio": 0.5}, report, HEADER, rows, {"a.png": fail})
    assert {path.name for path in tmp_path.iterdir()} == WRITTEN
