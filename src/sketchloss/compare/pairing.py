"""Which pictures belong together: those of one name in two folders, or those that a CSV file names."""

import csv
import re
import sys
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path, PurePath
from typing import overload

from sketchloss.system.files import NoFile, open_input
from sketchloss.system.passed_over import no_pictures
from sketchloss.system.picture_files import each_picture


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
    pairs, only_a, only_b = match_many(a, b)
    return list(pairs), only_a, only_b


def match_many(a: str | Path, b: str | Path) -> tuple["FolderPairs", list[str], list[str]]:
    """Match as `match_folders`; the pairs are made when they are asked for, so that many of them take little memory."""
    ours, theirs = _by_name(Path(a)), _by_name(Path(b))
    names = sorted(name for name in ours if name in theirs)
    if not names:
        raise ValueError(
            f"no picture of {a} has the name of one of {b}: found {min(ours)} in the first and {min(theirs)} in the "
            "second; rename them, suffixes may differ"
        )
    pairs = FolderPairs(Path(a), Path(b), names, [ours[name] for name in names], [theirs[name] for name in names])
    only_a = sorted(name for name in ours if name not in theirs)
    only_b = sorted(name for name in theirs if name not in ours)
    return pairs, only_a, only_b


class FolderPairs(Sequence[Pair]):
    """Pairs of two folders, as what their paths are made of.

    Args:
        a: first folder.
        b: second folder.
        names: name of each pair.
        ours: of each pair the rest of the path in `a`: the suffix, which comes after the name, or all of it.
        theirs: likewise in `b`.
    """

    def __init__(self, a: Path, b: Path, names: list[str], ours: list[str], theirs: list[str]) -> None:
        self._folders = a, b
        self._names, self._ours, self._theirs = names, ours, theirs

    def __len__(self) -> int:
        return len(self._names)

    @overload
    def __getitem__(self, place: int) -> Pair: ...
    @overload
    def __getitem__(self, place: slice) -> list[Pair]: ...
    def __getitem__(self, place: int | slice) -> Pair | list[Pair]:
        if isinstance(place, slice):
            return [self[one] for one in range(*place.indices(len(self)))]
        name, (a, b) = self._names[place], self._folders
        return Pair(name, a / _whole(name, self._ours[place]), b / _whole(name, self._theirs[place]))


def _whole(name: str, rest: str) -> str:
    return name + rest if rest.startswith(".") else rest  # the paths of pictures never begin with a dot


def _by_name(folder: Path) -> dict[str, str]:
    """Return the name of each picture, and the rest of its path as `FolderPairs` has it."""
    named: dict[str, str] = {}
    for path in each_picture(folder):
        inside = path.relative_to(folder)
        # note: some systems write é as one character, some as two
        name = unicodedata.normalize("NFC", inside.with_suffix("").as_posix())
        if name in named:
            other = PurePath(_whole(name, named[name])).name
            raise ValueError(f"{folder} holds both {other} and {path.name}: keep one picture of a name")
        whole = inside.as_posix()
        named[name] = sys.intern(inside.suffix) if name + inside.suffix == whole else whole
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
    beginning = re.sub(r'"[^"]*"', "", text.lstrip()).partition("\n")[0]
    delimiter = max(",;\t", key=beginning.count)
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
        while name in taken:
            name = f"{name} (line {line})"
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
