"""Comparison of arms over seeds: which differ from a reference, and which differences are too small to find.

Every mark, p and verdict of every table comes from here.
"""

import math
from collections.abc import Collection, Hashable, Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

from sketchloss.metrics.statistics import deviation_of_differences, holm, paired_t_test, share_deviation

#: Below this p, corrected for the number of tests, a difference is marked.
SIGNIFICANT = 0.05
#: No verdict on fewer seeds: of two or three differences the deviation is a guess (and the paper has five).
FEWEST_SEEDS = 5
#: How probable it is that a difference of the size `detectable` is found.
POWER = 0.8

Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True)
class Pairs:
    """Values of two arms by one measure, seed -> value. Seeds that only one of them has do not count."""

    values: Mapping[int, float]
    reference: Mapping[int, float]
    share: bool = False
    """Whether the values are shares of yes-or-no trials, such as an accuracy, in [0, 1]."""
    trials: int | None = None
    """Number of trials that each share is of; None: not known, and then shares are not tested."""


@dataclass(frozen=True)
class Comparison:
    """Result of comparing one `Pairs`."""

    seeds: int
    """Number of pairs of values."""
    difference: float
    """Mean of the values minus the reference's."""
    p: float | None
    """P-value of the paired t-test, corrected for the tests of the table (Holm). None: too few seeds, no deviation to
    test with, or shares of an unknown number."""
    half_width: float | None
    """Half the width of the difference's 95 % interval, without correction. None where `p` is."""
    detectable: float | None
    """The smallest true difference that this design finds in 80 % of repetitions, in the first step of Holm's
    correction: (t of 1 - 0.05 / (2 m), plus t of 0.8) · deviation / sqrt(seeds), with the t distribution of seeds - 1
    degrees of freedom, and m tests in the table. None where `p` is."""

    def verdict(self, *, greater_is_better: bool = True) -> str:
        """Return `better`, `worse`, `undecided`, or `too few seeds: 3 of 5`."""
        if self.seeds < FEWEST_SEEDS:
            return f"too few seeds: {self.seeds} of {FEWEST_SEEDS}"
        if self.p is None or self.p >= SIGNIFICANT:
            return "undecided"
        return "better" if (self.difference > 0) == greater_is_better else "worse"

    def mark(self, *, greater_is_better: bool = True) -> str:
        """Return * for `better`, † for `worse`, else nothing."""
        return {"better": "*", "worse": "†"}.get(self.verdict(greater_is_better=greater_is_better), "")


def compare_all(tests: Mapping[Key, Pairs]) -> dict[Key, Comparison]:
    """Compare everything that one table compares, corrected for the number of its tests.

    Args:
        tests: what to compare, by any key. Those without a common seed are left out.

    Returns:
        What was found, under the same keys.

    Raises:
        ValueError: for a value that is not finite, or a share beyond 1.
    """
    found = {key: _compare(pairs) for key, pairs in tests.items() if set(pairs.values) & set(pairs.reference)}
    tested = {key: one.p for key, one in found.items() if one.p is not None}
    for key, p in zip(tested, holm(list(tested.values())), strict=True):
        found[key] = replace(found[key], p=p, detectable=_detectable(found[key], tests=len(tested)))
    return found


def _compare(pairs: Pairs) -> Comparison:
    seeds = sorted(set(pairs.values) & set(pairs.reference))
    values, reference = ([of[seed] for seed in seeds] for of in (pairs.values, pairs.reference))
    if pairs.share and (beyond := [value for value in (*values, *reference) if not 0 <= value <= 1]):
        raise ValueError(f"a share is {beyond[0]}: it must be in [0, 1]")
    difference = math.fsum(values) / len(seeds) - math.fsum(reference) / len(seeds)
    if len(seeds) < FEWEST_SEEDS or (pairs.share and pairs.trials is None):
        return Comparison(len(seeds), difference, None, None, None)
    least = share_deviation(difference, pairs.trials) if pairs.share and pairs.trials is not None else 0.0
    p = paired_t_test(values, reference, least_deviation=least)
    deviation = deviation_of_differences(values, reference, least_deviation=least)
    if p is None or deviation is None:
        return Comparison(len(seeds), difference, None, None, None)
    half_width = _student(1 - SIGNIFICANT / 2, len(seeds)) * deviation / math.sqrt(len(seeds))
    return Comparison(len(seeds), difference, p, half_width, None)


def _detectable(found: Comparison, *, tests: int) -> float:
    assert found.half_width is not None
    error = found.half_width / _student(1 - SIGNIFICANT / 2, found.seeds)
    return (_student(1 - SIGNIFICANT / (2 * tests), found.seeds) + _student(POWER, found.seeds)) * error


def _student(probability: float, seeds: int) -> float:
    from scipy.special import stdtrit  # heavy, and only needed here

    return float(stdtrit(seeds - 1, probability))


# In words ------------------------------------------------------------------------------------------------------------


def explain(found: Collection[Comparison], *, against: str) -> str:
    """Return what the marks of a table mean, and why there are none where there are none; empty if nothing is compared.

    Args:
        found: all comparisons of the table.
        against: the arm that the others are compared with.
    """
    if not found:
        return ""
    if not (tested := [one for one in found if one.p is not None]):
        seeds = max(one.seeds for one in found)
        if seeds < FEWEST_SEEDS:
            return f"Too few seeds for a verdict against {against}: {seeds} of {FEWEST_SEEDS}; so no marks, no p."
        return f"No verdict against {against}: differences of shares of unknown numbers, or without any deviation."
    seeds = sorted({one.seeds for one in tested})
    return (
        f"Marks: * better and † worse than {against} with p < {SIGNIFICANT} (paired t-test over "
        f"{' or '.join(map(str, seeds))} seeds, Holm's correction for the {len(tested)} tests of this table); no mark: "
        "undecided. Seeds are other trainings on the same data: p says nothing about other data."
    )


def format_difference(value: float, *, percent: bool = False) -> str:
    """Return "3.1 points" of a difference of shares, else three figures."""
    return f"{value * 100:.1f} points" if percent else f"{value:.3g}"


def format_signed(found: Comparison, *, percent: bool = False) -> str:
    """Return a difference with its sign and half of its 95 % interval: "-1.4 ± 1.8 points", "+0.0123 ± 0.0045"."""
    size, digits, unit = (100, ".1f", " points") if percent else (1, ".3g", "")
    interval = "" if found.half_width is None else f" ± {found.half_width * size:{digits}}"
    return f"{found.difference * size:+{digits}}{interval}{unit}"


def one_trial(trials: int) -> str:
    """Return of how many sketches a share is, and how much one of them is: "n = 70, one sketch = 1.4 points"."""
    return f"n = {trials:,}, one sketch = {100 / trials:.2g} points"
