"""Oracles: pixels lead free pixels back, a loss that says nothing leaves them; scipy's Gaussian filter."""

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from sketchloss.data.quickdraw.drawings import open_drawings
from sketchloss.metrics.ink_overlap import ink_overlap
from sketchloss.strokes.free_pixels import BLUR, NOISE, recover_pixels
from sketchloss.strokes.named_losses import pixels_l1
from sketchloss.strokes.starts import PIXEL_STARTS


@pytest.fixture(scope="module")
def drawings():
    return open_drawings("doodles", per_class=1, classes=3, seed=0)


def nothing(pred, target):
    return (pred * 0).sum((1, 2, 3))


@pytest.mark.parametrize("start", PIXEL_STARTS)
def test_pixels_lead_pixels_back(start, drawings):
    found = recover_pixels(pixels_l1, drawings, start=start, steps=100, record_every=50)
    assert found.recorded.tolist() == [0, 50, 100]
    assert (found.chamfer[0] >= found.pen).any()
    assert (found.chamfer[-1] < found.pen).all()
    torch.testing.assert_close(found.chamfer[1], ink_overlap(found.way[1], found.truth).chamfer)
    assert (found.way[-1] - found.truth).abs().mean() < 0.1 * (found.way[0] - found.truth).abs().mean()


def test_a_constant_loss_leaves_them(drawings):
    found = recover_pixels(nothing, drawings, start="noisy", steps=3)
    assert torch.equal(found.way[0], found.way[-1])
    assert torch.equal(found.chamfer[0], found.chamfer[-1])


def test_starts_are_blurred_and_noisy_as_said(drawings):
    blurred = recover_pixels(nothing, drawings, start="blurred", steps=1)
    expected = gaussian_filter(blurred.truth[0, 0].double().numpy(), BLUR * 64, mode="nearest", truncate=3)
    np.testing.assert_allclose(blurred.way[0][0, 0].numpy(), expected, atol=2e-3)
    noisy = recover_pixels(nothing, drawings, start="noisy", steps=1)
    # On white paper half of the noise is cut off: the mean of what is left is NOISE / sqrt(2 pi).
    paper = noisy.truth > 0.999
    assert float((1 - noisy.way[0][paper]).mean()) == pytest.approx(NOISE / np.sqrt(2 * np.pi), rel=0.05)


def test_a_drawing_s_start_is_its_own(drawings):
    together = recover_pixels(nothing, drawings, start="noisy", steps=1)
    alone = recover_pixels(nothing, drawings[1:2], start="noisy", steps=1)
    assert torch.equal(together.way[0][1:2], alone.way[0])
    other = recover_pixels(nothing, drawings, start="noisy", steps=1, seed=1)
    assert not torch.equal(together.way[0], other.way[0])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"steps": 0}, "steps is 0: give at least 1"),
        ({"size": 0}, "size is 0: give at least 1"),
        ({"record_every": 0}, "record_every is 0: give at least 1"),
        ({"drawings": []}, "there are no drawings: give at least one"),
        ({"loss": lambda pred, target: 1.0}, "the loss returned float"),
    ],
)
def test_bad_input_is_one_clear_line(settings, message, drawings):
    loss, some = settings.pop("loss", pixels_l1), settings.pop("drawings", drawings)
    with pytest.raises(ValueError, match=message):
        recover_pixels(loss, some, **settings)
