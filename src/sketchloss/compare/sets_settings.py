"""The settings of `sketchloss sets`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from sketchloss.system.device import Device
from sketchloss.system.images import LARGEST_SIDE

#: Greatest number of resamplings: each takes as long as the distance itself.
MOST_RESAMPLINGS = 100_000


@dataclass(frozen=True)
class Sets:
    """Measure how far the drawings of two folders are from each other as sets: Fréchet and kernel distance (FD, KD).

    The two folders need no names in common. With the network of the FID these distances are the FID and the KID.

    Raises:
        ValueError: for a setting outside its range, naming it.
    """

    a: Annotated[Path, tyro.conf.Positional]
    """First folder of pictures, such as generated ones."""
    b: Annotated[Path, tyro.conf.Positional]
    """Second folder of pictures, such as true ones."""
    extractors: tuple[str, ...] = ("imagenet", "sketch")
    """Networks whose features are compared: `sketch`, `sketch-small`, `imagenet`, weights folders or files, hub repos,
    or `transformers:ID`."""
    layer: str = ""
    """Layer whose features, averaged over positions, are compared; by default the embedding layer of each network."""
    inception: Annotated[Path | None, tyro.conf.DisallowNone] = None
    """Weights file of the FID's Inception (pt_inception-2015-12-05-6726825d.pth), to print FID and KID, too."""
    size: int = 256
    """Side in pixels of the square that each picture is fitted into."""
    count: Annotated[int | None, tyro.conf.DisallowNone] = None
    """Compare so many pictures of each folder, drawn at random. FD depends on the number: use one number for all
    folders whose distances you compare."""
    resamplings: int = 200
    """Number of resamplings for the interval of FD; 0: no interval, which is quicker."""
    seed: int = 0
    """Random seed of `count`, of the resamplings, and of the subsets for the kernel distance."""
    invert: bool = False
    """Invert all pictures: they are light on dark, or light on a transparent ground."""
    json: bool = False
    """Print JSON and nothing else."""
    quiet: bool = False
    """Print no progress."""
    device: Device = "auto"
    """Device to compute features on; `auto`: the GPU if there is one."""

    def __post_init__(self) -> None:
        if not self.extractors and self.inception is None:
            raise ValueError("extractors is empty: name at least one network, or give --inception")
        if not 1 <= self.size <= LARGEST_SIDE:
            raise ValueError(f"size is {self.size}: it must be from 1 to {LARGEST_SIDE} pixels")
        if self.count is not None and self.count < 2:
            raise ValueError(f"count is {self.count}: a set has at least 2 pictures")
        if not (self.resamplings == 0 or 2 <= self.resamplings <= MOST_RESAMPLINGS):
            found = f"resamplings is {self.resamplings:,}"
            raise ValueError(f"{found}: give 0 for no interval, or from 2 to {MOST_RESAMPLINGS:,}")
        if not 0 <= self.seed < 2**63:
            raise ValueError(f"seed is {self.seed}: it must be a whole number from 0 up")
