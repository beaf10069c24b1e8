"""The settings of retrieval in a study."""

from dataclasses import dataclass
from typing import Any, Literal

from sketchloss.experiments.tuning.plan import Plan
from sketchloss.training.checks import require_positive


@dataclass(frozen=True)
class RetrievalPlan(Plan):
    """Settings of retrieval in a study: how the heads are trained."""

    retrieval_preset: Literal["demo", "small", "paper"] = "demo"
    """Preset of `sketchloss retrieval`."""
    retrieval_grid: int = 7
    """Largest number of positions, each way, that heads see. Where arms differ in their image size or in how often they
    pool, the least of their sides gives every head as many numbers."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_positive(self, ("retrieval_grid",))


#: What each preset of a study changes of the defaults above.
PRESETS: dict[str, dict[str, Any]] = {
    "real": {"retrieval_preset": "small"},
    "gates": {"retrieval_preset": "small"},
    "controls": {"retrieval_preset": "small", "retrieval_grid": 1},
    "attention": {"retrieval_preset": "small", "retrieval_grid": 7},
    "weekend": {"retrieval_preset": "small"},
    "paper": {"retrieval_preset": "paper"},
}
