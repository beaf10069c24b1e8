"""Tables of any length, written row by row: CSV, JSON lines, Parquet."""

import csv
import json
from collections.abc import Iterable, Mapping
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Any

from sketchloss.system.files import write_atomic

#: Rows of a Parquet file that are held in memory together.
GROUP = 4096
FORMATS = (".csv", ".jsonl", ".parquet")


def check_format(path: Path) -> None:
    """Raise ValueError if a table cannot be written in the format that its suffix names."""
    if path.suffix.lower() not in FORMATS:
        raise ValueError(f"{path} has an unknown suffix: name a file that ends in {', '.join(FORMATS)}")
    if path.suffix.lower() == ".parquet" and find_spec("pyarrow") is None:
        raise ValueError(f"{path} needs pyarrow: pip install 'sketchloss[train]', or name a .csv or .jsonl file")


def write_rows(path: Path, columns: Mapping[str, type], rows: Iterable[dict[str, Any]], *, suffix: str) -> None:
    """Write a table, whole or not at all.

    Args:
        path: file to write.
        columns: name of each column -> `str`, `int` or `float`.
        rows: name of a column -> its value; what is missing is empty.
        suffix: what the format is called, one of `FORMATS`.

    Raises:
        OSError: if it cannot be written.
    """
    with write_atomic(path) as temporary:
        match suffix:
            case ".jsonl":
                with temporary.open("w", encoding="utf-8", errors="backslashreplace") as file:
                    for row in rows:
                        whole = {name: row.get(name) for name in columns}
                        file.write(json.dumps(whole, ensure_ascii=False, allow_nan=False) + "\n")
            case ".parquet":
                _write_parquet(temporary, columns, rows)
            case _:
                with temporary.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file:
                    table = csv.DictWriter(file, list(columns), restval="")
                    table.writeheader()
                    table.writerows(rows)


def _write_parquet(path: Path, columns: Mapping[str, type], rows: Iterable[dict[str, Any]]) -> None:
    import pyarrow as pa  # here: only this format needs it
    from pyarrow.parquet import ParquetWriter

    kinds = {str: pa.string(), int: pa.int64(), float: pa.float64()}
    schema = pa.schema([(name, kinds[kind]) for name, kind in columns.items()])
    rest = iter(rows)
    with ParquetWriter(path, schema) as writer:
        while some := list(islice(rest, GROUP)):
            group = [{name: _as_text(value) for name, value in row.items()} for row in some]
            writer.write_table(pa.Table.from_pylist(group, schema=schema))


def _as_text(value: Any) -> Any:
    """Spell out what of a file's name is no text, which Parquet cannot hold."""
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value
