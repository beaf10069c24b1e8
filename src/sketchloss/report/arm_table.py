"""One table for many experiments: arms in rows, measures in columns, mean ± deviation over seeds."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeAlias

from sketchloss.comparison import Comparison, Pairs, compare_all, explain, format_difference, one_trial
from sketchloss.networks.arms import REFERENCE
from sketchloss.report.tables import markdown_table, paper_cell, paper_heading
from sketchloss.statistics import format_spread, spread

#: Row (an arm, or a reference) -> measure -> seed -> value.
Values: TypeAlias = Mapping[str, Mapping[str, Mapping[int, float]]]


@dataclass(frozen=True)
class Measure:
    """What a column shows."""

    name: str
    """Key into the values of a row."""
    heading: str
    greater_is_better: bool = True
    percent: bool = False
    """Write 0.749 as 74.9."""
    digits: int | None = None
    """After the point; None: as many as give three figures."""
    share: bool = False
    """Whether the values are shares of yes-or-no trials."""
    trials: int | None = None
    """Of how many trials each share is; None: not known."""


def arm_table(
    measures: Sequence[Measure],
    values: Values,
    paper: Mapping[str, Mapping[str, str]] | None = None,
    *,
    corner: str = "arm",
    same_data: bool = False,
) -> str:
    """Return a Markdown table, and under it what its marks mean, of how many trials its shares are, and which
    differences it could not have seen.

    Args:
        measures: the columns.
        values: what was found; a row may lack a measure, and a measure some seeds.
        paper: what the paper measured -> row -> its number.
        corner: heading of the first column.
        same_data: whether the values are of the data and the size that the paper had.
    """
    paper = paper or {}
    found = compare_rows(measures, values)
    header = [corner, *(_heading(measure) for measure in measures)]
    header += [paper_heading(what, same_data=same_data) for what in paper]
    rows = [
        [
            row,
            *(_cell(measure, values[row].get(measure.name), found.get((row, measure.name))) for measure in measures),
            *(paper_cell(column.get(row, "-")) for column in paper.values()),
        ]
        for row in values
    ]
    return "\n\n".join(text for text in (markdown_table(header, rows), notes_on(measures, found)) if text)


def compare_rows(measures: Sequence[Measure], values: Values) -> dict[tuple[str, str], Comparison]:
    """Return what each row and measure is against `REFERENCE`: (row, name of the measure) -> the comparison.

    Nothing for a row with one value while `tuning` has several, or the other way round: it was measured once for all
    seeds, so nothing is paired.
    """
    reference = values.get(REFERENCE, {})
    return compare_all(
        {
            (row, measure.name): Pairs(found, base, share=measure.share, trials=measure.trials)
            for measure in measures
            for row, of_row in values.items()
            if row != REFERENCE
            and (found := of_row.get(measure.name))
            and (base := reference.get(measure.name))
            and (len(found) > 1) == (len(base) > 1)
        }
    )


def _heading(measure: Measure) -> str:
    return f"{measure.heading} {'↑' if measure.greater_is_better else '↓'}"


def _cell(measure: Measure, found: Mapping[int, float] | None, compared: Comparison | None) -> str:
    if not found:
        return "-"
    text = format_spread(over := spread(list(found.values())), _digits(measure, over.mean), measure.percent)
    return f"{text} {compared.mark(greater_is_better=measure.greater_is_better) if compared else ''}".rstrip()


def notes_on(measures: Sequence[Measure], found: Mapping[tuple[str, str], Comparison]) -> str:
    """Return what the marks of a table mean, of how many trials its shares are, and how large those differences would
    have had to be that are undecided.

    Args:
        measures: of the table.
        found: as of `compare_rows`.
    """
    said = [explain(list(found.values()), against=REFERENCE)]
    counts: dict[int, list[str]] = {}
    for measure in measures:
        if measure.trials:
            counts.setdefault(measure.trials, []).append(measure.heading)
    if counts:
        of_what = [f"{', '.join(headings)}: {one_trial(count)}" for count, headings in counts.items()]
        said.append(f"Shares: {'; '.join(of_what)}.")
    unseen = [
        f"{row}, {measure.heading} {format_difference(one.detectable, percent=measure.percent)}"
        for measure in measures
        for (row, name), one in found.items()
        if name == measure.name and one.detectable is not None and one.verdict() == "undecided"
    ]
    if unseen:
        said.append(f"Undecided; with 80 % power would have been found: {'; '.join(unseen)}.")
    return " ".join(text for text in said if text)


def keep_comparisons(
    measures: Sequence[Measure], values: Values
) -> dict[str, dict[str, dict[str, float | int | None] | None]]:
    """Return `compare_rows` as `results.json` holds it: row -> measure -> the fields of a comparison, or None."""
    found = compare_rows(measures, values)
    kept = {row: {measure.name: found.get((row, measure.name)) for measure in measures} for row in values}
    return {row: {name: one and asdict(one) for name, one in of_row.items()} for row, of_row in kept.items()}


def kept_comparisons(arms: Mapping[str, Mapping[str, Any]]) -> dict[tuple[str, str], Comparison]:
    """Return what `keep_comparisons` made, from the arms of `results.json`, as `compare_rows` returned it."""
    return {
        (arm, name): Comparison(**found)
        for arm, of_arm in arms.items()
        for name, found in of_arm["against_tuning"].items()
        if found
    }


def _digits(measure: Measure, mean: float) -> int:
    if measure.digits is not None:
        return measure.digits
    size = abs(mean) * (100 if measure.percent else 1)
    return 0 if size >= 100 else 1 if size >= 10 else 2 if size >= 1 else 3
