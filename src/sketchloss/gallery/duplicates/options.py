"""Settings of the command that finds copies in a gallery."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, get_args

import tyro

from sketchloss.system.device import Device

Keep = Literal["largest", "oldest"]
KEPT: tuple[str, ...] = get_args(Keep)

#: Greatest distance of a copy, by the loss. In the package's calibration, 99 % of the drawings in another pen are
#: nearer to their original, and 99 % of those that were made again are farther.
MAX_DISTANCE = 0.035
#: Neighbours of each drawing that are looked at, and the least similarity of their embeddings.
NEIGHBOURS, MIN_SIMILARITY = 10, 0.9


@dataclass(frozen=True)
class FindDuplicates:
    """Find copies among the drawings of a gallery. No file is removed.

    The exit code is 0 whether copies were found or not.
    """

    gallery: Annotated[Path, tyro.conf.Positional]
    """Gallery folder, as made by `sketchloss gallery build`."""
    keep: Keep = "largest"
    """Drawing of a group to keep. `largest`: the one with the most pixels. `oldest`: the one with the oldest file."""
    max_distance: float = MAX_DISTANCE
    """Greatest distance of a copy by the loss, in [0, 1]; 0 for the same drawing."""
    neighbours: int = NEIGHBOURS
    """Number of similar drawings that are looked at for each drawing."""
    min_similarity: float = MIN_SIMILARITY
    """Least similarity of the embeddings of drawings that are looked at: a cosine in [-1, 1]."""
    sheet: Annotated[Path | None, tyro.conf.DisallowNone] = None
    """Picture to write, which shows each kept drawing with its copies."""
    list: Annotated[Literal["lines", "zero"] | None, tyro.conf.DisallowNone] = None
    """Print only the paths of the copies. `lines`: one a line. `zero`: a zero byte after each, for `xargs -0`."""
    json: bool = False
    """Print JSON and nothing else."""
    device: Device = "auto"
    """Device to compute on; `auto`: the GPU if there is one."""
