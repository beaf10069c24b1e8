"""The probe in a figure: each measure over the depth of the taps, a line for each weights."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sketchloss.data.names import short_name
from sketchloss.experiments.probe.table import PEOPLE, groups
from sketchloss.system.files import write_atomic

# Told apart by the colour-blind as well (Okabe & Ito 2008; the last two of Tol 2021).
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#882255", "#999933")
MARKERS = "osD^vPX"  # seven for eight colours, so that no two of fifty-six lines are alike
GREYS = {"pixel l1": ("#8A8A8A", ":"), "pixel l2": ("#8A8A8A", "--"), "ssim": ("#333333", "-.")}
OWN = ("#222222", (0, (1, 1, 4, 1)))
DEFAULT, EMBED = "default", "embed"

#: From a row of the results to a value and its interval, if it has one.
Reading = Callable[[Mapping[str, Any]], "Mapping[str, Any] | None"]


def _score(row: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"value": row["report"]["score"], "low": row["report"]["low"], "high": row["report"]["high"]}


def _mean_of(name: str) -> Reading:
    return lambda row: None if row["report"][name]["mean"] is None else {"value": row["report"][name]["mean"]}


def _choice_of(rival: str) -> Reading:
    return lambda row: row["report"]["choice"][rival]


PANELS: dict[str, Reading] = {
    "score (mean of what follows)": _score,
    "grows with edits (Spearman)": _mean_of("growth"),
    "ignores what people ignore": _mean_of("ignoring"),
    "redrawn before another of its class": _choice_of("same class"),
    "redrawn before another class": _choice_of("other class"),
    "agrees with people": lambda row: row["people"],
}


def draw_probe(results: Mapping[str, Any], path: str | Path) -> None:
    """Draw what `results.json` of the probe holds; its rows may come from several runs with the same settings.

    Args:
        results: contents of the JSON file, as said above.
        path: path of the picture; its suffix names the format.
    """
    lines = {group: [row for row in results["rows"] if row["group"] == group] for group in groups(results)}
    flat = [row for row in results["rows"] if row["group"] is None]
    taps = list(dict.fromkeys(next(iter(row["taps"])) for row in results["rows"] if row["kind"] == "tap"))
    places = [DEFAULT, *taps, EMBED] if lines else [""]
    panels = {name: read for name, read in PANELS.items() if any(read(row) for row in results["rows"])}
    columns = min(3, len(panels))
    figure = Figure(figsize=(4.6 * columns, 0.9 + 3.3 * -(-len(panels) // columns)), layout="constrained")
    every = figure.subplots(-(-len(panels) // columns), columns, squeeze=False).flatten()
    for axes, (name, read) in zip(every, panels.items(), strict=False):
        for number, (group, rows) in enumerate(lines.items()):
            _draw_line(axes, group, rows, places, read, number, len(lines))
        for row in flat:
            found = read(row)
            if found is not None:
                colour, style = GREYS.get(row["name"], OWN)
                axes.axhline(found["value"], color=colour, linestyle=style, linewidth=1.2, label=row["name"])
        _finish_panel(axes, name, places, results)
    for axes in every[len(panels) :]:
        axes.set_axis_off()
    handles, labels = every[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=min(len(labels), 7), frameon=False)
    what = (
        f"{short_name(results['data'])}: {results['drawings']:,} drawings of {results['classes']} classes, "
        f"{results['image_size']} pixels"
    )
    figure.suptitle(
        f"How distances between drawings behave, by depth of the tap ({what}; bars: 95 %)",
        fontsize="medium",
        parse_math=False,
    )
    with write_atomic(path) as temporary:
        figure.savefig(temporary, dpi=130)


def _draw_line(
    axes: Axes,
    group: str,
    rows: list[Mapping[str, Any]],
    places: list[str],
    read: Reading,
    number: int,
    count: int,
) -> None:
    colour, marker = COLOURS[number % len(COLOURS)], MARKERS[number % len(MARKERS)]
    aside = min(0.12, 0.8 / count) * (number - (count - 1) / 2)  # so that intervals stand side by side
    points: list[tuple[str, float, Mapping[str, Any]]] = []
    for row in rows:
        place = next(iter(row["taps"])) if row["kind"] == "tap" else row["kind"]
        found = read(row)
        if found is not None and place in places:
            points.append((place, places.index(place) + aside, found))
    # A line joins the taps in their depth; the default, which is several of them, and the embedding stand alone.
    joined = [(x, found["value"]) for place, x, found in points if place not in (DEFAULT, EMBED)]
    if joined:
        axes.plot(*zip(*sorted(joined), strict=True), color=colour, linewidth=1.4, zorder=2)
    for place, x, found in points:
        if "low" in found:
            axes.vlines(x, found["low"], found["high"], color=colour, linewidth=1, alpha=0.6, zorder=1)
        hollow = place in (DEFAULT, EMBED)
        axes.plot(
            x,
            found["value"],
            marker,
            color=colour,
            markersize=6,
            markerfacecolor="white" if hollow else colour,
            markeredgewidth=1.5,
            zorder=3,
        )
    axes.plot([], [], marker=marker, color=colour, markersize=6, label=group)


def _finish_panel(axes: Axes, name: str, places: list[str], results: Mapping[str, Any]) -> None:
    axes.set_title(name, loc="left", fontsize="medium")
    axes.set_xticks(range(len(places)), places, rotation=30, ha="right", rotation_mode="anchor", fontsize="small")
    axes.set_xlim(-0.5, len(places) - 0.5)
    axes.grid(axis="y", color="#E6E6E6", linewidth=0.7)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(axis="y", labelsize="small")
    if name == "agrees with people":
        marks = {"chance": 0.5} | ({"people among themselves": PEOPLE} if results["triplets"]["published"] else {})
        for word, value in marks.items():
            axes.axhline(value, color="#BBBBBB", linewidth=1, zorder=0)
            label = axes.text(
                len(places) - 0.55, value, word, ha="right", va="center", fontsize="small", color="#777777"
            )
            label.set_bbox({"facecolor": "white", "edgecolor": "none", "pad": 1})
