"""Recovery of displaced, deformed or missing strokes: gradient descent by a loss, through the stroke renderer.

    drawings = open_drawings("doodles", per_class=2, classes=8)
    result = recover(loss, drawings, start="displaced", amount=10.0)
    result.after.mean(), result.recovered.float().mean()

Truth and strokes are drawn by the same renderer, so the truth is where every loss has its minimum.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from sketchloss.data.quickdraw.drawings import StrokeDrawing
from sketchloss.strokes.batch import StrokeBatch
from sketchloss.strokes.chamfer import mean_distance, points_along
from sketchloss.strokes.renderer import SHARP, render
from sketchloss.strokes.starts import Start, begin, check_start, usual_amount

#: `loss(pred, target)`: both n×1×h×w in [0, 1], the target also as what `loss.extract` returned; (n,), or a scalar.
Loss = Callable[[Tensor, Any], Tensor]

#: Control points lie at most so far apart along a stroke, as a share of the side: 5 pixels at 64.
SPACING = 5 / 64
#: Strokes longer than this share of the side are cut in equal parts, so that every drawing has several.
LONGEST = 0.5
#: A drawing counts as recovered below this chamfer distance, as a share of the side: 1 pixel at 64, the thinnest pen.
PEN = 1 / 64
#: Strokes thinner than this share of the drawing's pen count as not drawn.
SEEN = 0.25
#: Adam's step of control points, as a share of the side, and of widths, as a share of the drawing's pen.
POINT_RATE, WIDTH_RATE = 0.5 / 64, 0.05


@dataclass(frozen=True, eq=False)
class Recovery:
    """Result of a recovery, for each of n drawings."""

    truth: StrokeBatch
    way: list[StrokeBatch]
    """Strokes at each step of `recorded`."""
    recorded: Int[Tensor, " records"]
    """Steps at which the strokes were recorded; the first is 0, the last the end."""
    chamfer: Float[Tensor, "records n"]
    """Chamfer distance in pixels: the mean of how far what is drawn lies from the truth, and how far the true places of
    the strokes that the start changed lie from what is drawn. It is the picture's diagonal where nothing is drawn."""
    pen: float
    """Limit in pixels: a drawing is recovered once its chamfer distance is below it."""

    @property
    def before(self) -> Float[Tensor, " n"]:
        """Chamfer distance at the start, in pixels."""
        return self.chamfer[0]

    @property
    def after(self) -> Float[Tensor, " n"]:
        """Chamfer distance at the end, in pixels."""
        return self.chamfer[-1]

    @property
    def recovered(self) -> Bool[Tensor, " n"]:
        """Whether the chamfer distance at the end is below one pen width."""
        return self.after < self.pen

    @property
    def steps(self) -> Float[Tensor, " n"]:
        """The recorded step from which on a drawing stayed recovered; NaN for those that are not recovered."""
        return settled(self.chamfer, self.recorded, self.pen)


def settled(chamfer: Float[Tensor, "records n"], recorded: Int[Tensor, " records"], pen: float) -> Float[Tensor, " n"]:
    """Return the recorded step from which on each drawing stayed below a distance; NaN where the last is not."""
    outside = (chamfer >= pen).flip(0).cummax(0).values.flip(0)
    first = outside.sum(0).clamp_max(len(recorded) - 1)
    return recorded[first].float().masked_fill(chamfer[-1] >= pen, math.nan)


def recover(
    loss: Loss,
    drawings: Sequence[StrokeDrawing],
    *,
    start: Start = "displaced",
    amount: float | int | None = None,
    size: int = 64,
    steps: int = 120,
    seed: int = 0,
    learning_rate: float | int | None = None,
    softness: float | int = SHARP,
    record_every: int = 5,
) -> Recovery:
    """Displace or erase the strokes of drawings, and let the gradient of a loss lead them back.

    Adam moves the control points of all drawings at once (and the widths, where the start took strokes away). Drawings
    do not influence one another if the loss gives one value for each.

    Args:
        loss: called as `loss(pred, target)` with pictures n×1×h×w in [0, 1], dark ink on white; returns (n,), which is
            summed, or a scalar. If it has a method `extract`, as `SketchLoss` has, it is given
            `loss.extract(target)`, computed once, in place of the target.
        drawings: drawings to recover.
        start: one of `starts.STARTS`; see `starts.begin`.
        amount: number of pixels that strokes are moved by, or degrees; None: `starts.usual_amount`.
        size: side of the pictures in pixels.
        steps: number of steps of Adam, 1 or more.
        seed: random seed of directions, turns, and which strokes are gone. A drawing has numbers of its own, whatever
            is beside it.
        learning_rate: learning rate in pixels a step; None: `POINT_RATE`. It falls to 0 along a cosine.
        softness: softness of the renderer, for truth and strokes alike.
        record_every: steps between records of the strokes.

    Raises:
        ValueError: for bad arguments, or a loss that returns another shape, or is not finite, or its gradient is not.
    """
    check_numbers(size=size, steps=steps, record_every=record_every)
    learning_rate = POINT_RATE * size if learning_rate is None else learning_rate
    if not 0 < learning_rate < math.inf:
        raise ValueError(f"learning_rate is {learning_rate}: it must be above 0 pixels a step")
    truth, strokes, changed, gone = begin_strokes(drawings, start, amount, size, seed)
    target = render(truth, size, softness=softness)
    way, recorded = descend(
        loss,
        strokes,
        target,
        steps=steps,
        learning_rate=learning_rate,
        width_rates=WIDTH_RATE * truth.widths if bool(gone.any()) else None,
        softness=softness,
        record_every=record_every,
    )
    far = _distances(truth, changed, way).clamp_max(size * math.sqrt(2))
    return Recovery(truth, way, torch.tensor(recorded), far, PEN * size)


class Beginning(NamedTuple):
    """Drawings at the start of a recovery."""

    truth: StrokeBatch
    strokes: StrokeBatch
    """The same strokes as the start has made them; those that are gone have no width."""
    changed: Bool[Tensor, " strokes"]
    """Whether the start has moved or taken away each stroke."""
    gone: Bool[Tensor, " strokes"]
    """Whether the start has taken away each stroke."""


def begin_strokes(
    drawings: Sequence[StrokeDrawing], start: Start, amount: float | int | None, size: int, seed: int
) -> Beginning:
    """Return the strokes of drawings, long ones cut, and what a start makes of them.

    Args:
        drawings: one or more.
        start: as for `starts.begin`.
        amount: as for `starts.begin`; None: `starts.usual_amount`.
        size: side of the pictures in pixels.
        seed: as for `recover`.

    Raises:
        ValueError: for no drawings, or as `starts.begin`.
    """
    amount = usual_amount(start, size) if amount is None else amount
    check_start(start, amount)
    if not len(drawings):
        raise ValueError("there are no drawings: give at least one")
    true_strokes = [[part for stroke in drawing.strokes for part in _cut(stroke * size, size)] for drawing in drawings]
    pens = [drawing.pen(size) for drawing in drawings]
    begun = [
        begin(strokes, start, amount, size, drawing.generator(start, seed))
        for strokes, drawing in zip(true_strokes, drawings, strict=True)
    ]
    changed = torch.tensor([changed for one in begun for changed in one.changed])
    gone = torch.tensor([gone for one in begun for gone in one.gone])
    strokes = StrokeBatch.of([one.strokes for one in begun], pens)
    strokes = strokes.moved(strokes.points, strokes.widths.masked_fill(gone, 0))
    return Beginning(StrokeBatch.of(true_strokes, pens), strokes, changed, gone)


def check_numbers(**numbers: int) -> None:
    """Refuse numbers below 1.

    Raises:
        ValueError: naming the first.
    """
    for name, value in numbers.items():
        if value < 1:
            raise ValueError(f"{name} is {value}: give at least 1")


def descend(
    loss: Loss,
    strokes: StrokeBatch,
    target: Float[Tensor, "n c h w"],
    *,
    steps: int,
    learning_rate: float | int,
    width_rates: Float[Tensor, " strokes"] | None = None,
    softness: float | int = SHARP,
    record_every: int = 5,
    shape: Callable[[StrokeBatch], StrokeBatch] = lambda strokes: strokes,
) -> tuple[list[StrokeBatch], list[int]]:
    """Let Adam move strokes so that their picture comes near to a target by a loss.

    Args:
        loss: as for `recover`.
        strokes: where to start, n drawings.
        target: n pictures.
        steps: 1 or more.
        learning_rate: learning rate of points, in pixels a step; falls to 0 along a cosine.
        width_rates: step sizes of widths, in pixels a step; None: widths stay.
        softness: softness of the renderer.
        record_every: steps between records.
        shape: makes what is drawn of the strokes that move, such as `curves.smooth`; by default these themselves.

    Returns:
        The strokes at the recorded steps, first and last included, and these steps.

    Raises:
        ValueError: for a loss that returns another shape, or is not finite, or its gradient is not.
    """
    points = strokes.points.clone().requires_grad_()
    # Widths as multiples of their rates, so that one optimiser serves pens of all widths.
    unit = torch.ones_like(strokes.widths) if width_rates is None else width_rates
    widths = (strokes.widths / unit).requires_grad_(width_rates is not None)
    groups = [{"params": [points], "lr": learning_rate}]
    if width_rates is not None:
        groups.append({"params": [widths], "lr": 1.0})
    # note: losses differ in scale by ten thousand; with Adam's usual epsilon the small ones would stand still
    optimiser = torch.optim.Adam(groups, betas=(0.9, 0.99), eps=1e-14)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    extract = getattr(loss, "extract", None)
    given = target if extract is None else extract(target)
    height, width = target.shape[-2:]
    way, recorded = [strokes], [0]
    for step in range(1, steps + 1):
        optimiser.zero_grad()
        picture = render(shape(strokes.moved(points, widths * unit)), (height, width), softness=softness)
        total_of(loss(picture, given), len(target), step).backward()
        for leaf in (points, widths):
            if leaf.grad is not None and not leaf.grad.isfinite().all():
                raise ValueError(f"the loss's gradient is not finite at step {step}: look for a square root or 0 / 0")
        optimiser.step()
        schedule.step()
        with torch.no_grad():
            widths.clamp_(min=0)
        if step % record_every == 0 or step == steps:
            way.append(strokes.moved(points.detach().clone(), (widths * unit).detach()))
            recorded.append(step)
    return way, recorded


def total_of(value: object, drawings: int, step: int) -> Float[Tensor, ""]:
    """Return the sum of what a loss returned, checked.

    Raises:
        ValueError: for another shape than (drawings,) or (), a value without gradient, or one that is not finite.
    """
    values = check_values(value, drawings)
    if not values.isfinite().all():
        raise ValueError(f"the loss is not finite at step {step}: {values.detach().tolist()}"[:200])
    return values.sum()


def check_values(value: object, drawings: int) -> Tensor:
    """Return what a loss returned, (drawings,) or ().

    Raises:
        ValueError: for another shape, no tensor, or a value without gradient.
    """
    if not isinstance(value, Tensor) or tuple(value.shape) not in ((), (drawings,)):
        found = f"shape {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
        raise ValueError(f"the loss returned {found}: it must return one value for each of {drawings} drawings, or one")
    if not value.requires_grad:
        raise ValueError("the loss has no gradient: it must be computed from the pictures that it is given")
    return value


def _distances(
    truth: StrokeBatch, changed: Bool[Tensor, " strokes"], way: Sequence[StrokeBatch]
) -> Float[Tensor, "records n"]:
    """Return the chamfer distances at each record, as `Recovery` describes them."""
    whole, lost = points_along(truth), points_along(truth, changed)
    rows = []
    for strokes in way:
        drawn = points_along(strokes, strokes.widths >= SEEN * truth.widths)
        rows.append(
            [
                (mean_distance(ours, theirs) + mean_distance(sought, ours)) / 2
                for ours, theirs, sought in zip(drawn, whole, lost, strict=True)
            ]
        )
    return torch.tensor(rows)


def _cut(stroke: Float[np.ndarray, "_ 2"], size: int) -> list[Float[np.ndarray, "_ 2"]]:
    """Return a stroke in equal parts no longer than `LONGEST`, each with points evenly along it; a dot stays one."""
    along = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(stroke, axis=0).T))])
    if not along[-1]:
        return [stroke[:1]]
    parts = math.ceil(along[-1] / (LONGEST * size))
    segments = math.ceil(along[-1] / parts / (SPACING * size))
    places = np.linspace(0, along[-1], parts * segments + 1)
    points = np.stack([np.interp(places, along, stroke[:, axis]) for axis in (0, 1)], axis=1)
    return [points[part * segments : (part + 1) * segments + 1] for part in range(parts)]
