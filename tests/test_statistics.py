"""Oracles: numbers worked out by hand, NumPy, and the distribution that p has when there is nothing to find."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sketchloss.statistics import Spread, format_spread, paired_t_test, spread

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
