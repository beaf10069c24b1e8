"""The settings of `sketchloss style table`, and its presets."""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import tyro

from sketchloss.experiments.style.transfer_settings import PRESETS as STYLE_PRESETS
from sketchloss.experiments.style.transfer_settings import StyleSettings
from sketchloss.networks.arms import ArmWeights
from sketchloss.system.setting_fields import FILES, MEASURED, PLACE, WEIGHTS, own_layers


@dataclass(frozen=True, kw_only=True)
class StyleTable(StyleSettings, ArmWeights):
    """Train a photo-to-sketch network for each set of sketches and the loss of each arm, and measure its sketches.

    Raises:
        ValueError: for a setting outside its range, naming it.
    """

    content: str = field(metadata=FILES)
    """Photos to train on: a folder, a hub data set, or a set of pairs, whose photos are taken."""
    sets: tuple[str, ...] = field(metadata=FILES)
    """Pairs of photo and true sketch: `cufs:PATH`, `fs2k:PATH?style=1` (1, 2 or 3), `doodles?tool=ink`."""
    out: Path = field(metadata=PLACE)
    """Run folder to make."""
    pairs: Annotated[int | None, tyro.conf.DisallowNone] = field(default=None, metadata=MEASURED)
    """Measure at most this many pairs of each set's test part."""
    extractors: tuple[str, ...] = field(default=("imagenet", "sketch"), metadata=MEASURED | WEIGHTS)
    """Weights whose features the Fréchet and kernel distances compare."""
    extractor_layer: str = field(
        default="", metadata=MEASURED | own_layers(lambda network: network.embedding_layer, of="extractors")
    )
    """Layer whose features, averaged over positions, are compared; by default each network's embedding layer."""
    inception: Annotated[Path | None, tyro.conf.DisallowNone] = field(default=None, metadata=MEASURED | FILES)
    """The FID Inception's weights file, to measure the FID as well."""
    bootstrap: int = field(default=200, metadata=MEASURED)
    """Number of resamplings for the intervals of the distances."""
    examples: int = field(default=3, metadata=MEASURED)
    """Number of pairs of each set in the figure."""
    resume: bool = field(default=False, metadata=PLACE)
    """Continue the run in `out`: networks that are trained already are not trained again."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_only()
        self.check_counts(1)
        for name in ("pairs", "bootstrap"):
            value = getattr(self, name)
            if value is not None and value < 2:
                raise ValueError(f"{name} is {value}: it must be at least 2")
        if self.examples < 1:
            raise ValueError(f"examples is {self.examples}: it must be at least 1")
        if not self.sets or not self.extractors:
            raise ValueError(f"{'extractors' if self.sets else 'sets'} is empty: name at least one")
        folders = [folder_name(source) for source in self.sets]
        if len(set(folders)) < len(folders):
            raise ValueError(
                f"sets are {', '.join(self.sets)}: two of them would share a folder; name each once, or make two runs"
            )


#: What each preset changes of the defaults above.
PRESETS: dict[str, dict[str, Any]] = {
    "paper": STYLE_PRESETS["paper"],
    "standard": {},
    "small": {"image_size": 96, "width": 0.5, "steps": 1500},
    "demo": {
        **{name: value for name, value in STYLE_PRESETS["demo"].items() if name != "style"},
        **{"sets": ("doodles?tool=ink",), "pairs": 70},
    },
}


def folder_name(source: str) -> str:
    """Return a name for a set without its place: `fs2k-style-1` of `fs2k:PATH?style=1`."""
    place, _, options = source.rpartition("?") if "?" in source else (source, "", "")
    return "-".join([place.partition(":")[0], *re.findall(r"[\w.]+", options)])
