"""Distances of known pairs, to compare a distance with: a drawing made twice, two of a class, one and a blank page.

A distance by itself says little: 0.1 may be much or nothing. The package carries the distances of some thousand pairs
of QuickDraw sketches, for the losses `SketchLoss()` and `SketchLoss("sketch-small")` and drawings fitted into 256
pixels, as `sketchloss compare` does.

    from sketchloss.loss.calibration import calibration_for

    calibration = calibration_for(loss, size=256)
    calibration.words(0.21), calibration.shares(0.21)
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from sketchloss.loss.loss import SketchLoss
from sketchloss.networks.weights import bundled_folder, weights_digest
from sketchloss.system.files import write_json
from sketchloss.system.stored import build_config, check_range, is_finite, read_described

#: Kinds of pairs, from alike to different -> what they are, in words.
KINDS = {
    "pen": "the same drawing with another pen",
    "redrawn": "the same drawing made again",
    "half": "a drawing and half of its strokes",
    "same class": "two drawings of the same thing",
    "other class": "drawings of two different things",
    "blank": "a drawing and an empty page",
}
FORMAT = "sketchloss calibration"
#: In the folders of the weights in the package that have one.
FILE = "calibration.json"
#: Quantiles that are kept of each kind: every hundredth.
QUANTILES = 101


@dataclass(frozen=True)
class Calibration:
    """The distances of known pairs, for one way of measuring.

    Raises:
        ValueError: for kinds or quantiles that are not as described.
    """

    fingerprint: str
    """Fingerprint of the weights, as `weights_digest` gives it."""
    layers: tuple[str, ...]
    metric: str
    size: int
    """Side in pixels of the square that the drawings were fitted into."""
    source: str
    """Source of the drawings, in words."""
    pairs: int
    """Number of pairs of each kind."""
    quantiles: Mapping[str, Sequence[float]]
    """Kind of pairs -> its distances at 0 %, 1 %, ... 100 % of the pairs."""

    def __post_init__(self) -> None:
        if set(self.quantiles) != set(KINDS):
            raise ValueError(f"quantiles are of {', '.join(self.quantiles)}: they must be of {', '.join(KINDS)}")
        for kind, values in self.quantiles.items():
            numbers = len(values) == QUANTILES and all(map(is_finite, values))  # nan has no order
            if not numbers or any(a > b for a, b in pairwise(values)):
                raise ValueError(f"the quantiles of {kind!r} must be {QUANTILES} ascending numbers")
        check_range(self, ("size", "pairs"), 1, 10**9)

    def shares(self, distance: float) -> dict[str, float]:
        """Return for each kind the share of its pairs, in [0, 1], that are closer than this distance (≥ 0)."""
        _check(distance)
        grid = np.linspace(0, 1, QUANTILES)
        return {kind: float(np.interp(distance, self.quantiles[kind], grid)) for kind in KINDS}

    def words(self, distance: float) -> str:
        """Say in a few words how different two drawings at this distance (≥ 0) look."""
        _check(distance)
        if distance < 1e-6:
            return "The same picture"
        shares = self.shares(distance)
        if shares["pen"] <= 0.5:
            return "Almost the same, line for line"
        if shares["redrawn"] < 0.95:
            return "Alike, as when a drawing is made again"
        if shares["same class"] < 0.5:
            return "More alike than most drawings of the same thing"
        if shares["other class"] < 0.5:
            return "As different as drawings of the same thing often are"
        if shares["other class"] < 0.99:
            return "As different as drawings of different things"
        return "More different than nearly all pairs of drawings"


def load_calibration(path: str | Path | None = None) -> Calibration:
    """Load a calibration.

    Args:
        path: path of a file that `save_calibration` wrote; None: the one of the weights `sketch`.

    Raises:
        FileNotFoundError: if there is none.
        ValueError: if the file is damaged or another program's.
    """
    place = bundled_folder("sketch") / FILE if path is None else Path(path)
    if not place.is_file():
        raise FileNotFoundError(f"{place} does not exist: check the path")
    try:
        return build_config(Calibration, read_described(place, FORMAT), "it")
    except ValueError as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"{place} is no calibration ({reason}): make it with scripts/calibrate.py") from None


def calibration_for(loss: SketchLoss, size: int) -> Calibration | None:
    """Return the package's calibration of this loss and drawings fitted into this size; None if it has none."""
    fingerprint = weights_digest(loss.backbone)
    settings = (fingerprint, set(loss.layers), set(loss.layers.values()), loss.metric, size)
    for path in sorted(bundled_folder("").glob(f"*/{FILE}")):
        found = load_calibration(path)
        if settings == (found.fingerprint, set(found.layers), {1.0}, found.metric, found.size):
            return found
    return None


def save_calibration(calibration: Calibration, path: str | Path) -> None:
    """Write a calibration for `load_calibration`, whole or not at all."""
    write_json(path, {"format": FORMAT, **asdict(calibration)})


def _check(distance: float) -> None:
    if not distance >= 0:  # nan neither
        raise ValueError(f"the distance is {distance}: it must be a number from 0 up")
