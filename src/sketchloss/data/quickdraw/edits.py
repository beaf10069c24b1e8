"""Edits of known size: a drawing with a share of its strokes removed, added, displaced or redrawn, or drawn ever worse.

Edits of one kind and seed are nested: what is removed at a tenth is also removed at two tenths, what is moved is moved
by as much, and a hand that wobbles more wobbles in the same directions.

    removed(drawing, 0.2, seed=0).drawing, removed(drawing, 0.2, seed=0).amount
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float, Int

from sketchloss.data.doodles.drawing import by_hand
from sketchloss.data.doodles.shapes import Points
from sketchloss.data.quickdraw.drawings import Piece, StrokeDrawing

EditName = Literal["removed", "added", "displaced", "redrawn", "wobble"]
EDITS: tuple[EditName, ...] = ("removed", "added", "displaced", "redrawn", "wobble")

#: How far displaced pieces move, in sides of the picture, each in a direction of its own: 4 pixels at 64.
DISPLACEMENT = 0.06
#: How much another hand differs where pieces are redrawn, in units of the doodles' hand (0.01 of the side for long
#: strokes).
HAND = 2.0
#: How much it differs at a wobble of 1, in the same units: a wobble of 0.2 is the doodles' hand.
WORST_HAND = 5.0


@dataclass(frozen=True, eq=False)
class Edited:
    """An edited drawing, and by how much it was edited."""

    drawing: StrokeDrawing
    amount: float
    """Share of the ink's length that was actually removed, added, displaced or redrawn. Only whole pieces are edited,
    so it is close to the share asked for, not equal. For `wobble`, it is what was asked for."""


def edited(
    drawing: StrokeDrawing, name: EditName, share: float, *, seed: int, others: Sequence[StrokeDrawing] = ()
) -> Edited:
    """Edit a drawing.

    Args:
        drawing: the drawing to edit.
        name: `removed`, `added`, `displaced`, `redrawn`: as the functions of these names; `wobble`: `with_wobble`.
        share: in (0, 1].
        seed: random seed of the choice of pieces, directions and hand.
        others: drawings that strokes are added from; only for `added`.

    Raises:
        ValueError: for an unknown name, a share outside (0, 1], or no others to add from.
    """
    if name == "added":
        return added(drawing, share, others, seed=seed)
    edits = {"removed": removed, "displaced": displaced, "redrawn": redrawn, "wobble": with_wobble}
    if name not in edits:
        raise ValueError(f"edit {name!r} is unknown: use one of {', '.join(EDITS)}")
    return edits[name](drawing, share, seed=seed)


def removed(drawing: StrokeDrawing, share: float, *, seed: int) -> Edited:
    """Leave out pieces, chosen at random, until that share of the ink's length is gone."""
    chosen, amount = _choose(drawing, share, seed)
    gone = {drawing.pieces[index] for index in chosen}
    kept = [piece for piece in drawing.pieces if piece not in gone]
    # Neighbours are joined again, so that what stays looks as before, to the pixel.
    return Edited(drawing.with_strokes([drawing.part(piece) for piece in _joined(kept)]), amount)


def added(drawing: StrokeDrawing, share: float, others: Sequence[StrokeDrawing], *, seed: int) -> Edited:
    """Add strokes of other drawings, where they were, until that share of the drawing's own ink's length has come.

    Args:
        drawing: the drawing to add to.
        share: in (0, 1].
        others: where the strokes come from; the drawing itself is passed over.
        seed: random seed of the choice.

    Raises:
        ValueError: for a share outside (0, 1], or no others.
    """
    _check_share(share)
    others = [other for other in others if other is not drawing]
    if not others:
        raise ValueError("there is no other drawing whose strokes could be added")
    rng = drawing.generator("added", seed)
    parts: list[Points] = []
    lengths: list[float] = []
    own = float(drawing.lengths.sum())
    # note: enough for the whole share of 1, so that smaller shares are the beginning of greater ones
    for index in rng.permutation(len(others)):
        for stroke in rng.permutation(len(others[index].strokes)):
            for piece, length in zip(others[index].pieces, others[index].lengths, strict=True):
                if piece.stroke == stroke:
                    parts.append(others[index].part(piece))
                    lengths.append(float(length))
        if sum(lengths) >= own:
            break
    count, amount = _nearest(np.array(lengths), share * own)
    return Edited(drawing.with_strokes([*drawing.strokes, *parts[:count]]), amount / own)


def displaced(drawing: StrokeDrawing, share: float, *, seed: int) -> Edited:
    """Move pieces, chosen at random, each by `DISPLACEMENT` in a direction of its own."""
    angles = drawing.generator("directions", seed).uniform(0, 2 * np.pi, len(drawing.pieces))
    moves = DISPLACEMENT * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    parts = [drawing.part(piece) + move for piece, move in zip(drawing.pieces, moves, strict=True)]
    return _replaced(drawing, parts, share, seed)


def redrawn(drawing: StrokeDrawing, share: float, *, seed: int) -> Edited:
    """Let another hand draw pieces, chosen at random, anew: `HAND` times as different as the doodles' hands are."""
    other = by_other_hand(drawing, HAND, seed=seed)
    return _replaced(drawing, [other.part(piece) for piece in drawing.pieces], share, seed)


def with_wobble(drawing: StrokeDrawing, share: float, *, seed: int) -> Edited:
    """Let another hand draw everything anew, the more different the greater the share: `WORST_HAND` at 1."""
    _check_share(share)
    return Edited(by_other_hand(drawing, WORST_HAND * share, seed=seed), share)


def by_other_hand(drawing: StrokeDrawing, amount: float, *, seed: int) -> StrokeDrawing:
    """Let another hand draw everything anew (`doodle_drawing.by_hand`), its differences multiplied.

    Args:
        drawing: the drawing to redraw.
        amount: 0 changes nothing, 1 is the hand of the doodles: long strokes go astray by about 0.01 of the side.
        seed: random seed of the hand; another amount of the same seed strays in the same directions.
    """
    hand = by_hand(drawing.strokes, drawing.generator("hand", seed))
    return drawing.with_strokes(
        [stroke + amount * (other - stroke) for stroke, other in zip(drawing.strokes, hand, strict=True)]
    )


def _replaced(drawing: StrokeDrawing, parts: Sequence[Points], share: float, seed: int) -> Edited:
    """Return the drawing with chosen pieces in another form; what stays is joined as before."""
    chosen, amount = _choose(drawing, share, seed)
    changed = set(chosen.tolist())
    kept = [piece for index, piece in enumerate(drawing.pieces) if index not in changed]
    stays = [drawing.part(piece) for piece in _joined(kept)]
    return Edited(drawing.with_strokes([*stays, *(parts[index] for index in sorted(changed))]), amount)


def _choose(drawing: StrokeDrawing, share: float, seed: int) -> tuple[Int[np.ndarray, " k"], float]:
    """Return which pieces make up a share of the ink's length, and the share that they do make up."""
    _check_share(share)
    order = drawing.generator("pieces", seed).permutation(len(drawing.pieces))
    lengths = drawing.lengths[order]
    count, length = _nearest(lengths, share * lengths.sum())
    return order[:count], length / float(lengths.sum())


def _nearest(lengths: Float[np.ndarray, " n"], wanted: float) -> tuple[int, float]:
    """Return how many of the first pieces come nearest to a length, one at least, and their length."""
    sums = np.cumsum(lengths)
    index = int(np.abs(sums - wanted).argmin())
    return index + 1, float(sums[index])


def _joined(pieces: Sequence[Piece]) -> list[Piece]:
    joined: list[Piece] = []
    for piece in pieces:
        if joined and joined[-1].stroke == piece.stroke and joined[-1].stop == piece.start:
            joined[-1] = Piece(piece.stroke, joined[-1].start, piece.stop)
        else:
            joined.append(piece)
    return joined


def _check_share(share: float) -> None:
    if not 0 < share <= 1:
        raise ValueError(f"share is {share}: it must be above 0, and 1 at most")
