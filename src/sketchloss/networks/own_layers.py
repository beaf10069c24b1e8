"""Layers of another network, in place of the VGG-16 layers that a preset names."""

from sketchloss.networks.backbone import Backbone
from sketchloss.networks.paper_layers import PAPER_CONTENT_LAYER, PAPER_LAYERS


def layers_for(backbone: Backbone, layers: tuple[str, ...]) -> tuple[str, ...]:
    """Return these layers; of a network that has none of `PAPER_LAYERS`, its `default_layers` in their place."""
    is_preset = layers == PAPER_LAYERS and not set(layers) & set(backbone.taps)
    return backbone.default_layers if is_preset else layers


def content_layer_for(backbone: Backbone, layer: str) -> str:
    """Return this layer; of a network that has no `PAPER_CONTENT_LAYER`, the second of its `default_layers`."""
    is_preset = layer == PAPER_CONTENT_LAYER and layer not in backbone.taps
    return backbone.default_layers[:2][-1] if is_preset else layer
