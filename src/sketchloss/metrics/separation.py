"""Class separation: mean pairwise cosine distances within classes and across them, in closed form (Seo 2025,
section 4.3, Table 4).

The cosines of all pairs of two sets of unit rows add up to the product of the two sets' sums, so that the sums of the
classes are all that is needed: n rows of d numbers take O(n·d) time, one pass, and O(classes·d) memory.

The package has the function `separation` under its module's name: the module's other names are imported from it
(`from sketchloss.metrics.separation import SeparationMeter`), and `importlib.import_module` gives the module itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from sketchloss.metrics.rows import (
    BLOCK_ELEMENTS,
    LEAST_DISTANCE,
    SUMMED_ROWS,
    blocks,
    checked_labels,
    distinct,
    inverse_lengths,
)


@dataclass(frozen=True)
class OneAgainstRest:
    """One class's mean cosine distances, in [0, 2]."""

    count: int
    """Number of the class's members."""
    intra: float | None
    """Mean distance between the class's members; None if it has only one."""
    inter: float
    """Mean distance from the class's members to all others."""
    ratio: float | None
    """Ratio `inter` / `intra`; infinite if `intra` is 0, None if `intra` is None."""


@dataclass(frozen=True)
class ClosePair:
    """Two classes and the cosine between the directions of their means, in [-1, 1]."""

    first: int
    second: int
    """Label of the second class; `first` is the lower of the two."""
    cosine: float


@dataclass(frozen=True)
class Separation:
    """Mean pairwise cosine distances in [0, 2], and what they were taken over.

    The ratios are `inter` / `intra`: the greater, the better the classes are told apart. A mean distance below 1e-12 is
    given as 0, and a ratio to it as infinity: all members of each class are alike.
    """

    intra: float
    """Mean distance over all pairs within a class: large classes count for more."""
    inter: float
    """Mean distance over all pairs across classes."""
    ratio: float
    macro_intra: float
    """Mean of the classes' own `intra`, without classes of one member: all classes count alike."""
    macro_inter: float
    """Mean of the classes' own `inter`."""
    macro_ratio: float
    """Ratio `macro_inter` / `macro_intra`. It is not the mean of the ratios, in which one tight class would hide the
    others."""
    n: int
    """Number of rows."""
    classes: int
    singletons: int
    """Number of classes with one member: they have no pair within, but count in `inter`."""
    per_class: dict[int, OneAgainstRest]
    """Label -> its distances, in the order of the labels."""
    hardest: tuple[ClosePair, ...]
    """The classes that are hardest to tell apart, the closest first."""


def separation(
    embeddings: Tensor | np.ndarray, labels: Tensor | np.ndarray | Sequence[int], *, hardest: int = 10
) -> Separation:
    """Return mean pairwise cosine distances within and across classes, exactly (Seo 2025, section 4.3).

    For rows that do not fit into memory, or come one chunk after the other: `SeparationMeter`.

    Args:
        embeddings: n×d, any float dtype, of any length but not zero; a NumPy array may be memory-mapped.
        labels: n integers, any values.
        hardest: number of pairs of classes to name; they take O(classes²·d) time beyond the rest, 0 takes none.

    Returns:
        The distances and their ratios. Of collapsed embeddings, whose rows are all alike within each class, a ratio is
        infinite; NaN if they are alike across classes, too.

    Raises:
        ValueError: for other shapes and dtypes, rows that are zero or not finite, fewer than two classes, or no class
            with two members.
    """
    meter = SeparationMeter()
    meter.add(embeddings, labels)
    return meter.result(hardest=hardest)


class SeparationMeter:
    """`separation` of rows that come in chunks; memory does not grow with their number, nor does it matter how they are
    cut up and ordered (except for rounding, of about 1e-15).

        meter = SeparationMeter()
        for images, labels in batches:
            meter.add(backbone.embed(images), labels)
        print(meter.result().ratio)
    """  # fmt: skip

    # note: ordinary tensors also where the caller is in inference mode, so that they can be changed after it.
    @torch.inference_mode(mode=False)
    def __init__(self) -> None:
        self._slots: dict[int, int] = {}  # label -> row of the tensors below
        self._counts = torch.zeros(0, dtype=torch.int64)
        self._sums = torch.zeros(0, 0, dtype=torch.float64)
        self._recent = torch.zeros(0, 0, dtype=torch.float64)
        self._recent_rows = 0
        self._spoilt = ""

    @torch.inference_mode(mode=False)
    def add(self, embeddings: Tensor | np.ndarray, labels: Tensor | np.ndarray | Sequence[int]) -> None:
        """Take in a chunk of rows.

        Args:
            embeddings: m×d, any float dtype, on any device; d as in the first chunk. m may be 0.
            labels: m integers.

        Raises:
            ValueError: for other shapes and dtypes; nothing is then taken in. And for rows that are zero or not finite;
                rows before them may then have been taken in, so the meter refuses to go on.
        """
        self._refuse_if_spoilt()
        labels = checked_labels(labels, embeddings)
        size = embeddings.shape[1]
        if self._slots and size != self._sums.shape[1]:
            raise ValueError(f"embeddings have {size} numbers a row, earlier ones {self._sums.shape[1]}: embed alike")
        slots = self._find_slots(labels, size)
        try:
            for start, block in blocks(embeddings):
                self._add_block(block, inverse_lengths(block, start), slots[start : start + len(block)])
        except ValueError as error:
            self._spoilt = str(error)
            raise
        self._counts += torch.bincount(slots, minlength=len(self._counts))

    @torch.inference_mode(mode=False)
    def result(self, *, hardest: int = 10) -> Separation:
        """Return the distances over all rows so far; more may be added afterwards.

        Args:
            hardest: as for `separation`.

        Raises:
            ValueError: for fewer than two classes, no class with two members, or a meter that met a bad row.
        """
        self._refuse_if_spoilt()
        if hardest < 0:
            raise ValueError(f"hardest is {hardest}: it must be 0 or more")
        self._flush()
        labels = sorted(self._slots)
        if len(labels) < 2:
            found = f"all {int(self._counts.sum())} rows are of class {labels[0]}" if labels else "there are no rows"
            raise ValueError(f"{found}: distances across classes need at least two classes")
        order = torch.tensor([self._slots[label] for label in labels])
        return _measure(labels, self._counts[order], self._sums[order], hardest)

    def _refuse_if_spoilt(self) -> None:
        if self._spoilt:
            raise ValueError(f"this meter met a bad row before ({self._spoilt}): begin a new one")

    def _find_slots(self, labels: Int64[Tensor, " m"], size: int) -> Int64[Tensor, " m"]:
        values, inverse = distinct(labels)
        found = [self._slots.setdefault(value, len(self._slots)) for value in values.tolist()]
        room = len(self._counts)
        if len(self._slots) > room:
            # Twice as much each time, so that classes that come one by one are not copied again with each.
            more = max(len(self._slots), 2 * room) - room
            self._counts = torch.cat([self._counts, self._counts.new_zeros(more)])
            self._sums, self._recent = (
                torch.cat([sums.reshape(-1, size), sums.new_zeros(more, size)]) for sums in (self._sums, self._recent)
            )
        return torch.tensor(found, dtype=torch.int64)[inverse]

    def _add_block(
        self, rows: Float64[Tensor, "m d"], weights: Float64[Tensor, " m"], slots: Int64[Tensor, " m"]
    ) -> None:
        # A sparse matrix with one weight in each column: scales the rows and adds them up in one go.
        places = torch.stack([slots, torch.arange(len(slots))])
        matrix = torch.sparse_coo_tensor(places, weights, (len(self._recent), len(rows)), check_invariants=False)
        self._recent.addmm_(matrix, rows)
        self._recent_rows += len(rows)
        if self._recent_rows >= max(SUMMED_ROWS, 4 * len(self._recent)):  # seldom enough to cost nothing
            self._flush()

    def _flush(self) -> None:
        self._sums += self._recent
        self._recent.zero_()
        self._recent_rows = 0


# Distances from sums -------------------------------------------------------------------------------------------------


def _measure(labels: list[int], counts: Int64[Tensor, " c"], sums: Float64[Tensor, "c d"], hardest: int) -> Separation:
    total = int(counts.sum())
    shared = counts > 1
    if not shared.any():
        raise ValueError(f"each of {len(labels)} classes has one member only: distances within a class need two")
    # Ordered pairs. A row's cosine with itself, 1, is in the square of its class's sum.
    within = sums.square().sum(1) - counts
    within_pairs = counts * (counts - 1)
    # note: the rest of the sums is added up anew and not the total less the class, which would lose digits when one
    # class is most of the rows.
    across = (sums * _sum_of_others(sums)).sum(1)
    across_pairs = counts * (total - counts)

    intra = [_distance(*pair) if pair[1] else None for pair in zip(within.tolist(), within_pairs.tolist(), strict=True)]
    inter = [_distance(*pair) for pair in zip(across.tolist(), across_pairs.tolist(), strict=True)]
    known = [value for value in intra if value is not None]
    micro = (
        _distance(float(within[shared].sum()), int(within_pairs.sum())),
        _distance(float(across.sum()), int(across_pairs.sum())),
    )
    macro = sum(known) / len(known), sum(inter) / len(inter)
    per_class = {
        label: OneAgainstRest(count, own, other, None if own is None else _ratio(own, other))
        for label, count, own, other in zip(labels, counts.tolist(), intra, inter, strict=True)
    }
    return Separation(
        **{"intra": micro[0], "inter": micro[1], "ratio": _ratio(*micro)},
        **{"macro_intra": macro[0], "macro_inter": macro[1], "macro_ratio": _ratio(*macro)},
        n=total,
        classes=len(labels),
        singletons=len(labels) - len(known),
        per_class=per_class,
        hardest=_closest(labels, counts, sums, hardest),
    )


def _sum_of_others(sums: Float64[Tensor, "c d"]) -> Float64[Tensor, "c d"]:
    """Return of each row the sum of all other rows: of those before it and those after it."""
    columns = sums.T.contiguous()  # running sums along rows take a fifth of the time of those across them
    others = torch.zeros_like(columns)
    others[:, 1:] = columns[:, :-1].cumsum(1)
    others[:, :-1] += columns[:, 1:].flip(1).cumsum(1).flip(1)
    return others.T


def _distance(cosines: float, pairs: int) -> float:
    distance = 1 - cosines / pairs
    return min(distance, 2.0) if distance >= LEAST_DISTANCE else 0.0


def _ratio(intra: float, inter: float) -> float:
    if intra == 0:
        return float("nan") if inter == 0 else float("inf")
    return inter / intra


def _closest(
    labels: list[int], counts: Int64[Tensor, " c"], sums: Float64[Tensor, "c d"], number: int
) -> tuple[ClosePair, ...]:
    lengths = torch.linalg.vector_norm(sums, dim=1)
    # Members that cancel out leave no direction.
    usable = lengths > LEAST_DISTANCE * counts
    labels = [label for label, use in zip(labels, usable.tolist(), strict=True) if use]
    directions = sums[usable] / lengths[usable, None]
    found: list[tuple[float, int, int]] = []
    rows = max(1, BLOCK_ELEMENTS // max(1, len(labels)))
    for start in range(0, len(labels) if number else 0, rows):
        cosines = directions[start : start + rows] @ directions.T
        later = torch.ones_like(cosines, dtype=torch.bool).triu(start + 1)
        best, places = cosines.masked_fill(~later, -torch.inf).flatten().topk(min(number, int(later.sum())))
        for cosine, place in zip(best.tolist(), places.tolist(), strict=True):
            first, second = divmod(place, len(labels))
            found.append((min(max(cosine, -1.0), 1.0), start + first, second))
    found = sorted(found, key=lambda pair: (-pair[0], pair[1:]))[:number]
    return tuple(ClosePair(labels[first], labels[second], cosine) for cosine, first, second in found)
