"""Oracles: the `csv` module of the standard library reading back, and cells written out by hand."""

import csv

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sketchloss.figures.tables import format_p, markdown_table, write_csv

text = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=12)


def test_a_table_is_aligned():
    assert markdown_table(["arm", "ratio"], [["a", "1.26"], ["longer", "2"]]).splitlines() == [
        "| arm    | ratio |",
        "| ------ | ----: |",
        "| a      |  1.26 |",
        "| longer |     2 |",
    ]


@pytest.mark.parametrize("row", [["a"], ["a", "1", "2"]])
def test_no_number_comes_under_another_heading(row):
    with pytest.raises(ValueError, match="argument 3 is"):
        markdown_table(["arm", "ratio"], [["a", "1.26"], row])


@settings(deadline=None)
@given(rows=st.lists(st.tuples(text, text), max_size=5))
def test_csv_comes_back_as_it_went(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("csv") / "table.csv"
    write_csv(path, ("a, or b", 'say "c"'), rows)
    with path.open(encoding="utf-8", newline="") as file:
        assert [tuple(row) for row in csv.reader(file)] == [("a, or b", 'say "c"'), *rows]


def test_numbers_are_written_in_full_and_none_is_empty(tmp_path):
    write_csv(tmp_path / "table.csv", ("a", "b"), [(1 / 3, None)])
    assert (tmp_path / "table.csv").read_text() == "a,b\n0.3333333333333333,\n"


def test_a_row_that_does_not_fit_leaves_no_file(tmp_path):
    with pytest.raises(ValueError, match="row 1 has 1 cells, the header 2"):
        write_csv(tmp_path / "table.csv", ("a", "b"), [(1, 2), (3,)])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("p", "cell"), [(None, "-"), (0.05, "0.050"), (0.0314, "0.031"), (0.001, "0.001"), (1e-9, "<0.001")]
)
def test_a_probability_has_three_places(p, cell):
    assert format_p(p) == cell
