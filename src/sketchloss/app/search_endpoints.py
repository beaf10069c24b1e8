"""What programs can ask of the galleries: `/search`, and `/drawing` for the large picture of what it found."""

from typing import Any

import gradio as gr
from PIL import Image

from sketchloss.app.originals import large_picture, row_of, small_picture
from sketchloss.app.own_galleries import explained, gallery_of
from sketchloss.app.private import PrivateFolder
from sketchloss.app.results import MOST, SHOWN, as_rows, find
from sketchloss.app.services import DOODLES, Services
from sketchloss.app.uploads import mistake, number_input, picture_input
from sketchloss.gallery.paths import to_path


def search_endpoints(services: Services, own: gr.State, private: PrivateFolder) -> None:
    """Add the endpoints `/search` and `/drawing`.

    Args:
        services: with the galleries.
        own: each visitor's own galleries, name -> folder.
        private: for their files.
    """

    # note: the arguments' names are those that programs use.
    def search(
        drawing: Image.Image | None,
        gallery: str,
        k: float,
        label: str | None,
        min_similarity: float,
        mine: dict[str, str],
    ) -> tuple[list[dict[str, Any]], list[Image.Image]]:
        if drawing is None:
            raise mistake("a drawing is needed")
        with explained(gallery):
            matches = find(gallery_of(services, gallery, mine, private), drawing, k, label, min_similarity)
        return as_rows(services, matches, gallery, mine), [small_picture(one.path, one.hash) for one in matches]

    def drawing(gallery: str, content: str, mine: dict[str, str]) -> Image.Image:
        with explained(gallery):
            row = row_of(gallery_of(services, gallery, mine, private), content)
            picture, _ = large_picture(to_path(row), content)
        return picture

    with gr.Group(visible=False):
        inputs = [
            picture_input(label="drawing"),
            gr.Textbox(DOODLES, label="gallery"),
            number_input(SHOWN, label="k", least=1, most=MOST),
            gr.Textbox("", label="label"),
            number_input(-1, label="min_similarity", least=-1, most=1),
        ]
        gr.Button().click(
            search,
            [*inputs, own],
            [gr.JSON(label="matches"), gr.Gallery(label="pictures", format="png")],
            api_name="search",
            api_description="The drawings of a gallery that are most like one, all or only those with a label: "
            "matches, and small pictures of them.",
            concurrency_id="model",
        )
        gr.Button().click(
            drawing,
            [gr.Textbox(DOODLES, label="gallery"), gr.Textbox(label="content"), own],
            gr.Image(label="picture", format="png"),
            api_name="drawing",
            api_description="The large picture of a drawing of a gallery, by the content that /search gives.",
        )
