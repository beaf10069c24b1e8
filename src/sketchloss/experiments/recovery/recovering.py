"""Recovery of some drawings from one start by one loss."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch

from sketchloss.data.quickdraw.drawings import StrokeDrawing, open_drawings
from sketchloss.experiments.guiding_losses import BESIDE
from sketchloss.experiments.recovery.plan import read_start
from sketchloss.strokes.free_pixels import recover_pixels
from sketchloss.strokes.named_losses import named_loss
from sketchloss.strokes.recovery import Loss, recover, settled
from sketchloss.strokes.renderer import render
from sketchloss.strokes.starts import PIXEL_STARTS, PixelStart, Start
from sketchloss.strokes.with_pixels import WithPixels
from sketchloss.system.files import write_atomic
from sketchloss.system.setting_fields import FILES, LOSS, PLACE

#: Pictures of the way of the first drawings are kept: these shares of all records.
SHOWN, SHARES = 4, (0.0, 0.1, 0.25, 0.5, 1.0)
WAYS = "ways.npz"


@dataclass(frozen=True)
class Recover:
    """Settings of one recovery."""

    loss: str = field(metadata=LOSS)
    start: str
    data: str = field(default="doodles", metadata=FILES)
    drawings: int = 8
    steps: int = 120
    classes: tuple[str, ...] = ()
    seed: int = 0
    out: Path | None = field(default=None, metadata=PLACE)


def compute(config: Recover) -> dict[str, Any]:
    """Lead drawings back, and write the pictures of some ways.

    Returns:
        JSON-ready: chamfer distances in pixels at the start and the end, whether each drawing is recovered, from which
        step on, and the share recovered at each recorded step.

    Raises:
        ValueError: for data with too few drawings, or a loss that gives no value or gradient.
    """
    drawings = open_some(config.data, config.drawings, config.seed, config.classes)
    start, loss = read_start(config.start), open_loss(config.loss)
    if start.name in PIXEL_STARTS:
        found = recover_pixels(
            loss, drawings, start=cast(PixelStart, start.name), size=start.size, steps=config.steps, seed=config.seed
        )
        pictures, truth = found.way, found.truth
    else:
        found = recover(
            loss,
            drawings,
            start=cast(Start, start.name),
            amount=start.in_pixels,
            size=start.size,
            steps=config.steps,
            seed=config.seed,
        )
        pictures, truth = [render(strokes, start.size) for strokes in found.way], render(found.truth, start.size)
    if config.out is not None:
        _keep_ways(config.out, pictures, truth)
    recovered = found.chamfer[-1] < found.pen
    steps = settled(found.chamfer, found.recorded, found.pen)[recovered]
    return {
        "names": [f"{drawing.label}/{drawing.number}" for drawing in drawings],
        "before": found.chamfer[0].tolist(),
        "after": found.chamfer[-1].tolist(),
        "recovered": recovered.tolist(),
        "steps": steps.tolist(),
        "recorded": found.recorded.tolist(),
        "share": (found.chamfer < found.pen).double().mean(1).tolist(),
        "chamfer": found.chamfer.double().mean(1).tolist(),
        "pen": found.pen,
    }


def open_loss(name: str) -> Loss:
    """Return a loss by its name in a plan.

    Raises:
        ValueError: as `named_loss`.
        FileNotFoundError: as `named_loss`.
    """
    term = named_loss(name.removeprefix(BESIDE), bfloat16=True)
    return WithPixels(term) if name.startswith(BESIDE) else term


def open_some(source: str, count: int, seed: int, classes: Sequence[str] = ()) -> list[StrokeDrawing]:
    """Open so many drawings, of as many classes as there are.

    Args:
        source: as for `open_drawings`.
        count: number of drawings, 1 or more.
        seed: as for `open_drawings`.
        classes: classes to take; none: any.

    Raises:
        ValueError: for a source that holds fewer, or none of a class.
    """
    if classes:
        found = open_drawings(source, per_class=-(-count // len(classes)), classes=classes, seed=seed)
    else:
        found = open_drawings(source, per_class=1, classes=count, seed=seed)
        if len(found) < count:
            found = open_drawings(source, per_class=-(-count // len(found)), seed=seed)
    if len(found) < count:
        raise ValueError(f"{source} holds {len(found)} drawings that will do, not {count}: ask for fewer")
    # The first drawing of each class, then the second of each.
    labels = [drawing.label for drawing in found]
    turns = [labels[:place].count(label) for place, label in enumerate(labels)]
    order = sorted(range(len(found)), key=turns.__getitem__)
    return [found[place] for place in order[:count]]


def _keep_ways(out: Path, pictures: Sequence[torch.Tensor], truth: torch.Tensor) -> None:
    out.mkdir(parents=True, exist_ok=True)
    records = [round(share * (len(pictures) - 1)) for share in SHARES]
    ways = torch.stack([pictures[record][:SHOWN, 0] for record in records], 1)
    shown = torch.cat([ways, truth[:SHOWN]], 1)
    with write_atomic(out / WAYS) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, pictures=(shown * 255).round().byte().numpy())
