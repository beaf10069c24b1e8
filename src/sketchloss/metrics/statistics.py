"""Mean ± standard deviation over repeats, the paired t-test of two arms, and Holm's correction for several tests."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

#: Half of the distance between neighbouring float32 numbers, relative to their size.
FLOAT32_ROUNDING = 2**-24


@dataclass(frozen=True)
class Spread:
    """Mean and deviation of the values of several repeats."""

    mean: float
    deviation: float | None
    """Sample standard deviation (n - 1 in the denominator); None for a single value."""
    count: int


def spread(values: Sequence[float]) -> Spread:
    """Return mean and sample standard deviation.

    Raises:
        ValueError: for no values, or one that is not finite.
    """
    if not len(values):
        raise ValueError("there are no values: a mean needs at least one")
    _require_finite(values, "values")
    mean = math.fsum(values) / len(values)
    if len(values) == 1:
        return Spread(mean, None, 1)
    return Spread(mean, math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1)), len(values))


def paired_t_test(
    values: Sequence[float], reference: Sequence[float], *, least_deviation: float | int = 0.0
) -> float | None:
    """Return the two-sided p of Student's t-test for paired values: how probable so great a mean difference is if there
    is none in truth, and differences are normal (`scipy.stats.ttest_rel`).

    Args:
        values: values of one arm, a value for each repeat.
        reference: values of the other arm, of the same repeats in the same order.
        least_deviation: the differences' standard deviation is taken to be this at least, such as `share_deviation`.

    Returns:
        p in [0, 1]; None where it is undefined: fewer than two pairs, or differences that are equal, up to the rounding
        of values that were computed in float32.

    Raises:
        ValueError: for unequal lengths, a value that is not finite, or a negative deviation.
    """
    deviation = deviation_of_differences(values, reference, least_deviation=least_deviation)
    if deviation is None:
        return None
    from scipy.special import stdtr  # heavy, and only needed here

    differences = [value - other for value, other in zip(values, reference, strict=True)]
    t = math.fsum(differences) / len(differences) / (deviation / math.sqrt(len(differences)))
    return min(1.0, float(2 * stdtr(len(differences) - 1, -abs(t))))


def deviation_of_differences(
    values: Sequence[float], reference: Sequence[float], *, least_deviation: float | int = 0.0
) -> float | None:
    """Return the sample standard deviation of paired differences, or `least_deviation` if that is greater.

    Args:
        values: as for `paired_t_test`.
        reference: as for `paired_t_test`.
        least_deviation: as for `paired_t_test`.

    Returns:
        None for fewer than two pairs, and for differences that are equal up to the rounding of float32 if there is no
        least deviation: such a deviation is rounding, and a test would divide by it.

    Raises:
        ValueError: as `paired_t_test`.
    """
    if len(values) != len(reference):
        raise ValueError(f"{len(values)} values and {len(reference)} of the reference: pairs need as many of both")
    _require_finite(values, "values")
    _require_finite(reference, "reference")
    if not 0 <= least_deviation < math.inf:
        raise ValueError(f"least_deviation is {least_deviation}: it must be 0 or more, and finite")
    if len(values) < 2:
        return None
    differences = [value - other for value, other in zip(values, reference, strict=True)]
    size = max(abs(value) for value in [*values, *reference])
    if max(differences) - min(differences) <= 4 * FLOAT32_ROUNDING * size:  # four values were rounded
        return float(least_deviation) or None
    found = spread(differences).deviation
    assert found is not None
    return max(found, float(least_deviation)) or None  # squares of tiny numbers are 0


def share_deviation(difference: float, trials: int) -> float:
    """Return the least standard deviation that a difference of two shares can have that are of the same trials.

    The two arms part on `a` trials in favour of one and `b` in favour of the other, and the difference is (a - b) / n.
    It has the variance ((a + b) / n - difference²) / n, and a + b is n · |difference| at least. So a binomial error
    of n trials, sqrt(|d| (1 - |d|) / n), remains even if all repeats happen to agree: one sketch more in every repeat
    is one sketch, give or take one. What is known of a share is how many trials it is of and not which ones were right,
    so no resampling of trials is possible, and the other usual error, of two independent shares, takes no account of
    pairing: with it hardly any difference of five repeats would ever be found.

    Args:
        difference: difference of the shares, in [-1, 1].
        trials: n, one or more.

    Raises:
        ValueError: for a difference or a number out of range.
    """
    if not -1 <= difference <= 1:
        raise ValueError(f"difference is {difference}: shares differ by 1 at most")
    if trials < 1:
        raise ValueError(f"trials is {trials}: a share is of one or more")
    return math.sqrt(abs(difference) * (1 - abs(difference)) / trials)


def mcnemar(ones: Sequence[bool], others: Sequence[bool]) -> float:
    """Return the two-sided p of McNemar's exact test: how probable so uneven a split is among the trials on which the
    two part, if either may be the right one with equal chance.

    Args:
        ones: whether each trial went right for one.
        others: the same for the other, of the same trials in the same order.

    Returns:
        p in [0, 1]; 1 where they part on no trial.

    Raises:
        ValueError: for unequal lengths.
    """
    if len(ones) != len(others):
        raise ValueError(f"{len(ones)} trials and {len(others)}: pairs need as many of both")
    for_ones = sum(one and not other for one, other in zip(ones, others, strict=True))
    parted = sum(one != other for one, other in zip(ones, others, strict=True))
    if not parted:
        return 1.0
    from scipy.stats import binomtest  # heavy, and only needed here

    return float(binomtest(for_ones, parted).pvalue)


def holm(probabilities: Sequence[float]) -> list[float]:
    """Correct the p of several tests for their number (Holm 1979): below 0.05 afterwards, the chance of even one false
    alarm among all of them is 0.05 at most, however they depend on each other.

    Args:
        probabilities: p of each test, in [0, 1].

    Returns:
        The corrected ones, in the same order, each as great as before or greater.

    Raises:
        ValueError: for a probability out of range.
    """
    for place, p in enumerate(probabilities):
        if not 0 <= p <= 1:
            raise ValueError(f"probabilities[{place}] is {p}: it must lie between 0 and 1")
    corrected = [0.0] * len(probabilities)
    least = 0.0
    for rank, place in enumerate(sorted(range(len(probabilities)), key=lambda place: probabilities[place])):
        least = max(least, min(1.0, (len(probabilities) - rank) * probabilities[place]))
        corrected[place] = least
    return corrected


def format_spread(spread: Spread, digits: int = 2, percent: bool = False) -> str:
    """Return "mean ± deviation", or only the mean if there is no deviation.

    Args:
        spread: what to write.
        digits: after the point.
        percent: write 0.749 as 74.90, without a sign.
    """
    scale = 100 if percent else 1
    mean = f"{spread.mean * scale:.{digits}f}"
    return mean if spread.deviation is None else f"{mean} ± {spread.deviation * scale:.{digits}f}"


def _require_finite(values: Sequence[float], name: str) -> None:
    for place, value in enumerate(values):
        if not math.isfinite(value):
            raise ValueError(f"{name}[{place}] is {value}: every value must be finite")
