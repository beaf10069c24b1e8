"""Oracles: scipy's cubic Hermite spline with Catmull-Rom's tangents; an XML parser and Bernstein polynomials."""

import re
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from scipy.interpolate import CubicHermiteSpline

from sketchloss.strokes.batch import StrokeBatch
from sketchloss.strokes.curves import PIECES, smooth, to_svg

SVG = "{http://www.w3.org/2000/svg}"


def some_strokes(count: int = 3, points: int = 5) -> StrokeBatch:
    rng = np.random.default_rng(0)
    strokes = [[rng.uniform(0, 64, (points, 2)) for _ in range(count)]]
    batch = StrokeBatch.of(strokes, [2.0], torch.float64)
    return batch.moved(batch.points, torch.linspace(1.0, 2.0, count, dtype=torch.float64))


def test_curves_are_catmull_rom_splines():
    batch = some_strokes()
    found = smooth(batch).points.view(3, -1, 2)
    for controls, curve in zip(batch.points.view(3, 5, 2).numpy(), found.numpy(), strict=True):
        ends = np.concatenate([controls[:1], controls, controls[-1:]])
        spline = CubicHermiteSpline(np.arange(5), controls, (ends[2:] - ends[:-2]) / 2)
        np.testing.assert_allclose(curve, spline(np.linspace(0, 4, 4 * PIECES + 1)), atol=1e-9)


def test_curves_of_two_points_are_straight_and_of_one_are_dots():
    straight = smooth(some_strokes(1, 2)).points
    along = (straight - straight[0]) @ (straight[-1] - straight[0])
    length = (straight[-1] - straight[0]).square().sum()
    torch.testing.assert_close(straight[0] + along[:, None] / length * (straight[-1] - straight[0]), straight)
    dot = some_strokes(2, 1)
    assert torch.equal(smooth(dot).points, dot.points)


def test_gradients_reach_every_control_point():
    batch = some_strokes()
    points = batch.points.clone().requires_grad_()
    smooth(batch.moved(points)).points.square().sum().backward()
    assert points.grad is not None
    assert (points.grad != 0).all()


def test_svg_has_the_same_curves():
    batch = some_strokes()
    root = ElementTree.fromstring(to_svg(batch, 128, 96))
    assert (root.get("width"), root.get("height"), root.get("viewBox")) == ("128", "96", "0 0 128 96")
    paths = list(root.iter(f"{SVG}path"))
    assert [float(path.get("stroke-width", "")) for path in paths] == pytest.approx([1, 1.5, 2])
    t = np.arange(1, PIECES + 1)[:, None] / PIECES
    for path, curve in zip(paths, smooth(batch).points.view(3, -1, 2).numpy(), strict=True):
        numbers = np.array(re.findall(r"-?[\d.]+", path.get("d", "")), dtype=float).reshape(-1, 2)
        drawn, here = [numbers[0]], numbers[0]
        for out, into, end in numbers[1:].reshape(-1, 3, 2):
            drawn += list((1 - t) ** 3 * here + 3 * t * (1 - t) ** 2 * out + 3 * t**2 * (1 - t) * into + t**3 * end)
            here = end
        np.testing.assert_allclose(drawn, curve, atol=0.02)


def test_strokes_that_cannot_be_seen_are_not_written():
    batch = some_strokes()
    thin = batch.moved(batch.points, torch.tensor([1.0, 0.01, 0.0], dtype=torch.float64))
    assert to_svg(thin, 64, 64).count("<path") == 1


def test_strokes_of_different_lengths_are_refused():
    batch = StrokeBatch.of([[np.zeros((2, 2)), np.zeros((3, 2))]], [1.0])
    for wrong in (smooth, lambda strokes: to_svg(strokes, 8, 8)):
        with pytest.raises(ValueError, match="strokes have 2 to 3 points: give each as many"):
            wrong(batch)
    with pytest.raises(ValueError, match="pieces is 0: give at least 1"):
        smooth(some_strokes(), 0)
