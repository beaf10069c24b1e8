"""Options that a source is given after its name: `fs2k:PATH?style=1`, `doodles?tool=ink&count=350`."""

from collections.abc import Mapping, Sequence
from urllib.parse import parse_qsl


def parse_options(source: str, query: str, kind: str, known: Mapping[str, Sequence[str] | None]) -> dict[str, str]:
    """Read options such as `tool=ink&count=350`.

    Args:
        source: in full, for the error.
        query: what follows its `?`; may be empty.
        kind: kind of source, for the error.
        known: the options' names, each with what it may be, or None for anything.

    Raises:
        ValueError: for what is written otherwise, unknown names and values, and an option given twice.
    """
    options: dict[str, str] = {}
    for name, value in _split(source, query) if query else []:
        if name not in known:
            mend = f"it takes {' and '.join(known)}" if known else "it takes none"
            raise ValueError(f"{source!r}: {kind} has no option {name!r}; {mend}")
        if name in options:
            raise ValueError(f"{source!r}: {name} is given twice; give it once")
        choices = known[name]
        if choices and value not in choices:
            raise ValueError(f"{source!r}: {name} is {value!r}; choose from {', '.join(choices)}")
        options[name] = value
    return options


def _split(source: str, query: str) -> list[tuple[str, str]]:
    try:
        return parse_qsl(query, keep_blank_values=True, strict_parsing=True)
    except ValueError as error:
        raise ValueError(
            f"{source!r}: what follows the last '?' is {query!r}; write options as name=value, joined by &"
        ) from error
