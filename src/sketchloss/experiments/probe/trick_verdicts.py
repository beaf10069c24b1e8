"""Which tricks fool a distance: how often a blank page, for example, counts as nearer than another drawing.

choose, report = open_halves("doodles", seed=0)
fooled(SketchLoss(reduction="none"), choose, image_size=96, count=40).shares["blank page"].value
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from tqdm import tqdm

from sketchloss.data.quickdraw.drawings import StrokeDrawing, open_drawings, split_in_halves
from sketchloss.data.sources import Sketches, open_sketches, recognise
from sketchloss.experiments.probe.distances import as_images, images_at_once
from sketchloss.experiments.probe.measures import Share, less, medians, share_of
from sketchloss.experiments.probe.trick_drawings import (
    EDITED_AT,
    GREY,
    GREY_PAPER,
    REFERENCES,
    TRICKS,
    Tricked,
    make_tricks,
)
from sketchloss.loss.loss import Features, SketchLoss
from sketchloss.metrics.plain_distance import Distance, PlainDistance

#: Drawings opened of each class of strokes; what is not asked about serves as reference, and gives strokes to add.
PER_CLASS = 16
#: Classes opened of strokes.
CLASSES = 40
#: References whose order must stay on grey paper, from near to far.
ORDER = ("redrawn", "same kind", "other kind")


@dataclass(frozen=True)
class Fooled:
    """How often tricks fool a distance, over n drawings; `tricks.TRICKS` and `GREY_WORDS` say what counts as fooled."""

    shares: dict[str, Share | None]
    """Share of drawings at which the distance is fooled, for each trick and for grey paper; equal counts half. None: it
    could be asked of no drawing."""
    ratios: dict[str, float | None]
    """Relative distance of each trick: divided by the distance to the drawing redrawn, median over drawings. For grey
    paper: the distance of the drawing to itself redrawn there, divided by the same on white. None: it is 0 for most."""
    nearer: dict[str, dict[str, Share | None]]
    """Share of drawings for which the trick is nearer, for each trick and each reference; equal counts half."""
    order: dict[str, Share | None]
    """Share of drawings for which a reference is nearer than the next one of `ORDER`, on white paper."""
    drawings: int

    @property
    def mean(self) -> float:
        """Mean of the shares over tricks."""
        return float(np.mean([share.value for share in self.shares.values() if share]))


def open_halves(
    source: str | Path, *, seed: int = 0, faults: list[str] | None = None
) -> tuple[list[StrokeDrawing], list[StrokeDrawing]] | tuple[Sketches, Sketches]:
    """Open drawings in two halves without a drawing in common: those to choose a distance by, and those to report.

    Args:
        source: `doodles` or a folder of QuickDraw `.ndjson`, opened as strokes; anything else that `open_sketches`
            takes, as pictures. Pictures of one photo are in one half.
        seed: random seed of the halves, the classes and the doodles.
        faults: what cannot be read is named here.

    Raises:
        ValueError: as `open_drawings` and `open_sketches`.
    """
    if recognise(source)[0] in ("doodles", "quickdraw"):
        drawings = open_drawings(source, per_class=PER_CLASS, classes=CLASSES, seed=seed, faults=faults)
        return split_in_halves(drawings, seed)
    sketches = open_sketches(source, EDITED_AT, seed=seed)
    if faults is not None:
        faults += [*sketches.unreadable, *sketches.passed_over]
    return sketches.split(0.5, seed=seed)


def fooled(
    distance: Distance,
    drawings: Sequence[StrokeDrawing] | Sketches | Tricked,
    *,
    image_size: int = 96,
    count: int | None = None,
    seed: int = 0,
    name: str = "",
    device: str = "cpu",
) -> Fooled:
    """Ask any distance between drawings which tricks fool it.

    Args:
        distance: a function from two batches of images to their n distances, greater where they differ more. The images
            are float32, n×3×h×w in [0, 1], dark ink on white; it must return (n,) finite numbers. Called without
            gradients. A `SketchLoss(..., reduction="none")` looks at a drawing once and not anew for every trick.
        drawings: strokes or pictures, such as a half of `open_halves`; or what `make_tricks` made of them, to ask
            several distances the same.
        image_size: side of the pictures in pixels, of drawings.
        count: number of drawings to ask about; None: all that have another of their class.
        seed: random seed of the tricks.
        name: name of the distance in an error; by default its own name.
        device: where the distance gets its images.

    Returns:
        Shares of drawings at which it is fooled, with 95 % intervals.

    Raises:
        ValueError: if the distance raises anything or returns something else than (n,) finite numbers, or as
            `make_tricks`.
    """
    tricked = drawings
    if not isinstance(tricked, Tricked):
        tricked = make_tricks(tricked, image_size, count=count, seed=seed)
    name = name or getattr(distance, "__name__", type(distance).__name__)
    return summarise(judge(measure_tricks({name: distance}, tricked, device=device)[name]))


# Measuring -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class TrickDistances:
    """Distances between n drawings and what they are compared with."""

    references: Float[np.ndarray, "n references"]
    """Distances to the references; NaN where there is no such reference."""
    tricks: Float[np.ndarray, "n tricks"]
    grey: Float[np.ndarray, "n order"]
    """Distances to the references of `ORDER`, all on grey paper."""


def measure_tricks(
    distances: Mapping[str, Distance], tricked: Tricked, *, device: str | torch.device = "cpu", progress: bool = False
) -> dict[str, TrickDistances]:
    """Measure the distances between drawings, references and tricks.

    Args:
        distances: by name, as in `fooled`; all are asked about a batch before the next one, as `share_backbone` needs.
        tricked: the pictures.
        device: where the distances get their images.
        progress: show a bar on a terminal.

    Returns:
        What each distance measured, by name.

    Raises:
        ValueError: as `fooled`.
    """
    asked = [
        PlainDistance(name, _OneTarget(distance) if isinstance(distance, SketchLoss) else distance)
        for name, distance in distances.items()
    ]
    order = [list(REFERENCES).index(name) for name in ORDER]
    count = len(REFERENCES) + len(TRICKS)
    found = np.full((len(asked), len(tricked), count + len(ORDER)), np.nan)
    with torch.no_grad():
        for row in tqdm(range(len(tricked)), desc="tricks", leave=False, disable=None if progress else True):
            others = torch.cat([tricked.references[row], tricked.tricks[row]])
            known = np.flatnonzero([*tricked.known[row], *(True for _ in TRICKS)])
            drawing = tricked.drawings[row]
            found[:, row, known] = _distances(asked, drawing, others[known], 1.0, device)
            found[:, row, count:] = _distances(asked, drawing, others[order], GREY, device)
    parts = [np.split(values, [len(REFERENCES), count], axis=1) for values in found]
    return {name: TrickDistances(*values) for name, values in zip(distances, parts, strict=True)}


def _distances(
    asked: Sequence[PlainDistance],
    drawing: UInt8[Tensor, "s s"],
    others: UInt8[Tensor, "k s s"],
    paper: float,
    device: str | torch.device,
) -> Float[np.ndarray, "distances k"]:
    target = {"images": paper * as_images(drawing[None], device)}
    found = []
    for chunk in others.split(images_at_once(drawing.shape[-1], device)):
        images = {"images": paper * as_images(chunk, device)}
        found.append(torch.stack([one.compare(images, target)[one.name].cpu() for one in asked]))
    return torch.cat(found, dim=1).numpy()


class _OneTarget:
    """A loss that is given the same target in every row, and looks at it once for as long as it stays the same."""

    def __init__(self, loss: SketchLoss) -> None:
        self._loss = loss
        self._target: Tensor | None = None
        self._features: Features = {}

    def __call__(self, pred: Tensor, target: Tensor) -> Tensor:
        if self._target is None or not torch.equal(target[:1], self._target):
            self._target, self._features = target[:1], self._loss.extract(target[:1])
        return self._loss(pred, self._features)


# Verdicts ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Verdicts:
    """Verdicts on the distances of each of n drawings: 1, 0, or 0.5 where two are equal; NaN where not asked."""

    fooled: Float[np.ndarray, "n tricks_and_grey"]
    ratio: Float[np.ndarray, "n tricks_and_grey"]
    nearer: Float[np.ndarray, "n tricks references"]
    order: Float[np.ndarray, "n pairs"]

    def __add__(self, other: "Verdicts") -> "Verdicts":
        """Join the drawings of two sources."""
        names = ("fooled", "ratio", "nearer", "order")
        return Verdicts(*(np.concatenate([getattr(self, name), getattr(other, name)]) for name in names))


def judge(distances: TrickDistances) -> Verdicts:
    """Compare each distance with the right answers."""
    references = dict(zip(REFERENCES, distances.references.T, strict=True))
    answers = []
    for trick, found in zip(TRICKS.values(), distances.tricks.T, strict=True):
        wrong = [less(found, references[trick.farther_than])] if trick.farther_than else []
        wrong += [less(references[trick.nearer_than], found)] if trick.nearer_than else []
        answers.append(np.max(wrong, axis=0))
    white, grey = np.stack([references[name] for name in ORDER], axis=1), distances.grey
    right, wrong = less(white[:, :-1], white[:, 1:]), less(grey[:, 1:], grey[:, :-1])
    answers.append(np.where((right > 0).all(1), wrong.max(1), np.nan))
    known = np.isfinite(distances.references)[:, None, :]
    nearer = less(distances.tricks[:, :, None], distances.references[:, None, :])
    compared = np.concatenate([distances.tricks, grey[:, :1]], axis=1)
    redrawn = np.broadcast_to(references["redrawn"][:, None], compared.shape)
    ratio = np.divide(compared, redrawn, out=np.full_like(compared, np.nan), where=redrawn > 0)
    return Verdicts(np.stack(answers, axis=1), ratio, np.where(known, nearer, np.nan), right)


def summarise(verdicts: Verdicts) -> Fooled:
    """Return shares and medians over drawings."""
    names = (*TRICKS, GREY_PAPER)
    nearer = dict(zip(TRICKS, verdicts.nearer.transpose(1, 2, 0), strict=True))
    pairs = [f"{one} before {other}" for one, other in pairwise(ORDER)]
    return Fooled(
        shares=dict(zip(names, map(share_of, verdicts.fooled.T), strict=True)),
        ratios=dict(zip(names, medians(verdicts.ratio), strict=True)),
        nearer={name: dict(zip(REFERENCES, map(share_of, rows), strict=True)) for name, rows in nearer.items()},
        order=dict(zip(pairs, map(share_of, verdicts.order.T), strict=True)),
        drawings=len(verdicts.fooled),
    )
