"""The tricks in a figure: a heat map of how often each distance is fooled by each trick."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from sketchloss.data.names import short_name
from sketchloss.experiments.probe.tricks_table import ALL, ASKED, fooled_by, over_sizes
from sketchloss.system.files import write_atomic


def draw_tricks(results: Mapping[str, Any], path: str | Path) -> None:
    """Draw what `results.json` of the tricks holds: a row for each distance, a column for each trick.

    Args:
        results: contents of the JSON file, as said above.
        path: path of the picture; its suffix names the format.
    """
    found = over_sizes([row for row in results["rows"] if row["source"] == ALL])
    values = 100 * np.array([[row.get(fooled_by(trick), np.nan) for trick in ASKED] for row in found.values()])
    figure = Figure(figsize=(3.6 + 0.62 * len(ASKED), 2.6 + 0.32 * len(found)), layout="constrained")
    axes = figure.subplots()
    picture = axes.imshow(values, cmap="Oranges", vmin=0, vmax=100, aspect="auto")
    axes.set_xticks(range(len(ASKED)), ASKED, rotation=40, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(found)), list(found), parse_math=False)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    for (row, column), value in np.ndenumerate(values):
        text = "-" if np.isnan(value) else f"{value:.0f}"
        axes.text(column, row, text, ha="center", va="center", color="white" if value > 60 else "#333333")
    bar = figure.colorbar(picture, ax=axes, shrink=0.8, pad=0.02)
    bar.set_label("drawings at which it is fooled, %")
    bar.outline.set_visible(False)
    sources, sizes = map(short_name, results["sources"]), map(str, results["image_sizes"])
    figure.suptitle(
        f"Which trick fools which distance ({', '.join(sources)}; {', '.join(sizes)} pixels, mean over sizes)",
        fontsize="medium",
        parse_math=False,
    )
    with write_atomic(path) as temporary:
        figure.savefig(temporary, dpi=130)
