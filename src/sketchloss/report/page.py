"""A report as one HTML file: Markdown with pictures in it, readable on a phone and on paper, without the network."""

import base64
import html
import mimetypes
import re
from pathlib import Path
from urllib.parse import unquote

from markdown_it import MarkdownIt

from sketchloss.files import write_atomic

STYLE = """
:root { color-scheme: light dark; --ink: #1d1d1f; --paper: #ffffff; --faint: #6b6b70; --line: #d9d9de;
  --stripe: #f6f6f8; --accent: #1f5f8b; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8e8ea; --paper: #16171a; --faint: #a0a0a8; --line: #3a3b40;
  --stripe: #1f2024; --accent: #8cc4ea; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem 1rem 4rem; max-width: 62rem; background: var(--paper); color: var(--ink);
  font: 1rem/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
  overflow-wrap: anywhere; }
h1 { font-size: 1.7rem; line-height: 1.25; margin: 0.5rem 0 1rem; }
h2 { font-size: 1.3rem; margin: 2.5rem 0 0.75rem; padding-top: 0.75rem; border-top: 1px solid var(--line); }
h3 { font-size: 1.05rem; margin: 1.75rem 0 0.5rem; }
a { color: var(--accent); }
nav { font-size: 0.9rem; color: var(--faint); margin-bottom: 1.5rem; }
nav a { display: inline-block; margin-right: 0.9rem; }
.table { overflow-x: auto; margin: 1rem 0; }
table { border-collapse: collapse; font-size: 0.875rem; font-variant-numeric: tabular-nums; overflow-wrap: normal; }
th, td { padding: 0.35rem 0.7rem; border-bottom: 1px solid var(--line); white-space: nowrap; }
thead th { border-bottom: 2px solid var(--ink); vertical-align: bottom; white-space: normal; min-width: 4.5rem;
  text-align: left; }
tbody tr, thead tr { background: var(--paper); }
tbody tr:nth-child(even) { background: var(--stripe); }
th:first-child, td:first-child { white-space: normal; min-width: 7rem; position: sticky; left: 0; background: inherit; }
img { max-width: 100%; height: auto; background: #ffffff; border-radius: 4px; }
p img + img { margin-top: 0.5rem; }
td em, th em { color: var(--faint); font-weight: normal; }
code { font-size: 0.875em; background: var(--stripe); padding: 0.1em 0.3em; border-radius: 3px; }
pre { background: var(--stripe); padding: 0.75rem; overflow-x: auto; }
pre code { padding: 0; background: none; }
ul { padding-left: 1.25rem; }
li { margin: 0.2rem 0; }
@media print { :root { --ink: #000; --paper: #fff; --faint: #444; --line: #999; --stripe: #f2f2f2; --accent: #000; }
  body { max-width: none; padding: 0; font-size: 10pt; } nav { display: none; } .table { overflow: visible; }
  table { font-size: 7.5pt; } th, td { padding: 0.2rem 0.35rem; white-space: normal; } thead th { min-width: 0; }
  h2 { break-after: avoid; } img, tr { break-inside: avoid; } @page { margin: 15mm; } }
"""


def render_page(markdown: str, folder: Path, *, title: str) -> str:
    """Return a whole HTML document of a Markdown text.

    Args:
        markdown: CommonMark with tables; HTML in it is shown, not obeyed. Pictures named relative to `folder` are put
            into the document.
        folder: where the pictures are.
        title: of the document.

    Raises:
        FileNotFoundError: for a picture that is not there.
        ValueError: for a picture outside the folder, or one on the network.
    """
    body = MarkdownIt("commonmark", {"html": False}).enable("table").render(markdown)
    body = re.sub(r'<img src="([^"]*)"', lambda found: f'<img src="{_inline(html.unescape(found[1]), folder)}"', body)
    body = body.replace("<table>", '<div class="table"><table>').replace("</table>", "</table></div>")
    body, links = _with_anchors(body)
    nav = f"<nav>{' '.join(links)}</nav>" if links else ""
    head, end, rest = body.partition("</h1>")
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{html.escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        f"{head}{end}{nav if end else ''}{rest}</body>\n</html>\n"
    )


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


def _with_anchors(body: str) -> tuple[str, list[str]]:
    """Give every heading of the second level a name, and return links to them."""
    links: list[str] = []

    def name(found: re.Match[str]) -> str:
        anchor = f"s{len(links) + 1}"
        links.append(f'<a href="#{anchor}">{found[1]}</a>')
        return f'<h2 id="{anchor}">{found[1]}</h2>'

    return re.sub(r"<h2>(.*?)</h2>", name, body), links
