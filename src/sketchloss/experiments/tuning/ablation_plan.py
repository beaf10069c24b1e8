"""The settings of the ablation in a study."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

import tyro

from sketchloss.experiments.tuning.plan import Plan
from sketchloss.networks.attention import GateInit
from sketchloss.training.checks import require_positive

Choice = Literal["gate_init", "downsample", "optimisation"]
GATE_INITS: tuple[GateInit, ...] = ("default", "half", "ajar", "open")


@dataclass(frozen=True)
class AblationPlan(Plan):
    """Settings of the ablation: which choices are tested, on how much data."""

    ablations: tuple[Choice, ...] = ()
    """Choices to test, by default all: gate_init (how gates start), downsample (whether they replace their pools),
    optimisation (as the paper prints it, or as here)."""
    ablation_per_class: Annotated[int | None, tyro.conf.DisallowNone] = 6
    """Sketches of a class for the ablation, whose trainings are twelve times as long as the others."""
    ablation_image_size: Annotated[int | None, tyro.conf.DisallowNone] = 32
    """Side in pixels of the ablation's images; the preset `paper` has the size of the other trainings."""
    ablation_epochs: int = 2
    """Passes over the training part in the ablation."""
    ablation_seeds: int = 1
    """Number of repeats of the ablation."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_positive(self, ("ablation_per_class", "ablation_image_size", "ablation_epochs", "ablation_seeds"))
        if self.ablation_per_class == 1:
            raise ValueError("ablation_per_class is 1: one sketch of a class is held out, so give 2 or more")


# note: not `downsample` where time is short; it takes twelve times as long as the other choices
_QUICK: tuple[Choice, ...] = ("gate_init", "optimisation")
#: What each preset of a study changes of the defaults above.
PRESETS: dict[str, dict[str, Any]] = {
    "real": {"ablations": _QUICK, "ablation_per_class": 4, "ablation_epochs": 4, "ablation_seeds": 3},
    "weekend": {
        "ablations": _QUICK,
        "ablation_per_class": None,
        "ablation_image_size": None,
        "ablation_epochs": 10,
        "ablation_seeds": 5,
    },
    "paper": {
        "ablation_per_class": None,
        "ablation_image_size": None,
        "ablation_epochs": 25,
        "ablation_seeds": 5,
    },
}
