"""Oracle: the closed forms of the rise and of the cosine."""

import copy
from math import cos, pi

import pytest
import torch

from sketchloss.training import rates
from sketchloss.training.rates import rate_schedule

STEPS = 12


def _optimizer():
    one, other = (torch.nn.Parameter(torch.zeros(())) for _ in range(2))
    return torch.optim.SGD([{"params": [one], "lr": 0.5}, {"params": [other], "lr": 2.0}])


def _rates(optimizer, schedule, steps=STEPS):
    """The rates of both groups at each step."""
    found = []
    for _ in range(steps):
        found.append([group["lr"] for group in optimizer.param_groups])
        optimizer.step()
        schedule.step()
    return found


def _closed_form(shape, step, warmup, after_warmup):
    falls = shape == "cosine"
    if after_warmup:
        if step < warmup:
            return (step + 1) / (warmup + 1)
        return 0.5 * (1 + cos(pi * (step - warmup) / (STEPS - warmup))) if falls else 1.0
    return min(1.0, (step + 1) / max(1, warmup)) * (0.5 * (1 + cos(pi * step / STEPS)) if falls else 1.0)


@pytest.mark.parametrize("shape", ["constant", "cosine"])
@pytest.mark.parametrize("warmup", [0, 1, 4, 11])
@pytest.mark.parametrize("after_warmup", [False, True])
def test_rates_are_those_of_the_closed_form(shape, warmup, after_warmup):
    optimizer = _optimizer()
    found = _rates(optimizer, rate_schedule(optimizer, shape, steps=STEPS, warmup=warmup, after_warmup=after_warmup))
    for step, (first, second) in enumerate(found):
        wanted = _closed_form(shape, step, warmup, after_warmup)
        assert (first, second) == pytest.approx((0.5 * wanted, 2.0 * wanted), rel=1e-12, abs=1e-15)


@pytest.mark.parametrize("after_warmup", [False, True])
def test_a_training_shorter_than_its_warmup_only_rises(after_warmup):
    optimizer = _optimizer()
    schedule = rate_schedule(optimizer, "constant", steps=3, warmup=100, after_warmup=after_warmup)
    rates = [first for first, _ in _rates(optimizer, schedule, 3)]
    assert rates == sorted(rates)
    assert rates[-1] < 0.5 * 0.05


def test_without_a_warmup_nothing_is_put_in_sequence(monkeypatch):
    """Of a sequence whose second part begins at step 0, older versions of torch take the first part's step first."""
    monkeypatch.delattr(rates, "SequentialLR")
    optimizer = _optimizer()
    found = _rates(optimizer, rate_schedule(optimizer, "cosine", steps=STEPS, warmup=0, after_warmup=True))
    wanted = [0.5 * _closed_form("cosine", step, 0, True) for step in range(STEPS)]
    assert [first for first, _ in found] == pytest.approx(wanted, rel=1e-12, abs=1e-15)


@pytest.mark.parametrize("after_warmup", [False, True])
@pytest.mark.parametrize("broken_off", [1, 4, 5, 9])  # in the rise, at its end, and in the fall
def test_a_resumed_schedule_goes_on_to_the_bit(after_warmup, broken_off):
    def new():
        optimizer = _optimizer()
        return optimizer, rate_schedule(optimizer, "cosine", steps=STEPS, warmup=4, after_warmup=after_warmup)

    unbroken = _rates(*new())
    first = new()
    _rates(*first, broken_off)
    states = copy.deepcopy([part.state_dict() for part in first])
    second = new()
    for part, state in zip(second, states, strict=True):
        part.load_state_dict(state)
    assert _rates(*second, STEPS - broken_off) == unbroken[broken_off:]
