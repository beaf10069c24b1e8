"""Built-in drawings: procedural doodles of everyday things, as sketches in three styles and as photo-like twins.

A doodle is a scene (coloured parts, back to front) and a hand that draws it. The sketch and the photo show the same
scene, so they fit one another pixel for pixel.

    from sketchloss.data.doodles.kinds import KINDS, doodle

    cat = doodle("cat", seed=7)
    cat.sketch(224), cat.photo(224), cat.redrawn(hand=1).sketch(224, style="brush")
"""

import zlib
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from PIL import Image

from sketchloss.data.doodles import animals as doodle_animals
from sketchloss.data.doodles import indoors as doodle_indoors
from sketchloss.data.doodles import nature as doodle_nature
from sketchloss.data.doodles import outdoors as doodle_outdoors
from sketchloss.data.doodles.drawing import SPACING, by_hand, draw_brush, draw_ink, draw_pencil, visible_strokes
from sketchloss.data.doodles.photo import draw_photo
from sketchloss.data.doodles.shapes import Part, Points

_THEMES = (doodle_animals, doodle_indoors, doodle_nature, doodle_outdoors)
_COMPOSERS = {compose.__name__: compose for theme in _THEMES for compose in theme.COMPOSERS}
_TOOLS = {"pencil": draw_pencil, "ink": draw_ink, "brush": draw_brush}

KINDS: tuple[str, ...] = tuple(sorted(_COMPOSERS))
STYLES = tuple(_TOOLS)
SMALLEST = 8
THINNEST = 0.8  # pixels: below this a drawing at its own line width would fade


@dataclass(frozen=True, eq=False)
class Doodle:
    """A drawing that has yet to be drawn: what is in it, and the hand and tool that will draw it."""

    kind: str
    """Kind of thing that is drawn, one of `KINDS`."""
    seed: int
    """Seed that `doodle` made the drawing from; it also decides the light and background of the photo."""
    parts: tuple[Part, ...]
    """Parts of the clean scene in the unit square, y down, back to front."""
    style: str
    """Drawing style, one of `STYLES`."""
    line_width: float
    """Line width as a fraction of the picture's side. The brush swells to about twice this."""
    clean_strokes: tuple[Points, ...]
    """Visible outlines of the parts, as strokes of an unerring hand, each (points, 2)."""
    hand: int = 0
    """Seed of the hand's inaccuracy."""
    missing: tuple[int, ...] = ()
    """Indices of the clean strokes that the hand leaves out."""

    @cached_property
    def strokes(self) -> tuple[Points, ...]:
        """The visible strokes as the hand draws them, each (points, 2) in the unit square, y down.

        Wobble and overshoot may take a point slightly outside the square.
        """
        return self._drawn("hand")

    def _drawn(self, purpose: str) -> tuple[Points, ...]:
        drawn = by_hand(self.clean_strokes, self._rng(purpose, self.hand))
        return tuple(stroke for index, stroke in enumerate(drawn) if index not in self.missing)

    def sketch(self, size: int, *, style: str | None = None, line_width: float | int | None = None) -> Image.Image:
        """The drawing.

        Args:
            size: side of the picture in pixels, at least 8.
            style: one of `STYLES`; None is the doodle's own.
            line_width: in pixels of the picture; None is the doodle's own share of `size`, at least 0.8 pixels.

        Returns:
            An `L` picture, `size`×`size`, dark ink on white (255), antialiased.

        Raises:
            ValueError: an unknown style, a size below 8, or a line width not above 0.
        """
        style = self.style if style is None else style
        _check_choice("style", style, STYLES)
        _check_size(size)
        if line_width is None:
            line_width = max(THINNEST, self.line_width * size)
        if line_width <= 0:
            raise ValueError(f"line_width must be above 0 pixels, got {line_width}")
        strokes = self.strokes
        if style == "pencil":  # a pencil goes over its lines, never quite the same way
            strokes = (*self._drawn("second pass")[:: 1 + self.seed % 3], *strokes)
        return _TOOLS[style](strokes, size, line_width=float(line_width), rng=self._rng("tool", self.hand))

    def photo(self, size: int) -> Image.Image:
        """The photo-like twin of the scene, whoever draws it: `RGB`, `size`×`size` pixels, at least 8."""
        _check_size(size)
        return draw_photo(self.parts, size, rng=self._rng("photo", 0))

    def redrawn(self, hand: int) -> "Doodle":
        """The same scene, drawn again by another hand: the strokes wobble elsewhere."""
        return replace(self, hand=hand)

    def without(self, share: float | int, seed: int) -> "Doodle":
        """The drawing with that share (0 to 1) of its strokes left out, chosen by `seed`; the others stay."""
        if not 0 <= share <= 1:
            raise ValueError(f"share must be from 0 to 1, got {share}")
        left = [index for index in range(len(self.clean_strokes)) if index not in self.missing]
        gone = np.random.default_rng(seed).permutation(left)[: round(share * len(left))]
        return replace(self, missing=(*self.missing, *(int(index) for index in gone)))

    def _rng(self, purpose: str, number: int) -> np.random.Generator:
        return _generator(self.kind, self.seed, purpose, number)


def doodle(kind: str, seed: int, *, style: str | None = None) -> Doodle:
    """A doodle, always the same one for the same kind and seed.

    Args:
        kind: one of `KINDS`.
        seed: 0 or more. Decides proportions, pose, colours, light, hand, tool and line width.
        style: one of `STYLES`; None lets the seed decide. The scene does not depend on it.

    Raises:
        ValueError: an unknown kind or style, or a negative seed.
    """
    _check_choice("kind", kind, KINDS)
    if style is not None:
        _check_choice("style", style, STYLES)
    if seed < 0:
        raise ValueError(f"seed must be 0 or more, got {seed}")
    parts = _posed(_COMPOSERS[kind](_generator(kind, seed, "scene", 0)), _generator(kind, seed, "pose", 0))
    strokes = tuple(visible_strokes(parts))
    lengths = [SPACING * len(stroke) for stroke in strokes]
    rng = _generator(kind, seed, "manner", 0)
    own_style = STYLES[rng.integers(len(STYLES))]
    line_width = min(float(rng.uniform(0.010, 0.022)), 0.09 / sum(lengths))  # a crowded drawing takes a finer pen
    slackness = rng.choice((0.0, 0.0, 0.06, 0.15))  # small strokes may be forgotten, never the main outline
    missing = tuple(index for index, length in enumerate(lengths) if length < 0.2 and rng.random() < slackness)
    return Doodle(kind, seed, parts, style or own_style, line_width, strokes, missing=missing)


def _posed(parts: list[Part], rng: np.random.Generator) -> tuple[Part, ...]:
    """The parts leaned, stretched, mirrored, tinted, and set somewhere in the unit square."""
    angle, shear = rng.normal(0, 0.06), rng.normal(0, 0.05)
    stretch = np.exp(rng.normal(0, 0.055))
    mirror = rng.choice((-1.0, 1.0))
    lean = np.array([[np.cos(angle), np.sin(angle)], [shear - np.sin(angle), np.cos(angle)]])
    matrix = np.diag([mirror * stretch, 1 / stretch]) @ lean
    everything = np.concatenate([part.points for part in parts]) @ matrix
    low, high = everything.min(axis=0), everything.max(axis=0)
    span = high - low
    scale = rng.uniform(0.66, 0.88) / span.max()
    room = 1 - scale * span
    corner = 0.05 + rng.beta(3, 3, 2) * (room - 0.1)
    cast = rng.normal(0, 9, 3)
    return tuple(
        replace(
            part,
            points=(part.points @ matrix - low) * scale + corner,
            thickness=part.thickness * scale,
            colour=tuple(int(c) for c in np.clip(part.colour + cast + rng.normal(0, 5, 3), 0, 255)),
        )
        for part in parts
    )


def _generator(kind: str, seed: int, purpose: str, number: int) -> np.random.Generator:
    # Each purpose has numbers of its own, so that a change to one (another hand) leaves the others as they were.
    return np.random.default_rng([zlib.crc32(kind.encode()), seed, zlib.crc32(purpose.encode()), number])


def _check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(f"{name} {value!r} is unknown; choose from {', '.join(choices)}")


def _check_size(size: int) -> None:
    if size < SMALLEST:
        raise ValueError(f"size must be at least {SMALLEST} pixels, got {size}")
