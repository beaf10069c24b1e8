"""Where a comparison may write: found out before the work is done, not after."""

import os
from collections.abc import Sequence
from pathlib import Path

from sketchloss.compare.pairing import Pair
from sketchloss.compare.settings import Compare
from sketchloss.compare.spool import part_of
from sketchloss.system.files import check_distinct, check_writable
from sketchloss.system.picture_files import plain_suffixes
from sketchloss.system.picture_pages import split_page


def check_outputs(config: Compare, *, single: bool) -> None:
    """Check the paths of `map`, `csv` and `rows`.

    Args:
        config: its inputs exist.
        single: whether two pictures are compared.

    Raises:
        ValueError: if one is in the way of what is compared, or cannot be written.
    """
    rows = (config.rows, part_of(config.rows)) if config.rows else ()
    given = [path for path in (config.a, config.b, config.pairs) if path]
    for path in (config.map, config.csv, *rows):
        if path and path.exists() and any(path.samefile(split_page(one)[0]) for one in given):
            what = "the list of pairs" if config.pairs else "one of the drawings to compare"
            raise ValueError(f"{path} is {what}: write elsewhere")
        for one in given:
            if path and one.is_dir() and Path(os.path.realpath(path)).is_relative_to(one.resolve()):
                raise ValueError(f"{path} lies in {one}, whose pictures are compared: write elsewhere")
    check_distinct({"--csv": config.csv, "--rows": config.rows, "--map": config.map})
    if config.csv and config.csv.is_dir():
        raise ValueError(f"{config.csv} is a folder: name a file for --csv")
    for path in rows:
        if path.is_dir():
            raise ValueError(f"{path} is a folder: name another file for --rows")
    if config.map and single:
        if config.map.is_dir():
            raise ValueError(f"{config.map} is a folder: name a picture for --map, such as {config.map / 'map.png'}")
        if config.map.suffix.lower() not in plain_suffixes():
            raise ValueError(f"{config.map} has no picture's suffix: name a picture for --map, such as map.png")
    for path in (config.csv, *rows, config.map if single else None):
        if path:
            check_writable(path)
    if config.map and not single and config.map.exists():
        if not config.map.is_dir():
            raise ValueError(f"{config.map} is a file: name a folder for --map, since several pairs are compared")
        if not os.access(config.map, os.W_OK):
            raise ValueError(f"cannot write to {config.map}: no permission; name another folder for --map")


def check_pairs_stay(config: Compare, pairs: Sequence[Pair]) -> None:
    """Raise ValueError if what is to be written is one of the pictures that are compared."""
    outputs = [config.csv] if config.csv else []
    outputs += [config.rows, part_of(config.rows)] if config.rows else []
    outputs += [map_of(config.map, pair) for pair in pairs] if config.map else []
    found = {path.resolve(): path for path in outputs if path.exists()}
    for path in (path for pair in pairs for path in (pair.a, pair.b)) if found else ():
        if output := found.get(path.resolve()):
            raise ValueError(f"{output} is one of the drawings to compare: write elsewhere")


def map_of(folder: Path, pair: Pair) -> Path:
    """Return the path of the picture of a pair's differences in a folder of such pictures."""
    return folder / f"{pair.name}.png"
