"""Tables of which trick fools which distance, from `results.json` of the tricks: of each size and over sizes."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from sketchloss.data.names import short_name
from sketchloss.experiments.probe.trick_drawings import GREY_PAPER, GREY_WORDS, REFERENCES, TRICKS
from sketchloss.experiments.section import Section
from sketchloss.experiments.table import Measure, Table
from sketchloss.figures.tables import markdown_table

#: The name of the rows that hold the drawings of all sources together.
ALL = "all sources"
#: Every trick, in the order of the tables.
ASKED = (*TRICKS, GREY_PAPER)
#: Tricks whose every comparison is printed; the CSV file has those of all.
_COMPARED = ("blank page", "half gone")
_HALVES = {
    "report": "the half of the drawings by which nothing was chosen",
    "choose": "the half of the drawings by which distances may be chosen",
}

Row = Mapping[str, Any]


def sections(results: Mapping[str, Any]) -> list[Section]:
    """Return what the tricks are, the tables of each size, and those of the means over sizes.

    Args:
        results: what `results.json` holds; the rows may come from several runs with the same settings.
    """
    sources = _names(results["sources"])
    made = [Section(None, caption=_caption(results))]
    for source, name in {ALL: ALL, **sources}.items():
        for size in results["image_sizes"]:
            rows = [row for row in results["rows"] if (row["source"], row["image_size"]) == (source, size)]
            if rows:
                caption = (
                    f"Share of drawings at which a distance is fooled, {size} pixels, {rows[0]['drawings']} drawings "
                    f"of {short_name(source)}, with 95 % intervals; equal counts half."
                )
                made.append(
                    Section(
                        _table_of_size(rows, results["seed"]),
                        source=f"{name} at {size} pixels",
                        caption=caption,
                        printed=source == ALL,
                    )
                )
    return [*made, *_means(results, sources)]


def _names(sources: Sequence[str]) -> dict[str, str]:
    """Return what each source is called: in short, unless two would be called alike."""
    short = {source: short_name(source) for source in sources}
    return short if len(set(short.values())) == len(short) else {source: source for source in sources}


def _caption(results: Mapping[str, Any]) -> str:
    answers = [[name, trick.words, trick.answer, trick.why] for name, trick in TRICKS.items()]
    parts = [
        f"Which tricks fool a distance between drawings: {', '.join(map(short_name, results['sources']))}, seed "
        f"{results['seed']}, {_HALVES[results['half']]}. A distance is fooled at a drawing where it does not give the "
        "right answer:",
        markdown_table(["trick", "what it is", "right answer", "because"], [*answers, [GREY_PAPER, *GREY_WORDS]]),
        "\n".join(f"- *{name}*: {words}." for name, words in REFERENCES.items()),
    ]
    return "\n\n".join(parts)


def _means(results: Mapping[str, Any], sources: Mapping[str, str]) -> Iterator[Section]:
    rows = {
        source: [row for row in results["rows"] if row["source"] == source]
        for source in (*(sources if len(sources) > 1 else ()), ALL)
    }
    seed, order = results["seed"], _order(rows[ALL])
    found = {source: over_sizes(of_source) for source, of_source in rows.items()}
    for source, name in sources.items():
        if found.get(source):
            yield Section(
                _table([*_FOOLED, *order], found[source], seed),
                source=f"{name} over sizes",
                caption=f"The same, only of {short_name(source)}, mean over sizes.",
            )
    yield Section(
        _table([*_FOOLED, *order], found[ALL], seed),
        source=f"{ALL} over sizes",
        caption="The same of all sources, mean over sizes; beside it how often redrawn is nearer than same kind, and "
        "same kind nearer than other kind.",
    )
    yield Section(
        _table(_RATIOS, found[ALL], seed),
        source="ratios over sizes",
        caption="Distance of the trick divided by the distance of the drawing redrawn, median over drawings; of grey "
        "paper the distance of the drawing redrawn there divided by the same on white. Geometric mean over sizes.",
    )
    left_out = f"{results['unreadable']} files or lines could not be read and were left out."
    yield Section(
        _table(_NEARER, found[ALL], seed),
        source="comparisons over sizes",
        caption="How often a trick is nearer than each reference, mean over sizes; other tricks are in the CSV file.",
        after=left_out if results["unreadable"] else "",
    )


# Measures ------------------------------------------------------------------------------------------------------------


def fooled_by(trick: str) -> str:
    """Return the name of the share of drawings at which a trick fools a distance."""
    return f"fooled by {trick}"


def _nearer(trick: str, reference: str) -> str:
    return f"{trick} nearer than {reference}"


def _ratio(trick: str) -> str:
    return f"ratio of {trick}"


_SHARE: dict[str, Any] = {"percent": True, "digits": 0, "share": True}
_FOOLED = [Measure(fooled_by(trick), trick, greater_is_better=False, **_SHARE) for trick in ASKED]
# What is right of these depends on the trick.
_RATIOS = [Measure(_ratio(trick), trick, ranked=False, digits=2) for trick in ASKED]
_NEARER = [
    Measure(_nearer(trick, reference), f"{trick}, {reference}", ranked=False, shown=trick in _COMPARED, **_SHARE)
    for trick in TRICKS
    for reference in REFERENCES
]


def _order(rows: Sequence[Row]) -> list[Measure]:
    return [Measure(pair, pair, **_SHARE) for pair in dict.fromkeys(pair for row in rows for pair in row["order"])]


def _shares(row: Row) -> dict[str, Row | None]:
    """Return every share of a row under the name of its measure; None: of no drawing."""
    return {
        **{fooled_by(trick): share for trick, share in row["shares"].items()},
        **{
            _nearer(trick, reference): share
            for trick, found in row["nearer"].items()
            for reference, share in found.items()
        },
        **row["order"],
    }


def values(row: Row) -> dict[str, float]:
    """Return the shares and ratios of a row under the names of their measures; without those that there are none of."""
    shares = {name: share["value"] for name, share in _shares(row).items() if share}
    return shares | {_ratio(trick): ratio for trick, ratio in row["ratios"].items() if ratio is not None}


def over_sizes(rows: Sequence[Row]) -> dict[str, dict[str, float]]:
    """Return the means of `values` over the rows of a distance, for each distance, in their order; of ratios geometric.

    Args:
        rows: rows of one source, or of all together.
    """
    found: dict[str, dict[str, list[float]]] = {}
    for row in rows:
        of_distance = found.setdefault(row["distance"], {})
        for name, value in values(row).items():
            of_distance.setdefault(name, []).append(value)
    ratios = {measure.name for measure in _RATIOS}
    return {
        distance: {
            name: _geometric_mean(of_sizes) if name in ratios else float(np.mean(of_sizes))
            for name, of_sizes in measured.items()
        }
        for distance, measured in found.items()
    }


def _geometric_mean(ratios: Sequence[float]) -> float:
    # note: a distance that is blind to a trick has the ratio 0, and so has its mean
    return float(np.exp(np.log(ratios).mean())) if min(ratios) > 0 else 0.0


# Tables --------------------------------------------------------------------------------------------------------------


def _table(measures: Sequence[Measure], found: Mapping[str, Mapping[str, float]], seed: int) -> Table:
    by_seed = {
        distance: {name: {seed: float(value)} for name, value in measured.items()}
        for distance, measured in found.items()
    }
    return Table(measures, by_seed, corner="distance")


def _table_of_size(rows: Sequence[Row], seed: int) -> Table:
    """Return how often distances are fooled, and for the CSV file all else that was measured at a size."""
    order = _order(rows)
    counts = [Measure(f"trials of {one.name}", "trials", digits=0) for one in (*_FOOLED, *_NEARER, *order)]
    hidden = [*_RATIOS, *_NEARER, *order, *counts, Measure("drawings", "drawings", digits=0)]
    found = {
        row["distance"]: {
            **values(row),
            **{f"trials of {name}": share["trials"] if share else 0 for name, share in _shares(row).items()},
            "drawings": row["drawings"],
        }
        for row in rows
    }
    intervals = {
        (row["distance"], name): (share["low"], share["high"])
        for row in rows
        for name, share in _shares(row).items()
        if share
    }
    table = _table([*_FOOLED, *(replace(measure, shown=False) for measure in hidden)], found, seed)
    return replace(table, intervals=intervals)
