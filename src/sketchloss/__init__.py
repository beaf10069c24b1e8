"""A perceptual loss made for sketches (Seo 2025, "Improved Perceptual Loss for Sketch Image Domain")."""

import sys
from importlib.metadata import version
from types import ModuleType
from typing import TYPE_CHECKING, Any

from sketchloss.lazy_names import lazy_names

if TYPE_CHECKING:
    from sketchloss.cached_targets import CachedTargets
    from sketchloss.images import to_tensor
    from sketchloss.loss import SketchLoss, gram
    from sketchloss.loss_function import sketch_loss
    from sketchloss.networks.arms import ARMS
    from sketchloss.networks.attention import AttentionGate
    from sketchloss.networks.backbone import Backbone
    from sketchloss.networks.vgg import TAPS, BackboneConfig
    from sketchloss.networks.weights import load_backbone, save_backbone
    from sketchloss.ranking import top_k_accuracy
    from sketchloss.separation import separation

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
    "CachedTargets": "cached_targets",
    "SketchLoss": "loss",
    "gram": "loss",
    "load_backbone": "networks.weights",
    "save_backbone": "networks.weights",
    "separation": "separation",
    "sketch_loss": "loss_function",
    "to_tensor": "images",
    "top_k_accuracy": "ranking",
}


__getattr__ = lazy_names(__name__, _HOMES)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


class _Package(ModuleType):
    """The package. Python puts each module that it imports in its parent; here `separation` stays the function."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "separation" and isinstance(value, ModuleType):
            value = value.separation
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
