"""The command `sketchloss gallery search`: tables, JSON, and a sheet of what was found.

sketchloss gallery search my-gallery query.png --sheet found.png
"""

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from PIL import Image

from sketchloss.figures.contact_sheet import Tile, draw_contact_sheet, fit_tile, sheet_size
from sketchloss.gallery import Gallery, Match
from sketchloss.gallery.adding import as_text, is_one_of
from sketchloss.gallery.options import Search
from sketchloss.gallery.printing import count_drawings, print_json, print_lines
from sketchloss.system.images import UnreadablePicture, fit_square, save_picture
from sketchloss.system.passed_over import later_pages, no_pictures, other_kinds
from sketchloss.system.picture_files import find_pictures, picture_suffixes
from sketchloss.system.visible_ink import open_to_show, open_visible

READ_AT_ONCE = 256  # queries held in memory


def search(config: Search) -> None:
    """Run `sketchloss gallery search`; raises as `Gallery.search`, and for a sheet that cannot be written."""
    gallery = Gallery.open(config.gallery, weights=config.weights, device=config.device)
    if not config.queries:
        raise ValueError("no query is given: name a drawing to look for, or a folder of them")
    given = [path for path in config.queries if not path.is_dir()]
    listed = [path for some in config.queries for path in (find_pictures(some) if some.is_dir() else [some])]
    if not listed:
        raise ValueError(no_pictures(config.queries[0]))
    unread = [line for some in config.queries if some.is_dir() for line in other_kinds(some)] + later_pages(listed)
    if config.sheet:
        _check_sheet(config.sheet, listed, gallery)
    queries, found, unreadable = _find(config, gallery, listed, given)
    if config.sheet:
        title = f"{gallery.folder.name}: {count_drawings(len(gallery))}, {Path(gallery.settings.weights).name} weights"
        sheet_size([len(matches) for matches in found], title=title)  # refused before any picture is read
        rows = [
            (_query_tile(path, config.invert), [_tile(m) for m in ms]) for path, ms in zip(queries, found, strict=True)
        ]
        save_picture(draw_contact_sheet(rows, title=title), config.sheet)
    if unreadable:
        left_out = [f"{len(unreadable):,} of {len(listed):,} queries left out:", *(f"  {line}" for line in unreadable)]
        sys.stderr.write("\n".join(left_out) + "\n")
    for line in unread:
        sys.stderr.write(f"note: {line}\n")
    if config.json:
        values = _as_values(config, gallery, queries, found)
        print_json({**values, "unreadable": unreadable, "passed_over": unread})
        return
    lines = []
    for query, matches in zip(queries, found, strict=True):
        lines += [f"query: {as_text(query)}", *_table(matches, config.min_similarity), ""]
    print_lines([*lines, f"sheet: {as_text(config.sheet)}"] if config.sheet else lines[:-1])


def _find(
    config: Search, gallery: Gallery, listed: list[Path], given: list[Path]
) -> tuple[list[Path], list[list[Match]], list[str]]:
    """Search; return the queries, what was found for each, and a line for each file of a folder that is no picture."""
    queries, found, unreadable = [], [], []
    size = gallery.settings.image_size
    for start in range(0, len(listed), READ_AT_ONCE):
        pictures = []
        for path in listed[start : start + READ_AT_ONCE]:
            try:
                pictures.append(fit_square(open_visible(path, invert=config.invert), size))
                queries.append(path)
            except UnreadablePicture as error:
                if path in given:
                    raise
                unreadable.append(as_text(str(error)))
        found += gallery.search(
            pictures, config.k, label=config.label, min_similarity=config.min_similarity, exact=config.exact
        )
    if not queries:
        raise ValueError(f"none of the {len(listed):,} queries can be read, first: {unreadable[0]}")
    return queries, found, unreadable


def _table(matches: list[Match], least: float | None) -> list[str]:
    if not matches:
        return [f"  nothing as similar as {least:g}"]
    labels = [as_text(match.label or "-") for match in matches]
    width = max(len("label"), *map(len, labels))
    lines = [f"  rank  similarity  {'label':{width}}  path"]
    for rank, (match, label) in enumerate(zip(matches, labels, strict=True), start=1):
        lines.append(f"  {rank:4}  {match.similarity:10.4f}  {label:{width}}  {as_text(match.path)}")
    return lines


def _as_values(config: Search, gallery: Gallery, queries: list[Path], found: list[list[Match]]) -> dict[str, Any]:
    return {
        "gallery": str(gallery.folder),
        "weights": gallery.settings.weights,
        "exact": config.exact or config.label is not None or not gallery.table.uses_index(),
        "queries": [
            {
                "query": str(query),
                "matches": [
                    {"rank": rank, **asdict(match), "path": str(match.path)}
                    for rank, match in enumerate(matches, start=1)
                ],
            }
            for query, matches in zip(queries, found, strict=True)
        ],
        "sheet": None if config.sheet is None else str(config.sheet),
    }


def _query_tile(path: Path, invert: bool) -> Tile:
    return Tile(fit_tile(open_visible(path, invert=invert)), path.name)


def _tile(match: Match) -> Tile:
    caption = f"{match.similarity:.3f} {match.label or match.path.name}"
    try:
        return Tile(fit_tile(open_to_show(match.path)), caption)
    except UnreadablePicture:  # moved or damaged since it was added
        return Tile(Image.new("L", (8, 8), 225), f"{caption} (file gone)")


def _check_sheet(sheet: Path, queries: list[Path], gallery: Gallery) -> None:
    """Find out before the work is done, not after."""
    if sheet.is_dir():
        raise ValueError(f"{sheet} is a folder: name a picture for --sheet, such as {sheet / 'sheet.png'}")
    if sheet.suffix.lower() not in picture_suffixes():
        raise ValueError(f"{sheet} has no picture's suffix: name a picture for --sheet, such as sheet.png")
    if not sheet.parent.is_dir():
        raise ValueError(f"cannot write {sheet}: the folder {sheet.parent} does not exist; make it first")
    if sheet.exists():
        if is_one_of(sheet, queries):
            raise ValueError(f"{sheet} is one of the queries: write elsewhere")
        if gallery.holds(sheet):
            raise ValueError(f"{sheet} is a drawing of the gallery: write elsewhere")
