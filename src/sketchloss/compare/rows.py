"""Folders of any size: rows are written while pairs are measured, and a run that was stopped goes on.

The rows so far lie in `FILE.part` (`spool.py`), from which the table is made at the end.
"""

import hashlib
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import Any

import torch

from sketchloss.compare.measurer import Measurer
from sketchloss.compare.measuring import LeftOut, PairDistance
from sketchloss.compare.pairing import Pair
from sketchloss.compare.progress import with_progress
from sketchloss.compare.row_formats import write_rows
from sketchloss.compare.settings import Compare
from sketchloss.compare.spool import PICTURES, Spool
from sketchloss.compare.table import Table
from sketchloss.compare.tally import Tally
from sketchloss.loss.loss import SketchLoss
from sketchloss.system.control_characters import spelt_out
from sketchloss.system.picture_pages import split_page


def measure_into_rows(measurer: Measurer, pairs: Sequence[Pair], *, tally: Tally) -> tuple[Table, Spool]:
    """Measure pairs, and write a row for each to the spool; go on where a run was stopped.

    Args:
        measurer: of settings with `rows`.
        pairs: one at least.
        tally: is given all pairs, also those that were measured before.

    Returns:
        What `finish_rows` needs.

    Raises:
        ValueError: if there is a spool of other settings or pictures, or as `measure_each`.
        OSError: if there is no room.
    """
    config, loss, at_once = measurer.config, measurer.loss, measurer.at_once
    assert config.rows is not None
    table = Table(config, loss, [distance.name for distance in measurer.others])
    spool = Spool(config.rows, _depends_on(config, loss, table, pairs, at_once), total=len(pairs), at_once=at_once)
    for row in spool.rows():
        tally.add(table.found(row))
    if spool.count and not config.quiet:
        with suppress(OSError):  # of a full disk
            said = f"compare: {spool.count:,} of {len(pairs):,} pairs are in {spool.path} already"
            sys.stderr.write(spelt_out(said) + "\n")
    found: Iterable[PairDistance | LeftOut] = measurer.measure(pairs, start=spool.count)
    if not config.quiet:
        found = with_progress(found, total=len(pairs), done=spool.count)
    waiting: list[dict[str, Any]] = []
    for one in found:
        tally.add(one)
        waiting.append(table.row(one))
        if len(waiting) == at_once:
            spool.append(waiting)
            waiting = []
    spool.append(waiting)
    return table, spool


def finish_rows(file: Path, table: Table, spool: Spool, only_a: Sequence[str], only_b: Sequence[str]) -> None:
    """Make the table of the spool, and remove the spool.

    Raises:
        OSError: if there is no room; the spool is kept.
    """

    def rows() -> Iterator[dict[str, Any]]:
        yield from spool.rows()
        yield from table.alone(only_a, only_b)

    try:
        write_rows(file, table.columns, rows(), suffix=file.suffix.lower())
    except OSError as error:
        reason = " ".join(str(error.strerror or error).lower().split())
        raise OSError(
            f"cannot write {file} ({reason}): free some space, and give the same command again; all rows are kept in "
            f"{spool.path}"
        ) from None
    spool.remove()


def _depends_on(config: Compare, loss: SketchLoss, table: Table, pairs: Sequence[Pair], at_once: int) -> dict[str, Any]:
    """Return what the bytes of the rows depend on, by its name."""
    files = (path for pair in pairs for path in (pair.a, pair.b))
    functions = [Path(spec.rpartition(":")[0]) for spec in config.distance if ".py:" in spec]
    return {
        **table.how,
        "layers": loss.layers,
        "invert": config.invert,
        "distance": list(config.distance),
        "device": loss.backbone.mean.device.type,
        "torch": str(torch.__version__),
        "pairs_at_once": at_once,
        PICTURES: _digest((pair.name for pair in pairs), chain(functions, files)),
    }


def _digest(names: Iterable[str], files: Iterable[Path]) -> str:
    """Return a digest of names, and of paths, sizes and times of files."""
    found = hashlib.sha256()
    for name in names:
        found.update(os.fsencode(name) + b"\0")
    for path in files:
        try:
            facts = split_page(path)[0].stat()
            size, changed = facts.st_size, facts.st_mtime_ns
        except OSError:  # told as a pair that cannot be read
            size = changed = -1
        found.update(os.fsencode(path) + b"\0%d %d\0" % (size, changed))
    return found.hexdigest()
