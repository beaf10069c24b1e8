"""Search for the taps, weights and metric that a backbone does best with in the trials."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

from sketchloss.experiments.probe.distances import combine
from sketchloss.experiments.probe.measures import Answers, answers, difference, in_plain, score, summarise
from sketchloss.experiments.probe.trials import Trials
from sketchloss.loss.tap_distance import METRICS, Metric

Weighting = Literal["equal", "balanced", "deep", "shallow"]
#: How the taps of a set are weighed, in words.
WEIGHTINGS: dict[Weighting, str] = {
    "equal": "all weights the same",
    "balanced": "each tap contributes alike: its weight is the inverse of its mean distance to another drawing of the "
    "same class",
    "deep": "as balanced, each tap twice its shallower neighbour",
    "shallow": "as balanced, each tap half its shallower neighbour",
}
#: Sets of taps double with each of them.
MOST_TAPS = 8
LISTED = 10


@dataclass(frozen=True)
class Candidate:
    """Settings of `SketchLoss`."""

    layers: dict[str, float]
    """Tap -> its weight; the weights sum to 1, up to three digits."""
    metric: Metric
    weighting: Weighting


def candidates(
    taps: Sequence[str], typical: Mapping[str, float], metrics: Sequence[Metric] = METRICS
) -> Iterator[Candidate]:
    """List all sets of taps with all weightings and metrics, smaller sets and equal weights first.

    Args:
        taps: names, from shallow to deep; 8 at most.
        typical: `relu3_3 l1` and so on -> the mean distance to another drawing of the same class.
        metrics: the metrics to try.

    Raises:
        ValueError: for more than 8 taps.
    """
    if len(taps) > MOST_TAPS:
        raise ValueError(f"{len(taps)} taps make {2 ** len(taps) - 1:,} sets: search {MOST_TAPS} at most")
    for count in range(1, len(taps) + 1):
        for weighting in WEIGHTINGS if count > 1 else ("equal",):
            for chosen in combinations(taps, count):
                for metric in metrics:
                    sizes = [typical[f"{tap} {metric}"] for tap in chosen]
                    if weighting == "equal" or min(sizes) > 0:
                        yield Candidate(_weigh(chosen, sizes, weighting), metric, weighting)


def _weigh(taps: Sequence[str], sizes: Sequence[float], weighting: Weighting) -> dict[str, float]:
    if weighting == "equal":
        weights = [1.0] * len(taps)
    else:
        factor = {"balanced": 1, "deep": 2, "shallow": 0.5}[weighting]
        weights = [factor**depth / size for depth, size in enumerate(sizes)]
    # Rounded, because a user writes them down.
    return {tap: float(f"{weight / sum(weights):.3g}") for tap, weight in zip(taps, weights, strict=True)}


Distances = Mapping[str, Float[np.ndarray, "n columns"]]


def choose_taps(
    choose: tuple[Distances, Trials],
    report: tuple[Distances, Trials],
    taps: Sequence[str],
    *,
    default: tuple[Mapping[str, float], Metric],
    metrics: Sequence[Metric] = METRICS,
) -> dict[str, Any]:
    """Find the taps, weights and metric of the best score on one half of the drawings, and measure them on the other.

    Args:
        choose: what `BackboneDistances` measured of the trials of the half to choose by, and these trials.
        report: the same, of the other half.
        taps: the taps to choose from, from shallow to deep; 8 at most.
        default: layers and metric that `SketchLoss` has now.
        metrics: the metrics to choose from; all measured.

    Returns:
        Values for JSON. `best`; `default`; `best_of`: the best of each metric with equal weights, and with others;
        `top`: the best few, as they came out on the half to choose by. Each has `layers`, `metric`, `weighting` (None:
        given), and its measures on both halves, `choose` and `report`. `gain`: by how much `best` exceeds `default` on
        `report`, with its interval; `candidates`: how many were tried, and `tried` of all of them the taps, metric,
        weighting and both scores. Of equal scores the smaller set wins.

    Raises:
        ValueError: for more than 8 taps.
    """
    distances, trials = choose
    typical = {name: float(trials.another(values).mean()) for name, values in distances.items()}
    tried = list(candidates(taps, typical, metrics))
    scores = [score(_answers(choose, one.layers, one.metric)) for one in tried]
    order = sorted(range(len(tried)), key=lambda index: -scores[index])  # stable: the smaller set stays in front
    measured: dict[int, dict[str, Any]] = {}

    def entry(index: int) -> dict[str, Any]:
        if index not in measured:
            one = tried[index]
            measured[index] = _entry(choose, report, one.layers, one.metric, one.weighting)
        return measured[index]

    layers, metric = default
    best = tried[order[0]]
    return {
        "candidates": len(tried),
        "best": entry(order[0]),
        "default": _entry(choose, report, layers, metric, None),
        "gain": difference(_answers(report, best.layers, best.metric), _answers(report, layers, metric)),
        "best_of": [
            entry(index)
            for wanted in metrics
            for equal in (True, False)
            for index in [i for i in order if (tried[i].metric, tried[i].weighting == "equal") == (wanted, equal)][:1]
        ],
        "top": [entry(index) for index in order[:LISTED]],
        "tried": [
            {
                **{"taps": list(one.layers), "metric": one.metric, "weighting": one.weighting, "choose": scores[index]},
                "report": score(_answers(report, one.layers, one.metric)),
            }
            for index, one in enumerate(tried)
        ],
    }


def _answers(half: tuple[Distances, Trials], layers: Mapping[str, float], metric: Metric) -> Answers:
    distances, trials = half
    return answers(combine(distances, layers, metric), trials)


def _entry(
    choose: tuple[Distances, Trials],
    report: tuple[Distances, Trials],
    layers: Mapping[str, float],
    metric: Metric,
    weighting: Weighting | None,
) -> dict[str, Any]:
    halves = {"choose": choose, "report": report}
    return {
        **{"layers": dict(layers), "metric": metric, "weighting": weighting},
        **{name: in_plain(summarise(_answers(half, layers, metric))) for name, half in halves.items()},
    }
