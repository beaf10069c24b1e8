"""The tables of recovery: the share led back from each start, in how many steps, and which differences are certain."""

import math
from collections.abc import Iterator, Mapping, Sequence
from statistics import median
from typing import Any

from sketchloss.experiments.guiding_losses import BESIDE, COMPARED
from sketchloss.experiments.recovery.plan import PIXELS, loss_title, read_start
from sketchloss.experiments.table import Measure, Table
from sketchloss.figures.tables import format_p, markdown_table
from sketchloss.metrics.comparison import POWER, SIGNIFICANT
from sketchloss.metrics.statistics import holm, mcnemar

#: Loss -> start, as given -> what was found.
Found = Mapping[str, Mapping[str, Mapping[str, Any]]]


def table(found: Found, starts: Sequence[str], seed: int) -> Table:
    """Return the shares led back, a column for each start; not shown: mean chamfer distance, median of steps."""
    from scipy.stats import binomtest  # heavy, and only needed here

    values: dict[str, dict[str, dict[int, float]]] = {}
    intervals: dict[tuple[str, str], tuple[float, float]] = {}
    for loss, of_loss in found.items():
        row = values.setdefault(loss_title(loss), {})
        for start, result in of_loss.items():
            count, right = len(result["recovered"]), sum(result["recovered"])
            row[start] = {seed: right / count}
            row[f"{start}, chamfer"] = {seed: sum(result["after"]) / count}
            if result["steps"]:
                row[f"{start}, steps"] = {seed: median(result["steps"])}
            interval = binomtest(right, count).proportion_ci(method="wilson")
            intervals[loss_title(loss), start] = (interval.low, interval.high)
    return Table(list(_measures(starts)), values, corner="loss", against="", intervals=intervals)


def _measures(starts: Sequence[str]) -> Iterator[Measure]:
    for start in starts:
        title = read_start(start).title
        yield Measure(start, title, percent=True, digits=0, share=True)
        yield Measure(f"{start}, chamfer", f"{title}: chamfer", greater_is_better=False, shown=False)
        yield Measure(f"{start}, steps", f"{title}: steps", greater_is_better=False, shown=False)


def steps_table(found: Found, starts: Sequence[str]) -> str:
    """Return the mean chamfer distance at the end and the median number of steps to recovery, as Markdown."""
    rows = []
    for loss, of_loss in found.items():
        cells = []
        for start in starts:
            result = of_loss.get(start)
            if result is None:
                cells.append("-")
                continue
            chamfer = sum(result["after"]) / len(result["after"])
            cells.append(f"{chamfer:.2f} / {median(result['steps']):.0f}" if result["steps"] else f"{chamfer:.2f} / -")
        rows.append([loss_title(loss), *cells])
    return markdown_table(["loss", *(read_start(start).title for start in starts)], rows)


def _comparisons() -> Iterator[tuple[str, str]]:
    """Yield what is compared: alone and beside the pixels, and the default loss with pixels alone."""
    for beside in ("", BESIDE):
        for one, other in COMPARED:
            yield f"{beside}{one}", f"{beside}{other}"
    yield f"{BESIDE}{COMPARED[0][0]}", PIXELS


def comparison_table(found: Found, starts: Sequence[str]) -> str:
    """Return which differences are certain, as Markdown with its note; empty if nothing can be compared.

    The same drawings, at the same starts, are led by both losses, so McNemar's exact test is of those that one of the
    two led back and the other did not. A drawing that both or neither led back says nothing.
    """
    tests = [
        (one, other, start, found[one][start]["recovered"], found[other][start]["recovered"])
        for one, other in _comparisons()
        for start in starts
        if start in found.get(one, {}) and start in found.get(other, {})
    ]
    if not tests:
        return ""
    corrected = holm([mcnemar(ours, theirs) for *_, ours, theirs in tests])
    cells: dict[tuple[str, str], dict[str, str]] = {}
    for (one, other, start, ours, theirs), p in zip(tests, corrected, strict=True):
        difference = (sum(ours) - sum(theirs)) / len(ours)
        mark = "" if p >= SIGNIFICANT else " *" if difference > 0 else " †"
        seen = f" ({_detectable(ours, theirs, len(tests)) * 100:.0f})" if p >= SIGNIFICANT else f" ({format_p(p)})"
        cells.setdefault((one, other), {})[start] = f"{difference * 100:+.0f}{mark}{seen}"
    rows = [
        [f"{loss_title(one)} against {loss_title(other)}", *(of.get(start, "-") for start in starts)]
        for (one, other), of in cells.items()
    ]
    note = (
        f"Points of difference; * better and † worse with p < {SIGNIFICANT} (McNemar's exact test over the same "
        f"drawings, Holm's correction for the {len(tests)} tests of this table; p in brackets). Without a mark it is "
        f"undecided, and in brackets stands the smallest difference that would have been found with {POWER:.0%} power."
    )
    return f"{markdown_table(['difference', *(read_start(start).title for start in starts)], rows)}\n\n{note}"


def _detectable(ours: Sequence[bool], theirs: Sequence[bool], tests: int) -> float:
    """Return the smallest difference of shares that is found with 80 % power, by the normal approximation.

    The variance of a difference is at most the share of drawings that part the two; that is taken to be at least what
    the smallest difference itself needs.
    """
    from scipy.special import ndtri  # heavy, and only needed here

    count = len(ours)
    parted = sum(one != other for one, other in zip(ours, theirs, strict=True)) / count
    reach = float(ndtri(1 - SIGNIFICANT / (2 * tests)) + ndtri(POWER)) / math.sqrt(count)
    return min(1.0, max(reach * math.sqrt(parted), reach**2))


def by_size(starts: Sequence[str]) -> dict[int, list[str]]:
    """Return the starts of each size of pictures."""
    found: dict[int, list[str]] = {}
    for start in starts:
        found.setdefault(read_start(start).size, []).append(start)
    return found
