"""Drawings that are kept as strokes, doodles and QuickDraw, so that the size of an edit is known.

drawings = open_drawings("doodles", per_class=8, classes=10, seed=0)
drawings[0].picture(64)
"""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import cached_property
from itertools import pairwise
from pathlib import Path

import numpy as np
from jaxtyping import Float
from PIL import Image

from sketchloss.data.doodles.kinds import KINDS, THINNEST, doodle
from sketchloss.data.doodles.shapes import Points
from sketchloss.data.labelled import MOST_SEEDS
from sketchloss.data.quickdraw.ndjson import find_ndjson, read_ndjson, to_unit_square
from sketchloss.data.quickdraw.painting import draw_strokes
from sketchloss.data.sources import list_some, recognise
from sketchloss.system.picture_files import find_pictures

#: Points of a stroke lie at most so far apart, in sides of the picture: a hand's wobble needs points to act on.
SPACING = 0.015
#: Strokes are taken in pieces of at most this length, in sides of the picture.
PIECE = 0.25
#: Drawings of fewer pieces are left out: a tenth of them cannot be taken away.
LEAST_PIECES = 8
#: Range of the drawings' line widths, as a share of the side: 1 to 1.7 pixels at 64.
LINE_WIDTH = (0.016, 0.026)
# Of doodles, the seeds that `open_sketches` does not reach: what weights were tuned on is not probed.
FIRST_DOODLE = 500_000


@dataclass(frozen=True)
class Piece:
    """A part of a stroke: its points from `start` up to and with `stop`."""

    stroke: int
    """Index of the stroke."""
    start: int
    stop: int


@dataclass(frozen=True, eq=False)
class StrokeDrawing:
    """A drawing as strokes."""

    label: str
    """Class of the drawing."""
    number: int
    """Place of the drawing among those of its class in the source."""
    strokes: tuple[Points, ...]
    """Strokes, each (points, 2): in the unit square, x to the right and y down, points at most `SPACING` apart."""
    line_width: float
    """Line width as a share of the picture's side."""

    @cached_property
    def pieces(self) -> tuple[Piece, ...]:
        """The strokes in pieces of equal length, at most `PIECE`; neighbours share a point."""
        return tuple(piece for index, stroke in enumerate(self.strokes) for piece in _cut(index, stroke))

    @cached_property
    def lengths(self) -> Float[np.ndarray, " pieces"]:
        """Length of each piece, in sides of the picture; a dot counts as long as its line is wide."""
        return np.array([max(self.line_width, _length(self.part(piece))) for piece in self.pieces])

    def part(self, piece: Piece) -> Points:
        """Return the points of a piece."""
        return self.strokes[piece.stroke][piece.start : piece.stop + 1]

    def with_strokes(self, strokes: Sequence[Points]) -> "StrokeDrawing":
        """The same drawing of other strokes."""
        return replace(self, strokes=tuple(strokes))

    def pen(self, size: int) -> float:
        """Return the line width in pixels of a picture of `size` pixels, 0.8 at least."""
        return max(THINNEST, self.line_width * size)

    def picture(self, size: int) -> Image.Image:
        """Draw it in ink: an `L` picture, `size`×`size`, dark on white."""
        return draw_strokes(self.strokes, size, line_width=self.pen(size))

    def generator(self, purpose: str, seed: int) -> np.random.Generator:
        """Return random numbers that are this drawing's own for this purpose and seed, whatever else is in its set."""
        return _generator(self.label, self.number, purpose, seed)


def open_drawings(
    source: str | Path,
    *,
    per_class: int,
    classes: int | Sequence[str] | None = None,
    seed: int = 0,
    faults: list[str] | None = None,
) -> list[StrokeDrawing]:
    """Open drawings as strokes, class by class.

    Args:
        source: `doodles` or a folder of QuickDraw `.ndjson` files, of which the first drawings of a file are taken.
        per_class: at most this many of each class, 1 or more; drawings of fewer than `LEAST_PIECES` pieces are left
            out.
        classes: names of classes; or at most this many classes, drawn with `seed`; None: all.
        seed: random seed of the choice of classes, of the line widths, and of the doodles.
        faults: lines that are no drawings are passed over and named here.

    Returns:
        Drawings, sorted by class.

    Raises:
        ValueError: for a source that is not there or holds no strokes (pictures), or none of whose drawings will do;
            for a class that it does not have.
    """
    if per_class < 1 or (isinstance(classes, int) and classes < 1):
        raise ValueError(f"per_class is {per_class} and classes {classes}: both must be at least 1")
    if not 0 <= seed < MOST_SEEDS:
        raise ValueError(f"seed is {seed}: it must be 0 to {MOST_SEEDS - 1:,}")
    if str(source).startswith("doodles?"):
        raise ValueError(f"{source}: strokes are drawn in ink here, whatever the tool: give doodles without options")
    kind, place = recognise(source)
    if kind == "doodles":
        return [
            _doodle(label, number, seed)
            for label in _sample(KINDS, classes, seed, source)
            for number in range(per_class)
        ]  # fmt: skip
    if kind == "folder" and not find_pictures(place):
        raise ValueError(f"{source} holds no drawings: give doodles, or a folder of QuickDraw .ndjson strokes")
    if kind != "quickdraw":
        raise ValueError(
            f"{source} holds pictures, and what differs between two pictures is not known: give doodles, or a folder "
            "of QuickDraw .ndjson strokes"
        )
    paths, found = find_ndjson(place)
    files = {path.stem: path for path in paths}
    drawings = []
    for name in _sample(sorted(files), classes, seed, source):
        drawings += _quickdraw(files[name], per_class, seed, found)
    if not drawings:
        why = (
            f"{source}: no drawing in it has {LEAST_PIECES} pieces of stroke (each {PIECE:g} of the side at most): "
            "give richer drawings"
        )
        raise ValueError("; ".join([why, *([list_some(found)] if found else [])]))
    if faults is not None:
        faults += found
    return drawings


def split_in_halves(drawings: Sequence[StrokeDrawing], seed: int) -> tuple[list[StrokeDrawing], list[StrokeDrawing]]:
    """Part drawings in two, each class in two: those to choose by, and those to report.

    Args:
        drawings: in any order, which both halves keep.
        seed: random seed of the parting.
    """
    labels = np.array([drawing.label for drawing in drawings])
    chosen = np.zeros(len(drawings), dtype=bool)
    rng = np.random.default_rng(seed)
    for label in sorted(set(labels.tolist())):
        mine = rng.permutation(np.flatnonzero(labels == label))
        chosen[mine[: len(mine) // 2]] = True
    choose, report = ([drawings[int(index)] for index in np.flatnonzero(chosen == part)] for part in (True, False))
    return choose, report


def _sample(names: Sequence[str], wanted: int | Sequence[str] | None, seed: int, source: str | Path) -> list[str]:
    if wanted is None or (isinstance(wanted, int) and wanted >= len(names)):
        return list(names)
    if isinstance(wanted, int):
        return sorted(np.random.default_rng(seed).choice(names, wanted, replace=False).tolist())
    if unknown := [name for name in wanted if name not in names]:
        close = get_close_matches(unknown[0], names, n=1)
        mend = f"did you mean {close[0]!r}?" if close else f"classes are {', '.join(names[:5])}, ..."
        raise ValueError(f"{source} has no class {unknown[0]!r}: {mend}")
    return sorted(wanted)


def _doodle(label: str, number: int, seed: int) -> StrokeDrawing:
    strokes = doodle(label, seed * 1_000_000 + FIRST_DOODLE + number).strokes
    return _drawing(label, number, strokes, seed)


def _quickdraw(path: Path, most: int, seed: int, faults: list[str]) -> list[StrokeDrawing]:
    found: list[StrokeDrawing] = []
    for number, (word, strokes) in enumerate(read_ndjson(path, faults.append)):
        drawing = _drawing(word, number, to_unit_square(strokes), seed)
        if len(drawing.pieces) >= LEAST_PIECES:
            found.append(drawing)
        if len(found) == most:
            break
    return found


def _drawing(label: str, number: int, strokes: Sequence[Points], seed: int) -> StrokeDrawing:
    width = float(_generator(label, number, "line width", seed).uniform(*LINE_WIDTH))
    return StrokeDrawing(label, number, tuple(fill_in(stroke) for stroke in strokes), width)


def _generator(label: str, number: int, purpose: str, seed: int) -> np.random.Generator:
    return np.random.default_rng([zlib.crc32(label.encode()), number, zlib.crc32(purpose.encode()), seed])


def fill_in(stroke: Float[np.ndarray, "_ 2"], spacing: float = SPACING) -> Points:
    """Add points along a stroke until they lie at most `spacing` apart; its own points stay, in float64."""
    points = np.asarray(stroke, dtype=np.float64)
    steps = np.hypot(*np.diff(points, axis=0).T)
    parts = [
        start + (stop - start) * np.linspace(0, 1, count, endpoint=False)[:, None]
        for start, stop, count in zip(points, points[1:], _counts(steps, spacing), strict=False)
    ]
    return np.concatenate([*parts, points[-1:]])


def _counts(lengths: Float[np.ndarray, " n"], most: float) -> list[int]:
    """Into how many parts each length is cut so that none is longer than `most`."""
    return np.ceil(lengths / most - 1e-9).clip(1).astype(int).tolist()


def _cut(index: int, stroke: Points) -> list[Piece]:
    along = np.concatenate([[0], np.cumsum(np.hypot(*np.diff(stroke, axis=0).T))])
    (count,) = _counts(along[-1:], PIECE)
    # The point nearest to each even cut; points are so close together that no two cuts meet.
    cuts = np.abs(along[:, None] - np.linspace(0, along[-1], count + 1)).argmin(0)
    cuts[-1] = len(stroke) - 1
    return [Piece(index, int(start), int(stop)) for start, stop in pairwise(cuts)]


def _length(points: Points) -> float:
    return float(np.hypot(*np.diff(points, axis=0).T).sum())
