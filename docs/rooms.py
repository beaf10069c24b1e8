"""The rooms of the package, and which of them import which: `python docs/rooms.py` draws images/rooms.svg.

The order is a rule that a test holds (tests/test_rooms.py): a room imports only what stands above it.
"""

import ast
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

PACKAGE = Path(__file__).parents[1] / "src" / "sketchloss"
#: Every room, from the ground up, with what it holds.
ROOMS = {
    "system": "files, pictures, tensors, settings",
    "data": "drawings, photos, prompts",
    "networks": "VGG-16 with gates, weights, arms",
    "loss": "SketchLoss and its distances",
    "metrics": "how good is it, how sure are we",
    "strokes": "a renderer that can be differentiated",
    "training": "run folders, checkpoints, schedules",
    "figures": "grids, sheets, tables, pages",
    "diffusion": "pipelines, the perceptual term",
    "lora": "adapters, drawing prompts",
    "compare": "two drawings, two folders",
    "stylize": "photos into sketches",
    "gallery": "search by drawing",
    "experiments": "what an experiment and a table is",
    "experiments.tuning": "Algorithm 1, the arms",
    "experiments.retrieval": "Table 3",
    "experiments.separation": "Table 4, Figure 4",
    "experiments.style": "Table 1, Figure 2",
    "experiments.prompts": "Table 2, Figure 3",
    "experiments.probe": "distances whose answer is known",
    "experiments.recovery": "which loss leads drawings back",
    "experiments.pairs": "U-Nets that clean and draw, by loss",
    "experiments.study": "all of it, in one report",
    "experiments.demo": "a few minutes, one page",
    "app": "the page in the browser",
}


def room_of(module: str) -> str:
    """Return the room of a module, such as `data.doodles.kinds`; empty for what stands above all rooms."""
    found = [room for room in ROOMS if f"{module}.".startswith(f"{room}.")]
    return max(found, key=len, default="")


def modules() -> dict[str, Path]:
    """Return every module of the package, without its name, and its file."""
    found = {}
    for file in sorted(PACKAGE.rglob("*.py")):
        found[".".join(file.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")] = file
    return found


def imports(file: Path, known: dict[str, Path]) -> Iterator[str]:
    """Yield the modules of the package that a file imports, in functions too."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.partition(".")[0] == "sketchloss":
            base = node.module.removeprefix("sketchloss").lstrip(".")
            for alias in node.names:
                whole = f"{base}.{alias.name}".lstrip(".")
                if whole in known or base:
                    yield whole if whole in known else base


def between_rooms() -> Counter[tuple[str, str]]:
    """Return how many imports lead from each room to each other."""
    known = modules()
    return Counter(
        (room_of(module), room_of(other))
        for module, file in known.items()
        for other in imports(file, known)
        if room_of(module) and room_of(module) != room_of(other)
    )


def draw(path: Path) -> None:
    """Draw the rooms from the ground up, and a line for each pair that imports lead between, thicker for more."""
    names = list(ROOMS)
    figure = Figure(figsize=(9, 0.42 * len(names) + 0.4), layout="constrained")
    axes = figure.subplots()
    axes.set_axis_off()
    axes.set_xlim(-0.1, 9)
    axes.set_ylim(len(names) - 0.4, -0.6)
    for place, name in enumerate(names):
        inside = "." in name
        left = 0.3 if inside else 0.0
        box = FancyBboxPatch((left, place - 0.34), 4.4 - left, 0.68, boxstyle="round,pad=0,rounding_size=0.08")
        box.set(facecolor="#E8F1FA" if inside else "#F4F4F4", edgecolor="#8FA3B5", linewidth=0.8)
        axes.add_patch(box)
        axes.text(left + 0.12, place, name.rpartition(".")[2], va="center", fontsize=10, weight="bold")
        axes.text(4.3, place, ROOMS[name], va="center", ha="right", fontsize=8, color="#444444")
    most = max(between_rooms().values())
    for (room, other), count in between_rooms().items():
        start, end = names.index(room), names.index(other)
        arrow = FancyArrowPatch((4.42, start), (4.42, end), connectionstyle="arc3,rad=0.85", arrowstyle="-|>")
        arrow.set(mutation_scale=7, linewidth=0.4 + 2.2 * count / most, color="#1F77B4", alpha=0.35)
        axes.add_patch(arrow)
    figure.savefig(path)


if __name__ == "__main__":
    draw(Path(__file__).parent / "images" / "rooms.svg")
