"""A gallery from above: where each drawing lies, the classes that are hardest to tell apart, or nameless groups."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sketchloss.app.naming import Called
from sketchloss.app.originals import as_address, small_picture
from sketchloss.gallery import Gallery
from sketchloss.gallery.clusters import find_clusters
from sketchloss.gallery.paths import as_text, to_path
from sketchloss.metrics.embedding_map import choose_sample, map_to_plane
from sketchloss.metrics.separation import separation

#: Drawings on a map, classes or groups in colour, and drawings that the hardest pairs are taken over, at most.
ON_MAP, COLOURED, MEASURED = 800, 10, 20_000
TILE, GREYS = 72, 8  # pixels of a small picture, and greys in it
#: Told apart by the colour-blind as well (Okabe & Ito 2008), and on white as on black.
COLOURS = ("#E69F00", "#56B4E9", "#009E73", "#CC79A7", "#0072B2", "#D55E00", "#B8A800", "#8C564B", "#7F7FFF", "#2CA02C")
#: With fewer drawings, no groups are looked for.
LEAST_GROUPED = 8


@dataclass(frozen=True)
class Overview:
    """Map of a gallery, and its classes that are hardest to tell apart."""

    points: list[dict[str, Any]]
    """Points of the map; each has x and y in [0, 1], name, path, label, group (empty: none), colour (empty: grey), the
    content of its file, and a small picture as a data URL."""
    legend: dict[str, str]
    """Label or group -> its colour on the map."""
    hardest: list[tuple[str, str, float]]
    """Pairs of classes with the cosine between the directions of their means, the closest pair first."""
    note: str


def overview(gallery: Gallery, name_of: Callable[[Path, str | None], Called]) -> Overview:
    """Lay a gallery out in the plane, and find the classes that are hardest to tell apart.

    Where labels say nothing, because there is none or one, the drawings are put into groups by their looks.

    Args:
        gallery: the gallery.
        name_of: what the visitor may read of a drawing, by its path and label.
    """
    known = sorted(gallery.table.known(), key=lambda row: row.path)
    if len(known) > MEASURED:
        known = [known[place] for place in np.sort(np.random.default_rng(0).permutation(len(known))[:MEASURED])]
    vectors = gallery.table.embeddings(sorted({row.hash for row in known}))
    rows = np.stack([vectors[row.hash] for row in known])
    names = sorted({row.label for row in known if row.label is not None})
    numbers = {None: -1, **{name: number for number, name in enumerate(names)}}
    labels = np.array([numbers[row.label] for row in known])
    sample = choose_sample(labels, classes=COLOURED, most=ON_MAP)
    kinds, words = sample.labels, [as_text(name) for name in names]
    coloured = [label for label in sample.coloured if label >= 0]
    is_grouped = len(names) < 2 and len(sample.rows) >= LEAST_GROUPED
    if is_grouped:
        kinds = find_clusters(rows[sample.rows], most=COLOURED)
        words = [f"group {number + 1}" for number in range(int(kinds.max()) + 1)]
        coloured = list(range(len(words)))
    colours = dict(zip(coloured, COLOURS, strict=False))
    places = map_to_plane(rows[sample.rows])
    points = []
    if places is not None:
        spans = np.ptp(places, axis=0)
        unit = (places - places.min(0) + (spans.max() - spans) / 2) / spans.max()
        for (x, y), number, kind in zip(unit.round(4).tolist(), sample.rows, kinds.tolist(), strict=True):
            row = known[number]
            path = to_path(row)
            called = name_of(path, row.label)
            points.append(
                {
                    "x": x,
                    "y": y,
                    "name": called.name,
                    "path": called.path,
                    "label": as_text(row.label or ""),
                    "group": words[kind] if is_grouped and kind >= 0 else "",
                    "colour": colours.get(kind, ""),
                    "content": row.hash,
                    "picture": as_address(small_picture(path, row.hash, TILE), colours=GREYS),
                }
            )
    hardest = _hardest(rows[labels >= 0], labels[labels >= 0])
    return Overview(
        points,
        {words[kind]: colour for kind, colour in colours.items()},
        [(as_text(names[first]), as_text(names[second]), cosine) for first, second, cosine in hardest],
        _note(len(gallery), len(points), len(names), len(words) if is_grouped else 0),
    )


def _hardest(rows: np.ndarray, labels: np.ndarray) -> list[tuple[int, int, float]]:
    try:
        found = separation(rows, labels)
    except ValueError:  # fewer than two classes
        return []
    return [(pair.first, pair.second, pair.cosine) for pair in found.hardest]


def _note(count: int, shown: int, classes: int, groups: int) -> str:
    if not shown:
        return "A map takes four drawings that are not all alike."
    how_many = f"{shown:,} of {count:,}" if shown < count else f"{count:,}"
    labelled = {0: "without classes", 1: "of one class"}.get(classes, f"of {classes:,} classes")
    coloured = f" Colours are the {groups:,} groups of drawings that look alike, the largest first." if groups else ""
    return (
        f"{how_many} drawings {labelled}, laid out by t-SNE: near ones look alike, great distances say little."
        f"{coloured} Choose one to see it large and to search from it."
    )
