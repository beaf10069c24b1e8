"""What MkDocs is told beyond `mkdocs.yml`: links that are right on GitHub lead to the page here."""

import re
from typing import Any

from mkdocs.structure.files import Files
from mkdocs.structure.pages import Page
from mkdocs.utils import get_relative_url

# A model card lies beside its weights, and all of them are on one page.
CARD = re.compile(r"\]\((?:\.\./)*src/sketchloss/bundled/([\w-]+)/README\.md\)")


def on_page_markdown(markdown: str, /, *, page: Page, config: Any, files: Files) -> str:  # noqa: ARG001
    """Lead links to a model card's file to its heading on the page of model cards."""
    here = get_relative_url("model-cards.md", page.file.src_uri)
    return CARD.sub(rf"]({here}#\1)", markdown)
