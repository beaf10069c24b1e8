"""What a training takes, counted. Oracles: arithmetic by hand, published counts of VGG-16, and torch's own step."""

import os

import pytest
import torch
from torch import nn

from sketchloss import Backbone
from sketchloss.training import resources
from sketchloss.training.resources import count_multiply_adds, free_memory, peak_training_memory, require_memory


def test_multiply_adds_of_a_convolution():
    counted = count_multiply_adds(lambda: nn.Conv2d(3, 8, 3, padding=1)(torch.rand(2, 3, 10, 20)))
    assert counted == 2 * 10 * 20 * 8 * 3 * 9


@pytest.mark.parametrize(("attention", "downsample", "published"), [(False, "max", 15.35e9), (True, "none", 183.2e9)])
def test_multiply_adds_of_vgg_16_at_224_pixels(attention, downsample, published):
    counted = count_multiply_adds(
        lambda: Backbone(attention=attention, downsample=downsample)(torch.rand(1, 3, 224, 224), ("relu5_3",))
    )
    assert counted == pytest.approx(published, rel=0.001)


def test_nothing_is_computed():
    peak = peak_training_memory(
        lambda: Backbone(attention=True, downsample="none"),
        lambda network: network(torch.rand(64, 3, 512, 512), ("relu5_3",))["relu5_3"].mean(),  # half a terabyte
    )
    assert peak > 2**37


def test_memory_is_weights_gradients_states_and_what_the_backward_pass_keeps():
    width, rows = 1000, 500

    def build() -> nn.Module:
        return nn.Sequential(nn.Linear(width, width, bias=False), nn.Tanh(), nn.Linear(width, width, bias=False))

    counted = peak_training_memory(build, lambda network: network(torch.rand(rows, width)).square().sum())
    weights, activation = 2 * 4 * width**2, 4 * rows * width
    # weights, gradients and Adam's two states; the input, the hidden values and the outputs, and gradients of some
    assert 4 * weights + 2 * activation <= counted <= 4 * weights + 7 * activation


def test_memory_grows_with_the_batch():
    def peak(batch: int) -> int:
        return peak_training_memory(
            lambda: Backbone(attention=True, classes=("a", "b")),
            lambda network: network.classify(torch.rand(batch, 3, 64, 64)).sum(),
        )

    first, second, third = peak(16), peak(32), peak(48)
    assert second - first == pytest.approx(third - second, rel=0.01)
    assert second > first


def test_what_memory_will_not_hold_is_refused(monkeypatch):
    # Oracle: the system's own count of what is free.
    free = free_memory(torch.device("cpu"))
    assert 0 < free <= os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    monkeypatch.setattr(resources, "free_memory", lambda device: 10 * 2**30)
    require_memory(8 * 2**30, torch.device("cpu"), what="a step", mend="name less")
    with pytest.raises(ValueError, match=r"^a step takes about 10\.1 GiB, and 10\.0 GiB are free: name less$"):
        require_memory(int(8.1 * 2**30), torch.device("cpu"), what="a step", mend="name less")
