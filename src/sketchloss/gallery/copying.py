"""Files that a search found, copied into a folder: names that begin with the rank, and nothing overwritten."""

import os
import shutil
from collections.abc import Sequence
from io import BufferedReader, BytesIO
from pathlib import Path

from sketchloss.gallery.paths import as_text
from sketchloss.gallery.searching import Match
from sketchloss.system.files import open_input, write_atomic
from sketchloss.system.picture_pages import split_page

LONGEST_NAME = 255  # bytes, on the usual file systems


def copy_matches(names: Sequence[str], found: Sequence[Sequence[Match]], folder: Path) -> tuple[int, list[str]]:
    """Copy the files that were found.

    Args:
        names: a name for each query. If there are several queries, each gets a folder of its own with this name.
        found: for each query its matches, the most similar first.
        folder: folder to copy into; made if it is not there.

    Returns:
        How many files were copied, and a line for each that could not be read.

    Raises:
        ValueError: if a file would be overwritten. Nothing is copied then, unless it has come while others were copied.
    """
    planned: list[tuple[Path, Path]] = []
    digits = len(str(len(names)))
    for number, (name, matches) in enumerate(zip(names, found, strict=True), start=1):
        place = folder / safe_name(f"{number:0{digits}}", name) if len(names) > 1 else folder
        if os.path.lexists(place) and not place.is_dir():
            raise ValueError(_is_there(place))
        width = max(2, len(str(len(matches))))
        for rank, match in enumerate(matches, start=1):
            file, _ = split_page(match.path)  # of a page the whole file
            planned.append((file, place / safe_name(f"{rank:0{width}}", file.name)))
    for _, target in planned:
        if os.path.lexists(target):
            raise ValueError(_is_there(target))
    unread = []
    for source, target in planned:
        try:
            file = open_input(source, pipes=False)
        except OSError as error:
            unread.append(f"{as_text(source)}: {(error.strerror or str(error)).lower()}")
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        with file:
            _copy_new(file, target)
    return len(planned) - len(unread), unread


def _copy_new(file: BufferedReader | BytesIO, target: Path) -> None:
    """Write a file that is not there yet, whole or not at all, also where another process writes it just now."""
    try:
        target.open("xb").close()  # from here on the name is ours
    except FileExistsError:
        raise ValueError(_is_there(target)) from None
    try:
        with write_atomic(target) as temporary, temporary.open("wb") as copy:
            shutil.copyfileobj(file, copy)
    except BaseException:
        target.unlink(missing_ok=True)
        raise


def _is_there(target: Path) -> str:
    return f"{as_text(target)} is there already, and nothing is overwritten: name another --copy-to"


def safe_name(number: str, name: str) -> str:
    """Return a file's name in printable letters with a number before it, cut at its start if it is too long."""
    text = as_text(name).encode()
    room = LONGEST_NAME - len(number) - 32  # the temporary name of write_atomic is longer
    return f"{number}-{text[-room:].decode(errors='ignore')}"
