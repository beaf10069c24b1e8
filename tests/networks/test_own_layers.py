"""Another network's own layers in the place of a preset's. Oracle: the network's own list."""

import pytest
from transformers import ResNetConfig, ResNetModel

from sketchloss import load_backbone
from sketchloss.networks.own_layers import content_layer_for, layers_for
from sketchloss.networks.paper_layers import PAPER_CONTENT_LAYER, PAPER_LAYERS


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    """A network without a layer of VGG-16."""
    folder = tmp_path_factory.mktemp("models") / "resnet"
    settings = ResNetConfig(embedding_size=8, hidden_sizes=[8, 16, 24, 32], depths=[1, 1, 1, 1], layer_type="basic")
    ResNetModel(settings).save_pretrained(folder)
    return load_backbone(f"transformers:{folder}")


def test_the_presets_stand_for_its_own_and_the_content_for_the_second_of_these(other):
    assert layers_for(other, PAPER_LAYERS) == other.default_layers
    assert content_layer_for(other, PAPER_CONTENT_LAYER) == other.default_layers[1]


def test_layers_that_were_asked_for_stay(other):
    assert layers_for(other, ("stage3",)) == ("stage3",)
    assert content_layer_for(other, "stage1") == "stage1"
    vgg = load_backbone("imagenet")
    assert layers_for(vgg, PAPER_LAYERS) == PAPER_LAYERS
    assert content_layer_for(vgg, PAPER_CONTENT_LAYER) == PAPER_CONTENT_LAYER
