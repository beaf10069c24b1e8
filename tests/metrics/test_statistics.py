"""Oracles: numbers worked out by hand, NumPy, scipy, and the distribution that p has when there is nothing to find."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from sketchloss.metrics.statistics import Spread, format_spread, holm, paired_t_test, share_deviation, spread

finite = st.floats(-1e6, 1e6)


@given(st.lists(finite, min_size=2, max_size=20))
def test_spread_agrees_with_numpy(values):
    found = spread(values)
    assert found.mean == pytest.approx(np.mean(values), abs=1e-9)
    assert found.deviation == pytest.approx(np.std(values, ddof=1), rel=1e-6, abs=1e-6)
    assert found.count == len(values)


def test_a_single_value_has_no_deviation():
    assert spread([0.5]) == Spread(0.5, None, 1)


def test_equal_values_have_none_either_but_zero():
    assert spread([0.1] * 3).deviation == pytest.approx(0, abs=1e-16)


def test_p_of_a_worked_example():
    # Differences 1, 2, 3: mean 2, deviation 1, t = 2 / (1 / sqrt(3)) = 3.4641 with two degrees of freedom, for which
    # p = 1 - t / sqrt(t^2 + 2).
    t = 2 * math.sqrt(3)
    assert paired_t_test([11.0, 22.0, 33.0], [10.0, 20.0, 30.0]) == pytest.approx(
        1 - t / math.sqrt(t * t + 2), abs=1e-12
    )


def test_pairing_counts():
    # A small gain in every pair, drowned in the spread between pairs if they were not paired.
    reference = [10.0, 20.0, 30.0, 40.0]
    gain = [0.9, 1.0, 1.1, 1.0]
    values = [a + b for a, b in zip(reference, gain, strict=True)]
    p, shuffled = paired_t_test(values, reference), paired_t_test(values, reference[::-1])
    assert p is not None
    assert shuffled is not None
    assert p < 0.001 < 0.9 < shuffled


def test_p_is_uniform_where_nothing_is_to_be_found():
    rng = np.random.default_rng(0)
    found = [paired_t_test(*rng.normal(size=(2, 5)).tolist()) for _ in range(400)]
    assert sum(p < 0.05 for p in found) / 400 == pytest.approx(0.05, abs=0.03)
    assert np.mean(found) == pytest.approx(0.5, abs=0.05)


@given(st.lists(finite, max_size=6), finite)
def test_p_is_undefined_without_a_spread_of_differences(values, shift):
    assert paired_t_test(values, values) is None
    assert paired_t_test(values[:1], values[:1]) is None
    assert paired_t_test([shift] * len(values), [0.0] * len(values)) is None


def test_p_is_undefined_where_differences_are_equal_but_for_rounding():
    assert paired_t_test([0.1 + 0.2, 0.5 + 0.2, 0.7 + 0.2], [0.1, 0.5, 0.7]) is None


@pytest.mark.parametrize(
    ("values", "reference", "words"),
    [
        ([1.0, 2.0], [1.0], "2 values and 1 of the reference"),
        ([1.0, math.nan], [1.0, 2.0], r"values\[1\] is nan"),
        ([1.0, 2.0], [math.inf, 2.0], r"reference\[0\] is inf"),
    ],
)
def test_bad_pairs_are_named(values, reference, words):
    with pytest.raises(ValueError, match=words):
        paired_t_test(values, reference)


@given(st.lists(st.tuples(st.floats(-1, 1), st.floats(-1, 1)), min_size=2, max_size=9))
def test_p_agrees_with_scipy_where_differences_differ(pairs):
    values, reference = map(list, zip(*pairs, strict=True))
    differences = np.subtract(values, reference)
    if np.ptp(differences) > 1e-3:
        assert paired_t_test(values, reference) == pytest.approx(stats.ttest_rel(values, reference).pvalue, abs=1e-9)


@given(st.lists(st.integers(1, 69), min_size=2, max_size=9), st.integers(70, 999))
def test_one_sketch_more_in_float32_has_no_deviation(counts, of):
    """What torch makes of n / of and (n + 1) / of: differences that are equal but for the rounding."""
    ours, other = ((np.float32(count) / np.float32(of) for count in some) for some in ([c + 1 for c in counts], counts))
    assert paired_t_test([float(value) for value in ours], [float(value) for value in other]) is None


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=2, max_size=9), st.floats(0.001, 10))
def test_a_least_deviation_never_makes_p_smaller(pairs, least):
    values, reference = map(list, zip(*pairs, strict=True))
    with_it, without = paired_t_test(values, reference, least_deviation=least), paired_t_test(values, reference)
    assert with_it is not None
    assert without is None or with_it >= without - 1e-12


def test_a_least_deviation_takes_the_place_of_none():
    # Mean 1, deviation 1 at least: t = sqrt(5) with four degrees of freedom.
    assert paired_t_test([1.0] * 5, [0.0] * 5, least_deviation=1.0) == pytest.approx(2 * stats.t.sf(math.sqrt(5), 4))


@given(st.integers(1, 200), st.data())
def test_no_two_shares_of_the_same_trials_vary_less(trials, data):
    """By brute force: the arms part on some trials one way and on some the other, and vary by that."""
    one_way = data.draw(st.integers(0, trials))
    other_way = data.draw(st.integers(0, trials - one_way))
    outcomes = np.repeat([1, -1, 0], [one_way, other_way, trials - one_way - other_way])
    error = outcomes.std() / math.sqrt(trials)
    assert share_deviation(outcomes.mean(), trials) <= error + 1e-12
    if not other_way:
        assert share_deviation(outcomes.mean(), trials) == pytest.approx(error)


def test_holm_by_hand():
    # Sorted 0.01, 0.02, 0.03, 0.04 times 4, 3, 2, 1: 0.04, 0.06, 0.06, 0.04, and none below the one before.
    assert holm([0.03, 0.01, 0.04, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm([0.4, 0.9]) == pytest.approx([0.8, 0.9])
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), max_size=8))
def test_holm_lies_between_no_correction_and_bonferronis(probabilities):
    corrected = holm(probabilities)
    for before, after in zip(probabilities, corrected, strict=True):
        assert before <= after <= min(1, len(probabilities) * before) + 1e-12
    order = sorted(range(len(probabilities)), key=lambda place: probabilities[place])
    assert [corrected[place] for place in order] == sorted(corrected)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda: holm([0.5, 1.5]), r"probabilities\[1\] is 1.5"),
        (lambda: holm([math.nan]), r"probabilities\[0\] is nan"),
        (lambda: share_deviation(1.5, 10), "difference is 1.5"),
        (lambda: share_deviation(0.5, 0), "trials is 0"),
        (lambda: paired_t_test([1.0, 2.0], [1.0, 3.0], least_deviation=-1.0), "least_deviation is -1.0"),
    ],
)
def test_numbers_out_of_range_are_named(wrong, words):
    with pytest.raises(ValueError, match=words):
        wrong()


def test_bad_values_are_named():
    with pytest.raises(ValueError, match="no values"):
        spread([])
    with pytest.raises(ValueError, match=r"values\[2\] is -inf"):
        spread([1.0, 2.0, -math.inf])


@pytest.mark.parametrize(
    ("found", "settings", "text"),
    [
        (Spread(0.749, 0.0031, 5), {"percent": True}, "74.90 ± 0.31"),
        (Spread(0.551, 0.015, 5), {"digits": 3}, "0.551 ± 0.015"),
        (Spread(1.26, None, 1), {}, "1.26"),
    ],
)
def test_spreads_are_written_as_in_the_paper(found, settings, text):
    assert format_spread(found, **settings) == text
