"""Which formula makes the best distance of features? A table: does it judge, is it fooled, and does it guide?

    SKETCHLOSS_DATA=FOLDER python scripts/formulas.py --data QUICKDRAW --weights sketch --out formulas.json

Each formula meets the same drawings, through the same network and taps. *Judges*: the probe's score, and how often a
change that people ignore counts for less than a fifth of the strokes, on the half of the drawings to choose by, and the
score on the half that only reports. *Fooled*: how often blank paper, one stroke and a page shifted by a quarter are
nearer than another drawing, or one of another kind. *Guides*: how many drawings of displaced strokes are led back.
"""

import argparse
import functools
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from sketchloss import load_backbone
from sketchloss.data.quickdraw.drawings import open_drawings
from sketchloss.experiments.probe import probe_distance
from sketchloss.experiments.probe.trials import make_trials
from sketchloss.experiments.probe.trick_verdicts import fooled, open_halves
from sketchloss.figures.tables import markdown_table
from sketchloss.loss.blank_paper import BlankPaper, Paper
from sketchloss.loss.feature_distance import feature_distance
from sketchloss.loss.ink_distance import ink_distance, through_windows
from sketchloss.loss.loss import PAPER_LAYERS, Features, check_layers
from sketchloss.networks.backbone import Backbone, freeze
from sketchloss.strokes.named_losses import pixels_l1, pixels_l2_blurred
from sketchloss.strokes.recovery import recover
from sketchloss.system.files import write_json

#: From the features of two pictures at a tap, and of blank paper, to the distance of each pair.
Formula = Callable[[Tensor, Tensor, Paper], Float[Tensor, " n"]]
TAPS: dict[str, Sequence[str] | Mapping[str, float]] = {
    "1-4": PAPER_LAYERS,
    "1-4, the last half": {"relu1_2": 1, "relu2_2": 1, "relu3_3": 1, "relu4_3": 0.5},
    "1-4, the first twice": {"relu1_2": 2, "relu2_2": 1, "relu3_3": 1, "relu4_3": 1},
    "1-4, descending": {"relu1_2": 4, "relu2_2": 3, "relu3_3": 2, "relu4_3": 1},
    "1-3": ("relu1_2", "relu2_2", "relu3_3"),
    "1-5": (*PAPER_LAYERS, "relu5_3"),
    "1-4_1": ("relu1_2", "relu2_2", "relu3_3", "relu4_1"),
    "1-4_1, the last twice": {"relu1_2": 1, "relu2_2": 1, "relu3_3": 1, "relu4_1": 2},
    "1-4 and 3_1": ("relu1_2", "relu2_2", "relu3_1", "relu3_3", "relu4_1"),
    "2-4": ("relu2_2", "relu3_3", "relu4_3"),
    "2-5": ("relu2_2", "relu3_3", "relu4_3", "relu5_3"),
    "3-5": ("relu3_3", "relu4_3", "relu5_3"),
}
FOOLED = ("blank page", "one stroke", "quarter shift")
HEADER = ("formula", "taps", "score", "ignores", "score, other half", *FOOLED, "recovered", "chamfer")


def bray_curtis(pred: Tensor, target: Tensor, paper: Paper) -> Float[Tensor, " n"]:
    """Return |a - b| / (|a| + |b|) of features relative to blank paper (Bray and Curtis 1957), absolute values."""
    ours, theirs = pred - paper.blank, target - paper.blank
    total = ours.abs().sum((1, 2, 3)) + theirs.abs().sum((1, 2, 3))
    return (ours - theirs).abs().sum((1, 2, 3)) / total.clamp_min(paper.floor.places**0.5)


def squared(pred: Tensor, target: Tensor, paper: Paper) -> Float[Tensor, " n"]:
    """Return |a - b|² / (|a|² + |b|²) of features relative to blank paper."""
    ours, theirs = pred - paper.blank, target - paper.blank
    total = ours.square().sum((1, 2, 3)) + theirs.square().sum((1, 2, 3))
    return (ours - theirs).square().sum((1, 2, 3)) / (total + paper.floor.places)


def cosine(pred: Tensor, target: Tensor, paper: Paper) -> Float[Tensor, " n"]:
    """Return 1 - the cosine of the angle between features relative to blank paper, of the whole picture."""
    ours, theirs = (F.normalize((one - paper.blank).flatten(1), dim=1, eps=1e-6) for one in (pred, target))
    return (ours - theirs).square().sum(1) / 2


def pyramid(formula: Formula, pred: Tensor, target: Tensor, paper: Paper) -> Float[Tensor, " n"]:
    """Return the mean over features at their positions and averaged over 2x2, 4x4 and 8x8 of them."""
    found = [formula(pred, target, paper)]
    for side in (2, 4, 8):
        if min(pred.shape[-2:]) >= side:
            ours, theirs, blank = (F.avg_pool2d(one, side) for one in (pred, target, paper.blank))
            found.append(formula(ours, theirs, Paper(blank, paper.floor)))
    return torch.stack(found).mean(0)


def ink(pred: Tensor, target: Tensor, paper: Paper, **settings: Any) -> Float[Tensor, " n"]:
    """Return `ink_distance`."""
    return ink_distance(pred, target, paper.blank, floor=paper.floor, **settings)


def bray_curtis_through_windows(pred: Tensor, target: Tensor, paper: Paper) -> Float[Tensor, " n"]:
    """Return Bray-Curtis of what the windows of `ink_distance` see."""
    ours, theirs = pred - paper.blank, target - paper.blank
    found = []
    for one, other in through_windows(ours, theirs, paper.floor):
        total = one.abs().sum((1, 2, 3)) + other.abs().sum((1, 2, 3))
        found.append((one - other).abs().sum((1, 2, 3)) / total.clamp_min(paper.floor.windows**0.5))
    return torch.stack(found).mean(0)


def plain(metric: Any, pred: Tensor, target: Tensor, paper: Paper) -> Float[Tensor, " n"]:  # noqa: ARG001
    """Return a distance position by position, not relative to paper."""
    return feature_distance(pred, target, metric)


FORMULAS: dict[str, Formula] = {
    **{name: functools.partial(plain, name) for name in ("l1", "l2", "cosine")},
    "Bray-Curtis": bray_curtis,
    "squared": squared,
    "cosine of the whole": cosine,
    "Bray-Curtis, pyramid": functools.partial(pyramid, bray_curtis),
    "squared, pyramid": functools.partial(pyramid, squared),
    "Bray-Curtis, windows": bray_curtis_through_windows,
    "ink": ink,
    **{f"ink, k = {k}": functools.partial(ink, darkness=k) for k in (0.005, 0.05, 0.2)},
    "ink, windows 1/16 to 1": functools.partial(ink, windows=(0.0625, 0.125, 0.25, 0.5, 1.0)),
    "ink, windows 1/8 to 1/2": functools.partial(ink, windows=(0.125, 0.25, 0.5)),
    "ink, windows 1/8 and 1/2": functools.partial(ink, windows=(0.125, 0.5)),
    "ink, windows 1/4 to 1": functools.partial(ink, windows=(0.25, 0.5, 1.0)),
}
PIXELS = {"pixels l1": pixels_l1, "pixels l2, blurred": pixels_l2_blurred}


class TapLoss:
    """The mean over taps of a formula, through a network in bfloat16."""

    def __init__(self, backbone: Backbone, taps: Sequence[str] | Mapping[str, float], formula: Formula) -> None:
        self.backbone, self.taps, self.formula = backbone, check_layers(taps), formula
        self.paper = BlankPaper(backbone, taps)

    def extract(self, target: Tensor) -> dict[str, Tensor]:
        """Return the features of a target, for every later call."""
        with torch.no_grad():
            return self._look(target)

    def __call__(self, pred: Tensor, target: Tensor | Features) -> Float[Tensor, " n"]:
        """Return the distance of each pair."""
        ours = self._look(pred)
        theirs = self.extract(target) if isinstance(target, Tensor) else target
        with torch.autocast(pred.device.type, torch.bfloat16):
            papers = self.paper.seen(*pred.shape[-2:])
        found = [
            weight * self.formula(ours[tap], theirs[tap].expand_as(ours[tap]), papers[tap])
            for tap, weight in self.taps.items()
        ]
        return torch.stack(found).sum(0) / sum(self.taps.values())

    def _look(self, images: Tensor) -> dict[str, Tensor]:
        with torch.autocast(images.device.type, torch.bfloat16):
            found = self.backbone(images.expand(-1, 3, -1, -1), self.taps)
        return {tap: features.float() for tap, features in found.items()}


def main() -> None:
    """Print the table, and write the numbers."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", default="doodles", help="doodles, or a folder of QuickDraw .ndjson files")
    parser.add_argument("--weights", default="sketch", help="a name, path or hub repo")
    parser.add_argument("--formulas", nargs="+", default=list(FORMULAS), choices=[*FORMULAS, *PIXELS], metavar="NAME")
    parser.add_argument("--taps", nargs="+", default=["1-4_1"], choices=TAPS)
    parser.add_argument("--drawings", type=int, default=50, help="of each half, and of tricks")
    parser.add_argument("--strokes", type=int, default=24, help="drawings whose strokes are led back; 0: none")
    parser.add_argument("--amount", type=float, default=14, help="pixels of 64 that strokes are displaced by")
    parser.add_argument("--size", type=int, default=64, help="side of the pictures in pixels")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="also write the numbers here, as JSON")
    options = parser.parse_args()
    backbone = freeze(load_backbone(options.weights, classes=())).to(memory_format=torch.channels_last)
    halves = open_halves(options.data, seed=options.seed)
    trials = [make_trials(half, options.size, count=options.drawings, seed=options.seed) for half in halves]
    astray = (
        open_drawings(options.data, per_class=1, classes=options.strokes, seed=options.seed) if options.strokes else []
    )
    rows = []
    for taps in options.taps:
        for name in options.formulas:
            loss = PIXELS.get(name) or TapLoss(backbone, TAPS[taps], FORMULAS[name])
            row: dict[str, Any] = {"formula": name, "taps": "" if name in PIXELS else taps}
            for half, asked in zip(("choose", "report"), trials, strict=True):
                found = probe_distance(loss, asked, name=name)
                row[half] = {"score": found.score, "ignores": found.ignores, "grows": found.grows}
            found = fooled(loss, halves[0], image_size=options.size, count=options.drawings, name=name)
            row["fooled"] = {trick: share.value if share else None for trick, share in found.shares.items()}
            if astray:
                moved = recover(
                    loss, astray, start="displaced", amount=options.amount * options.size / 64, size=options.size
                )
                row["recovered"], row["chamfer"] = moved.recovered.float().mean().item(), moved.after.mean().item()
            rows.append(row)
            print(" ".join(cells(row)), file=sys.stderr, flush=True)
            if options.out:
                write_json(options.out, {"settings": vars(options) | {"out": str(options.out)}, "rows": rows})
    print(markdown_table(HEADER, [cells(row) for row in rows]))


def cells(row: dict[str, Any]) -> list[str]:
    """Write one row of the table."""
    shares = [f"{row['fooled'][trick] or 0:.0%}" for trick in FOOLED]
    guided = [f"{row['recovered']:.0%}", f"{row['chamfer']:.2f}"] if "recovered" in row else ["", ""]
    scores = [f"{value:.3f}" for value in (row["choose"]["score"], row["choose"]["ignores"], row["report"]["score"])]
    return [row["formula"], row["taps"], *scores, *shares, *guided]


if __name__ == "__main__":
    main()
