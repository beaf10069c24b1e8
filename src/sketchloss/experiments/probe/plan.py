"""The settings of the probe in a study."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from sketchloss.experiments.tuning.plan import Plan, in_data_folder


@dataclass(frozen=True)
class ProbePlan(Plan):
    """Settings of the probe in a study."""

    probe_preset: Literal["demo", "small"] = "demo"
    """Preset of `sketchloss probe`."""
    probed: str = "doodles"
    """Strokes that the probe edits: `doodles`, or a folder of QuickDraw .ndjson."""
    triplets: Annotated[Path | None, tyro.conf.DisallowNone] = None
    """Human judgments for the probe: a CSV file with the columns reference, closer, farther."""


def _judgments() -> Path | None:
    file = Path(in_data_folder("human_triplets"), "triplets.csv")
    return file if file.is_file() else None


#: What each preset of a study changes of the defaults above.
PRESETS: dict[str, dict[str, Any]] = {
    "real": {"probe_preset": "small", "probed": in_data_folder("quickdraw"), "triplets": _judgments()},
    "weekend": {"probe_preset": "small"},
    "paper": {"probe_preset": "small"},
}
