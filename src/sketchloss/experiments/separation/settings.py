"""The settings of `sketchloss separation`, and its presets."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from sketchloss.networks.arms import ArmWeights
from sketchloss.system.device import Precision
from sketchloss.system.setting_fields import FILES, NEEDED, PLACE


@dataclass(frozen=True, kw_only=True)
class ClassSeparation(ArmWeights):
    """Measure how far apart the networks of several arms keep the classes of a set of sketches.

    Raises:
        ValueError: for a setting outside its range, naming it.
    """

    out: Path = field(metadata=PLACE)
    """Folder to make, for the table and the figures."""
    data: str = field(default="doodles", metadata=FILES)
    """Sketches: `doodles`, a folder of class folders, a folder of QuickDraw .ndjson, or a hub data set."""
    heads: Annotated[Path | None, tyro.conf.DisallowNone] = field(default=None, metadata=NEEDED)
    """Run folder of `sketchloss retrieval`: its trained embeddings are measured, with its data, sizes, weights and
    seeds."""
    layer: str = ""
    """Layer whose features, averaged over positions, are measured without `heads`; by default the embedding layer of
    each arm's network."""
    part: Literal["whole", "held-out"] = "whole"
    """Sketches to measure: `whole`, all of them, as in the paper; `held-out`, for each seed those that its split holds
    out."""
    held_out: float = 0.1
    """Share of each class that a split holds out."""
    duplicates: Literal["ignore", "together"] = "ignore"
    """Whether flipped or rotated copies of one picture stay on one side of a split: `together`, or `ignore`."""
    image_size: int = 64
    """Side of the images in pixels."""
    per_class: Annotated[int | None, tyro.conf.DisallowNone] = None
    """Use at most this many sketches of a class."""
    seeds: int = 5
    """Number of repeats."""
    seed: int = 0
    """Random seed of the first repeat; each further one has one more. It also decides the sample of each class and the
    line widths of strokes."""
    hardest: int = 5
    """Number of class pairs to name, those that are hardest to tell apart."""
    precision: Precision = "no"
    """Arithmetic of the backbone without `heads`: float32 (`no`), or mixed with bfloat16 where it is not emulated."""
    cache: Annotated[Path | None, tyro.conf.DisallowNone] = field(default=None, metadata=PLACE)
    """Folder that keeps features between runs; by default `$SKETCHLOSS_CACHE` or `~/.cache/sketchloss`."""
    workers: Annotated[int | None, tyro.conf.DisallowNone] = field(default=None, metadata=PLACE)
    """Processes that decode pictures; by default one for each core except one, 8 at most."""
    again: bool = field(default=False, metadata=PLACE)
    """Remove what an earlier run left in `out`, and start again."""

    def __post_init__(self) -> None:
        if self.heads is None:  # else it is the run that has the weights
            super().__post_init__()
        for name in ("image_size", "seeds"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}: it must be at least 1")
        for name in ("seed", "hardest", "workers"):
            if (getattr(self, name) or 0) < 0:
                raise ValueError(f"{name} is {getattr(self, name)}: it must be 0 or more")
        if self.per_class is not None and self.per_class < 2:
            raise ValueError(f"per_class is {self.per_class}: distances within a class need at least 2")
        if self.part not in ("whole", "held-out"):
            raise ValueError(f"part {self.part!r} is unknown: use whole or held-out")
        if not 0 < self.held_out < 1:
            raise ValueError(f"held_out is {self.held_out}: it must lie between 0 and 1")
        if self.heads is not None and self.layer:
            raise ValueError(
                f"layer is {self.layer}, but --heads measures the trained embedding: leave one of them out"
            )


#: What each preset changes of the defaults above.
PRESETS: dict[str, dict[str, Any]] = {
    "paper": {"photo": "imagenet", "downsample": "none", "image_size": 224},
    "small": {},
    "demo": {"per_class": 20},
}
