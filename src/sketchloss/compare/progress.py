"""How far a comparison is, on stderr: a bar on a terminal, else a plain line now and then, as logs need it."""

import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress

from sketchloss.compare.pairing import Pair

#: Seconds between two lines.
EVERY = 30.0


def with_progress(pairs: Sequence[Pair], *, every: float | None = None) -> Iterable[Pair]:
    """Return the pairs, and show how many were asked for so far.

    Args:
        pairs: what is gone through, once.
        every: seconds between two lines where stderr is no terminal; by default `EVERY`.
    """
    if sys.stderr.isatty():
        from tqdm import tqdm

        return tqdm(pairs, unit="pair", leave=False)
    return _with_lines(pairs, EVERY if every is None else every)


def _with_lines(pairs: Sequence[Pair], every: float) -> Iterator[Pair]:
    last = time.monotonic()
    for done, pair in enumerate(pairs):
        now = time.monotonic()
        if done and now - last >= every:
            last = now
            with suppress(OSError):  # a log that is full or has gone ends no comparison
                sys.stderr.write(f"compare: {done:,} of {len(pairs):,} pairs\n")
                sys.stderr.flush()
        yield pair
