"""Oracles: the backbone's own features averaged by hand; images returned as their own features."""

from dataclasses import replace

import pytest
import torch
from torch import nn
from transformers import ResNetConfig, ResNetModel

from sketchloss.metrics.extractors import Extractor, backbone_extractor, embed_images, shared_layer
from sketchloss.networks.backbone import Backbone


def test_backbone_extractor_averages_without_normalising():
    torch.manual_seed(0)
    backbone = Backbone(width=0.125, attention=True).eval()
    extractor = backbone_extractor(backbone, "sketch")
    images = torch.rand(3, 3, 40, 33)
    rows = embed_images(extractor, [images])
    with torch.no_grad():
        expected = backbone(images, ("relu5_3",))["relu5_3"].mean((2, 3))
        unit = backbone.embed(images)
    assert extractor.name == "sketchloss sketch relu5_3"
    assert torch.equal(rows, expected)
    assert torch.allclose(nn.functional.normalize(rows), unit)
    assert not torch.allclose(rows, unit)


def test_backbone_extractor_names_and_sizes_its_layer():
    extractor = backbone_extractor(Backbone(width=0.125), "photo", "relu2_2")
    assert extractor.name == "sketchloss photo relu2_2"
    assert extractor.minimum == 2
    with pytest.raises(ValueError, match="layer 'relu9_9' is unknown"):
        backbone_extractor(Backbone(width=0.125), "photo", "relu9_9")
    with pytest.raises(ValueError, match=r"batch 1: expected at least 2 by 2 pixels, got shape \(1, 1, 1, 9\)"):
        embed_images(extractor, [torch.zeros(1, 1, 2, 2), torch.zeros(1, 1, 1, 9)])


def test_batches_come_back_in_order_as_one_matrix():
    corner = Extractor("corner", lambda images: images[:, :, 0, 0].double())
    weights = torch.ones(1, requires_grad=True)
    batches = [torch.rand(2, 3, 4, 4, requires_grad=True), torch.rand(3, 1, 6, 5, dtype=torch.float64)]
    rows = embed_images(replace(corner, embed=lambda images: corner.embed(images) * weights), iter(batches))
    expected = torch.cat([batches[0][:, :, 0, 0], batches[1].expand(-1, 3, -1, -1)[:, :, 0, 0].float()])
    assert torch.equal(rows, expected.detach())
    assert rows.dtype == torch.float32
    assert not rows.requires_grad


@pytest.mark.parametrize(
    ("batches", "message"),
    [
        ([], "there are no batches"),
        (
            [torch.zeros(1, 3, 4, 4), torch.full((1, 3, 4, 4), -1.0)],
            r"batch 1: expected values in \[0, 1\], got \[-1, -1\]",
        ),
        ([torch.zeros(3, 4, 4)], r"batch 0: expected shape \(n, 1, h, w\)"),
        ([torch.zeros(1, 3, 4, 4, dtype=torch.uint8)], "batch 0: expected floating point"),
    ],
)
def test_batches_that_break_the_contract_are_refused(batches, message):
    with pytest.raises(ValueError, match=message):
        embed_images(Extractor("mean", lambda images: images.mean((2, 3))), batches)


def test_backbones_of_one_kind_share_their_layer_and_others_none(narrow, tmp_path):
    settings = ResNetConfig(embedding_size=8, hidden_sizes=[8, 16, 24, 32], depths=[1, 1, 1, 1], layer_type="basic")
    ResNetModel(settings).save_pretrained(tmp_path)
    assert shared_layer([narrow]) == shared_layer([narrow, narrow]) == "relu5_3"
    assert shared_layer([narrow, f"transformers:{tmp_path}"]) == ""
