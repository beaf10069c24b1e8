"""The settings of `sketchloss demo`."""

from dataclasses import dataclass, field
from pathlib import Path

from sketchloss.experiments.probe.trials import SMALLEST
from sketchloss.networks.arms import PROPOSED, REFERENCE, WeightsPerArm
from sketchloss.system.images import LARGEST_SIDE
from sketchloss.system.setting_fields import PLACE
from sketchloss.training.checks import require_not_negative, require_positive


@dataclass(frozen=True, kw_only=True)
class Demo(WeightsPerArm):
    """Show in a few minutes what the package does: one page of pictures and small tables, on built-in drawings.

    Raises:
        ValueError: for a setting outside its range, naming it.
    """

    out: Path = field(metadata=PLACE)
    """Folder to make, for the page and everything it is made from. The same command continues where it was stopped."""
    image_size: int = 64
    """Side of the drawings in pixels."""
    per_class: int = 14
    """Number of drawings of each of the 35 kinds."""
    held_out: float = 0.3
    """Share of the drawings of each kind that no network is trained on and that ask the questions."""
    epochs: int = 10
    """Number of passes over the drawings, to tune the network of `photo`."""
    heads: int = 5
    """Number of search heads trained for each network; the tables show their mean."""
    asked: int = 20
    """Number of drawings that each distance is asked about."""
    stylizer: str = "pencil"
    """Network that turns photos into sketches: `pencil`, or a folder or file of your own."""
    base: str = "tiny"
    """Text-to-image model that draws the prompts: `tiny`, a folder, or a hub repo."""
    drawing_steps: int = 20
    """Number of steps in which the text-to-image model draws."""
    seed: int = 0
    """Random seed of the drawings, the split, the trainings and the prompts' pictures."""
    again: bool = field(default=False, metadata=PLACE)
    """Remove what an earlier demo left in `out`, and start again. Needed if weights were replaced under their name."""

    def __post_init__(self) -> None:
        require_positive(self, ("epochs", "heads", "asked", "drawing_steps"))
        require_not_negative(self, ("seed",))
        if self.seed >= 2**32:
            raise ValueError(f"seed is {self.seed}: it must be 0 to {2**32 - 1}")
        if not SMALLEST <= self.image_size <= LARGEST_SIDE:
            raise ValueError(f"image_size is {self.image_size}: it must be {SMALLEST} to {LARGEST_SIDE} pixels")
        if not 0 < self.held_out < 1:
            raise ValueError(f"held_out is {self.held_out}: it must lie between 0 and 1")
        if self.per_class < 3 or round(self.held_out * self.per_class) < 2:  # distances within a kind need two
            raise ValueError(
                f"per_class is {self.per_class} and held_out {self.held_out:g}: two drawings of each kind are held out "
                "at least, so give more"
            )
        for arm in (PROPOSED, REFERENCE):
            self._check_has_weights("the demo compares", self.entries()[arm])
        self.check_counts(1)
