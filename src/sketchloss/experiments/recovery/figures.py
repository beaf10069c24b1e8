"""Recovery in pictures: the share led back over the steps, and the ways of some drawings."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from sketchloss.experiments.guiding_losses import BESIDE
from sketchloss.experiments.recovery.plan import PIXELS, loss_title, read_start
from sketchloss.experiments.recovery.recovering import SHARES
from sketchloss.experiments.recovery.table import Found
from sketchloss.figures.grid import draw_grid
from sketchloss.system.files import write_atomic

# Told apart by the colour-blind as well (Okabe & Ito 2008). A loss beside the pixels has its colour, broken.
COLOURS = ("#333333", "#999999", "#56B4E9", "#E69F00", "#0072B2", "#D55E00", "#009E73", "#CC79A7")
ACROSS = 4


def draw_curves(found: Found, starts: Sequence[str], path: Path) -> None:
    """Draw the share of drawings that are led back, over the steps: a panel for each start, a line for each loss."""
    rows = -(-len(starts) // ACROSS)
    width = max(5.2, 3.4 * min(ACROSS, len(starts)))
    figure = Figure(figsize=(width, 2.6 * rows + 1.2), layout="constrained")
    every = figure.subplots(rows, min(ACROSS, len(starts)), squeeze=False).flatten()
    bases = list(dict.fromkeys(loss.removeprefix(BESIDE) for loss in found))
    for axes, start in zip(every, starts, strict=False):
        for loss, of_loss in found.items():
            result: Mapping[str, Any] | None = of_loss.get(start)
            if result is None:
                continue
            axes.plot(
                result["recorded"],
                [100 * share for share in result["share"]],
                color=COLOURS[bases.index(loss.removeprefix(BESIDE)) % len(COLOURS)],
                linestyle="--" if loss.startswith(BESIDE) else "-",
                linewidth=2 if loss == PIXELS else 1.4,
                label=loss_title(loss),
            )
        axes.set_xlabel("step")
        axes.set_title(read_start(start).title, loc="left", fontsize="medium")
        axes.set_ylim(-3, 103)
        axes.grid(axis="y", color="#E6E6E6", linewidth=0.7)
        axes.spines[["top", "right"]].set_visible(False)
    for axes in every[len(starts) :]:
        axes.set_axis_off()
    figure.supylabel("drawings within one pen's width of the truth (%)", fontsize="medium")
    handles, labels = every[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=int(width / 2.6), frameon=False, fontsize="small")
    with write_atomic(path) as temporary:
        figure.savefig(temporary, dpi=130)


def draw_ways(files: Mapping[str, Path], path: Path, *, number: int = 0) -> None:
    """Draw the way of one drawing by each loss: a row for each, from the start to the end, and the truth.

    Args:
        files: loss -> file of pictures that `recovering.compute` left.
        path: picture to write.
        number: which of the drawings that were kept.
    """
    rows = []
    for file in files.values():
        with np.load(file) as kept:
            pictures = kept["pictures"]
        of_drawing = pictures[min(number, len(pictures) - 1)]
        rows.append([Image.fromarray(picture) for picture in of_drawing])
    names = [f"{share:.0%} of the steps" if share else "start" for share in SHARES]
    sheet = draw_grid(
        rows, side=112, row_names=[loss_title(loss) for loss in files], column_names=[*names, "the truth"]
    )
    with write_atomic(path) as temporary:
        sheet.save(temporary, "PNG")
