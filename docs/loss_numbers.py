"""Measure the numbers of docs/guide/loss.md, on two ink doodles of each of 35 kinds, a pair at a time.

python docs/loss_numbers.py
"""

import sys
from collections.abc import Iterator
from statistics import mean

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from sketchloss import SketchLoss
from sketchloss.data.loading import to_unit_range
from sketchloss.data.sources import open_sketches
from sketchloss.figures.tables import markdown_table
from sketchloss.loss.balance import gradient_norms
from sketchloss.loss.loss import PAPER_LAYERS
from sketchloss.networks.vgg import VGG

SIDE, STEP = 128, 2


def pairs(side: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Two drawings of each kind, 1×3×side×side; the first wants a gradient."""
    sketches = open_sketches("doodles?tool=ink", side, per_class=2)
    for index in range(0, len(sketches), 2):
        pred, target = (to_unit_range(sketches[place]["image"][None]) for place in (index, index + 1))
        yield pred.requires_grad_(), target


def pull(term: Tensor, pred: Tensor) -> float:
    """Norm of a term's gradient at the drawing."""
    return gradient_norms({"term": term}, pred, ["term"])["term"]


def compare_sides() -> str:
    """The loss and the pull of its terms at several sizes."""
    rows, loss = [], SketchLoss(style_weight=1.0)
    for side in (64, 128, 256):
        seen = []
        for pred, target in pairs(side):
            pixels = (pred - target).abs().mean()
            terms = {name: torch.stack([*taps.values()]).mean() for name, taps in loss.per_tap(pred, target).items()}
            content, style = (pull(terms[name], pred) for name in ("content", "style"))
            seen.append((terms["content"].item(), pixels.item(), content / pull(pixels, pred), style / content))
        value, difference, to_pixels, to_content = (mean(column) for column in zip(*seen, strict=True))
        rows.append([f"{side}", f"{value:.3f}", f"{difference:.3f}", f"{to_pixels:.1f}", f"{to_content:.1f}"])
    pulls = ["pull of loss / pull of pixels", "pull of style term / pull of loss"]
    return markdown_table(["side in pixels", "loss", "mean difference of pixels", *pulls], rows)


def compare_taps() -> str:
    """What each tap pulls alone, and costs."""
    pulls, costs, least = {}, {}, {}
    for tap in dict.fromkeys((*VGG.default_layers, *PAPER_LAYERS, "relu5_3")):
        loss = SketchLoss(layers=(tap,))
        pulls[tap] = mean(pull(loss(pred, target), pred) for pred, target in pairs(SIDE))
        with FlopCounterMode(display=False) as counter:
            loss.extract(torch.ones(1, 3, SIDE, SIDE))
        costs[tap], least[tap] = counter.get_total_flops(), loss.minimum_size
    rows = [
        [f"`{tap}`", f"{pulls[tap] / pulls['relu1_2']:.1f}", f"{costs[tap] / costs['relu4_3']:.2f}", f"{least[tap]}"]
        for tap in pulls
    ]
    return markdown_table(["tap", "pull", "work up to this tap", "smallest side of a picture in pixels"], rows)


def compare_metrics() -> str:
    """Values and pulls of the metrics, and how much a shift counts in them."""
    distances = {f"`{metric}`": SketchLoss(metric=metric) for metric in ("ink", "l1", "l2", "cosine")}
    rows = []
    for name, distance in {"mean difference of pixels": _pixels, **distances}.items():
        seen = []
        for pred, target in pairs(SIDE):
            value = distance(pred, target)
            moved = distance(pred, pred.detach().roll(STEP, dims=3))
            seen.append((value.item(), moved.item(), pull(value, pred) / pull(_pixels(pred, target), pred)))
        value, moved, ratio = (mean(column) for column in zip(*seen, strict=True))
        rows.append([name, f"{value:.3f}", f"{moved:.3f}", f"{moved / value:.0%}", f"{ratio:.1f}"])
    header = ["distance", "another drawing of the kind", f"moved copy of the drawing ({STEP} pixels)", "share", "pull"]
    return markdown_table(header, rows)


def compare_precisions() -> str:
    """Values in other types, and of drawings that are light on dark."""
    loss, low = SketchLoss(), SketchLoss().bfloat16()
    seen = []
    with torch.no_grad():
        for pred, target in pairs(SIDE):
            with torch.autocast("cpu", torch.bfloat16):
                mixed = loss(pred, target)
            values = (loss(pred, target), low(pred.bfloat16(), target.bfloat16()), mixed, loss(1 - pred, 1 - target))
            seen.append([value.item() for value in values])
    names = ["float32", "bfloat16, loss and drawings", "bfloat16, autocast", "float32, light on dark without `invert`"]
    rows = [[name, f"{mean(column):.4f}"] for name, column in zip(names, zip(*seen, strict=True), strict=True)]
    return markdown_table(["arithmetic", "loss"], rows)


def _pixels(pred: Tensor, target: Tensor) -> Tensor:
    return (pred - target).abs().mean()


if __name__ == "__main__":
    for table in (compare_sides, compare_taps, compare_metrics, compare_precisions):
        sys.stdout.write(f"{table()}\n\n")
        sys.stdout.flush()
