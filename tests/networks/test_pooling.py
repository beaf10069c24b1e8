"""Oracles: the binomial filter as a convolution over a padded map, and kornia's MaxBlurPool inside the border."""

import hashlib
import inspect
import json

import pytest
import torch
import torch.nn.functional as F
from kornia.filters import max_blur_pool2d

from sketchloss.networks.backbone import Backbone
from sketchloss.networks.pooling import BlurredPool, new_pool
from sketchloss.networks.weights import load_backbone, save_backbone, weights_digest

FILTER = torch.tensor([1.0, 2.0, 1.0], dtype=torch.float64)[:, None] * torch.tensor([1.0, 2.0, 1.0]) / 16


def features(*shape: int) -> torch.Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def blurred(maps: torch.Tensor) -> torch.Tensor:
    channels = maps.shape[1]
    padded = F.pad(maps, (1, 1, 1, 1), mode="replicate")
    return F.conv2d(padded, FILTER.to(maps.dtype).expand(channels, 1, 3, 3), groups=channels)


@pytest.mark.parametrize("sides", [(8, 6), (7, 9), (2, 2), (3, 2)])
def test_each_kind_is_what_its_name_says(sides):
    maps = features(2, 3, *sides)
    height, width = sides[0] // 2, sides[1] // 2
    torch.testing.assert_close(new_pool("max")(maps), F.max_pool2d(maps, 2))
    torch.testing.assert_close(new_pool("blur_max")(maps), F.max_pool2d(blurred(maps), 2))
    expected = blurred(F.max_pool2d(maps, 2, stride=1))[..., ::2, ::2][..., :height, :width]
    torch.testing.assert_close(new_pool("max_blur")(maps), expected)


def test_inside_the_border_it_is_kornias():
    maps = features(1, 4, 12, 12)
    found, peer = new_pool("max_blur")(maps), max_blur_pool2d(maps, 3)
    torch.testing.assert_close(found[..., 1:-1, 1:-1], peer[..., 1:-1, 1:-1])


@pytest.mark.parametrize("kind", ["blur_max", "max_blur"])
def test_a_constant_map_stays_as_it_is(kind):
    torch.testing.assert_close(new_pool(kind)(torch.full((1, 2, 6, 8), 3.0)), torch.full((1, 2, 3, 4), 3.0))


@pytest.mark.parametrize("kind", ["blur_max", "max_blur"])
def test_a_shift_by_one_changes_less_than_with_vggs_pools(kind):
    maps = features(4, 8, 33, 33)

    def change(name: str) -> float:
        pool = new_pool(name)
        here, there = pool(maps[..., :-1]), pool(maps[..., 1:])
        return ((here - there).norm() / (here - here.mean()).norm()).item()

    assert change(kind) < 0.8 * change("max")


def test_another_kind_is_refused():
    with pytest.raises(ValueError, match="pooling 'mean' is unknown: use max, blur_max, max_blur"):
        inspect.unwrap(new_pool)("mean")


def test_pooling_is_stored_and_comes_back(tmp_path):
    save_backbone(Backbone(width=0.125, pooling="blur_max"), tmp_path)
    loaded = load_backbone(tmp_path)
    assert loaded.config.pooling == "blur_max"
    assert isinstance(loaded.features[4], BlurredPool)
    assert load_backbone(tmp_path, pooling="max").config.pooling == "max"
    assert loaded.minimum_size(("relu5_3",)) == 16


def test_gates_pool_as_the_backbone_does():
    backbone = Backbone(width=0.125, pooling="max_blur", attention=True, downsample="max")
    assert [type(backbone.features[slot].pool) for slot in (4, 9)] == [BlurredPool] * 2
    assert [type(backbone.features[slot]) for slot in (16, 23, 30)] == [BlurredPool] * 3


def test_the_digest_tells_poolings_apart_and_is_the_old_one_for_vggs():
    # Oracle: the digest as it was before there was a choice, written out.
    torch.manual_seed(0)
    plain = Backbone(width=0.125)
    settings = {
        name: value for name, value in plain.describe().items() if name not in ("classes", "head", "pooling", "slots")
    }
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    for name, tensor in sorted(plain.state_dict().items()):
        digest.update(name.encode() + tensor.numpy().tobytes())
    assert weights_digest(plain) == digest.hexdigest()
    blurred = Backbone(width=0.125, pooling="max_blur")
    blurred.load_state_dict(plain.state_dict())
    assert weights_digest(blurred) != weights_digest(plain)
