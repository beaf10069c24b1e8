"""The settings of `sketchloss style train`, which the table shares, and its presets."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from sketchloss.loss.balance import Balancing
from sketchloss.loss.feature_distance import PlainMetric
from sketchloss.networks.arms import ForOneArm, WeightsPerArm
from sketchloss.networks.paper_layers import PAPER_CONTENT_LAYER, PAPER_LAYERS
from sketchloss.networks.stylizer import StylizerConfig
from sketchloss.system.setting_fields import MEASURED, PLACE
from sketchloss.training.checks import require_not_negative, require_positive


@dataclass(frozen=True, kw_only=True)
class StyleSettings(WeightsPerArm):
    """Settings for training a photo-to-sketch network of any style and arm; base of the configs that train one."""

    image_size: int = 256
    """Side of the training images in pixels."""
    width: float = 1.0
    """Factor on the network's channels; 0.5 makes a network with a quarter of the arithmetic."""
    blocks: int = 5
    """Number of residual blocks of the network."""
    channels: Literal[1, 3] = 3
    """Colour channels of the sketches: 3, RGB, or 1, grey, which is enough for a grey style."""
    content_layer: str = PAPER_CONTENT_LAYER
    """Layer of the backbone where the sketch's features should be the photo's. The default is for VGG-16; for another
    network it is the second of the layers that `SketchLoss` compares."""
    style_layers: tuple[str, ...] = PAPER_LAYERS
    """Layers where the sketch's Gram matrices should be the style's. The default is for VGG-16; for another network it
    is the layers that `SketchLoss` compares."""
    content_metric: PlainMetric = "l2"
    """Distance between the features of the content term."""
    content_weight: float = 1.0
    """Weight of the content term: more of it gives more likeness."""
    style_weight: float = 10.0
    """Weight of the style term, shared equally by its layers: more of it leaves less of the photo."""
    variation_weight: float = 0.3
    """Weight of the total variation: more of it gives smoother sketches."""
    balance: Balancing = "initial"
    """Meaning of the weights: factors of the terms (`none`), or the ratio of the gradients that the terms send to the
    sketch, at the start (`initial`) or all the way (`running`)."""
    balance_batches: int = 4
    """Number of batches that the ratio of the gradients is measured on before training."""
    balance_every: int = 25
    """Steps between measurements of the ratio of the gradients, with `--balance running`."""
    epochs: int = 2
    """Passes over the photos."""
    steps: Annotated[int | None, tyro.conf.DisallowNone] = None
    """Train for this many steps, whatever `epochs` says; None: as `epochs` says."""
    batch_size: int = 4
    """Photos per process and step."""
    lr: float = 1e-3
    """Adam's learning rate."""
    schedule: Literal["constant", "cosine"] = "cosine"
    """Learning rate over time: constant, or falling to 0 along a cosine."""
    precision: Literal["no", "bf16", "fp16"] = "bf16"
    """Arithmetic: `no`, float32; `bf16`, mixed with bfloat16, or float32 where that would be emulated; `fp16`, mixed
    with float16, on CUDA only."""
    limit: Annotated[int | None, tyro.conf.DisallowNone] = None
    """Use at most this many photos; None: all."""
    style_limit: Annotated[int | None, tyro.conf.DisallowNone] = None
    """Use at most this many sketches; None: all."""
    shown: int = 6
    """Number of photos in the progress pictures."""
    strict: bool = False
    """Refuse sources with unreadable files instead of skipping them. (Damage in the middle of a file is met only when
    it is decoded, and stops the training in any case.)"""
    sample_every: int = 500
    """Steps between progress pictures."""
    checkpoint_every: int = field(default=500, metadata=MEASURED)
    """Steps between checkpoints; one is also made at the end."""
    log_every: int = field(default=20, metadata=MEASURED)
    """Steps between lines of metrics.jsonl."""
    workers: Annotated[int | None, tyro.conf.DisallowNone] = field(default=None, metadata=PLACE)
    """Processes that decode pictures; by default one for each core except one, 8 at most."""
    seed: int = 0
    """Random seed of the network's start, the order, samples of photos, and untrained gates."""

    def __post_init__(self) -> None:
        positive = ("epochs", "steps", "batch_size", "lr", "balance_batches", "balance_every", "sample_every", "shown")
        require_positive(self, (*positive, "image_size", "checkpoint_every", "log_every", "limit", "style_limit"))
        require_not_negative(self, ("seed", "workers", "content_weight", "style_weight", "variation_weight"))
        if self.content_weight == self.style_weight == 0:
            raise ValueError("content_weight and style_weight are both 0: there would be nothing to draw")
        if not self.style_layers:
            raise ValueError("style_layers is empty: name at least one")
        StylizerConfig(width=self.width, blocks=self.blocks, channels=self.channels)


@dataclass(frozen=True, kw_only=True)
class StyleTransfer(StyleSettings, ForOneArm):
    """Train a network that turns photos into sketches, with the perceptual loss of one arm.

    Raises:
        ValueError: for a setting outside its range, naming it.
    """

    content: str
    """Photos to learn from: a folder, a hub data set, or a set of pairs (`doodles`, `cufs:PATH`, `fs2k:PATH?style=1`),
    whose photos are taken."""
    style: str
    """Sketches whose style the network learns: a picture, a folder (the mean style of all), or a set of pairs
    (`doodles`, `cufs:PATH`, `fs2k:PATH?style=1`), whose sketches are taken."""
    out: Path = field(metadata=PLACE)
    """Run folder to make; the network is in its `model`, for `sketchloss style apply`."""
    validation: Annotated[str | None, tyro.conf.DisallowNone] = None
    """Photos for the progress pictures, given in the same way as `content`; by default some of `content` are kept for
    it."""
    resume: bool = field(default=False, metadata=PLACE)
    """Continue the run in `out` to the same weights as if it had never stopped."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_arm()


#: What each preset changes of the defaults above.
PRESETS: dict[str, dict[str, Any]] = {
    # Section 4.1: one epoch over COCO, batch 4, 256 pixels, the rest as Johnson et al.; their weights belong to another
    # network's scale, so the terms are balanced here too.
    "paper": {
        **{"content": "detection-datasets/coco", "photo": "imagenet", "downsample": "none"},
        **{"epochs": 1, "schedule": "constant", "precision": "no"},
    },
    "standard": {},
    "small": {"image_size": 128, "width": 0.5, "epochs": 4},
    "demo": {
        **{"content": "doodles", "style": "doodles?tool=ink", "limit": 150, "style_limit": 100},
        **{"image_size": 64, "width": 0.5, "channels": 1, "style_weight": 1.5, "variation_weight": 0.05, "steps": 250},
        **{"sample_every": 125, "checkpoint_every": 250},
    },
}
