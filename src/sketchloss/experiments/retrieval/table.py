"""Table 3 (Seo 2025): what retrieval has measured, of one run of the command or of the cells of a study."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sketchloss.data.names import short_name
from sketchloss.experiments.section import Section
from sketchloss.experiments.table import PAPER_DATA, Measure, Table, Values, merge
from sketchloss.networks.arms import ARMS, REFERENCE

RANKS = (1, 3, 5)
#: Table 3 of the paper: arm -> mean and standard deviation at each rank, in percent.
PAPER = {
    "attention+tuning": ((74.90, 0.31), (83.51, 0.28), (87.75, 0.24)),
    "tuning": ((73.74, 0.29), (82.71, 0.34), (85.36, 0.27)),
    "attention": ((59.01, 0.52), (65.44, 0.48), (70.10, 0.43)),
    "original": ((73.05, 0.33), (81.13, 0.36), (83.87, 0.31)),
}


def measures(queries: int | None) -> list[Measure]:
    """Return the columns of Table 3: shares of so many queries."""
    at_rank = [
        Measure(
            f"top_{rank}",
            f"top-{rank}",
            percent=True,
            digits=2,
            share=True,
            trials=queries,
            paper={arm: (_as_share(found[place][0]), _as_share(found[place][1])) for arm, found in PAPER.items()},
        )
        for place, rank in enumerate(RANKS)
    ]
    no_head = Measure("untrained_top_1", "no head: top-1", percent=True, digits=2, share=True, trials=queries)
    return [*at_rank, no_head]


def _as_share(percent: float) -> float:
    """Return 0.749 of 74.90, and not 0.7490000000000001."""
    return round(percent / 100, 4)


def values(results: Mapping[str, Any]) -> Values:
    """Return what one run has measured."""
    names = [measure.name for measure in measures(None)]
    return {
        arm: {name: {run["seed"]: run[name] for run in of_arm["runs"]} for name in names}
        for arm, of_arm in results["arms"].items()
    }


def section(results: Sequence[Mapping[str, Any]], weights: Mapping[str, str] | None = None) -> Section:
    """Return Table 3 of one set of sketches.

    Args:
        results: what `results.json` of retrieval holds, of one run, or of runs that differ only in arm and seed.
        weights: weights of each arm in words; None: as the results have them, of one run.
    """
    first = results[0]
    table = Table(
        measures(min(found["queries"] for found in results)),
        merge([values(found) for found in results]),
        same_data=first["data"] == PAPER_DATA and first["image_size"] == 224,
    )
    seeds = max(len(of_arm["top_1"]) for of_arm in table.values.values())
    return Section(
        table,
        source=first["data"],
        caption=_caption(first, seeds),
        notes=tuple(_notes(results, seeds, weights)),
    )


def _caption(results: Mapping[str, Any], seeds: int) -> str:
    epochs = f"{results['epochs']} epoch{'s' * (results['epochs'] != 1)}"
    spread = f", mean ± standard deviation over {seeds} seeds" if seeds > 1 else ""
    return (
        f"Retrieval on {short_name(results['data'])}: {results['classes']} classes, {results['queries']:,} held-out "
        f"queries against the {results['gallery']:,} sketches that the heads were trained on; "
        f"{results['image_size']} pixels, heads {results['hidden']:,} wide, {epochs}. Top-k: a sketch of the query's "
        f"class is among the k nearest by cosine similarity; in percent{spread}. No head: the same features, averaged "
        "over positions, compared as they are. Seo 2025: ImageNet-Sketch, about 45,800 sketches of 1,000 classes, 224 "
        "pixels, heads 4,096 wide, 20 epochs, five seeds."
    )


def _notes(results: Sequence[Mapping[str, Any]], seeds: int, weights: Mapping[str, str] | None) -> Iterator[str]:
    if seeds == 1:
        yield "One seed: no ±, no p."
    elif weights is None:
        yield "Seeds differ in the split, the head's start and the order."
    else:
        yield "Seeds differ in the tuned weights, the sketches, the split, the head's start and the order."
    arms: dict[str, Mapping[str, Any]] = {}
    for found in results:
        for arm, of_arm in found["arms"].items():
            arms.setdefault(arm, of_arm)
    layer = next(iter(arms.values())).get("layer")
    for arm, of_arm in arms.items():
        turns = ", by turns" if len(of_arm["weights"]) > 1 else ""
        said = [weights[arm] if weights else f"{', '.join(of_arm['weights'])}{turns}"]
        if of_arm["gates"] == "untrained":
            anew = "another" if weights else "one"
            said.append(f"{anew} random start of the gates for {'each seed' if weights else 'all seeds'}")
        if of_arm.get("layer", layer) != layer:
            said.append(f"its layer {of_arm['layer']}")
        yield f"{arm}: the weights {'; '.join(said)}."
    if REFERENCE not in arms and not results[0].get("only"):
        yield f"{REFERENCE}: left out, no weights given ({ARMS[REFERENCE].flag}); so there is no t-test."
    if unreadable := results[0]["unreadable"]:
        yield f"{unreadable} unreadable files or lines were left out."
