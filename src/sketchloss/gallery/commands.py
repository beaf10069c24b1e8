"""The commands of a gallery of drawings: make one, keep it up to date, search it.

    sketchloss gallery build my-gallery drawings/
    sketchloss gallery search my-gallery query.png --sheet found.png
    sketchloss gallery add my-gallery drawings/ more/ --prune
    sketchloss gallery remove my-gallery drawings/old --label cat
    sketchloss gallery info my-gallery

In Python, see `sketchloss.gallery`.
"""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from PIL import Image

from sketchloss.figures.contact_sheet import Tile, draw_contact_sheet, fit_tile, sheet_size
from sketchloss.gallery import Gallery, Match
from sketchloss.gallery.adding import AddReport, as_text, is_one_of
from sketchloss.gallery.options import Add, Build, Remove, Search, Show
from sketchloss.system.images import UnreadablePicture, save_picture
from sketchloss.system.passed_over import later_pages, no_pictures, other_kinds
from sketchloss.system.picture_files import find_pictures, picture_suffixes
from sketchloss.system.visible_ink import open_to_show, open_visible

LISTED = 20  # lines of a list that is only looked at
READ_AT_ONCE = 256  # queries held in memory


# Build, add, remove --------------------------------------------------------------------------------------------------


def build(config: Build) -> None:
    """Run `sketchloss gallery build`; raises as `Gallery.build`."""
    gallery, report = Gallery.build(
        config.gallery,
        config.folders,
        weights=config.weights,
        image_size=config.image_size,
        labels=config.labels,
        invert=config.invert,
        clean=config.clean,
        device=config.device,
        progress=True,
    )
    _print_report(gallery, report, config)


def add(config: Add) -> None:
    """Run `sketchloss gallery add`; raises as `Gallery.add`."""
    gallery = Gallery.open(config.gallery, weights=config.weights, device=config.device)
    report = gallery.add(config.folders, prune=config.prune, labels=config.labels, invert=config.invert, progress=True)
    _print_report(gallery, report, config)


def remove(config: Remove) -> None:
    """Run `sketchloss gallery remove`; raises as `Gallery.remove`."""
    gallery = Gallery.open(config.gallery)
    removed = gallery.remove(config.paths, label=config.label)
    if config.json:
        _print_json({"gallery": str(gallery.folder), "removed": [str(path) for path in removed], "rows": len(gallery)})
        return
    _print([*_listed([as_text(path) for path in removed]), f"{len(removed):,} taken out, {_count(len(gallery))} left"])


def _print_report(gallery: Gallery, report: AddReport, config: Build | Add) -> None:
    built = gallery.settings.built
    if config.json:
        missing = [str(path) for path in report.missing]
        exact = not gallery.table.uses_index()
        _print_json(
            {"gallery": str(gallery.folder), **asdict(report), "missing": missing, "exact": exact, "built": built}
        )
        return
    lines = [f"{_count(report.rows)} in {as_text(gallery.folder)}, {_search_mode(not gallery.table.uses_index())}"]
    rate = f" ({report.embedded / report.seconds:,.1f} a second)" if report.embedded else ""
    copies = f"{report.copies:,} are copies of others" if report.copies != 1 else "1 is a copy of another"
    added = f"{report.added:,} added" + (f" ({copies})" if report.copies else "")
    lines.append(f"  {added}, {report.unchanged:,} there already; {report.embedded:,} embedded{rate}")
    if report.moved or report.changed or report.relabelled:
        lines.append(f"  {report.moved:,} moved, {report.changed:,} changed, {report.relabelled:,} with another label")
    if config.labels == "none" and report.label_kept:
        lines.append(f"  {report.label_kept:,} had a label before and keep it")
    if config.labels == "folder" and report.rows and set(gallery.table.labels()) == {None}:
        lines.append("  no labels: the drawings lie directly in the given folders; give the folder above for labels")
    if not built:
        lines.append("  building it was interrupted: run `sketchloss gallery build` again for the rest")
    if report.pruned:
        lines += [f"{report.pruned:,} whose files are gone taken out:", *_listed(map(as_text, report.missing))]
    elif report.missing:
        gone = f"{len(report.missing):,} whose files are gone (--prune takes them out):"
        lines += [gone, *_listed(map(as_text, report.missing))]
    if report.unreadable:
        lines += [f"{len(report.unreadable):,} left out:", *(f"  {line}" for line in report.unreadable)]
    lines += report.passed_over
    _print(lines)


# Search --------------------------------------------------------------------------------------------------------------


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
        title = f"{gallery.folder.name}: {_count(len(gallery))}, {Path(gallery.settings.weights).name} weights"
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
        _print_json({**values, "unreadable": unreadable, "passed_over": unread})
        return
    lines = []
    for query, matches in zip(queries, found, strict=True):
        lines += [f"query: {as_text(query)}", *_table(matches, config.min_similarity), ""]
    _print([*lines, f"sheet: {as_text(config.sheet)}"] if config.sheet else lines[:-1])


def _find(
    config: Search, gallery: Gallery, listed: list[Path], given: list[Path]
) -> tuple[list[Path], list[list[Match]], list[str]]:
    """Search; return the queries, what was found for each, and a line for each file of a folder that is no picture."""
    queries, found, unreadable = [], [], []
    for start in range(0, len(listed), READ_AT_ONCE):
        pictures = []
        for path in listed[start : start + READ_AT_ONCE]:
            try:
                pictures.append(gallery.read(path, invert=config.invert))
                queries.append(path)
            except UnreadablePicture as error:
                if path in given:
                    raise
                unreadable.append(as_text(str(error)))
        found += gallery.search(
            pictures,
            config.k,
            label=config.label,
            min_similarity=config.min_similarity,
            exact=config.exact,
            rotations=config.rotations,
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


# Info ----------------------------------------------------------------------------------------------------------------


def info(config: Show) -> None:
    """Run `sketchloss gallery info`; raises as `Gallery.open`."""
    gallery = Gallery.open(config.gallery)
    found = gallery.info()
    if config.json:
        # JSON has no key for what has no name.
        labels = [{"label": label, "rows": count} for label, count in found.labels.items()]
        missing = [str(path) for path in found.missing]
        _print_json({**asdict(found), "folder": str(found.folder), "labels": labels, "missing": missing})
        return
    named = {label: count for label, count in found.labels.items() if label is not None}
    most = ", ".join(f"{as_text(label)} ({count:,})" for label, count in list(named.items())[:LISTED])
    count = found.labels.get(None, 0)
    without = f"; {_count(count)} {'has' if count == 1 else 'have'} none" if count else ""
    start = gallery.settings.exact_below
    lines = [
        f"gallery     {as_text(found.folder)}" + ("" if found.built else " (building it was interrupted)"),
        f"drawings    {found.rows:,}",
        f"labels      {len(named):,}" + (f": {most}{', ...' if len(named) > LISTED else ''}" if most else "") + without,
        f"weights     {found.weights} (fingerprint {found.fingerprint[:12]})",
        f"embedding   {found.dimension} numbers from {found.layer} at {found.image_size} pixels",
        "cleaning    drawings and queries are cleaned" if found.clean else "cleaning    none (`build --clean`)",
        f"search      compares all drawings (an index from {start:,} on)"
        if found.exact
        else f"search      goes by an approximate index (from {start:,} drawings on)",
        f"on disk     {found.disk_bytes / 2**20:,.2f} MiB",
        f"files gone  {len(found.missing):,}",
    ]
    _print([*lines, *_listed(map(as_text, found.missing))])


def _search_mode(exact: bool) -> str:
    return "searched exactly" if exact else "searched by an approximate index"


def _count(rows: int) -> str:
    return f"{rows:,} drawing{'s' * (rows != 1)}"


def _listed(lines: Any) -> list[str]:
    lines = list(lines)
    more = [f"  and {len(lines) - LISTED:,} more"] if len(lines) > LISTED else []
    return [f"  {line}" for line in lines[:LISTED]] + more


def _print(lines: list[str]) -> None:
    sys.stdout.write("\n".join(lines) + "\n")


def _print_json(values: dict[str, Any]) -> None:
    # In ASCII: a file name need not be UTF-8, and its stray bytes come back from their escapes (os.fsencode).
    sys.stdout.write(json.dumps(values, indent=2, allow_nan=False) + "\n")
