"""A canvas to draw on: pen and eraser, width, undo and clear, for mouse, touch and stylus; a part of Gradio's `HTML`.

Gradio's own sketchpad wants a tool chosen before the first line, needs WebGL, and takes seconds to load.
"""

import base64
import binascii
from importlib import resources
from typing import Any

import gradio as gr
from PIL import Image

from sketchloss.images import UnreadablePicture, read_picture

PREFIX = "data:image/png;base64,"
#: Bytes of a drawing, encoded: the canvas itself makes some 20,000.
MOST_BYTES = 4 * 2**20

from gradio.events import Dependency

class Canvas(gr.HTML):
    """A drawing, white where nothing is drawn. Its event `input` comes a moment after each stroke.

    Args:
        label: what is drawn, for those who cannot see it.
        kwargs: as for `gr.HTML`.
    """

    def __init__(self, *, label: str, **kwargs: Any) -> None:
        files = resources.files("sketchloss.app")
        super().__init__(
            **{
                "value": "",
                "label": label,
                "html_template": (files / "canvas.html").read_text(encoding="utf-8"),
                "css_template": (files / "canvas.css").read_text(encoding="utf-8"),
                "js_on_load": (files / "canvas.js").read_text(encoding="utf-8"),
                "apply_default_css": False,
                **kwargs,
            }
        )

    def preprocess(self, payload: str | None) -> Image.Image | None:  # pyright: ignore[reportIncompatibleMethodOverride] - a picture, no HTML
        """Return what was drawn, RGB; None if nothing was.

        Raises:
            gr.Error: for what no canvas sends.
        """
        if not payload:
            return None
        if not payload.startswith(PREFIX) or len(payload) > MOST_BYTES:
            raise gr.Error(f"a drawing is a PNG picture as {PREFIX}..., {MOST_BYTES:,} characters at most")
        try:
            return read_picture(base64.b64decode(payload.removeprefix(PREFIX), validate=True), name="the drawing")
        except (UnreadablePicture, binascii.Error) as error:
            raise gr.Error(" ".join(str(error).split())) from None
    from typing import Callable, Literal, Sequence, Any, TYPE_CHECKING
    from gradio.blocks import Block
    if TYPE_CHECKING:
        from gradio.components import Timer
        from gradio.components.base import Component