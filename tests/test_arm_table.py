"""The table over arms and seeds. Oracle: scipy's t-test, and cells worked out by hand."""

import pytest
from scipy.stats import ttest_rel
from sketchloss.report.arm_table import Measure, arm_table, compare_rows, keep_comparisons, kept_comparisons

BASE = {0: 0.50, 1: 0.52, 2: 0.49, 3: 0.51, 4: 0.50}
BETTER = {0: 0.60, 1: 0.63, 2: 0.59, 3: 0.60, 4: 0.61}
NOISY = {0: 0.70, 1: 0.31, 2: 0.66, 3: 0.40, 4: 0.50}
ACCURACY = Measure("accuracy", "accuracy (%)", percent=True, digits=1, share=True, trials=200)
DISTANCE = Measure("distance", "FD", greater_is_better=False)


def cells_of(text: str) -> dict[str, list[str]]:
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return {line.split("|")[1].strip(): [cell.strip() for cell in line.split("|")[2:-1]] for line in lines}


def test_cells_hold_mean_deviation_and_mark_and_the_papers_look_different():
    values = {"ours": {"accuracy": BETTER}, "tuning": {"accuracy": BASE}, "original": {"accuracy": NOISY}}
    text = arm_table([ACCURACY], values, {"top-1": {"ours": "74.90"}})
    rows = {row: cells for row, cells in cells_of(text).items() if not row.startswith("-")}
    assert rows == {
        "arm": ["accuracy (%) ↑", "*Seo 2025, other data: top-1*"],
        "ours": ["60.6 ± 1.5 *", "*74.90*"],
        "tuning": ["50.4 ± 1.1", "-"],
        "original": ["51.4 ± 16.6", "-"],
    }
    assert "*Seo 2025: top-1*" in arm_table([ACCURACY], values, {"top-1": {}}, same_data=True)
    notes = text.rpartition("\n\n")[2]
    assert "Holm's correction for the 2 tests of this table" in notes
    assert "accuracy (%): n = 200, one sketch = 0.5 points" in notes
    assert "with 80 % power would have been found: original, accuracy (%)" in notes
    assert "found: ours" not in notes


def test_p_is_the_paired_t_test_over_common_seeds():
    one = Measure("accuracy", "accuracy")
    found = compare_rows([one], {"ours": {"accuracy": BETTER | {9: 0.0}}, "tuning": {"accuracy": BASE}})
    assert set(found) == {("ours", "accuracy")}
    assert found["ours", "accuracy"].p == pytest.approx(ttest_rel(list(BETTER.values()), list(BASE.values())).pvalue)


def test_what_was_measured_once_for_all_seeds_is_compared_with_nothing():
    once = {"ours": {"accuracy": {0: 0.4}}, "tuning": {"accuracy": BASE}}
    assert compare_rows([ACCURACY], once) == {}
    assert compare_rows([ACCURACY], {"ours": once["tuning"], "tuning": once["ours"]}) == {}
    assert "*" not in arm_table([ACCURACY], once)


def test_fewer_than_five_seeds_have_no_marks_and_say_so():
    few = {"ours": {"accuracy": {0: 0.9, 1: 0.91}}, "tuning": {"accuracy": {0: 0.5, 1: 0.52}}}
    text = arm_table([ACCURACY], few)
    assert cells_of(text)["ours"] == ["90.5 ± 0.7"]
    assert "Too few seeds for a verdict against tuning: 2 of 5" in text


def test_less_can_be_better():
    values = {"ours": {"distance": BETTER}, "tuning": {"distance": BASE}, "original": {"distance": NOISY}}
    cells = cells_of(arm_table([DISTANCE], values))
    assert [cells[row][0][-1] for row in ("ours", "tuning", "original")] == ["†", "1", "6"]
    flipped = {"ours": {"distance": BASE}, "tuning": {"distance": BETTER}}
    assert cells_of(arm_table([DISTANCE], flipped))["ours"][0].endswith(" *")


def test_comparisons_are_kept_and_read_back():
    values = {"ours": {"accuracy": BETTER}, "tuning": {"accuracy": BASE}, "original": {"accuracy": {}}}
    kept = keep_comparisons([ACCURACY], values)
    assert kept["tuning"] == kept["original"] == {"accuracy": None}
    arms = {row: {"against_tuning": of_row} for row, of_row in kept.items()}
    assert kept_comparisons(arms) == compare_rows([ACCURACY], values)


def test_digits_give_three_figures_and_what_is_missing_is_a_dash():
    values = {"ours": {"distance": {0: 123.4}}, "photo": {"distance": {0: 0.01234}}, "none": {}}
    lines = arm_table([DISTANCE], values, corner="row").splitlines()
    assert [line.split("|")[2].strip() for line in lines[2:5]] == ["123", "0.012", "-"]
