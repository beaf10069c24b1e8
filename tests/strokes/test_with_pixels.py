"""Oracle: gradients by autograd."""

import pytest
import torch

from sketchloss.strokes.named_losses import pixels_l1
from sketchloss.strokes.with_pixels import WithPixels

torch.manual_seed(0)
PRED, TARGET = torch.rand(2, 3, 1, 16, 16)


def squares(pred, target):
    return 1e4 * (pred - target).square().mean((1, 2, 3))


def gradient(loss, pred):
    leaf = pred.clone().requires_grad_()
    (found,) = torch.autograd.grad(loss(leaf).sum(), leaf)
    return found


@pytest.mark.parametrize("pull", [1, 0.3])
def test_the_term_s_gradient_has_its_multiple_of_the_pixels_norm_for_each_picture(pull):
    loss = WithPixels(squares, pull=pull)
    given = loss.extract(TARGET)
    whole = gradient(lambda pred: loss(pred, given), PRED)
    pixels = gradient(lambda pred: pixels_l1(pred, TARGET), PRED)
    of_term = (whole - pixels).flatten(1).norm(dim=1)
    torch.testing.assert_close(of_term, pull * pixels.flatten(1).norm(dim=1))


def test_the_weight_stays_what_it_was_at_first():
    loss = WithPixels(squares)
    given = loss.extract(TARGET)
    first = PRED.clone().requires_grad_()
    loss(first, given)
    weight = given[2]["term"]
    near = (TARGET + 0.01 * (PRED - TARGET)).requires_grad_()
    torch.testing.assert_close(loss(near, given), pixels_l1(near, TARGET) + weight * squares(near, TARGET))


def test_equal_pictures_give_zero():
    loss = WithPixels(squares)
    same = TARGET.clone().requires_grad_()
    found = loss(same, loss.extract(TARGET))
    assert found.tolist() == [0, 0, 0]
    found.sum().backward()
    assert same.grad.isfinite().all()


def test_the_weight_of_a_picture_that_begins_at_its_target_is_found_where_it_first_differs():
    loss = WithPixels(squares)
    given = loss.extract(TARGET)
    loss(TARGET.clone().requires_grad_(), given)
    loss(torch.cat([PRED[:1], TARGET[1:]]).requires_grad_(), given)
    first = given[2]["term"].clone()
    assert (first > 0).tolist() == [True, False, False]
    loss(PRED.clone().requires_grad_(), given)
    expected = loss.extract(TARGET)
    loss(PRED.clone().requires_grad_(), expected)
    torch.testing.assert_close(given[2]["term"], expected[2]["term"])


def test_a_term_that_is_flat_at_first_is_weighed_where_it_first_pulls():
    """Oracle: the weight of a term that pulls from there on; a hinge has no gradient where all is dark enough."""
    loss, above = WithPixels(lambda pred, target: (pred - 0.9).clamp_min(0).sum((1, 2, 3))), 0.95
    given = loss.extract(TARGET)
    dark = (0.5 * PRED).requires_grad_()
    torch.testing.assert_close(loss(dark, given), pixels_l1(dark, TARGET))
    light = torch.full_like(PRED, above).requires_grad_()
    expected = loss.extract(TARGET)
    torch.testing.assert_close(loss(light, given), loss(light, expected))
    assert 0 < given[2]["term"].max() < 1


def test_a_term_that_returns_one_value_for_all_is_refused():
    loss = WithPixels(lambda pred, target: squares(pred, target).mean())
    with pytest.raises(ValueError, match=r"a tensor \(\) of 3 pictures: beside the pixels it must return a value for"):
        loss(PRED.clone().requires_grad_(), loss.extract(TARGET))


@pytest.mark.parametrize(
    ("term", "message"),
    [
        (lambda pred, target: 1.0, "the loss returned float: it must return one value for each of 3 drawings"),
        (lambda pred, target: squares(pred, target).detach(), "the loss has no gradient: it must be computed from"),
    ],
)
def test_a_term_that_is_no_loss_is_one_clear_line(term, message):
    loss = WithPixels(term)
    with pytest.raises(ValueError, match=message):
        loss(PRED.clone().requires_grad_(), loss.extract(TARGET))


@pytest.mark.parametrize("pull", [0, -1.0, float("nan"), float("inf")])
def test_bad_pulls_are_one_clear_line(pull):
    with pytest.raises(ValueError, match=f"pull is {pull}: it must be above 0"):
        WithPixels(squares, pull=pull)
