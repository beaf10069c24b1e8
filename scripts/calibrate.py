r"""Measure the distances of known pairs of drawings, and write a calibration of those that the package carries.

    python scripts/calibrate.py --data QUICKDRAW --out src/sketchloss/bundled/sketch/calibration.json
    python scripts/calibrate.py --data QUICKDRAW --weights sketch-small \
        --out src/sketchloss/bundled/sketch-small/calibration.json

QUICKDRAW is a folder of QuickDraw .ndjson files, or `doodles`. 344 classes, two drawings each, take 20 minutes on one
core for `sketch`, and five for `sketch-small`.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import tyro
from torch import Tensor
from tqdm import tqdm

from sketchloss import SketchLoss
from sketchloss.data.quickdraw.drawings import StrokeDrawing, open_drawings
from sketchloss.data.quickdraw.edits import by_other_hand, removed
from sketchloss.data.quickdraw.ignorable import THICKER, THINNER, shifted
from sketchloss.loss.calibration import KINDS, QUANTILES, Calibration, save_calibration
from sketchloss.networks.weights import load_backbone, weights_digest
from sketchloss.system.images import to_tensor

#: How much the other hand differs, in units of the doodles' hand (0.01 of the side for long strokes).
HAND = 2.0


@dataclass(frozen=True)
class Calibrate:
    """Measure the distances of known pairs."""

    data: str
    """`doodles`, or a folder of QuickDraw .ndjson files."""
    out: Path
    """File to write."""
    source: str = "QuickDraw"
    """What to call the drawings."""
    weights: str = "sketch"
    """Weights of the loss."""
    per_class: int = 2
    """Drawings of each class that are looked at; as many again are their partners."""
    size: int = 256
    """Side in pixels."""
    seed: int = 0
    """Of every choice."""


def main(config: Calibrate) -> None:
    """Measure and write."""
    backbone = load_backbone(config.weights, classes=())
    loss = SketchLoss(backbone, reduction="none", check=False)
    drawings = open_drawings(config.data, per_class=2 * config.per_class, seed=config.seed)
    by_class: dict[str, list[StrokeDrawing]] = {}
    for drawing in drawings:
        by_class.setdefault(drawing.label, []).append(drawing)
    by_class = {label: members for label, members in by_class.items() if len(members) == 2 * config.per_class}
    labels = list(by_class)
    rows = []
    for number, label in enumerate(tqdm(labels, unit="class")):
        for place in range(config.per_class):
            drawing, partner = by_class[label][place], by_class[label][place + config.per_class]
            rng = drawing.generator("calibration", config.seed)
            other = labels[(number + 1 + int(rng.integers(len(labels) - 1))) % len(labels)]
            pen = (THICKER if rng.random() < 0.5 else THINNER) * drawing.pen(config.size) / config.size
            again = shifted(by_other_hand(drawing, HAND, seed=config.seed), config.seed, "calibration")
            pairs = {
                "pen": replace(drawing, line_width=pen),
                "redrawn": replace(again, line_width=pen),
                "half": removed(drawing, 0.5, seed=config.seed).drawing,
                "same class": partner,
                "other class": by_class[other][place],
            }
            images = {kind: _image(pair, config.size) for kind, pair in pairs.items()}
            images["blank"] = torch.ones_like(images["pen"])
            with torch.inference_mode():
                features = loss.extract(_image(drawing, config.size))
                rows.append(loss(torch.cat([images[kind] for kind in KINDS]), features).numpy())
    grid = np.linspace(0, 1, QUANTILES)
    found = {
        kind: np.quantile(column, grid).round(6).tolist() for kind, column in zip(KINDS, np.stack(rows).T, strict=True)
    }
    calibration = Calibration(
        *(weights_digest(backbone), tuple(loss.layers), loss.metric, config.size),
        f"{config.source}, {len(labels)} classes",
        len(rows),
        found,
    )
    save_calibration(calibration, config.out)
    for kind, values in found.items():
        print(f"{kind:12} 5 %: {values[5]:.4f}   50 %: {values[50]:.4f}   95 %: {values[95]:.4f}")


def _image(drawing: StrokeDrawing, size: int) -> Tensor:
    return to_tensor(drawing.picture(size))[None]


if __name__ == "__main__":
    main(tyro.cli(Calibrate))
