"""Do the probe's answers hold from size to size? A table, one row for each of several weights and sizes.

    python scripts/probe_sizes.py --data QUICKDRAW --weights imagenet sketch --sizes 64 96 128 224 320 --out sizes.json

`SketchLoss(WEIGHTS)` at its own taps, under bfloat16. *Ignores*: how often a change that people ignore counts for less
than a fifth of the strokes; *same kind* and *other kind*: how often the drawing redrawn is nearer than the one that raw
pixels find nearest. Each cell: the half of the drawings to choose by / the half that only reports.
"""

import argparse
import sys
from pathlib import Path

import torch
from torch import Tensor

from sketchloss import SketchLoss
from sketchloss.experiments.probe import Measures, probe_distance
from sketchloss.experiments.probe.trials import RIVALS, make_trials
from sketchloss.experiments.probe.trick_verdicts import open_halves
from sketchloss.figures.tables import markdown_table
from sketchloss.system.files import write_json

HEADER = ("weights", "side", "score", "grows", "ignores", "same kind", "other kind")


def main() -> None:
    """Print the table, and write its numbers."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", default="doodles", help="doodles, or a folder of QuickDraw .ndjson files")
    parser.add_argument("--weights", nargs="+", default=["imagenet", "sketch"], help="names, paths or hub repos")
    parser.add_argument("--sizes", type=int, nargs="+", default=[64, 96, 128, 224, 320], help="sides in pixels")
    parser.add_argument("--drawings", type=int, default=24, help="of each half")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="also write the numbers here, as JSON")
    options = parser.parse_args()
    losses = {name: SketchLoss(name, reduction="none", check=False) for name in options.weights}
    halves = open_halves(options.data, seed=options.seed)
    rows, numbers = [], []
    for size in options.sizes:
        trials = [make_trials(half, size, count=options.drawings, seed=options.seed) for half in halves]
        for name, loss in losses.items():

            def distance(pred: Tensor, target: Tensor, loss: SketchLoss = loss) -> Tensor:
                with torch.autocast("cpu", torch.bfloat16):
                    return loss(pred, target)

            found = [probe_distance(distance, asked, name=name) for asked in trials]
            rows.append([Path(name).name, str(size), *(cell([values(one)[key] for one in found]) for key in KEYS)])
            numbers.append({"weights": name, "size": size, "choose": values(found[0]), "report": values(found[1])})
            print(" ".join(rows[-1]), file=sys.stderr, flush=True)
            if options.out:
                write_json(options.out, numbers)
    print(markdown_table(HEADER, rows))


KEYS = ("score", "grows", "ignores", *RIVALS)


def values(found: Measures) -> dict[str, float | None]:
    """Return what the table shows of one half."""
    choice = {rival: share.value if share else None for rival, share in found.choice.items()}
    return {"score": found.score, "grows": found.grows, "ignores": found.ignores, **choice}


def cell(halves: list[float | None]) -> str:
    """Write one number of both halves."""
    return " / ".join("-" if value is None else f"{value:.3f}" for value in halves)


if __name__ == "__main__":
    main()
