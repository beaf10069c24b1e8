"""One table of an experiment with its notes, as a command prints it and a study's report holds it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from sketchloss.data.names import short_name
from sketchloss.experiments.table import CSV_HEADER, Table
from sketchloss.figures.tables import write_csv
from sketchloss.system.files import write_atomic, write_json

RESULTS, TABLE, ROWS = "results.json", "table.md", "table.csv"
#: Files that each experiment leaves in its folder.
WRITTEN = frozenset({RESULTS, TABLE, ROWS})


@dataclass(frozen=True)
class Figure:
    """A picture that belongs to a table."""

    caption: str
    draw: Callable[[Path], object]
    """Function that writes the picture to a path."""


@dataclass(frozen=True)
class Section:
    """A table with the texts before and after it, and its pictures."""

    table: Table | None
    """The table; None: only words and pictures."""
    source: str = ""
    """Data set of the table, if there are several."""
    caption: str = ""
    notes: Sequence[str] = ()
    """Notes, in addition to those of the table."""
    after: str = ""
    """Markdown below the notes."""
    figures: Mapping[str, Figure] = field(default_factory=dict)
    """File name -> figure."""
    printed: bool = True
    """Whether a command prints the table; False: it writes the numbers only to the CSV file."""

    def with_figures(self, figures: Mapping[str, Figure]) -> "Section":
        """Return it with more pictures."""
        return replace(self, figures={**self.figures, **figures})

    def markdown(self) -> str:
        """Return caption, table, notes and what follows, as Markdown, without the pictures."""
        table, noted = ("", []) if self.table is None else (self.table.markdown(), self.table.notes())
        notes = "\n".join(f"- {note}" for note in [*noted, *self.notes])
        return "\n\n".join(text for text in (self.caption, table, notes, self.after) if text)

    def draw(self, out: Path, folder: str) -> str:
        """Draw the pictures into a folder of a report; return them as Markdown, each with its caption.

        Args:
            out: folder of the report.
            folder: name of the folder of pictures in it, which exists.
        """
        for name, figure in self.figures.items():
            figure.draw(out / folder / name)
        return "\n\n".join(
            f"![{figure.caption}]({folder}/{name})\n\n*{figure.caption}.*" for name, figure in self.figures.items()
        )


def write_results(out: Path, results: dict[str, Any], sections: Sequence[Section]) -> None:
    """Write results, the numbers first: a table or picture that cannot be made costs no measurement. Print the tables.

    Args:
        out: the folder, which exists.
        results: values for JSON.
        sections: made of them.

    Raises:
        ValueError: for numbers that are not finite.
    """
    write_json(out / RESULTS, results)
    printed = [one for one in sections if one.printed]
    headed = [
        f"### {short_name(one.source)}\n\n{one.markdown()}" if len(printed) > 1 and one.source else one.markdown()
        for one in printed
    ]
    text = "\n\n".join(headed)
    with write_atomic(out / TABLE) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")
    rows = [row for one in sections if one.table for row in one.table.csv_rows(one.source)]
    write_csv(out / ROWS, CSV_HEADER, rows)
    figures = {name: figure for one in sections for name, figure in one.figures.items()}
    for name, figure in figures.items():
        figure.draw(out / name)
    print(f"\n{text}\n\nIn {out}: {', '.join(sorted({*WRITTEN, *figures}))}")
