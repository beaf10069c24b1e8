"""How the cosine distances of pairs of rows are spread, within classes and across them."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64, Int64
from torch import Tensor

from sketchloss.metrics.rows import LEAST_DISTANCE, blocks, checked_labels, distinct, inverse_lengths

# Similarities of all pairs held at once: 64 MiB of float32.
PAIR_ELEMENTS = 2**24


@dataclass(frozen=True)
class DistanceHistogram:
    """Histogram of the cosine distances of pairs, in bins of equal width."""

    edges: Float64[np.ndarray, " edges"]
    within: Int64[np.ndarray, " bins"]
    """Number of pairs within a class in each bin; there is one bin less than edges."""
    across: Int64[np.ndarray, " bins"]
    """Number of pairs across classes in each bin."""
    rows: int
    """Number of rows that the pairs are of: all, or the sample."""


def distance_histogram(
    embeddings: Tensor | np.ndarray,
    labels: Tensor | np.ndarray | Sequence[int],
    *,
    bins: int | None = None,
    most_rows: int = 4000,
) -> DistanceHistogram:
    """Count the cosine distances of all pairs of rows, or of those of a random sample of the rows, always the same.

    Args:
        embeddings: as for `separation`.
        labels: as for `separation`.
        bins: from 0 to the greatest distance found; by default the root of the number of pairs within a class, but 10
            at least and 100 at most.
        most_rows: of more rows than this, a sample of so many is taken; time grows with its square.

    Raises:
        ValueError: as `separation` for shapes, dtypes and rows, and for fewer than two rows.
    """
    labels = checked_labels(labels, embeddings)
    if len(labels) < 2 or most_rows < 2 or (bins is not None and bins < 1):
        raise ValueError(f"got {len(labels)} rows, most_rows {most_rows}, bins {bins}: pairs need two rows, and a bin")
    if len(labels) > most_rows:
        chosen = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))[:most_rows].sort().values
        labels = labels[chosen]
        embeddings = embeddings[chosen.to(embeddings.device)] if isinstance(embeddings, Tensor) else embeddings[chosen]
    if bins is None:
        members = torch.bincount(distinct(labels)[1])
        bins = min(max(10, math.isqrt(int((members * (members - 1)).sum()) // 2)), 100)
    unit = torch.cat([(block * inverse_lengths(block, start)[:, None]).float() for start, block in blocks(embeddings)])
    greatest = max(float(distances.max()) for distances, _ in _pair_distances(unit, labels))
    edges = np.linspace(0, max(greatest, LEAST_DISTANCE), bins + 1)
    counts = np.zeros((2, bins), np.int64)
    for distances, same in _pair_distances(unit, labels):
        for row, part in enumerate((distances[same], distances[~same])):
            counts[row] += np.histogram(part.numpy(), edges)[0]
    return DistanceHistogram(edges, counts[0], counts[1], len(labels))


def _pair_distances(
    unit: Float[Tensor, "n d"], labels: Int64[Tensor, " n"]
) -> Iterator[tuple[Float[Tensor, " pairs"], Bool[Tensor, " pairs"]]]:
    """Yield the distances of pairs, each pair once, and whether they are within a class."""
    rows = max(1, PAIR_ELEMENTS // len(unit))
    for start in range(0, len(unit) - 1, rows):
        part = slice(start, start + rows)
        once = torch.ones(len(unit[part]), len(unit), dtype=torch.bool).triu(start + 1)
        # Rounding leaves a little less than 0 of equal rows.
        yield (1 - unit[part] @ unit.T)[once].clamp_(0, 2), (labels[part, None] == labels)[once]
