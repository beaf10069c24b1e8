"""A report as one HTML file: Markdown with pictures in it, readable on a phone and on paper, without the network."""

import base64
import mimetypes
import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from urllib.parse import unquote

from markdown_it import MarkdownIt
from markdown_it.token import Token

from sketchloss.system.files import write_atomic
from sketchloss.system.templates import render


def render_page(markdown: str, folder: Path, *, title: str) -> str:
    """Return a whole HTML document of a Markdown text.

    Args:
        markdown: CommonMark with tables; HTML in it is shown, not obeyed. Pictures named relative to `folder` are put
            into the document.
        folder: where the pictures are.
        title: title of the document.

    Raises:
        FileNotFoundError: for a picture that is not there.
        ValueError: for a picture outside the folder, or one on the network.
    """
    reader = MarkdownIt("commonmark", {"html": False}).enable("table")
    reader.add_render_rule("table_open", lambda *_: '<div class="table"><table>\n')
    reader.add_render_rule("table_close", lambda *_: "</table></div>\n")

    def rendered(tokens: Sequence[Token]) -> str:
        return reader.renderer.render(tokens, reader.options, {})

    tokens = reader.parse(markdown)
    sections = []
    for token, following in pairwise(tokens):
        for part in token.children or ():
            if part.type == "image":
                part.attrSet("src", _inline(str(part.attrGet("src")), folder))
        if token.type == "heading_open" and token.tag == "h2":
            token.attrSet("id", f"s{len(sections) + 1}")
            sections.append({"id": token.attrGet("id"), "text": rendered([following])})
    first = next((place for place, token in enumerate(tokens, 1) if token.tag == "h1" and token.nesting < 0), 0)
    body = {"heading": rendered(tokens[:first]), "body": rendered(tokens[first:])}
    return render("figures/page.html.jinja", title=title, sections=sections, **body)


def write_page(markdown: str, path: Path, *, title: str) -> None:
    """Write `render_page` to a file, whole or not at all; pictures are looked for beside it."""
    text = render_page(markdown, path.parent, title=title)
    with write_atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _inline(source: str, folder: Path) -> str:
    if re.match(r"[a-z]+:|//", source):
        raise ValueError(f"the picture {source} is not in the report's folder: a report loads nothing from elsewhere")
    file = (folder / unquote(source)).resolve()
    if not file.is_relative_to(folder.resolve()):
        raise ValueError(f"the picture {source} is outside {folder}: put it there")
    kind = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
    return f"data:{kind};base64,{base64.b64encode(file.read_bytes()).decode()}"
