"""Parting a set in two so that nothing seen in training is met again: by class, by group, aware of duplicates."""

import itertools
from collections.abc import Hashable, Iterable, Iterator, Sequence

import numpy as np
from jaxtyping import Float32, Int64
from PIL import Image

GRID = 32  # side of the thumbnail by which pictures are compared
DUPLICATE_DISTANCE = 0.2  # between unit thumbnails: a correlation of 0.98


def split_by_class(
    labels: Int64[np.ndarray, " n"],
    *,
    held_out: float = 0.1,
    seed: int,
    groups: Sequence[Hashable] | np.ndarray | None = None,
    keys: Sequence[int] | None = None,
) -> tuple[Int64[np.ndarray, " train"], Int64[np.ndarray, " held"]]:
    """Part a set in two, each class in the same proportion.

    Args:
        labels: class of each item.
        held_out: share of each class to hold out, in (0, 1); rounded, but at least one item and not all of them.
        seed: another seed, another split; the same seed, the same.
        groups: of each item, the name of its relatives, which all go to one side. A class is then held out up to its
            share, by whole groups.
        keys: for each class, a number ≥ 0 that decides with `seed` what of it is held out; by default its label. A
            class with the same key and number of items is parted in the same way, whatever other classes there are.

    Returns:
        Indices of the items to train on and of those held out, each sorted. Every class with two items or more (two
        groups, if there are groups and none spans classes) is on both sides; a class with one is trained on.

    Raises:
        ValueError: for a share out of range or groups of another length.
    """
    if not 0 < held_out < 1:
        raise ValueError(f"held_out must be a share between 0 and 1, got {held_out}")
    if groups is not None and len(groups) != len(labels):
        raise ValueError(f"expected one group for each of {len(labels)} items, got {len(groups)}")
    held = np.zeros(len(labels), dtype=bool)
    if groups is None:
        for items, rng in _by_class(labels, seed, keys):
            held[rng.permutation(items)[: _share(len(items), held_out)]] = True
    else:
        _hold_out_groups(held, labels, _numbered(groups), held_out, seed, keys)
    return np.flatnonzero(~held), np.flatnonzero(held)


def duplicate_groups(
    pictures: Iterable[Image.Image], *, distance: float = DUPLICATE_DISTANCE
) -> Int64[np.ndarray, " n"]:
    """Find the pictures that are copies of one another, also flipped, turned by quarters, resized or re-encoded.

    Pictures are compared by grey thumbnails of 32×32, centred and scaled to unit length, the nearest of the eight
    flips and turns counting. Copies of copies are in one group. Time grows with the square of the number, gently: pairs
    are first sifted by what no flip or turn changes.

    Args:
        pictures: `L` or `RGB`, of any sizes; each is looked at once, so they may come from a generator.
        distance: greatest Euclidean distance between thumbnails of copies; 0 is the same, 1.41 unrelated.

    Returns:
        Of each picture, the index of the first picture of its group.
    """
    thumbnails = np.stack([_thumbnail(picture) for picture in pictures] or [np.empty((0, 0), np.float32)])
    if not thumbnails.size:
        return np.empty(0, dtype=np.int64)
    blank = np.flatnonzero(~thumbnails.any(axis=(1, 2))).tolist()  # one group, without comparing each with each
    pairs = [*itertools.pairwise(blank), *_near_pairs(thumbnails, distance)]
    return first_of_group(len(thumbnails), pairs)


def merge_groups(*groupings: Sequence[Hashable] | np.ndarray) -> Int64[np.ndarray, " n"]:
    """Join groupings of the same items: two items that share a group in any of them share one in the result.

    Returns:
        Of each item, the index of the first item of its group.
    """
    pairs = []
    for grouping in groupings:
        first_of: dict[Hashable, int] = {}
        pairs += [(first_of.setdefault(name, index), index) for index, name in enumerate(grouping)]
    return first_of_group(len(groupings[0]), pairs)


def first_of_group(count: int, pairs: Sequence[tuple[int, int]]) -> Int64[np.ndarray, " n"]:
    """Return for each of so many items the first one that pairs lead to from it, over any number of others."""
    from scipy.sparse import coo_array  # heavy, and only needed here
    from scipy.sparse.csgraph import connected_components

    ends = np.array(pairs, dtype=np.int32).reshape(-1, 2).T
    graph = coo_array((np.ones(len(pairs), dtype=np.int8), tuple(ends)), shape=(count, count))
    _, first, group = np.unique(connected_components(graph, directed=False)[1], return_index=True, return_inverse=True)
    return first[group]


# ---------------------------------------------------------------------------------------------------------------------
# Splitting


def _by_class(
    labels: np.ndarray, seed: int, keys: Sequence[int] | None
) -> Iterator[tuple[np.ndarray, np.random.Generator]]:
    by_label = np.argsort(labels, kind="stable")
    values, starts = np.unique(labels[by_label], return_index=True)
    for label, items in zip(values, np.split(by_label, starts[1:]), strict=False):  # no labels split into one nothing
        yield items, np.random.default_rng((seed, int(label) if keys is None else keys[label]))


def _share(count: int, held_out: float) -> int:
    return min(max(1, round(count * held_out)), count - 1)


def _hold_out_groups(
    held: np.ndarray,
    labels: np.ndarray,
    groups: np.ndarray,
    held_out: float,
    seed: int,
    keys: Sequence[int] | None,
) -> None:
    members = np.split(np.argsort(groups, kind="stable"), np.cumsum(np.bincount(groups))[:-1])
    trained = dict(zip(*np.unique(labels, return_counts=True), strict=True))  # items of each class still trained on

    def hold_out(group: int) -> None:
        touched, counts = np.unique(labels[members[group]], return_counts=True)
        if all(trained[label] > count for label, count in zip(touched, counts, strict=True)):  # else one would be empty
            held[members[group]] = True
            for label, count in zip(touched, counts, strict=True):
                trained[label] -= count

    for items, rng in _by_class(labels, seed, keys):
        share = _share(len(items), held_out)
        numbers, sizes = np.unique(groups[items], return_counts=True)
        own = numbers.tolist()
        shuffled = rng.permutation(len(own)).tolist()
        for each in shuffled:
            if held[items].sum() + sizes[each] <= share and not held[members[own[each]]].any():
                hold_out(own[each])
        for each in sorted(shuffled, key=lambda each: sizes[each]):  # when every group is larger than the share
            if not held[items].any():
                hold_out(own[each])


def _numbered(groups: Sequence[Hashable] | np.ndarray) -> np.ndarray:
    numbers: dict[Hashable, int] = {}
    return np.array([numbers.setdefault(name, len(numbers)) for name in groups], dtype=np.int64)


# ---------------------------------------------------------------------------------------------------------------------
# Duplicates


def _thumbnail(picture: Image.Image) -> Float32[np.ndarray, "side side"]:
    # Centred to a fraction of a pixel, which the box of `resize` may have: with half a pixel aside, a turned copy of
    # thin lines would look like another drawing.
    side = max(picture.size)
    canvas = Image.new("L", (side + 2, side + 2), 255)
    corner = [(side - length) // 2 + 1 for length in picture.size]
    canvas.paste(picture.convert("L"), (corner[0], corner[1]))
    x, y = (start + length / 2 - side / 2 for start, length in zip(corner, picture.size, strict=True))
    square = canvas.resize((GRID, GRID), Image.Resampling.BILINEAR, box=(x, y, x + side, y + side))
    ink = 255 - np.asarray(square, dtype=np.float32)
    ink -= ink.mean()
    length = np.linalg.norm(ink)
    return ink / length if length > GRID else np.zeros_like(ink)  # one grey level a pixel is no drawing


def _symmetries(thumbnails: Float32[np.ndarray, "n side side"]) -> list[Float32[np.ndarray, "n side side"]]:
    both = (thumbnails, thumbnails[:, :, ::-1])
    return [np.rot90(picture, turns, axes=(1, 2)) for picture in both for turns in range(4)]


def _near_pairs(thumbnails: np.ndarray, distance: float, rows: int = 256) -> Iterator[tuple[int, int]]:
    # The mean over the eight symmetries is the projection on what they keep, and the length of the rest does not
    # change under them either. So the distance of these is never more than that of the best-matching thumbnails, and
    # the pairs that pass, few, are compared in full.
    mean = np.mean(_symmetries(thumbnails), axis=0).reshape(len(thumbnails), -1)
    rest = np.linalg.norm(thumbnails.reshape(len(thumbnails), -1) - mean, axis=1)
    quarter = mean.reshape(-1, GRID, GRID)[:, : GRID // 2, : GRID // 2].reshape(len(thumbnails), -1) * 2
    invariant = np.concatenate([quarter, rest[:, None]], axis=1).astype(np.float32)
    lengths = (invariant**2).sum(axis=1)
    for start in range(0, len(thumbnails), rows):
        block = slice(start, start + rows)
        squared = lengths[block, None] + lengths[None, start:] - 2 * invariant[block] @ invariant[start:].T
        first, second = np.nonzero(squared <= distance**2 + 1e-4)
        first, second = (first + start)[first < second], (second + start)[first < second]
        drawn = thumbnails[first].any(axis=(1, 2)) if len(first) else np.empty(0, bool)
        first, second = first[drawn], second[drawn]
        near = _least_distance(thumbnails, first, second) <= distance
        yield from zip(first[near].tolist(), second[near].tolist(), strict=True)


def _least_distance(thumbnails: np.ndarray, first: np.ndarray, second: np.ndarray, at_once: int = 4096) -> np.ndarray:
    least = np.full(len(first), np.inf, dtype=np.float32)
    for start in range(0, len(first), at_once):
        part = slice(start, start + at_once)
        fixed = thumbnails[second[part]]
        for turned in _symmetries(thumbnails[first[part]]):
            least[part] = np.minimum(least[part], np.linalg.norm(turned - fixed, axis=(1, 2)))
    return least
