"""Tables of the probe, for one run or for the arms of a study, and what each tap is good for."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from sketchloss.data.names import short_name
from sketchloss.data.quickdraw.edits import DISPLACEMENT, EDITS
from sketchloss.data.quickdraw.ignorable import CHANGES
from sketchloss.experiments.probe.tap_choice import WEIGHTINGS
from sketchloss.experiments.probe.trials import CANDIDATES, FIFTH, RIVALS
from sketchloss.experiments.section import Section
from sketchloss.experiments.table import Measure, Table
from sketchloss.figures.tables import markdown_table

#: Agreement with people on line drawings of unknown shapes, as published (cosine distance of features, all judgments of
#: the original): Mukherjee & Rogers, "Using drawings and deep neural networks to characterize the building blocks of
#: human visual similarity".
PUBLISHED = {"pixels": 0.489, "VGG-19 fc": 0.604, "ResNet-18": 0.609, "AlexNet": 0.617, "CLIP ViT": 0.622}
#: How often people agree with the majority there.
PEOPLE = 0.72
#: The names of the pictures of that set, by which it is known.
PUBLISHED_PICTURES = frozenset(
    f"{one}-{two}-{three}.png" for one in range(1, 5) for two in range(1, 9) for three in (1, 2)
)
#: Means that differ by less are called alike.
ALIKE = 0.005


def is_published(names: Sequence[str]) -> bool:
    """Tell whether these pictures are those that `PUBLISHED` is about."""
    return set(names) == PUBLISHED_PICTURES


#: Half of the drawings -> what stands before the names of its measures.
_HALVES = {"report": "", "choose": "choosing half: "}


def sections(results: Mapping[str, Any]) -> list[Section]:
    """Return the table of all distances, the same part by part, and what the taps are good for.

    Args:
        results: what `results.json` holds; the rows, and what was chosen, may come from several runs with the same
            settings.
    """
    below = [_which_taps(results), *(_chosen(chosen, results) for chosen in results["chosen"])]
    return [
        Section(_table(results), "every distance", _caption(results), tuple(_notes(results))),
        Section(
            _detailed_table(results),
            "part by part",
            "Spearman's correlation for each edit; for each ignorable change the share of drawings in which it counts "
            f"for less than {100 * FIFTH:g} % of the strokes.",
            after="\n\n".join(text for text in below if text),
        ),
    ]


def measures(counts: Mapping[str, int]) -> list[Measure]:
    """Return the columns of the table of distances.

    Args:
        counts: number of yes-or-no trials of each share, where shares are tested.
    """
    shares = {name: {"digits": 3, "share": name in counts, "trials": counts.get(name)} for name in _SHARES}
    return [
        Measure("score", "score", digits=3),
        Measure("grows", "grows", digits=3),
        Measure("ignores", "ignores", **shares["ignores"]),
        Measure("ratio", "ratio", greater_is_better=False, digits=2),
        *(Measure(rival, rival, **shares[rival]) for rival in RIVALS),
        Measure("people", "people", **shares["people"]),
    ]


_SHARES = ("ignores", *RIVALS, "people")


def answers(row: Mapping[str, Any], half: str = "report") -> dict[str, float]:
    """Return the values of a distance under the names of `measures`; without those that there are none of."""
    found = row[half]
    values = {
        "score": found["score"],
        "grows": found["growth"]["mean"],
        "ignores": found["ignoring"]["mean"],
        "ratio": found["ratio"]["mean"],
        **{rival: share and share["value"] for rival, share in found["choice"].items()},
    }
    if half == "report":
        values["people"] = row["people"] and row["people"]["value"]
    return {name: value for name, value in values.items() if value is not None}


# Tables --------------------------------------------------------------------------------------------------------------


def _caption(results: Mapping[str, Any]) -> str:
    return (
        f"What distances make of drawings whose difference is known: {short_name(results['data'])}, "
        f"{results['drawings']:,} drawings of {results['classes']} classes, {results['image_size']} pixels, seed "
        f"{results['seed']}. grows: Spearman's correlation of the distance with the share of strokes removed, added, "
        "displaced, redrawn, and with a hand's wobble, mean over drawings; ignores: how often a change that people "
        f"ignore counts for less than removing {100 * FIFTH:g} % of the strokes; ratio: such a change's distance "
        "divided by that to another drawing of the same class, median, lower is better; same and other class: how "
        "often the drawing itself, redrawn, shifted and in another line width, is nearer than another drawing of its "
        "class, or of another, that is nearer in raw pixels; score: mean of grows, ignores, and the mean of the two "
        "choices. In brackets: 95 % intervals, of the score by bootstrap over drawings."
    )


def _table(results: Mapping[str, Any]) -> Table:
    counts = [
        *(Measure(f"trials with the {rival}", rival, digits=0, shown=False) for rival in RIVALS),
        Measure("drawings", "drawings", digits=0, shown=False),
    ]
    of_halves = [_of_half(one, half) for half in _HALVES for one in [*measures({}), *counts]]
    found: dict[str, dict[str, float]] = {}
    intervals = {}
    for row in results["rows"]:
        found[row["name"]] = of_row = {}
        for half, before in _HALVES.items():
            of_row |= {f"{before}{name}": value for name, value in answers(row, half).items()}
            of_row[f"{before}drawings"] = float(row[half]["drawings"])
            for rival, share in row[half]["choice"].items():
                of_row[f"{before}trials with the {rival}"] = float(share["trials"] if share else 0)
        intervals |= {(row["name"], name): bounds for name, bounds in _intervals(row)}
        if row["people"]:
            of_row["judgments"] = float(row["people"]["judgments"])
    return Table(
        [*of_halves, Measure("judgments", "judgments", digits=0, shown=False)],
        {row: {name: {results["seed"]: value} for name, value in of_row.items()} for row, of_row in found.items()},
        corner="distance",
        intervals=intervals,
    )


def _intervals(row: Mapping[str, Any]) -> Iterator[tuple[str, tuple[float, float]]]:
    for half, before in _HALVES.items():
        measured = {"score": row[half], **row[half]["choice"]}
        yield from ((f"{before}{name}", (one["low"], one["high"])) for name, one in measured.items() if one)
    if row["people"]:
        yield "people", (row["people"]["low"], row["people"]["high"])


def _of_half(measure: Measure, half: str) -> Measure:
    before = _HALVES[half]
    return replace(measure, name=f"{before}{measure.name}", shown=half == "report" and measure.shown)


def _detailed_table(results: Mapping[str, Any]) -> Table:
    shown = [
        *(Measure(edit, edit, digits=3) for edit in EDITS),
        *(Measure(change, change, digits=2) for change in CHANGES),
        *(Measure(f"ratio of {change}", change, greater_is_better=False, shown=False) for change in CHANGES),
    ]
    return Table(
        [_of_half(one, half) for half in _HALVES for one in shown],
        {
            row["name"]: {
                f"{before}{name}": {results["seed"]: value}
                for half, before in _HALVES.items()
                for name, value in _parts(row[half])
                if value is not None
            }
            for row in results["rows"]
        },
        corner="distance",
    )


def _parts(found: Mapping[str, Any]) -> Iterator[tuple[str, float | None]]:
    for edit in EDITS:
        yield edit, found["growth"][edit]
    for change in CHANGES:
        yield change, found["ignoring"][change]
        yield f"ratio of {change}", found["ratio"][change]


def _notes(results: Mapping[str, Any]) -> Iterator[str]:
    levels = ", ".join(f"{level:g}" for level in results["levels"])
    yield (
        f"Edits are nested, at the shares {levels}; strokes are taken in short pieces, displaced ones moved by "
        f"{100 * DISPLACEMENT:g} % of the side. A distance that stays the same correlates 0."
    )
    yield f"Ignored by people: {'; '.join(f'{name}, {words}' for name, words in CHANGES.items())}."
    trials = results["trials"]
    yield (
        f"Choices: of {CANDIDATES} drawings the one nearest in pixels, where it is nearer than the redrawn drawing: "
        f"{' and '.join(f'{trials[rival]} trials with the {rival}' for rival in RIVALS)} in "
        f"{results['drawings']} drawings. So pixel l1 scores 0 by construction, and what is close to it little."
    )
    yield (
        f"These are the {results['drawings']:,} drawings of the half that is reported; nothing was chosen on them. The "
        f"other half has {results['choose_drawings']:,}."
    )
    if results["unreadable"]:
        yield f"{results['unreadable']} lines that are no drawings were left out."
    yield from _notes_of_people(results["triplets"])


def _notes_of_people(triplets: Mapping[str, Any] | None) -> Iterator[str]:
    if triplets is None:
        return
    kind = f" of kind {triplets['kind']}" if triplets["kind"] else ""
    people = triplets["participants"]
    by = f"by {people} people; intervals: bootstrap over people" if people else (
        "by people that the data do not tell apart; intervals: bootstrap over judgments, too narrow if one person gave "
        "many"
    )  # fmt: skip
    yield (
        f"people: agreement with {triplets['judgments']:,} judgments{kind} ({Path(triplets['name']).name}) {by}. "
        f"Which of two pictures is closer to a third; {triplets['pictures']:,} in all, {triplets['size']} pixels; 0.5 "
        "is chance. Not part of the score, and nothing was chosen by it."
    )
    if triplets["published"]:
        listed = ", ".join(f"{name} {value:.3f}" for name, value in PUBLISHED.items())
        yield (
            f"Published on this set of drawings: {listed} (Mukherjee & Rogers; cosine distance of features; all "
            f"judgments of the original, a part here). People agree with the majority in about {100 * PEOPLE:g} %."
        )


# What for ------------------------------------------------------------------------------------------------------------


def _which_taps(results: Mapping[str, Any]) -> str:
    lines = [line for group in groups(results) for line in _advice(group, results)]
    return "\n".join(["Which taps for what (single taps, on the reported half):", "", *lines]) if lines else ""


def groups(results: Mapping[str, Any]) -> list[str]:
    """Return the names of the arms and weights whose taps were measured, in their order."""
    return list(dict.fromkeys(row["group"] for row in results["rows"] if row["group"] is not None))


def _advice(group: str, results: Mapping[str, Any]) -> Iterator[str]:
    rows = [row for row in results["rows"] if row["group"] == group]
    taps = {next(iter(row["taps"])): row for row in rows if row["kind"] == "tap"}
    if not taps:
        return
    wanted = {
        "measuring how much was changed": lambda row: row["report"]["growth"]["mean"],
        "ignoring what people ignore": lambda row: row["report"]["ignoring"]["mean"],
        "telling a redrawn drawing from another": lambda row: _mean_choice(row["report"]),
        "agreeing with people": lambda row: row["people"] and row["people"]["value"],
        "all but people (score)": lambda row: row["report"]["score"],
    }
    found = []
    for purpose, value in wanted.items():
        values = {tap: value(row) for tap, row in taps.items() if value(row) is not None}
        if values:
            best = max(values.values())
            near = [tap for tap, found_value in values.items() if found_value >= best - ALIKE]
            found.append(f"{purpose}: {' or '.join(near)} ({best:.3f})")
    default = next((row for row in rows if row["kind"] == "default"), None)
    together = f". The default taps together: score {default['report']['score']:.3f}" if default else ""
    yield f"- {group}. For {'; for '.join(found)}{together}."
    first = {name: _first_to_ignore(name, taps) for name in CHANGES}
    yield (
        f"- {group}. From which tap on most drawings ignore a change: "
        f"{', '.join(f'{name} {tap}' for name, tap in first.items())}."
    )


def _mean_choice(found: Mapping[str, Any]) -> float | None:
    shares = [share["value"] for share in found["choice"].values() if share]
    return sum(shares) / len(shares) if shares else None


def _first_to_ignore(name: str, taps: Mapping[str, Any]) -> str:
    ignoring = [tap for tap, row in taps.items() if row["report"]["ignoring"][name] > 0.5]
    steady = [tap for place, tap in enumerate(taps) if set(list(taps)[place:]) <= set(ignoring)]
    return steady[0] if steady else ("not steadily" if ignoring else "never")


def _chosen(chosen: Mapping[str, Any], results: Mapping[str, Any]) -> str:
    people = results["triplets"] is not None
    header = ["settings", "metric", "weights", "score, choosing", "score", "95 %", *(["people"] * people)]
    entries = {"default": chosen["default"], "best": chosen["best"]}
    entries |= {f"best {entry['metric']}, {_weighed(entry)}": entry for entry in chosen["best_of"]}
    rows = []
    for name, entry in entries.items():
        cells = [entry["metric"], _layers(entry["layers"]), _number(entry["choose"]["score"])]
        cells += [_number(entry["report"]["score"]), _interval(entry["report"])]
        rows.append([name, *cells, *([_number(entry["people"] and entry["people"]["value"])] * people)])
    gain = chosen["gain"]
    clear = "more" if gain["low"] > 0 else "less" if gain["high"] < 0 else "not clearly more"
    weighed = "; ".join(f"{name}: {words}" for name, words in WEIGHTINGS.items())
    return "\n\n".join(
        [
            f"Chosen for {chosen['group']} ({short_name(chosen['weights'])}): of {chosen['candidates']:,} combinations "
            f"of taps, weighting and metric the best score on the {results['choose_drawings']:,} drawings of the other "
            f"half. On the reported half it scores {gain['difference']:+.3f} [{gain['low']:+.3f}, {gain['high']:+.3f}] "
            f"against the default: {clear}.",
            markdown_table(header, rows),
            f"Weightings: {weighed}.",
        ]
    )


def _weighed(entry: Mapping[str, Any]) -> str:
    return "equal weights" if entry["weighting"] == "equal" else "other weights"


def _layers(layers: Mapping[str, float]) -> str:
    return ", ".join(f"{tap} {weight:.3g}" for tap, weight in layers.items())


def _number(value: float | None, digits: int = 3) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _interval(found: Mapping[str, Any]) -> str:
    return f"{found['low']:.3f} to {found['high']:.3f}"
