"""The second tab: draw, and see the drawings of a gallery that look most like it."""

import hashlib
import shutil
import uuid
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import gradio as gr
from PIL import Image

from sketchloss.app.canvas import canvas_input
from sketchloss.app.services import DOODLES, Services, new_name
from sketchloss.app.uploads import mistake, picture_input, unpack_drawings, zip_input
from sketchloss.gallery import Gallery, Match
from sketchloss.gallery.adding import AddReport, as_text
from sketchloss.images import UnreadablePicture, read_picture
from sketchloss.report.contact_sheet import fit_tile

#: Drawings that are shown at first, and at most.
SHOWN, MOST = 10, 30
#: Pixels of the last drawing, kept to search again with other settings.
REMEMBERED = 512
#: Seconds for which a visitor's own galleries are kept at most; they go earlier when the page is closed.
KEPT_SECONDS = 3600
HINT = "Draw something: the drawings most like it appear here after each stroke."


def find(gallery: Gallery, drawing: Image.Image, k: int) -> list[tuple[Match, Image.Image]]:
    """Return the drawings of a gallery that are most like one, with small pictures of them."""
    (matches,) = gallery.search([drawing], k)
    return [(match, small_picture(match.path, match.hash)) for match in matches]


@lru_cache(maxsize=4096)
def small_picture(path: Path, content: str) -> Image.Image:  # noqa: ARG001 (tells changed files apart)
    """Return a small picture of a gallery's drawing; grey if its file is gone."""
    try:
        return fit_tile(read_picture(path))
    except UnreadablePicture:
        return Image.new("L", (96, 96), 225)


# The tab -------------------------------------------------------------------------------------------------------------


def search_tab(services: Services, private: Path) -> None:
    """Put the tab together; its endpoints for programs are `/search`, `/galleries` and `/build_gallery`.

    Args:
        services: with the galleries.
        private: folder for what visitors upload.
    """
    # note: a visitor's own galleries, name -> folder: nobody else has this state, so nobody else can name them.
    own = gr.State({}, time_to_live=KEPT_SECONDS, delete_callback=_forget)
    query = gr.State(None, time_to_live=KEPT_SECONDS)
    with gr.Row():
        with gr.Column(min_width=280):
            canvas = canvas_input(label="Drawing to search with", elem_id="search-canvas")
            with gr.Accordion("Or upload a drawing", open=False):
                upload = picture_input(
                    label="Drawing to search with", sources=["upload", "clipboard"], height=200,
                    elem_id="search-upload",
                )  # fmt: skip
        with gr.Column(min_width=280):
            found = gr.Gallery(
                label="Most alike", show_label=False, columns=4, height="auto", object_fit="contain", format="png",
                buttons=["fullscreen"], interactive=False, visible=False, elem_id="search-found",
            )  # fmt: skip
            said = gr.Markdown(HINT, elem_id="search-said")
    with gr.Row():
        with gr.Column(min_width=280):
            names = list(services.galleries)
            chosen = gr.Dropdown(
                names, value=names[0], label="Gallery", allow_custom_value=True,
                elem_id="search-gallery",
            )  # fmt: skip
            count = gr.Slider(1, MOST, value=SHOWN, step=1, label="How many", elem_id="search-count")
        with gr.Column(min_width=280), gr.Accordion("Your own gallery", open=False):
            gr.Markdown(
                "A zip archive of drawings, in folders by class or without. It is yours alone, and deleted when "
                "you close the page."
            )
            zipped = zip_input(label="Zip archive", height=120, elem_id="search-zip")
            told = gr.Markdown()

    def show(drawing: Image.Image | None, name: str, k: float, mine: dict[str, str]) -> tuple[gr.Gallery, str]:
        if drawing is None:
            return gr.Gallery(None, visible=False), HINT
        try:
            gallery = services.gallery(name, mine)
            pairs = find(gallery, drawing, round(k))
        except ValueError as error:
            raise mistake(str(error)) from None
        tiles = [(_with_room(picture), _caption(match)) for match, picture in pairs]
        return gr.Gallery(tiles, visible=True), f"{len(gallery):,} drawings in {name}"

    def show_and_remember(drawing: Image.Image | None, *rest: Any) -> tuple[Any, ...]:
        if drawing is not None:
            drawing.thumbnail((REMEMBERED, REMEMBERED))
        return drawing, *show(drawing, *rest)

    for given, event in ((canvas, canvas.input), (upload, upload.change)):
        event(
            show_and_remember,
            [given, chosen, count, own],
            [query, found, said],
            trigger_mode="always_last",
            show_progress="hidden",
            concurrency_id="model",
            api_visibility="private",
        )
    gr.on(
        [chosen.change, count.release],
        show,
        [query, chosen, count, own],
        [found, said],
        trigger_mode="always_last",
        show_progress="hidden",
        concurrency_id="model",
        api_visibility="private",
    )

    def build(
        archive: str | None,
        mine: dict[str, str],
        request: gr.Request,
        progress: gr.Progress = gr.Progress(),  # noqa: B008 (how Gradio hands it in)
    ) -> tuple[Any, ...]:
        if archive is None:
            return gr.skip(), mine, ""
        name, report = _build(services, Path(archive), mine, _place_of(request, private), progress)
        choices = [*services.galleries, *mine]
        left_out = f"; {len(report.unreadable):,} could not be read" if report.unreadable else ""
        return gr.Dropdown(choices, value=name), mine, f"{report.rows:,} drawings in **{name}**{left_out}."

    zipped.upload(
        build, [zipped, own], [chosen, own, told], api_name="build_gallery", concurrency_id="model",
        show_progress_on=told,
        api_description="Make a gallery, yours alone, of a zip archive of drawings. Returns its name for /search.",
    )  # fmt: skip
    _endpoints(services, own)


def forget_visitor(request: gr.Request, private: Path) -> None:
    """Delete a visitor's own galleries when the page is closed."""
    shutil.rmtree(_place_of(request, private), ignore_errors=True)


def _place_of(request: gr.Request, private: Path) -> Path:
    """Return a folder for one visit; what the browser calls it decides no path."""
    return private / "galleries" / hashlib.sha256(str(request.session_hash).encode()).hexdigest()


def _build(
    services: Services, archive: Path, mine: dict[str, str], folder: Path, progress: gr.Progress
) -> tuple[str, AddReport]:
    place = folder / uuid.uuid4().hex
    try:
        progress(0, desc="Unpacking")
        unpack_drawings(archive, place / "drawings")
        _, report = Gallery.build(
            place / "gallery",
            [place / "drawings"],
            weights=services.loss.backbone,
            progress=lambda done, total: progress((done, total), desc="Looking at the drawings", unit="drawings"),
        )
    except ValueError as error:
        shutil.rmtree(place, ignore_errors=True)
        raise mistake(str(error).replace(f"{place}/", ""), title="No gallery") from None
    finally:
        archive.unlink(missing_ok=True)
    stem = as_text(archive.stem)[:40] or "yours"
    name = new_name(stem, {*services.galleries, *mine})
    mine[name] = str(place / "gallery")
    return name, report


def _forget(mine: Mapping[str, str]) -> None:
    """Delete a visitor's own galleries, drawings and all."""
    for folder in mine.values():
        shutil.rmtree(Path(folder).parent, ignore_errors=True)


def _endpoints(services: Services, own: gr.State) -> None:
    def search(drawing: Image.Image | None, gallery: str, k: float, mine: dict[str, str]):
        if drawing is None:
            raise mistake("a drawing is needed")
        if not 1 <= k <= MOST:
            raise mistake(f"k is {k:g}: it must be 1 to {MOST}")
        try:
            pairs = find(services.gallery(gallery, mine), drawing, round(k))
        except ValueError as error:
            raise mistake(str(error)) from None
        rows = [
            {"rank": rank, "similarity": match.similarity, "label": match.label, "name": as_text(match.path.name)}
            for rank, (match, _) in enumerate(pairs, start=1)
        ]
        return rows, [picture for _, picture in pairs]

    with gr.Group(visible=False):
        inputs = [
            picture_input(label="drawing"),
            gr.Textbox(DOODLES, label="gallery"),
            gr.Number(SHOWN, label="k"),
        ]
        gr.Button().click(
            search,
            [*inputs, own],
            [gr.JSON(label="matches"), gr.Gallery(label="pictures", format="png")],
            api_name="search",
            api_description="The drawings of a gallery that are most like one: matches, and small pictures of them.",
            concurrency_id="model",
        )
        gr.Button().click(
            lambda mine: [*services.galleries, *mine],
            own,
            gr.JSON(label="names"),
            api_name="galleries",
            api_description="Names of the galleries that you can search.",
        )


def _with_room(picture: Image.Image) -> Image.Image:
    """Return a picture with paper below it, where the page lays the caption."""
    tile = Image.new("L", (picture.width, picture.height + picture.height // 5), 255)
    tile.paste(picture)
    return tile


def _caption(match: Match) -> str:
    return f"{as_text(match.label or match.path.name)} {match.similarity:.2f}"
