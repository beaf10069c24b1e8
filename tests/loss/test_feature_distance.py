"""Distances of features by position. Oracle: the weighted mean, written out with NumPy."""

import numpy as np
import pytest
import torch

from sketchloss.loss.feature_distance import feature_distance


def by_hand(pred: np.ndarray, target: np.ndarray, metric: str) -> np.ndarray:
    """The distance of each position, (n, h, w)."""
    if metric == "cosine":
        lengths = np.linalg.norm(pred, axis=1) * np.linalg.norm(target, axis=1)
        return 1 - (pred * target).sum(1) / lengths
    difference = np.abs(pred - target)
    return (difference if metric == "l1" else difference**2).mean(1)


@pytest.mark.parametrize("metric", ["l1", "l2", "cosine"])
def test_a_position_counts_as_much_as_its_weight(metric):
    generator = torch.Generator().manual_seed(0)
    pred, target = (torch.rand(2, 5, 3, 4, generator=generator, dtype=torch.float64) for _ in range(2))
    weight = torch.rand(2, 1, 3, 4, generator=generator, dtype=torch.float64)
    weight[0, 0, 1] = 0  # a row that does not count
    found = feature_distance(pred, target, metric, weight).numpy()
    each, weights = by_hand(pred.numpy(), target.numpy(), metric), weight[:, 0].numpy()
    np.testing.assert_allclose(found, (each * weights).sum((1, 2)) / weights.sum((1, 2)), rtol=1e-9)
    plain = feature_distance(pred, target, metric).numpy()
    np.testing.assert_allclose(plain, each.mean((1, 2)), rtol=1e-9)
