"""The fourth tab: a gallery from above, the classes that are hardest to tell apart, and a study's report."""

import base64
import os
from dataclasses import dataclass
from html import escape
from importlib import resources
from io import BytesIO
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
from PIL import Image

from sketchloss.app.private import PrivateFolder
from sketchloss.app.search import explained, gallery_of, small_picture
from sketchloss.app.services import Services
from sketchloss.gallery import Gallery
from sketchloss.gallery.adding import as_text
from sketchloss.metrics.embedding_map import choose_sample, map_to_plane
from sketchloss.metrics.separation import separation

#: Drawings on a map, classes in colour, and drawings that the hardest pairs are taken over, at most.
ON_MAP, COLOURED, MEASURED = 800, 10, 20_000
TILE = 72  # pixels
#: Told apart by the colour-blind as well (Okabe & Ito 2008), and on white as on black.
COLOURS = ("#E69F00", "#56B4E9", "#009E73", "#CC79A7", "#0072B2", "#D55E00", "#B8A800", "#8C564B", "#7F7FFF", "#2CA02C")


@dataclass(frozen=True)
class Overview:
    """Map of a gallery, and its classes that are hardest to tell apart."""

    points: list[dict[str, Any]]
    """Points of the map; each has x and y in [0, 1], label, colour (empty: grey) and a picture as a data URL."""
    legend: dict[str, str]
    """Label -> its colour on the map."""
    hardest: list[tuple[str, str, float]]
    """Pairs of classes with the cosine between the directions of their means, the closest pair first."""
    note: str


def overview(gallery: Gallery) -> Overview:
    """Lay a gallery out in the plane, and find the classes that are hardest to tell apart."""
    known = sorted(gallery.table.known(), key=lambda row: row.path)
    if len(known) > MEASURED:
        known = [known[place] for place in np.sort(np.random.default_rng(0).permutation(len(known))[:MEASURED])]
    vectors = gallery.table.embeddings(sorted({row.hash for row in known}))
    rows = np.stack([vectors[row.hash] for row in known])
    names = sorted({row.label for row in known if row.label is not None})
    numbers = {None: -1, **{name: number for number, name in enumerate(names)}}
    labels = np.array([numbers[row.label] for row in known])
    sample = choose_sample(labels, classes=COLOURED, most=ON_MAP if names else 2 * ON_MAP)
    coloured = [label for label in sample.coloured if label >= 0]
    colours = dict(zip(coloured, COLOURS, strict=False))
    places = map_to_plane(rows[sample.rows])
    points = []
    if places is not None:
        spans = np.ptp(places, axis=0)
        unit = (places - places.min(0) + (spans.max() - spans) / 2) / spans.max()
        for (x, y), number, label in zip(unit.round(4).tolist(), sample.rows, sample.labels.tolist(), strict=True):
            path, row = Path(os.fsdecode(known[number].path)), known[number]
            words, picture = as_text(row.label or path.name), _as_url(small_picture(path, row.hash))
            points.append({"x": x, "y": y, "label": words, "colour": colours.get(label, ""), "picture": picture})
    hardest = _hardest(rows[labels >= 0], labels[labels >= 0])
    return Overview(
        points,
        {as_text(names[label]): colour for label, colour in colours.items()},
        [(as_text(names[first]), as_text(names[second]), cosine) for first, second, cosine in hardest],
        _note(len(gallery), len(points), len(names)),
    )


def _hardest(rows: np.ndarray, labels: np.ndarray) -> list[tuple[int, int, float]]:
    try:
        found = separation(rows, labels)
    except ValueError:  # fewer than two classes
        return []
    return [(pair.first, pair.second, pair.cosine) for pair in found.hardest]


def _note(count: int, shown: int, classes: int) -> str:
    if not shown:
        return "A map takes four drawings that are not all alike."
    how_many = f"{shown:,} of {count:,}" if shown < count else f"{count:,}"
    labelled = f"of {classes:,} classes" if classes else "without classes"
    return (
        f"{how_many} drawings {labelled}, laid out by t-SNE: near ones look alike, great distances say little. "
        "Point at one to see it, or use the arrow keys."
    )


def _as_url(picture: Image.Image) -> str:
    picture = picture.convert("L")
    picture.thumbnail((TILE, TILE))
    encoded = BytesIO()
    picture.quantize(8).save(encoded, format="PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(encoded.getvalue()).decode()}"


def _class_map() -> gr.HTML:
    """Make a map of points; the drawing is shown where the mouse is, or the arrow keys have gone."""
    files = resources.files("sketchloss.app")
    return gr.HTML(
        value={"points": [], "legend": {}},
        html_template='<div class="map"></div>',
        css_template=(files / "class_map.css").read_text(encoding="utf-8"),
        js_on_load=(files / "class_map.js").read_text(encoding="utf-8"),
        apply_default_css=False,
        elem_id="explore-map",
    )


# The tab -------------------------------------------------------------------------------------------------------------


def explore_tab(services: Services, private: PrivateFolder, own: gr.State, tab: gr.Tab) -> None:
    """Put the tab together.

    Args:
        services: with the galleries and the report.
        private: where visitors' own galleries lie.
        own: each visitor's own galleries, name -> folder.
        tab: whose choice draws the map.
    """
    found: dict[tuple[str, int], Overview] = {}  # only of shared galleries: everybody may see them
    names = list(services.galleries)
    chosen = gr.Dropdown(names, value=names[0], label="Gallery", allow_custom_value=True, elem_id="explore-gallery")
    with gr.Row():
        with gr.Column(scale=3, min_width=280):
            plane = _class_map()
            note = gr.Markdown()
        with gr.Column(scale=2, min_width=280):
            table = gr.Dataframe(
                headers=["class", "and class", "cosine"], datatype=["str", "str", "number"], interactive=False,
                label="Hardest to tell apart: cosine between the means of two classes, 1 if they are alike",
                elem_id="explore-pairs",
            )  # fmt: skip

    def show(name: str, mine: dict[str, str]) -> list[Any]:
        with explained(name):
            gallery = gallery_of(services, name, mine, private)
            key = (name, gallery.table.version())
            result = overview(gallery) if name in mine or key not in found else found[key]
        if name not in mine:
            found[key] = result
        pairs = [[first, second, round(cosine, 3)] for first, second, cosine in result.hardest]
        return [{"points": result.points, "legend": result.legend}, result.note, pairs]

    tab.select(
        lambda mine: gr.Dropdown(choices=[*names, *mine]), own, chosen, show_progress="hidden",
        api_visibility="private", queue=False,
    )  # fmt: skip
    gr.on(
        [tab.select, chosen.change],
        show,
        [chosen, own],
        [plane, note, table],
        concurrency_id="build",
        show_progress="minimal",
        api_visibility="private",
    )
    if services.report is not None:
        text = services.report.read_text(encoding="utf-8")
        with gr.Accordion("Report of the study", open=False):
            # note: in a frame of its own that may run no scripts and reach nothing
            gr.HTML(f'<iframe class="report" title="Report of the study" sandbox srcdoc="{escape(text)}"></iframe>')
