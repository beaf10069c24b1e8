"""A window over the page with one drawing: its large picture, its name, and a search from it.

The lists and maps of drawings ask for it in the browser (`viewer.js`); the server gives the large picture.
"""

from importlib import resources
from typing import Any
from uuid import uuid4

import gradio as gr

from sketchloss.app.messages import settle
from sketchloss.app.originals import LARGEST, as_address, large_picture, row_of
from sketchloss.app.own_galleries import explained, gallery_of
from sketchloss.app.private import PrivateFolder
from sketchloss.app.services import Services
from sketchloss.app.uploads import mistake
from sketchloss.gallery.paths import to_path


def viewer_window() -> gr.HTML:
    """Make the window. Its event `select` asks for a large picture, and `like` for a search; see `asked_for`."""
    files = resources.files("sketchloss.app")
    return gr.HTML(
        value={},
        html_template=(files / "viewer.html").read_text(encoding="utf-8"),
        css_template=(files / "viewer.css").read_text(encoding="utf-8"),
        js_on_load=(files / "viewer.js").read_text(encoding="utf-8"),
        apply_default_css=False,
        elem_id="viewer",
    )


def asked_for(event: gr.EventData) -> tuple[str, str]:
    """Return the gallery and the content of the drawing that the browser asks for.

    Raises:
        gr.Error: for what the page does not send.
    """
    sent = event._data if isinstance(event._data, dict) else {}
    gallery, content = sent.get("gallery"), sent.get("content")
    if not isinstance(gallery, str) or not isinstance(content, str):
        raise mistake("a drawing is asked for by the name of its gallery and its content")
    return gallery, content


def opens_drawings(viewer: gr.HTML, services: Services, private: PrivateFolder, own: gr.State) -> None:
    """Let the window get its large pictures.

    Args:
        viewer: as `viewer_window` makes it.
        services: with the galleries.
        private: where visitors' own galleries lie.
        own: each visitor's own galleries, name -> folder.
    """

    def show(mine: dict[str, str], event: gr.EventData) -> dict[str, Any]:
        name, content = asked_for(event)
        with explained(name):
            row = row_of(gallery_of(services, name, mine, private), content)
            picture, size = large_picture(to_path(row), content)
        words = "{} x {} pixels".format(*size)
        if picture.size != size:
            words += f", shown at {LARGEST:,} at most"
        return {"content": content, "picture": as_address(picture), "size": words}

    done = viewer.select(
        show, own, viewer, trigger_mode="multiple", show_progress="hidden", api_visibility="private",
    )  # fmt: skip
    settle(done, lambda: {"failed": uuid4().hex}, viewer)  # another one each time, so that the page hears of it
