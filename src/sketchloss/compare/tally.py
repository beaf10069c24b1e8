"""What is kept of the pairs while they are measured: of any number of pairs, a few numbers each, or all."""

import heapq
from array import array

from sketchloss.compare.measuring import LeftOut, PairDistance

#: Names of a kind that are listed.
NAMED = 5


class Tally:
    """What is kept of the pairs that were measured.

    Args:
        worst: how many of the farthest pairs are kept, at least 1.
        keep_all: whether all pairs are kept. Otherwise: of each pair its distances, and the first few that were left
            out or are odd.
    """

    def __init__(self, worst: int, *, keep_all: bool) -> None:
        self.totals: array[float] = array("d")
        """Distances, in the order of the pairs."""
        self.others: dict[str, array[float]] = {}
        """Name of another distance -> its values."""
        self.distances: list[PairDistance] = []
        """All that was measured, if all is kept."""
        self.odd: list[str] = []
        """Names of the first pairs that are not of two drawings, with the words about them."""
        self.odd_count = 0
        self.left_out: list[LeftOut] = []
        """Pairs that could not be compared; the first few, if not all are kept."""
        self.left_out_count = 0
        self._worst = worst
        self._keep_all = keep_all
        self._farthest: list[tuple[float, int, PairDistance]] = []

    def add(self, found: PairDistance | LeftOut) -> None:
        """Add the next pair."""
        if isinstance(found, LeftOut):
            self.left_out_count += 1
            if self._keep_all or len(self.left_out) < NAMED:
                self.left_out.append(found)
            return
        # Of equals, the first pair is named. No two entries have one number, so pairs are not compared.
        entry = (found.total, -len(self.totals), found)
        if len(self._farthest) < self._worst:
            heapq.heappush(self._farthest, entry)
        else:
            heapq.heappushpop(self._farthest, entry)
        self.totals.append(found.total)
        for name, value in found.others.items():
            self.others.setdefault(name, array("d")).append(value)
        if found.words:
            self.odd_count += 1
            if len(self.odd) <= NAMED:  # one more, so that the list ends in dots
                self.odd.append(f"{found.pair.name} ({found.words})")
        if self._keep_all:
            self.distances.append(found)

    def farthest(self, count: int) -> list[PairDistance]:
        """Return the pairs of the greatest distances, the greatest first; at most as many as are kept."""
        return [found for _, _, found in sorted(self._farthest, reverse=True)[:count]]
