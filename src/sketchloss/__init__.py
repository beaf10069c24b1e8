"""A perceptual loss made for sketches (Seo 2025, "Improved Perceptual Loss for Sketch Image Domain")."""

from importlib.metadata import version

from sketchloss.attention import AttentionGate
from sketchloss.backbone import ARMS, TAPS, Backbone, BackboneConfig
from sketchloss.cached_targets import CachedTargets
from sketchloss.images import to_tensor
from sketchloss.loss import SketchLoss, gram
from sketchloss.loss_function import sketch_loss
from sketchloss.ranking import top_k_accuracy
from sketchloss.separation import separation
from sketchloss.weights import load_backbone, save_backbone

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
