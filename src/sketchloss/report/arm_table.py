"""One table for many experiments: arms in rows, measures in columns, mean ± deviation over seeds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from sketchloss.report.tables import SIGNIFICANT, markdown_table
from sketchloss.statistics import format_spread, paired_t_test, spread

#: Row (an arm, or a reference) -> measure -> seed -> value.
Values: TypeAlias = Mapping[str, Mapping[str, Mapping[int, float]]]
REFERENCE = "tuning"
MARKS = "* better and † worse than tuning with p < 0.05 (paired t-test over seeds)."


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


def arm_table(
    measures: Sequence[Measure],
    values: Values,
    paper: Mapping[str, Mapping[str, str]] | None = None,
    *,
    corner: str = "arm",
) -> str:
    """Return a Markdown table.

    Args:
        measures: the columns.
        values: what was found; a row may lack a measure, and a measure some seeds.
        paper: heading of a column -> row -> what the paper has.
        corner: heading of the first column.
    """
    paper = paper or {}
    header = [corner, *(_heading(measure) for measure in measures), *paper]
    rows = [
        [
            row,
            *(_cell(measure, row, values) for measure in measures),
            *(column.get(row, "-") for column in paper.values()),
        ]
        for row in values
    ]
    return markdown_table(header, rows)


def p_against(values: Mapping[int, float] | None, reference: Mapping[int, float] | None) -> float | None:
    """Return p of the paired t-test over the seeds that both have; None if it is undefined."""
    seeds = sorted(set(values or ()) & set(reference or ()))
    return paired_t_test([values[seed] for seed in seeds], [reference[seed] for seed in seeds]) if seeds else None  # pyright: ignore[reportOptionalSubscript]


def mark(measure: Measure, row: str, values: Values) -> str:
    """Return * where a row is better than `tuning` with p < 0.05, † where it is worse, else nothing."""
    found, reference = (values.get(name, {}).get(measure.name) for name in (row, REFERENCE))
    p = None if row == REFERENCE else p_against(found, reference)
    if p is None or p >= SIGNIFICANT or not found or not reference:
        return ""
    common = set(found) & set(reference)
    greater = sum(found[seed] - reference[seed] for seed in common) > 0
    return "*" if greater == measure.greater_is_better else "†"


def _heading(measure: Measure) -> str:
    return f"{measure.heading} {'↑' if measure.greater_is_better else '↓'}"


def _cell(measure: Measure, row: str, values: Values) -> str:
    found = values[row].get(measure.name)
    if not found:
        return "-"
    text = format_spread(over := spread(list(found.values())), _digits(measure, over.mean), measure.percent)
    return f"{text} {mark(measure, row, values)}".rstrip()


def _digits(measure: Measure, mean: float) -> int:
    if measure.digits is not None:
        return measure.digits
    size = abs(mean) * (100 if measure.percent else 1)
    return 0 if size >= 100 else 1 if size >= 10 else 2 if size >= 1 else 3
