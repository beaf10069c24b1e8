"""Settings for training a LoRA, which one training and a table of trainings share."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import tyro

from sketchloss.data.captions.prompts import TEMPLATE, check_template
from sketchloss.diffusion.bases import DEFAULT_BASE
from sketchloss.diffusion.perceptual import Gate, SnrWeighting, Target
from sketchloss.lora.targets import LoraTargets
from sketchloss.loss.tap_distance import Metric
from sketchloss.networks.arms import WeightsPerArm
from sketchloss.networks.paper_layers import PAPER_LAYERS
from sketchloss.system.setting_fields import FILES, LATER, MEASURED, PLACE
from sketchloss.training.checks import require_not_negative, require_positive


@dataclass(frozen=True, kw_only=True)
class LoraSettings(WeightsPerArm):
    """Settings for training a LoRA on any data and with any arm; base of the configs that train one."""

    base: str = field(default=DEFAULT_BASE, metadata=FILES)
    """Stable Diffusion pipeline to start from: `tiny` (in the package), a folder, or a hub name."""
    template: str = TEMPLATE
    """Prompt of a class; `{}` stands for the class's name."""
    captions: Annotated[str | None, tyro.conf.DisallowNone] = None
    """Column with the captions, if the data have one; by default it is found."""
    image_size: int = 256
    """Side of the pictures in pixels."""
    rank: int = 16
    """Rank of the LoRA matrices."""
    alpha: Annotated[float | None, tyro.conf.DisallowNone] = None
    """Numerator of the LoRA's scale, alpha / rank; by default alpha is the rank."""
    targets: LoraTargets = "attention"
    """Layers of the UNet that get a LoRA."""
    perceptual_weight: float = 0.2
    """Weight of the perceptual term beside the noise loss, see `balance`; 0: none."""
    balance: Literal["none", "initial"] = "initial"
    """Meaning of `perceptual_weight`: a factor (`none`), or the ratio of the gradients that the two terms send to the
    UNet's output, measured before training (`initial`), so that it means the same for every arm."""
    balance_batches: int = 32
    """Number of batches that the ratio of the gradients is measured on."""
    gate: Gate = "snr"
    """Samples that get the perceptual term: all (`none`, as in the paper), or those with a signal-to-noise ratio of at
    least `minimum_snr` (`snr`, as Berrada et al. 2025), which saves most of its cost."""
    minimum_snr: float = 3.0
    """Signal-to-noise ratio from which the gate `snr` lets the perceptual term act."""
    snr_weighting: SnrWeighting = "none"
    """Weight of a sample in the perceptual term: all count alike (`none`), or each by its share of signal
    (`signal`)."""
    target: Target = "latent"
    """Target that the decoded prediction is compared with: the decoded true latent (`latent`), or the picture itself
    (`image`)."""
    decoded_part: float = 0.5
    """Side of the window that the perceptual term decodes, as a share of the picture's side; it lies elsewhere at each
    step; 1: the whole picture."""
    layers: tuple[str, ...] = PAPER_LAYERS
    """Layers where the backbone's features are compared. The default is for VGG-16; for another network it is the
    layers that `SketchLoss` compares."""
    metric: Metric = "l1"
    """Distance between the features of the perceptual term."""
    min_snr_gamma: Annotated[float | None, tyro.conf.DisallowNone] = None
    """Bound on the noise loss's weights, such as 5 (Hang et al. 2023); None: all timesteps count alike."""
    unconditional: float = 0.0
    """Share of the pictures shown without their prompt."""
    flip: float = 0.5
    """Share of the times that a picture is shown mirrored; 0 for drawings with writing in them."""
    epochs: int = 10
    """Passes over the pictures."""
    steps: Annotated[int | None, tyro.conf.DisallowNone] = None
    """Train for this many steps, whatever `epochs` says; None: as `epochs` says."""
    batch_size: int = 4
    """Pictures per process and pass through the UNet."""
    accumulate: int = 1
    """Number of passes through the UNet whose gradients make one step."""
    lr: float = 1e-4
    """AdamW's learning rate."""
    warmup: int = 100
    """Steps over which the learning rate rises at the start."""
    schedule: Literal["constant", "cosine"] = "cosine"
    """Learning rate over time: constant, or falling to 0 along a cosine from the start; either is multiplied by the
    warm-up."""
    clip: float = 1.0
    """Greatest norm of the gradient of all LoRA matrices together; 0: no bound."""
    precision: Literal["no", "bf16", "fp16"] = "bf16"
    """Arithmetic of the frozen networks: float32, bfloat16 (float32 where that would be emulated) or float16 (CUDA
    only); LoRA matrices are always float32."""
    checkpointing: Literal["none", "decoder", "unet", "both"] = "decoder"
    """Networks whose activations are computed again in the backward pass: less memory, a third more time."""
    held_out: float = 0.05
    """Share of the pictures that is kept for the validation losses."""
    split_seed: int = 0
    """Random seed that decides which pictures are held out, and which are taken if `per_class` leaves some out."""
    validation_pictures: int = 64
    """Number of held-out pictures that the validation losses use."""
    per_class: Annotated[int | None, tyro.conf.DisallowNone] = None
    """Use at most this many pictures of a class; None: all."""
    classes: tuple[str, ...] = field(default=(), metadata=LATER)
    """Classes to learn; by default all. With the base `tiny`, take classes that it knows: those of the doodles."""
    strict: bool = False
    """Refuse data with unreadable files or missing captions instead of leaving them out."""
    shown: int = 6
    """Number of prompts that the progress pictures show; 0: no pictures."""
    guidance: float = 7.5
    """Classifier-free guidance of the progress pictures."""
    sample_every: int = 500
    """Steps between progress pictures, and between validation losses."""
    checkpoint_every: int = field(default=500, metadata=MEASURED)
    """Steps between checkpoints; one is also made at the end."""
    log_every: int = field(default=20, metadata=MEASURED)
    """Steps between lines of metrics.jsonl."""
    cache: Annotated[Path | None, tyro.conf.DisallowNone] = field(default=None, metadata=PLACE)
    """Folder to keep latents in for other trainings on the same pictures."""
    workers: Annotated[int | None, tyro.conf.DisallowNone] = field(default=None, metadata=PLACE)
    """Processes that decode pictures; by default one for each core except one, 8 at most."""
    seed: int = 0
    """Random seed of the LoRA's start, the order, the noise, and untrained gates."""

    def __post_init__(self) -> None:
        positive = ("rank", "alpha", "image_size", "epochs", "steps", "batch_size", "accumulate", "lr")
        counts = ("balance_batches", "validation_pictures", "sample_every", "checkpoint_every", "log_every")
        require_positive(self, (*positive, *counts, "per_class", "min_snr_gamma"))
        not_negative = ("seed", "split_seed", "workers", "warmup", "clip", "shown", "guidance")
        require_not_negative(self, (*not_negative, "perceptual_weight", "minimum_snr"))
        if not 0 < self.held_out < 1:
            raise ValueError(f"held_out is {self.held_out}: it must lie between 0 and 1")
        if not 0 < self.decoded_part <= 1:
            raise ValueError(f"decoded_part is {self.decoded_part}: it must be above 0 and at most 1")
        if not 0 <= self.flip <= 1:
            raise ValueError(f"flip is {self.flip}: it must be at least 0 and at most 1")
        if not 0 <= self.unconditional < 1:
            raise ValueError(f"unconditional is {self.unconditional}: it must be at least 0 and less than 1")
        if not self.layers:
            raise ValueError("layers is empty: name at least one")
        check_template(self.template)
