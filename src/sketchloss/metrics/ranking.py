"""Nearest neighbours by cosine similarity, and how often they are of the right class."""

from collections.abc import Iterator, Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

# Similarities held at once: queries in a chunk × gallery. 2^24 float32 are 64 MiB.
CHUNK_ELEMENTS = 2**24
# How far from 1 a norm may be for a row to count as normalised: the rounding of float32.
UNIT_TOLERANCE = 1e-6
# Similarities this close count as tied and are computed anew: four steps of float32 near 1.
TIE_TOLERANCE = 2.5e-7
# Norms whose squares float32 holds without loss.
SAFE_NORMS = (1e-15, 1e15)


def nearest(
    queries: Tensor, gallery: Tensor, k: int, *, exclude_self: bool = False
) -> tuple[Float[Tensor, "queries k"], Int[Tensor, "queries k"]]:
    """Return the k most similar gallery rows of each query, exactly.

    Memory beside the rows: 64 MiB of similarities at a time (one query's, if the gallery has more rows than fit), and a
    normalised copy of rows that are not normalised yet.

    Args:
        queries: float q×d.
        gallery: float g×d, on the same device.
        k: 1 to g (g - 1 with `exclude_self`).
        exclude_self: queries and gallery are the same rows, and no row is its own neighbour.

    Returns:
        Cosine similarities in [-1, 1], greatest first, and the gallery rows; among equals the lower row comes first.

    Raises:
        ValueError: for other shapes, rows that are zero or not finite, or a k out of range.
    """
    queries, gallery = _unit_rows(queries, "queries"), _unit_rows(gallery, "gallery")
    if queries.shape[1] != gallery.shape[1]:
        raise ValueError(f"queries have {queries.shape[1]} numbers a row and gallery {gallery.shape[1]}: embed alike")
    if exclude_self and len(queries) != len(gallery):
        raise ValueError(f"exclude_self needs the same rows twice, got {len(queries)} queries and {len(gallery)}")
    if not 1 <= k <= len(gallery) - exclude_self:
        raise ValueError(f"k is {k}: it must be 1 to {len(gallery) - exclude_self}, the gallery's size")
    with torch.no_grad():
        found = [
            _top(similarity, chunk, gallery, k) for chunk, similarity in _similarities(queries, gallery, exclude_self)
        ]
    return torch.cat([values for values, _ in found]), torch.cat([rows for _, rows in found])


def top_k_accuracy(
    queries: Tensor,
    query_labels: Tensor,
    gallery: Tensor,
    gallery_labels: Tensor,
    k: Sequence[int] = (1, 3, 5),
    *,
    exclude_self: bool = False,
) -> dict[int, float]:
    """Return the share of queries with one of their own class among the k nearest (Seo 2025, section 4.2).

    Args:
        queries: float q×d.
        query_labels: integers (q,).
        gallery: float g×d.
        gallery_labels: integers (g,).
        k: each as for `nearest`.
        exclude_self: as for `nearest`.

    Returns:
        k -> accuracy in [0, 1].

    Raises:
        ValueError: as `nearest`, or if labels do not match rows.
    """
    if not k:
        raise ValueError("k is empty: give at least one, such as (1, 3, 5)")
    for name, rows, labels in (("query", queries, query_labels), ("gallery", gallery, gallery_labels)):
        if labels.shape != rows.shape[:1]:
            raise ValueError(f"{name} labels are {tuple(labels.shape)}: it needs one for each of {len(rows)} rows")
    _, rows = nearest(queries, gallery, max(k), exclude_self=exclude_self)
    hits = gallery_labels.to(rows.device)[rows] == query_labels.to(rows.device)[:, None]
    return {number: hits[:, :number].any(1).double().mean().item() for number in k}


def _unit_rows(rows: Tensor, name: str) -> Tensor:
    if rows.ndim != 2 or not rows.is_floating_point() or 0 in rows.shape:
        raise ValueError(f"{name} are {rows.dtype} of shape {tuple(rows.shape)}: they must be float, rows by numbers")
    rows = rows.detach()
    norms = rows.float().norm(dim=1)
    if not ((norms > SAFE_NORMS[0]) & (norms < SAFE_NORMS[1])).all():  # false for NaN
        # Rows far from length 1, whose squares float32 cannot hold, or rows that have no direction.
        greatest = rows.abs().amax(1)
        broken = ~greatest.isfinite() | (greatest == 0)
        if broken.any():
            row = int(broken.nonzero()[0])
            raise ValueError(
                f"{int(broken.sum())} rows of {name} are zero or not finite, first row {row}: leave them out"
            )
        rows = rows / greatest[:, None]
        norms = rows.float().norm(dim=1)
    rows = rows.float()
    # Embeddings come with unit rows as a rule; a copy of a large gallery is worth saving.
    return rows if (norms - 1).abs().max() <= UNIT_TOLERANCE else rows / norms[:, None]


def _similarities(
    queries: Float[Tensor, "q d"], gallery: Float[Tensor, "g d"], exclude_self: bool
) -> Iterator[tuple[Float[Tensor, "chunk d"], Float[Tensor, "chunk g"]]]:
    """Yield some queries at a time with their similarities, which are always in the same memory."""
    rows = min(len(queries), max(1, CHUNK_ELEMENTS // len(gallery)))
    # note: taken once, because on a CPU each new page of a large tensor costs more than what is written to it
    buffer = queries.new_empty(rows, len(gallery))
    for start in range(0, len(queries), rows):
        chunk = queries[start : start + rows]
        similarity = torch.mm(chunk, gallery.T, out=buffer[: len(chunk)])
        if exclude_self:
            own = torch.arange(len(chunk), device=chunk.device)
            similarity[own, own + start] = -torch.inf
        yield chunk, similarity


def _top(
    similarity: Float[Tensor, "q g"], queries: Float[Tensor, "q d"], gallery: Float[Tensor, "g d"], k: int
) -> tuple[Float[Tensor, "q k"], Int[Tensor, "q k"]]:
    """Return the top k with ties by row: torch.topk leaves their order, and which of them get in, open."""
    values, rows = similarity.topk(min(k + 1, similarity.shape[1]), dim=1)
    # note: a matrix product may give equal rows similarities that differ in the last bits, by where they stand.
    tied = (values[:, :-1] - values[:, 1:] <= TIE_TOLERANCE).any(1)
    for query in tied.nonzero()[:, 0].tolist():
        near = (similarity[query] >= values[query, min(k, values.shape[1]) - 1] - TIE_TOLERANCE).nonzero()[:, 0]
        # Row by row, so that equal rows come out equal.
        exact = (gallery[near].double() * queries[query].double()).sum(1)
        order = exact.argsort(descending=True, stable=True)[: values.shape[1]]
        values[query, : len(order)], rows[query, : len(order)] = exact[order].to(values.dtype), near[order]
    return values[:, :k].clamp(-1, 1), rows[:, :k]
