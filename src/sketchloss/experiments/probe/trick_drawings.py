"""Tricks: changed drawings whose distance has a known right answer, such as a blank page that must count as far.

A distance is fooled by a trick where its answer is not the right one. Every trick is compared with references: the same
drawing redrawn, another of its kind, one of another kind.
"""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, UInt8
from PIL import Image
from torch import Tensor

from sketchloss.data.picture_edits import Ink, erased, longest_piece, speck, to_ink, to_paper, warped, widened
from sketchloss.data.quickdraw.drawings import StrokeDrawing
from sketchloss.data.quickdraw.edits import HAND, added, by_other_hand, removed
from sketchloss.data.sources import Sketches
from sketchloss.experiments.probe.trials import CANDIDATES, SMALLEST, choose
from sketchloss.metrics.stroke_width import stroke_width
from sketchloss.system.images import fit_square

Reference = Literal["redrawn", "another person", "same kind", "other kind"]
#: What a trick is compared with -> in words.
REFERENCES: dict[Reference, str] = {
    "redrawn": "the same drawing by another hand: lines astray by 2 % of the side or so, 0.8 to 1.25 times as wide",
    "another person": "another person's drawing of the same photo, where the pictures tell (Sketchy)",
    "same kind": "another drawing of its class, at random",
    "other kind": "a drawing of another class, at random",
}


@dataclass(frozen=True)
class Trick:
    """A changed drawing and the right answer."""

    words: str
    """The change, in words."""
    why: str
    """Reason why the answer is right."""
    farther_than: Reference | None = None
    """Reference that the trick should be farther than: a distance is fooled where the trick is nearer."""
    nearer_than: Reference | None = None
    """Reference that the trick should be nearer than: a distance is fooled where the trick is farther."""

    @property
    def answer(self) -> str:
        """The right answer in words."""
        parts = [f"farther than {self.farther_than}"] if self.farther_than else []
        parts += [f"nearer than {self.nearer_than}"] if self.nearer_than else []
        return " and ".join(parts)


_NOTHING_LEFT = "nothing of the drawing is left, so that any drawing is at least as near"
_STILL_THERE = "the drawing is still there, line by line"
_SHIFTS = (1, 2, 3)
QUARTER = "quarter shift"
#: Tricks of one picture against the drawing; `GREY_PAPER` changes both, and stands beside them.
TRICKS: dict[str, Trick] = {
    "blank page": Trick("an empty white page", _NOTHING_LEFT, farther_than="other kind"),
    "one speck": Trick("all gone but a dot as wide as the line", _NOTHING_LEFT, farther_than="other kind"),
    "one stroke": Trick(
        "all gone but one piece of a stroke",
        "nobody can tell what was drawn",
        farther_than="same kind",
    ),
    "half gone": Trick(
        "half of the ink gone, in pieces of strokes", "drawing again leaves nothing out", farther_than="redrawn"
    ),
    "twice the ink": Trick(
        "strokes of other drawings over it, as much ink again", "drawing again adds nothing", farther_than="redrawn"
    ),
    "thicker": Trick("lines twice as wide", _STILL_THERE, nearer_than="same kind"),
    "half-tone": Trick("grey lines, twice as wide, of the same mean ink", _STILL_THERE, nearer_than="same kind"),
    **{
        f"shift {pixels} px": Trick(f"moved by {pixels} px", _STILL_THERE, nearer_than="same kind")
        for pixels in _SHIFTS
    },
    QUARTER: Trick(
        "moved by a quarter of the page; what leaves it is lost",
        "it is the same drawing in another place, and the place counts",
        farther_than="redrawn",
        nearer_than="other kind",
    ),
}
GREY_PAPER = "grey paper"
#: Both pictures are multiplied by this.
GREY = 0.75
#: What it is, the right answer, and why.
GREY_WORDS = (
    f"all pictures on the same grey paper, {GREY:g} times as light",
    "redrawn, same kind, other kind stay in this order, from near to far, where they are in it on white",
    "what paper one draws on changes nothing of the drawing",
)
#: How far pixels move where another hand redraws them, in sides of the picture: as `HAND` does with strokes.
WARP = 0.02
#: Range of the factor of the line width of what is redrawn.
PEN = (0.8, 1.25)
WIDER = 2.0
#: Pixels are edited at this size and then made smaller or larger, so that all sizes show the same edits.
EDITED_AT = 256
#: A picture whose darkest pixel is paler than this has no ink.
PALEST = 0.1


@dataclass(frozen=True, eq=False)
class Tricked:
    """Pictures of n drawings, of their references and of what the tricks make of them: grey, 0 ink and 255 paper."""

    labels: tuple[str, ...]
    drawings: UInt8[Tensor, "n s s"]
    references: UInt8[Tensor, "n references s s"]
    """Pictures of the references, in the order of `REFERENCES`; blank where there is none."""
    known: Bool[np.ndarray, "n references"]
    """Whether each reference exists: another person's drawing is known only for some pictures."""
    tricks: UInt8[Tensor, "n tricks s s"]
    """Pictures of the tricks, in the order of `TRICKS`."""

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def image_size(self) -> int:
        """Side of the pictures in pixels."""
        return self.drawings.shape[-1]


def make_tricks(
    drawings: Sequence[StrokeDrawing] | Sketches, image_size: int = 96, *, count: int | None = None, seed: int = 0
) -> Tricked:
    """Play the tricks on drawings.

    Args:
        drawings: as strokes (`open_drawings`) or as pictures (`open_sketches`), of two classes at least, two of one
            class at least. References and added strokes come from among them.
        image_size: side of the pictures in pixels, 16 at least.
        count: number of drawings to play on, an equal share of each class; None: all that have another of their class.
        seed: random seed of every choice.

    Raises:
        ValueError: for settings outside these ranges, drawings that are too few, or one without ink.
    """
    if image_size < SMALLEST:
        raise ValueError(f"image_size is {image_size}: tricks need {SMALLEST} pixels at least")
    if count is not None and count < 1:
        raise ValueError(f"count is {count}: play on one drawing at least")
    if isinstance(drawings, Sketches):
        drawings = drawings.with_size(EDITED_AT)
        labels, groups = np.array(drawings.classes)[drawings.labels], np.array(drawings.groups)
    else:
        labels = np.array([drawing.label for drawing in drawings])
        groups = np.arange(len(labels))
    shuffled = np.random.default_rng(seed).permutation(len(labels))  # not only the first classes of the alphabet
    asked = shuffled[choose(labels[shuffled], None)]
    asked = [int(index) for index in asked if (groups[labels == labels[index]] != groups[index]).any()][:count]
    if not asked or len(set(labels)) < 2:
        raise ValueError(
            f"{len(labels)} drawings of {len(set(labels))} classes: tricks need two classes, and two drawings of one "
            "class (not of one photo)"
        )
    made = []
    for index in asked:
        if isinstance(drawings, Sketches):
            rng = _generator(drawings, index, "references", seed)
            pools = _pools(index, labels, groups, rng)
            pictures = _play_on_pixels(drawings, index, pools, image_size, seed)
        else:
            pools = _pools(index, labels, groups, drawings[index].generator("references", seed))
            pictures = _play_on_strokes(drawings, index, pools, image_size, seed)
        played = {name: np.asarray(picture) for name, picture in pictures.items()}
        made.append(played | _play_on_all(played))
    blank = np.full((image_size, image_size), 255, np.uint8)
    return Tricked(
        tuple(labels[asked].tolist()),
        torch.from_numpy(np.stack([played["drawing"] for played in made])),
        torch.from_numpy(np.stack([[played.get(name, blank) for name in REFERENCES] for played in made])),
        np.array([[name in played for name in REFERENCES] for played in made]),
        torch.from_numpy(np.stack([[played[name] for name in TRICKS] for played in made])),
    )


#: Of a drawing, its own picture, its references and what tricks make of it, by name.
Pictures = dict[str, Image.Image]


def _pools(index: int, labels: np.ndarray, groups: np.ndarray, rng: np.random.Generator) -> dict[str, list[int]]:
    """Return drawings that a reference may be, in random order."""
    same, related = labels == labels[index], groups == groups[index]
    pools = {"another person": related, "same kind": same & ~related, "other kind": ~same & ~related}
    rest = np.arange(len(labels)) != index
    return {name: rng.permutation(np.flatnonzero(pool & rest))[:CANDIDATES].tolist() for name, pool in pools.items()}


def _play_on_strokes(
    drawings: Sequence[StrokeDrawing], index: int, pools: dict[str, list[int]], size: int, seed: int
) -> Pictures:
    drawing = drawings[index]
    if not drawing.strokes:
        raise ValueError(f"drawing {drawing.number} (class {drawing.label}) has no strokes: leave it out")
    width = drawing.pen(size) / size
    rng = drawing.generator("tricks", seed)
    longest = drawing.pieces[int(drawing.lengths.argmax())]
    points = np.concatenate(drawing.strokes)
    redrawn = by_other_hand(drawing, HAND, seed=seed + 1_000_000)
    played = {
        "drawing": drawing,
        "redrawn": replace(redrawn, line_width=width * rng.uniform(*PEN)),
        **{name: drawings[pools[name][0]] for name in ("same kind", "other kind")},
        "one speck": drawing.with_strokes([points[None, rng.integers(len(points))]]),
        "one stroke": drawing.with_strokes([drawing.part(longest)]),
        "half gone": removed(drawing, 0.5, seed=seed).drawing,
        "twice the ink": added(drawing, 1.0, [drawings[other] for other in pools["other kind"]], seed=seed).drawing,
        "thicker": replace(drawing, line_width=WIDER * width),
    }
    return {name: one.picture(size) for name, one in played.items()}


def _play_on_pixels(sketches: Sketches, index: int, pools: dict[str, list[int]], size: int, seed: int) -> Pictures:
    ink = _ink_of(sketches, index)
    width = stroke_width(to_paper(ink))
    rng = _generator(sketches, index, "tricks", seed)
    references = {name: _ink_of(sketches, pool[0]) for name, pool in pools.items() if pool}
    others = [_ink_of(sketches, other) for other in pools["other kind"]]
    alike = min(others, key=lambda other: abs(other.sum() - ink.sum()))
    played = {
        "drawing": ink,
        "redrawn": widened(warped(ink, WARP, rng), width * (rng.uniform(*PEN) - 1)),
        **references,
        "one speck": speck(ink, width, rng),
        "one stroke": longest_piece(ink),
        "half gone": erased(ink, 0.5, rng),
        "twice the ink": np.maximum(ink, alike),
        "thicker": widened(ink, width * (WIDER - 1)),
    }
    return {name: fit_square(to_paper(one), size) for name, one in played.items()}


def _play_on_all(played: dict[str, UInt8[np.ndarray, "s s"]]) -> dict[str, UInt8[np.ndarray, "s s"]]:
    """Return the tricks that need only pixels of the final size."""
    ink, thick = 255.0 - played["drawing"], 255.0 - played["thicker"]
    size = len(ink)
    tone = 255 - thick * (ink.sum() / thick.sum())
    shifts = {f"shift {pixels} px": pixels for pixels in _SHIFTS} | {QUARTER: round(size / 4)}
    return {
        "blank page": np.full_like(played["drawing"], 255),
        "half-tone": tone.round().clip(0, 255).astype(np.uint8),
        **{name: _shifted(played["drawing"], pixels) for name, pixels in shifts.items()},
    }


def _shifted(picture: UInt8[np.ndarray, "s s"], pixels: int) -> UInt8[np.ndarray, "s s"]:
    """Move a picture towards its widest margin; white comes in, and what leaves is lost."""
    margins = []
    for turns in range(4):  # each margin in turn is above
        inked = np.flatnonzero((np.rot90(picture, turns) < 255 * (1 - PALEST)).any(1))
        margins.append(inked[0] if len(inked) else 0)
    turns = int(np.argmax(margins))
    moved = np.full_like(picture, 255)
    moved[:-pixels] = np.rot90(picture, turns)[pixels:]
    return np.rot90(moved, -turns)


def _ink_of(sketches: Sketches, index: int) -> Ink:
    ink = to_ink(sketches.picture(index))
    if ink.max() < PALEST:
        raise ValueError(
            f"{sketches.name}: drawing {index} (class {sketches.classes[sketches.labels[index]]}) has no ink, dark on "
            "light: leave it out"
        )
    return ink


def _generator(sketches: Sketches, index: int, purpose: str, seed: int) -> np.random.Generator:
    """Return random numbers that are this picture's own."""
    return np.random.default_rng([int(sketches.order[index]), zlib.crc32(purpose.encode()), seed])
