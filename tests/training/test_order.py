"""The order of samples. Oracles: sets and counts; the same numbers from another process."""

import sys

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from child_process import finished
from sketchloss.training.order import Order, seeded


@given(st.integers(1, 40), st.integers(0, 5))
def test_each_epoch_holds_every_sample_once(count, seed):
    order = Order(count, seed)
    for epoch in range(3):
        assert sorted(order.take(epoch * count, count).tolist()) == list(range(count))


@given(st.integers(1, 30), st.lists(st.integers(1, 17), min_size=1, max_size=8))
def test_what_comes_does_not_depend_on_how_it_is_taken(count, sizes):
    whole = Order(count, 7).take(0, sum(sizes)).tolist()
    order, parts = Order(count, 7), []
    for size in sizes:
        parts += order.take(len(parts), size).tolist()
    assert parts == whole


def test_epochs_and_seeds_differ():
    order = Order(100, 0)
    first, second = order.take(0, 100), order.take(100, 100)
    assert not torch.equal(first, second)
    assert not torch.equal(first, Order(100, 1).take(0, 100))


def test_a_generator_follows_from_its_arguments_in_every_process():
    code = (
        "import torch; from sketchloss.training.order import seeded; "
        "print(torch.rand(3, generator=seeded('step', 1, 2)).tolist())"
    )
    there = finished([sys.executable, "-c", code], check=True, seconds=240)
    assert there.stdout.strip() == str(torch.rand(3, generator=seeded("step", 1, 2)).tolist())


ARGUMENTS = st.tuples(st.sampled_from(["step", "order"]), st.lists(st.integers(0, 3), max_size=3))


@given(ARGUMENTS, ARGUMENTS)
def test_other_arguments_make_other_generators(one, other):
    first, second = (torch.rand(4, generator=seeded(purpose, *numbers)) for purpose, numbers in (one, other))
    assert torch.equal(first, second) == (one == other)


def test_no_samples_are_refused():
    with pytest.raises(ValueError, match="there are 0 samples: give at least one"):
        Order(0, 0)
