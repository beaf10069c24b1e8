"""Groups of drawings that look alike, found from their embeddings without labels.

Ward's method (scipy): every drawing begins as a cluster, and again and again the two clusters are merged that grow
least by it. The number of clusters is that with the best silhouette (Rousseeuw 1987, scikit-learn): how much nearer
drawings are to their own cluster than to the next. benchmarks/clusters.py compares other methods on labelled drawings.
"""

import numpy as np
from jaxtyping import Float, Int

# Ward's method takes memory by the square of the rows: the distances of 20,000 are 1.6 GB. More rows are first put
# together into this many small groups, by k-means, and those are clustered.
MOST, GROUPS = 20_000, 2000
# Rows whose silhouettes are taken; more hardly change their mean.
SAMPLED = 2000
# Counts that are tried, each a tenth more than the one before.
LARGEST_COUNT, STEP = 500, 1.1
# Unit rows nearer than this are the same drawing.
ALIKE = 1e-6


def find_clusters(
    vectors: Float[np.ndarray, "n d"], count: int | None = None, *, most: int = LARGEST_COUNT
) -> Int[np.ndarray, " n"]:
    """Group rows that are near one another; the same rows always give the same clusters.

    Args:
        vectors: n×d, finite and not zero; compared by their directions. At least one row.
        count: number of clusters, 1 to n; None: the number with the best silhouette, 2 to n/2, or one cluster if there
            are fewer than four rows, or all are alike.
        most: greatest number of clusters that is tried where `count` is None.

    Returns:
        The number of each row's cluster, from 0, the largest cluster first.

    Raises:
        ValueError: for other shapes, rows that are zero or not finite, or a count out of range.
    """
    norms = np.linalg.norm(vectors, axis=1, keepdims=True) if vectors.ndim == 2 else np.zeros(0)
    if not norms.size or not np.isfinite(norms).all() or not norms.all():
        raise ValueError(f"the vectors are of shape {vectors.shape}: at least one row, all finite and none zero")
    rows = len(vectors)
    if count is not None and not 1 <= count <= rows:
        raise ValueError(f"count is {count}: it must be 1 to {rows:,}, the number of different drawings")
    unit = vectors / norms
    if count == 1 or (count is None and (rows < 4 or np.ptp(unit, axis=0).max() < ALIKE)):
        return np.zeros(rows, np.int64)
    if rows <= MOST:
        return _largest_first(_ward(unit, count, most))
    from sklearn.cluster import MiniBatchKMeans

    groups = min(rows, max(GROUPS, 4 * (count or 0)))
    # Few passes are enough: what matters is that drawings in a small group are near one another.
    coarse = MiniBatchKMeans(groups, batch_size=4096, init_size=3 * groups, max_iter=5, random_state=0).fit(unit)
    used, group = np.unique(coarse.labels_, return_inverse=True)
    centres = coarse.cluster_centers_[used]
    return _largest_first(_ward(centres / np.linalg.norm(centres, axis=1, keepdims=True), count, most)[group])


def central_first(vectors: Float[np.ndarray, "n d"], labels: Int[np.ndarray, " n"]) -> list[Int[np.ndarray, " m"]]:
    """Return the rows of each cluster, the most central first: those most like the mean of their cluster."""
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    clusters = []
    for number in range(int(labels.max()) + 1):
        rows = np.flatnonzero(labels == number)
        nearness = unit[rows] @ unit[rows].mean(0)
        clusters.append(rows[np.argsort(-nearness, kind="stable")])
    return clusters


def _ward(unit: Float[np.ndarray, "n d"], count: int | None, most: int) -> Int[np.ndarray, " n"]:
    from scipy.cluster.hierarchy import cut_tree, linkage

    tree = linkage(unit, "ward")
    if count is not None:
        return cut_tree(tree, count)[:, 0]
    counts = [2]
    while (following := max(counts[-1] + 1, round(counts[-1] * STEP))) <= min(len(unit) // 2, most):
        counts.append(following)
    cuts = cut_tree(tree, counts)
    return cuts[:, np.argmax(_silhouettes(unit, cuts))]


def _silhouettes(unit: Float[np.ndarray, "n d"], cuts: Int[np.ndarray, "n c"]) -> list[float]:
    """Return the mean silhouette of each of some divisions into clusters, by cosine distance."""
    from sklearn.metrics import silhouette_score

    rows = np.random.default_rng(0).permutation(len(unit))[:SAMPLED]
    distances = (1 - unit[rows] @ unit[rows].T).clip(0)
    np.fill_diagonal(distances, 0)
    scores = []
    for labels in cuts[rows].T:
        # A sample may miss clusters, or have one of each.
        is_measurable = 1 < len(np.unique(labels)) < len(rows)
        scores.append(float(silhouette_score(distances, labels, metric="precomputed")) if is_measurable else -1.0)
    return scores


def _largest_first(labels: Int[np.ndarray, " n"]) -> Int[np.ndarray, " n"]:
    """Number clusters anew: the largest is 0, and of equally large ones that with the first row comes first."""
    _, first, inverse, sizes = np.unique(labels, return_index=True, return_inverse=True, return_counts=True)
    order = np.lexsort((first, -sizes))
    new = np.empty(len(order), np.int64)
    new[order] = np.arange(len(order))
    return new[inverse]
