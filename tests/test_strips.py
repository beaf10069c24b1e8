"""A backbone in strips. Oracle: the backbone on the whole picture."""

import pytest
import torch

import sketchloss.strips
from sketchloss import Backbone
from sketchloss.strips import InStrips

LAYERS = ("relu1_2", "relu2_2", "pool3", "relu4_3")


@pytest.fixture(autouse=True)
def narrow_strips(monkeypatch):
    monkeypatch.setattr(sketchloss.strips, "PIXELS", 64 * 64)


def _backbone(**settings) -> Backbone:
    torch.manual_seed(0)
    return Backbone(width=0.0625, **settings).eval()


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"attention": True},
        {"attention": True, "gate_order": "spatial_channel", "pooling": "blur_max"},
        {"attention": True, "gate_order": "parallel", "pooling": "max_blur"},
        {"attention": True, "downsample": "none"},
    ],
    ids=str,
)
@pytest.mark.parametrize("size", [(301, 77), (97, 64)], ids=str)
def test_features_and_gradients_are_those_of_the_whole_picture(settings, size):
    backbone = _backbone(**settings)
    images = torch.rand(2, 3, *size, requires_grad=True)
    whole = backbone(images, LAYERS)
    look = InStrips(backbone, LAYERS, *size)
    assert len(look.strips) > 1 or size[0] < 100
    strips = list(look.each(images, lambda features, strip: tuple(features[layer] for layer in LAYERS)))
    for layer, parts in zip(LAYERS, zip(*strips, strict=True), strict=True):
        torch.testing.assert_close(torch.cat(parts, dim=2), whole[layer], atol=1e-5, rtol=1e-4)
    (expected,) = torch.autograd.grad(sum(features.square().sum() for features in whole.values()), images)
    (found,) = torch.autograd.grad(sum(part.square().sum() for parts in strips for part in parts), images)
    assert (found - expected).norm() < 1e-4 * expected.norm()


def test_strips_cut_the_rows_of_features_of_the_whole_picture_alike():
    backbone = _backbone()
    images = torch.rand(1, 3, 330, 70)
    whole = backbone(images, LAYERS)
    look = InStrips(backbone, LAYERS, 330, 70)
    for layer in LAYERS:
        rows = [strip.outer(whole[layer], look.strides[layer]) for strip in look.strips]
        assert torch.equal(torch.cat(rows, dim=2), whole[layer])
