"""How far a comparison is, on stderr: a bar on a terminal, else a plain line now and then, as logs need it."""

import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import TypeVar

from sketchloss.system.control_characters import spelt_out

Item = TypeVar("Item")
#: Seconds between two lines.
EVERY = 30.0


def with_progress(
    items: Iterable[Item],
    *,
    total: int,
    done: int = 0,
    unit: str = "pair",
    command: str = "compare",
    every: float | None = None,
) -> Iterable[Item]:
    """Return the items, and show how many were asked for so far.

    Args:
        items: what is gone through, once.
        total: number of all items.
        done: number of those that are not among `items`, because they were done before.
        unit: what one of them is called.
        command: name of the command, which begins a line.
        every: seconds between two lines where stderr is no terminal; by default `EVERY`.
    """
    if sys.stderr.isatty():
        from tqdm import tqdm

        return tqdm(items, total=total, initial=done, unit=unit, leave=False)
    return _with_lines(items, total, done, f"{unit}s", command, EVERY if every is None else every)


def _with_lines(
    items: Iterable[Item], total: int, before: int, units: str, command: str, every: float
) -> Iterator[Item]:
    last = time.monotonic()
    for done, item in enumerate(items):
        now = time.monotonic()
        if done and now - last >= every:
            last = now
            with suppress(OSError):  # a log that is full or has gone ends no comparison
                sys.stderr.write(spelt_out(f"{command}: {before + done:,} of {total:,} {units}") + "\n")
                sys.stderr.flush()
        yield item
