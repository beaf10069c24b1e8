"""The settings of `sketchloss probe`, and its presets."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import tyro

from sketchloss.experiments.probe.tap_choice import MOST_TAPS
from sketchloss.experiments.probe.trials import LEVELS, SMALLEST, check_levels
from sketchloss.networks.arms import PROPOSED, ArmWeights
from sketchloss.system.images import LARGEST_SIDE
from sketchloss.system.setting_fields import FILES, PLACE, WEIGHTS, own_layers


@dataclass(frozen=True, kw_only=True)
class Probe(ArmWeights):
    """Test whether distances between drawings behave as they should, and which layers of a network do best.

    Raises:
        ValueError: for a setting outside its range, naming it.
    """

    out: Path = field(metadata=PLACE)
    """Folder to make, for the tables and figures."""
    data: str = field(default="doodles", metadata=FILES)
    """Drawings as strokes: `doodles`, or a folder of QuickDraw .ndjson."""
    drawings: int = 200
    """Number of drawings to ask about: half of them to choose by, half to report."""
    levels: tuple[float, ...] = LEVELS
    """Shares of the strokes that are removed, added, displaced or redrawn; also the strength of the hand's wobble."""
    image_size: int = 64
    """Side of the drawings in pixels."""
    taps: tuple[str, ...] = field(default=(), metadata=own_layers(lambda network: network.stages))
    """Layers that are measured each by itself, from shallow to deep; by default the last layer of each stage of the
    network."""
    weights: tuple[str, ...] = field(default=(), metadata=WEIGHTS)
    """More weights to measure, in addition to the arms': names, paths, hub repos or `transformers:ID`."""
    distance: tuple[str, ...] = ()
    """Distances of your own, `module:function` or `file.py:function`: each takes two batches (n, 3, h, w) in [0, 1] and
    returns (n,) numbers."""
    baselines: Annotated[bool, tyro.conf.FlagConversionOff] = True
    """Also measure raw pixels and SSIM."""
    choose: Annotated[str | None, tyro.conf.DisallowNone] = None
    """Arm, or one of `weights`, to choose taps and their weights for; by default `attention+tuning` where it is
    measured."""
    triplets: Annotated[Path | None, tyro.conf.DisallowNone] = field(default=None, metadata=FILES)
    """Judgments of people: a CSV file with the columns reference, closer, farther, or a folder laid out as BAPPS."""
    pictures: Annotated[Path | None, tyro.conf.DisallowNone] = None
    """Folder of the pictures that the CSV file of `triplets` names; by default `pictures` beside it, else its own
    folder."""
    kind: Annotated[str | None, tyro.conf.DisallowNone] = None
    """Kind of judgment to score, if the CSV file of `triplets` has a column `kind`; by default `random` where there are
    such."""
    triplet_size: int = 128
    """Side in pixels of the pictures of `triplets`."""
    seed: int = 0
    """Random seed of the halves, the edits and the doodles."""
    again: bool = field(default=False, metadata=PLACE)
    """Remove what an earlier run left in `out`, and start again."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_counts(1)
        if self.drawings < 4:
            raise ValueError(f"drawings is {self.drawings}: each half needs 2 at least, so give 4 or more")
        check_levels(self.levels)
        for name in ("image_size", "triplet_size"):
            if not SMALLEST <= getattr(self, name) <= LARGEST_SIDE:
                value = getattr(self, name)
                raise ValueError(f"{name} is {value}: it must be {SMALLEST} to {LARGEST_SIDE} pixels")
        if not 0 <= self.seed < 2**32:
            raise ValueError(f"seed is {self.seed}: it must be 0 to {2**32 - 1}")
        if len(self.taps) > MOST_TAPS:
            raise ValueError(f"taps names {len(self.taps)} layers: name {MOST_TAPS} at most")
        for name in ("weights", "distance"):
            values = getattr(self, name)
            if twice := [value for value in values if values.count(value) > 1]:
                raise ValueError(f"{name} names {twice[0]} twice: name each once")
        if clash := [weights for weights in self.weights if weights in self.arms()]:
            raise ValueError(f"weights names {clash[0]}, which is what an arm is called: give a path, as ./{clash[0]}")
        if self.choose is not None and self.choose not in (known := [*self.arms(), *self.weights]):
            raise ValueError(f"choose is {self.choose!r}, which is not measured: choose from {', '.join(known)}")
        if self.triplets is None and not (self.pictures is None and self.kind is None):
            name = "kind" if self.pictures is None else "pictures"
            raise ValueError(f"{name} is {getattr(self, name)}, and there are no judgments: give --triplets too")

    def chooses(self) -> str | None:
        """Return the arm or weights to choose taps for; None: none."""
        return self.choose or (PROPOSED if PROPOSED in self.arms() else None)


#: What each preset changes of the defaults above.
PRESETS: dict[str, dict[str, Any]] = {
    "small": {},
    "demo": {"drawings": 16, "levels": (0.2, 0.4, 0.6)},
}
