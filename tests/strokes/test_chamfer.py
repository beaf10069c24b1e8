"""Oracles: closed forms, and scipy's cKDTree."""

import math

import numpy as np
import pytest
import torch
from scipy.spatial import cKDTree

from sketchloss.strokes import StrokeBatch, chamfer_distance
from sketchloss.strokes.chamfer import SPACING, mean_distance, points_along


def test_is_the_mean_of_both_ways_nearest_distances():
    rng = np.random.default_rng(0)
    ours, theirs = rng.uniform(0, 100, (300, 2)), rng.uniform(0, 100, (200, 2))
    there, back = cKDTree(theirs).query(ours)[0].mean(), cKDTree(ours).query(theirs)[0].mean()
    found = chamfer_distance(torch.from_numpy(ours).float(), torch.from_numpy(theirs).float())
    assert found == pytest.approx((there + back) / 2, abs=1e-5)
    assert mean_distance(torch.from_numpy(ours), torch.from_numpy(theirs)) == pytest.approx(there)


def test_of_nothing():
    points = torch.ones(3, 2)
    assert chamfer_distance(points, points[:0]) == chamfer_distance(points[:0], points) == math.inf
    assert chamfer_distance(points[:0], points[:0]) == 0
    assert chamfer_distance(points, points) == 0


def test_parallel_lines_are_as_far_as_they_lie_apart():
    lines = [[np.array([[0.0, 5.0], [30.0, 5.0]])], [np.array([[0.0, 7.0], [12.0, 7.0], [30.0, 7.0]])]]
    ours, theirs = points_along(StrokeBatch.of(lines, [1.0, 1.0]))
    assert chamfer_distance(ours, theirs) == pytest.approx(2, abs=1e-3)


def test_points_lie_evenly_along_strokes_and_a_dot_is_one():
    strokes = [np.array([[0.0, 0.0], [3.0, 4.0]]), np.array([[9.0, 9.0]]), np.array([[1.0, 1.0], [1.3, 1.0]])]
    (points,) = points_along(StrokeBatch.of([strokes], [1.0]))
    assert len(points) == 10 + 1 + 1
    steps = torch.linalg.vector_norm(points[:10].diff(dim=0), dim=1)
    torch.testing.assert_close(steps, torch.full((9,), SPACING))
    torch.testing.assert_close(points[10:], torch.tensor([[9.0, 9.0], [1.15, 1.0]]))


def test_strokes_that_are_not_shown_have_no_points():
    batch = StrokeBatch.of([[np.array([[2.0, 2.0]])], [np.array([[3.0, 3.0]]), np.array([[4.0, 4.0]])]], [1.0, 1.0])
    found = points_along(batch, torch.tensor([False, True, False]))
    assert [points.tolist() for points in found] == [[], [[3.0, 3.0]]]
