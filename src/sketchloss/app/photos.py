"""The third tab: photos to sketches."""

import tempfile
from pathlib import Path
from typing import Any

import gradio as gr
from PIL import Image

from sketchloss.app.cores import share_cores
from sketchloss.app.messages import settle
from sketchloss.app.private import PrivateFolder
from sketchloss.app.services import Services
from sketchloss.app.uploads import mistake, number_input, picture_input
from sketchloss.stylize import stylize
from sketchloss.system.images import save_picture

#: Pixels of the shorter side at which a photo is drawn: more gives finer lines.
SMALLEST, USUAL, LARGEST = 64, 384, 1536
NARROWEST = 20  # the longer side over the shorter
SHOWN = 1024  # pixels of the longer side, in the page
HINT = "Give a photo: its sketch will be shown here, beside it."


@share_cores()
def sketch_photo(services: Services, photo: Image.Image, style: str, draw_size: float) -> Image.Image:
    """Turn a photo into a sketch of the same size.

    Raises:
        gr.Error: for a style that is not there, or a photo that is too narrow.
    """
    if max(photo.size) > NARROWEST * min(photo.size):
        raise mistake(f"the photo is {photo.width} x {photo.height} pixels: {NARROWEST} times as long as wide at most")
    try:
        return stylize(services.stylizer(style), photo, draw_size=round(draw_size))
    except (ValueError, OSError) as error:
        raise mistake(str(error)) from None


def photos_tab(services: Services, private: PrivateFolder) -> None:
    """Put the tab together; its endpoints for programs are `/stylize` and `/styles`.

    Args:
        services: with the networks.
        private: for what is to be downloaded.
    """
    names = list(services.styles)
    with gr.Row():
        with gr.Column(min_width=280):
            photo = picture_input(label="Photo", sources=["upload", "webcam", "clipboard"], height=320, elem_id="photo")
            style = gr.Dropdown(names, value=names[0], label="Style", filterable=False, elem_id="photo-style")
            size = gr.Slider(
                SMALLEST, LARGEST, value=USUAL, step=32, label="Drawn at",
                info="Pixels of the shorter side; fewer give coarser lines", elem_id="photo-size",
            )  # fmt: skip
            button = gr.Button("Draw it", variant="primary", elem_id="photo-draw")
        with gr.Column(min_width=280):
            said = gr.Markdown(HINT)
            slider = gr.ImageSlider(
                label="Photo | sketch (drag the line)", type="pil", interactive=False, visible=False, max_height=560,
                buttons=["fullscreen"], elem_id="photo-slider",
            )  # fmt: skip
            download = gr.DownloadButton("Download the sketch", visible=False, elem_id="photo-download")

    def nothing() -> list[Any]:
        return [HINT, gr.ImageSlider(visible=False), gr.DownloadButton(visible=False)]

    def show(picture: Image.Image | None, name: str, pixels: float) -> list[Any]:
        if picture is None:
            return nothing()
        sketch = sketch_photo(services, picture, name, pixels)
        before, after = (_at_most(one, SHOWN) for one in (picture, sketch.convert("RGB")))
        return [
            f"{sketch.width} x {sketch.height} pixels",
            gr.ImageSlider((before, after), visible=True),
            gr.DownloadButton(value=_written(sketch, private.root), visible=True),
        ]

    done = gr.on(
        [photo.change, style.change, size.release, button.click],
        show,
        [photo, style, size],
        [said, slider, download],
        trigger_mode="always_last",
        concurrency_id="model",
        api_visibility="private",
    )
    settle(done, nothing, [said, slider, download])
    _endpoints(services)


def _at_most(picture: Image.Image, side: int) -> Image.Image:
    smaller = picture.copy()
    smaller.thumbnail((side, side), Image.Resampling.LANCZOS)
    return smaller


def _written(sketch: Image.Image, root: Path) -> str:
    folder = root / "made"
    folder.mkdir(exist_ok=True)
    path = Path(tempfile.mkdtemp(dir=folder)) / "sketch.png"
    save_picture(sketch, path)
    return str(path)


def _endpoints(services: Services) -> None:
    def endpoint(photo: Image.Image | None, style: str, draw_size: float) -> Image.Image:
        if photo is None:
            raise mistake("a photo is needed")
        return sketch_photo(services, photo, style, draw_size)

    with gr.Group(visible=False):
        inputs = [
            picture_input(label="photo"),
            gr.Textbox(next(iter(services.styles)), label="style"),
            number_input(USUAL, label="draw_size", least=SMALLEST, most=LARGEST),
        ]
        gr.Button().click(
            endpoint,
            inputs,
            gr.Image(label="sketch", format="png"),
            api_name="stylize",
            api_description="Turn a photo into a sketch of the same size, drawn at so many pixels of its shorter side.",
            concurrency_id="model",
        )
        gr.Button().click(
            lambda: list(services.styles),
            None,
            gr.JSON(label="names"),
            api_name="styles",
            api_description="Names of the styles that photos can be drawn in.",
        )
