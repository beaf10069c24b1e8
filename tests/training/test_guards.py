"""Oracles: the thresholds that the guards state, and the words that a user needs: what is wrong and what to change."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sketchloss.training.guards import BLANK_SPREAD, TrainingStopped, blank_warning, chance_warning, require_finite


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_any_finite_loss_goes_on(loss):
    assert require_finite(loss, 3, 0.1) is None


@pytest.mark.parametrize("loss", [math.nan, math.inf, -math.inf])
def test_another_stops_the_training_and_says_where(loss):
    with pytest.raises(TrainingStopped, match=rf"the loss is {loss} at step 12 \(learning rate 0\.0025\).*a tenth"):
        require_finite(loss, 12, 0.0025)


@pytest.mark.parametrize(
    ("spread", "blank"), [(0.0, True), (BLANK_SPREAD * 0.99, True), (BLANK_SPREAD, False), (0.3, False)]
)
def test_blank_pictures_are_noticed(spread, blank):
    warning = blank_warning(spread)
    assert (warning is not None) == blank
    if warning:
        assert "the pictures are blank" in warning
        assert f"{spread:.2g}" in warning
        assert "larger content weight" in warning


@pytest.mark.parametrize(("side", "blank"), [(1, True), (2, True), (3, False), (40, False)])
def test_a_dot_of_two_pixels_on_a_page_of_256_is_no_drawing_and_one_of_three_is(side, blank):
    page = torch.ones(256, 256)
    page[:side, :side] = 0
    # Of a share p of black pixels the deviation is the root of p (1 - p).
    share = side**2 / 256**2
    assert page.std(correction=0).item() == pytest.approx(math.sqrt(share * (1 - share)), rel=1e-4)
    assert (blank_warning(page.std().item()) is not None) == blank


def test_pictures_without_numbers_are_no_healthy_ones():
    assert "nan" in (blank_warning(math.nan) or "")


@given(st.integers(2, 1000), st.floats(0, 1), st.floats(0, 1))
def test_chance_is_noticed_up_to_half_as_much_again(classes, accuracy, spread):
    warning = chance_warning(accuracy, classes, spread, 0.01)
    assert (warning is None) == (accuracy * classes > 1.5 or accuracy > 1.5 / classes)
    if warning:
        assert ("1e-4 or less" in warning) == (spread < 1e-3)
