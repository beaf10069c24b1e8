"""The fourth tab: a gallery from above, the classes that are hardest to tell apart, and a study's report."""

from html import escape
from importlib import resources
from typing import Any

import gradio as gr

from sketchloss.app.messages import settle
from sketchloss.app.overview import Overview, overview
from sketchloss.app.own_galleries import explained, gallery_of
from sketchloss.app.private import PrivateFolder
from sketchloss.app.results import name_of
from sketchloss.app.services import Services

EMPTY = {"gallery": "", "points": [], "legend": {}}


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
            note = gr.Markdown(elem_id="explore-note")
        with gr.Column(scale=2, min_width=280, visible=False) as beside:
            table = gr.Dataframe(
                headers=["class", "and class", "cosine"], datatype=["str", "str", "number"], interactive=False,
                label="Hardest to tell apart: cosine between the means of two classes, 1 if they are alike",
                elem_id="explore-pairs",
            )  # fmt: skip

    def nothing() -> list[Any]:
        return [EMPTY, "", gr.Column(visible=False), None]

    def show(name: str, mine: dict[str, str]) -> list[Any]:
        with explained(name):
            gallery = gallery_of(services, name, mine, private)
            key = (name, gallery.table.version())
            if name not in mine and key in found:
                result = found[key]
            else:
                result = overview(gallery, lambda path, label: name_of(services, path, label, name, mine))
        if name not in mine:
            found[key] = result
        pairs = [[first, second, round(cosine, 3)] for first, second, cosine in result.hardest]
        shown = {"gallery": name, "points": result.points, "legend": result.legend}
        return [shown, result.note, gr.Column(visible=bool(pairs)), pairs]

    tab.select(
        lambda mine: gr.Dropdown(choices=[*names, *mine]), own, chosen, show_progress="hidden",
        api_visibility="private", queue=False,
    )  # fmt: skip
    done = gr.on(
        [tab.select, chosen.change],
        show,
        [chosen, own],
        [plane, note, beside, table],
        trigger_mode="always_last",
        concurrency_id="build",
        show_progress="minimal",
        api_visibility="private",
    )
    settle(done, nothing, [plane, note, beside, table])
    if services.report is not None:
        text = services.report.read_text(encoding="utf-8")
        with gr.Accordion("Report of the study", open=False):
            # note: in a frame of its own that may run no scripts and reach nothing
            gr.HTML(f'<iframe class="report" title="Report of the study" sandbox srcdoc="{escape(text)}"></iframe>')


def _class_map() -> gr.HTML:
    """Make a map of drawings; `class_map.js` draws it, and asks the viewer to open a drawing."""
    files = resources.files("sketchloss.app")
    return gr.HTML(
        value=EMPTY,
        html_template='<div class="map"></div>',
        css_template=(files / "class_map.css").read_text(encoding="utf-8"),
        js_on_load=(files / "class_map.js").read_text(encoding="utf-8"),
        apply_default_css=False,
        elem_id="explore-map",
    )
