"""The settings of `sketchloss compare`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from sketchloss.loss.loss import DEFAULT_METRIC
from sketchloss.loss.tap_distance import Metric
from sketchloss.system.images import LARGEST_SIDE


@dataclass(frozen=True)
class Compare:
    """Measure how different two drawings look, or the drawings of the same name in two folders.

    Raises:
        ValueError: for a setting outside its range, naming it.
    """

    a: Annotated[Path, tyro.conf.Positional]
    """First picture, or first folder of pictures."""
    b: Annotated[Path, tyro.conf.Positional]
    """Second picture, or second folder. From two folders, pictures of the same name (without suffix) are compared."""
    weights: str = "sketch"
    """Network weights: `sketch`, `imagenet`, a weights folder or file, a hub repo, or `transformers:ID`."""
    metric: Metric = DEFAULT_METRIC
    """Distance between features: `ink`, which is relative to blank paper (0 the same drawing, 1 nothing in common), or
    `l1`, `l2`, `cosine`. The default of version 0.1 is `--metric l1 --layers relu3_3 relu4_3 relu5_3`."""
    layers: tuple[str, ...] = ()
    """Layers whose distances are averaged; by default the default layers of the network."""
    size: int = 256
    """Side in pixels of the square that both pictures are fitted into; 0: they stay as they are, if both have one
    size."""
    map: Annotated[Path | None, tyro.conf.DisallowNone] = None
    """Picture to write that shows where the two differ; for two folders, a folder for pictures of the worst pairs."""
    json: bool = False
    """Print JSON and nothing else."""
    csv: Annotated[Path | None, tyro.conf.DisallowNone] = None
    """CSV table to write, one row per pair."""
    worst: int = 5
    """Number of the farthest pairs to name and, with --map, to draw."""
    invert: bool = False
    """Invert both pictures: they are light on dark, or light on a transparent ground."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Device to compute on; `auto`: the GPU if there is one."""

    def __post_init__(self) -> None:
        for name in ("size", "worst"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} is {getattr(self, name)}: it must not be negative")
        if self.size > LARGEST_SIDE:
            raise ValueError(f"size is {self.size}: {LARGEST_SIDE} pixels at most; 0 takes pictures as they are")
