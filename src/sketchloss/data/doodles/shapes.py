"""Parts of doodles: coloured parts, and the plain shapes that their outlines are drawn from."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

Colour = tuple[int, int, int]
Number = float | int
Point = tuple[Number, Number]
Points = Float[np.ndarray, "_ 2"]
"""Points of a line, (points, 2): x to the right, y down."""

WHITE: Colour = (240, 238, 232)
BLACK: Colour = (45, 42, 48)
GREY: Colour = (140, 142, 150)
METAL: Colour = (178, 184, 194)
GOLD: Colour = (222, 178, 62)
GLASS: Colour = (168, 208, 226)
WOOD: Colour = (150, 102, 60)
BARK: Colour = (112, 78, 52)
LEAF: Colour = (84, 148, 66)
SKIN: Colour = (232, 186, 154)
PINK: Colour = (236, 150, 160)
RED: Colour = (206, 60, 52)
ORANGE: Colour = (234, 136, 50)
YELLOW: Colour = (244, 206, 70)
BLUE: Colour = (62, 112, 190)
TEAL: Colour = (52, 152, 150)
PURPLE: Colour = (130, 84, 164)
CREAM: Colour = (240, 224, 190)
PAINTS: tuple[Colour, ...] = (RED, ORANGE, YELLOW, BLUE, TEAL, PURPLE, PINK, LEAF)


@dataclass(frozen=True, eq=False)
class Part:
    """One region or line of a doodle; parts later in a list lie in front."""

    points: Points
    """The outline, (x, y) with y down. A filled part closes itself: its last point joins its first."""
    colour: Colour
    """Colour in the photo, RGB in 0..255 before light falls on it."""
    filled: bool = True
    """Whether the part is filled and hides what lies behind it; otherwise it is a line."""
    thickness: Number = 0.0
    """Width of a line in the photo, in the units of `points`."""
    bulge: Number = 0.5
    """Shading of a filled part in the photo: 0 a flat board, 1 a ball."""


def fill(points: Points, colour: Colour, *, bulge: Number = 0.5) -> Part:
    """A region that hides what lies behind it."""
    return Part(points, colour, bulge=bulge)


def line(points: Points, colour: Colour, *, thickness: Number = 0.015) -> Part:
    """A stroke that hides nothing."""
    return Part(points, colour, filled=False, thickness=thickness)


def shape(*corners: Point) -> Points:
    """Straight edges from corner to corner."""
    return np.array(corners, dtype=np.float64)


def box(left: Number, top: Number, right: Number, bottom: Number, *, taper: Number = 0.0) -> Points:
    """An upright box; `taper` is how far each side leans in at the top (out, if negative)."""
    return shape((left + taper, top), (right - taper, top), (right, bottom), (left, bottom))


def ellipse(
    x: Number,
    y: Number,
    across: Number,
    down: Number | None = None,
    *,
    start: Number = 0.0,
    stop: Number = 1.0,
    tilt: Number = 0.0,
) -> Points:
    """An ellipse, or the arc of it from `start` to `stop`, in turns clockwise from the top.

    Args:
        x, y: centre.
        across, down: half axes; a circle if `down` is None.
        start, stop: ends of the arc, in turns. A whole ellipse does not repeat its first point.
        tilt: rotation in radians, clockwise on the page.
    """
    whole = stop - start == 1
    count = 6 + round(42 * abs(stop - start))
    angles = 2 * np.pi * np.linspace(start, stop, count, endpoint=not whole)
    points = np.stack([across * np.sin(angles), -(across if down is None else down) * np.cos(angles)], axis=1)
    return rotate(points, tilt) + np.array([x, y])


def curve(*through: Point, closed: bool = False, steps: int = 8) -> Points:
    """A smooth (Catmull-Rom) curve through the points given."""
    knots = np.array(through, dtype=np.float64)
    ends = (knots[-1:], knots[:2]) if closed else (knots[:1], knots[-1:])
    knots = np.concatenate([ends[0], knots, ends[1]])
    before, here, there, after = (knots[k : len(knots) - 3 + k, None] for k in range(4))
    t = np.linspace(0, 1, steps, endpoint=False)[None, :, None]
    points = here + 0.5 * t * (
        there - before + t * (2 * before - 5 * here + 4 * there - after + t * (3 * (here - there) + after - before))
    )
    points = points.reshape(-1, 2)
    return points if closed else np.concatenate([points, knots[-1:]])


def mirrored(*right: Point) -> list[Point]:
    """The corners of a symmetric outline: those given, from the top down, then their mirror images back up.

    Points on the axis, x = 0, are not doubled.
    """
    return [*right, *((-x, y) for x, y in right[::-1] if x != 0)]


def rotate(points: Points, angle: Number, about: Point = (0.0, 0.0)) -> Points:
    """Turned by `angle` radians, clockwise on the page."""
    cos, sin = np.cos(angle), np.sin(angle)
    return (points - about) @ np.array([[cos, sin], [-sin, cos]]) + about


def turned(parts: Iterable[Part], angle: Number) -> list[Part]:
    """The whole drawing turned, for things that lie any way up."""
    return [replace(part, points=rotate(part.points, angle)) for part in parts]


def one_of(rng: np.random.Generator, colours: tuple[Colour, ...]) -> Colour:
    """Any of the colours."""
    return colours[rng.integers(len(colours))]


def darker(colour: Colour, share: Number = 0.65) -> Colour:
    """The colour at that share of its brightness; above 1 it is lighter."""
    red, green, blue = (min(255, round(share * channel)) for channel in colour)
    return red, green, blue
