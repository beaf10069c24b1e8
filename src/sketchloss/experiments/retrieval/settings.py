"""The settings of `sketchloss retrieval`, and its presets."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from sketchloss.networks.arms import ArmWeights
from sketchloss.system.device import Precision
from sketchloss.system.setting_fields import FILES, PLACE, own_layers
from sketchloss.training.checks import require_positive


@dataclass(frozen=True, kw_only=True)
class Retrieval(ArmWeights):
    """Train a retrieval head on the frozen features of each arm's network, and measure how often it finds the class.

    Raises:
        ValueError: for a setting outside its range, naming it.
    """

    data: str = field(metadata=FILES)
    """Sketches: `doodles`, a folder of class folders, a folder of QuickDraw .ndjson, or a hub data set."""
    out: Path = field(metadata=PLACE)
    """Run folder to make."""
    image_size: int = 64
    """Side of the images in pixels."""
    per_class: Annotated[int | None, tyro.conf.DisallowNone] = None
    """Use at most this many sketches of a class."""
    held_out: float = 0.1
    """Share of each class that is never trained on and gives the queries. It is at least one sketch of a class; related
    sketches (Sketchy's of one photo) stay together."""
    duplicates: Literal["ignore", "together"] = "ignore"
    """Whether flipped or rotated copies of one picture stay on one side of the split: `together`, or `ignore`."""
    layer: str = field(default="", metadata=own_layers(lambda network: network.taps[-1]))
    """Layer whose features the head is trained on; by default the deepest layer of each arm's network."""
    grid: int = 7
    """Largest number of positions, each way, that the features are averaged onto, as in VGG; 1: the head sees their
    average."""
    precision: Precision = "bf16"
    """Arithmetic of the backbone: float32 (`no`), or mixed with bfloat16 where it is not emulated."""
    hidden: int = 512
    """Width of the head's layer before the 512 numbers of the embedding."""
    scale: float = 16.0
    """Factor on the unit embedding, before the cross-entropy's classifier sees it; 1: as it is."""
    epochs: int = 20
    """Passes over the training part."""
    lr: float = 1e-4
    """Adam's learning rate at the start."""
    lr_every: int = 7
    """Epochs after which the learning rate falls to a tenth, again and again."""
    triplet_weight: float = 0.01
    """Weight of the triplet loss; the cross-entropy's is 1."""
    margin: float = 0.2
    """Margin of the triplet loss: how much nearer the own class must be than another, in Euclidean distance of unit
    vectors."""
    mining: Literal["batch-hard", "semi-hard", "batch-all"] = "batch-hard"
    """Selection of the triplets of a batch that count."""
    classes_per_batch: int = 8
    """Classes drawn for each batch (all of them where there are fewer): P of the PK batches."""
    sketches_per_class: int = 4
    """Sketches drawn of each class for a batch: K of the PK batches."""
    seeds: int = 5
    """Number of repeats; split, start and order differ together."""
    seed: int = 0
    """Random seed of the first repeat; the next one has one more."""
    cache: Annotated[Path | None, tyro.conf.DisallowNone] = field(default=None, metadata=PLACE)
    """Folder that keeps features between runs; by default `$SKETCHLOSS_CACHE` or `~/.cache/sketchloss`."""
    workers: Annotated[int | None, tyro.conf.DisallowNone] = field(default=None, metadata=PLACE)
    """Processes that decode pictures; by default one for each core except one, 8 at most."""
    resume: bool = field(default=False, metadata=PLACE)
    """Continue the run in `out`: heads that are trained already are not trained again."""

    def __post_init__(self) -> None:
        super().__post_init__()
        positive = ("image_size", "grid", "hidden", "scale", "epochs", "lr", "lr_every", "classes_per_batch", "seeds")
        require_positive(self, positive)
        if not 0 < self.held_out < 1:
            raise ValueError(f"held_out is {self.held_out}: it must lie between 0 and 1")
        for name in ("triplet_weight", "margin", "seed", "workers"):
            if not 0 <= (getattr(self, name) or 0) < float("inf"):
                raise ValueError(f"{name} is {getattr(self, name)}: it must not be negative")
        for name in ("classes_per_batch", "sketches_per_class"):
            if getattr(self, name) < 2:
                raise ValueError(f"{name} is {getattr(self, name)}: a triplet needs two classes and two of a class")
        self.check_counts(self.seeds)
        if self.cache is not None and self.cache.exists() and not self.cache.is_dir():
            raise ValueError(f"cache is {self.cache}, a file: give a folder")

    def all_seeds(self) -> range:
        """Return the seed of each repeat."""
        return range(self.seed, self.seed + self.seeds)


#: What each preset changes of the defaults above.
PRESETS: dict[str, dict[str, Any]] = {
    # Section 4.2.1 as printed, with our reading of its gaps.
    "paper": {
        **{"photo": "imagenet", "downsample": "none", "image_size": 224, "precision": "no", "hidden": 4096},
        "scale": 1.0,
    },
    "small": {},
    "demo": {"per_class": 40, "held_out": 0.2, "epochs": 10, "seeds": 3},
}
