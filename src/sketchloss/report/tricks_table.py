"""What `results.json` of the tricks holds, in words: tables of which trick fools which distance, and rows for CSV."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from sketchloss.data.names import short_name
from sketchloss.probing.tricks import GREY_PAPER, GREY_WORDS, REFERENCES, TRICKS
from sketchloss.report.tables import markdown_table

#: The name of the rows that hold the drawings of all sources together.
ALL = "all sources"
#: Every trick, in the order of the tables.
ASKED = (*TRICKS, GREY_PAPER)
CSV_HEADER = (
    *("distance", "source", "image_size", "drawings", "quantity", "trick", "reference"),
    *("value", "low", "high", "trials"),
)
#: Tricks whose every comparison is printed; the CSV file has those of all.
_COMPARED = ("blank page", "half gone")
_HALVES = {
    "report": "the half of the drawings by which nothing was chosen",
    "choose": "the half of the drawings by which distances may be chosen",
}

Row = Mapping[str, Any]
#: From a row to its values, a column each; None where there is none.
Reading = Callable[[Row], Sequence[float | None]]


def tricks_report(results: Mapping[str, Any]) -> str:
    """Return the tables and what they mean as Markdown.

    Args:
        results: what `results.json` holds; the rows may come from several runs with the same settings.
    """
    together = [row for row in results["rows"] if row["source"] == ALL]
    answers = [[name, trick.words, trick.answer, trick.why] for name, trick in TRICKS.items()]
    parts = [
        f"Which tricks fool a distance between drawings: {', '.join(map(short_name, results['sources']))}, seed "
        f"{results['seed']}, {_HALVES[results['half']]}. A distance is fooled at a drawing where it does not give the "
        "right answer:",
        markdown_table(["trick", "what it is", "right answer", "because"], [*answers, [GREY_PAPER, *GREY_WORDS]]),
        "\n".join(f"- *{name}*: {words}." for name, words in REFERENCES.items()),
    ]
    for size in results["image_sizes"]:
        rows = [row for row in together if row["image_size"] == size]
        parts += [
            f"Share of drawings at which a distance is fooled, % [95 %], {size} pixels, {rows[0]['drawings']} drawings "
            "of all sources; equal counts half.",
            markdown_table(["distance", *ASKED], [[row["distance"], *_with_intervals(row)] for row in rows]),
        ]
    if len(results["sources"]) > 1:
        for source in results["sources"]:
            rows = [row for row in results["rows"] if row["source"] == source]
            parts += [f"The same of {short_name(source)} alone, mean over sizes.", _shares_over_sizes(rows)]
    compared = [(trick, reference) for trick in _COMPARED for reference in REFERENCES]
    parts += [
        "The same of all sources, mean over sizes; beside it how often redrawn is nearer than same kind, and same kind "
        "nearer than other kind, %.",
        _shares_over_sizes(together),
        "Distance of the trick divided by the distance of the drawing redrawn, median over drawings; of grey paper the "
        "distance of the drawing redrawn there divided by the same on white. Geometric mean over sizes.",
        _table(list(ASKED), over_sizes(together, _ratios, geometric=True), 2),
        "How often a trick is nearer than each reference, %, mean over sizes; other tricks are in the CSV file.",
        _table(
            [f"{trick}, {reference}" for trick, reference in compared],
            over_sizes(together, lambda row: [_percent(row["nearer"][trick][name]) for trick, name in compared]),
            0,
        ),
    ]
    if results["unreadable"]:
        parts.append(f"{results['unreadable']} files or lines could not be read and were left out.")
    return "\n\n".join(parts)


def tricks_rows(results: Mapping[str, Any]) -> list[tuple[object, ...]]:
    """Return a row for each distance, source, size and quantity, under `CSV_HEADER`."""
    return [
        (*(row[name] for name in CSV_HEADER[:4]), *quantity)
        for row in results["rows"]
        for quantity in _quantities(row)
    ]  # fmt: skip


def _quantities(row: Row) -> Iterator[tuple[object, ...]]:
    for trick in ASKED:
        yield "fooled", trick, None, *_numbers(row["shares"][trick])
        yield "ratio", trick, "redrawn", row["ratios"][trick], None, None, row["drawings"]
    for trick, found in row["nearer"].items():
        for reference, share in found.items():
            yield "nearer", trick, reference, *_numbers(share)
    for pair, share in row["order"].items():
        yield "order", None, pair, *_numbers(share)


def _numbers(share: Row | None) -> tuple[object, ...]:
    return (share["value"], share["low"], share["high"], share["trials"]) if share else (None, None, None, 0)


# Over sizes ----------------------------------------------------------------------------------------------------------


def over_sizes(rows: Sequence[Row], read: Reading, *, geometric: bool = False) -> dict[str, list[float | None]]:
    """Return the mean of values over the rows of a distance, for each distance, in their order.

    Args:
        rows: of one source, or of all together.
        read: what to average; None is left out, and nothing else to average gives None.
        geometric: take the geometric mean.
    """
    found: dict[str, list[float | None]] = {}
    for name in dict.fromkeys(row["distance"] for row in rows):
        columns = zip(*(read(row) for row in rows if row["distance"] == name), strict=True)
        found[name] = [_mean([value for value in column if value is not None], geometric) for column in columns]
    return found


def shares(row: Row) -> list[float | None]:
    """Return the share of drawings at which each trick fools a distance, in %."""
    return [_percent(row["shares"][trick]) for trick in ASKED]


def _ratios(row: Row) -> list[float | None]:
    return [row["ratios"][trick] for trick in ASKED]


def _mean(values: Sequence[float], geometric: bool) -> float | None:
    if not values:
        return None
    # note: a distance that is blind to a trick has the ratio 0, and so has its mean
    return float(np.exp(np.log(values).mean())) if geometric and min(values) > 0 else float(np.mean(values))


def _percent(share: Row | None) -> float | None:
    return None if share is None else 100 * share["value"]


# Tables --------------------------------------------------------------------------------------------------------------


def _shares_over_sizes(rows: Sequence[Row]) -> str:
    orders = list(rows[0]["order"])
    found = over_sizes(rows, lambda row: [*shares(row), *(_percent(row["order"][pair]) for pair in orders)])
    return _table([*ASKED, *orders], found, 0)


def _table(columns: Sequence[str], found: Mapping[str, Sequence[float | None]], digits: int) -> str:
    rows = [
        [name, *("-" if value is None else f"{value:.{digits}f}" for value in values)]
        for name, values in found.items()
    ]  # fmt: skip
    return markdown_table(["distance", *columns], rows)


def _with_intervals(row: Row) -> Iterator[str]:
    for trick in ASKED:
        share = row["shares"][trick]
        if share is None:
            yield "-"
        else:
            yield f"{100 * share['value']:.0f} [{100 * share['low']:.0f}, {100 * share['high']:.0f}]"
