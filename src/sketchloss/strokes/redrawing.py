"""A picture of a drawing redrawn as strokes: these start on its ink, and the gradient of a loss moves them into place.

way = redraw(RedrawLoss(SketchLoss(check=False)), picture, count=32)
svg = to_svg(way[-1], 128, 128)
"""

import warnings

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from sketchloss.loss.loss import Features, SketchLoss
from sketchloss.strokes.batch import StrokeBatch
from sketchloss.strokes.curves import smooth
from sketchloss.strokes.recovery import POINT_RATE, Loss, descend
from sketchloss.system.device import in_bfloat16

#: Pixels darker than this share of the darkest one are ink that strokes start on.
INK = 0.3
#: Control points of a stroke.
POINTS = 6
#: Widths at the start and their step, as shares of the picture's longer side.
WIDTH, WIDTH_RATE = 1.5 / 64, 0.02 / 64
#: A picture is a line drawing if at least this share of it is paper, lighter than `LIGHT`.
PAPER, LIGHT = 0.5, 0.85
#: Factor of the difference of pixels in `RedrawLoss`.
PIXELS = 1.0


class RedrawLoss:
    """The loss that `sketchloss strokes` follows: `SketchLoss`, and the mean absolute difference of pixels.

    `SketchLoss` finds where strokes belong; the pixels set them to a fraction of a pixel, and their widths.

    Args:
        loss: on any device; its network computes in bfloat16.
        pixels: factor of the difference of pixels.
    """

    def __init__(self, loss: SketchLoss, *, pixels: float | int = PIXELS) -> None:
        self.loss, self.pixels = loss, pixels

    def extract(self, target: Float[Tensor, "n 1 h w"]) -> tuple[Features, Tensor]:
        """Return what is computed of a target once: its features, and itself."""
        with in_bfloat16(target.device.type):
            return self.loss.extract(target), target

    def __call__(self, pred: Float[Tensor, "n 1 h w"], extracted: tuple[Features, Tensor]) -> Float[Tensor, ""]:
        """Return the loss between a picture and the target that `extract` was given."""
        features, target = extracted
        with in_bfloat16(pred.device.type):
            looks = self.loss(pred, features)
        return looks + self.pixels * (pred - target).abs().mean()


def redraw(
    loss: Loss,
    picture: Float[Tensor, "1 1 h w"],
    count: int,
    *,
    points: int = POINTS,
    steps: int = 150,
    seed: int = 0,
    record_every: int = 5,
) -> list[StrokeBatch]:
    """Redraw a picture of a drawing as so many strokes.

    Args:
        loss: as for `recover`.
        picture: dark ink on light paper, in [0, 1].
        count: number of strokes, 1 or more, and no more than there are pixels of ink.
        points: control points of each stroke, 2 or more; a smooth curve leads through them.
        steps: number of steps of Adam, 1 or more.
        seed: random seed of the places where strokes start.
        record_every: steps between records.

    Returns:
        Control points and widths in pixels at the recorded steps, the start and the end among them;
        `curves.smooth` makes the curves.

    Raises:
        ValueError: for a number out of range, a picture without ink, or one that is no line drawing; as `recover`.
    """
    for name, value, least in (("count", count, 1), ("points", points, 2), ("steps", steps, 1)):
        if value < least:
            raise ValueError(f"{name} is {value}: give at least {least}")
    check_line_drawing(picture)
    side = max(picture.shape[-2:])
    strokes = begin_on_ink(picture, count, points, seed)
    way, _ = descend(
        loss,
        strokes,
        picture,
        steps=steps,
        learning_rate=POINT_RATE * side,
        width_rates=torch.full_like(strokes.widths, WIDTH_RATE * side),
        record_every=record_every,
        shape=smooth,
    )
    return way


def check_line_drawing(picture: Float[Tensor, "1 1 h w"]) -> None:
    """Refuse a page without ink, and a picture that is no line drawing, such as a photo.

    Raises:
        ValueError: saying what it is, and what to do.
    """
    if float(picture.amax() - picture.amin()) < 0.1:
        raise ValueError("the page is blank: give a picture with lines")
    paper = float((picture > LIGHT).float().mean())
    if paper < PAPER:
        raise ValueError(
            f"only {paper:.0%} of it is light paper, so it is no line drawing: use --invert for light lines on dark, "
            "or make a sketch of a photo first (`sketchloss style apply`)"
        )


def begin_on_ink(picture: Float[Tensor, "1 1 h w"], count: int, points: int, seed: int) -> StrokeBatch:
    """Return short straight strokes that share the ink among them: one on each cluster of ink pixels, along its axis.

    Raises:
        ValueError: for more strokes than pixels of ink.
    """
    from scipy.cluster.vq import kmeans2  # in an extra

    ink = 1 - picture[0, 0].cpu().double().numpy()
    rows, columns = np.nonzero(ink > INK * ink.max())
    places = np.stack([columns, rows], axis=1) + 0.5
    if count > len(places):
        raise ValueError(f"count is {count}: the drawing has ink on {len(places)} pixels, so give fewer strokes")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about a cluster that has lost all its pixels: its stroke starts as a dot
        centres, owner = kmeans2(places, count, minit="++", rng=np.random.default_rng(seed))
    strokes = [_along_axis(places[owner == number], centres[number], points) for number in range(count)]
    return StrokeBatch.of([strokes], [WIDTH * max(ink.shape)])


def _along_axis(places: Float[np.ndarray, "n 2"], centre: np.ndarray, points: int) -> Float[np.ndarray, "points 2"]:
    """Return points along the main axis of some places, from one end to the other."""
    spread = places - centre
    axis = np.linalg.svd(spread, full_matrices=False)[2][0] if len(places) > 1 else np.array([1.0, 0.0])
    along = spread @ axis
    reach = max(0.5, float(np.abs(along).max(initial=0.0)))
    return centre + np.linspace(-reach, reach, points)[:, None] * axis
