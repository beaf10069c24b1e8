"""The settings of `sketchloss distil`."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import tyro

from sketchloss.data.augmentation import Augmentation
from sketchloss.system.setting_fields import FILES, MEASURED, PLACE, WEIGHTS
from sketchloss.training.checks import require_not_negative, require_positive
from sketchloss.training.sizes import StepSizes, chosen_sizes


@dataclass(frozen=True)
class Distil(Augmentation):
    """Train a thinner, faster network whose features and distances are those of a given one, on drawings alone.

    Raises:
        ValueError: for a setting outside its range, naming it.
    """

    data: str = field(metadata=FILES)
    """Sketches, whose labels are not used: `doodles`, a folder of class folders, a folder of QuickDraw .ndjson, or a
    hub data set; several are separated by commas."""
    out: Path = field(metadata=PLACE)
    """Run folder to make."""
    teacher: str = field(default="sketch", metadata=WEIGHTS)
    """Weights to imitate, of a VGG-16: a name (sketch, sketch-plain, imagenet), a path, or a hub repo."""
    width: float = 0.4375
    """Factor on the channel counts of VGG-16. Time and size go by about its square."""
    start: Literal["fitted", "random"] = "fitted"
    """Start of the thin network: filters that are fitted to the teacher's, layer by layer, or random ones."""
    feature_weight: float = 1.0
    """Weight of the term that compares features, through projections."""
    distance_weight: float = 300.0
    """Weight of the term that compares distances between pairs of drawings."""
    embedding_weight: float = 0.3
    """Weight of the term that compares how alike the embeddings of drawings are."""
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
    held_out: int = 256
    """Number of sketches kept for validation."""
    strict: bool = False
    """Refuse a source with unreadable files instead of skipping them."""
    steps: int = 20_000
    """Number of training steps."""
    batch_size: int = 16
    """Sketches per process and step; each is looked at with a partner."""
    lr: float = 1e-4
    """AdamW's learning rate."""
    weight_decay: float = 1e-4
    """AdamW's weight decay."""
    schedule: Literal["constant", "cosine"] = "cosine"
    """Learning rate over time, after the warm-up."""
    warmup: int = 200
    """Steps over which the learning rate rises from 0."""
    clip: float = 1.0
    """Largest norm of the gradients; 0: no clipping."""
    precision: Literal["no", "bf16", "fp16"] = "bf16"
    """Arithmetic: `no`, float32; `bf16`, mixed with bfloat16, or float32 where that would be emulated; `fp16`, mixed
    with float16, on CUDA only."""
    workers: Annotated[int | None, tyro.conf.DisallowNone] = field(default=None, metadata=PLACE)
    """Processes that decode pictures; by default one for each core except one, 8 at most."""
    validate_every: int = 1000
    """Steps between validations, with a checkpoint each; one is also made at the end."""
    checkpoint_every: int = field(default=500, metadata=MEASURED)
    """Steps between checkpoints; one is also made at the end."""
    log_every: int = field(default=20, metadata=MEASURED)
    """Steps between lines of metrics.jsonl."""
    seed: int = 0
    """Random seed of the sketches held out, the initial weights, the order and the changes."""
    resume: bool = field(default=False, metadata=PLACE)
    """Continue the run in `out` to the same weights as if it had never stopped."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_positive(self, ("width", "image_size", "per_class", "held_out", "steps", "lr"))
        require_positive(self, ("validate_every", "checkpoint_every", "log_every"))
        weights = ("feature_weight", "distance_weight", "embedding_weight")
        require_not_negative(self, (*weights, "weight_decay", "warmup", "clip", "workers"))
        if not any(getattr(self, name) for name in weights):
            raise ValueError(f"{', '.join(weights)} are all 0: there is nothing to imitate; set one above 0")
        for name in ("batch_size", "held_out"):
            if getattr(self, name) < 2:
                raise ValueError(f"{name} is {getattr(self, name)}: it must be 2 or more, since drawings are compared")
        self.step_sizes()

    def step_sizes(self) -> StepSizes:
        """Return the sizes to train at; ValueError as `chosen_sizes`."""
        return chosen_sizes(self.image_size, self.image_sizes, self.size_shares)
