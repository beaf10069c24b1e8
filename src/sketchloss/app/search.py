"""The second tab: draw, and see the drawings of a gallery that look most like it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr
from PIL import Image

from sketchloss.app.canvas import canvas_input
from sketchloss.app.messages import settle
from sketchloss.app.originals import large_picture, row_of
from sketchloss.app.own_galleries import build_own, explained, gallery_of, own_gallery_endpoints, said_of
from sketchloss.app.private import PrivateFolder
from sketchloss.app.results import ANY, MOST, SHOWN, as_cards, find, label_choices, name_of, results_list
from sketchloss.app.search_endpoints import search_endpoints
from sketchloss.app.services import Services
from sketchloss.app.uploads import in_markdown, picture_input, zip_input
from sketchloss.app.viewer import asked_for
from sketchloss.gallery.paths import to_path

#: Pixels of the last drawing, kept to search again with other settings.
REMEMBERED = 512
HINT = "Draw something: the drawings most like it appear here after each stroke."
TO_RESULTS = "() => { document.querySelector('#search-said').scrollIntoView({block: 'start'}); }"


@dataclass(frozen=True)
class Query:
    """What a visitor searches with."""

    drawing: Image.Image
    name: str
    """Name of the drawing of a gallery that the search is from; empty for the visitor's own."""


# The tab -------------------------------------------------------------------------------------------------------------


def search_tab(
    services: Services, private: PrivateFolder, own: gr.State, viewer: gr.HTML, tabs: gr.Tabs, tab: gr.Tab
) -> None:
    """Put the tab together; its endpoints for programs are `/search`, `/drawing`, `/galleries` and `/build_gallery`.

    Args:
        services: with the galleries.
        private: for what visitors upload.
        own: each visitor's own galleries, name -> folder.
        viewer: shows a drawing, and asks for more like it.
        tabs: in which this tab is.
        tab: this tab.
    """
    query, asked = gr.State(None), gr.State(0)
    with gr.Row(elem_id="search-parts"):
        with gr.Column(min_width=280):
            canvas = canvas_input(label="Drawing to search with", elem_id="search-canvas")
            with gr.Accordion("Or upload a drawing", open=False):
                upload = picture_input(
                    label="Drawing to search with", sources=["upload", "clipboard"], height=200,
                    elem_id="search-upload",
                )  # fmt: skip
        with gr.Column(min_width=280):
            said = gr.Markdown(HINT, elem_id="search-said")
            found = results_list(visible=False, elem_id="search-found")
        with gr.Column(min_width=280):
            names = list(services.galleries)
            chosen = gr.Dropdown(
                names, value=names[0], label="Gallery", allow_custom_value=True, elem_id="search-gallery"
            )
            with gr.Row():
                label = gr.Dropdown(
                    [ANY], value="", label="Label", allow_custom_value=True, min_width=130, elem_id="search-label"
                )
                count = gr.Slider(1, MOST, value=SHOWN, step=1, label="How many", min_width=130, elem_id="search-count")
            least = gr.Slider(
                0, 1, value=0, step=0.01, label="Least similarity", info="0 shows all; 1 is the same picture",
                elem_id="search-least",
            )  # fmt: skip
            with gr.Accordion("Your own gallery", open=False):
                gr.Markdown(
                    "A zip archive of drawings, in folders by class or without. Only you can see it; it is deleted "
                    "when you close the page, or have not used it for an hour."
                )
                zipped = zip_input(label="Zip archive", height=120, elem_id="search-zip")
                told = gr.Markdown()

    def nothing() -> tuple[gr.HTML, str]:
        return gr.HTML([], visible=False), HINT

    def show(given: Query | None, name: str, k: float, only: str, limit: float, mine: dict[str, str]) -> Any:
        if given is None:
            return nothing()
        with explained(name):
            gallery = gallery_of(services, name, mine, private)
            matches = find(gallery, given.drawing, k, only, limit or None)
        words = f"Most like **{in_markdown(given.name)}**: " if given.name else ""
        words += f"{len(gallery):,} drawings in {in_markdown(name)}"
        if not matches:
            words += ". None is so similar: choose a smaller least similarity, or another label."
        return gr.HTML(as_cards(services, matches, name, mine), visible=True), words

    # note: one event computes, so that an older answer cannot come after a newer one.
    done = gr.on(
        [asked.change, count.change, label.input, least.change],
        show,
        [query, chosen, count, label, least, own],
        [found, said],
        trigger_mode="always_last",
        show_progress="hidden",
        concurrency_id="model",
        api_visibility="private",
    )
    settle(done, nothing, [found, said])

    def remember(drawing: Image.Image | None, number: int) -> tuple[Query | None, int]:
        if drawing is None:
            return None, number + 1
        drawing.thumbnail((REMEMBERED, REMEMBERED))
        return Query(drawing, ""), number + 1

    def forget() -> tuple[Any, ...]:
        return None, *nothing()

    for given, event in ((canvas, canvas.input), (upload, upload.change)):
        kept = event(
            remember, [given, asked], [query, asked], trigger_mode="always_last", show_progress="hidden",
            api_visibility="private",
        )  # fmt: skip
        kept.failure(forget, None, [query, found, said], show_progress="hidden", api_visibility="private", queue=False)

    def labels_of(name: str, only: str, mine: dict[str, str]) -> gr.Dropdown:
        with explained(name):
            choices = label_choices(gallery_of(services, name, mine, private))
        return gr.Dropdown(choices, value=only if only in {value for _, value in choices} else "")

    def choose(name: str, only: str, number: int, mine: dict[str, str]) -> tuple[gr.Dropdown, int]:
        return labels_of(name, only, mine), number + 1

    changed = chosen.input(
        choose, [chosen, label, asked, own], [label, asked], trigger_mode="always_last", show_progress="hidden",
        api_visibility="private",
    )  # fmt: skip
    settle(changed, nothing, [found, said])
    opened = tab.select(
        labels_of, [chosen, label, own], label, trigger_mode="always_last", show_progress="hidden",
        api_visibility="private",
    )  # fmt: skip
    settle(opened, nothing, [found, said])

    def search_from(name: str, only: str, number: int, mine: dict[str, str], event: gr.EventData) -> tuple[Any, ...]:
        other, content = asked_for(event)
        with explained(other):
            row = row_of(gallery_of(services, other, mine, private), content)
            path = to_path(row)
            drawing, _ = large_picture(path, content)
        drawing.thumbnail((REMEMBERED, REMEMBERED))
        given = Query(drawing, name_of(services, path, row.label, other, mine).name)
        labels = labels_of(other, only if other == name else "", mine)
        return given, gr.Dropdown(value=other), labels, number + 1, gr.Tabs(selected="search")

    likes = viewer.like(
        search_from, [chosen, label, asked, own], [query, chosen, label, asked, tabs], show_progress="hidden",
        api_visibility="private",
    )  # fmt: skip
    settle(likes, forget, [query, found, said]).success(js=TO_RESULTS)

    def build(
        archive: str | None,
        number: int,
        mine: dict[str, str],
        request: gr.Request,
        progress: gr.Progress = gr.Progress(),  # noqa: B008 (how Gradio hands it in)
    ) -> tuple[Any, ...]:
        if archive is None:
            return gr.skip(), gr.skip(), gr.skip(), mine, ""
        name, report = build_own(services, Path(archive), mine, private, request, progress)
        choices = [*services.galleries, *mine]
        labels = labels_of(name, "", mine)
        return gr.Dropdown(choices, value=name), labels, number + 1, mine, said_of(name, report)

    built = zipped.upload(
        build, [zipped, asked, own], [chosen, label, asked, own, told], api_visibility="private",
        concurrency_id="build", concurrency_limit=1, show_progress_on=told,
    )  # fmt: skip
    settle(built, lambda: "", told)
    zipped.clear(lambda: "", None, told, show_progress="hidden", api_visibility="private", queue=False)
    search_endpoints(services, own, private)
    own_gallery_endpoints(services, own, private)
