"""Groups of copies: each holds one drawing that is kept and others that were compared with that very one."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sketchloss.data.splits import first_of_group


@dataclass(frozen=True)
class Star:
    """A group of items by their places in a list."""

    kept: int
    others: tuple[int, ...]
    distances: tuple[float, ...]
    """Distance of each of the others from the one that is kept."""


def find_stars(
    count: int,
    pairs: Sequence[tuple[int, int]],
    distances: Callable[[int, Sequence[int]], Sequence[float]],
    most: float | int,
) -> list[Star]:
    """Group items around those that are kept.

    Pairs may chain: a is like b, and b like c, but a is not like c. So the pairs say only which items are compared. Of
    those that a chain joins, the first one is kept; the others at most so far from it are its copies. The first of the
    rest is kept next, and so on.

    Args:
        count: number of items. They are in the order in which they are to be kept.
        pairs: places of two items that may be copies.
        distances: function from an item and some others to the distance of each from it; infinite for no copy.
        most: greatest distance of a copy.

    Returns:
        Groups of at least two items, in the order of the items that are kept. An item is in one group at most.
    """
    chains: dict[int, list[int]] = {}
    for place, first in enumerate(first_of_group(count, pairs).tolist()):
        chains.setdefault(first, []).append(place)
    stars = []
    for left in chains.values():
        while len(left) > 1:
            kept, others = left[0], left[1:]
            far = dict(zip(others, distances(kept, others), strict=True))
            near = tuple(other for other in others if far[other] <= most)
            if near:
                stars.append(Star(kept, near, tuple(far[other] for other in near)))
            left = [other for other in others if other not in near]
    return sorted(stars, key=lambda star: star.kept)
