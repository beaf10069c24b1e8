"""The page as a whole: its tabs, its looks, and how long what visitors give is kept."""

from importlib import resources
from typing import Any

import gradio as gr
from gradio.themes import Soft

from sketchloss.app.compare import compare_tab
from sketchloss.app.explore import explore_tab
from sketchloss.app.photos import photos_tab
from sketchloss.app.private import PrivateFolder
from sketchloss.app.search import search_tab
from sketchloss.app.services import Services
from sketchloss.app.viewer import opens_drawings, viewer_window

TITLE = "sketchloss"
#: How many computations run at once, and how many visitors may wait for theirs.
AT_ONCE, MOST_WAITING = 2, 200


def build_page(services: Services, private: PrivateFolder) -> gr.Blocks:
    """Build the page.

    Args:
        services: what is behind it.
        private: for what visitors upload and what is made for them.

    Returns:
        Gradio's app, not launched; its queue is set.
    """
    # note: not Gradio's delete_cache, which stops for good when an upload comes while it looks for what is old.
    with gr.Blocks(title=TITLE, analytics_enabled=False) as page:
        gr.Markdown(
            f"# {TITLE}\nHow alike drawings look, to eyes made for sketches. Nothing leaves this computer.",
            elem_id="title",
        )
        # note: nobody else has this state, so nobody else can name what is in it.
        own = gr.State({})
        viewer = viewer_window()
        opens_drawings(viewer, services, private, own)
        with gr.Tabs() as tabs:
            with gr.Tab("Compare", id="compare"):
                compare_tab(services)
            with gr.Tab("Search", id="search") as search:
                search_tab(services, private, own, viewer, tabs, search)
            with gr.Tab("Photos", id="photo"):
                photos_tab(services, private)
            with gr.Tab("Explore", id="explore") as explore:
                explore_tab(services, private, own, explore)

        def close(request: gr.Request) -> None:
            private.close(request.session_hash)

        page.unload(close)
    page.queue(max_size=MOST_WAITING, default_concurrency_limit=AT_ONCE, api_open=False)
    return page


def looks() -> dict[str, Any]:
    """Return the arguments of `launch` for the page's looks: fonts of the system, none that is fetched."""
    fonts = ["system-ui", "-apple-system", "Segoe UI", "Roboto", "Helvetica", "Arial", "sans-serif"]
    mono = ["ui-monospace", "Menlo", "Consolas", "monospace"]
    theme = Soft(primary_hue="orange", neutral_hue="stone", font=fonts, font_mono=mono)
    # Darker than the theme has them: text is to stand out from its paper by 4.5 to 1 (WCAG 2.2, 1.4.3).
    theme.set(
        body_text_color_subdued="*neutral_600",
        body_text_color_subdued_dark="*neutral_300",
        block_label_text_color="*primary_800",
        block_title_text_color="*primary_800",
        block_label_background_fill_dark="*primary_700",
        block_title_background_fill_dark="*primary_700",
        button_primary_background_fill="*primary_700",
        button_primary_background_fill_dark="*primary_700",
        button_primary_background_fill_hover="*primary_800",
    )
    return {
        "theme": theme,
        "js": (resources.files("sketchloss.app") / "page.js").read_text(encoding="utf-8"),
        "css": (resources.files("sketchloss.app") / "page.css").read_text(encoding="utf-8"),
        "footer_links": ["api", "settings"],
    }
