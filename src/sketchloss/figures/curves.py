"""Figures, drawn without a display."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from sketchloss.system.files import write_atomic

#: Of each panel, its lines: what a line is called, and its name in `metrics.jsonl`.
CLASSIFIER_PANELS = {
    quantity: {part: f"{part}_{quantity}" for part in ("train", "validation")} for quantity in ("loss", "accuracy")
}


def draw_curves(
    metrics: Sequence[Mapping[str, Any]],
    path: str | Path,
    *,
    title: str,
    panels: Mapping[str, Mapping[str, str]] = CLASSIFIER_PANELS,
) -> None:
    """Draw how a training went, over its steps.

    Args:
        metrics: lines of `metrics.jsonl`: `step`, and numbers by name.
        path: path of the picture; its suffix names the format.
        title: above the figure.
        panels: what stands on the vertical axis -> what a line is called -> the name of its numbers. Those called
            `validation` are drawn with dots.
    """
    figure = Figure(figsize=(4.5 * len(panels), 3.5), layout="constrained")
    for axes, (quantity, lines) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels.items(), strict=True):
        for label, name in lines.items():
            points = [(line["step"], line[name]) for line in metrics if name in line]
            if points:
                style = "o-" if label == "validation" else "-"
                axes.plot(*zip(*points, strict=True), style, label=label, markersize=4, linewidth=1)
        axes.set_xlabel("step")
        axes.set_ylabel(quantity)
        axes.spines[["top", "right"]].set_visible(False)
        if axes.has_data():
            axes.legend(frameon=False)
    figure.suptitle(title, parse_math=False)  # a name of data may hold dollar signs
    with write_atomic(path) as temporary:
        figure.savefig(temporary, dpi=120)
