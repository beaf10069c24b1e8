"""What is kept of many pairs. Oracle: all of them in a list, sorted."""

from pathlib import Path
from random import Random

from sketchloss.compare.measuring import LeftOut, PairDistance
from sketchloss.compare.pairing import Pair
from sketchloss.compare.tally import NAMED, Tally


def test_a_bounded_tally_knows_what_a_whole_one_does():
    chance = Random(0)
    pairs = [Pair(f"p{number}", Path("a"), Path("b")) for number in range(300)]
    # Few values, so that many pairs are equally far.
    found = [PairDistance(pair, chance.randrange(12) / 16, {}, others={"x": chance.random()}) for pair in pairs]
    whole, bounded = Tally(40, keep_all=True), Tally(40, keep_all=False)
    for tally in (whole, bounded):
        for one in found:
            tally.add(one)
        for pair in pairs[:9]:
            tally.add(LeftOut(pair, "damaged"))
    farthest = sorted(found, key=lambda distance: -distance.total)
    for tally in (whole, bounded):
        assert tally.farthest(40) == farthest[:40]
        assert tally.farthest(1) == farthest[:1]
        assert list(tally.totals) == [one.total for one in found]
        assert list(tally.others["x"]) == [one.others["x"] for one in found]
        assert tally.left_out_count == 9
    assert (whole.distances, len(whole.left_out)) == (found, 9)
    assert (bounded.distances, len(bounded.left_out)) == ([], NAMED)


def test_odd_pairs_are_counted_and_the_first_are_named():
    tally = Tally(1, keep_all=False)
    for number in range(20):
        tally.add(PairDistance(Pair(f"p{number}", Path("a"), Path("b")), 0.5, {}, words="blank"))
    assert tally.odd_count == 20
    assert tally.odd == [f"p{number} (blank)" for number in range(NAMED + 1)]
