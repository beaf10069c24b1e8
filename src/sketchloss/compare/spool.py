"""Rows that a run has so far, in a file beside the one to come: a run that is stopped goes on there.

The file is of JSON lines. The first says what the rows depend on, and each of the others is a row.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from sketchloss.system.files import parse_json, write_atomic

FORMAT = "sketchloss rows 1"
#: Bytes of a line: far more than any row has.
LONGEST = 2**24
PICTURES = "pictures"


def part_of(file: Path) -> Path:
    """Return the path of the rows so far of a table."""
    return file.with_name(f"{file.name}.part")


class Spool:
    """The rows so far of a table.

    Args:
        file: the table to come; the rows lie beside it, as `FILE.part`.
        settings: what the rows depend on, JSON-ready. Under `pictures` is a digest of the pictures.
        total: number of all rows.
        at_once: number of rows that are made together. What is there of a last, smaller number is made again.

    Raises:
        ValueError: if `FILE.part` is there, and of other settings or no such file.
        OSError: if it cannot be written.
    """

    def __init__(self, file: Path, settings: dict[str, Any], *, total: int, at_once: int) -> None:
        self.path = part_of(file)
        self.count = 0
        """Number of rows that are there."""
        header = json.dumps({"format": FORMAT, **settings}).encode() + b"\n"
        if self.path.exists():
            self._check(json.loads(header))
        else:
            with write_atomic(self.path) as temporary:
                temporary.write_bytes(header)
        with self.path.open("r+b") as lines:
            lines.readline(LONGEST)
            self._end, place, count = lines.tell(), lines.tell(), 0
            # A process or a computer that was stopped may leave half a line. Nothing after it counts.
            while count < total and _is_row(line := lines.readline(LONGEST)):
                place += len(line)
                count += 1
                if count % at_once == 0 or count == total:
                    self._end, self.count = place, count
            lines.truncate(self._end)

    def _check(self, wanted: dict[str, Any]) -> None:
        with self.path.open("rb") as lines:
            first = lines.readline(LONGEST)
        try:
            found = parse_json(first)
        except ValueError:
            found = None
        if not (isinstance(found, dict) and found.get("format") == FORMAT):
            raise ValueError(f"{self.path} is there, and not begun by this command: move it, or give another --rows")
        anew = f"remove {self.path} to begin anew"
        for name, value in wanted.items():
            if found.get(name) != value and name == PICTURES:
                raise ValueError(f"the pictures have changed since {self.path} was begun: {anew}")
            if found.get(name) != value:
                before = f"{self.path} was begun with {name} {json.dumps(found.get(name))}"
                raise ValueError(f"{before}, which is {json.dumps(value)} now: repeat it, or {anew}")

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield the rows that are there."""
        with self.path.open("rb") as lines:
            lines.readline(LONGEST)
            for _ in range(self.count):
                yield parse_json(lines.readline(LONGEST))

    def append(self, rows: Sequence[dict[str, Any]]) -> None:
        """Write rows after the others.

        Raises:
            ValueError: if another process writes there.
            OSError: if there is no room, in one line; the rows before are kept.
        """
        text = "".join(json.dumps(row, allow_nan=False) + "\n" for row in rows).encode()
        try:
            with self.path.open("r+b", buffering=0) as file:
                found = file.seek(0, 2)
                if found != self._end:
                    raise ValueError(f"{self.path} was written by another process, too: give each its own --rows")
                rest = memoryview(text)
                while rest:
                    rest = rest[file.write(rest) :]
        except OSError as error:
            reason = str(error.strerror or error).lower()
            raise OSError(
                f"cannot write {self.path} ({reason}): free some space, and give the same command again; it goes on "
                f"after the {self.count:,} rows that are there"
            ) from None
        self._end += len(text)
        self.count += len(rows)

    def remove(self) -> None:
        """Remove the file, which is needed no longer."""
        self.path.unlink(missing_ok=True)


def _is_row(line: bytes) -> bool:
    if not line.endswith(b"\n"):
        return False
    try:
        return isinstance(parse_json(line), dict)
    except ValueError:
        return False
