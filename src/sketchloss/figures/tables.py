"""Tables as Markdown that is also readable as it stands, and as CSV.

note: not tabulate, which takes a row too long or too short for its header in silence, its numbers under other headings.
"""

import csv
from collections.abc import Sequence
from io import StringIO
from pathlib import Path

from sketchloss.system.files import write_atomic


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Align cells into a Markdown table: the first column to the left, the others to the right."""
    table = [list(header), *(list(row) for row in rows)]
    widths = [max(3, *(len(cell) for cell in column)) for column in zip(*table, strict=True)]
    lines = [
        " | ".join([row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True))])
        for row in table
    ]
    rule = " | ".join(["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])])
    return "\n".join(f"| {line} |" for line in (lines[0], rule, *lines[1:]))


def write_csv(path: str | Path, header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Write a table as UTF-8 CSV (RFC 4180), whole or not at all: numbers in full, None as an empty cell.

    Raises:
        ValueError: for a row that is longer or shorter than the header.
        FileNotFoundError: if the folder does not exist.
    """
    text = StringIO()
    writer = csv.writer(text)  # with its line ends, \r\n: with others it leaves a \r in a cell unquoted
    writer.writerow(header)
    for number, row in enumerate(rows):
        if len(row) != len(header):
            raise ValueError(f"row {number} has {len(row)} cells, the header {len(header)}: they must match")
        writer.writerow(row)
    with write_atomic(path) as temporary:
        temporary.write_text(text.getvalue(), encoding="utf-8", newline="")


def format_p(p: float | None) -> str:
    """Write a probability: "0.021", "<0.001", or "-" for None."""
    if p is None:
        return "-"
    return "<0.001" if p < 0.001 else f"{p:.3f}"
