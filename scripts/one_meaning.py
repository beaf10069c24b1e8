"""Does a distance keep its meaning from size to size, and with a margin? A table, and a figure.

    python scripts/one_meaning.py --data SKETCHY --out docs/images/one_meaning.png

Half of the pairs are of one class. The same pairs are measured at every size, and at each once more with a white margin
of a quarter of the page on all sides.
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from scipy.stats import spearmanr
from torch import Tensor

from sketchloss import SketchLoss, load_backbone, to_tensor
from sketchloss.data.sources import Sketches, open_sketches
from sketchloss.experiments.probe.sharing import share_backbone
from sketchloss.figures.tables import markdown_table
from sketchloss.loss.loss import BEFORE_0_2, PAPER_LAYERS
from sketchloss.system.files import write_atomic, write_json

HEADER = ("distance", "side", "mean", "of the smallest", "Spearman with the smallest", "margin, mean", "margin, worst")


def main() -> None:
    """Print the table, and write the figure and its numbers."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", default="doodles?tool=ink", help="labelled sketches")
    parser.add_argument("--weights", default="sketch")
    parser.add_argument("--sizes", type=int, nargs="+", default=[96, 128, 224, 320])
    parser.add_argument("--pairs", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="figure to write, and its numbers beside it as .json")
    options = parser.parse_args()
    backbone = load_backbone(options.weights, classes=())
    settings = {"default": {}, "before 0.2": BEFORE_0_2, "the paper's l1": {"metric": "l1", "layers": PAPER_LAYERS}}
    losses = {name: SketchLoss(backbone, reduction="none", **one) for name, one in settings.items()}
    share_backbone(list(losses.values()))
    found: dict[str, dict[int, list[np.ndarray]]] = {name: {} for name in losses}
    for size in options.sizes:
        sketches = open_sketches(options.data, size, seed=options.seed)
        for margin in (0, size // 4):
            for name, values in measure(losses, sketches, choose(sketches, options), margin).items():
                found[name].setdefault(size, []).append(values)
        print(f"{size} pixels", file=sys.stderr, flush=True)
    rows = [row(name, size, sizes) for name, sizes in found.items() for size in sizes]
    print(markdown_table(HEADER, rows))
    if options.out:
        draw(found, options.out)
        values = {
            name: {str(size): [v.tolist() for v in both] for size, both in sizes.items()}
            for name, sizes in found.items()
        }
        write_json(
            options.out.with_suffix(".json"), json.loads(json.dumps({"settings": vars(options), **values}, default=str))
        )


def choose(sketches: Sketches, options: argparse.Namespace) -> list[tuple[int, int]]:
    """Choose the pairs, the same at every size: one of a class, one of two classes, in turn."""
    rng = np.random.default_rng(options.seed)
    pairs = []
    for number in range(options.pairs):
        first = int(rng.integers(len(sketches)))
        alike = sketches.labels == sketches.labels[first]
        alike[first] = False
        others = np.flatnonzero(alike if number % 2 == 0 else sketches.labels != sketches.labels[first])
        pairs.append((first, int(rng.choice(others))))
    return pairs


def measure(
    losses: dict[str, SketchLoss], sketches: Sketches, pairs: list[tuple[int, int]], margin: int
) -> dict[str, Float[np.ndarray, " n"]]:
    """Measure the pairs by every loss, with a white margin of so many pixels."""

    def read(index: int) -> Tensor:
        picture = to_tensor(sketches.picture(index).convert("L"))[None]
        return F.pad(picture, [margin] * 4, value=1.0)

    values: dict[str, list[float]] = {name: [] for name in losses}
    with torch.no_grad():
        for first, second in pairs:
            one, other = read(first), read(second)
            for name, loss in losses.items():
                values[name].append(loss(one, other).item())
    return {name: np.array(each) for name, each in values.items()}


def row(name: str, size: int, sizes: dict[int, list[np.ndarray]]) -> list[str]:
    """Write one row of the table."""
    (first, _), (here, wide) = sizes[min(sizes)], sizes[size]
    apart = np.abs(wide / here - 1)
    return [
        name,
        str(size),
        f"{here.mean():.3f}",
        f"{here.mean() / first.mean() - 1:+.1%}",
        f"{spearmanr(first, here).statistic:.3f}",
        f"{apart.mean():.1%}",
        f"{apart.max():.1%}",
    ]


def draw(found: dict[str, dict[int, list[np.ndarray]]], out: Path) -> None:
    """Draw each pair at the smallest and at the greatest size, and with and without a margin."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    names = list(found)[:2]
    figure, axes = plt.subplots(1, 2 * len(names), figsize=(4 * len(names) * 1.6, 3.4), layout="constrained")
    for place, name in enumerate(names):
        sizes = found[name]
        small, large = min(sizes), max(sizes)
        for panel, (x, y, what) in enumerate(
            [
                (sizes[small][0], sizes[large][0], (f"at {small} pixels", f"at {large} pixels")),
                (sizes[small][0], sizes[small][1], (f"at {small} pixels", "with a margin of a quarter")),
            ]
        ):
            one = axes[2 * place + panel]
            most = 1.05 * max(x.max(), y.max())
            one.plot([0, most], [0, most], color="0.7", linewidth=1)
            one.scatter(x, y, s=8, color="#1f6f8b" if place == 0 else "#b5651d", alpha=0.6, linewidths=0)
            one.set(xlim=(0, most), ylim=(0, most), xlabel=what[0], ylabel=what[1], title=name, aspect="equal")
    with write_atomic(out) as temporary:
        figure.savefig(temporary, dpi=110, format="png")
    plt.close(figure)


if __name__ == "__main__":
    main()
