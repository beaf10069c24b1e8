"""Oracles: points drawn around known centres, adjusted mutual information, silhouettes of scikit-learn."""

import numpy as np
import pytest
from sklearn.metrics import adjusted_mutual_info_score, silhouette_score

from sketchloss.gallery.clusters import finding as clusters
from sketchloss.gallery.clusters.finding import central_first, find_clusters


def blobs(sizes: tuple[int, ...], *, noise: float = 0.05, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Points around some directions, in a random order, and which direction each is of."""
    generator = np.random.default_rng(seed)
    true = generator.permutation(np.repeat(np.arange(len(sizes)), sizes))
    centres = np.eye(16)[: len(sizes)]
    return (centres[true] + noise * generator.normal(size=(len(true), 16))).astype(np.float32), true


def test_groups_are_found_and_their_number_and_the_largest_comes_first():
    vectors, true = blobs((30, 5, 12, 20))
    labels = find_clusters(vectors)
    assert adjusted_mutual_info_score(true, labels) == pytest.approx(1)
    assert np.bincount(labels).tolist() == [30, 20, 12, 5]
    scaled = vectors * np.random.default_rng(1).uniform(0.1, 9, (len(vectors), 1)).astype(np.float32)
    assert (find_clusters(scaled) == labels).all()  # compared by direction


def test_the_number_has_the_best_silhouette_of_those_near_it():
    vectors, _ = blobs((9, 9, 9, 9, 9), noise=0.3)
    best = find_clusters(vectors)

    def silhouette(labels: np.ndarray) -> float:
        return float(silhouette_score(vectors, labels, metric="cosine"))

    for count in (2, 3, 4, 5, 6, 7):
        assert silhouette(best) >= silhouette(find_clusters(vectors, count)) - 1e-6


@pytest.mark.parametrize("count", [1, 2, 7, 40, 41])
def test_a_number_that_is_asked_for_is_given_also_of_rows_that_are_all_alike(count):
    vectors, _ = blobs((20, 21))
    for rows in (vectors, np.ones_like(vectors)):
        labels = find_clusters(rows, count)
        assert sorted(set(labels.tolist())) == list(range(count))
        assert (np.diff(np.bincount(labels)) <= 0).all()


def test_few_rows_or_rows_that_are_alike_are_one_cluster():
    vectors, _ = blobs((2, 1))
    assert find_clusters(vectors).tolist() == [0, 0, 0]
    assert find_clusters(vectors[:1]).tolist() == [0]
    assert set(find_clusters(np.full((9, 4), 0.25)).tolist()) == {0}


def test_many_rows_are_put_together_first(monkeypatch):
    vectors, true = blobs((300, 200, 100))
    monkeypatch.setattr(clusters, "MOST", 500)
    monkeypatch.setattr(clusters, "GROUPS", 40)
    assert adjusted_mutual_info_score(true, find_clusters(vectors, 3)) == pytest.approx(1)
    assert len(set(find_clusters(vectors, 30).tolist())) == 30


def test_the_most_central_row_is_the_one_nearest_the_mean():
    vectors, _ = blobs((30, 20), noise=0.3)
    labels = find_clusters(vectors, 2)
    found = central_first(vectors, labels)
    assert sorted(np.concatenate(found).tolist()) == list(range(50))
    for number, rows in enumerate(found):
        assert (labels[rows] == number).all()
        unit = vectors[rows] / np.linalg.norm(vectors[rows], axis=1, keepdims=True)
        nearness = unit @ unit.mean(0)
        assert (np.diff(nearness) <= 1e-6).all()


@pytest.mark.parametrize(
    ("vectors", "count", "said"),
    [
        (np.ones((3, 2)), 0, "count is 0: it must be 1 to 3, the number of different drawings"),
        (np.ones((3, 2)), 4, "count is 4: it must be 1 to 3"),
        (np.zeros((0, 2)), None, "at least one row"),
        (np.array([[1.0, 0], [0, 0]]), None, "none zero"),
        (np.array([[1.0, np.nan]]), None, "all finite"),
    ],
)
def test_mistakes(vectors, count, said):
    with pytest.raises(ValueError, match=said):
        find_clusters(vectors, count)


def test_no_more_clusters_than_asked_for_are_tried():
    random = np.random.default_rng(0)
    clouds = np.repeat(np.eye(6, 8), 10, axis=0) + 0.01 * random.normal(size=(60, 8))
    assert find_clusters(clouds).max() == 5
    assert find_clusters(clouds, most=3).max() == 2
