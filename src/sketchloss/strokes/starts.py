"""Where recovery starts from: a drawing's strokes displaced, half of them erased, or all of them gone."""

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np
from jaxtyping import Float

Start = Literal["displaced", "half-erased", "blank"]
STARTS: tuple[Start, ...] = get_args(Start)
#: A displaced stroke is turned about its middle by up to so many degrees, either way.
TURN = 15.0
#: A stroke that is gone is shrunk to so much of its size about its middle, and its width is 0.
DOT = 0.1
# Directions tried until a moved stroke stays in the picture.
TRIES = 16

Stroke = Float[np.ndarray, "_ 2"]


def begin(
    strokes: Sequence[Stroke], start: Start, amount: float, size: int, rng: np.random.Generator
) -> tuple[list[Stroke], list[bool]]:
    """Return a drawing's strokes as recovery finds them, and which of them are gone (to be drawn with width 0).

    Args:
        strokes: each (points, 2) in pixels.
        start: `displaced`: each stroke is moved by `amount` in a direction of its own and turned by up to `TURN`
            degrees. `half-erased`: half of the strokes are gone, the others stay. `blank`: all are gone. A stroke that
            is gone is moved in the same way and then shrunk to `DOT` of its size.
        amount: in pixels, 0 or more; 0 also turns nothing.
        size: side of the picture in pixels: of some directions, the one that leaves the least of a stroke outside.
        rng: decides directions, turns, and which strokes are gone.

    Raises:
        ValueError: for an unknown start, or an amount that is negative or not finite.
    """
    check_start(start, amount)
    changed = np.ones(len(strokes), dtype=bool)
    if start == "half-erased":
        changed[rng.permutation(len(strokes))[(len(strokes) + 1) // 2 :]] = False
    moved = [_displaced(stroke, amount, size, rng) for stroke in strokes]
    gone = changed & (start != "displaced")
    shrunk = [_middle(stroke) + DOT * (stroke - _middle(stroke)) for stroke in moved]
    begun = [
        shrunk[index] if gone[index] else moved[index] if changed[index] else np.asarray(stroke)
        for index, stroke in enumerate(strokes)
    ]
    return begun, gone.tolist()


def check_start(start: str, amount: float) -> None:
    """Raise ValueError for an unknown start, or an amount that is negative or not finite."""
    if start not in STARTS:
        raise ValueError(f"start {start!r} is unknown: use one of {', '.join(STARTS)}")
    if not 0 <= amount < float("inf"):
        raise ValueError(f"amount is {amount}: give 0 or more pixels")


def _displaced(stroke: Stroke, amount: float, size: int, rng: np.random.Generator) -> Stroke:
    turn = np.radians(rng.uniform(-TURN, TURN)) * (amount > 0)
    turned = _middle(stroke) + (stroke - _middle(stroke)) @ _rotation(turn).T
    directions = rng.uniform(0, 2 * np.pi, TRIES)
    candidates = [turned + amount * np.array([np.cos(angle), np.sin(angle)]) for angle in directions]
    outside = [np.abs(points - points.clip(0, size)).sum() for points in candidates]
    return candidates[int(np.argmin(outside))]


def _middle(stroke: Stroke) -> Float[np.ndarray, "2"]:
    return (stroke.min(0) + stroke.max(0)) / 2


def _rotation(angle: float) -> Float[np.ndarray, "2 2"]:
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
