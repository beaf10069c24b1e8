"""The settings of `sketchloss lora train`, and its presets."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from sketchloss.diffusion.bases import TINY
from sketchloss.lora.settings import LoraSettings
from sketchloss.networks.arms import PROPOSED, ForOneArm
from sketchloss.system.setting_fields import PLACE


@dataclass(frozen=True, kw_only=True)
class LatentDiffusion(LoraSettings, ForOneArm):
    """Train a LoRA that makes a Stable Diffusion pipeline draw sketches, with the perceptual loss of one arm.

    Raises:
        ValueError: for a setting outside its range, naming it.
    """

    data: str
    """Sketches: `doodles`, a folder of class folders or of pictures with captions, a folder of QuickDraw .ndjson, or a
    hub data set."""
    out: Path = field(metadata=PLACE)
    """Run folder to make; the LoRA is in its `lora`."""
    arm: str = PROPOSED
    """Network of the perceptual term: `attention+tuning`, `tuning`, `attention` or `original`, whose weights are given
    by the options of the same name (`photo` for the last two), one of yours as `NAME=WEIGHTS`, or `none` for a plain
    LoRA."""
    beside: ClassVar[tuple[str, ...]] = ("none",)
    resume: bool = field(default=False, metadata=PLACE)
    """Continue the run in `out` to the same weights as if it had never stopped."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_arm()


#: What each preset changes of the defaults above.
PRESETS: dict[str, dict[str, Any]] = {
    # Section 4.1: ImageNet-Sketch, 256 pixels, batch 1, 100 epochs, fp16, the term at every step; the rest, on which it
    # is silent, as diffusers' example.
    "paper": {
        **{"data": "songweig/imagenet_sketch", "photo": "imagenet", "downsample": "none", "precision": "fp16"},
        **{"batch_size": 1, "epochs": 100, "gate": "none", "balance": "none", "perceptual_weight": 1.0, "rank": 4},
        **{"schedule": "constant", "warmup": 0, "checkpointing": "both", "decoded_part": 1.0},
    },
    "stable": {},
    "demo": {
        **{"base": TINY, "data": "doodles?tool=ink", "image_size": 64, "per_class": 20, "lr": 1e-3, "rank": 16},
        **{"targets": "all", "batch_size": 8, "steps": 150, "warmup": 20, "unconditional": 0.1, "guidance": 2.0},
        **{"sample_every": 150, "checkpoint_every": 150, "checkpointing": "none", "balance_batches": 8},
    },
}
