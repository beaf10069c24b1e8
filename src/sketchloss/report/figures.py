"""Figures, drawn without a display."""

from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from sketchloss.files import write_atomic


def draw_curves(metrics: list[dict[str, Any]], path: str | Path, *, title: str) -> None:
    """Draw loss and accuracy over the steps of a training.

    Args:
        metrics: lines of `metrics.jsonl`: `step` with `train_loss` and `train_accuracy`, or `validation_` likewise.
        path: of the picture; its suffix names the format.
        title: above the figure.
    """
    figure = Figure(figsize=(9, 3.5), layout="constrained")
    for axes, quantity in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
        for part, style in (("train", "-"), ("validation", "o-")):
            name = f"{part}_{quantity}"
            points = [(line["step"], line[name]) for line in metrics if name in line]
            if points:
                axes.plot(*zip(*points, strict=True), style, label=part, markersize=4, linewidth=1)
        axes.set_xlabel("step")
        axes.set_ylabel(quantity)
        axes.spines[["top", "right"]].set_visible(False)
        if axes.has_data():
            axes.legend(frameon=False)
    figure.suptitle(title)
    with write_atomic(path) as temporary:
        figure.savefig(temporary, dpi=120)
