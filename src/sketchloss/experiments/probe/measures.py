"""Measures of a distance in the trials: how it grows with edits, what it ignores and chooses, and one score."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from sketchloss.data.quickdraw.drawings import StrokeDrawing
from sketchloss.data.quickdraw.edits import EDITS
from sketchloss.data.quickdraw.ignorable import CHANGES
from sketchloss.experiments.probe.distances import measure
from sketchloss.experiments.probe.trials import RIVALS, Trials, make_trials
from sketchloss.metrics.plain_distance import Distance, PlainDistance

RESAMPLES = 2000
#: Distances that differ by less, as a share of the greatest, differ only by the rounding of arithmetic.
NOISE = 1e-6
_Z = 1.959963984540054  # of the 95 % interval


@dataclass(frozen=True)
class Share:
    """A share of trials, with its 95 % interval (Wilson 1927)."""

    value: float
    low: float
    high: float
    trials: int


@dataclass(frozen=True)
class Measures:
    """Results of a distance in the trials."""

    growth: dict[str, float | None]
    """Spearman's correlation of the distance with the share changed, for each edit: over the levels of a drawing; mean
    over drawings, in [-1, 1]. A distance that is the same at all levels counts 0. None: no two amounts."""
    ignoring: dict[str, float]
    """Share of drawings for which a change counts for less than removing a fifth of the strokes, for each change that
    people ignore; in [0, 1], equal counts half."""
    ratio: dict[str, float | None]
    """Distance of each change that people ignore, divided by the distance to another drawing of the same class; the
    median over drawings, lower is better. None if the latter is 0 for most."""
    choice: dict[str, Share | None]
    """Share of right answers against each rival: the drawing itself, redrawn, is nearer than the rival where raw pixels
    say the opposite; equal counts half. None if there was no such trial."""
    score: float
    """Score of the distance, the mean of three: the mean of `growth`, the mean of `ignoring`, and the mean accuracy of
    `choice`."""
    low: float
    """Lower end of the score's 95 % interval, as `high` is the upper end: bootstrap over drawings."""
    high: float
    drawings: int

    @property
    def grows(self) -> float | None:
        """Mean of `growth` over the edits."""
        return _mean(self.growth.values())

    @property
    def ignores(self) -> float | None:
        """Mean of `ignoring` over the changes."""
        return _mean(self.ignoring.values())


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def probe_distance(
    distance: Distance,
    drawings: Sequence[StrokeDrawing] | Trials,
    *,
    image_size: int = 64,
    seed: int = 0,
    name: str = "",
    device: str = "cpu",
) -> Measures:
    """Ask any distance between drawings what is known about them.

        drawings = open_drawings("doodles", per_class=8, classes=10)
        probe_distance(lambda pred, target: (pred - target).abs().mean((1, 2, 3)), drawings).score

    Args:
        distance: a function from two batches of images to their n distances, greater where they differ more. The images
            are float32, n×3×h×w in [0, 1], dark ink on white; it must return (n,) finite numbers. Called without
            gradients.
        drawings: drawings of `open_drawings`, or trials made of them by `make_trials`, to ask several distances the
            same.
        image_size: side of the pictures in pixels, of drawings.
        seed: random seed of the trials made of drawings.
        name: its name in an error; by default its own name.
        device: where the distance gets its images.

    Returns:
        The measures.

    Raises:
        ValueError: if the distance raises anything or returns something else than (n,) finite numbers, or as
            `make_trials`.
    """
    trials = drawings if isinstance(drawings, Trials) else make_trials(drawings, image_size, seed=seed)
    name = name or getattr(distance, "__name__", type(distance).__name__)
    (values,) = measure(PlainDistance(name, distance), trials, device=device).values()
    return summarise(answers(values, trials))


# Answers -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Answers:
    """Answers of a distance for each of n drawings; NaN where a question was not asked."""

    growth: Float[np.ndarray, "n edits"]
    """Spearman's correlation for each drawing and edit."""
    ignoring: Float[np.ndarray, "n changes"]
    """Answers about changes that people ignore: 1 where the change counts for less than a fifth of the strokes, 0 where
    for more, 0.5 where they are equal."""
    ratio: Float[np.ndarray, "n changes"]
    choice: Float[np.ndarray, "n rivals"]
    """Answers about rivals: 1 right, 0 wrong, 0.5 equal."""


def answers(distances: Float[np.ndarray, "n columns"], trials: Trials) -> Answers:
    """Judge the distances to the variants of each drawing."""
    ignorable, fifth = trials.ignorable(distances), trials.fifth(distances)[:, None]
    another = np.broadcast_to(trials.another(distances)[:, None], ignorable.shape)
    redrawn, rivals = np.split(trials.choice(distances), [1], axis=1)
    return Answers(
        spearman(trials.amounts, trials.growth(distances)),
        less(ignorable, fifth),
        np.divide(ignorable, another, out=np.full_like(ignorable, np.nan), where=another > 0),
        np.where(trials.valid, less(redrawn, rivals), np.nan),
    )


def less(ones: Float[np.ndarray, "..."], others: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    """Return 1 where the one is less than the other, 0 where it is greater, 0.5 where they are equal."""
    return (ones < others) + 0.5 * (ones == others)


def spearman(
    amounts: Float[np.ndarray, "*rows levels"], distances: Float[np.ndarray, "*rows levels"]
) -> Float[np.ndarray, "*rows"]:
    """Return Spearman's rank correlation along the last axis, ties at their mean rank.

    Args:
        amounts: how much was changed. Where they are all equal, the correlation is NaN.
        distances: what was measured; differences below `NOISE` of the greatest are none. Where all are equal, it is 0.
    """
    from scipy.stats import rankdata  # a second to import, for those who ask

    greatest = np.abs(distances).max(axis=-1, keepdims=True)
    steps = np.round(distances / np.where(greatest > 0, NOISE * greatest, 1))
    ranks = [rankdata(values, axis=-1) for values in (amounts, steps)]
    one, other = (rank - rank.mean(-1, keepdims=True) for rank in ranks)
    spread = np.sqrt((one**2).sum(-1) * (other**2).sum(-1))
    known = (one**2).sum(-1) > 0
    correlation = (one * other).sum(-1) / np.where(spread > 0, spread, 1)
    return np.where(known, correlation, np.nan)


# Summary -------------------------------------------------------------------------------------------------------------


def summarise(found: Answers, *, resamples: int = RESAMPLES, seed: int = 0) -> Measures:
    """Return the means over drawings, with intervals.

    Args:
        found: the answers for each drawing.
        resamples: number of resamples of the bootstrap over drawings.
        seed: as for `probe_distance`.
    """
    count = len(found.growth)
    scores = score_of(found, resampled(count, resamples, seed))
    low, high = np.quantile(scores, (0.025, 0.975)).tolist()
    return Measures(
        growth=dict(zip(EDITS, _columns(found.growth), strict=True)),
        ignoring={name: float(value) for name, value in zip(CHANGES, found.ignoring.mean(0), strict=True)},
        ratio=dict(zip(CHANGES, medians(found.ratio), strict=True)),
        choice=dict(zip(RIVALS, [share_of(column) for column in found.choice.T], strict=True)),
        score=score(found),
        low=low,
        high=high,
        drawings=count,
    )


def score(found: Answers) -> float:
    """Return the one number that taps are chosen by; see `Measures.score`."""
    return float(score_of(found, np.ones((1, len(found.growth)), dtype=np.int64))[0])


def score_of(found: Answers, counts: Int[np.ndarray, "r n"]) -> Float[np.ndarray, " r"]:
    """Return the score where each drawing counts so many times, for each of r resamples."""
    parts = [_row_means(_weighted(part, counts)) for part in (found.growth, found.ignoring, found.choice)]
    return _row_means(np.stack(parts, axis=1))


def resampled(count: int, resamples: int, seed: int) -> Int[np.ndarray, "r n"]:
    """Return how often each of n things is drawn in each bootstrap resample; the same for the same seed."""
    return np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), size=resamples)


def wilson(share: float, trials: int) -> tuple[float, float]:
    """Return the ends of the 95 % interval of a share of independent trials (Wilson 1927), within [0, 1]."""
    # note: not scipy's `binomtest`, which takes only whole numbers of successes: a tie counts half
    spread = _Z**2 / trials
    middle = (share + spread / 2) / (1 + spread)
    half = _Z / (1 + spread) * float(np.sqrt(share * (1 - share) / trials + spread / (4 * trials)))
    return max(0.0, middle - half), min(1.0, middle + half)


def _weighted(values: Float[np.ndarray, "n k"], counts: Int[np.ndarray, "r n"]) -> Float[np.ndarray, "r k"]:
    """Return the means of the columns without their NaN; NaN where nothing is left."""
    known = np.isfinite(values)
    total, weight = counts @ np.where(known, values, 0), counts @ known
    return np.where(weight > 0, total / np.maximum(weight, 1), np.nan)


def _row_means(values: Float[np.ndarray, "r k"]) -> Float[np.ndarray, " r"]:
    known = np.isfinite(values)
    means = np.where(known, values, 0).sum(1) / np.maximum(known.sum(1), 1)
    return np.where(known.any(1), means, np.nan)


def _columns(values: Float[np.ndarray, "n k"]) -> list[float | None]:
    means = _weighted(values, np.ones((1, len(values)), dtype=np.int64))[0]
    return [float(mean) if np.isfinite(mean) else None for mean in means]


def medians(values: Float[np.ndarray, "n k"]) -> list[float | None]:
    """Return the medians of the columns, an unknown ratio being beyond all others; None where that is the median."""
    middle = np.median(np.where(np.isfinite(values), values, np.inf), axis=0)
    return [float(value) if np.isfinite(value) else None for value in middle]


def share_of(column: Float[np.ndarray, " n"]) -> Share | None:
    """Return the mean of values in [0, 1] as a share, NaN left out; None where nothing is left."""
    asked = column[np.isfinite(column)]
    if not len(asked):
        return None
    value = float(asked.mean())
    return Share(value, *wilson(value, len(asked)), len(asked))


def in_plain(measures: Measures) -> dict[str, object]:
    """Return measures as values for JSON, the means of their parts beside them."""
    return {
        "score": measures.score,
        "low": measures.low,
        "high": measures.high,
        "drawings": measures.drawings,
        "growth": {"mean": measures.grows, **measures.growth},
        "ignoring": {"mean": measures.ignores, **measures.ignoring},
        "ratio": {"mean": _mean(measures.ratio.values()), **measures.ratio},
        "choice": {rival: share and vars(share) for rival, share in measures.choice.items()},
    }


def difference(one: Answers, other: Answers, *, resamples: int = RESAMPLES, seed: int = 0) -> dict[str, float]:
    """Return by how much one distance's score exceeds another's on the same drawings, with its 95 % interval."""
    counts = resampled(len(one.growth), resamples, seed)
    low, high = np.quantile(score_of(one, counts) - score_of(other, counts), (0.025, 0.975)).tolist()
    return {"difference": score(one) - score(other), "low": low, "high": high}
