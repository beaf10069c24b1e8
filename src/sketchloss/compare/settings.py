"""The settings of `sketchloss compare`."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from sketchloss.compare.row_formats import check_format
from sketchloss.loss.loss import DEFAULT_METRIC
from sketchloss.loss.tap_distance import Metric
from sketchloss.system.device import Device, Precision
from sketchloss.system.images import LARGEST_SIDE

#: Name of the distance that `--distance` knows by itself.
SSIM = "ssim"


@dataclass(frozen=True)
class Compare:
    """Measure how different two drawings look, or the drawings of the same name in two folders.

    Raises:
        ValueError: for a setting outside its range, naming it.
    """

    a: Annotated[Path | None, tyro.conf.Positional, tyro.conf.DisallowNone] = None
    """First picture, or first folder of pictures."""
    b: Annotated[Path | None, tyro.conf.Positional, tyro.conf.DisallowNone] = None
    """Second picture, or second folder. From two folders, pictures of the same name (without suffix) are compared."""
    pairs: Annotated[Path | None, tyro.conf.DisallowNone] = None
    """CSV file of pairs to compare instead of A and B: two paths a row, relative to the folder of the file. A header is
    optional."""
    weights: str = "sketch"
    """Network weights: `sketch`, `sketch-small`, `imagenet`, a weights folder or file, a hub repo, or
    `transformers:ID`."""
    metric: Metric = DEFAULT_METRIC
    """Distance between features: `ink`, which is relative to blank paper (0 the same drawing, 1 nothing in common), or
    `l1`, `l2`, `cosine`. The default of version 0.1 is `--metric l1 --layers relu3_3 relu4_3 relu5_3`."""
    layers: tuple[str, ...] = ()
    """Layers whose distances are averaged; by default the default layers of the network."""
    size: int = 256
    """Side in pixels of the square that both pictures are fitted into; 0: they stay as they are, if both have one
    size."""
    distance: tuple[str, ...] = ()
    """Other distances to show in further columns: `ssim` (1 - SSIM, which needs the extra `train`), or functions of
    your own, `module:function` or `file.py:function`. Each takes two batches (n, 3, h, w) in [0, 1] and returns (n,)
    numbers."""
    fail_above: Annotated[float | None, tyro.conf.DisallowNone] = None
    """Limit of the distance: if the number that `at` names is greater, the exit code is 1."""
    at: Annotated[Literal["mean", "p95", "worst"] | None, tyro.conf.DisallowNone] = None
    """Number that `fail_above` limits: `mean` (the default), `p95` (the distance that 95 % of the pairs do not exceed),
    or `worst` (the distance of the farthest pair). Of two single pictures there is only one number."""
    fail_on_missing: bool = False
    """Exit with code 1 if a picture is in only one of the two folders."""
    strict: bool = False
    """Exit with code 2 if anything could not be read: a picture, a file of another kind, a subfolder, or a later page.
    All other pairs are compared and written first."""
    map: Annotated[Path | None, tyro.conf.DisallowNone] = None
    """Picture to write that shows where the two differ; for several pairs, a folder for pictures of the worst pairs."""
    json: bool = False
    """Print JSON and nothing else."""
    csv: Annotated[Path | None, tyro.conf.DisallowNone] = None
    """CSV table to write, one row per pair. Pairs that could not be compared have a reason instead of a distance."""
    rows: Annotated[Path | None, tyro.conf.DisallowNone] = None
    """Table to write for folders of any size, `.csv`, `.jsonl` (JSON lines) or `.parquet`: one row per pair, in the
    order of the pairs. No table is printed, and memory does not grow with the pairs. The rows so far lie in FILE.part.
    If the command is stopped, give it again: it goes on there."""
    precision: Precision = "no"
    """Precision of the network: `no` (float32), or `bf16` (bfloat16), quicker on CPUs and GPUs that have it, and with
    slightly other values; on others it is float32."""
    quiet: bool = False
    """Print no progress and no table of pairs, only the summary."""
    worst: int = 5
    """Number of the farthest pairs to name and, with --map, to draw."""
    invert: bool = False
    """Invert both pictures: they are light on dark, or light on a transparent ground."""
    device: Device = "auto"
    """Device to compute on; `auto`: the GPU if there is one."""

    def __post_init__(self) -> None:
        for name in ("size", "worst"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} is {getattr(self, name)}: it must not be negative")
        if self.size > LARGEST_SIDE:
            raise ValueError(f"size is {self.size}: {LARGEST_SIDE} pixels at most; 0 takes pictures as they are")
        if self.fail_above is not None and not 0 <= self.fail_above < math.inf:  # nan neither
            raise ValueError(f"fail_above is {self.fail_above}: it must be a number from 0 up, such as 0.3")
        if self.at is not None and self.fail_above is None:
            raise ValueError(f"at is {self.at}, and there is no limit: give --fail-above too")
        if self.rows is not None:
            check_format(self.rows)
            if self.csv is not None:
                raise ValueError(f"csv is {self.csv} and rows is {self.rows}: give one of the two")
        for distance in self.distance:
            if distance != SSIM and ":" not in distance:
                raise ValueError(f"distance {distance!r} is unknown: use ssim, module:function or file.py:function")
            if self.distance.count(distance) > 1:
                raise ValueError(f"distance names {distance} twice: name each once")
        self._check_what_is_compared()  # last: an option of many values before the paths has taken them

    def _check_what_is_compared(self) -> None:
        if self.pairs is not None:
            if self.a is not None:
                raise ValueError(f"{self.a} is given beside --pairs: give either two paths or --pairs")
            if self.fail_on_missing:
                raise ValueError("fail_on_missing is for two folders: with --pairs, use --strict")
        elif self.a is None or self.b is None:
            missing = "A and B" if self.a is None else "B"
            raise ValueError(
                f"missing {missing}: give two pictures, two folders, or --pairs; see sketchloss compare --help"
            )
