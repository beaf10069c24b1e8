"""The table that every experiment prints. Oracles: scipy's t-test, closed forms, and cells worked out by hand."""

import json
import math

import pytest
from scipy.stats import t, ttest_rel

from sketchloss.experiments.table import CSV_HEADER, Measure, Table, merge
from sketchloss.metrics.statistics import Spread

BASE = {0: 0.50, 1: 0.52, 2: 0.49, 3: 0.51, 4: 0.50}
BETTER = {0: 0.60, 1: 0.63, 2: 0.59, 3: 0.60, 4: 0.61}
NOISY = {0: 0.70, 1: 0.31, 2: 0.66, 3: 0.40, 4: 0.50}
ACCURACY = Measure("accuracy", "accuracy", percent=True, digits=1, share=True, trials=200)
PLAIN = Measure("accuracy", "accuracy")
DISTANCE = Measure("distance", "FD", greater_is_better=False)
HIDDEN = Measure("hidden", "not to be seen", shown=False)


def cells_of(table: Table) -> dict[str, list[str]]:
    """Return the cells of each line but the rule, by the first one."""
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.markdown().splitlines()]
    return {line[0]: line[1:] for line in lines if not line[0].startswith("---")}


def csv_of(table: Table, source: str = "") -> dict[tuple[object, object], dict[str, object]]:
    found = [dict(zip(CSV_HEADER, row, strict=True)) for row in table.csv_rows(source)]
    return {(row["row"], row["measure"]): row for row in found}


def of_accuracy(**rows: dict[int, float]) -> dict[str, dict[str, dict[int, float]]]:
    return {row: {"accuracy": values} for row, values in rows.items()}


# Cells ---------------------------------------------------------------------------------------------------------------


def test_cells_hold_mean_deviation_and_mark_and_notes_say_what_they_mean():
    table = Table([ACCURACY], of_accuracy(ours=BETTER, tuning=BASE, original=NOISY))
    assert cells_of(table) == {
        "arm": ["accuracy (%) ↑"],
        "ours": ["**60.6 ± 1.5** *"],
        "tuning": ["50.4 ± 1.1"],
        "original": ["51.4 ± 16.6"],
    }
    notes = table.notes()
    assert "Holm's correction for the 2 tests of this table" in notes[0]
    assert notes[1] == "Bold: the best mean of its column, which is no verdict."
    assert notes[2] == "Shares: accuracy: n = 200, one sketch = 0.5 points."
    assert notes[3].startswith("Undecided; with 80 % power would have been found: original, accuracy ")
    assert "ours" not in notes[3]
    assert len(notes) == 4


def test_digits_give_three_figures_also_of_tiny_values_and_what_is_missing_is_a_dash():
    values = {
        **{"hundreds": {0: 123.4}, "tens": {0: 12.34}, "ones": {0: 1.234}, "tenths": {0: 0.1234}},
        **{"hundredths": {0: 0.01234}, "tiny": {0: -0.00001234}, "nothing": {0: 0.0}, "missing": {}},
    }
    cells = cells_of(Table([DISTANCE], {row: {"distance": found} for row, found in values.items()}, corner="row"))
    assert cells.pop("tiny") == ["**-0.0000123**"]
    assert [cell for (cell,) in cells.values()] == ["FD ↓", "123", "12.3", "1.23", "0.123", "0.0123", "0.000", "-"]
    tiny = Spread(0.00001234, 0.000002, 3)
    assert DISTANCE.write(tiny) == "0.0000123 ± 0.0000020"
    assert Measure("share", "share", percent=True).write(tiny) == "0.00123 ± 0.00020"


def test_a_value_that_was_measured_once_has_its_interval_in_brackets():
    values = of_accuracy(tuning={0: 0.61}, ours={0: 0.5, 1: 0.7})
    bounds = {("tuning", "accuracy"): (0.5812, 0.6433), ("ours", "accuracy"): (0.4, 0.6)}
    table = Table([Measure("accuracy", "accuracy", percent=True, digits=1)], values, intervals=bounds)
    assert cells_of(table)["tuning"] == ["**61.0 [58.1, 64.3]**"]
    assert cells_of(table)["ours"] == ["60.0 ± 14.1"], "of a mean over seeds it would be the interval of one of them"
    found = csv_of(table)
    assert (found["tuning", "accuracy"]["low"], found["tuning", "accuracy"]["high"]) == (0.5812, 0.6433)
    assert (found["ours", "accuracy"]["low"], found["ours", "accuracy"]["high"]) == (None, None)
    kept = table.as_json()
    assert kept["tuning"]["accuracy"]["interval"] == (0.5812, 0.6433)
    assert kept["ours"]["accuracy"]["interval"] is None


def test_small_samples_are_marked_and_noted():
    small = Measure("distance", "FD", greater_is_better=False, small_sample=True)
    table = Table([small, PLAIN], {"tuning": {"distance": {0: 2.0}, "accuracy": {0: 0.5}}})
    assert cells_of(table)["arm"] == ["FD ↓ ‡", "accuracy ↑"]
    assert [note for note in table.notes() if note.startswith("‡ Small samples (below 2,048)")]
    assert not [note for note in Table([DISTANCE], table.values).notes() if "‡" in note]


# The best ------------------------------------------------------------------------------------------------------------


def test_the_best_of_each_column_is_bold_whichever_way_is_better():
    values = {
        "ours": {"accuracy": {0: 0.6}, "distance": {0: 2.0}},
        "tuning": {"accuracy": {0: 0.5}, "distance": {0: 1.0}},
    }
    cells = cells_of(Table([PLAIN, DISTANCE], values))
    assert (cells["ours"], cells["tuning"]) == (["**0.600**", "2.00"], ["0.500", "**1.00**"])


def test_what_is_written_alike_is_equally_good_and_where_all_are_nothing_is_bold():
    three = of_accuracy(ours={0: 0.60001}, tuning={0: 0.60004}, original={0: 0.5})
    assert [cell for (cell,) in cells_of(Table([PLAIN], three)).values()][1:] == ["**0.600**", "**0.600**", "0.500"]
    for values in (of_accuracy(ours={0: 0.60001}, tuning={0: 0.60004}), of_accuracy(tuning={0: 0.6})):
        table = Table([PLAIN], values)
        assert "**" not in table.markdown()
        assert not [note for note in table.notes() if note.startswith("Bold")]


def test_rows_beside_come_last_and_are_neither_best_nor_compared():
    values = of_accuracy(true={seed: value + 0.3 for seed, value in BETTER.items()}, ours=BETTER, tuning=BASE)
    table = Table([ACCURACY], values, beside=("true",))
    assert list(cells_of(table)) == ["arm", "ours", "tuning", "true"]
    assert cells_of(table)["true"] == ["90.6 ± 1.5"]
    assert cells_of(table)["ours"] == ["**60.6 ± 1.5** *"]
    assert set(table.compare()) == {("ours", "accuracy")}
    assert list(table.as_json()) == [row for row, _ in csv_of(table)] == ["ours", "tuning", "true"]


# Comparisons ---------------------------------------------------------------------------------------------------------


def test_p_is_the_paired_t_test_over_common_seeds():
    found = Table([PLAIN], of_accuracy(ours=BETTER | {9: 0.0}, tuning=BASE)).compare()
    assert set(found) == {("ours", "accuracy")}
    assert found["ours", "accuracy"].p == pytest.approx(ttest_rel(list(BETTER.values()), list(BASE.values())).pvalue)


def test_p_is_corrected_for_all_tests_of_the_table_by_holm():
    values = {
        "ours": {"accuracy": BETTER, "distance": NOISY},
        "tuning": {"accuracy": BASE, "distance": BASE},
        "original": {"accuracy": NOISY},
    }
    found = Table([PLAIN, DISTANCE], values).compare()
    raw = {
        (row, name): float(ttest_rel(list(values[row][name].values()), list(BASE.values())).pvalue)
        for row, name in (("ours", "accuracy"), ("ours", "distance"), ("original", "accuracy"))
    }
    assert found["ours", "accuracy"].p == pytest.approx(3 * raw["ours", "accuracy"])
    assert found["ours", "distance"].p == found["original", "accuracy"].p == pytest.approx(1.0)
    assert raw["ours", "distance"] == raw["original", "accuracy"] > 0.5


def test_shares_are_tested_as_shares_of_their_trials_and_of_unknown_ones_not_at_all():
    values = of_accuracy(ours=BETTER, tuning=BASE)
    differences = [BETTER[seed] - BASE[seed] for seed in BASE]
    difference = math.fsum(differences) / 5
    least = math.sqrt(difference * (1 - difference) / 10)
    assert least > math.sqrt(math.fsum((one - difference) ** 2 for one in differences) / 4)
    ten, unknown = (Measure("accuracy", "accuracy", share=True, trials=trials) for trials in (10, None))
    found = Table([ten], values).compare()["ours", "accuracy"]
    assert found.p == pytest.approx(2 * t.sf(difference / (least / math.sqrt(5)), 4))
    assert cells_of(Table([ten], values))["ours"] == ["**0.606 ± 0.015**"]
    assert cells_of(Table([PLAIN], values))["ours"] == ["**0.606 ± 0.015** *"]
    assert Table([unknown], values).compare()["ours", "accuracy"].p is None
    assert Table([unknown], values).notes()[0].startswith("No verdict against tuning: differences of shares of unknown")


def test_another_row_can_be_the_reference():
    table = Table([PLAIN], of_accuracy(none=BASE, ours=BETTER, tuning=BETTER), against="none")
    assert set(table.compare()) == {("ours", "accuracy"), ("tuning", "accuracy")}
    assert "better and † worse than none with" in table.notes()[0]
    assert {row["against"] for row in csv_of(table).values()} == {None, "none"}
    assert table.as_json()["ours"]["accuracy"]["comparison"]["against"] == "none"


def test_what_was_measured_once_for_all_seeds_is_compared_with_nothing():
    for values in (of_accuracy(ours={0: 0.4}, tuning=BASE), of_accuracy(ours=BASE, tuning={0: 0.4})):
        table = Table([ACCURACY], values)
        assert table.compare() == {}
        assert cells_of(table)["ours"] in (["40.0"], ["**50.4 ± 1.1**"])
        assert not [note for note in table.notes() if "verdict against" in note or note.startswith("Marks")]
        assert table.as_json()["ours"]["accuracy"]["comparison"] is None
        assert csv_of(table)["ours", "accuracy"]["verdict"] is None


def test_without_the_reference_nothing_is_compared():
    table = Table([ACCURACY], of_accuracy(ours=BETTER, original=BASE))
    assert table.compare() == {}
    assert cells_of(table)["ours"] == ["**60.6 ± 1.5**"]


def test_fewer_than_five_seeds_have_no_marks_and_say_so():
    table = Table([ACCURACY], of_accuracy(ours={0: 0.9, 1: 0.91}, tuning={0: 0.5, 1: 0.52}))
    assert cells_of(table)["ours"] == ["**90.5 ± 0.7**"]
    assert table.notes()[0].startswith("Too few seeds for a verdict against tuning: 2 of 5")
    assert csv_of(table)["ours", "accuracy"]["verdict"] == "too few seeds: 2 of 5"
    assert csv_of(table)["ours", "accuracy"]["p"] is None


def test_less_can_be_better():
    rows = {"ours": BETTER, "tuning": BASE, "original": NOISY}
    cells = cells_of(Table([DISTANCE], {row: {"distance": values} for row, values in rows.items()}))
    assert [cells[row] for row in rows] == [["0.606 ± 0.015 †"], ["**0.504 ± 0.011**"], ["0.514 ± 0.166"]]
    flipped = Table([DISTANCE], {"ours": {"distance": BASE}, "tuning": {"distance": BETTER}})
    assert cells_of(flipped)["ours"] == ["**0.504 ± 0.011** *"]
    assert csv_of(flipped)["ours", "distance"]["verdict"] == "better"
    assert flipped.as_json()["ours"]["distance"]["comparison"]["verdict"] == "better"


def test_what_is_neither_better_nor_worse_has_no_arrow_no_best_and_no_test():
    table = Table([Measure("accuracy", "ratio", ranked=False)], of_accuracy(ours=BETTER, tuning=BASE))
    assert cells_of(table) == {"arm": ["ratio"], "ours": ["0.606 ± 0.015"], "tuning": ["0.504 ± 0.011"]}
    assert (table.compare(), table.notes()) == ({}, [])
    assert csv_of(table)["ours", "accuracy"]["verdict"] is None


def test_hidden_measures_are_in_the_files_alone_and_cost_no_test_its_p():
    values = {
        "ours": {"accuracy": BETTER, "hidden": BETTER},
        "tuning": {"accuracy": BASE, "hidden": BASE},
    }
    table, without = Table([PLAIN, HIDDEN], values), Table([PLAIN], values)
    assert table.markdown() == without.markdown()
    assert table.notes() == without.notes()
    assert table.compare() == without.compare()
    assert table.compare()["ours", "accuracy"].p == pytest.approx(
        ttest_rel(list(BETTER.values()), list(BASE.values())).pvalue
    )
    assert csv_of(table)["ours", "hidden"]["mean"] == pytest.approx(0.606)
    assert csv_of(table)["ours", "hidden"]["p"] is None
    assert table.as_json()["ours"]["hidden"]["values"] == {str(seed): value for seed, value in BETTER.items()}
    assert ("ours", "hidden", 1, 0.63) in list(table.seed_rows())


# The paper -----------------------------------------------------------------------------------------------------------

PUBLISHED = Measure(
    **{"name": "accuracy", "heading": "accuracy", "percent": True, "digits": 1, "paper_digits": 2},
    paper={"ours": (0.749, 0.0031), "original": (0.7305, None), "attention": (0.5901, 0.0052)},
)


def test_the_papers_rows_stand_below_ours_in_italics_with_its_own_digits():
    values = of_accuracy(ours=BETTER, tuning=BASE, original={0: 0.5})
    table = Table([PUBLISHED, DISTANCE], {row: of | {"distance": {0: 1.0}} for row, of in values.items()})
    cells = cells_of(table)
    assert list(cells) == [
        *("arm", "ours", "tuning", "original"),
        *("*ours (Seo 2025, other data)*", "*original (Seo 2025, other data)*"),
    ], "attention is not in the table, and of tuning nothing was printed"
    assert cells["*ours (Seo 2025, other data)*"] == ["*74.90 ± 0.31*", "-"]
    assert cells["*original (Seo 2025, other data)*"] == ["*73.05*", "-"]
    assert cells["ours"] == ["**60.6 ± 1.5** *", "1.00"], "the paper's numbers compete with none of ours"
    assert table.notes()[-1] == (
        "Rows in italics: the paper's numbers (Seo 2025), of other data and sizes, so not comparable with ours."
    )
    found = csv_of(table)
    assert (found["ours", "accuracy"]["paper_mean"], found["ours", "accuracy"]["paper_deviation"]) == (0.749, 0.0031)
    assert found["tuning", "accuracy"]["paper_mean"] is found["original", "accuracy"]["paper_deviation"] is None


def test_of_the_same_data_the_papers_rows_say_nothing_else():
    table = Table([PUBLISHED], of_accuracy(ours=BETTER), same_data=True)
    assert list(cells_of(table)) == ["arm", "ours", "*ours (Seo 2025)*"]
    assert table.notes()[-1] == "Rows in italics: the paper's numbers (Seo 2025), of the same data."


def test_without_a_row_of_the_paper_nothing_is_said_of_it():
    table = Table([PUBLISHED], of_accuracy(mine=BETTER))
    assert "Seo" not in table.markdown() + "".join(table.notes())


def test_a_column_that_only_the_paper_has_is_shown_and_one_that_nobody_has_is_not():
    table = Table([PUBLISHED, DISTANCE, PLAIN], {"ours": {}, "tuning": {}})
    assert cells_of(table) == {
        **{"arm": ["accuracy (%) ↑"], "ours": ["-"], "tuning": ["-"]},
        "*ours (Seo 2025, other data)*": ["*74.90 ± 0.31*"],
    }


# Files ---------------------------------------------------------------------------------------------------------------


def test_csv_and_json_say_the_same_in_full():
    table = Table([ACCURACY], of_accuracy(ours=BETTER, tuning=BASE))
    row, kept = csv_of(table, "doodles")["ours", "accuracy"], table.as_json()["ours"]["accuracy"]
    mean = math.fsum(BETTER.values()) / 5
    assert (row["set"], row["seeds"], row["against"], row["verdict"]) == ("doodles", 5, "tuning", "better")
    assert row["mean"] == kept["mean"] == pytest.approx(mean)
    deviation = math.sqrt(sum((value - mean) ** 2 for value in BETTER.values()) / 4)
    assert row["deviation"] == kept["deviation"] == pytest.approx(deviation)
    for name in ("difference", "p", "verdict", "detectable"):
        assert row[name] == kept["comparison"][name]
    assert row["difference"] == pytest.approx(0.606 - 0.504)
    reference = csv_of(table, "doodles")["tuning", "accuracy"]
    assert {reference[name] for name in ("against", "difference", "p", "verdict", "detectable")} == {None}


def test_json_holds_finite_numbers_alone_and_comes_back_as_it_was():
    values = {"ours": {"accuracy": BETTER, "distance": {3: 0.5}}, "tuning": {"accuracy": BASE}, "empty": {}}
    bounds = {("ours", "distance"): (0.4, 0.6)}
    kept = Table([ACCURACY, DISTANCE, HIDDEN], values, intervals=bounds).as_json()
    back = json.loads(json.dumps(kept, allow_nan=False))
    assert back["ours"]["accuracy"] == kept["ours"]["accuracy"]
    assert back["ours"]["distance"] == {
        **{"values": {"3": 0.5}, "mean": 0.5, "deviation": None, "interval": [0.4, 0.6], "comparison": None},
    }
    assert set(back["ours"]["accuracy"]["comparison"]) == {
        *("seeds", "difference", "p", "half_width", "detectable", "against", "verdict"),
    }
    assert set(back) == {"ours", "tuning"}
    with pytest.raises(ValueError, match="nan: every value must be finite"):
        Table([PLAIN], of_accuracy(ours={0: math.nan})).as_json()


def test_seed_rows_are_every_value_once():
    values = {"ours": {"accuracy": {3: 0.1, 4: 0.2}, "distance": {3: 7.0}, "unknown": {3: 1.0}}, "tuning": {}}
    assert list(Table([ACCURACY, DISTANCE], values).seed_rows()) == [
        *(("ours", "accuracy", 3, 0.1), ("ours", "accuracy", 4, 0.2), ("ours", "distance", 3, 7.0)),
    ]


def test_results_are_put_together_and_the_first_of_two_for_the_same_seed_counts():
    one = {"ours": {"accuracy": {0: 0.1}, "distance": {0: 5.0}}}
    other = {"ours": {"accuracy": {0: 0.9, 1: 0.2}}, "tuning": {"accuracy": {1: 0.3}}}
    assert merge([one, other]) == {
        "ours": {"accuracy": {0: 0.1, 1: 0.2}, "distance": {0: 5.0}},
        "tuning": {"accuracy": {1: 0.3}},
    }
    assert one == {"ours": {"accuracy": {0: 0.1}, "distance": {0: 5.0}}}, "what is merged stays as it was"
    assert merge([]) == {}


def test_what_a_row_was_trained_by_is_in_brackets_and_neither_tested_nor_the_best():
    both = {row: {"accuracy": values, "distance": values} for row, values in (("tuning", BASE), ("ours", BETTER))}
    table = Table([ACCURACY, DISTANCE], both, not_counted=[("ours", "accuracy")])
    assert set(table.compare()) == {("ours", "distance")}
    cells = cells_of(table)
    assert cells["ours"][0] == "(60.6 ± 1.5)"
    assert "†" in cells["ours"][1]
    assert sum("In brackets: not counted" in note for note in table.notes()) == 1
    assert csv_of(table)["ours", "accuracy"]["verdict"] is None
    counted = Table([ACCURACY, DISTANCE], both)
    assert set(counted.compare()) == {("ours", "accuracy"), ("ours", "distance")}
    assert not any("brackets" in note for note in counted.notes())
