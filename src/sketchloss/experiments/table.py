"""Every table of an experiment, printed once: measures in columns, arms or distances in rows.

What a table may say stands here: mean ± deviation over seeds, the best of each column, the marks of the paired test
(`comparison.py`), of how many trials a share is, which samples are small, and the paper's rows, set apart from ours.
"""

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, TypeAlias

from sketchloss.figures.tables import markdown_table
from sketchloss.metrics.comparison import Comparison, Pairs, compare_all, explain, format_difference, one_trial
from sketchloss.metrics.statistics import Spread, format_spread, spread
from sketchloss.networks.arms import REFERENCE

#: Row -> measure -> seed -> value.
Values: TypeAlias = Mapping[str, Mapping[str, Mapping[int, float]]]
#: (Row, measure) -> the lower and upper bound of a 95 % interval.
Intervals: TypeAlias = Mapping[tuple[str, str], tuple[float, float]]
#: Row -> mean, and standard deviation where there is one.
Published: TypeAlias = Mapping[str, tuple[float, float | None]]
CSV_HEADER = (
    *("set", "row", "measure", "seeds", "mean", "deviation", "low", "high"),
    *("against", "difference", "p", "verdict", "detectable", "paper_mean", "paper_deviation"),
)
#: What the paper's sketches are.
PAPER_DATA = "songweig/imagenet_sketch"
#: Marks Fréchet distances of fewer than 2,048 pictures, which lie too high.
SMALL = "‡"


@dataclass(frozen=True)
class Measure:
    """A measure, which a column of a table shows."""

    name: str
    """Key of the measure's values."""
    heading: str
    greater_is_better: bool = True
    ranked: bool = True
    """Whether more or less of the measure is better; otherwise it has no arrow, no best and no test."""
    percent: bool = False
    """Whether to write 0.749 as 74.9, and to say so in the heading."""
    digits: int | None = None
    """Digits after the decimal point; None: three significant figures."""
    share: bool = False
    """Whether the values are shares of yes-or-no trials."""
    trials: int | None = None
    """Number of trials that each share is of; None: not known."""
    small_sample: bool = False
    """Whether the measure is a distance between sets that are too small for it."""
    shown: bool = True
    """Whether the measure has a column; in CSV and JSON it always has."""
    paper: Published = field(default_factory=dict)
    """Values that the paper measured, written as ours: a share as 0.749."""
    paper_digits: int | None = None
    """Digits after the decimal point of the paper's numbers; None: as many as ours."""

    def write(self, value: Spread, bounds: tuple[float, float] | None = None, *, digits: int | None = None) -> str:
        """Return a value as its cell has it, without marks: "74.9 ± 0.3", "0.61 [0.58, 0.64]", "0.132"."""
        if digits is None:
            digits = self.digits
        if digits is None:
            digits = _three_figures(value.mean * (100 if self.percent else 1))
        text = format_spread(value, digits, self.percent)
        if bounds is None:
            return text
        scale = 100 if self.percent else 1
        return f"{text} [{', '.join(f'{bound * scale:.{digits}f}' for bound in bounds)}]"


@dataclass(frozen=True)
class Table:
    """Measured values, and how a table shows them."""

    measures: Sequence[Measure]
    values: Values
    """The values. A row may lack a measure, and a measure some seeds."""
    corner: str = "arm"
    """Heading of the first column."""
    against: str = REFERENCE
    """Row that the others are tested against."""
    beside: Sequence[str] = ()
    """Rows that do not compete, such as true drawings: shown last, neither tested nor marked as the best."""
    not_counted: Collection[tuple[str, str]] = ()
    """Pairs of a row and the name of a measure that was a party to the row: shown in brackets, neither tested nor
    marked as the best."""
    intervals: Intervals = field(default_factory=dict)
    """95 % intervals of values that were measured once."""
    same_data: bool = False
    """Whether the values are from the data and the size that the paper had."""

    def compare(self) -> dict[tuple[str, str], Comparison]:
        """Return what each row and measure is against `against`: (row, name of the measure) -> the comparison.

        Nothing for a row with one value where that row has several, or the other way round: it was measured once for
        all seeds, so nothing is paired.
        """
        reference = self.values.get(self.against, {})
        return compare_all(
            {
                (row, measure.name): Pairs(found, base, share=measure.share, trials=measure.trials)
                for measure in self.measures
                if measure.shown and measure.ranked
                for row, of_row in self.values.items()
                if row not in (self.against, *self.beside)
                and (row, measure.name) not in self.not_counted
                and (found := of_row.get(measure.name))
                and (base := reference.get(measure.name))
                and (len(found) > 1) == (len(base) > 1)
            }
        )

    def markdown(self) -> str:
        """Return the table as Markdown that is readable as it stands."""
        columns = self._columns()
        compared, best = self.compare(), self._best()
        header = [self.corner, *map(self._heading, columns)]
        rows = []
        for row in self._rows():
            cells = [self._cell(measure, row, compared.get((row, measure.name)), best) for measure in columns]
            rows.append([row, *cells])
        return markdown_table(header, [*rows, *self._paper_rows(columns)])

    def notes(self) -> list[str]:
        """Return what must be known to read the table, a sentence or two each."""
        compared, columns = self.compare(), self._columns()
        said = [explain(list(compared.values()), against=self.against)]
        if self._best():
            said.append("Bold: the best mean of its column, which is no verdict.")
        if any(self.values.get(row, {}).get(name) for row, name in self.not_counted):
            said.append("In brackets: not counted, because the row was trained by this measure.")
        counts: dict[int, list[str]] = {}
        for measure in columns:
            if measure.trials:
                counts.setdefault(measure.trials, []).append(measure.heading)
        if counts:
            of_what = [f"{', '.join(headings)}: {one_trial(count)}" for count, headings in counts.items()]
            said.append(f"Shares: {'; '.join(of_what)}.")
        unseen = [
            f"{row}, {measure.heading} {format_difference(one.detectable, percent=measure.percent)}"
            for measure in columns
            for (row, name), one in compared.items()
            if name == measure.name and one.detectable is not None and one.verdict() == "undecided"
        ]
        if unseen:
            said.append(f"Undecided; with 80 % power would have been found: {'; '.join(unseen)}.")
        if any(measure.small_sample for measure in columns):
            said.append(
                f"{SMALL} Small samples (below 2,048): Fréchet distances lie too high; do not compare them with "
                "published FIDs."
            )
        if any(row in measure.paper for row in self.values for measure in columns):
            data = "of the same data" if self.same_data else "of other data and sizes, so not comparable with ours"
            said.append(f"Rows in italics: the paper's numbers (Seo 2025), {data}.")
        return [text for text in said if text]

    def as_json(self) -> dict[str, Any]:
        """Return row -> measure -> its seeds' values, mean, deviation, interval and comparison."""
        compared = self.compare()
        found: dict[str, Any] = {}
        for row, measure, values in self._each():
            over, one = spread(list(values.values())), compared.get((row, measure.name))
            found.setdefault(row, {})[measure.name] = {
                "values": {str(seed): value for seed, value in values.items()},
                "mean": over.mean,
                "deviation": over.deviation,
                "interval": self._bounds(row, measure, values),
                "comparison": one
                and asdict(one)
                | {"against": self.against, "verdict": one.verdict(greater_is_better=measure.greater_is_better)},
            }
        return found

    def csv_rows(self, source: str = "") -> Iterator[tuple[object, ...]]:
        """Return a row for each row and measure of the table, under `CSV_HEADER`.

        Args:
            source: the set that the table is of.
        """
        compared = self.compare()
        for row, measure, values in self._each():
            over, one = spread(list(values.values())), compared.get((row, measure.name))
            tested: tuple[object, ...] = (None,) * 5
            if one is not None:
                verdict = one.verdict(greater_is_better=measure.greater_is_better)
                tested = (self.against, one.difference, one.p, verdict, one.detectable)
            bounds = self._bounds(row, measure, values) or (None, None)
            paper = measure.paper.get(row, (None, None))
            yield (source, row, measure.name, len(values), over.mean, over.deviation, *bounds, *tested, *paper)

    def seed_rows(self) -> Iterator[tuple[str, str, int, float]]:
        """Return every value as row, measure, seed and value."""
        for row, measure, values in self._each():
            for seed, value in values.items():
                yield row, measure.name, seed, value

    def _each(self) -> Iterator[tuple[str, Measure, Mapping[int, float]]]:
        for row in self._rows():
            for measure in self.measures:
                if values := self.values[row].get(measure.name):
                    yield row, measure, values

    def _bounds(self, row: str, measure: Measure, values: Mapping[int, float]) -> tuple[float, float] | None:
        """Return the interval of a value; none of a mean over seeds, where it would be that of one of them."""
        return self.intervals.get((row, measure.name)) if len(values) == 1 else None

    def _rows(self) -> list[str]:
        return sorted(self.values, key=lambda row: row in self.beside)

    def _columns(self) -> list[Measure]:
        """Return the measures that have something to show."""
        rows = self.values
        return [
            measure
            for measure in self.measures
            if measure.shown and any(of_row.get(measure.name) or row in measure.paper for row, of_row in rows.items())
        ]

    def _heading(self, measure: Measure) -> str:
        arrow = (" ↑" if measure.greater_is_better else " ↓") if measure.ranked else ""
        unit = " (%)" if measure.percent else ""
        return f"{measure.heading}{unit}{arrow}{f' {SMALL}' if measure.small_sample else ''}"

    def _cell(self, measure: Measure, row: str, compared: Comparison | None, best: Mapping[str, Sequence[str]]) -> str:
        values = self.values[row].get(measure.name)
        if not values:
            return "-"
        text = measure.write(spread(list(values.values())), self._bounds(row, measure, values))
        text = f"**{text}**" if row in best.get(measure.name, ()) else text
        text = f"({text})" if (row, measure.name) in self.not_counted else text
        mark = compared.mark(greater_is_better=measure.greater_is_better) if compared else ""
        return f"{text} {mark}".rstrip()

    def _best(self) -> dict[str, list[str]]:
        """Return the rows with the best mean of each measure that several rows have, as they are written."""
        found = {}
        for measure in self._columns():
            if not measure.ranked:
                continue
            means = {
                row: float(measure.write(Spread(spread(list(values.values())).mean, None, 1)))
                for row, of_row in self.values.items()
                if row not in self.beside
                and (row, measure.name) not in self.not_counted
                and (values := of_row.get(measure.name))
            }
            sign = 1 if measure.greater_is_better else -1
            top = max((sign * mean for mean in means.values()), default=math.nan)
            rows = [row for row, mean in means.items() if sign * mean == top]
            if len(rows) < len(means):
                found[measure.name] = rows
        return found

    def _paper_rows(self, columns: Sequence[Measure]) -> Iterator[list[str]]:
        name = "Seo 2025" if self.same_data else "Seo 2025, other data"
        for row in self._rows():
            if any(row in measure.paper for measure in columns):
                published = [measure.paper.get(row) for measure in columns]
                cells = [
                    f"*{measure.write(Spread(found[0], found[1], 5), digits=measure.paper_digits)}*" if found else "-"
                    for measure, found in zip(columns, published, strict=True)
                ]
                yield [f"*{row} ({name})*", *cells]


def _three_figures(size: float) -> int:
    """Return the digits after the point that give three figures, and three below 1 at least."""
    size = abs(size)
    if size >= 1:
        return 0 if size >= 100 else 1 if size >= 10 else 2
    return max(3, 2 - math.floor(math.log10(size))) if size > 0 else 3


def merge(all_values: Sequence[Values], *, once: Sequence[str] = ()) -> dict[str, dict[str, dict[int, float]]]:
    """Put the values of several results together; of two for the same row, measure and seed the first one counts.

    Args:
        all_values: one for each result.
        once: rows that no training changes, such as true drawings: only the first value of each measure is kept.
    """
    merged: dict[str, dict[str, dict[int, float]]] = {}
    for values in all_values:
        for row, measures in values.items():
            for name, of_seeds in measures.items():
                kept = merged.setdefault(row, {}).setdefault(name, {})
                for seed, value in of_seeds.items():
                    if not (kept and row in once):
                        kept.setdefault(seed, value)
    return merged
