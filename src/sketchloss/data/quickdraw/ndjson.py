"""QuickDraw strokes: the `.ndjson` files of Google's Quick, Draw! set, simplified or raw, one class a file.

Format: https://github.com/googlecreativelab/quickdraw-dataset
"""

import unicodedata
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8

from sketchloss.system.files import NoFile, open_input, parse_json

MARGIN = 0.06  # of the side, left free on each side of a drawing

SUFFIX = ".ndjson"
Strokes = list[UInt8[np.ndarray, "_ 2"]]  # one array of (x, y) points a stroke, in 0 to 255, y down


def is_quickdraw(folder: Path) -> bool:
    """Tell whether there are QuickDraw files in a folder; a class folder may have a name like theirs."""
    return any(_is_named_so(path) and not path.is_dir() for path in folder.iterdir())


def _is_named_so(path: Path) -> bool:
    return path.suffix.lower() == SUFFIX and not path.name.startswith(".")


def find_ndjson(folder: Path) -> tuple[list[Path], list[str]]:
    """List the QuickDraw files of a folder, not of its subfolders; hidden ones are passed over.

    Returns:
        The files, in order; and of each that cannot be read a line: which, why, and what to do.
    """
    files, faults = [], []
    for path in sorted(folder.iterdir()):
        if not _is_named_so(path):
            continue
        try:
            open_input(path, pipes=False).close()
            files.append(path)
        except IsADirectoryError:
            faults.append(_plain(f"{path}: a folder, not a file; move it elsewhere"))
        except NoFile as error:
            faults.append(_plain(f"{path}: {error}"))
        except OSError as error:
            faults.append(_plain(f"{path}: {(error.strerror or str(error)).lower()}; check the file"))
    return files, faults


def read_ndjson(path: str | Path, on_fault: Callable[[str], None] | None = None) -> Iterator[tuple[str, Strokes]]:
    """Read the drawings of one file in order.

    Args:
        path: a QuickDraw file, one JSON object a line with `word` and `drawing`; a stroke is `[xs, ys]` with integers
            in 0 to 255 (simplified) or `[xs, ys, times]` with any numbers (raw: moved and scaled to 0 to 255, times
            dropped).
        on_fault: called with one line of text, `file:line: reason`, for every line that is not a drawing, which is
            then passed over, and for a file without any.

    Yields:
        The word and its strokes.

    Raises:
        ValueError: at the first line that is not a drawing, if `on_fault` is None. A second word in one file is such a
            line too: one file is one class.
    """
    path = Path(path)
    first_word, is_blank = None, True
    try:
        opened = open_input(path)
    except NoFile as error:
        raise ValueError(f"{path}: {error}") from None
    with opened as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            is_blank = False
            try:
                word, strokes = _parse(line)
                first_word = first_word or word
                if word != first_word:
                    raise ValueError(f"{word!r} in a file of {first_word!r}; put each word in a file of its own")
            except ValueError as error:
                fault = _plain(f"{path}:{number}: {' '.join(str(error).split())}")
                if on_fault is None:
                    raise ValueError(fault) from error
                on_fault(fault)
            else:
                yield word, strokes
    if is_blank and on_fault is not None:
        on_fault(_plain(f"{path}: no drawing in it; fetch it again or remove it"))


def to_unit_square(drawing: Sequence[UInt8[np.ndarray, "_ 2"]]) -> list[Float[np.ndarray, "_ 2"]]:
    """Centre a drawing in the unit square, aspect kept, 6 % of the side free around it.

    Args:
        drawing: at least one stroke of (x, y) points.

    Returns:
        The strokes as float32, x to the right and y down, as `draw_strokes` takes them.
    """
    points = np.concatenate(drawing).astype(np.float32)
    low, high = points.min(axis=0), points.max(axis=0)
    extent = max(float((high - low).max()), 1e-6)  # a single dot has none
    scale = (1 - 2 * MARGIN) / extent
    return [(stroke.astype(np.float32) - (low + high) / 2) * np.float32(scale) + np.float32(0.5) for stroke in drawing]


def _parse(line: bytes) -> tuple[str, Strokes]:
    try:
        row = parse_json(line)
    except ValueError as error:
        raise ValueError(f"not JSON ({error}); the line may be cut off") from error
    if not isinstance(row, dict) or not isinstance(row.get("word"), str) or not row["word"]:
        raise ValueError("no 'word'; expected a QuickDraw drawing, a JSON object with 'word' and 'drawing'")
    if any(unicodedata.category(letter) in ("Cc", "Cs") for letter in row["word"]):  # JSON can spell half a character
        raise ValueError(f"the word {row['word']!r} is no text in one line; name the class in plain letters")
    drawing = row.get("drawing")
    if not isinstance(drawing, list) or not drawing:
        raise ValueError("the drawing is empty" if drawing == [] else "no list of strokes under 'drawing'")
    if not all(_is_stroke(stroke) for stroke in drawing):
        raise ValueError("a stroke is not [xs, ys] or [xs, ys, times] with as many xs as ys, and at least one")
    return row["word"], _rescale(drawing) if len(drawing[0]) == 3 else [_pair(stroke) for stroke in drawing]


def _is_stroke(stroke: Any) -> bool:
    return (
        isinstance(stroke, list)
        and len(stroke) in (2, 3)
        and all(isinstance(axis, list) for axis in stroke)
        and 0 < len(stroke[0]) == len(stroke[1])
    )


def _pair(stroke: list[list[Any]]) -> UInt8[np.ndarray, "_ 2"]:
    try:
        # note: bytes() checks each number as fast as C can: millions of drawings pass here
        xs, ys = bytes(stroke[0]), bytes(stroke[1])
    except (TypeError, ValueError) as error:
        raise ValueError("a coordinate is not an integer from 0 to 255") from error
    return np.stack([np.frombuffer(xs, np.uint8), np.frombuffer(ys, np.uint8)], axis=1)


def _rescale(drawing: list[list[list[Any]]]) -> Strokes:
    try:
        strokes = [np.array(stroke[:2], dtype=np.float64).T for stroke in drawing]
    except (TypeError, ValueError) as error:
        raise ValueError("a coordinate is not a number") from error
    points = np.concatenate(strokes)
    if not np.isfinite(points).all():
        raise ValueError("a coordinate is not finite")
    low, extent = points.min(axis=0), np.ptp(points, axis=0).max()
    scale = 255 / extent if extent > 0 else 0.0
    return [((stroke - low) * scale).round().astype(np.uint8) for stroke in strokes]


def _plain(text: str) -> str:
    """Return a text in one line; what of a file's name is no text is spelt out."""
    return " ".join(text.split()).encode("utf-8", "backslashreplace").decode()
