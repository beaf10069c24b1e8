"""What an experiment with a table leaves in its folder: the numbers, the table as Markdown and CSV, and pictures."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from sketchloss.files import write_atomic, write_json
from sketchloss.report.tables import write_csv

RESULTS, TABLE, ROWS = "results.json", "table.md", "table.csv"
#: Files that each of them leaves.
WRITTEN = frozenset({RESULTS, TABLE, ROWS})


def write_results(
    out: Path,
    results: dict[str, Any],
    report: Callable[[dict[str, Any]], str],
    header: Sequence[str],
    rows: Callable[[dict[str, Any]], Sequence[Sequence[object]]],
    pictures: Mapping[str, Callable[[Path], object]],
) -> None:
    """Write results, the numbers first: a table or picture that cannot be made costs no measurement. Print the table.

    Args:
        out: the folder, which exists.
        results: values for JSON, of which the table is made.
        report: makes the Markdown.
        header: of the CSV file.
        rows: makes its rows.
        pictures: name -> what draws it to a path.

    Raises:
        ValueError: for numbers that are not finite.
    """
    write_json(out / RESULTS, results)
    text = report(results)
    with write_atomic(out / TABLE) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")
    write_csv(out / ROWS, header, rows(results))
    for name, draw in pictures.items():
        draw(out / name)
    print(f"\n{text}\n\nIn {out}: {', '.join(sorted({*WRITTEN, *pictures}))}")
