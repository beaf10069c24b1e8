"""Table 4 (Seo 2025): how far apart classes are kept, of one run of the command or of the cells of a study."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sketchloss.data.names import short_name
from sketchloss.experiments.section import Section
from sketchloss.experiments.table import PAPER_DATA, Measure, Published, Table, Values
from sketchloss.figures.tables import format_p
from sketchloss.networks.arms import ARMS, REFERENCE

#: Table 4 of the paper: mean, and standard deviation where it gives one.
PAPER: dict[str, Published] = {
    "intra": {
        "original": (0.551, 0.015),
        "tuning": (0.198, 0.014),
        "attention": (0.426, 0.017),
        "attention+tuning": (0.132, 0.012),
    },
    "inter": {
        "original": (0.695, 0.013),
        "tuning": (0.762, 0.018),
        "attention": (0.912, 0.020),
        "attention+tuning": (1.000, 0.041),
    },
    "ratio": {
        "original": (1.26, None),
        "tuning": (3.85, None),
        "attention": (2.14, None),
        "attention+tuning": (7.59, None),
    },
}


def measures(sketches: int | None) -> list[Measure]:
    """Return the columns of Table 4; its shares are of so many sketches."""
    share: dict[str, Any] = {"percent": True, "digits": 1, "share": True, "trials": sketches}
    return [
        Measure("intra", "intra", greater_is_better=False, paper=PAPER["intra"]),  # of one class: close together
        Measure("inter", "inter", paper=PAPER["inter"], paper_digits=3),
        Measure("ratio", "ratio", digits=2, paper=PAPER["ratio"]),
        Measure("macro_intra", "macro intra", greater_is_better=False, shown=False),
        Measure("macro_inter", "macro inter", shown=False),
        Measure("macro_ratio", "macro ratio", digits=2),
        Measure("top_1", "1-NN", **share),
        Measure("top_5", "in 5-NN", **share, shown=False),
    ]


QUANTITIES = tuple(measure.name for measure in measures(None))


def values(results: Sequence[Mapping[str, Any]]) -> Values:
    """Return what runs have measured; nothing of a measure that a repeat does not have (its features collapsed)."""
    runs: dict[str, dict[int, Mapping[str, Any]]] = {}
    for found in results:
        for arm, of_arm in found["arms"].items():
            for run in of_arm["runs"]:
                runs.setdefault(arm, {}).setdefault(run["seed"], run)
    return {
        arm: {
            name: {seed: run[name] for seed, run in of_seeds.items()}
            for name in QUANTITIES
            if all(run[name] is not None for run in of_seeds.values())
        }
        for arm, of_seeds in runs.items()
    }


def table_of(results: Sequence[Mapping[str, Any]]) -> Table:
    """Return Table 4 of one set of sketches, of runs that differ only in arm and seed."""
    first = results[0]
    return Table(
        measures(min(found["measured"] for found in results)),
        values(results),
        same_data=first["data"] == PAPER_DATA and first["image_size"] == 224,
    )


def section(results: Sequence[Mapping[str, Any]], varies: Mapping[str, str] | None = None) -> Section:
    """Return Table 4 of one set of sketches, with the classes that are hardest to tell apart.

    Args:
        results: what `results.json` of separation holds, of one run, or of runs that differ only in arm and seed.
        varies: what differs between the seeds of each arm; None: as the results have it, of one run.
    """
    table = table_of(results)
    arms: dict[str, Mapping[str, Any]] = {}
    for found in results:
        for arm, of_arm in found["arms"].items():
            arms.setdefault(arm, of_arm)
    if varies is None:
        varies = {arm: of_arm["varies"] or "" for arm, of_arm in arms.items()}
    return Section(
        table,
        source=results[0]["data"],
        caption=_caption(results[0], table),
        notes=tuple(_notes(results[0], table, varies)),
        after=_hardest(arms),
    )


def _seeds(table: Table, arm: str) -> int:
    return max((len(of_measure) for of_measure in table.values[arm].values()), default=0)


def _caption(results: Mapping[str, Any], table: Table) -> str:
    seeds = max(_seeds(table, arm) for arm in table.values)
    which = "the whole set"
    if results["part"] == "held-out":
        which = (
            f"of which {results['measured']:,} held out by the {'first ' if seeds > 1 else ''}split (asked for "
            f"{results['held_out'] * 100:g} % of each class; one at least, and related sketches stay together)"
        )
    return (
        f"Class separation on {short_name(results['data'])}: {results['sketches']:,} sketches of {results['classes']} "
        f"classes, {which}, {results['image_size']} pixels; {results['embedding']}. Mean cosine distance within "
        "(intra) and across (inter) classes over all pairs, and their ratio inter / intra; macro: every class counts "
        "alike; 1-NN: the nearest other sketch is of the same class."
        f"{' Mean ± standard deviation over seeds.' if seeds > 1 else ''} Seo 2025: ImageNet-Sketch, 50,889 sketches "
        "of 1,000 classes, 224 pixels, five runs."
    )


def _notes(results: Mapping[str, Any], table: Table, varies: Mapping[str, str]) -> Iterator[str]:
    compared = table.compare()
    tested = {arm: one.p for (arm, name), one in compared.items() if name == "ratio" and one.p is not None}
    if tested:
        yield f"p of the ratio: {'; '.join(f'{arm} {format_p(p)}' for arm, p in tested.items())}."
    most = max(_seeds(table, arm) for arm in table.values)
    for arm, found in table.values.items():
        seeds = _seeds(table, arm)
        if varies[arm] and seeds > 1:
            yield f"{arm}: {seeds} seeds, which differ in {varies[arm]}."
        elif varies[arm] and most > 1:
            yield f"{arm}: one seed, no ±, no p."
        elif max(most, results["seeds"]) > 1:
            yield f"{arm}: nothing differs between seeds (one weights file, the whole set): measured once, no ±, no p."
        if "ratio" not in found:
            yield f"{arm}: the distances within classes are 0, its features have collapsed: no ratio."
    if max(most, results["seeds"]) == 1:
        yield "One seed: no ±, no p."
    for arm in results["left_out"]:
        reason = "not in the run of the heads"
        if results["heads"] is None:
            reason = f"no weights given ({ARMS[arm].flag})"
        yield f"{arm}: left out, {reason}{'; so there is no t-test' if arm == REFERENCE else ''}."
    if results["heads"] is not None and results["part"] == "whole":
        yield "The heads were trained on most of these sketches; --part held-out measures those that they never saw."
    if results["singletons"]:
        classes = f"{results['singletons']} of {results['classes']} classes have"
        yield f"{classes} one sketch only: nothing within them is measured, and no neighbour of theirs is right."
    if results["unreadable"]:
        yield f"{results['unreadable']} unreadable files or lines were left out."


def _hardest(arms: Mapping[str, Mapping[str, Any]]) -> str:
    lines = ["Hardest to tell apart (cosine between the means of two classes, first seed):", ""]
    for arm, of_arm in arms.items():
        pairs = [f"{pair['first']} and {pair['second']} ({pair['cosine']:.4f})" for pair in of_arm["hardest"]]
        if pairs:
            lines.append(f"- {arm}: {', '.join(pairs)}")
    return "\n".join(lines) if len(lines) > 2 else ""
