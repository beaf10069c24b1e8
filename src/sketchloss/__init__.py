"""A perceptual loss made for sketches (Seo 2025, "Improved Perceptual Loss for Sketch Image Domain")."""

from importlib.metadata import version
from typing import TYPE_CHECKING

from sketchloss.system.lazy_names import lazy_names

if TYPE_CHECKING:
    from sketchloss.loss.cached_targets import CachedTargets
    from sketchloss.loss.loss import SketchLoss, gram
    from sketchloss.loss.loss_function import sketch_loss
    from sketchloss.metrics.ranking import top_k_accuracy
    from sketchloss.metrics.separation import separation
    from sketchloss.networks.arms import ARMS
    from sketchloss.networks.attention import AttentionGate
    from sketchloss.networks.backbone import Backbone
    from sketchloss.networks.vgg import TAPS, BackboneConfig
    from sketchloss.networks.weights import load_backbone, save_backbone
    from sketchloss.system.images import to_tensor

__version__ = version("sketchloss")

__all__ = [
    "ARMS",
    "TAPS",
    "AttentionGate",
    "Backbone",
    "BackboneConfig",
    "CachedTargets",
    "SketchLoss",
    "gram",
    "load_backbone",
    "save_backbone",
    "separation",
    "sketch_loss",
    "to_tensor",
    "top_k_accuracy",
]

#: Name -> module that it comes from, which is imported when the name is first used: torch takes seconds, and the
#: command line can give help, refuse a mistake and end on Ctrl+C without it.
_HOMES = {
    "ARMS": "networks.arms",
    "TAPS": "networks.vgg",
    "AttentionGate": "networks.attention",
    "Backbone": "networks.backbone",
    "BackboneConfig": "networks.vgg",
    "CachedTargets": "loss.cached_targets",
    "SketchLoss": "loss.loss",
    "gram": "loss.loss",
    "load_backbone": "networks.weights",
    "save_backbone": "networks.weights",
    "separation": "metrics.separation",
    "sketch_loss": "loss.loss_function",
    "to_tensor": "system.images",
    "top_k_accuracy": "metrics.ranking",
}


__getattr__ = lazy_names(__name__, _HOMES)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
