"""What tables may claim. Oracles: scipy's t-test and noncentral t, Holm's correction by hand, simulated studies, and
the report that once said "p < 0.001" of one sketch in each of two seeds."""

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from sketchloss.experiments.experiment import Claim, Experiment
from sketchloss.experiments.section import Section
from sketchloss.experiments.study.report import _in_short
from sketchloss.experiments.table import Measure, Table
from sketchloss.figures.tables import format_p
from sketchloss.metrics.comparison import (
    FEWEST_SEEDS,
    Comparison,
    Pairs,
    compare_all,
    explain,
    format_difference,
    format_signed,
    one_trial,
)

BASE = {0: 0.50, 1: 0.52, 2: 0.49, 3: 0.51, 4: 0.50}
BETTER = {0: 0.60, 1: 0.63, 2: 0.59, 3: 0.60, 4: 0.61}


def share(right: int, of: int) -> float:
    """An accuracy as torch computes it."""
    return float(np.float32(right) / np.float32(of))


def one_less(of: int, seeds: int) -> tuple[dict[int, float], dict[int, float]]:
    counts = [of - 7, of // 2 - 4, of // 3, of // 2, 5][:seeds]
    ours, other = ([share(n + more, of) for n in counts] for more in (0, 1))
    return dict(enumerate(ours)), dict(enumerate(other))


@pytest.mark.parametrize(("seeds", "verdict"), [(2, "too few seeds: 2 of 5"), (5, "undecided")])
def test_one_sketch_in_each_seed_is_no_verdict(seeds, verdict):
    values, reference = one_less(70, seeds)
    differences = np.subtract(list(values.values()), list(reference.values()))
    assert 0 < np.ptp(differences) < 1e-7, "equal up to float32, and only up to it"
    made = {claiming("classification"): [section(70, values, reference)]}
    row = next(line for line in in_short(made) if line.startswith("| classification "))
    assert "worse" not in row
    assert "<0.001" not in row
    assert f" {verdict} |" in row
    assert "-1.4" in row
    assert "n = 70, one sketch = 1.4 points" in row


def claiming(words: str, measure: str = "accuracy") -> Experiment:
    """An experiment that has nothing but a claim."""
    return Experiment("some", "Some", cells=lambda _: (), sections=lambda *_: (), claim=Claim(measure, words))


def section(trials: int | None, ours: dict[int, float], other: dict[int, float], source: str = "") -> Section:
    """A table of the arms of a claim, with one more column."""
    accuracy = Measure("accuracy", "accuracy", percent=True, share=True, trials=trials)
    values = {"attention+tuning": ours, "tuning": other}
    rows = {arm: {"distance": {0: 1.0}, "accuracy": of_arm} for arm, of_arm in values.items()}
    return Section(Table([Measure("distance", "distance"), accuracy], rows), source=source)


def in_short(made: dict[Experiment, list[Section]]) -> list[str]:
    return "\n".join(_in_short(made)).splitlines()


def test_a_study_says_in_short_what_came_of_each_claim_in_each_set():
    equal = {seed: value + 0.001 * (-1) ** seed for seed, value in BASE.items()}
    made = {
        claiming("top-1"): [section(1000, BETTER, BASE, "some/place/cats"), section(1000, equal, BASE, "doodles")],
        Experiment("silent", "Without a claim", lambda _: (), lambda *_: ()): [section(1000, BETTER, BASE)],
        claiming("in words"): [Section(None, caption="Words.")],
        claiming("ratio", "distance"): [section(None, BETTER, BASE)],
    }
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in in_short(made) if line.startswith("| ")]
    assert [row[0] for row in rows[2:]] == ["top-1, cats", "top-1, doodles", "ratio"]
    # The third has one value of each arm: it is no test that the others would be corrected for.
    pairs = {
        where: Pairs(ours, BASE, share=True, trials=1000) for where, ours in (("cats", BETTER), ("doodles", equal))
    }
    for row, one in zip(rows[2:4], compare_all(pairs).values(), strict=True):
        assert row[1:5] == ["attention+tuning", "tuning", format_signed(one, percent=True), format_p(one.p)]
    n = "n = 1,000, one sketch = 0.1 points"
    assert rows[2][5:] == ["yes", "-", n]
    # (3.495 + 0.941) · 0.0011 / sqrt(5), of two tests
    assert rows[3][5:] == ["undecided", "0.2 points", n]
    assert rows[4][1:] == ["attention+tuning", "tuning", "+0", "-", "too few seeds: 1 of 5", "-", "-"]
    assert in_short({}) == in_short({claiming("nothing"): []}) == []


@given(st.integers(20, 2000), st.integers(2, 5), st.integers(1, 5))
def test_a_sketch_or_less_a_seed_is_never_a_verdict(of, seeds, number):
    """Nothing but a sketch: whatever else is in the table, and however few sketches there are."""
    assume(of // 3 + 1 < of)
    values, reference = one_less(of, seeds)
    found = compare_all({place: Pairs(values, reference, share=True, trials=of) for place in range(number)})
    assert {one.verdict() for one in found.values()} <= {"undecided", f"too few seeds: {seeds} of {FEWEST_SEEDS}"}


def test_p_is_scipys_and_corrected_by_holm():
    rng = np.random.default_rng(0)
    tests = {shift: rng.normal(0, 1, (2, 6)) + np.array([[shift], [0]]) for shift in (0, 1, 2, 4)}
    found = compare_all({name: Pairs(dict(enumerate(a)), dict(enumerate(b))) for name, (a, b) in tests.items()})
    raw = {name: stats.ttest_rel(a, b).pvalue for name, (a, b) in tests.items()}
    least = 0.0
    for rank, name in enumerate(sorted(raw, key=raw.__getitem__)):
        least = max(least, min(1, (4 - rank) * raw[name]))
        assert found[name].p == pytest.approx(least)
    for name, (a, b) in tests.items():
        low, high = stats.ttest_rel(a, b).confidence_interval(0.95)
        assert found[name].difference == pytest.approx((low + high) / 2)
        assert found[name].half_width == pytest.approx((high - low) / 2)


def test_what_could_have_been_found_is_found_four_times_in_five():
    found = compare_all({"ours": Pairs(BETTER, BASE)})["ours"]
    assert found.detectable is not None
    deviation = np.std([BETTER[seed] - BASE[seed] for seed in BASE], ddof=1)
    off = found.detectable / (deviation / math.sqrt(5))
    critical = stats.t.ppf(0.975, 4)
    power = stats.nct.sf(critical, 4, off) + stats.nct.cdf(-critical, 4, off)
    assert power == pytest.approx(0.8, abs=0.02)
    # (2.776 + 0.941) times the error, from a printed table of Student's t with four degrees of freedom
    assert off == pytest.approx(2.776 + 0.941, abs=1e-3)
    of_three = compare_all({number: Pairs(BETTER, BASE) for number in range(3)})[0]
    assert of_three.detectable is not None
    assert of_three.detectable > found.detectable, "with more tests more is needed"


def test_in_studies_without_any_effect_false_alarms_are_as_rare_as_promised():
    rng = np.random.default_rng(0)
    alarms = 0
    for _ in range(300):
        chance = rng.uniform(0.2, 0.9)
        shares = rng.binomial(70, chance, (5, 5)) / 70
        reference = dict(enumerate(shares[0]))
        tests = {n: Pairs(dict(enumerate(row)), reference, share=True, trials=70) for n, row in enumerate(shares[1:])}
        found = compare_all(tests)
        alarms += any(one.mark() for one in found.values())
    assert alarms / 300 < 0.05 + 2 * math.sqrt(0.05 * 0.95 / 300)


def test_only_common_seeds_are_paired_and_few_of_them_are_too_few():
    found = compare_all({"some": Pairs({0: 1.0, 9: 2.0}, BASE), "none": Pairs({7: 1.0}, BASE)})
    assert set(found) == {"some"}
    assert found["some"] == Comparison(1, 0.5, None, None, None)
    assert found["some"].verdict() == "too few seeds: 1 of 5"
    assert found["some"].mark() == ""


def test_shares_of_unknown_numbers_and_equal_differences_are_undecided():
    shifted = {seed: value + 0.25 for seed, value in BASE.items()}
    for pairs in (Pairs(BETTER, BASE, share=True), Pairs(shifted, BASE)):
        found = compare_all({"": pairs})[""]
        assert (found.p, found.verdict()) == (None, "undecided")
    assert compare_all({"": Pairs(shifted, BASE, share=True, trials=1000)})[""].verdict() == "better"


def test_shares_lie_between_0_and_1():
    large = dict.fromkeys(BASE, 1.5)
    with pytest.raises(ValueError, match=r"a share is 1.5: it must be in \[0, 1\]"):
        compare_all({"": Pairs(large, dict.fromkeys(BASE, 0.7), share=True, trials=100)})


def test_verdicts_know_which_way_is_better():
    found = compare_all({"ours": Pairs(BETTER, BASE)})["ours"]
    assert (found.verdict(), found.mark()) == ("better", "*")
    assert (found.verdict(greater_is_better=False), found.mark(greater_is_better=False)) == ("worse", "†")
    other = compare_all({"ours": Pairs(BASE, BETTER)})["ours"]
    assert (other.mark(), other.mark(greater_is_better=False)) == ("†", "*")


def test_a_table_says_what_its_marks_mean_or_why_there_are_none():
    two = list(compare_all({n: Pairs(BETTER, BASE) for n in range(2)}).values())
    text = explain(two, against="tuning")
    assert "* better and † worse than tuning with p < 0.05 (paired t-test over 5 seeds, Holm's correction" in text
    assert text.startswith("Marks: "), "a line that begins with a star would be a list in Markdown"
    assert "the 2 tests of this table" in text
    few = compare_all({"": Pairs({0: 0.1, 1: 0.2, 2: 0.4}, BASE)})
    assert explain(list(few.values()), against="none").startswith("Too few seeds for a verdict against none: 3 of 5")
    assert explain([], against="tuning") == ""


def test_differences_are_written_with_their_unit():
    found = Comparison(5, -0.0143, 0.2, 0.0181, 0.031)
    assert format_signed(found, percent=True) == "-1.4 ± 1.8 points"
    assert format_signed(found) == "-0.0143 ± 0.0181"
    assert format_signed(Comparison(2, 0.5, None, None, None), percent=True) == "+50.0 points"
    assert format_difference(0.031, percent=True) == "3.1 points"
    assert one_trial(946) == "n = 946, one sketch = 0.11 points"
