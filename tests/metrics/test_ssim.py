"""Oracles: SSIM written out with NumPy, window by window, and its closed form for constant images."""

import math

import jaxtyping
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sketchloss.metrics.ssim import ssim


@pytest.fixture
def random():
    return torch.Generator().manual_seed(0)


LUMA = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601
C1, C2 = 0.01**2, 0.03**2


def wang(one, other):
    """SSIM of two h×w arrays: equations 13 to 17 of Wang et al. 2004, window by window."""
    line = np.exp(-((np.arange(11) - 5.0) ** 2) / (2 * 1.5**2))
    window = np.outer(line, line) / np.outer(line, line).sum()
    values = []
    for row in range(one.shape[0] - 10):
        for column in range(one.shape[1] - 10):
            x, y = (image[row : row + 11, column : column + 11] for image in (one, other))
            mean_x, mean_y = (window * x).sum(), (window * y).sum()
            variance_x, variance_y = (window * (x - mean_x) ** 2).sum(), (window * (y - mean_y) ** 2).sum()
            covariance = (window * (x - mean_x) * (y - mean_y)).sum()
            luminance = (2 * mean_x * mean_y + C1) / (mean_x**2 + mean_y**2 + C1)
            values.append(luminance * (2 * covariance + C2) / (variance_x + variance_y + C2))
    return np.mean(values)


@pytest.mark.parametrize("size", [(11, 11), (17, 23)])
def test_ssim_is_wangs(random, size):
    pred = torch.rand(2, 3, *size, generator=random)
    target = (pred + 0.3 * torch.rand(2, 3, *size, generator=random)).clamp(0, 1)
    pixels = list(zip(pred.double().numpy(), target.double().numpy(), strict=True))
    grey = [wang(np.tensordot(LUMA, x, 1), np.tensordot(LUMA, y, 1)) for x, y in pixels]
    rgb = [np.mean([wang(a, b) for a, b in zip(x, y, strict=True)]) for x, y in pixels]
    assert ssim(pred, target).tolist() == pytest.approx(grey, abs=1e-6)
    assert ssim(pred, target, colour="rgb").tolist() == pytest.approx(rgb, abs=1e-6)
    assert ssim(pred, target).dtype == torch.float32


@pytest.mark.parametrize("one", [0.0, 0.2, 1.0])
@pytest.mark.parametrize("other", [0.0, 0.7, 1.0])
def test_ssim_of_constant_images_is_the_luminance_term(one, other):
    # Variances are 0 there, so that the second factor is C2 / C2.
    pred, target = torch.full((1, 1, 12, 12), one), torch.full((1, 1, 12, 12), other)
    expected = (2 * one * other + C1) / (one**2 + other**2 + C1)
    for colour in ("grey", "rgb"):
        assert ssim(pred, target, colour=colour).item() == pytest.approx(expected, abs=1e-6)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 2**31), st.sampled_from([1, 3]))
def test_ssim_of_equal_images_is_1_and_of_others_symmetric_and_less(seed, channels):
    random = torch.Generator().manual_seed(seed)
    pred, target = torch.rand(2, 2, channels, 11, 13, generator=random)
    assert ssim(pred, pred).tolist() == [1.0, 1.0]
    assert torch.equal(ssim(pred, target), ssim(target, pred))
    assert (ssim(pred, target) < 1).all()


def test_ssim_of_many_images_is_that_of_each(random):
    pred, target = torch.rand(2, 35, 1, 12, 12, generator=random)
    each = [ssim(one[None], other[None]).item() for one, other in zip(pred, target, strict=True)]
    assert ssim(pred, target).tolist() == pytest.approx(each, abs=1e-7)


@pytest.mark.parametrize(
    ("pred", "target", "message"),
    [
        (torch.zeros(1, 1, 10, 20), torch.zeros(1, 1, 10, 20), r"pred: expected at least 11 by 11 pixels, .*10, 20"),
        (torch.zeros(1, 1, 12, 12), torch.zeros(1, 3, 12, 12), r"pred is \(1, 1, 12, 12\), target \(1, 3, 12, 12\)"),
        (torch.zeros(1, 1, 12, 12), torch.full((1, 1, 12, 12), 255.0), r"target: .* got \[255, 255\].*divide by 255"),
        (torch.full((1, 1, 12, 12), math.nan), torch.zeros(1, 1, 12, 12), "pred: .*NaN"),
    ],
)
def test_ssim_refuses_what_breaks_the_contract(pred, target, message):
    with pytest.raises(ValueError, match=message):
        ssim(pred, target)


def test_an_unknown_colour_is_refused(monkeypatch):
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)  # which would be quicker to refuse it
    with pytest.raises(ValueError, match="colour 'gray' is unknown: use grey or rgb"):
        ssim(torch.zeros(1, 1, 12, 12), torch.zeros(1, 1, 12, 12), colour="gray")
