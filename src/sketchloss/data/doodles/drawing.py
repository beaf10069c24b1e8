"""Drawing by hand from clean shapes: which lines show, how a hand misses them, and the marks of three tools."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from jaxtyping import Float
from PIL import Image, ImageDraw

from sketchloss.data.doodles.shapes import Part, Points
from sketchloss.data.quickdraw.painting import SUPERSAMPLING, draw_strokes

SPACING = 0.015  # between the points of a stroke, in the unit square
CORNER = np.cos(np.deg2rad(50))  # an outline that turns more sharply than this is drawn as two strokes
VISIBILITY_GRID = 512


def visible_strokes(parts: Sequence[Part]) -> list[Points]:
    """Clean strokes of the parts in the unit square, without what the parts in front hide, back to front.

    An outline is cut at its corners, as a hand would draw it, and resampled at an even spacing.
    """
    front = Image.new("L", (VISIBILITY_GRID, VISIBILITY_GRID), 0)
    pen = ImageDraw.Draw(front)
    for number, part in enumerate(parts, start=1):
        if part.filled:
            pen.polygon((part.points * VISIBILITY_GRID).ravel().tolist(), fill=number)
    front = np.asarray(front)

    strokes = []
    for number, part in enumerate(parts, start=1):
        for piece, is_loop in _pieces(part):
            points = _resampled(piece)
            column, row = np.clip((points * VISIBILITY_GRID).astype(int), 0, VISIBILITY_GRID - 1).T
            shows = front[row, column] <= number
            if shows.all():
                strokes.append(points)
                continue
            if is_loop:  # begin where it is hidden, so that no visible run is cut in two at the loop's seam
                first_hidden = int(np.argmin(shows))
                points, shows = np.roll(points[:-1], -first_hidden, axis=0), np.roll(shows[:-1], -first_hidden)
            edges = np.flatnonzero(np.diff(np.concatenate([[False], shows, [False]])))
            strokes += [points[start:stop] for start, stop in edges.reshape(-1, 2) if stop - start > 2]
    return strokes


def _pieces(part: Part) -> list[tuple[Points, bool]]:
    """The outline cut at its corners; True marks a loop without any."""
    points = part.points
    if part.filled:
        points = np.concatenate([points, points[:1]])
    steps = np.diff(points, axis=0)
    points = points[np.concatenate([[True], np.hypot(*steps.T) > 1e-9])]
    if len(points) < 3:
        return [(points, False)]
    steps = np.diff(points, axis=0)
    steps /= np.hypot(*steps.T)[:, None]
    corners = 1 + np.flatnonzero((steps[:-1] * steps[1:]).sum(axis=1) < CORNER)
    if part.filled:
        if (steps[-1] * steps[0]).sum() < CORNER:
            corners = np.append(corners, len(points) - 1)
        if len(corners) == 0:
            return [(points, True)]
        first = corners[0]  # begin at a corner
        points = np.concatenate([points[first:], points[1 : first + 1]])
        corners = corners[1:] - first
    cuts = [0, *corners.tolist(), len(points) - 1]
    return [(points[start : stop + 1], False) for start, stop in pairwise(cuts)]


def _resampled(points: Points) -> Points:
    along = np.concatenate([[0], np.cumsum(np.hypot(*np.diff(points, axis=0).T))])
    wanted = np.linspace(0, along[-1], max(2, 1 + round(along[-1] / SPACING)))
    return np.stack([np.interp(wanted, along, points[:, 0]), np.interp(wanted, along, points[:, 1])], axis=1)


def by_hand(strokes: Sequence[Points], rng: np.random.Generator) -> list[Points]:
    """The strokes as a hand draws them: each a little off in place, angle and size, wobbling, its ends over or short.

    How neat the hand is comes from `rng` too. Long strokes go astray by about 0.01 of the side of the picture, short
    ones by less.
    """
    wobble, slip, overshoot = rng.uniform((0.001, 0.002, 0.0), (0.006, 0.006, 0.022))
    drawn = []
    for stroke in strokes:
        shift, (turn, stretch) = rng.normal(0, slip, 2), rng.normal(0, (0.02, 0.02))
        phases, ends = rng.uniform(0, 2 * np.pi, (3, 1, 2)), rng.uniform(-0.3, 1, (2, 1))
        steps = np.hypot(*np.diff(stroke, axis=0).T)
        along = np.concatenate([[0], np.cumsum(steps)])
        care = min(1.0, along[-1] / 0.25)  # a short stroke is drawn with a smaller movement
        waves = np.sin(2 * np.pi * along[None, :, None] / np.array([0.4, 0.17, 0.07])[:, None, None] + phases)
        centre = stroke.mean(axis=0)
        offset = stroke - centre
        turned = offset * (1 + stretch) + turn * offset[:, ::-1] * (-1, 1)
        moved = centre + turned + care * (shift + wobble * (waves * [[[1.0]], [[0.6]], [[0.25]]]).sum(axis=0))
        if len(moved) > 2:
            reach = overshoot * care * ends
            moved[0] += reach[0] * _unit(moved[0] - moved[2])
            moved[-1] += reach[1] * _unit(moved[-1] - moved[-3])
        drawn.append(moved)
    return drawn


def _unit(vector: Float[np.ndarray, "2"]) -> Float[np.ndarray, "2"]:
    return vector / max(1e-9, float(np.hypot(*vector)))


def draw_pencil(strokes: Sequence[Points], size: int, *, line_width: float, rng: np.random.Generator) -> Image.Image:
    """Grey lines whose pressure comes and goes, broken by the grain of the paper. Arguments as `draw_strokes`."""
    large = size * SUPERSAMPLING
    canvas = Image.new("L", (large, large), 255)
    pen = ImageDraw.Draw(canvas)
    width = max(1, round(line_width * SUPERSAMPLING))
    for stroke in strokes:
        grey, depth, phase = rng.uniform((40, 10, 0), (100, 40, 2 * np.pi))
        shades = np.clip(grey + depth * np.sin(phase + 0.25 * np.arange(len(stroke))), 0, 255).astype(int).tolist()
        points = (stroke * large).tolist()
        for start, stop, shade in zip(points, points[1:], shades, strict=False):
            pen.line((*start, *stop), fill=shade, width=width)
    grain_side = 2 * size
    grain = rng.uniform(0.3, 1.15, (grain_side, grain_side)).clip(max=1.0).astype(np.float32)
    grain = grain.repeat(SUPERSAMPLING // 2, axis=0).repeat(SUPERSAMPLING // 2, axis=1)
    ink = (255 - np.asarray(canvas, dtype=np.float32)) * grain
    return Image.fromarray((255 - ink).astype(np.uint8)).reduce(SUPERSAMPLING)


def draw_brush(strokes: Sequence[Points], size: int, *, line_width: float, rng: np.random.Generator) -> Image.Image:
    """Black lines that swell to about twice `line_width` and taper to a point. Arguments as `draw_strokes`."""
    large = size * SUPERSAMPLING
    canvas = Image.new("L", (large, large), 255)
    pen = ImageDraw.Draw(canvas)
    for stroke in strokes:
        if len(stroke) < 2:
            continue
        peak, load, tail = rng.uniform((0.25, 1.6, 0.1), (0.6, 2.3, 0.6))
        t = np.linspace(0, 1, len(stroke))
        swell, fade = np.sin(np.pi / 2 * t / peak), np.cos(np.pi / 2 * (t - peak) / (1 - peak))
        pressure = np.where(t < peak, 0.45 + 0.55 * swell, fade)
        load *= min(1.0, 0.45 + len(stroke) * SPACING / 0.3)  # a short stroke presses less
        radii = line_width * SUPERSAMPLING / 2 * load * np.maximum(pressure, tail * 0.5)
        points = (stroke * large).tolist()
        for (x, y), (next_x, next_y), radius in zip(points, [*points[1:], points[-1]], radii.tolist(), strict=True):
            radius = max(0.5, radius)
            pen.line((x, y, next_x, next_y), fill=12, width=max(1, round(2 * radius)))
            pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=12)
    return canvas.reduce(SUPERSAMPLING)


def draw_ink(strokes: Sequence[Points], size: int, *, line_width: float, rng: np.random.Generator) -> Image.Image:  # noqa: ARG001
    """Even black lines. Arguments as `draw_strokes`; `rng` is not used."""
    return draw_strokes(strokes, size, line_width=line_width)
