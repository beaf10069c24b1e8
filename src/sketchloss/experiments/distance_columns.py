"""Columns for distances between sets of generated and of true sketches, each named after the network that judges."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sketchloss.experiments.table import Measure, Published

FID = "FID"
#: A distance as `results.json` has it.
Distance = Mapping[str, Any]


def distance_measures(distances: Sequence[Distance], paper: Published) -> list[Measure]:
    """Return two columns for each distance, Fréchet's and the kernel's, and one of the paper's FIDs; not shown: what
    resampling adds to Fréchet's, and the kernel's deviation over subsets.

    Args:
        distances: distances of one row of the table.
        paper: the FIDs that the paper measured; under ours, where that was measured.
    """
    found = []
    for one in distances:
        published = paper if one["name"] == FID else {}
        small = one["small_sample"]
        found.append(
            Measure(
                one["name"],
                one["name"],
                greater_is_better=False,
                small_sample=small,
                paper=published,
                paper_digits=2,
            )
        )
        found.append(Measure(one["kernel_name"], one["kernel_name"], greater_is_better=False))
        found += [Measure(name, name, ranked=False, shown=False) for name in (_bias(one), _deviation(one))]
    if paper and all(one["name"] != FID for one in distances):
        found.append(Measure(FID, FID, greater_is_better=False, paper=paper, paper_digits=2))
    return found


def distance_values(distances: Sequence[Distance]) -> Iterator[tuple[str, float]]:
    """Yield the name and value of each column."""
    for one in distances:
        yield one["name"], one["value"]
        yield one["kernel_name"], one["kernel"]
        for name, value in ((_bias(one), one["bias"]), (_deviation(one), one["kernel_std"])):
            if value is not None:
                yield name, value


def distance_intervals(distances: Sequence[Distance]) -> Iterator[tuple[str, tuple[float, float]]]:
    """Yield the name of each Fréchet distance that has an interval, and its bounds."""
    for one in distances:
        if one["low"] is not None:
            yield one["name"], (one["low"], one["high"])


def _bias(distance: Distance) -> str:
    return f"{distance['name']}, bias"


def _deviation(distance: Distance) -> str:
    return f"{distance['kernel_name']}, deviation over subsets"
