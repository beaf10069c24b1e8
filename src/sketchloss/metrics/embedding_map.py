"""A map of an embedding: which drawings are shown, and where each lies in the plane."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int


@dataclass(frozen=True)
class Sample:
    """The sketches on a map."""

    rows: Int[np.ndarray, " m"]
    """Row numbers in the embeddings, in order."""
    labels: Int[np.ndarray, " m"]
    coloured: tuple[int, ...]
    """Labels that get a colour; the others are grey."""


def choose_sample(labels: Int[np.ndarray, " n"], *, classes: int = 10, most: int = 1200) -> Sample:
    """Choose sketches for a map, always the same: all of some classes, and others at random.

    Where there are too many of both, each gets half of `most`; what one does not need, the other has.

    Args:
        labels: n integers.
        classes: number of classes that get a colour: those with most members, spread over the alphabet where many have
            as many.
        most: number of sketches in all.
    """
    values, counts = np.unique(labels, return_counts=True)
    largest = values[counts >= np.sort(counts)[-min(classes, len(values))]]
    coloured = largest[np.linspace(0, len(largest) - 1, min(classes, len(largest))).round().astype(int)]
    rng = np.random.default_rng(0)
    mine = rng.permutation(np.flatnonzero(np.isin(labels, coloured)))
    others = rng.permutation(np.flatnonzero(~np.isin(labels, coloured)))
    mine = mine[: max(most // 2, most - len(others))]
    others = others[: most - len(mine)]
    rows = np.sort(np.concatenate([mine, others]))
    return Sample(rows, labels[rows], tuple(coloured.tolist()))


def map_to_plane(rows: Float[np.ndarray, "m d"]) -> Float[np.ndarray, "m 2"] | None:
    """Lay rows out in the plane so that near ones (by cosine) stay near: t-SNE, always the same.

    Returns:
        Positions; None if there are fewer than four rows, or all are alike.
    """
    from sklearn.manifold import TSNE  # takes a second to load

    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    if len(rows) < 4 or np.ptp(unit, axis=0).max() < 1e-6:
        return None
    perplexity = min(30.0, (len(rows) - 1) / 3)
    # Of unit rows, the squared distance in space is twice the cosine distance.
    return TSNE(2, perplexity=perplexity, init="pca", random_state=0).fit_transform(unit.astype(np.float32))
