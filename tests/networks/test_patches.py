"""A backbone in patches. Oracle: the backbone on the whole picture."""

import pytest
import torch

import sketchloss.networks.patches
from sketchloss import Backbone
from sketchloss.networks.patches import InPatches

LAYERS = ("relu1_2", "relu2_2", "pool3", "relu4_3")


@pytest.fixture(autouse=True)
def small_patches(monkeypatch):
    monkeypatch.setattr(sketchloss.networks.patches, "SIDE", 64)


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
        {"attention": True, "downsample": "dilated"},
        {"slots": "convolutions"},
    ],
    ids=str,
)
@pytest.mark.parametrize("size", [(301, 177), (97, 64)], ids=str)
def test_features_and_gradients_are_those_of_the_whole_picture(settings, size):
    backbone = _backbone(**settings)
    images = torch.rand(2, 3, *size, requires_grad=True)
    whole = backbone(images, LAYERS)
    look = InPatches(backbone, LAYERS, *size)
    assert len(look.patches) > 1 or size[0] < 100
    parts = list(look.each(images, lambda features, patch: tuple(features[layer] for layer in LAYERS)))
    for layer, of_layer in zip(LAYERS, zip(*parts, strict=True), strict=True):
        torch.testing.assert_close(_join(look, of_layer), whole[layer], atol=1e-5, rtol=1e-4)
    (expected,) = torch.autograd.grad(sum(features.square().sum() for features in whole.values()), images)
    (found,) = torch.autograd.grad(sum(part.square().sum() for patch in parts for part in patch), images)
    assert (found - expected).norm() < 1e-4 * expected.norm()


def _join(look: InPatches, parts: tuple[torch.Tensor, ...]) -> torch.Tensor:
    known = iter(parts)
    return torch.cat([torch.cat([next(known) for _ in row], dim=3) for row in look.rows], dim=2)


def test_patches_cut_features_of_the_whole_picture_alike():
    backbone = _backbone()
    images = torch.rand(1, 3, 330, 270)
    whole = backbone(images, LAYERS)
    look = InPatches(backbone, LAYERS, 330, 270)
    assert len(look.rows) > 1
    assert len(look.rows[0]) > 1
    for layer in LAYERS:
        parts = tuple(patch.outer(whole[layer], look.strides[layer]) for patch in look.patches)
        assert torch.equal(_join(look, parts), whole[layer])


@pytest.mark.parametrize(
    "settings", [{}, {"attention": True, "pooling": "blur_max"}, {"attention": True, "gate_order": "spatial_channel"}]
)
def test_a_small_white_page_tells_what_a_large_one_looks_like(settings):
    backbone, size = _backbone(**settings), (613, 401)
    look = InPatches(backbone, LAYERS, *size)
    with torch.no_grad():
        whole = backbone(torch.ones(1, 3, *size), LAYERS)
        page = look.blank(torch.float32)
    seen = [page.of(patch) for patch in look.patches]
    for layer in LAYERS:
        torch.testing.assert_close(_join(look, tuple(part[layer] for part in seen)), whole[layer], atol=1e-5, rtol=1e-4)
