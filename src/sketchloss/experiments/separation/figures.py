"""Figures of class separation: ratios side by side (Seo 2025, Figure 4), distances, and a map of the embedding."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import PercentFormatter

from sketchloss.experiments.table import Table
from sketchloss.metrics.distance_histogram import DistanceHistogram
from sketchloss.metrics.embedding_map import Sample
from sketchloss.metrics.statistics import Spread, format_spread, spread
from sketchloss.networks.arms import REFERENCE
from sketchloss.system.files import write_atomic

# Told apart by the colour-blind as well (Okabe & Ito 2008), and by their lightness when printed in grey.
OURS = "#0072B2"
# Hatched, so that the paper's numbers, which are of other data, look like no measurement of ours.
PAPER_STYLE = {"facecolor": "#F2F2F2", "edgecolor": "#9A9A9A", "hatch": "///", "linewidth": 0.8}
WITHIN, ACROSS = "#D55E00", "#0072B2"
OTHERS = "#DADADA"
# Seven markers and ten colours: only every seventieth class would have both alike.
COLOURS = ("#1F77B4", "#FF7F0E", "#2CA02C", "#D62728", "#9467BD", "#8C564B", "#E377C2", "#222222", "#A6A614", "#17BECF")
MARKERS = "osD^vPX"


@dataclass(frozen=True)
class RatioBar:
    """Bar of one arm in Figure 4."""

    arm: str
    ratio: Spread
    mark: str = ""
    """Mark beside the bar, * or †: better or worse than the arm `tuning` (`sketchloss.metrics.comparison`)."""
    paper: float | None = None
    """The paper's ratio."""


def ratio_bars(table: Table) -> list[RatioBar]:
    """Return what Figure 4 shows of each arm of Table 4 that has a ratio."""
    compared = table.compare()
    measure = next(one for one in table.measures if one.name == "ratio")
    bars = []
    for arm, of_arm in table.values.items():
        if found := of_arm.get("ratio"):
            one, (published, _) = compared.get((arm, "ratio")), measure.paper.get(arm, (None, None))
            bars.append(RatioBar(arm, spread(list(found.values())), one.mark() if one else "", published))
    return bars


def draw_ratios(bars: Sequence[RatioBar], path: str | Path, *, title: str) -> None:
    """Draw the ratio of each arm, inter / intra, with its standard deviation, beside the paper's.

    Args:
        bars: the arms, from left to right.
        path: path of the picture; its suffix names the format.
        title: above the figure.
    """
    figure = Figure(figsize=(2.4 + 1.7 * len(bars), 4.3), layout="constrained")
    axes = figure.subplots()
    width = 0.38
    for place, bar in enumerate(bars):
        left, right, error = place - width / 2, place + width / 2, bar.ratio.deviation
        axes.bar(left, bar.ratio.mean, width, color=OURS)
        if error is not None:
            axes.errorbar(left, bar.ratio.mean, error, color="#222222", capsize=4, linewidth=1.2)
        _write_above(axes, left, bar.ratio.mean + (error or 0), f"{bar.mark}\n{format_spread(bar.ratio)}".strip())
        if bar.paper is not None:
            axes.bar(right, bar.paper, width, **PAPER_STYLE)
            _write_above(axes, right, bar.paper, f"{bar.paper:.2f}", color="#666666")
    axes.axhline(1, color="#222222", linewidth=0.8, linestyle=":")
    axes.set_xticks(range(len(bars)), [bar.arm for bar in bars])
    axes.set_ylabel("distance across / within classes")
    axes.margins(y=0.1)
    axes.spines[["top", "right"]].set_visible(False)
    several = any(bar.ratio.deviation is not None for bar in bars)
    keys: list[Artist] = [Patch(color=OURS, label="here, mean ± standard deviation over seeds" if several else "here")]
    if any(bar.paper is not None for bar in bars):
        keys.append(Patch(**PAPER_STYLE, label="Seo 2025, other data (Table 4, ImageNet-Sketch)"))
    for sign, verdict in (("*", "better"), ("†", "worse")):
        if any(bar.mark == sign for bar in bars):
            keys.append(Line2D([], [], linestyle="", label=f"{sign} {verdict} than {REFERENCE}, p < 0.05"))
    figure.legend(handles=keys, loc="outside lower center", ncols=2 if len(bars) > 2 else 1, frameon=False)
    _finish(figure, title, path)


def draw_distances(histograms: Mapping[str, DistanceHistogram], path: str | Path, *, title: str) -> None:
    """Draw how the cosine distances of pairs within and across classes are spread, a panel for each arm.

    Args:
        histograms: arm -> its histogram.
        path: path of the picture.
        title: above the figure.
    """
    figure = Figure(figsize=(8, 0.9 + 1.75 * len(histograms)), layout="constrained")
    panels = figure.subplots(len(histograms), 1, squeeze=False)[:, 0]
    for axes, (arm, found) in zip(panels, histograms.items(), strict=True):
        middles = (found.edges[1:] + found.edges[:-1]) / 2
        for name, counts, colour in (
            ("within a class", found.within, WITHIN),
            ("across classes", found.across, ACROSS),
        ):
            if not counts.sum():
                continue
            shares = counts / counts.sum()
            mean = float((shares * middles).sum())
            axes.stairs(shares, found.edges, fill=True, alpha=0.35, color=colour)
            axes.stairs(shares, found.edges, color=colour, linewidth=1, label=f"{name}, mean {mean:.3g}")
            axes.axvline(mean, color=colour, linewidth=1.2, linestyle="--")
        axes.set_title(arm, loc="left", fontsize="medium")
        axes.set_xlim(0, _almost_all(found))
        axes.set_ylim(0, None)
        axes.yaxis.set_major_formatter(PercentFormatter(1))
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(loc="lower right", bbox_to_anchor=(1, 0.98), ncols=2, frameon=False, fontsize="small")
    panels[-1].set_xlabel("cosine distance of a pair (each arm has its own scale)")
    figure.supylabel("share of pairs", fontsize="medium")
    _finish(figure, title, path)


def draw_map(
    positions: Mapping[str, Float[np.ndarray, "m 2"] | None],
    sample: Sample,
    classes: Sequence[str],
    path: str | Path,
    *,
    title: str,
) -> None:
    """Draw maps of the embedding, a panel for each arm; some classes in colour, the others grey.

    Args:
        positions: arm -> where each sketch of the sample lies, as `map_to_plane` says.
        sample: as chosen.
        classes: names; a label is an index into them.
        path: path of the picture.
        title: above the figure.
    """
    columns = 2 if len(positions) == 4 else min(3, len(positions))
    lines = -(-len(positions) // columns)
    figure = Figure(figsize=(4.3 * columns + 2, 4.1 * lines + 0.5), layout="constrained")
    panels = figure.subplots(lines, columns, squeeze=False).flatten()
    for axes, (arm, places) in zip(panels, positions.items(), strict=False):
        axes.set_title(arm, loc="left", fontsize="medium")
        axes.set_xticks([])
        axes.set_yticks([])
        axes.spines[:].set_color(OTHERS)
        if places is None:
            axes.text(0.5, 0.5, "all embeddings are alike", ha="center", va="center", transform=axes.transAxes)
            continue
        grey = ~np.isin(sample.labels, sample.coloured)
        if grey.any():
            axes.scatter(*places[grey].T, s=7, color=OTHERS, linewidths=0, label="other classes")
        for number, label in enumerate(sample.coloured):
            mine = sample.labels == label
            axes.scatter(
                *places[mine].T,
                s=30,
                color=[COLOURS[number % len(COLOURS)]],
                marker=MARKERS[number % len(MARKERS)],
                edgecolors="white",
                linewidths=0.5,
                label=classes[label],
            )
    for axes in panels[len(positions) :]:
        axes.set_axis_off()
    drawn = next((axes for axes in panels if axes.get_legend_handles_labels()[0]), None)
    if drawn is not None:
        figure.legend(*drawn.get_legend_handles_labels(), loc="outside right center", frameon=False, markerscale=1.3)
    _finish(figure, title, path)


def _almost_all(found: DistanceHistogram, share: float = 0.999) -> float:
    """Return the distance below which nearly all pairs lie; a long tail would press the rest to the left."""
    counts = [part.cumsum() / max(1, part.sum()) for part in (found.within, found.across)]
    return float(found.edges[1 + max(int(np.searchsorted(part, share)) for part in counts if part[-1] > 0)])


def _write_above(axes: Axes, x: float, y: float, text: str, color: str = "#222222") -> None:
    axes.annotate(
        text, (x, y), (0, 3), textcoords="offset points", ha="center", va="bottom", fontsize="small", color=color
    )


def _finish(figure: Figure, title: str, path: str | Path) -> None:
    figure.suptitle(title, fontsize="medium")
    with write_atomic(path) as temporary:
        figure.savefig(temporary, dpi=130)
