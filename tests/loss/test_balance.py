"""Weighing the terms of a loss. Oracles: closed forms of gradients, of ratios and of running means."""

import inspect

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sketchloss.loss.balance import Balance, gradient_norms


def test_gradient_norms_of_known_gradients():
    output = torch.rand(2, 1, 3, 4).requires_grad_()
    terms = {
        "quadratic": output.square().sum() / 2,  # its gradient is the output
        "linear": 3 * output.sum(),
        "absent": torch.tensor(1.0, requires_grad=True) * 2,
        "unmeasured": torch.tensor(float("nan")),
    }
    norms = gradient_norms(terms, output, ("quadratic", "linear", "absent"))
    assert norms == pytest.approx({"quadratic": output.norm().item(), "linear": 3 * 24**0.5, "absent": 0.0})
    scaled = gradient_norms(terms, output, ("quadratic", "linear"), scale=2.0**16)
    assert scaled == pytest.approx({name: norms[name] for name in scaled})
    sum(terms[name] for name in norms).backward()  # the graph is kept, and nothing was added to gradients
    torch.testing.assert_close(output.grad, output.detach() + 3)


def test_a_scale_keeps_what_float16_would_lose():
    output = torch.ones(4, requires_grad=True)
    terms = {"small": (output.half() * 1e-4).sum().float() * 1e-5}
    assert gradient_norms(terms, output, ("small",))["small"] == 0
    assert gradient_norms(terms, output, ("small",), scale=2.0**16)["small"] == pytest.approx(2e-9, rel=1e-2)


WEIGHTS = {"content": 1.0, "style": 5.0, "total_variation": 0.0, "other": 0.25}


def ratio(balance: Balance, norms: dict[str, float]) -> list[float]:
    """How hard each term pulls, weighed: as parts of all."""
    pulls = [balance.factors[name] * norms[name] for name in balance.active]
    return [pull / sum(pulls) for pull in pulls]


def test_pulls_stand_in_the_ratio_of_the_weights():
    # Quadratic terms, whose gradients are known: scale times the output.
    output = torch.rand(2, 3, 4, 4).requires_grad_()
    scales = {"content": 7.0, "style": 2e-6, "total_variation": 1.0, "other": 3e4}
    terms = {name: scale * output.square().sum() / 2 for name, scale in scales.items()}
    balance = Balance(WEIGHTS)
    assert balance.active == ("content", "style", "other")
    balance.observe(gradient_norms(terms, output, balance.active))
    assert ratio(balance, {name: scale * output.norm().item() for name, scale in scales.items()}) == pytest.approx(
        [1 / 6.25, 5 / 6.25, 0.25 / 6.25], rel=1e-5
    )
    # The gradients are parallel, so their sum has the norm 1, whatever the scales.
    total = balance.total(terms)
    (gradient,) = torch.autograd.grad(total, output)
    assert gradient.norm().item() == pytest.approx(1, rel=1e-5)
    assert total.item() == pytest.approx(sum(balance.factors[name] * terms[name].item() for name in balance.active))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(*[st.floats(1e-6, 1e6)] * 3), min_size=1, max_size=6),
    st.tuples(*[st.floats(0.01, 100)] * 3),
)
def test_the_initial_ratio_is_that_of_the_mean_norms(observed, given_weights):
    names = ("a", "b", "c")
    balance = Balance(dict(zip(names, given_weights, strict=True)), "initial")
    for norms in observed:
        balance.observe(dict(zip(names, norms, strict=True)))
    means = dict(zip(names, np.mean(observed, axis=0), strict=True))
    wanted = np.array(given_weights) / sum(given_weights)
    assert ratio(balance, means) == pytest.approx(list(wanted), rel=1e-6)
    assert sum(balance.factors[name] * means[name] for name in names) == pytest.approx(1, rel=1e-6)


def test_without_balance_the_factors_are_the_weights():
    balance = Balance(WEIGHTS, "none")
    balance.observe({"content": 3.0, "style": 4.0, "other": 0.1})
    assert balance.factors == WEIGHTS
    assert balance.norms == {}
    terms = {"content": torch.tensor(2.0), "style": torch.tensor(3.0), "other": torch.tensor(4.0)}
    assert balance.total(terms).item() == 1 * 2 + 5 * 3 + 0.25 * 4  # the term of weight 0 is not even asked for


def test_running_means_follow_a_change_of_scale():
    balance = Balance({"a": 1.0, "b": 1.0}, "running", decay=0.75)
    wanted = None
    for index, norm in enumerate([8.0, 4.0, 2.0, 10.0, *[100.0] * 40], start=1):
        balance.observe({"a": norm, "b": 1.0})
        # The documented rule: a plain mean until the window of 1 / (1 - decay) is full, then an exponential one.
        keep = min(1 - 1 / index, 0.75)
        wanted = norm if wanted is None else keep * wanted + (1 - keep) * norm
        assert balance.norms["a"] == pytest.approx(wanted)
        assert balance.factors["a"] == pytest.approx(0.5 / wanted)
        if index <= 4:
            assert balance.norms["a"] == pytest.approx(np.mean([8.0, 4.0, 2.0, 10.0][:index]))
    assert balance.norms["a"] == pytest.approx(100, rel=1e-3)
    assert balance.factors["b"] == 0.5


def test_a_term_without_a_pull_keeps_its_factor():
    balance = Balance({"a": 2.0, "b": 6.0}, "running")
    balance.observe({"a": 0.0, "b": 3.0})
    assert balance.factors == {"a": 2.0, "b": 0.25}
    balance.observe({"a": 1.0, "b": 3.0})
    assert balance.factors["a"] == pytest.approx(0.25 / 0.5)


@pytest.mark.parametrize("norm", [float("inf"), float("nan")])
def test_what_overflowed_does_not_switch_a_term_off(norm):
    balance, untouched = Balance({"a": 1.0, "b": 1.0}, "running"), Balance({"a": 1.0, "b": 1.0}, "running")
    for norms in ({"a": 2.0, "b": 3.0}, {"a": norm, "b": 9.0}, {"a": 4.0, "b": 3.0}):
        balance.observe(norms)
        if norms["b"] != 9.0:
            untouched.observe(norms)
    assert balance.state_dict() == untouched.state_dict()
    assert balance.factors == pytest.approx({"a": 0.5 / 3, "b": 0.5 / 3})


@pytest.mark.parametrize("kind", ["initial", "running"])
def test_a_balance_restored_goes_on_as_the_first(kind):
    first, second = Balance(WEIGHTS, kind), Balance(WEIGHTS, kind)
    norms = [dict(zip(WEIGHTS, row, strict=True)) for row in np.random.default_rng(0).uniform(0.1, 9, (14, 4))]
    for row in norms[:7]:
        first.observe(row)
    state = first.state_dict()
    second.load_state_dict(state)
    for row in norms[7:]:
        first.observe(row)
        second.observe(row)
    assert second.factors == first.factors
    assert second.state_dict() == first.state_dict() != state, "what was saved is a copy"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (({"content": -1.0},), "the weight of content is -1.0: it must be finite and not negative"),
        (({"content": 1.0, "style": float("nan")},), "the weight of style is nan"),
        (({"content": float("inf")},), "the weight of content is inf"),
        (({"content": 0.0, "style": 0.0},), "the weights of content, style are all 0"),
        (({"content": 1.0}, "always"), "balance 'always' is unknown: use none, initial or running"),
    ],
)
def test_bad_weights_are_refused(arguments, words, monkeypatch):
    monkeypatch.setattr(Balance, "__init__", inspect.unwrap(Balance.__init__))  # our own checks, not the tests'
    with pytest.raises(ValueError, match=words):
        Balance(*arguments)


@pytest.mark.parametrize("decay", [-0.1, 1.0, float("nan")])
def test_a_decay_out_of_range_is_refused(decay):
    with pytest.raises(ValueError, match=f"decay is {decay}: it must be at least 0 and below 1"):
        Balance(WEIGHTS, "running", decay=decay)


@given(st.floats(0.01, 10), st.floats(1e-6, 1e6), st.floats(1e-6, 1e6))
@settings(max_examples=50)
def test_a_reference_keeps_its_weight_and_the_others_pull_in_ratio_to_it(weight, norm, other):
    balance = Balance({"noise": 1.0, "perceptual": weight}, "initial", reference="noise")
    balance.observe({"noise": norm, "perceptual": other})
    assert balance.factors["noise"] == 1.0
    assert balance.factors["perceptual"] * other == pytest.approx(weight * norm)


@pytest.mark.parametrize("reference", ["absent", "b"])
def test_a_reference_needs_a_weight(reference):
    with pytest.raises(ValueError, match=f"the reference is '{reference}': name a term with a weight above 0"):
        Balance({"a": 1.0, "b": 0.0}, reference=reference)


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["missing"], "there is no term 'missing': choose from near, each, loose"),
        (["each"], r"each is \(2,\): it must be a scalar"),
        (["loose"], "loose or the output has no graph"),
    ],
)
def test_terms_that_cannot_pull_are_named(names, words):
    output = torch.rand(2, requires_grad=True)
    terms = {"near": output.sum(), "each": output * 2, "loose": torch.tensor(1.0)}
    with pytest.raises(ValueError, match=words):
        gradient_norms(terms, output, names)
