"""The command that finds copies in a gallery: as text, JSON, a list of paths, and a contact sheet.

sketchloss gallery duplicates my-gallery --sheet copies.png
sketchloss gallery duplicates my-gallery --list zero | xargs -0 -r mv --backup=numbered -t copies/ --
"""

import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from PIL import Image

from sketchloss.figures.contact_sheet import Tile, draw_contact_sheet
from sketchloss.gallery import Gallery
from sketchloss.gallery.duplicates.drawing_files import DrawingFile, LeftOut
from sketchloss.gallery.duplicates.finding import Copy, Duplicates, Group, find_duplicates
from sketchloss.gallery.duplicates.options import FindDuplicates
from sketchloss.gallery.outputs import check_file, sheet_suffixes
from sketchloss.gallery.paths import as_text
from sketchloss.gallery.printing import count_drawings, print_json, print_lines
from sketchloss.gallery.small_pictures import no_picture, small_picture
from sketchloss.system.images import save_picture

NAMED = 5  # paths in a note
# Rows of a sheet, and copies in a row: more than anybody looks at.
MOST_ROWS, MOST_TILES = 200, 10


def duplicates(config: FindDuplicates) -> None:
    """Run `sketchloss gallery duplicates`; raises as `find_duplicates`, and for a sheet that cannot be written."""
    if config.json and config.list:
        raise ValueError("--json and --list are both given: choose one of them")
    gallery = Gallery.open(config.gallery)
    if config.sheet:
        check_file(config.sheet, "--sheet", gallery, (), suffixes=sheet_suffixes())
    found = find_duplicates(
        gallery,
        keep=config.keep,
        max_distance=config.max_distance,
        neighbours=config.neighbours,
        min_similarity=config.min_similarity,
        device=config.device,
        progress=True,
    )
    removable = _as_list(found, config.list) if config.list else b""  # refused before anything is written
    notes = _notes(found.left_out)
    sheet = config.sheet if found.groups else None
    if sheet:
        save_picture(_draw_sheet(found.groups, gallery), sheet)
        if len(found.groups) > MOST_ROWS:
            notes.append(f"the sheet shows the first {MOST_ROWS} of {len(found.groups):,} groups")
    elif config.sheet:
        notes.append(f"no sheet is written to {as_text(config.sheet)}, because there are no copies")
    for note in notes:
        sys.stderr.write(f"note: {note}\n")
    if config.list:
        sys.stdout.buffer.write(removable)
    elif config.json:
        print_json(_as_values(config, gallery, found, sheet))
    else:
        print_lines(_as_lines(found) + ([f"sheet: {as_text(sheet)}"] if sheet else []))


def _as_list(found: Duplicates, form: str) -> bytes:
    end = b"\0" if form == "zero" else b"\n"
    names = [os.fsencode(path) for path in found.to_remove()]
    for name in names:
        if end in name:
            raise ValueError(f"{as_text(name)} has a line break in its name: use --list zero")
    return b"".join(name + end for name in names)


def _as_lines(found: Duplicates) -> list[str]:
    copies = [copy for group in found.groups for copy in group.copies]
    if not copies:
        return [f"no copies among {count_drawings(len(found.compared))}"]
    lines = []
    for group in found.groups:
        lines.append(f"keep      {_described(group.kept)}")
        lines += [f"  {_distance(copy):6}  {_described(copy)}" for copy in group.copies]
        lines.append("")
    exact, size = sum(copy.exact for copy in copies), sum(copy.size for copy in copies)
    number = "1 copy" if len(copies) == 1 else f"{len(copies):,} copies"
    lines.append(
        f"{number} of {count_drawings(len(found.groups))} among {len(found.compared):,}: {exact:,} exact, "
        f"{len(copies) - exact:,} near; {size / 2**20:,.2f} MiB. No file was removed"
    )
    return lines


def _described(file: DrawingFile) -> str:
    return f"{as_text(file.path)}  {file.width}x{file.height}, {file.size:,} bytes"


def _distance(copy: Copy) -> str:
    return "exact" if copy.exact else f"{copy.distance:.4f}"


def _notes(left_out: LeftOut) -> list[str]:
    """Return a line for each reason for which drawings were left out, and one for each unreadable file."""
    notes = []
    for paths, reason in (
        (left_out.gone, "gone since they were added, left out (`sketchloss gallery add --prune` takes them out)"),
        (left_out.changed, "changed since they were added, left out (`sketchloss gallery add` reads them again)"),
        (left_out.links, "links to files that were compared, left out"),
        (left_out.pages, "pages of files with several, left out (a page cannot be removed alone)"),
    ):
        if paths:
            names = ", ".join(map(as_text, paths[:NAMED])) + (", ..." if len(paths) > NAMED else "")
            notes.append(f"{count_drawings(len(paths))}: {reason}: {names}")
    return [*notes, *(f"left out: {line}" for line in left_out.unreadable)]


def _as_values(config: FindDuplicates, gallery: Gallery, found: Duplicates, sheet: Path | None) -> dict[str, Any]:
    left_out = found.left_out
    return {
        "gallery": str(gallery.folder),
        "keep": config.keep,
        "max_distance": config.max_distance,
        "compared": len(found.compared),
        "groups": [
            {"kept": _as_value(group.kept), "copies": [_as_value(copy) for copy in group.copies]}
            for group in found.groups
        ],
        "duplicates": found.mapping(),
        "to_remove": [str(path) for path in found.to_remove()],
        "gone": [str(path) for path in left_out.gone],
        "changed": [str(path) for path in left_out.changed],
        "links": [str(path) for path in left_out.links],
        "pages": [str(path) for path in left_out.pages],
        "unreadable": list(left_out.unreadable),
        "sheet": None if sheet is None else str(sheet),
    }


def _as_value(file: DrawingFile) -> dict[str, Any]:
    return {**asdict(file), "path": str(file.path)}


def _draw_sheet(groups: Sequence[Group], gallery: Gallery) -> Image.Image:
    rows = []
    for group in groups[:MOST_ROWS]:
        tiles = [_tile(copy, f"{_distance(copy)} {copy.path.name}") for copy in group.copies[:MOST_TILES]]
        rows.append((_tile(group.kept, group.kept.path.name), tiles))
    title = f"{gallery.folder.name}: kept drawings at the left, their copies at the right"
    return draw_contact_sheet(rows, title=title)


def _tile(file: DrawingFile, caption: str) -> Tile:
    picture = small_picture(file.path)  # none if it was changed a moment ago
    return Tile(no_picture(), f"{caption} (file gone)") if picture is None else Tile(picture, caption)
