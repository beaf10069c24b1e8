"""Which pictures belong together: those of one name in two folders, or those that a CSV file names."""

import csv
import unicodedata
from dataclasses import dataclass
from io import StringIO
from pathlib import Path, PurePath

from sketchloss.system.files import NoFile, open_input
from sketchloss.system.passed_over import no_pictures
from sketchloss.system.picture_files import find_pictures


@dataclass(frozen=True)
class Pair:
    """Two pictures to compare."""

    name: str
    a: Path
    b: Path


# Two folders ---------------------------------------------------------------------------------------------------------


def match_folders(a: str | Path, b: str | Path) -> tuple[list[Pair], list[str], list[str]]:
    """Match the pictures of two folders by their path in the folder, without suffix: `cats/1.png` and `cats/1.jpg`.

    Returns:
        The pairs, then the names found only in `a`, then those found only in `b`; each sorted by name.

    Raises:
        ValueError: if one is no folder or holds no pictures, a name stands for two pictures, or no name is in both.
    """
    ours, theirs = _by_name(Path(a)), _by_name(Path(b))
    pairs = [Pair(name, ours[name], theirs[name]) for name in sorted(ours.keys() & theirs.keys())]
    if not pairs:
        raise ValueError(
            f"no picture of {a} has the name of one of {b}: found {min(ours)} in the first and {min(theirs)} in the "
            "second; rename them, suffixes may differ"
        )
    return pairs, sorted(ours.keys() - theirs.keys()), sorted(theirs.keys() - ours.keys())


def _by_name(folder: Path) -> dict[str, Path]:
    named: dict[str, Path] = {}
    for path in find_pictures(folder):
        # note: some systems write é as one character, some as two
        name = unicodedata.normalize("NFC", path.relative_to(folder).with_suffix("").as_posix())
        if name in named:
            raise ValueError(f"{folder} holds both {named[name].name} and {path.name}: keep one picture of a name")
        named[name] = path
    if not named:
        raise ValueError(no_pictures(folder))
    return named


# A CSV file ----------------------------------------------------------------------------------------------------------


def read_pairs(path: str | Path) -> list[Pair]:
    """Read a CSV file of two paths a row, with commas, semicolons or tabs between them.

    Relative paths are relative to the file's folder, so that it can be moved with its pictures; those of a pipe, to the
    current folder. The first row is a header if neither of its cells has a suffix. Whether the pictures are there is
    not checked here.

    Returns:
        The pairs in the order of the rows, each with a name of its own: what the two files are called, without
        suffixes, and the line where that is not enough.

    Raises:
        FileNotFoundError: if `path` does not exist.
        ValueError: if it is no CSV file in UTF-8, holds no pairs, or has a row that is no pair or comes twice.
    """
    path = Path(path)
    text = _read_text(path)
    folder = path.parent if path.is_file() else Path()
    delimiter = max(",;\t", key=text.partition("\n")[0].count)
    lines: dict[tuple[str, str], int] = {}
    rows = csv.reader(StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True, strict=True)
    first = True
    try:
        for row in rows:
            cells = [cell.strip() for cell in row]
            if not any(cells):
                continue
            header = first and not any(PurePath(cell).suffix for cell in cells)
            first = False
            if header:
                continue
            where = f"{path}:{rows.line_num}"
            if len(cells) != 2:
                columns = "1 column" if len(cells) == 1 else f"{len(cells)} columns"
                raise ValueError(f"{where}: {columns}: give two paths a row, in quotes where a path has a comma in it")
            a, b = cells
            if not (a and b):
                raise ValueError(f"{where}: the {'second' if a else 'first'} path is empty: fix or remove the line")
            if (a, b) in lines:
                raise ValueError(f"{where}: {a} and {b} are in line {lines[a, b]} already: remove one of the lines")
            lines[a, b] = rows.line_num
    except csv.Error as error:
        raise ValueError(f"{path}:{rows.line_num}: no CSV ({error}): fix the line") from None
    if not lines:
        raise ValueError(f"{path} holds no pairs: give two paths a row, with a comma between them")
    pairs: list[Pair] = []
    taken: set[str] = set()
    for (a, b), line in lines.items():
        one, other = Path(a).stem, Path(b).stem
        name = one if one == other else f"{one} {other}"
        name = f"{name} (line {line})" if name in taken else name
        taken.add(name)
        pairs.append(Pair(name, folder / a, folder / b))
    return pairs


def _read_text(path: Path) -> str:
    try:
        with open_input(path) as file:
            text = file.read().decode("utf-8-sig")
    except NoFile as error:
        raise ValueError(f"{path}: {error}") from None
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise ValueError(f"{path} is no text in UTF-8: save it as CSV in UTF-8")
    return text
