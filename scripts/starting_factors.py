"""With which factor does the loss pull as hard as the mean difference of pixels? By task, size and metric; a table.

    SKETCHLOSS_DATA=FOLDER python scripts/starting_factors.py --faces cufs:CUFS fs2k:FS2K --objects SKETCHY

Pull is the norm of a term's gradient at what a generator made. What a generator makes early in a training is unlike its
target in known ways: here it is the target blurred and made paler, and another drawing of the same kind. The factor of
a pair is the pull of the pixels divided by that of the loss; the table has the median over pairs, and the middle half.
"""

import argparse
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
from kornia.filters import gaussian_blur2d
from torch import Tensor

from sketchloss import SketchLoss, load_backbone, to_tensor
from sketchloss.data.pairs import open_pairs
from sketchloss.data.sources import open_sketches
from sketchloss.figures.tables import markdown_table
from sketchloss.loss.balance import gradient_norms
from sketchloss.loss.loss import BEFORE_0_2, PAPER_LAYERS
from sketchloss.system.files import write_json

SETTINGS = {
    "`SketchLoss()`": {},
    '`SketchLoss(metric="l1", layers=PAPER_LAYERS)`': {"metric": "l1", "layers": PAPER_LAYERS},
    "the default before 0.2": BEFORE_0_2,
}


def main() -> None:
    """Print the table, and write its numbers."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--faces", nargs="*", default=[], help="pairs of photo and sketch, such as cufs:FOLDER")
    parser.add_argument("--objects", nargs="*", default=[], help="labelled sketches")
    parser.add_argument("--sizes", type=int, nargs="+", default=[64, 128, 256])
    parser.add_argument("--pairs", type=int, default=24, help="of each task")
    parser.add_argument("--weights", default="sketch")
    parser.add_argument("--out", type=Path, help="also write the numbers here, as JSON")
    options = parser.parse_args()
    backbone = load_backbone(options.weights, classes=())
    losses = {name: SketchLoss(backbone, check=False, **settings) for name, settings in SETTINGS.items()}
    tasks = {"faces": options.faces, "objects": options.objects, "doodles": ["doodles?tool=ink"]}
    rows, numbers = [], {}
    for task, sources in tasks.items():
        for size in options.sizes if sources else ():
            found: dict[str, list[float]] = {name: [] for name in losses}
            for source in sources:
                drawings = faces(source, size) if task == "faces" else objects(source, size)
                for pred, target in islice(tries(drawings), options.pairs):
                    for name, factor in factors(losses, pred, target).items():
                        found[name].append(factor)
            numbers[f"{task} {size}"] = found
            rows.append([task, str(size), *map(cell, found.values())])
            print(" ".join(rows[-1]), file=sys.stderr, flush=True)
            if options.out:
                write_json(options.out, numbers)
    print(markdown_table(["task", "side", *losses], rows))


def cell(values: list[float]) -> str:
    """Write the median and the middle half."""
    low, middle, high = np.quantile(values, (0.25, 0.5, 0.75))
    return f"{middle:.2g} ({low:.2g} to {high:.2g})"


def faces(source: str, size: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield a sketch of a face, and another, 1×3×size×size."""
    pairs = open_pairs(source)
    pictures = (to_tensor(pairs.sketch(index, size))[None] for index in range(len(pairs)))
    yield from zip(pictures, pictures, strict=False)


def objects(source: str, size: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield a drawing, and another of its class."""
    sketches = open_sketches(source, size, per_class=2)
    order = np.random.default_rng(0).permutation(len(sketches.classes))
    for label in order:
        first_two = np.flatnonzero(sketches.labels == label)[:2]
        one, other = (to_tensor(sketches.picture(int(index)).convert("RGB"))[None] for index in first_two)
        yield one, other


def tries(drawings: Iterator[tuple[Tensor, Tensor]]) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield what a generator may make, and its target."""
    for target, other in drawings:
        deviation = target.shape[-1] / 64
        side = 2 * round(3 * deviation) + 1
        blurred = gaussian_blur2d(target, side, (deviation, deviation))
        yield 1 - 0.6 * (1 - blurred), target
        yield other, target


def factors(losses: dict[str, SketchLoss], pred: Tensor, target: Tensor) -> dict[str, float]:
    """Return the pull of the pixels divided by that of each loss."""
    pred = pred.clone().requires_grad_()
    terms = {"pixels": (pred - target).abs().mean(), **{name: loss(pred, target) for name, loss in losses.items()}}
    norms = gradient_norms(terms, pred, terms)
    return {name: norms["pixels"] / norms[name] for name in losses}


if __name__ == "__main__":
    main()
