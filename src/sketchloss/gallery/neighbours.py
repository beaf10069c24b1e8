"""The nearest of every row of a gallery, from the stored embeddings, in one pass."""

from collections.abc import Collection, Iterator, Sequence

import numpy as np
import torch
from jaxtyping import Float32

from sketchloss.gallery.table import Known
from sketchloss.metrics.ranking import nearest


def nearest_of_all(
    rows: Sequence[Known],
    vectors: Float32[np.ndarray, "n d"],
    k: int,
    *,
    allowed: Collection[str] | None = None,
    contents: bool = False,
) -> Iterator[tuple[Known, list[tuple[Known, float]]]]:
    """Yield each row with the others most like it and their similarity, the greatest first.

    Args:
        rows: n rows, in the order in which equals are to come.
        vectors: their embeddings.
        k: at least 1; fewer rows give all of them.
        allowed: identifiers of the rows that may be found; None: all.
        contents: the k most similar contents of files, and every row of each.
    """
    # The rows that are found together: those of one content, or each by itself.
    groups: dict[str, list[int]] = {}
    for place, row in enumerate(rows):
        if allowed is None or row.id in allowed:
            groups.setdefault(row.hash if contents else row.id, []).append(place)
    members = list(groups.values())
    # Copies have the same neighbours, so each content is searched with once.
    asked = {row.hash: place for place, row in enumerate(rows)}
    number = {content: query for query, content in enumerate(asked)}
    values, found = nearest(
        torch.from_numpy(vectors[list(asked.values())]),
        torch.from_numpy(vectors[[places[0] for places in members]]),
        # One more, because a row may be among those that it finds.
        min(k + 1, len(members)),
    )
    for row in rows:
        query = number[row.hash]
        pairs = [
            (rows[place], similarity)
            for similarity, group in zip(values[query].tolist(), found[query].tolist(), strict=True)
            for place in members[group]
            if rows[place].id != row.id
        ]
        yield row, pairs
