"""Table 3 (Seo 2025) in words: what `results.json` of retrieval holds, as Markdown and as rows for CSV."""

from collections.abc import Iterator
from typing import Any

from sketchloss.comparison import Comparison
from sketchloss.networks.arms import ARMS, REFERENCE
from sketchloss.report.arm_table import Measure, kept_comparisons, notes_on
from sketchloss.report.tables import PAPER_DATA, markdown_table, paper_cell, paper_heading
from sketchloss.statistics import Spread, format_spread

RANKS = (1, 3, 5)
#: What is measured of each head: accuracy at each rank, and of the features as they are, without a head.
MEASURES = (*(f"top_{k}" for k in RANKS), "untrained_top_1")
#: Table 3 of the paper: arm -> mean and standard deviation at each rank, in percent.
PAPER = {
    "attention+tuning": ((74.90, 0.31), (83.51, 0.28), (87.75, 0.24)),
    "tuning": ((73.74, 0.29), (82.71, 0.34), (85.36, 0.27)),
    "attention": ((59.01, 0.52), (65.44, 0.48), (70.10, 0.43)),
    "original": ((73.05, 0.33), (81.13, 0.36), (83.87, 0.31)),
}
CSV_HEADER = ("arm", "seed", "weights", *MEASURES)


def measures(queries: int) -> list[Measure]:
    """Return what Table 3 compares: shares of so many queries."""
    headings = [*(f"top-{k}" for k in RANKS), "no head: top-1"]
    return [
        Measure(name, heading, percent=True, share=True, trials=queries)
        for name, heading in zip(MEASURES, headings, strict=True)
    ]


def retrieval_report(results: dict[str, Any]) -> str:
    """Return the caption, the table beside the paper's, and notes, as Markdown."""
    return "\n\n".join([_caption(results), _table(results), "\n".join(f"- {note}" for note in _notes(results))])


def retrieval_rows(results: dict[str, Any]) -> list[tuple[object, ...]]:
    """Return a row for each arm and seed, under `CSV_HEADER`."""
    return [
        (arm, *(run[name] for name in CSV_HEADER[1:]))
        for arm, of_arm in results["arms"].items()
        for run in of_arm["runs"]
    ]


def _caption(results: dict[str, Any]) -> str:
    epochs = f"{results['epochs']} epoch{'s' * (results['epochs'] != 1)}"
    several = results["seeds"] > 1
    spread = f", mean ± standard deviation over {results['seeds']} seeds" if several else ""
    return (
        f"Retrieval on {results['data']}: {results['classes']} classes, {results['queries']:,} held-out queries "
        f"against the {results['gallery']:,} sketches that the heads were trained on; {results['image_size']} pixels, "
        f"heads {results['hidden']:,} wide, {epochs}. Top-k: a sketch of the query's class is among "
        f"the k nearest by cosine similarity; in percent{spread}. No head: the same features, averaged over "
        "positions, compared as they are. Seo 2025: ImageNet-Sketch, about 45,800 sketches of 1,000 classes, 224 "
        "pixels, heads 4,096 wide, 20 epochs, five seeds."
    )


def _table(results: dict[str, Any]) -> str:
    rows = []
    for arm, of_arm in results["arms"].items():
        cells = [_cell(name, of_arm) for name in MEASURES]
        paper = [paper_cell(format_spread(Spread(mean, deviation, 5))) for mean, deviation in PAPER.get(arm, ())]
        rows.append([arm, *cells, *(paper or ["-"] * len(RANKS))])
    same = results["data"] == PAPER_DATA and results["image_size"] == 224
    papers = [paper_heading(f"top-{k}", same_data=same) for k in RANKS]
    return markdown_table(["arm", *(f"top-{k}" for k in RANKS), "no head: top-1", *papers], rows)


def _cell(name: str, of_arm: dict[str, Any]) -> str:
    text, compared = format_spread(Spread(**of_arm["spread"][name]), percent=True), of_arm["against_tuning"][name]
    return f"{text} {Comparison(**compared).mark()}".rstrip() if compared else text


def _notes(results: dict[str, Any]) -> Iterator[str]:
    if said := notes_on(measures(results["queries"]), kept_comparisons(results["arms"])):
        yield said
    if results["seeds"] > 1:
        yield results.get("seeds_differ", "Seeds differ in the split, the head's start and the order.")
    else:
        yield "One seed: no ±, no p."
    gates = "another random start of the gates for each seed"
    if not results.get("gates_anew"):
        gates = "one random start of the gates for all seeds"
    first = next(iter(results["arms"].values()))
    for arm, of_arm in results["arms"].items():
        said = [f"{', '.join(of_arm['weights'])}{', by turns' if len(of_arm['weights']) > 1 else ''}"]
        if of_arm["gates"] == "untrained":
            said.append(gates)
        if of_arm["layer"] != first["layer"]:
            said.append(f"its layer {of_arm['layer']}")
        yield f"{arm}: the weights {'; '.join(said)}."
    if REFERENCE not in results["arms"] and not results.get("only"):
        yield f"{REFERENCE}: left out, no weights given ({ARMS[REFERENCE].flag}); so there is no t-test."
    if results["unreadable"]:
        yield f"{results['unreadable']} unreadable files or lines were left out."
