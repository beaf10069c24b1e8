"""Messages about a source that was not used whole."""

from collections.abc import Callable, Sequence

#: Damaged files and lines that are named.
NAMED = 5


def say_left_out(
    source: str, unreadable: Sequence[str], passed_over: Sequence[str] = (), *, say: Callable[[str], object] = print
) -> None:
    """Say what of a source is left out: the first damaged files or lines, how many in all, and what is not read at all.

    Args:
        source: its name.
        unreadable: a line for each file or line that was left out, as of `Sketches`.
        passed_over: lines about kinds of files that are not read, and about later pages.
        say: is told each line.
    """
    for line in unreadable[:NAMED]:
        say(f"skipped {line}")
    if len(unreadable) > NAMED:
        say(f"skipped {len(unreadable):,} of {source} in all")
    for line in passed_over:
        say(f"not read: {line}")
