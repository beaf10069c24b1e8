"""Starts of a recovery: a drawing's strokes displaced, turned, bent, shrunk to dots, half of them erased, or all."""

from collections.abc import Sequence
from typing import Literal, NamedTuple, get_args

import numpy as np
from jaxtyping import Bool, Float

Start = Literal["displaced", "rotated", "bent", "dots", "half-erased", "blank"]
STARTS: tuple[Start, ...] = get_args(Start)
#: Starts of free pixels; see `free_pixels.recover_pixels`.
PixelStart = Literal["blurred", "noisy", "displaced-pixels"]
PIXEL_STARTS: tuple[PixelStart, ...] = get_args(PixelStart)
#: Amounts that are usual: pixels of 64, but degrees for `rotated`. Of the others nothing is moved.
USUAL: dict[Start, float] = {"displaced": 10.0, "rotated": 45.0, "bent": 7.0}
#: A displaced stroke is turned about its middle by up to so many degrees, either way.
TURN = 15.0
#: A dot, and a stroke that is gone, is shrunk to so much of its size about its middle.
DOT = 0.1
# Directions tried until a moved stroke stays in the picture.
TRIES = 16

Stroke = Float[np.ndarray, "_ 2"]


class Begun(NamedTuple):
    """Strokes of a drawing at the start of a recovery."""

    strokes: list[Stroke]
    """Strokes, as many as the drawing has."""
    changed: list[bool]
    """Whether the start has moved or taken away each stroke."""
    gone: list[bool]
    """Whether the start has taken away each stroke: its width is 0."""


def begin(strokes: Sequence[Stroke], start: Start, amount: float | int, size: int, rng: np.random.Generator) -> Begun:
    """Displace, deform or erase the strokes of a drawing.

    - `displaced`: each stroke is moved by `amount` in a direction of its own and turned by up to `TURN` degrees.
    - `rotated`: each is turned about its middle by `amount` degrees, to a side of its own.
    - `bent`: each is bent to a side of its own, its middle by `amount`, its ends not at all.
    - `dots`: each is shrunk to `DOT` of its size about its middle, and keeps its width; it is moved as `displaced`.
    - `half-erased`: strokes that make up half of the ink's length are dots without width, the others stay.
    - `blank`: all are dots without width.

    Args:
        strokes: each (points, 2) in pixels.
        start: one of `STARTS`.
        amount: in pixels, for `rotated` in degrees, 0 or more; 0 also turns nothing.
        size: side of the picture in pixels: of some directions, the one that leaves the least of a stroke outside.
        rng: decides directions, turns, and which strokes are gone.

    Raises:
        ValueError: for an unknown start, or an amount that is negative or not finite.
    """
    check_start(start, amount)
    changed = _half(strokes, rng) if start == "half-erased" else np.ones(len(strokes), dtype=bool)
    begun = [
        _changed(stroke, start, amount, size, rng, is_changed=is_changed)
        for stroke, is_changed in zip(strokes, changed.tolist(), strict=True)
    ]
    return Begun(begun, changed.tolist(), [start in ("half-erased", "blank") and one for one in changed.tolist()])


def usual_amount(start: Start, size: int) -> float:
    """Return how much a start usually changes pictures of this side: pixels, or degrees for `rotated`."""
    amount = USUAL.get(start, 0.0)
    return amount if start == "rotated" else amount / 64 * size


def check_start(start: str, amount: float | int) -> None:
    """Raise ValueError for an unknown start, or an amount that is negative or not finite."""
    if start not in STARTS:
        raise ValueError(f"start {start!r} is unknown: use one of {', '.join(STARTS)}")
    if not 0 <= amount < float("inf"):
        raise ValueError(f"amount is {amount}: give 0 or more pixels")


def _changed(
    stroke: Stroke, start: Start, amount: float | int, size: int, rng: np.random.Generator, *, is_changed: bool
) -> Stroke:
    match start:
        case "rotated":
            side = 1 if rng.random() < 0.5 else -1
            return _turned(stroke, np.radians(amount) * side)
        case "bent":
            return _bent(stroke, amount * (1 if rng.random() < 0.5 else -1))
        case _:
            moved = _displaced(stroke, amount, size, rng)  # also of a stroke that stays: it uses up its random numbers
            if not is_changed or start == "displaced":
                return moved if is_changed else stroke
            return _middle(moved) + DOT * (moved - _middle(moved))


def _displaced(stroke: Stroke, amount: float | int, size: int, rng: np.random.Generator) -> Stroke:
    turn = np.radians(rng.uniform(-TURN, TURN)) * (amount > 0)
    turned = _turned(stroke, turn)
    directions = rng.uniform(0, 2 * np.pi, TRIES)
    candidates = [turned + amount * np.array([np.cos(angle), np.sin(angle)]) for angle in directions]
    outside = [np.abs(points - points.clip(0, size)).sum() for points in candidates]
    return candidates[int(np.argmin(outside))]


def _turned(stroke: Stroke, angle: float) -> Stroke:
    return _middle(stroke) + (stroke - _middle(stroke)) @ _rotation(angle).T


def _bent(stroke: Stroke, amount: float | int) -> Stroke:
    """Move each point across the line from end to end, or across the x axis if these meet, by a half wave."""
    along = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(stroke, axis=0).T))])
    if not along[-1]:
        return stroke
    chord = stroke[-1] - stroke[0]
    length = np.hypot(*chord)
    across = np.array([-chord[1], chord[0]]) / length if length else np.array([0.0, 1.0])
    return stroke + amount * np.sin(np.pi * along / along[-1])[:, None] * across


def _half(strokes: Sequence[Stroke], rng: np.random.Generator) -> Bool[np.ndarray, " strokes"]:
    """Choose strokes at random until those chosen come nearest to half of the whole length; one at least."""
    order = rng.permutation(len(strokes))
    sums = np.cumsum([np.hypot(*np.diff(strokes[index], axis=0).T).sum() for index in order])
    chosen = np.zeros(len(strokes), dtype=bool)
    chosen[order[: int(np.abs(sums - sums[-1] / 2).argmin()) + 1]] = True
    return chosen


def _middle(stroke: Stroke) -> Float[np.ndarray, "2"]:
    return (stroke.min(0) + stroke.max(0)) / 2


def _rotation(angle: float) -> Float[np.ndarray, "2 2"]:
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
