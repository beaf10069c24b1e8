"""The settings of recovery in a study."""

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

from sketchloss.experiments.guiding_losses import BESIDE, NONE, PERCEPTUAL, TERMS, term_title
from sketchloss.experiments.tuning.plan import Plan, in_data_folder
from sketchloss.experiments.unseen_classes import UNSEEN
from sketchloss.strokes.starts import PIXEL_STARTS, STARTS, USUAL
from sketchloss.system.command_line import suggest
from sketchloss.system.images import LARGEST_SIDE
from sketchloss.training.checks import require_positive

PIXELS = "pixels"
LOSSES = (PIXELS, "pixels-l2-blurred", *PERCEPTUAL, *(f"{BESIDE}{term}" for term in TERMS if term != NONE))
_DISPLACED = tuple(f"displaced:{pixels}" for pixels in (4, 7, 10, 14))
_OTHERS = ("rotated:45", "bent:7", "dots", "half-erased", *PIXEL_STARTS)


def loss_title(name: str) -> str:
    """Return a loss's name in tables: "pixels", "sketch, ink", "pixels + sketch, ink"."""
    if name == PIXELS:
        return name
    term = term_title(name.removeprefix(BESIDE))
    return f"pixels + {term}" if name.startswith(BESIDE) else term


class RecoveryStart(NamedTuple):
    """Start of a recovery, and the side of the pictures in pixels."""

    name: str
    amount: float | None
    """Pixels of 64, or degrees; None: what is usual."""
    size: int

    @property
    def title(self) -> str:
        """The start as the heading of a column: "displaced, 10 px", "rotated, 45°", "dots"."""
        usual = USUAL.get(self.name) if self.name in STARTS else None
        amount = usual if self.amount is None else self.amount
        if amount is None:
            return self.name.replace("-", " ")
        return f"{self.name}, {amount:g}°" if self.name == "rotated" else f"{self.name}, {amount:g} px"

    @property
    def in_pixels(self) -> float | None:
        """The amount in pixels of this size, or in degrees."""
        return self.amount if self.amount is None or self.name == "rotated" else self.amount / 64 * self.size


@dataclass(frozen=True)
class RecoveryPlan(Plan):
    """Settings of recovery in a study.

    Raises:
        ValueError: for a setting outside its range, naming it.
    """

    recovered: str = "doodles"
    """Strokes to recover: `doodles`, or a folder of QuickDraw .ndjson."""
    recovery_drawings: int = 8
    """Number of drawings for each start."""
    recovery_classes: tuple[str, ...] = ()
    """Classes to take drawings of; by default any."""
    recovery_steps: int = 60
    """Number of steps of gradient descent."""
    recovery_losses: tuple[str, ...] = (PIXELS, *PERCEPTUAL)
    """Losses that lead drawings back: `pixels` (mean absolute difference), `WEIGHTS:METRIC[:LAYER,...]`,
    `FILE.py:FUNCTION`, or one of these after `pixels+`, as in `pixels+ssim`, to add it to the pixels at equal pull;
    such a one must return a value for each picture."""
    recovery_starts: tuple[str, ...] = ("displaced:6",)
    """Starts: `displaced:PIXELS`, `rotated:DEGREES`, `bent:PIXELS`, `dots`, `half-erased`, `blank` of strokes, and
    `blurred`, `noisy`, `displaced-pixels` of free pixels. PIXELS are of a picture of 64. `@SIZE` after it is another
    size than 64, as in `displaced:10@128`."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_positive(self, ("recovery_drawings", "recovery_steps"))
        for name in ("recovery_losses", "recovery_starts"):
            if not getattr(self, name):
                raise ValueError(f"{name} is empty: give one or more")
        for name, titles in (
            ("recovery_losses", [loss_title(loss) for loss in self.recovery_losses]),
            ("recovery_starts", [f"{start.title}, at {start.size} pixels" for start in self.starts()]),
        ):
            if twice := [title for title in titles if titles.count(title) > 1]:
                raise ValueError(f"{name} has two that are called {twice[0]!r}: give each once, and a name of its own")

    def starts(self) -> list[RecoveryStart]:
        """Return the starts, as they were given.

        Raises:
            ValueError: for one that is unknown or out of range, naming it.
        """
        return [read_start(text) for text in self.recovery_starts]

    def check_losses(self) -> None:
        """Open every loss, so that a mistake is reported before the first is used.

        Raises:
            ValueError: for an unknown loss.
            FileNotFoundError: for weights or a file that are not there.
        """
        from sketchloss.strokes.named_losses import named_loss  # torch

        for loss in self.recovery_losses:
            named_loss(loss.removeprefix(BESIDE))


def read_start(text: str) -> RecoveryStart:
    """Read `NAME[:AMOUNT][@SIZE]`.

    Raises:
        ValueError: naming what is unknown or out of range.
    """
    said, at, size_said = text.partition("@")
    name, colon, amount_said = said.partition(":")
    if name not in (*STARTS, *PIXEL_STARTS):
        names = (*STARTS, *PIXEL_STARTS)
        raise ValueError(f"recovery_starts names {text!r}: {suggest(name, names)}use one of {', '.join(names)}")
    try:
        amount = float(amount_said) if colon else None
        size = int(size_said) if at else 64
    except ValueError:
        raise ValueError(f"recovery_starts names {text!r}: write it as displaced:10 or displaced:10@128") from None
    if amount is not None:
        if name not in USUAL:
            raise ValueError(f"recovery_starts names {text!r}: {name} takes no amount, so leave out :{amount_said}")
        if not math.isfinite(amount) or amount < 0:
            raise ValueError(f"recovery_starts names {text!r}: the amount must be 0 or more")
    if not 16 <= size <= LARGEST_SIDE:
        raise ValueError(f"recovery_starts names {text!r}: the size must be 16 to {LARGEST_SIDE} pixels")
    return RecoveryStart(name, amount, size)


_WHOLE: dict[str, Any] = {
    "recovery_drawings": 100,
    "recovery_steps": 120,
    "recovery_losses": LOSSES,
    "recovery_starts": (*_DISPLACED, *_OTHERS, *(f"{start}@128" for start in _DISPLACED)),
}
#: What each preset of a study changes of the defaults above.
PRESETS: dict[str, dict[str, Any]] = {
    "real": {
        "recovered": in_data_folder("quickdraw"),
        "recovery_classes": UNSEEN,
        **_WHOLE,
        "recovery_starts": (*_DISPLACED, *_OTHERS, "displaced:10@128", "displaced:14@128"),
    },
    "weekend": _WHOLE,
    "paper": _WHOLE,
}
