"""Trials of a distance: edits of known size, changes that people ignore, and choices that raw pixels get wrong."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from sketchloss.data.quickdraw.drawings import StrokeDrawing
from sketchloss.data.quickdraw.edits import EDITS, by_other_hand, edited, removed
from sketchloss.data.quickdraw.ignorable import CHANGES, THICKER, THINNER, changed, shifted

LEVELS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6)
#: An ignorable change should count for less than removing this share of the strokes.
FIFTH = 0.2
#: What a redrawn drawing competes with.
RIVALS = ("same class", "other class")
#: How many drawings, drawn at random, the rival of each kind is chosen from: the one that is nearest in raw pixels.
CANDIDATES = 11
#: The hand that redraws for a choice, in units of the doodles' hand.
CHOICE_HAND = 1.5
#: So many redrawn versions are tried until pixels prefer both rivals.
ATTEMPTS = 4
#: By so much of its own distance a rival must be nearer in pixels: a matter of rounding is no opinion.
MARGIN = 0.01
SMALLEST = 16


@dataclass(frozen=True, eq=False)
class Trials:
    """Pictures of n drawings and of their variants, and what is known of them.

    The variants (`columns`) of a drawing are, in this order: each edit at each level; a fifth removed; each ignorable
    change; a drawing of the same class taken at random; the drawing redrawn, shifted and with another line width; its
    two rivals.
    """

    drawings: tuple[StrokeDrawing, ...]
    levels: tuple[float, ...]
    references: UInt8[Tensor, "n s s"]
    """The drawings: grey, 0 the ink and 255 the paper."""
    variants: UInt8[Tensor, "n columns s s"]
    amounts: Float[np.ndarray, "n edits levels"]
    """Share that each edit actually changed."""
    valid: Bool[np.ndarray, "n 2"]
    """Whether the rival is nearer in raw pixels (mean absolute difference) than the redrawn drawing is, by `MARGIN`."""

    @property
    def image_size(self) -> int:
        """Side of the pictures in pixels."""
        return self.references.shape[-1]

    @property
    def classes(self) -> int:
        """Number of classes that the drawings are of."""
        return len({drawing.label for drawing in self.drawings})

    def growth(self, distances: Float[np.ndarray, "n columns"]) -> Float[np.ndarray, "n edits levels"]:
        """The distances to the edited drawings, from the distances to all variants."""
        return distances[:, : self._edited].reshape(len(distances), len(EDITS), len(self.levels))

    def fifth(self, distances: Float[np.ndarray, "n columns"]) -> Float[np.ndarray, " n"]:
        """The distances to the drawing with a fifth of its strokes removed, from all distances."""
        return distances[:, self._edited]

    def ignorable(self, distances: Float[np.ndarray, "n columns"]) -> Float[np.ndarray, "n changes"]:
        """The distances to the drawings with a change that people ignore, from all distances."""
        return distances[:, self._edited + 1 : self._edited + 1 + len(CHANGES)]

    def another(self, distances: Float[np.ndarray, "n columns"]) -> Float[np.ndarray, " n"]:
        """The distances to another drawing of the same class, from all distances."""
        return distances[:, -4]

    def choice(self, distances: Float[np.ndarray, "n columns"]) -> Float[np.ndarray, "n 3"]:
        """The distances to the redrawn drawing and to its rivals of the same and another class, from all distances."""
        return distances[:, -3:]

    @property
    def _edited(self) -> int:
        return len(EDITS) * len(self.levels)


def make_trials(
    drawings: Sequence[StrokeDrawing],
    image_size: int = 64,
    *,
    count: int | None = None,
    levels: Sequence[float] = LEVELS,
    seed: int = 0,
) -> Trials:
    """Draw the trials of a set of drawings.

    Args:
        drawings: drawings of two classes at least, two of a class at least; rivals and added strokes come from among
            them.
        image_size: side of the pictures in pixels, 16 at least.
        count: number of the drawings to ask about, an equal share of each class; None: all. A drawing without a
            second one of its class is not asked about.
        levels: shares of the strokes that edits change, in (0, 1], two at least, ascending.
        seed: random seed of every choice.

    Raises:
        ValueError: for settings outside these ranges, or drawings that are too few.
    """
    levels = check_levels(levels)
    if image_size < SMALLEST:
        raise ValueError(f"image_size is {image_size}: trials need {SMALLEST} pixels at least")
    if count is not None and count < 1:
        raise ValueError(f"count is {count}: ask about one drawing at least")
    labels = np.array([drawing.label for drawing in drawings])
    asked = choose(labels, count)
    if not len(asked) or len(set(labels)) < 2:
        raise ValueError(
            f"{len(drawings)} drawings of {len(set(labels))} classes: trials need two classes, and two drawings of one"
        )
    pictures = np.stack([np.asarray(drawing.picture(image_size)) for drawing in drawings])
    found = [_ask(int(index), drawings, labels, pictures, image_size, levels, seed) for index in asked]
    return Trials(
        tuple(drawings[index] for index in asked),
        levels,
        torch.from_numpy(pictures[asked]),
        torch.from_numpy(np.stack([one.variants for one in found])),
        np.stack([one.amounts for one in found]),
        np.stack([one.valid for one in found]),
    )


def check_levels(levels: Sequence[float]) -> tuple[float, ...]:
    """Return the levels; ValueError unless they ascend within (0, 1], two at least."""
    levels = tuple(float(level) for level in levels)
    if len(levels) < 2 or levels[0] <= 0 or levels[-1] > 1 or list(levels) != sorted(set(levels)):
        raise ValueError(f"levels are {levels}: give two shares or more, ascending, above 0 and 1 at most")
    return levels


def choose(labels: np.ndarray, count: int | None) -> np.ndarray:
    """Return which drawings to ask about: the first of each class, then the second ones, and so on."""
    turns = np.zeros(len(labels), dtype=np.int64)
    alone = np.zeros(len(labels), dtype=bool)
    for label in set(labels.tolist()):
        mine = np.flatnonzero(labels == label)
        turns[mine] = np.arange(len(mine))
        alone[mine] = len(mine) < 2
    order = np.argsort(turns, kind="stable")
    return order[~alone[order]][:count]


@dataclass(frozen=True, eq=False)
class _Asked:
    variants: UInt8[np.ndarray, "columns s s"]
    amounts: Float[np.ndarray, "edits levels"]
    valid: Bool[np.ndarray, "2"]


def _ask(
    index: int,
    drawings: Sequence[StrokeDrawing],
    labels: np.ndarray,
    pictures: UInt8[np.ndarray, "m s s"],
    size: int,
    levels: tuple[float, ...],
    seed: int,
) -> _Asked:
    drawing = drawings[index]
    edits = [[edited(drawing, name, level, seed=seed, others=drawings) for level in levels] for name in EDITS]
    rng = drawing.generator("others", seed)
    rest = np.arange(len(labels)) != index
    same, across = (
        rng.permutation(np.flatnonzero((labels == labels[index]) == alike & rest))[:CANDIDATES]
        for alike in (True, False)
    )
    nearest = [int(pool[_gap(pictures[index], pictures[pool]).argmin()]) for pool in (same, across)]
    redrawn, valid = _redraw(drawing, pictures[index], pictures[nearest], size, seed)
    variants = [
        *(one.drawing.picture(size) for of_edit in edits for one in of_edit),
        removed(drawing, FIFTH, seed=seed).drawing.picture(size),
        *(changed(drawing, name, size, seed=seed) for name in CHANGES),
        pictures[same[0]],
        redrawn,
        *pictures[nearest],
    ]
    return _Asked(
        np.stack([np.asarray(picture) for picture in variants]),
        np.array([[one.amount for one in of_edit] for of_edit in edits]),
        valid,
    )


def _redraw(
    drawing: StrokeDrawing,
    reference: UInt8[np.ndarray, "s s"],
    rivals: UInt8[np.ndarray, "2 s s"],
    size: int,
    seed: int,
) -> tuple[UInt8[np.ndarray, "s s"], Bool[np.ndarray, "2"]]:
    """Draw again by another hand, shifted, thicker or thinner, so that pixels prefer both rivals if it can be.

    Returns:
        The picture, and whether pixels prefer each rival to it.
    """
    gaps = _gap(reference, rivals)
    best: tuple[UInt8[np.ndarray, "s s"], Bool[np.ndarray, "2"]] | None = None
    for attempt in range(ATTEMPTS):
        own = seed * ATTEMPTS + attempt
        wide = drawing.generator("pen", own).random() < 0.5
        other = shifted(by_other_hand(drawing, CHOICE_HAND, seed=own + 1_000_000), own, "shift to choose")
        other = replace(other, line_width=(THICKER if wide else THINNER) * drawing.pen(size) / size)
        picture = np.asarray(other.picture(size))
        valid = gaps < (1 - MARGIN) * _gap(reference, picture[None])
        if best is None or valid.sum() > best[1].sum():
            best = picture, valid
        if valid.all():
            break
    assert best is not None
    return best


def _gap(picture: UInt8[np.ndarray, "s s"], others: UInt8[np.ndarray, "k s s"]) -> Float[np.ndarray, " k"]:
    """Mean absolute difference of pixels."""
    return np.abs(others.astype(np.int16) - picture).mean((1, 2))
