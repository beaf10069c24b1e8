"""Galleries by their names: those that all visitors share, and those that a visitor makes of an uploaded archive."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import gradio as gr

from sketchloss.app.naming import write_names
from sketchloss.app.private import PrivateFolder
from sketchloss.app.services import Services, new_name
from sketchloss.app.uploads import MOST_BYTES, in_markdown, mistake, not_unpacked, unpack_drawings, zip_input
from sketchloss.gallery import Gallery
from sketchloss.gallery.adding import AddReport
from sketchloss.gallery.paths import as_text
from sketchloss.gallery.settings import is_gallery
from sketchloss.gallery.table import GalleryError


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


def build_own(
    services: Services,
    archive: Path,
    mine: dict[str, str],
    private: PrivateFolder,
    request: gr.Request,
    progress: gr.Progress,
) -> tuple[str, AddReport]:
    """Make a gallery of an archive and note it among the visitor's own.

    Args:
        services: with the weights.
        archive: the uploaded file.
        mine: the visitor's own galleries, name -> folder; gets the new one.
        private: for its files.
        request: of the visitor.
        progress: is told how far it is.

    Returns:
        The gallery's name, and what was read.

    Raises:
        gr.Error: if there is nothing to make it of; no file stays.
    """
    place = private.new_place(request.session_hash)
    try:
        progress(0, desc="Unpacking")
        names = unpack_drawings(archive, place / "drawings", most=min(MOST_BYTES, max(0, private.room())))
        others = not_unpacked(archive)  # here: what is uploaded may be gone when the gallery is done
        write_names(place, names)
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
    return name, replace(report, passed_over=(*others, *report.passed_over))


def said_of(name: str, report: AddReport) -> str:
    """Say in Markdown what became of an archive."""
    said = [f"{report.rows:,} drawings in **{in_markdown(name)}**"]
    if report.unreadable:
        said.append(f"{len(report.unreadable):,} could not be read")
    said += map(in_markdown, report.passed_over)
    return "; ".join(said) + "."


def own_gallery_endpoints(services: Services, own: gr.State, private: PrivateFolder) -> None:
    """Add the endpoints `/build_gallery` and `/galleries`.

    Args:
        services: with the shared galleries.
        own: each visitor's own galleries, name -> folder.
        private: for their files.
    """

    def build(
        archive: str | None,
        mine: dict[str, str],
        request: gr.Request,
        progress: gr.Progress = gr.Progress(),  # noqa: B008 (how Gradio hands it in)
    ) -> tuple[str, dict[str, str], dict[str, Any]]:
        if archive is None:
            raise mistake("a zip archive is needed")
        name, report = build_own(services, Path(archive), mine, private, request, progress)
        unreadable = [Path(line).name for line in report.unreadable]
        told = {"rows": report.rows, "unreadable": unreadable, "passed_over": list(report.passed_over)}
        return name, mine, told

    with gr.Group(visible=False):
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
