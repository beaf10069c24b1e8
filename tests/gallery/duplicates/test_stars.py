"""Oracle: numbers on a line, whose distances are known."""

from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from sketchloss.gallery.duplicates.stars import Star, find_stars


def find(places: list[float], most: float, near: float) -> list[Star]:
    pairs = [(a, b) for a, b in combinations(range(len(places)), 2) if abs(places[a] - places[b]) <= near]
    return find_stars(len(places), pairs, lambda one, others: [abs(places[one] - places[o]) for o in others], most)


def test_a_chain_is_cut_where_it_leads_too_far_from_the_one_that_is_kept():
    assert find([0.0, 0.75, 1.5, 2.25, 9.0], 1, 1) == [Star(0, (1,), (0.75,)), Star(2, (3,), (0.75,))]


def test_copies_are_found_that_no_pair_names():
    assert find_stars(3, [(0, 1), (1, 2)], lambda one, others: [0.0] * len(others), 0.5) == [
        Star(0, (1, 2), (0.0, 0.0))
    ]


def test_without_pairs_nothing_is_measured():
    def refuse(one, others):
        raise AssertionError

    assert find_stars(3, [], refuse, 1) == []


@given(st.lists(st.floats(0, 9), max_size=12), st.floats(0, 2))
def test_each_copy_is_near_the_one_that_is_kept_and_in_one_group(places, most):
    stars = find(places, most, most)
    members = [place for star in stars for place in (star.kept, *star.others)]
    assert len(members) == len(set(members))
    for star in stars:
        assert star.distances == tuple(abs(places[star.kept] - places[other]) for other in star.others)
        assert max(star.distances) <= most
        assert star.kept < min(star.others)
    alone = set(range(len(places))) - set(members)
    kept = alone | {star.kept for star in stars}
    assert all(abs(places[a] - places[b]) > most for a, b in combinations(sorted(kept), 2))
