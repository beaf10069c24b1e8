"""The settings of `sketchloss finetune`, and its presets."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from sketchloss.data.augmentation import CROP_AND_FLIP, Augmentation
from sketchloss.networks.arms import PROPOSED
from sketchloss.networks.attention import GateInit
from sketchloss.networks.pooling import Pooling
from sketchloss.networks.slots import Downsample, Slots, check_slots
from sketchloss.system.setting_fields import FILES, LATER, MEASURED, PLACE, WEIGHTS
from sketchloss.training.checks import require_not_negative, require_positive
from sketchloss.training.sizes import StepSizes, chosen_sizes


@dataclass(frozen=True)
class Finetune(Augmentation):
    """Train VGG-16 or another network, with or without attention, to classify sketches; its features become the loss.

    Raises:
        ValueError: for a setting outside its range, naming it.
    """

    data: str = field(metadata=FILES)
    """Sketches: `doodles`, a folder of class folders, a folder of QuickDraw .ndjson, or a hub data set; several are
    separated by commas."""
    out: Path = field(metadata=PLACE)
    """Run folder to make."""
    arm: Literal["attention+tuning", "tuning"] = "attention+tuning"
    """Network to tune: with attention gates (`attention+tuning`) or without (`tuning`)."""
    weights: str = field(default="imagenet", metadata=WEIGHTS)
    """Weights to start from: a name (imagenet, sketch), a path, a hub repo, or another network as `transformers:ID`."""
    licence: Annotated[str | None, tyro.conf.DisallowNone] = None
    """Licence of the weights to start from, such as CC-BY-4.0, if their config.json does not say; the result's
    config.json notes it."""
    downsample: Downsample = "max"
    """Whether gates replace their pools (`none`, 12 times the arithmetic) or come before them (`max`). `dilated` is
    `none`, and later convolutions are dilated, so that each sees as far as in VGG. Only for VGG-16."""
    slots: Slots = field(default="pools", metadata=LATER)
    """Contents of the first two pool slots of the arm `tuning`: VGG's `pools`, or a control that tells what acts where
    gates do. `convolutions`: 1x1, with as many parameters as gates, trained like gates; `nothing`: neither pool nor
    gate, with `downsample` none or dilated. Only for VGG-16."""
    gate_init: GateInit = "half"
    """Start of the gates: `half`, at 1/2 each, which the next convolution makes up for; `open`, near 1; `ajar`, at
    0.88; `default`, near 0.5; `random`, as `half` with small random differences."""
    pooling: Annotated[Pooling | None, tyro.conf.DisallowNone] = None
    """Kind of VGG's pools: `max`, VGG's own; `blur_max` or `max_blur`, with a blur before or after the maximum, so that
    small shifts change less. By default as in `weights`."""
    head: Literal["vgg", "pooled"] = "pooled"
    """Classifier: VGG's three layers, or one linear layer on pooled features."""
    image_size: int = 64
    """Side in pixels of the images that weights are validated and chosen at."""
    image_sizes: Annotated[tuple[int, ...] | None, tyro.conf.DisallowNone] = None
    """Sides in pixels of the training images: each batch has one of them, drawn at random. By default 3/4, 1, 3/2 and 2
    times `image_size`."""
    size_shares: Annotated[tuple[float, ...] | None, tyro.conf.DisallowNone] = None
    """Share of the batches that each of `image_sizes` gets. By default all the same; for the default sizes 0.1, 0.5,
    0.25 and 0.15."""
    per_class: Annotated[int | None, tyro.conf.DisallowNone] = None
    """Use at most this many sketches of a class, from each of several sources."""
    leave_out: tuple[str, ...] = ()
    """Classes never to train on, under any of their names, so that they can be used to test what was learnt."""
    held_out: float = 0.1
    """Share of each class kept for validation."""
    duplicates: Literal["ignore", "together"] = "ignore"
    """Whether flipped or rotated copies of one picture stay on one side of the split: `together`, or `ignore`."""
    strict: bool = False
    """Refuse a source with unreadable files instead of skipping them."""
    epochs: int = 12
    """Passes over the training part."""
    batch_size: int = 32
    """Images per process and step, the same at every size."""
    accumulate: int = 1
    """Steps whose gradients are added before the weights change."""
    optimizer: Literal["adam", "adamw"] = "adamw"
    """Adam without weight decay, or AdamW with `weight_decay`."""
    lr: float = 8e-5
    """Learning rate of the convolutions."""
    new_lr_factor: float = 10.0
    """Learning rate of a new classifier, as a multiple of `lr`."""
    gate_lr_factor: float = 10.0
    """Learning rate of the gates, new or from the file, as a multiple of `lr`; 0: the gates stay as they start."""
    weight_decay: float = 0.01
    """AdamW's weight decay, for everything except the gates."""
    gate_weight_decay: float = 0.0
    """AdamW's weight decay for the gates."""
    label_smoothing: float = 0.1
    """Label smoothing of the cross-entropy."""
    contrast: float = 0.0
    """Weight of a supervised contrastive term (needs the extra `eval`), which brings drawings of one class nearer to
    each other than to others; 0: none."""
    contrast_together: int = 4
    """Number of drawings of one class that stand beside each other in a batch, with `contrast`."""
    ema: float = 0.0
    """Decay of an average over the weights of all steps, such as 0.999; the average is validated and kept in their
    place; 0: none."""
    schedule: Literal["constant", "cosine"] = "cosine"
    """Learning rate over time, after the warm-up."""
    warmup: int = 100
    """Steps over which the learning rate rises from 0."""
    clip: float = 1.0
    """Largest norm of the gradients; 0: no clipping."""
    precision: Literal["no", "bf16", "fp16"] = "bf16"
    """Arithmetic: `no`, float32; `bf16`, mixed with bfloat16, or float32 where that would be emulated; `fp16`, mixed
    with float16, on CUDA only."""
    checkpoint_activations: bool = False
    """Recompute activations in the backward pass: less memory, more time."""
    workers: Annotated[int | None, tyro.conf.DisallowNone] = field(default=None, metadata=PLACE)
    """Processes that decode pictures; by default one for each core except one, 8 at most."""
    checkpoint_every: int = field(default=500, metadata=MEASURED)
    """Steps between checkpoints; one is also made after each epoch."""
    log_every: int = field(default=20, metadata=MEASURED)
    """Steps between lines of metrics.jsonl."""
    seed: int = 0
    """Random seed of the split, the initial weights, the order and the crops."""
    resume: bool = field(default=False, metadata=PLACE)
    """Continue the run in `out` to the same weights as if it had never stopped."""
    dry_run: bool = field(default=False, metadata=PLACE)
    """Print the plan (images, steps, multiply-adds, memory, time) from a few measured steps, and stop."""

    def __post_init__(self) -> None:
        super().__post_init__()
        positive = ("image_size", "epochs", "batch_size", "accumulate", "lr", "new_lr_factor")
        require_positive(self, (*positive, "contrast_together", "log_every", "checkpoint_every"))
        of_gates = ("gate_lr_factor", "gate_weight_decay")
        require_not_negative(self, ("warmup", "clip", "weight_decay", "contrast", "workers", *of_gates))
        if not 0 < self.held_out < 1:
            raise ValueError(f"held_out is {self.held_out}: it must lie between 0 and 1")
        if not 0 <= self.label_smoothing < 1:
            raise ValueError(f"label_smoothing is {self.label_smoothing}: it must be at least 0 and below 1")
        if not 0 <= self.ema < 1:
            raise ValueError(f"ema is {self.ema}: it must be at least 0 and below 1")
        # note: `downsample` may say none for pools, too: a preset and a study say the same for all arms.
        check_slots(attention=self.arm == PROPOSED, slots=self.slots, downsample=self.downsample)
        self.step_sizes()

    def step_sizes(self) -> StepSizes:
        """Return the sizes to train at; ValueError as `chosen_sizes`."""
        return chosen_sizes(self.image_size, self.image_sizes, self.size_shares)


#: What each preset changes of the defaults above.
PRESETS: dict[str, dict[str, Any]] = {
    # Algorithm 1 as printed. Its learning rate is known to fail; the run says so when it does.
    "paper": {
        **{"weights": "imagenet", "downsample": "none", "gate_init": "default", "head": "vgg", "image_size": 224},
        **{"image_sizes": (224,), "crop_scale": (0.08, 1.0), **CROP_AND_FLIP, "label_smoothing": 0.0},
        **{"epochs": 25, "batch_size": 32, "optimizer": "adam", "lr": 0.005, "new_lr_factor": 1.0},
        **{"gate_lr_factor": 1.0, "schedule": "constant", "warmup": 0, "clip": 0.0, "precision": "no"},
    },
    "stable": {},
    "demo": {"image_sizes": (64,), "per_class": 24, "epochs": 2, "lr": 2e-4, "warmup": 10},
}
