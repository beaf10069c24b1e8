"""The files of a gallery's drawings as they are now: which are gone or changed, and the ink of the rest."""

import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from sketchloss.gallery.duplicates.ink_frame import InkMap, find_frame, map_ink, open_page
from sketchloss.gallery.looking import look_at
from sketchloss.gallery.paths import as_text, to_path
from sketchloss.gallery.table import Known
from sketchloss.system.images import UnreadablePicture
from sketchloss.system.picture_pages import has_later_pages, split_page

WORKERS = 8


@dataclass(frozen=True)
class DrawingFile:
    """A file of a drawing."""

    path: Path
    """Absolute path of the file."""
    width: int
    """Width of the picture in pixels."""
    height: int
    """Height of the picture in pixels."""
    size: int
    """Size of the file in bytes."""
    modified: float
    """Time of the last change, in seconds since 1970."""


@dataclass(frozen=True, eq=False)
class Seen:
    """A file that was looked at, and its drawing."""

    file: DrawingFile
    hash: str
    """SHA-256 of the file."""
    identity: tuple[int, int]
    """Device and number of the file; paths that lead to one file have the same."""
    ink: InkMap | None
    """Map of the ink in the common frame; None for a blank page."""


@dataclass(frozen=True)
class LeftOut:
    """The drawings of a gallery that were not compared."""

    gone: tuple[Path, ...]
    """Drawings whose files are gone."""
    changed: tuple[Path, ...]
    """Drawings whose files have changed since they were added."""
    links: tuple[Path, ...]
    """Paths that are another name of a file that was compared: links, which are no copies."""
    pages: tuple[Path, ...]
    """Pages of files that have several, also where the gallery has the first alone: to remove such a file for the sake
    of one page would lose the others."""
    unreadable: tuple[str, ...]
    """A line for each file that cannot be read: which, why, and what to do."""


def find_pages(rows: Sequence[Known]) -> list[int]:
    """Return the places of the rows that are pages of files with several pages, the first page among them."""
    files = [split_page(to_path(row)) for row in rows]
    several = {file for file, page in files if page > 1}
    return [place for place, (file, _) in enumerate(files) if file in several]


def as_they_are(rows: Iterable[Known]) -> tuple[list[int], list[Path], list[Path]]:
    """Look for the files of rows, without opening them.

    Returns:
        The places of the rows whose files are there, with the size that they had; the files that are gone; the files
        that have another size.
    """
    there, gone, changed = [], [], []
    for place, row in enumerate(rows):
        path = to_path(row)
        try:
            size = path.stat().st_size
        except (FileNotFoundError, NotADirectoryError):
            gone.append(path)
            continue
        except OSError:  # said where it is read
            size = row.size
        if size == row.size:
            there.append(place)
        else:
            changed.append(path)
    return there, gone, changed


def without_pages(rows: Sequence[Known]) -> tuple[list[Known], list[Path]]:
    """Return the rows whose files hold one picture, and the files that hold more, of which the gallery has the first.

    Args:
        rows: rows of files that are there. They are opened.
    """
    paths = [to_path(row) for row in rows]
    with ThreadPoolExecutor(min(WORKERS, os.cpu_count() or 1)) as pool:
        several = list(pool.map(has_later_pages, paths))
    alone = [row for row, pages in zip(rows, several, strict=True) if not pages]
    return alone, [path for path, pages in zip(paths, several, strict=True) if pages]


def look_all(rows: Sequence[Known], *, progress: bool) -> tuple[list[Seen], list[Path], dict[Path, str]]:
    """Read these rows' files whole, several at a time.

    Args:
        rows: rows of files that are there.
        progress: show a bar on stderr, if that is a terminal.

    Returns:
        The files that are as they were when they were added; those that have changed; those that cannot be read, each
        with a line that says why.
    """
    seen: list[Seen] = []
    changed: list[Path] = []
    unreadable: dict[Path, str] = {}
    with ThreadPoolExecutor(min(WORKERS, os.cpu_count() or 1)) as pool:
        try:
            found = tqdm(
                pool.map(_look, rows), "reading", len(rows), unit=" drawings", disable=None if progress else True
            )
            for row, one in zip(rows, found, strict=True):
                path = to_path(row)
                if one is None:
                    changed.append(path)
                elif isinstance(one, str):
                    unreadable[path] = one
                else:
                    seen.append(one)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
    return seen, changed, unreadable


def _look(row: Known) -> Seen | str | None:
    """Read a file: a line if it cannot be read, None if it is not what it was."""
    path = to_path(row)
    found = look_at(row.path, lambda _: True, 1)
    if found.unreadable:
        return found.unreadable
    if found.hash != row.hash:
        return None
    try:
        page, (width, height) = open_page(path)
        facts = path.stat()
    except UnreadablePicture as error:
        return as_text(str(error))
    except OSError:  # removed a moment ago
        return None
    frame = find_frame(page)
    ink = None if frame is None else map_ink(page, frame)
    file = DrawingFile(path, width, height, found.size, facts.st_mtime)
    return Seen(file, row.hash, (facts.st_dev, facts.st_ino), ink if ink is not None and ink.any() else None)


def without_links(files: Sequence[Seen]) -> tuple[list[Seen], list[Path]]:
    """Keep one path of each file, the one without a link in it if there is one; return the others, too.

    To remove a file because of a link to it would lose both.
    """
    kept: dict[tuple[int, int], Seen] = {}
    links = []
    for seen in sorted(files, key=lambda seen: (_is_through_link(seen.file.path), seen.file.path)):
        if seen.identity in kept:
            links.append(seen.file.path)
        else:
            kept[seen.identity] = seen
    return [seen for seen in files if kept[seen.identity] is seen], links


def _is_through_link(path: Path) -> bool:
    return os.path.realpath(path) != str(path)
