"""A canvas to draw on: pen and eraser, width, undo and clear, for mouse, touch and stylus; a part of Gradio's `HTML`.

Gradio's own sketchpad wants a tool chosen before the first line, and needs WebGL.
"""

import base64
from importlib import resources
from typing import Any

import gradio as gr
from PIL import Image

from sketchloss.app.uploads import check_kind, mistake
from sketchloss.system.images import open_picture

PREFIX = "data:image/png;base64,"
#: Of a drawing, encoded: the canvas itself makes some 20,000.
MOST_CHARACTERS = 2**20


def canvas_input(*, label: str, **settings: Any) -> gr.HTML:
    """Make a canvas. Its event `input` comes a moment after each stroke.

    Args:
        label: what is drawn, for those who cannot see it.
        settings: as for `gr.HTML`. A function gets what was drawn as an `RGB` picture, white where nothing is; None if
            nothing was drawn.
    """
    files = resources.files("sketchloss.app")
    made = gr.HTML(
        value="",
        label=label,
        html_template=(files / "canvas.html").read_text(encoding="utf-8"),
        css_template=(files / "canvas.css").read_text(encoding="utf-8"),
        js_on_load=(files / "canvas.js").read_text(encoding="utf-8"),
        apply_default_css=False,
        **settings,
    )
    # note: of the instance, because for a class of our own Gradio would write a file beside this one.
    made.preprocess = read_canvas  # pyright: ignore[reportAttributeAccessIssue]
    return made


def read_canvas(sent: str | None) -> Image.Image | None:
    """Return what was drawn on a canvas, RGB; None if nothing was.

    Args:
        sent: a PNG picture as a data URL.

    Raises:
        gr.Error: for what no canvas sends.
    """
    if not sent:
        return None
    if not isinstance(sent, str) or not sent.startswith(PREFIX) or len(sent) > MOST_CHARACTERS:
        raise mistake(f"a drawing is a PNG picture as {PREFIX}..., {MOST_CHARACTERS:,} characters at most")
    try:
        data = base64.b64decode(sent.removeprefix(PREFIX), validate=True)
        check_kind(data, "the drawing")
        return open_picture(data, name="the drawing")
    except ValueError as error:  # of the encoding, or of the picture
        raise mistake(" ".join(str(error).split())) from None
