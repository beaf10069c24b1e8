"""The kinds of labelled source: doodles, QuickDraw strokes, class folders, data sets of the hub."""

import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TypeAlias, runtime_checkable

import datasets
import numpy as np
import pyarrow.compute as pc
from datasets import ClassLabel, Dataset, Features, Value, config
from jaxtyping import Bool, Int64
from PIL import Image

from sketchloss.data.doodles.kinds import KINDS, STYLES, THINNEST, doodle
from sketchloss.data.hub import load_hub, one_column
from sketchloss.data.options import parse_options
from sketchloss.data.quickdraw.ndjson import SUFFIX, find_ndjson, read_ndjson, to_unit_square
from sketchloss.data.quickdraw.painting import draw_strokes
from sketchloss.system.images import UnreadablePicture, fit_square, probe_picture
from sketchloss.system.passed_over import other_kinds, passed_over
from sketchloss.system.picture_files import find_pictures
from sketchloss.system.visible_ink import open_to_show

LINE_WIDTH = (0.008, 0.024)  # of the side: 1.8 to 5.4 pixels at 224
DOODLES_PER_CLASS = 100
MOST_SEEDS = 2**32
QUICKDRAW_READER = 2  # raise when the rows below change, so that older caches are not met again
CHOICES = "'doodles', a folder of class folders, a folder of QuickDraw .ndjson, or a hub name such as user/dataset"


@runtime_checkable
class Rows(Protocol):
    """Stored rows of many pictures: a `datasets.Dataset`, or several under one numbering."""

    def __len__(self) -> int: ...
    def __getitem__(self, row: int, /) -> Any: ...


#: From a row, a size in pixels and a line width in fractions of the side (None: its own) to a square picture.
Paint: TypeAlias = Callable[[dict[str, Any], int, float | None], Image.Image]


@dataclass(frozen=True)
class Labelled:
    """Contents of a source, before they are drawn or decoded: the fields of `Sketches`."""

    rows: Rows
    order: np.ndarray
    labels: np.ndarray
    classes: list[str]
    paint: Paint
    unreadable: list[str]
    relatives: Sequence[str] | None = None
    passed_over: list[str] = field(default_factory=list)


PHOTO = "photo"  # what a doodle is "drawn" with to be photo-like


def find_doodles(source: str, per_class: int | None, seed: int) -> Labelled:
    """Make doodles; see `open_sketches` for the options."""
    head, _, query = source.partition("?")
    tool = parse_options(source, query, head, {"tool": (*STYLES, PHOTO)}).get("tool")
    count = per_class or DOODLES_PER_CLASS
    if not 0 <= seed < MOST_SEEDS:
        raise ValueError(f"seed is {seed}: doodles take 0 to {MOST_SEEDS - 1:,}")
    first = seed * 1_000_000  # so that sets of different seeds share no doodle
    labels = np.repeat(np.arange(len(KINDS)), count)
    seeds = np.tile(np.arange(first, first + count), len(KINDS))
    rows = Dataset.from_dict({"kind": [KINDS[label] for label in labels], "seed": seeds})
    return Labelled(rows, np.arange(len(rows)), labels, list(KINDS), partial(_paint_doodle, tool=tool), [])


def _paint_doodle(row: dict[str, Any], size: int, width: float | None, *, tool: str | None = None) -> Image.Image:
    drawing = doodle(row["kind"], row["seed"])
    if tool == PHOTO:
        return drawing.photo(size)
    return drawing.sketch(size, style=tool, line_width=width and max(THINNEST, width * size))


def find_quickdraw(folder: Path, per_class: int | None, _: int) -> Labelled:
    """Read the strokes of QuickDraw files in a folder."""
    # note: names, sizes and times are arguments so that they enter the cache's key: a changed file is read anew
    paths, unreadable = find_ndjson(folder.resolve())
    if not paths:
        raise ValueError(f"{folder}: no readable sketch in it; {'; '.join(unreadable)}")
    files = tuple((str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in paths)
    with _quiet_unless_large(sum(size for _, size, _ in files)):
        try:
            rows = Dataset.from_generator(
                _quickdraw_rows,
                features=_QUICKDRAW_ROW,
                gen_kwargs={"files": files, "per_class": per_class, "reader": QUICKDRAW_READER},
            )
        except PermissionError as error:
            raise PermissionError(
                f"strokes are kept in {config.HF_DATASETS_CACHE}, and {error.filename} gives no permission: "
                "set HF_HOME to a folder that can be written to"
            ) from None
    faults = rows.data.column("fault")
    order = np.flatnonzero(faults.is_null().to_numpy())
    words = rows.data.column("word").drop_null().combine_chunks().dictionary_encode()
    names = words.dictionary.to_pylist()
    labels = np.argsort(np.argsort(names))[words.indices.to_numpy()]
    unreadable += faults.drop_null().to_pylist()
    unread = _beside(folder, len(find_pictures(folder)))
    return Labelled(rows, order, labels, sorted(names), _paint_quickdraw, unreadable, passed_over=unread)


def _beside(folder: Path, pictures: int) -> list[str]:
    what, them = ("1 picture", "it") if pictures == 1 else (f"{pictures:,} pictures", "them")
    return [f"{folder}: {what} beside {SUFFIX} files; put {them} into another folder"] if pictures else []


_QUICKDRAW_ROW = Features(
    # points: x, y, x, y, ... as bytes; lengths: points in each stroke as int32; fault: why this line is no drawing
    {"word": Value("string"), "points": Value("binary"), "lengths": Value("binary"), "fault": Value("string")}
)


def _quickdraw_rows(
    files: tuple[tuple[str, int, int], ...],
    per_class: int | None,
    reader: int,  # noqa: ARG001 (part of the cache's key)
) -> Iterator[dict[str, Any]]:
    for path, _, _ in files:
        faults: list[str] = []  # kept among the rows, so that they are known when the rows come from the cache
        for number, (word, strokes) in enumerate(read_ndjson(path, faults.append), start=1):
            lengths = np.array([len(stroke) for stroke in strokes], dtype=np.int32)
            points = np.concatenate(strokes).tobytes()
            yield {"word": word, "points": points, "lengths": lengths.tobytes(), "fault": None}
            if number == per_class:
                break
        yield from ({"word": None, "points": None, "lengths": None, "fault": fault} for fault in faults)


def _paint_quickdraw(row: dict[str, Any], size: int, width: float | None) -> Image.Image:
    points = np.frombuffer(row["points"], dtype=np.uint8).reshape(-1, 2)
    ends = np.frombuffer(row["lengths"], dtype=np.int32).cumsum()
    strokes = to_unit_square(np.split(points, ends[:-1]))
    return draw_strokes(strokes, size, line_width=max(THINNEST, (width or LINE_WIDTH[0]) * size))


@contextmanager
def _quiet_unless_large(size: int, large: int = 100_000_000) -> Iterator[None]:
    quiet = size < large and not datasets.are_progress_bars_disabled()
    if quiet:
        datasets.disable_progress_bars()
    try:
        yield
    finally:
        if quiet:
            datasets.enable_progress_bars()


def find_class_folders(root: Path, per_class: int | None, seed: int) -> Labelled:
    """Look at the pictures in a folder of class folders, or of parquet files."""
    # note: a walk of our own, because the builders of `datasets` take class folders named train or test for splits
    root = root.absolute()
    paths = find_pictures(root)
    inside = [path.relative_to(root) for path in paths]
    if not paths:
        if next(root.rglob("*.parquet"), None):
            return find_hub(str(root), per_class, seed)
        raise ValueError("; ".join([f"{root} holds no pictures; give {CHOICES}", *other_kinds(root)]))
    if any(len(path.parts) == 1 for path in inside):
        raise ValueError(f"{root} has pictures in it directly; put the pictures of each class in a folder of its own")
    if all(len(path.parts) > 2 for path in inside):
        raise ValueError(f"{root} has its pictures two folders down; give one of the folders in it, such as "
                         f"{root / inside[0].parts[0]}")  # fmt: skip
    classes, labels = number_classes([path.parts[0] for path in inside])
    order, unreadable = [], []
    for index in sample_by_class(labels, per_class, seed):
        try:
            probe_picture(paths[index])
            order.append(index)
        except UnreadablePicture as error:
            unreadable.append(str(error))
    order = np.array(order, dtype=np.int64)
    relatives = [relatives_of(path) for path in inside]
    unread = passed_over(root, [paths[index] for index in order])
    return Labelled(file_rows(paths), order, labels[order], classes, paint_file, unreadable, relatives, unread)


def file_rows(paths: Sequence[Path]) -> Dataset:
    """Return rows for `paint_file`."""
    # as bytes: a file's name need not be text
    return Dataset.from_dict(
        {"path": [os.fsencode(path) for path in paths]}, features=Features({"path": Value("binary")})
    )


_SKETCH_OF_PHOTO = re.compile(r"(n\d{8}_\d+)-\d+")  # Sketchy: n02691156_196-2.png is the second sketch of a photo


def relatives_of(path: Path) -> str:
    """Return a name that a picture shares with the sketches of the same photo; else its own."""
    match = _SKETCH_OF_PHOTO.fullmatch(path.stem)
    return match[1] if match else str(path)


def paint_file(row: dict[str, Any], size: int, _: float | None) -> Image.Image:
    """Read a drawing's file whole into a square, as `open_to_show` and `fit_square` do."""
    return fit_square(open_to_show(os.fsdecode(row["path"])), size)


_CLASS_FOLDERS = "a folder of class folders"
CLASS_COLUMNS = ("label", "labels", "class", "category", "word")


def find_hub(name: str, per_class: int | None, seed: int) -> Labelled:
    """Open a data set of the hub, or of parquet files, with a column of classes."""
    rows = load_hub(name, otherwise=_CLASS_FOLDERS)
    cells, pictured = picture_cells(name, rows)
    is_class = lambda kind: isinstance(kind, ClassLabel)  # noqa: E731
    is_text = lambda kind: isinstance(kind, Value) and kind.dtype in ("string", "large_string")  # noqa: E731
    column = one_column(
        name, rows, "class", CLASS_COLUMNS, is_class if any(map(is_class, rows.features.values())) else is_text,
        otherwise=_CLASS_FOLDERS,
    )  # fmt: skip
    classes, labels = read_classes(rows, column)
    unreadable = [
        f"{name}: {count} row{'s' * (count > 1)} without a {what}"
        for what, count in (("class", int((labels < 0).sum())), ("picture", int((~pictured).sum())))
        if count
    ]
    order = sample_by_class(np.where(pictured, labels, -1), per_class, seed)
    return Labelled(cells, order, labels[order], classes, paint_cell, unreadable)


def picture_cells(name: str, rows: Dataset) -> tuple[Dataset, Bool[np.ndarray, " n"]]:
    """Return the pictures of a data set as rows for `paint_cell`, and which rows hold one."""
    is_picture = lambda kind: isinstance(kind, datasets.Image)  # noqa: E731
    column = one_column(name, rows, "picture", ("image", "sketch"), is_picture, otherwise=_CLASS_FOLDERS)
    cells = rows.select_columns([column]).rename_columns({column: "image"})
    cells = cells.cast_column("image", datasets.Image(decode=False))
    in_bytes, in_file = (
        # a look at the lengths reads neither; pyright knows none of the functions that `pc` makes at import
        pc.binary_length(pc.struct_field(cells.data.column("image"), field)).fill_null(0).to_numpy()  # pyright: ignore
        for field in ("bytes", "path")
    )
    cells = cells.add_column("name", [f"{name} row {row}" for row in range(len(cells))])
    return cells, (in_bytes > 0) | (in_file > 0)


def read_classes(rows: Dataset, column: str) -> tuple[list[str], Int64[np.ndarray, " n"]]:
    """Return the classes in a column of class labels or words, and of each row the number of its class, -1 if none."""
    values = rows.select_columns([column])[:][column]
    kind = rows.features[column]
    if isinstance(kind, ClassLabel):
        return list(kind.names), np.array([-1 if value is None else value for value in values], dtype=np.int64)
    return number_classes(values)


def paint_cell(row: dict[str, Any], size: int, _: float | None) -> Image.Image:
    """Read a drawing of a data set whole into a square, as `open_to_show` and `fit_square` do."""
    cell = row["image"]
    source = cell["path"] if cell["bytes"] is None else cell["bytes"]
    return fit_square(open_to_show(source, name=row["name"]), size)


def number_classes(names: Sequence[str | None]) -> tuple[list[str], Int64[np.ndarray, " n"]]:
    """Return class names in order, and of each item the number of its class, -1 for None."""
    classes = sorted({name for name in names if name is not None})
    number = {name: index for index, name in enumerate(classes)}
    return classes, np.array([-1 if name is None else number[name] for name in names], dtype=np.int64)


def sample_by_class(labels: Int64[np.ndarray, " n"], per_class: int | None, seed: int) -> Int64[np.ndarray, " m"]:
    """Return indices of at most `per_class` items of each class, in order; items labelled -1 left out."""
    if per_class is None:
        return np.flatnonzero(labels >= 0)
    shuffled = np.random.default_rng(seed).permutation(len(labels))
    chosen = [shuffled[labels[shuffled] == label][:per_class] for label in range(labels.max(initial=-1) + 1)]
    return np.sort(np.concatenate([np.empty(0, np.int64), *chosen]))


def without_empty_classes(found: Any) -> Any:
    """Leave out the classes that no item is of, and number the others anew."""
    used, labels = np.unique(found.labels, return_inverse=True)
    return replace(found, classes=[found.classes[label] for label in used], labels=labels.astype(np.int64))
