"""What a backbone takes for a picture, counted on a network of its settings without computing."""

from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch._subclasses.fake_tensor import unset_fake_temporarily

from sketchloss.networks.backbone import Backbone
from sketchloss.networks.weights import load_backbone
from sketchloss.training.resources import count_multiply_adds, peak_training_memory, without_contents


@dataclass(frozen=True)
class Network:
    """A network whose arithmetic is counted, which weights do not change."""

    weights: str
    attention: bool | None
    """None: as its weights have it."""
    downsample: str

    @property
    def like(self) -> Backbone:
        """It, with its weights, to be asked for its layers."""
        with unset_fake_temporarily():  # weights cannot be read where tensors have no contents
            return _loaded(self)

    def build(self, **settings: Any) -> Backbone:
        """Return it untrained, with these settings changed."""
        return type(self.like)(replace(self.like.config, **self.like.check_settings(settings)))


@cache
def _loaded(network: Network) -> Backbone:
    settings: dict[str, Any] = {"downsample": network.downsample, "classes": ()}
    if network.attention is not None:
        settings["attention"] = network.attention
    try:
        return load_backbone(network.weights, **settings)
    except (OSError, ValueError):  # not here: the paper's network is counted
        return Backbone(**settings)


@cache
def count_forward(network: Network, size: int, layers: tuple[str, ...] = ()) -> int:
    """Return the multiply-adds of an image up to the deepest of some layers; none: up to the embedding."""
    wanted = layers or (network.like.embedding_layer,)
    return count_multiply_adds(lambda: network.build()(torch.rand(1, 3, size, size), wanted))


@cache
def feature_shape(network: Network, size: int, layer: str) -> torch.Size:
    """Return channels, height and width of a layer's features."""
    with without_contents(), torch.no_grad():
        return network.build()(torch.rand(1, 3, size, size), (layer,))[layer].shape[1:]


@cache
def tuning_memory(network: Network, size: int, head: str, classes: int, batch: int, precision: str) -> int:
    """Return the peak bytes of tensors in a step of tuning on a batch of images of a size in pixels."""

    def loss(built: Any) -> torch.Tensor:
        images = torch.rand(batch, 3, size, size)
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            logits = built.classify(images)
        return F.cross_entropy(logits.float(), torch.zeros(batch, dtype=torch.long))

    return peak_training_memory(lambda: network.build(classes=tuple(map(str, range(classes))), head=head), loss)
