"""The table over arms and seeds. Oracle: scipy's t-test, and cells worked out by hand."""

from scipy.stats import ttest_rel

from sketchloss.report.arm_table import Measure, arm_table, mark, p_against

BASE = {0: 0.50, 1: 0.52, 2: 0.49, 3: 0.51}
BETTER = {0: 0.60, 1: 0.63, 2: 0.59, 3: 0.60}
NOISY = {0: 0.70, 1: 0.31, 2: 0.66, 3: 0.40}
ACCURACY = Measure("accuracy", "accuracy (%)", percent=True, digits=1)
DISTANCE = Measure("distance", "FD", greater_is_better=False)


def test_cells_hold_mean_deviation_and_mark():
    values = {"ours": {"accuracy": BETTER}, "tuning": {"accuracy": BASE}, "original": {"accuracy": NOISY}}
    lines = arm_table([ACCURACY], values, {"paper's": {"ours": "74.90"}}).splitlines()
    assert [cell.strip() for cell in lines[0].split("|")[1:-1]] == ["arm", "accuracy (%) ↑", "paper's"]
    cells = {line.split("|")[1].strip(): [cell.strip() for cell in line.split("|")[2:-1]] for line in lines[2:]}
    assert cells == {
        "ours": ["60.5 ± 1.7 *", "74.90"],
        "tuning": ["50.5 ± 1.3", "-"],
        "original": ["51.7 ± 19.2", "-"],
    }


def test_p_is_the_paired_t_test_over_common_seeds():
    assert p_against(BETTER, BASE) == ttest_rel(list(BETTER.values()), list(BASE.values())).pvalue
    some = {seed: BETTER[seed] for seed in (3, 1)} | {9: 0.0}
    assert p_against(some, BASE) == ttest_rel([0.63, 0.60], [0.52, 0.51]).pvalue
    assert p_against(None, BASE) is None
    assert p_against({7: 1.0}, BASE) is None
    assert p_against({0: 1.0}, BASE) is None


def test_less_can_be_better():
    values = {"ours": {"distance": BETTER}, "tuning": {"distance": BASE}, "original": {"distance": NOISY}}
    assert mark(DISTANCE, "ours", values) == "†"
    flipped = {"ours": {"distance": BASE}, "tuning": {"distance": BETTER}}
    assert mark(DISTANCE, "ours", flipped) == "*"
    assert mark(DISTANCE, "original", values) == ""
    assert mark(DISTANCE, "tuning", values) == ""


def test_digits_give_three_figures_and_what_is_missing_is_a_dash():
    values = {"ours": {"distance": {0: 123.4}}, "photo": {"distance": {0: 0.01234}}, "none": {}}
    lines = arm_table([DISTANCE], values, corner="row").splitlines()
    assert [line.split("|")[2].strip() for line in lines[2:]] == ["123", "0.012", "-"]
