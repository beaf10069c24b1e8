"""The second tab: draw, and see the drawings of a gallery that look most like it."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import gradio as gr
from PIL import Image

from sketchloss.app.canvas import canvas_input
from sketchloss.app.private import PrivateFolder
from sketchloss.app.services import DOODLES, Services, new_name
from sketchloss.app.uploads import (
    MOST_BYTES,
    in_markdown,
    mistake,
    not_unpacked,
    number_input,
    picture_input,
    unpack_drawings,
    zip_input,
)
from sketchloss.figures.contact_sheet import fit_tile
from sketchloss.gallery import Gallery, Match
from sketchloss.gallery.adding import AddReport, as_text
from sketchloss.gallery.settings import is_gallery
from sketchloss.gallery.table import GalleryError
from sketchloss.system.images import UnreadablePicture
from sketchloss.system.visible_ink import open_to_show

#: Drawings that are shown at first, and at most.
SHOWN, MOST = 10, 30
#: Pixels of the last drawing, kept to search again with other settings.
REMEMBERED = 512
HINT = "Draw something: the drawings most like it appear here after each stroke."


def find(gallery: Gallery, drawing: Image.Image, k: int) -> list[tuple[Match, Image.Image]]:
    """Return the drawings of a gallery that are most like one, with small pictures of them."""
    (matches,) = gallery.search([drawing], k)
    return [(match, small_picture(match.path, match.hash)) for match in matches]


@lru_cache(maxsize=4096)
def small_picture(path: Path, content: str) -> Image.Image:  # noqa: ARG001 (tells changed files apart)
    """Return a small picture of a gallery's drawing; grey if its file is gone."""
    try:
        return fit_tile(open_to_show(path))
    except UnreadablePicture:
        return Image.new("L", (96, 96), 225)


# The tab -------------------------------------------------------------------------------------------------------------


def search_tab(services: Services, private: PrivateFolder, own: gr.State) -> None:
    """Put the tab together; its endpoints for programs are `/search`, `/galleries` and `/build_gallery`.

    Args:
        services: with the galleries.
        private: for what visitors upload.
        own: each visitor's own galleries, name -> folder.
    """
    query = gr.State(None)
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
                "A zip archive of drawings, in folders by class or without. Only you can see it; it is deleted when "
                "you close the page, or have not used it for an hour."
            )
            zipped = zip_input(label="Zip archive", height=120, elem_id="search-zip")
            told = gr.Markdown()

    def nothing() -> tuple[gr.Gallery, str]:
        return gr.Gallery(None, visible=False), HINT

    def show(drawing: Image.Image | None, name: str, k: float, mine: dict[str, str]) -> tuple[gr.Gallery, str]:
        if drawing is None:
            return nothing()
        with explained(name):
            gallery = gallery_of(services, name, mine, private)
            pairs = find(gallery, drawing, round(k))
        tiles = [(_with_room(picture), _caption(match)) for match, picture in pairs]
        return gr.Gallery(tiles, visible=True), f"{len(gallery):,} drawings in {in_markdown(name)}"

    def show_and_remember(drawing: Image.Image | None, *rest: Any) -> tuple[Any, ...]:
        if drawing is not None:
            drawing.thumbnail((REMEMBERED, REMEMBERED))
        return drawing, *show(drawing, *rest)

    for given, event in ((canvas, canvas.input), (upload, upload.change)):
        done = event(
            show_and_remember,
            [given, chosen, count, own],
            [query, found, said],
            trigger_mode="always_last",
            show_progress="hidden",
            concurrency_id="model",
            api_visibility="private",
        )
        # What stands there belongs to another drawing.
        done.failure(nothing, None, [found, said], show_progress="hidden", api_visibility="private", queue=False)
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
        name, report = _build(services, Path(archive), mine, private, request, progress)
        choices = [*services.galleries, *mine]
        said = [f"{report.rows:,} drawings in **{in_markdown(name)}**"]
        if report.unreadable:
            said.append(f"{len(report.unreadable):,} could not be read")
        said += map(in_markdown, report.passed_over)
        return gr.Dropdown(choices, value=name), mine, "; ".join(said) + "."

    zipped.upload(
        build, [zipped, own], [chosen, own, told], api_visibility="private", concurrency_id="build",
        concurrency_limit=1,
        show_progress_on=told,
    )  # fmt: skip
    _endpoints(services, own, private)


def _build(
    services: Services,
    archive: Path,
    mine: dict[str, str],
    private: PrivateFolder,
    request: gr.Request,
    progress: gr.Progress,
) -> tuple[str, AddReport]:
    place = private.new_place(request.session_hash)
    try:
        progress(0, desc="Unpacking")
        unpack_drawings(archive, place / "drawings", most=min(MOST_BYTES, max(0, private.room())))
        _, report = Gallery.build(
            place / "gallery",
            [place / "drawings"],
            weights=services.loss.backbone,
            progress=lambda done, total: progress((done, total), desc="Looking at the drawings", unit="drawings"),
        )
    except (ValueError, OSError) as error:
        raise mistake(str(error), title="No gallery") from None
    finally:
        if not is_gallery(place / "gallery"):
            shutil.rmtree(place, ignore_errors=True)
    name = new_name(as_text(archive.stem)[:40] or "yours", {*services.galleries, *mine})
    mine[name] = str(place / "gallery")
    return name, replace(report, passed_over=(*not_unpacked(archive), *report.passed_over))


@contextmanager
def explained(name: str) -> Iterator[None]:
    """Tell the visitor what is wrong with a gallery; if its files are gone or damaged, only that."""
    try:
        yield
    except GalleryError:
        raise mistake(f"the gallery {name!r} cannot be read any more: choose another one") from None
    except (ValueError, OSError) as error:
        raise mistake(str(error)) from None


def gallery_of(services: Services, name: str, mine: dict[str, str], private: PrivateFolder) -> Gallery:
    """Return a gallery by its name; a visitor's gallery that has been deleted is forgotten."""
    if name in mine:
        if not is_gallery(Path(mine[name])):
            del mine[name]
            raise ValueError(f"the gallery {name!r} was deleted, as it was not used for a while: upload it again")
        private.use(Path(mine[name]))
    return services.gallery(name, mine)


def _endpoints(services: Services, own: gr.State, private: PrivateFolder) -> None:
    def search(drawing: Image.Image | None, gallery: str, k: float, mine: dict[str, str]):
        if drawing is None:
            raise mistake("a drawing is needed")
        with explained(gallery):
            pairs = find(gallery_of(services, gallery, mine, private), drawing, round(k))
        rows = [
            {"rank": rank, "similarity": match.similarity, "label": match.label, "name": as_text(match.path.name)}
            for rank, (match, _) in enumerate(pairs, start=1)
        ]
        return rows, [picture for _, picture in pairs]

    def build(
        archive: str | None,
        mine: dict[str, str],
        request: gr.Request,
        progress: gr.Progress = gr.Progress(),  # noqa: B008 (how Gradio hands it in)
    ) -> tuple[str, dict[str, str], dict[str, Any]]:
        if archive is None:
            raise mistake("a zip archive is needed")
        name, report = _build(services, Path(archive), mine, private, request, progress)
        unreadable = [Path(line).name for line in report.unreadable]
        told = {"rows": report.rows, "unreadable": unreadable, "passed_over": list(report.passed_over)}
        return name, mine, told

    with gr.Group(visible=False):
        inputs = [
            picture_input(label="drawing"),
            gr.Textbox(DOODLES, label="gallery"),
            number_input(SHOWN, label="k", least=1, most=MOST),
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
            build,
            [zip_input(label="archive"), own],
            [gr.Textbox(label="gallery"), own, gr.JSON(label="report")],
            api_name="build_gallery",
            api_description="Make a gallery of a zip archive, which only you can see. Returns its name for /search.",
            concurrency_id="build",
            concurrency_limit=1,
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
