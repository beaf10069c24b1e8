"""The settings of retrieval in a study."""

from dataclasses import dataclass
from typing import Any, Literal

from sketchloss.experiments.tuning.plan import Plan


@dataclass(frozen=True)
class RetrievalPlan(Plan):
    """Settings of retrieval in a study: how the heads are trained."""

    retrieval_preset: Literal["demo", "small", "paper"] = "demo"
    """Preset of `sketchloss retrieval`."""


#: What each preset of a study changes of the defaults above.
PRESETS: dict[str, dict[str, Any]] = {
    "real": {"retrieval_preset": "small"},
    "weekend": {"retrieval_preset": "small"},
    "paper": {"retrieval_preset": "paper"},
}
