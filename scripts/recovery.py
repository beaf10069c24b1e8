"""Which loss leads displaced, erased or missing strokes back? A table, one row a loss.

    python scripts/recovery.py --data QUICKDRAW_FOLDER --starts displaced half-erased blank \\
        --loss pixels sketch:l1 imagenet:cosine:relu3_3,relu4_3 my_losses.py:relative --out recovery.json

Every loss meets the same drawings at the same starts. A drawing is recovered if its chamfer distance to the truth ends
below one pen width, 1 pixel of 64; the interval is Wilson's, 95 %. What a loss may be: see `named_loss`.
"""

import argparse
import sys
import time
from pathlib import Path

import torch

from sketchloss.data.quickdraw.drawings import StrokeDrawing, open_drawings
from sketchloss.experiments.probe.measures import wilson
from sketchloss.figures.tables import markdown_table
from sketchloss.strokes.named_losses import named_loss
from sketchloss.strokes.recovery import Loss, recover
from sketchloss.strokes.starts import STARTS, Start
from sketchloss.system.files import write_json

HEADER = ("loss", "start", "drawings", "chamfer before", "after", "recovered", "95 %", "steps", "s/step")


def main() -> None:
    """Print the table, and write the numbers of every drawing."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", default="doodles", help="doodles, or a folder of QuickDraw .ndjson files")
    parser.add_argument(
        "--drawings", type=int, default=50, help="how many, each of a class of its own if there are so many"
    )
    parser.add_argument("--size", type=int, default=64, help="side of the pictures in pixels")
    parser.add_argument("--starts", nargs="+", default=["displaced"], choices=STARTS)
    parser.add_argument(
        "--amount", type=float, help="pixels that strokes are moved by; default: 10 of 64 if displaced, 0 otherwise"
    )
    parser.add_argument("--steps", type=int, default=120)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--learning-rate", type=float, help="pixels a step; default: 0.5 of 64")
    parser.add_argument(
        "--loss",
        nargs="+",
        required=True,
        help="pixels, pixels-l2-blurred, WEIGHTS:METRIC[:LAYER,...], MODULE:FUNCTION, FILE.py:FUNCTION",
    )
    parser.add_argument(
        "--precision", choices=("bf16", "fp32"), default="bf16", help="of the networks of WEIGHTS:METRIC"
    )
    parser.add_argument("--out", type=Path, help="also write the numbers here, as JSON")
    options = parser.parse_args()
    try:
        losses = {name: named_loss(name, bfloat16=options.precision == "bf16") for name in options.loss}
        drawings = open_some(options.data, options.drawings, options.seed)
        rows = []
        for name, loss in losses.items():
            for start in options.starts:
                rows.append(measure(name, loss, drawings, start, options))
                print(" ".join(cells(rows[-1])), file=sys.stderr)
                if options.out:  # after every row: a long run that is stopped leaves what it found
                    settings = {key: value for key, value in vars(options).items() if key != "out"}
                    write_json(options.out, {"settings": settings, "rows": rows})
        print(markdown_table(HEADER, [cells(row) for row in rows]))
    except (ValueError, FileNotFoundError) as error:
        print(f"recovery: {error}", file=sys.stderr)
        sys.exit(2)


def open_some(source: str, count: int, seed: int) -> list[StrokeDrawing]:
    """Open so many drawings, of as many classes as there are."""
    found = open_drawings(source, per_class=1, classes=count, seed=seed)
    if len(found) < count:
        found = open_drawings(source, per_class=-(-count // len(found)), seed=seed)[:count]
    if len(found) < count:
        raise ValueError(f"{source} holds {len(found)} drawings that will do, not {count}: lower --drawings")
    return found


def measure(name: str, loss: Loss, drawings: list[StrokeDrawing], start: Start, options: argparse.Namespace) -> dict:
    """Recover by one loss from one start."""
    began = time.perf_counter()
    found = recover(
        loss,
        drawings,
        start=start,
        amount=options.amount,
        size=options.size,
        steps=options.steps,
        seed=options.seed,
        learning_rate=options.learning_rate,
    )
    seconds = (time.perf_counter() - began) / options.steps
    return {
        "loss": name,
        "start": start,
        "before": found.before.tolist(),
        "after": found.after.tolist(),
        "recovered": found.recovered.tolist(),
        "steps": [None if step != step else step for step in found.steps.tolist()],
        "recorded": found.recorded.tolist(),
        "mean_chamfer": found.chamfer.mean(1).tolist(),
        "seconds_per_step": seconds,
        "threads": torch.get_num_threads(),
    }


def cells(row: dict) -> list[str]:
    """Write one row of the table."""
    count, right = len(row["after"]), sum(row["recovered"])
    low, high = wilson(right / count, count)
    steps = [step for step in row["steps"] if step is not None]
    return [
        row["loss"],
        row["start"],
        str(count),
        f"{sum(row['before']) / count:.2f}",
        f"{sum(row['after']) / count:.2f}",
        f"{right / count:.0%}",
        f"{low:.0%} to {high:.0%}",
        f"{sum(steps) / len(steps):.0f}" if steps else "-",
        f"{row['seconds_per_step']:.2f}",
    ]


if __name__ == "__main__":
    main()
