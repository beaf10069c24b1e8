"""The settings of `sketchloss tricks`, and its presets."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import tyro

from sketchloss.experiments.probe.trials import SMALLEST
from sketchloss.loss.loss import Metric
from sketchloss.system.images import LARGEST_SIDE

Taps = Literal["default", "paper", "deep"]


@dataclass(frozen=True, kw_only=True)
class Tricks:
    """Test which changed drawings ("tricks") fool distances, on several sources and at several sizes.

    Raises:
        ValueError: for a setting outside its range, naming it.
    """

    out: Path
    """Folder to make, for the tables and figures."""
    data: tuple[str, ...] = ("doodles",)
    """Sources: `doodles` and folders of QuickDraw .ndjson as strokes; folders of class folders as pictures."""
    image_sizes: tuple[int, ...] = (64, 96, 128, 224, 320)
    """Sides of the pictures in pixels."""
    drawings: tuple[int, ...] = (40, 40, 16, 6, 4)
    """Number of drawings of each source to ask about: one number for each size, or one for all."""
    half: Literal["report", "choose"] = "report"
    """Half of the drawings to use: `report`, which only reports, or `choose`, by which a distance may be chosen."""
    weights: tuple[str, ...] = ("imagenet", "sketch")
    """Weights to compare features with: names, paths or hub repos."""
    metrics: tuple[Metric, ...] = get_args(Metric)
    """Distances between features."""
    taps: tuple[Taps, ...] = ("default", "paper")
    """Sets of layers: `default`, those of `SketchLoss`; for VGG-16 also `paper`: relu1_2, relu2_2, relu3_3, relu4_3,
    and `deep`: relu3_3, relu4_3, relu5_3."""
    distance: tuple[str, ...] = ()
    """Distances of your own, `module:function` or `file.py:function`: each takes two batches (n, 3, h, w) in [0, 1] and
    returns (n,) numbers."""
    baselines: Annotated[bool, tyro.conf.FlagConversionOff] = True
    """Also ask raw pixels and SSIM."""
    seed: int = 0
    """Random seed of the halves, the tricks and the doodles."""
    again: bool = False
    """Remove what an earlier run left in `out`, and start again."""

    def __post_init__(self) -> None:
        for name in ("data", "image_sizes", "drawings"):
            if not getattr(self, name):
                raise ValueError(f"{name} names nothing: give one or more")
        for size in self.image_sizes:
            if not SMALLEST <= size <= LARGEST_SIDE:
                raise ValueError(f"image_sizes has {size}: each must be {SMALLEST} to {LARGEST_SIDE} pixels")
        if len(self.drawings) not in (1, len(self.image_sizes)):
            sizes = len(self.image_sizes)
            raise ValueError(f"drawings has {len(self.drawings)} numbers for {sizes} sizes: give one, or one for each")
        if min(self.drawings) < 1:
            raise ValueError(f"drawings has {min(self.drawings)}: ask about one at least")
        if not 0 <= self.seed < 2**32:
            raise ValueError(f"seed is {self.seed}: it must be 0 to {2**32 - 1}")
        for name in ("data", "image_sizes", "weights", "metrics", "taps", "distance"):
            values = getattr(self, name)
            if twice := [value for value in values if values.count(value) > 1]:
                raise ValueError(f"{name} names {twice[0]} twice: name each once")
        features = self.weights and self.metrics and self.taps
        if not (self.baselines or self.distance or features):
            raise ValueError("there is no distance to ask: name weights with metrics and taps, or a distance")

    def counts(self) -> dict[int, int]:
        """Return how many drawings of each source to ask about, by size."""
        numbers = self.drawings if len(self.drawings) > 1 else self.drawings * len(self.image_sizes)
        return dict(zip(self.image_sizes, numbers, strict=True))


#: What each preset changes of the defaults above.
PRESETS: dict[str, dict[str, Any]] = {
    "full": {},
    "demo": {"image_sizes": (64,), "drawings": (10,), "metrics": ("ink", "l1"), "taps": ("default",)},
}
