"""Table 4 (Seo 2025) in words: what `results.json` of class separation holds, as Markdown and as rows for CSV."""

import math
from collections.abc import Iterator
from typing import Any

from sketchloss.comparison import Comparison
from sketchloss.networks.arms import ARMS, REFERENCE
from sketchloss.report.arm_table import Measure, kept_comparisons, notes_on
from sketchloss.report.tables import PAPER_DATA, format_p, markdown_table, paper_cell, paper_heading
from sketchloss.statistics import Spread, format_spread

#: Quantity -> its heading.
QUANTITIES = {
    "intra": "intra",
    "inter": "inter",
    "ratio": "ratio",
    "macro_intra": "macro intra",
    "macro_inter": "macro inter",
    "macro_ratio": "macro ratio",
    "top_1": "1-NN",
    "top_5": "in 5-NN",
}
SHOWN = ("intra", "inter", "ratio", "macro_ratio", "top_1")
#: Table 4 of the paper: mean, and standard deviation where it gives one.
PAPER: dict[str, dict[str, tuple[float, float | None]]] = {
    "original": {"intra": (0.551, 0.015), "inter": (0.695, 0.013), "ratio": (1.26, None)},
    "tuning": {"intra": (0.198, 0.014), "inter": (0.762, 0.018), "ratio": (3.85, None)},
    "attention": {"intra": (0.426, 0.017), "inter": (0.912, 0.020), "ratio": (2.14, None)},
    "attention+tuning": {"intra": (0.132, 0.012), "inter": (1.000, 0.041), "ratio": (7.59, None)},
}
CSV_HEADER = ("arm", "quantity", "mean", "deviation", "seeds", "p_against_tuning", "paper_mean", "paper_deviation")


def separation_report(results: dict[str, Any]) -> str:
    """Return the caption, the table beside the paper's, notes, and the hardest classes, as Markdown."""
    notes = "\n".join(f"- {note}" for note in _notes(results))
    return "\n\n".join([_caption(results), _table(results), notes, _hardest(results)])


def separation_rows(results: dict[str, Any]) -> list[tuple[object, ...]]:
    """Return a row for each arm and quantity, under `CSV_HEADER`."""
    rows = []
    for arm, of_arm in results["arms"].items():
        for name in QUANTITIES:
            found = of_arm["spread"][name] or {"mean": None, "deviation": None}
            paper = PAPER.get(arm, {}).get(name, (None, None))
            p = (of_arm["against_tuning"].get(name) or {}).get("p")
            rows.append((arm, name, found["mean"], found["deviation"], len(of_arm["runs"]), p, *paper))
    return rows


def measures(sketches: int) -> list[Measure]:
    """Return what Table 4 shows and compares; its shares are of so many sketches."""
    return [
        Measure(
            name,
            QUANTITIES[name],
            greater_is_better=not name.endswith("intra"),  # members of a class belong close together
            percent=name.startswith("top_"),
            share=name.startswith("top_"),
            trials=sketches if name.startswith("top_") else None,
        )
        for name in SHOWN
    ]


def mark(name: str, of_arm: dict[str, Any]) -> str:
    """Return * where an arm's quantity is better than the reference's, † where worse, else nothing."""
    compared = of_arm["against_tuning"].get(name)
    return Comparison(**compared).mark(greater_is_better=not name.endswith("intra")) if compared else ""


def _table(results: dict[str, Any]) -> str:
    same = results["data"] == PAPER_DATA and results["image_size"] == 224
    papers = [paper_heading(name, same_data=same) for name in ("intra", "inter", "ratio")]
    header = ["arm", *(QUANTITIES[name] for name in SHOWN), "p (ratio)", *papers]
    rows = []
    for arm, of_arm in results["arms"].items():
        p = (of_arm["against_tuning"]["ratio"] or {}).get("p")
        rows.append([arm, *(_cell(name, of_arm) for name in SHOWN), format_p(p), *_paper_cells(arm)])
    return markdown_table(header, rows)


def _cell(name: str, of_arm: dict[str, Any]) -> str:
    if of_arm["spread"][name] is None:
        return "-"
    found = Spread(**of_arm["spread"][name])
    if name.startswith("top_"):
        text = format_spread(found, digits=1, percent=True) + " %"
    else:
        text = format_spread(found, digits=2 if "ratio" in name else _digits(found.mean))
    return f"{text} {mark(name, of_arm)}".rstrip()


def _digits(distance: float) -> int:
    # Three figures: untrained gates leave distances of a thousandth and less.
    return max(3, 2 - math.floor(math.log10(distance))) if distance > 0 else 3


def paper_ratio(arm: str) -> float | None:
    """Return the paper's ratio of an arm, None of one that is not the paper's."""
    return PAPER[arm]["ratio"][0] if arm in PAPER else None


def _paper_cells(arm: str) -> list[str]:
    if arm not in PAPER:
        return ["-", "-", "-"]
    return [
        paper_cell(f"{mean:.2f}" if deviation is None else format_spread(Spread(mean, deviation, 5), digits=3))
        for mean, deviation in PAPER[arm].values()
    ]


def _caption(results: dict[str, Any]) -> str:
    which = "the whole set"
    if results["part"] == "held-out":
        which = (
            f"of which {results['measured']:,} held out by the {'first ' if results['seeds'] > 1 else ''}split (asked "
            f"for {results['held_out'] * 100:g} % of each class; one at least, and related sketches stay together)"
        )
    arms = results["arms"].values()
    several = any(found and found["deviation"] is not None for of_arm in arms for found in of_arm["spread"].values())
    return (
        f"Class separation on {results['data']}: {results['sketches']:,} sketches of {results['classes']} classes, "
        f"{which}, {results['image_size']} pixels; {results['embedding']}. Mean cosine distance within (intra) and "
        "across (inter) classes over all pairs, and their ratio inter / intra; macro: every class counts alike; 1-NN: "
        f"the nearest other sketch is of the same class.{' Mean ± standard deviation over seeds.' if several else ''}"
        " Seo 2025: ImageNet-Sketch, 50,889 sketches of 1,000 classes, 224 pixels, five runs."
    )


def _notes(results: dict[str, Any]) -> Iterator[str]:
    if said := notes_on(measures(results["measured"]), kept_comparisons(results["arms"])):
        yield said
    for arm, of_arm in results["arms"].items():
        seeds = len(of_arm["runs"])
        if of_arm["varies"]:
            yield f"{arm}: {seeds} seeds, which differ in {of_arm['varies']}."
        elif results["seeds"] > 1:
            yield f"{arm}: nothing differs between seeds (one weights file, the whole set): measured once, no ±, no p."
        if of_arm["spread"]["ratio"] is None:
            yield f"{arm}: the distances within classes are 0, its features have collapsed: no ratio."
    if results["seeds"] == 1:
        yield "One seed: no ±, no p."
    for arm in results["left_out"]:
        reason = f"no weights given ({ARMS[arm].flag})" if results["heads"] is None else "not in the run of the heads"
        yield f"{arm}: left out, {reason}{'; so there is no t-test' if arm == REFERENCE else ''}."
    if results["heads"] is not None and results["part"] == "whole":
        yield "The heads were trained on most of these sketches; --part held-out measures those that they never saw."
    if results["singletons"]:
        classes = f"{results['singletons']} of {results['classes']} classes have"
        yield f"{classes} one sketch only: nothing within them is measured, and no neighbour of theirs is right."
    if results["unreadable"]:
        yield f"{results['unreadable']} unreadable files or lines were left out."


def _hardest(results: dict[str, Any]) -> str:
    lines = ["Hardest to tell apart (cosine between the means of two classes, first seed):", ""]
    for arm, of_arm in results["arms"].items():
        pairs = [f"{pair['first']} and {pair['second']} ({pair['cosine']:.4f})" for pair in of_arm["hardest"]]
        if pairs:
            lines.append(f"- {arm}: {', '.join(pairs)}")
    return "\n".join(lines) if len(lines) > 2 else ""
