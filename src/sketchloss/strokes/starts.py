"""Starts of a recovery: a drawing's strokes displaced, half of them erased, or all of them gone."""

from collections.abc import Sequence
from typing import Literal, NamedTuple, get_args

import numpy as np
from jaxtyping import Bool, Float

Start = Literal["displaced", "half-erased", "blank"]
STARTS: tuple[Start, ...] = get_args(Start)
#: A displaced stroke is turned about its middle by up to so many degrees, either way.
TURN = 15.0
#: A stroke that is gone is shrunk to so much of its size about its middle, and its width is 0.
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
    """Displace or erase the strokes of a drawing.

    `displaced`: each stroke is moved by `amount` in a direction of its own and turned by up to `TURN` degrees.
    `half-erased`: strokes that make up half of the ink's length are gone, the others stay. `blank`: all are gone. A
    stroke that is gone is moved in the same way, shrunk to `DOT` of its size, and has no width.

    Args:
        strokes: each (points, 2) in pixels.
        start: one of `STARTS`.
        amount: in pixels, 0 or more; 0 also turns nothing.
        size: side of the picture in pixels: of some directions, the one that leaves the least of a stroke outside.
        rng: decides directions, turns, and which strokes are gone.

    Raises:
        ValueError: for an unknown start, or an amount that is negative or not finite.
    """
    check_start(start, amount)
    changed = _half(strokes, rng) if start == "half-erased" else np.ones(len(strokes), dtype=bool)
    begun = []
    for stroke, is_changed in zip(strokes, changed, strict=True):
        moved = _displaced(stroke, amount, size, rng)
        shrunk = _middle(moved) + DOT * (moved - _middle(moved))
        begun.append(stroke if not is_changed else moved if start == "displaced" else shrunk)
    return Begun(begun, changed.tolist(), [start != "displaced" and bool(one) for one in changed])


def check_start(start: str, amount: float | int) -> None:
    """Raise ValueError for an unknown start, or an amount that is negative or not finite."""
    if start not in STARTS:
        raise ValueError(f"start {start!r} is unknown: use one of {', '.join(STARTS)}")
    if not 0 <= amount < float("inf"):
        raise ValueError(f"amount is {amount}: give 0 or more pixels")


def _displaced(stroke: Stroke, amount: float | int, size: int, rng: np.random.Generator) -> Stroke:
    turn = np.radians(rng.uniform(-TURN, TURN)) * (amount > 0)
    turned = _middle(stroke) + (stroke - _middle(stroke)) @ _rotation(turn).T
    directions = rng.uniform(0, 2 * np.pi, TRIES)
    candidates = [turned + amount * np.array([np.cos(angle), np.sin(angle)]) for angle in directions]
    outside = [np.abs(points - points.clip(0, size)).sum() for points in candidates]
    return candidates[int(np.argmin(outside))]


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
