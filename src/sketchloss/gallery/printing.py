"""How the commands of a gallery print: counts, lists that are only looked at, JSON."""

import json
import sys
from collections.abc import Iterable
from typing import Any

LISTED = 20  # lines of a list that is only looked at


def count_drawings(rows: int) -> str:
    """Return how many drawings, in words."""
    return f"{rows:,} drawing{'s' * (rows != 1)}"


def listed(lines: Iterable[str]) -> list[str]:
    """Return the first lines of a list that is only looked at, indented, and how many more there are."""
    lines = list(lines)
    more = [f"  and {len(lines) - LISTED:,} more"] if len(lines) > LISTED else []
    return [f"  {line}" for line in lines[:LISTED]] + more


def print_lines(lines: list[str]) -> None:
    """Print lines."""
    sys.stdout.write("\n".join(lines) + "\n")


def print_json(values: dict[str, Any]) -> None:
    """Print values as JSON."""
    # In ASCII: a file name need not be UTF-8, and its stray bytes come back from their escapes (os.fsencode).
    sys.stdout.write(json.dumps(values, indent=2, allow_nan=False) + "\n")
