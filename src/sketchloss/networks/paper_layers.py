"""Layers of VGG-16 that publications and earlier versions name: presets, for VGG alone."""

from sketchloss.networks.backbone import Backbone

#: Johnson et al.'s four taps, for training generators as the paper does, which names no others.
PAPER_LAYERS = ("relu1_2", "relu2_2", "relu3_3", "relu4_3")
#: Johnson et al.'s layer for the content of a picture.
PAPER_CONTENT_LAYER = "relu2_2"
#: What `SketchLoss` compared by default before version 0.2.
LAYERS_BEFORE_0_2 = ("relu3_3", "relu4_3", "relu5_3")


def layers_for(backbone: Backbone, layers: tuple[str, ...]) -> tuple[str, ...]:
    """Return these layers; of a network that has none of `PAPER_LAYERS`, its `default_layers` in their place."""
    is_preset = layers == PAPER_LAYERS and not set(layers) & set(backbone.taps)
    return backbone.default_layers if is_preset else layers


def content_layer_for(backbone: Backbone, layer: str) -> str:
    """Return this layer; of a network that has no `PAPER_CONTENT_LAYER`, the second of its `default_layers`."""
    is_preset = layer == PAPER_CONTENT_LAYER and layer not in backbone.taps
    return backbone.default_layers[:2][-1] if is_preset else layer
