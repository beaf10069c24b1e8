"""Captions as people write them: in a column, in the `metadata.jsonl` of a folder, in a `.txt` for each picture."""

import csv
import os
from collections.abc import Iterator
from io import TextIOWrapper
from pathlib import Path
from typing import Any

import pyarrow as pa
from datasets import ClassLabel, Dataset, Features, Value

from sketchloss.data.labelled import CLASS_COLUMNS
from sketchloss.data.sources import list_some
from sketchloss.system.files import NoFile, open_input, parse_json

CAPTION_COLUMNS = ("text", "caption", "captions", "prompt", "sentence")  # the best first
METADATA = ("metadata.jsonl", "metadata.csv")
FILE_COLUMN = "file_name"  # these names are those of Hugging Face's `imagefolder`


def choose_columns(
    name: str, rows: Dataset, captions: str | None, *, only_text_is_class: bool
) -> tuple[str | None, str | None]:
    """Say which columns of a data set hold captions and classes.

    Args:
        name: name of the data set, for the error.
        rows: the data set.
        captions: the column of captions, if it was said which.
        only_text_is_class: take the only column of text for classes, as `open_sketches` does.

    Returns:
        The column of captions, None if the classes say what is shown; and the column of classes, if there is one.

    Raises:
        ValueError: if `captions` names no column of text, or no column is plainly either.
    """
    kinds = rows.features.arrow_schema
    texts = [column for column in rows.column_names if _is_text(kinds.field(column).type)]
    words = [column for column in rows.column_names if _is_string(kinds.field(column).type) and column != captions]
    written = [column for column in CAPTION_COLUMNS if column in texts]
    among = ", ".join(rows.column_names) or "none"
    if captions is not None and captions not in rows.column_names:
        raise ValueError(f"captions is {captions!r}, but {name} has the columns {among}: name one of them")
    if captions is not None and captions not in texts:
        choice = f"choose from {', '.join(texts)}" if texts else "it has no column of text"
        raise ValueError(f"captions is {captions!r}, a column of {name} that does not hold text: {choice}")
    labelled = [column for column, kind in rows.features.items() if isinstance(kind, ClassLabel)]
    classes = [column for column in CLASS_COLUMNS if column in (labelled or words)]
    classes = labelled if len(labelled) == 1 else classes
    if captions is not None:
        return captions, classes[0] if classes else None
    if classes:
        return None, classes[0]
    if written:
        return written[0], None
    if only_text_is_class and len(words) == 1:  # as `open_sketches` has it
        return None, words[0]
    raise ValueError(f"{name}: no column is plainly the captions or the classes, among {among}; name one with captions")


def _is_string(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind)


def _is_text(kind: pa.DataType) -> bool:
    is_list = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    return _is_string(kind.value_type if is_list else kind)


# ---------------------------------------------------------------------------------------------------------------------
# Files


def read_metadata(path: Path) -> tuple[Dataset, list[str], list[str]]:
    """Read a metadata file.

    Returns:
        The rows, with every column as text (of lists the first; what is no text is None; a column without any is of
        type null); of each row where it stands, as `PATH:LINE`; and what is wrong with the lines that are left out.

    Raises:
        ValueError: in one line, if no row can be read, or the file as a whole cannot.
    """
    # note: by ourselves, because the readers of `datasets` do not tell which line is malformed, and take a caption such
    # as "None" for none and 7 for a number
    places: list[str] = []
    rows: list[dict[str, Any]] = []
    faults: list[str] = []
    try:
        newline = "" if path.suffix == ".csv" else None
        with TextIOWrapper(open_input(path, pipes=False), encoding="utf-8-sig", newline=newline) as file:
            for number, row in _csv_rows(file) if path.suffix == ".csv" else _json_rows(file):
                if isinstance(row, str):
                    faults.append(f"{path}:{number}: {row}")
                else:
                    rows.append(row)
                    places.append(f"{path}:{number}")
    except NoFile as error:
        raise ValueError(f"{path}: {error}") from None
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8 text: save it as UTF-8") from error
    except csv.Error as error:
        raise ValueError(f"{path} is not a table of comma-separated values ({error}): fix it") from error
    if not rows:
        raise ValueError(f"{path} holds no row; " + (list_some(faults) if faults else f"write {FILE_COLUMN} and text"))
    columns: dict[str, list[str | None]] = {}
    features = Features()
    for column in dict.fromkeys(key for row in rows for key in row):
        values = [row.get(column) for row in rows]
        columns[column] = [first_text(value) for value in values]
        has_text = any(columns[column]) or all(isinstance(value, str | None) or value == [] for value in values)
        features[column] = Value("string" if has_text else "null")
    return Dataset.from_dict(columns, features=features), places, faults


def _json_rows(lines: Iterator[str]) -> Iterator[tuple[int, dict[str, Any] | str]]:
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = parse_json(line)
        except ValueError as error:
            yield number, f"malformed JSON ({error}); fix the line or remove it"
        else:
            if isinstance(row, dict):
                yield number, {_whole(key): value for key, value in row.items()}
            else:
                yield number, 'not an object; write {"file_name": ..., "text": ...}'


def _csv_rows(lines: Iterator[str]) -> Iterator[tuple[int, dict[str, Any] | str]]:
    reader = csv.DictReader(lines, strict=True)
    for row in reader:
        if None in row:  # what no header stands over
            yield reader.line_num, "more fields than the header; put captions that hold commas in double quotes"
        else:
            yield reader.line_num, row


def find_metadata(root: Path) -> Path | None:
    """Return the metadata file of a folder, None if it has none.

    Raises:
        ValueError: if it has two, or a folder in it has one.
    """
    present = [root / name for name in METADATA if (root / name).is_file()]
    if len(present) > 1:
        raise ValueError(f"{root} holds both {' and '.join(METADATA)}: remove one of them")
    deeper = [] if present else [path for name in METADATA for path in sorted(root.glob(f"*/{name}"))]
    if deeper:
        raise ValueError(f"{root} has its captions in {deeper[0]}: give the folder {deeper[0].parent}")
    return present[0] if present else None


def named_path(root: Path, name: str | None) -> Path:
    """Return the file that a row of metadata names, from the folder on.

    Raises:
        ValueError: if it names none, or one outside the folder.
    """
    if name is None:
        raise ValueError(f"no {FILE_COLUMN}; name the picture's file")
    path = Path(os.path.normpath(root / name))
    if path.root == "//":  # which POSIX keeps apart from one slash, and Linux does not
        path = Path("/", *path.parts[1:])
    if not path.is_relative_to(root):
        raise ValueError(f"{name!r} lies outside {root}; copy it into the folder")
    return path


def read_caption(path: Path) -> str:
    """Read the caption of one picture: the first line of the file that is not blank.

    Raises:
        ValueError: in one line, if there is none.
    """
    try:
        with open_input(path, pipes=False) as file:
            lines = file.read().decode("utf-8-sig").splitlines()
    except FileNotFoundError as error:
        raise ValueError(f"{one_line(path)}: no such file; write the caption of its picture into it") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"{one_line(path)}: not UTF-8 text; save it as UTF-8") from error
    except NoFile as error:
        raise ValueError(f"{one_line(path)}: {error}") from None
    except OSError as error:
        raise ValueError(f"{one_line(path)}: cannot be read ({error.strerror}); fix it or remove it") from error
    caption = next(filter(None, map(one_line, lines)), "")
    if not caption:
        raise ValueError(f"{one_line(path)}: empty; write the caption of its picture into it")
    return caption


# ---------------------------------------------------------------------------------------------------------------------
# Texts


def first_text(value: Any) -> str | None:
    """Return a text, or the first of a list of them; None if there is none, or nothing but space in it."""
    if isinstance(value, list):
        value = value[0] if value else None
    if not isinstance(value, str) or not value.strip():
        return None
    return _whole(value)


def _whole(text: str) -> str:
    return text.encode(errors="replace").decode()  # JSON can spell half a character, which no file can hold


def one_line(text: object) -> str:
    """Return a text without line breaks or doubled spaces."""
    return " ".join(str(text).split())
