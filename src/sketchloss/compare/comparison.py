"""What a comparison has found, and in what way it was measured: what is printed, written and judged."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from sketchloss.compare.settings import Compare
from sketchloss.compare.tally import Tally
from sketchloss.loss.loss import SketchLoss
from sketchloss.loss.tap_distance import VERSIONS
from sketchloss.networks.weights import weights_digest


@dataclass(frozen=True)
class Comparison:
    """What was found."""

    single: bool
    """Whether two pictures were compared, and not folders or a list of pairs."""
    tally: Tally
    """What was measured: one distance at least."""
    only_a: list[str]
    """Names of pictures only in the first folder."""
    only_b: list[str]
    unread: list[str]
    """Lines about other kinds of files, closed subfolders, and later pages."""
    maps: list[Path]
    """Pictures of differences that were written."""

    def summary(self) -> "Summary":
        """Summarise the distances of the loss."""
        return summarise(self.tally.totals)

    def other_summaries(self) -> dict[str, "Summary"]:
        """Summarise each other distance; by its name."""
        return {name: summarise(values) for name, values in self.tally.others.items()}


@dataclass(frozen=True)
class Summary:
    """Several distances in a few numbers."""

    mean: float
    deviation: float | None
    """Standard deviation; None of a single distance."""
    quantiles: dict[str, float]
    """`p5`, `median`, `p95` and `worst`, the greatest."""


def summarise(values: Sequence[float]) -> Summary:
    """Summarise distances.

    Args:
        values: one at least.

    Returns:
        Their mean, deviation and quantiles, which are interpolated between neighbours, as NumPy does by default.
    """
    deviation = statistics.stdev(values) if len(values) > 1 else None
    p5, median, p95, worst = np.quantile(values, [0.05, 0.5, 0.95, 1]).tolist()
    return Summary(statistics.fmean(values), deviation, {"p5": p5, "median": median, "p95": p95, "worst": worst})


def origin(config: Compare, loss: SketchLoss) -> dict[str, Any]:
    """Return what an old value can be made again from."""
    return {
        "weights_digest": weights_digest(loss.backbone),
        "metric_version": VERSIONS[config.metric],
        "sketchloss": version("sketchloss"),
    }
