"""Mean ± standard deviation over repeats of an experiment, and the paired t-test between two of its arms."""

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Spread:
    """Where the values of several repeats lie."""

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


def paired_t_test(values: Sequence[float], reference: Sequence[float]) -> float | None:
    """Return the two-sided p of Student's t-test for paired values: how probable so great a mean difference is if there
    is none in truth, and differences are normal (`scipy.stats.ttest_rel`).

    Args:
        values: of one arm, a value for each repeat.
        reference: of the other, of the same repeats in the same order.

    Returns:
        p in [0, 1]; None where it is undefined: fewer than two pairs, or all differences equal.

    Raises:
        ValueError: for unequal lengths, or a value that is not finite.
    """
    if len(values) != len(reference):
        raise ValueError(f"{len(values)} values and {len(reference)} of the reference: pairs need as many of both")
    _require_finite(values, "values")
    _require_finite(reference, "reference")
    differences = [value - other for value, other in zip(values, reference, strict=True)]
    # note: equal up to the rounding of the subtraction; scipy then divides by that rounding, and warns.
    size = max((abs(value) for value in [*values, *reference]), default=0.0)
    if len(differences) < 2 or max(differences) - min(differences) <= 4e-16 * size:
        return None
    from scipy.stats import ttest_rel  # heavy, and only needed here

    return float(ttest_rel(values, reference).pvalue)


def format_spread(spread: Spread, digits: int = 2, percent: bool = False) -> str:
    """Return "mean ± deviation", or the mean alone if there is no deviation.

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
