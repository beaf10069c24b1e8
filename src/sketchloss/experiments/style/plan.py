"""The settings of photo to sketch in a study."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

import tyro

from sketchloss.experiments.tuning.plan import Plan, check_names, in_data_folder
from sketchloss.training.checks import require_positive


@dataclass(frozen=True)
class StylePlan(Plan):
    """Settings of photo to sketch in a study: how the networks are trained, and on which pairs they are measured."""

    style_preset: Literal["demo", "small", "standard", "paper"] = "demo"
    """Preset of `sketchloss style table`."""
    content: str = "doodles"
    """Photos that the photo-to-sketch networks are trained on."""
    sets: tuple[str, ...] = ("doodles?tool=ink",)
    """Pairs of photo and true sketch to measure on: `doodles?tool=ink`, `cufs:PATH`, `fs2k:PATH?style=1`."""
    drawing_steps: Annotated[int | None, tyro.conf.DisallowNone] = 100
    """Training steps of each photo-to-sketch network; by default the preset's."""
    drawing_size: Annotated[int | None, tyro.conf.DisallowNone] = None
    """Side in pixels of the images of the photo-to-sketch networks; by default the preset's."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_positive(self, ("drawing_steps", "drawing_size"))
        if not self.sets:
            raise ValueError("sets is empty: name at least one, such as doodles?tool=ink")
        check_names(self, "sets")


_PAPER_SETS = ("cufs:cufs", "fs2k:fs2k?style=1", "fs2k:fs2k?style=2", "fs2k:fs2k?style=3")
#: What each preset of a study changes of the defaults above.
PRESETS: dict[str, dict[str, Any]] = {
    "real": {
        "style_preset": "small",
        "content": in_data_folder("photos"),
        "sets": (
            f"cufs:{in_data_folder('cufs')}",
            *(f"fs2k:{in_data_folder('fs2k')}?style={style}" for style in (1, 2, 3)),
        ),
        "drawing_steps": 1000,
        "drawing_size": None,
    },
    "weekend": {
        "style_preset": "standard",
        "content": "detection-datasets/coco",
        "sets": _PAPER_SETS,
        "drawing_steps": 6000,
    },
    "paper": {
        "style_preset": "paper",
        "content": "detection-datasets/coco",
        "sets": _PAPER_SETS,
        "drawing_steps": None,
    },
}
