"""The drawings that a search finds, told to programs and shown as cards: picture, name, path, what can be done."""

from importlib import resources
from pathlib import Path
from typing import Any

import gradio as gr
from PIL import Image

from sketchloss.app.cores import share_cores
from sketchloss.app.naming import Called, called
from sketchloss.app.originals import as_address, small_picture
from sketchloss.app.services import Services
from sketchloss.gallery import Gallery, Match

#: Drawings that are found at first, and at most.
SHOWN, MOST = 10, 30
#: Value and words of the choice that leaves no label out.
ANY = ("any label", "")
#: Pixels of a card's picture, and greys in it.
SIDE, GREYS = 168, 16


@share_cores()
def find(gallery: Gallery, drawing: Image.Image, k: float, label: str | None, least: float | None) -> list[Match]:
    """Return the drawings of a gallery that are most like one.

    Args:
        gallery: where to search.
        drawing: the query.
        k: how many.
        label: only drawings with this label; empty or None: all.
        least: least similarity; None: any.
    """
    (matches,) = gallery.search([drawing], round(k), label=label or None, min_similarity=least)
    return matches


def label_choices(gallery: Gallery) -> list[tuple[str, str]]:
    """Return the choices of labels of a gallery."""
    return [ANY, *((label, label) for label in sorted(label for label in gallery.table.labels() if label))]


def name_of(services: Services, path: Path, label: str | None, gallery: str, mine: dict[str, str]) -> Called:
    """Return the name and the path of a drawing that this visitor may read.

    Args:
        services: says whether paths of this computer may be shown.
        path: the drawing's file.
        label: its label.
        gallery: name of the gallery.
        mine: the visitor's own galleries.
    """
    return called(path, label, own=gallery in mine, full_paths=services.full_paths)


def as_cards(services: Services, matches: list[Match], gallery: str, mine: dict[str, str]) -> list[dict[str, Any]]:
    """Return what the page shows of each drawing, as `results.js` takes it."""
    cards = []
    for match in matches:
        name = name_of(services, match.path, match.label, gallery, mine)
        cards.append(
            {
                "gallery": gallery,
                "content": match.hash,
                "name": name.name,
                "path": name.path,
                "label": match.label or "",
                "similarity": match.similarity,
                "picture": as_address(small_picture(match.path, match.hash, SIDE), colours=GREYS),
            }
        )
    return cards


def as_rows(services: Services, matches: list[Match], gallery: str, mine: dict[str, str]) -> list[dict[str, Any]]:
    """Return what a program is told of each drawing."""
    rows = []
    for rank, match in enumerate(matches, start=1):
        name = name_of(services, match.path, match.label, gallery, mine)
        rows.append(
            {
                "rank": rank,
                "similarity": match.similarity,
                "label": match.label,
                "name": name.name,
                "file_path": name.path,  # note: not `path`: gradio_client would take it for a file to fetch
                "content": match.hash,
            }
        )
    return rows


def results_list(**settings: Any) -> gr.HTML:
    """Make a list of cards. Its value is what `as_cards` returns; the buttons of a card speak to the viewer."""
    files = resources.files("sketchloss.app")
    return gr.HTML(
        value=[],
        html_template='<ul class="results" aria-label="Most alike"></ul>',
        css_template=(files / "results.css").read_text(encoding="utf-8"),
        js_on_load=(files / "results.js").read_text(encoding="utf-8"),
        apply_default_css=False,
        **settings,
    )
