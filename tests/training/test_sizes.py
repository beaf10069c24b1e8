"""Oracles: the shares themselves, by the law of large numbers; the same draw in another process."""

import sys

import pytest

from child_process import finished
from sketchloss.training.sizes import StepSizes, sizes_around


def test_each_size_gets_its_share():
    sizes = StepSizes((48, 64, 96, 128), (0.1, 0.5, 0.25, 0.15))
    counts = sizes.count(seed=3, steps=4000)
    for size, share in zip(sizes.sizes, sizes.shares, strict=True):
        # Five standard deviations of a binomial count.
        assert abs(counts[size] - 4000 * share) < 5 * (4000 * share * (1 - share)) ** 0.5
    assert sum(counts.values()) == 4000


def test_a_size_follows_from_seed_and_step_alone():
    sizes = StepSizes((32, 40), (0.5, 0.5))
    drawn = [sizes.at(0, step) for step in range(40)]
    assert [sizes.at(0, step) for step in reversed(range(40))] == drawn[::-1]
    assert [sizes.at(1, step) for step in range(40)] != drawn
    code = (
        "from sketchloss.training.sizes import StepSizes;"
        "print([StepSizes((32, 40), (0.5, 0.5)).at(0, step) for step in range(40)])"
    )
    said = finished([sys.executable, "-c", code], check=True)
    assert said.stdout.strip() == str(drawn)


def test_sizes_without_shares_are_equally_often():
    assert StepSizes((16, 32, 48, 64)).shares == (0.25,) * 4
    assert StepSizes([64]).at(0, 5) == 64


def test_shares_that_are_rounded_add_up():
    assert sum(StepSizes((1, 2, 3), (0.33, 0.33, 0.33)).shares) == pytest.approx(1)


def test_sizes_around_one():
    assert sizes_around(64).sizes == (48, 64, 96, 128)
    assert sizes_around(64).shares == pytest.approx((0.1, 0.5, 0.25, 0.15))


@pytest.mark.parametrize(
    ("sizes", "shares", "words"),
    [
        ((), None, "image_sizes is empty: name at least one"),
        ((64, -32), None, "image_sizes has -32: a size must be at least 1 pixel"),
        ((64, 0), None, "image_sizes has 0"),
        ((64, 96, 64), None, "image_sizes names 64 twice"),
        ((64, 96), (1.0,), "size_shares are 1.0, 1 for 2 sizes"),
        ((64, 96), (0.5, 0.4), "size_shares are 0.5 0.4: .* all together must be 1"),
        ((64, 96), (1.0, 0.0), "each must be above 0"),
        ((64, 96), (1.5, -0.5), "each must be above 0"),
        ((64, 96), (0.5, float("nan")), "each must be above 0"),
    ],
)
def test_lists_that_cannot_be_drawn_from_are_refused(sizes, shares, words):
    with pytest.raises(ValueError, match=words):
        StepSizes(sizes, shares)
