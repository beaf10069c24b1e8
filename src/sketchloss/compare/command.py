"""Compare drawings, two pictures or two folders of them: how far apart they are, and where.

    sketchloss compare before.png after.png --map difference.png
    sketchloss compare generated/ wanted/ --csv distances.csv --map worst/
    sketchloss compare generated/ wanted/ --fail-above 0.3 --at p95 --fail-on-missing --strict     in a build pipeline
    sketchloss compare generated/ wanted/ --rows distances.parquet     folders of any size

In Python, the same in four calls:

    loss = SketchLoss("sketch")
    pairs, only_a, only_b = match_folders("generated", "wanted")
    distances, left_out = measure(loss, pairs)
    picture_differences(loss, distances[:1])[0].save("difference.png")
"""

import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from sketchloss.compare.comparison import Comparison
from sketchloss.compare.measurer import Measurer
from sketchloss.compare.measuring import PairDistance, picture_differences
from sketchloss.compare.outputs import check_outputs, check_pairs_stay, map_of
from sketchloss.compare.pairing import Pair, match_many, read_pairs
from sketchloss.compare.printing import as_json, as_text
from sketchloss.compare.progress import with_progress
from sketchloss.compare.rows import finish_rows, measure_into_rows
from sketchloss.compare.settings import Compare
from sketchloss.compare.table import Table, write_table
from sketchloss.compare.tally import Tally
from sketchloss.compare.verdict import judge
from sketchloss.loss.loss import SketchLoss
from sketchloss.system.control_characters import spelt_out
from sketchloss.system.images import save_picture
from sketchloss.system.passed_over import later_pages, other_kinds
from sketchloss.system.picture_pages import split_page


def compare(config: Compare) -> int:
    """Run the command: print the distances, and write the table and the pictures that were asked for.

    Returns:
        The exit code: 0, or 1 or 2 if the comparison does not pass (see `verdict`).

    Raises:
        ValueError: for pictures or settings that cannot be compared.
        FileNotFoundError: if a path does not exist.
    """
    # Set-up: mistakes are found before anything is written or takes long ---------------------------------------------
    _check_inputs(config)
    single = config.a is not None and not config.a.is_dir()
    check_outputs(config, single=single)
    pairs, only_a, only_b = _find_pairs(config)
    check_pairs_stay(config, [] if single else pairs)
    measurer = Measurer(config)
    loss = measurer.loss
    if config.map and not single:
        config.map.mkdir(parents=True, exist_ok=True)
    unread = [line for path in (config.a, config.b) if path and path.is_dir() for line in other_kinds(path)]
    unread += later_pages(path for pair in pairs for path in (pair.a, pair.b))

    # Measuring -------------------------------------------------------------------------------------------------------
    tally, spool = Tally(max(1, config.worst), keep_all=config.rows is None), None
    if config.rows:
        table, spool = measure_into_rows(measurer, pairs, tally=tally)
    else:
        table = Table(config, loss, [distance.name for distance in measurer.others])
        measured = measurer(pairs, workers=1) if single else measurer.measure(pairs)  # a single pair has all cores
        for one in measured if single or config.quiet else with_progress(measured, total=len(pairs)):
            tally.add(one)
    if not tally.totals:
        if spool:
            spool.remove()  # there is nothing in it
        reason = tally.left_out[0].reason
        raise ValueError(reason if single else f"none of the {len(pairs):,} pairs could be compared, first: {reason}")
    found = Comparison(single, tally, only_a, only_b, unread, maps=[])

    # Report ----------------------------------------------------------------------------------------------------------
    if config.csv:
        write_table(config.csv, table, found)
    if config.rows and spool:
        finish_rows(config.rows, table, spool, only_a, only_b)
    if config.map:
        drawn = tally.distances if single else tally.farthest(config.worst)
        found = replace(found, maps=_write_maps(config, loss, drawn, single=single))
    verdict = judge(config, found)
    said = as_json(config, loss, found, verdict) if config.json else as_text(config, loss, found)
    sys.stdout.write(said + "\n")
    sys.stdout.flush()  # before stderr, which often goes into the same log
    for line in verdict.failures:
        with suppress(OSError):  # of a full disk; the exit code says it, too
            sys.stderr.write(spelt_out(f"sketchloss compare: {' '.join(line.split())}\n"))
            sys.stderr.flush()
    return verdict.exit_code


def _check_inputs(config: Compare) -> None:
    for path in (config.a, config.b, config.pairs):
        if path and not split_page(path)[0].exists():
            raise FileNotFoundError(f"{path} does not exist: check the path")
    if config.a and config.b and config.a.is_dir() != config.b.is_dir():
        folder, file = (config.a, config.b) if config.a.is_dir() else (config.b, config.a)
        raise ValueError(f"{folder} is a folder and {file} a file: give two pictures or two folders")
    if config.rows and config.a and not config.a.is_dir():
        raise ValueError(f"rows is for two folders or --pairs, and {config.a} is a picture: use --csv or --json")
    if config.fail_on_missing and config.a and not config.a.is_dir():
        raise ValueError(f"fail_on_missing is for two folders, and {config.a} is none: leave it out")


def _find_pairs(config: Compare) -> tuple[Sequence[Pair], list[str], list[str]]:
    """Return the pairs, and the names that are in only one of two folders, as `match_many`."""
    if config.pairs:
        return read_pairs(config.pairs), [], []
    assert config.a is not None
    assert config.b is not None
    if config.a.is_dir():
        return match_many(config.a, config.b)
    name = config.a.stem if config.a.stem == config.b.stem else f"{config.a.stem} {config.b.stem}"
    return [Pair(name, config.a, config.b)], [], []


def _write_maps(config: Compare, loss: SketchLoss, drawn: Sequence[PairDistance], *, single: bool) -> list[Path]:
    assert config.map is not None
    pictures = picture_differences(loss, drawn, size=config.size, invert=config.invert, weights=config.weights)
    paths = []
    for distance, picture in zip(drawn, pictures, strict=True):
        path = config.map if single else map_of(config.map, distance.pair)
        path.parent.mkdir(parents=True, exist_ok=True)
        save_picture(picture, path)
        paths.append(path)
    return paths
