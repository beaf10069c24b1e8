"""The command `sketchloss gallery search`: what was found as text, JSON, CSV, a sheet, a page, or copied files.

sketchloss gallery search my-gallery query.png --sheet found.png
sketchloss gallery search my-gallery --like drawings/cat/1.png --html found.html
sketchloss gallery search my-gallery --all --k 5 --csv neighbours.csv
"""

import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

from sketchloss.figures.contact_sheet import Tile, draw_contact_sheet, fit_tile, sheet_size
from sketchloss.figures.tables import write_csv
from sketchloss.gallery import Gallery, Match
from sketchloss.gallery.copying import copy_matches
from sketchloss.gallery.options import Search
from sketchloss.gallery.outputs import check_file, check_folder, sheet_suffixes
from sketchloss.gallery.paths import as_text
from sketchloss.gallery.printing import count_drawings, print_json, print_lines
from sketchloss.gallery.result_page import check_count, write_result_page
from sketchloss.gallery.small_pictures import no_picture, small_picture
from sketchloss.system.files import check_distinct
from sketchloss.system.images import UnreadablePicture, save_picture
from sketchloss.system.passed_over import later_pages, no_pictures, other_kinds
from sketchloss.system.picture_files import find_pictures
from sketchloss.system.visible_ink import open_visible

READ_AT_ONCE = 256  # queries held in memory
CSV_HEADER = ("query", "rank", "similarity", "label", "path", "copies")


@dataclass(frozen=True)
class Results:
    """What a search was for, and what it found."""

    queries: list[Path]
    found: list[list[Match]]
    """For each query its matches, the most similar first."""
    unreadable: list[str] = field(default_factory=list)
    """A line for each file of a folder that is no picture."""
    passed_over: list[str] = field(default_factory=list)
    """Lines about pictures of a folder that are not read."""


def search(config: Search) -> None:
    """Run `sketchloss gallery search`; raises as `Gallery.search`, and for what cannot be written."""
    gallery = Gallery.open(config.gallery, weights=config.weights, device=config.device)
    given = [
        name for name, value in (("QUERIES", config.queries), ("--like", config.like), ("--all", config.all)) if value
    ]
    if not given:
        raise ValueError("no query is given: name a drawing to look for, or a folder of them; or use --like or --all")
    if len(given) > 1:
        raise ValueError(f"{given[0]} and {given[1]} are given: a search is for one of QUERIES, --like and --all")
    for flag, is_given in (("--invert", config.invert), ("--rotations", config.rotations)):
        if is_given and not config.queries:
            raise ValueError(f"{flag} is for QUERIES: {given[0]} uses the embeddings that the gallery has")
    listed = [path for some in config.queries for path in (find_pictures(some) if some.is_dir() else [some])]
    if config.queries and not listed:
        raise ValueError(no_pictures(config.queries[0]))
    _check_outputs(config, gallery, listed)
    how: dict[str, Any] = {
        "label": config.label,
        "min_similarity": config.min_similarity,
        "copies": config.copies,
    }
    if config.all:
        pairs = gallery.search_all(config.k, **how)
        results = Results([path for path, _ in pairs], [matches for _, matches in pairs])
    elif config.like:
        results = Results(list(config.like), gallery.search_like(config.like, config.k, exact=config.exact, **how))
    else:
        results = _search_files(config, gallery, listed, how)
    copied = _write_outputs(config, gallery, results)
    if results.unreadable:
        left_out = f"{len(results.unreadable):,} of {len(listed):,} queries left out:"
        sys.stderr.write("\n".join([left_out, *(f"  {line}" for line in results.unreadable)]) + "\n")
    for line in results.passed_over:
        sys.stderr.write(f"note: {line}\n")
    if config.json:
        print_json(_as_values(config, gallery, results))
        return
    lines = []
    for query, matches in zip(results.queries, results.found, strict=True):
        lines += [f"query: {as_text(query)}", *_table(matches, config), ""]
    written = [(name, getattr(config, name)) for name in ("sheet", "html", "csv")]
    ends = [f"{name}: {as_text(path)}" for name, path in written if path]
    if config.copy_to:
        ends.append(f"copied: {copied:,} file{'s' * (copied != 1)} to {as_text(config.copy_to)}")
    print_lines([*lines, *ends] if ends else lines[:-1])


# Searching -----------------------------------------------------------------------------------------------------------


def _search_files(config: Search, gallery: Gallery, listed: list[Path], how: dict[str, Any]) -> Results:
    """Search with files. One of a folder that is no picture is left out; one that was named is an error."""
    gallery.check_search(config.k, config.label, config.min_similarity)
    named = {path for path in config.queries if not path.is_dir()}
    passed_over = [line for some in config.queries if some.is_dir() for line in other_kinds(some)] + later_pages(listed)
    results = Results([], [], [], passed_over)
    for start in range(0, len(listed), READ_AT_ONCE):
        paths = listed[start : start + READ_AT_ONCE]
        vectors = {} if config.invert or config.rotations else gallery.stored(paths)
        pictures = {}
        for path in paths:
            if path not in vectors:
                try:
                    pictures[path] = gallery.read(path, invert=config.invert)
                except UnreadablePicture as error:
                    if path in named:
                        raise
                    results.unreadable.append(as_text(str(error)))
        embedded = gallery.embed_pictures(list(pictures.values()), rotations=config.rotations)
        vectors |= dict(zip(pictures, embedded, strict=True))
        read = [path for path in paths if path in vectors]
        results.queries.extend(read)
        results.found.extend(
            gallery.search_vectors([vectors[path] for path in read], config.k, exact=config.exact, **how)
        )
    if not results.queries:
        raise ValueError(f"none of the {len(listed):,} queries can be read, first: {results.unreadable[0]}")
    return results


# Writing -------------------------------------------------------------------------------------------------------------


def _check_outputs(config: Search, gallery: Gallery, queries: Sequence[Path]) -> None:
    """Find out before the work is done, not after."""
    named = {"--sheet": config.sheet, "--html": config.html, "--csv": config.csv, "--copy-to": config.copy_to}
    check_distinct(named)
    for flag, file, suffixes in (
        ("--sheet", config.sheet, sheet_suffixes()),
        ("--html", config.html, (".html", ".htm")),
        ("--csv", config.csv, ()),
    ):
        if file:
            check_file(file, flag, gallery, queries, suffixes=suffixes)
    if config.copy_to:
        check_folder(config.copy_to, "--copy-to", gallery)


def _write_outputs(config: Search, gallery: Gallery, results: Results) -> int:
    """Write what was asked for; return how many files were copied."""
    title = f"{gallery.folder.name}: {count_drawings(len(gallery))}, {Path(gallery.settings.weights).name} weights"
    # Both are refused before any picture is read.
    if config.sheet:
        sheet_size([len(matches) for matches in results.found], title=title)
    if config.html:
        check_count(results.found)
    shown = [_query_picture(query, config) for query in results.queries if config.sheet or config.html]
    if config.sheet:
        rows = [
            (Tile(picture, query.name), [_tile(match) for match in matches])
            for query, picture, matches in zip(results.queries, shown, results.found, strict=True)
        ]
        save_picture(draw_contact_sheet(rows, title=title), config.sheet)
    if config.html:
        write_result_page(list(zip(results.queries, shown, strict=True)), results.found, config.html, title=title)
    if config.csv:
        write_csv(config.csv, CSV_HEADER, list(_csv_rows(results)))
    if not config.copy_to:
        return 0
    names = [query.stem for query in results.queries]
    copied, unread = copy_matches(names, results.found, config.copy_to)
    if unread:
        sys.stderr.write("\n".join([f"{len(unread):,} not copied:", *(f"  {line}" for line in unread)]) + "\n")
    return copied


def _csv_rows(results: Results) -> Any:
    for query, matches in zip(results.queries, results.found, strict=True):
        for rank, match in enumerate(matches, start=1):
            copies = ";".join(as_text(path) for path in match.copies)
            label = None if match.label is None else as_text(match.label)
            yield as_text(query), rank, match.similarity, label, as_text(match.path), copies


def _query_picture(path: Path, config: Search) -> Image.Image:
    """Return a small picture of a query, whose file may be gone: a pipe can be read only once."""
    if config.invert:
        try:
            return fit_tile(open_visible(path, invert=True))
        except UnreadablePicture:  # moved since it was searched with
            return no_picture()
    return small_picture(path) or no_picture()


def _tile(match: Match) -> Tile:
    caption, picture = f"{match.similarity:.3f} {match.label or match.path.name}", small_picture(match.path)
    return Tile(no_picture(), f"{caption} (file gone)") if picture is None else Tile(picture, caption)


# Printing ------------------------------------------------------------------------------------------------------------


def _table(matches: list[Match], config: Search) -> list[str]:
    if not matches:
        least = config.min_similarity
        return ["  no other drawing" if least is None else f"  nothing as similar as {least:g}"]
    labels = [as_text(match.label or "-") for match in matches]
    width = max(len("label"), *map(len, labels))
    lines = [f"  rank  similarity  {'label':{width}}  path"]
    for rank, (match, label) in enumerate(zip(matches, labels, strict=True), start=1):
        lines.append(f"  {rank:4}  {match.similarity:10.4f}  {label:{width}}  {as_text(match.path)}")
        lines += [f"{'copy':>{24 + width}}  {as_text(path)}" for path in match.copies]
    return lines


def _as_values(config: Search, gallery: Gallery, results: Results) -> dict[str, Any]:
    return {
        "gallery": str(gallery.folder),
        "weights": gallery.settings.weights,
        "exact": config.all or config.exact or config.label is not None or not gallery.table.uses_index(),
        "queries": [
            {
                "query": str(query),
                "matches": [
                    {
                        "rank": rank,
                        **asdict(match),
                        "path": str(match.path),
                        "copies": [str(path) for path in match.copies],
                    }
                    for rank, match in enumerate(matches, start=1)
                ],
            }
            for query, matches in zip(results.queries, results.found, strict=True)
        ],
        "sheet": None if config.sheet is None else str(config.sheet),
        "html": None if config.html is None else str(config.html),
        "csv": None if config.csv is None else str(config.csv),
        "copied_to": None if config.copy_to is None else str(config.copy_to),
        "unreadable": results.unreadable,
        "passed_over": results.passed_over,
    }
