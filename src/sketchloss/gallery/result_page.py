"""What a search found as one HTML file: small pictures, similarities and paths. It opens without the network."""

import base64
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

from PIL import Image

from sketchloss.gallery.paths import as_text
from sketchloss.gallery.searching import Match
from sketchloss.gallery.small_pictures import no_picture, small_picture
from sketchloss.system.files import write_atomic
from sketchloss.system.templates import render

MOST = 5000  # pictures in a page: about 50 MB, since 290 of clip art were 2.9 MB


def check_count(found: Sequence[Sequence[Match]]) -> None:
    """Refuse more pictures than a browser shows well, before any is read.

    Raises:
        ValueError: for more than `MOST` pictures.
    """
    count = sum(1 + len(matches) for matches in found)
    if count > MOST:
        raise ValueError(f"a page of {count:,} pictures is too large, {MOST:,} at most: use a smaller --k, or --csv")


def write_result_page(
    queries: Sequence[tuple[Path, Image.Image]], found: Sequence[Sequence[Match]], path: Path, *, title: str
) -> None:
    """Write the page, whole or not at all.

    Args:
        queries: path of each query, and a small picture of it.
        found: for each query its matches, the most similar first.
        path: file to write.
        title: title of the page.

    Raises:
        ValueError: as `check_count`.
        FileNotFoundError: if the folder does not exist.
    """
    check_count(found)
    sections = [
        {"name": as_text(query), "picture": _in_page(picture), "matches": [_in_words(match) for match in matches]}
        for (query, picture), matches in zip(queries, found, strict=True)
    ]
    text = render("gallery/results.html.jinja", title=as_text(title), queries=sections)
    with write_atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _in_words(match: Match) -> dict[str, object]:
    picture = small_picture(match.path)
    return {
        "picture": _in_page(picture or no_picture()),
        "is_gone": picture is None,
        "similarity": f"{match.similarity:.3f}",
        "label": as_text(match.label or ""),
        "path": as_text(match.path),
        "copies": [as_text(copy) for copy in match.copies],
    }


def _in_page(picture: Image.Image) -> str:
    file = BytesIO()
    picture.save(file, "PNG")
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"
