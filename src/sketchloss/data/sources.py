"""One door for all data: built-in doodles, QuickDraw strokes, folders of pictures, datasets of the hub.

Rows live in a `datasets.Dataset` (memory-mapped from disk where they are many); pictures are drawn or decoded when
asked for.
"""

import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypedDict, TypeVar

import datasets
import numpy as np
import pyarrow.compute as pc
import torch
from datasets import ClassLabel, Dataset, Features, Value
from jaxtyping import Bool, Int64, UInt8
from PIL import Image
from torch import Tensor

from sketchloss.data.doodles import KINDS, STYLES, THINNEST, doodle
from sketchloss.data.hub import HUB_NAME, load_hub, one_column
from sketchloss.data.options import parse_options
from sketchloss.data.quickdraw import read_ndjson, to_unit_square
from sketchloss.data.splits import duplicate_groups, merge_groups, split_by_class
from sketchloss.data.strokes import draw_strokes
from sketchloss.images import UnreadablePicture, find_pictures, fit_square, probe_picture, read_picture

LINE_WIDTH = (0.008, 0.024)  # of the side: 1.8 to 5.4 pixels at 224
DOODLES_PER_CLASS = 100
LARGEST_SIDE = 8192  # more is a slip of the hand, and takes all memory
QUICKDRAW_READER = 1  # raise when the rows below change, so that older caches are not met again


class Item(TypedDict):
    """One sketch: `image` uint8 3×size×size, `label` an index into the classes, `index` its place in the set."""

    image: UInt8[Tensor, "3 size size"]
    label: int
    index: int


@dataclass(frozen=True, eq=False)
class Sketches:
    """Labelled sketches, a map-style dataset for `torch.utils.data.DataLoader` (picklable, safe to fork).

    `sketches[i]` is an `Item`; `sketches.picture(i)` the same as a picture. The same set and index give the same pixels
    in every process. Made by `open_sketches`.
    """

    name: str
    """What it was opened from."""
    classes: list[str]
    labels: Int64[np.ndarray, " n"]
    """Of each sketch, an index into `classes`; known without decoding."""
    image_size: int
    """Side of the square pictures in pixels."""
    unreadable: list[str]
    """Files or lines left out at opening, each with its reason."""
    rows: Dataset
    order: Int64[np.ndarray, " n"]
    """Which row of `rows` each sketch is: a selection shares its rows with the whole."""
    paint: Callable[[dict[str, Any], int, float | None], Image.Image]
    """From a row, a size in pixels and a line width in fractions of the side (None: its own) to a square picture."""
    line_width: tuple[float, float] | None = None
    seed: int = 0
    relatives: Sequence[str] | None = None
    """Of each row, what `groups` says; None if no two are related."""

    def __len__(self) -> int:
        return len(self.order)

    def __getitem__(self, index: int) -> Item:
        pixels = np.array(self.picture(index).convert("RGB"))
        image = torch.from_numpy(pixels).permute(2, 0, 1).contiguous()
        return {"image": image, "label": int(self.labels[index]), "index": int(index)}

    def picture(self, index: int) -> Image.Image:
        """Draw or decode one sketch: a square picture of mode `L` or `RGB`.

        Raises:
            UnreadablePicture: if its file turns out to be damaged.
            IndexError: beyond the end.
        """
        row = int(self.order[index])
        width = self.line_width and np.random.default_rng((self.seed, row)).uniform(*self.line_width)
        return self.paint(self.rows[row], self.image_size, width)

    @property
    def groups(self) -> list[str]:
        """Of each sketch, a name that it shares with its relatives only: sketches of one photo (Sketchy)."""
        return [str(row) if self.relatives is None else self.relatives[int(row)] for row in self.order]

    def select(self, indices: Sequence[int] | Int64[np.ndarray, " m"]) -> "Sketches":
        """Keep these sketches, in this order; classes and labels stay as they are."""
        indices = np.asarray(indices, dtype=np.int64).reshape(-1)
        return replace(self, labels=self.labels[indices], order=self.order[indices])

    def split(self, held_out: float = 0.1, *, seed: int, duplicates: bool = False) -> "tuple[Sketches, Sketches]":
        """Part the set in two: the sketches to train on and those held out, as `split_indices` does."""
        train, held = self.split_indices(held_out, seed=seed, duplicates=duplicates)
        return self.select(train), self.select(held)

    def split_indices(
        self, held_out: float = 0.1, *, seed: int, duplicates: bool = False
    ) -> tuple[Int64[np.ndarray, " train"], Int64[np.ndarray, " held"]]:
        """Part the set in two, as `split_by_class` does, `groups` kept together.

        Args:
            held_out: share of each class.
            seed: decides which.
            duplicates: also keep copies together that are flipped, turned, resized or re-encoded; every sketch is then
                looked at once.

        Returns:
            Indices of the sketches to train on and of those held out, each sorted.
        """
        groups = self.groups if self.relatives else None
        if duplicates:
            copies = duplicate_groups(self.picture(index) for index in range(len(self)))
            groups = copies if groups is None else merge_groups(groups, copies)
        return split_by_class(self.labels, held_out=held_out, seed=seed, groups=groups)

    def with_size(self, image_size: int) -> "Sketches":
        """The same sketches at another size; strokes are drawn anew, not resampled."""
        return replace(self, image_size=checked_size(image_size))


def open_sketches(
    source: str | Path,
    image_size: int,
    *,
    per_class: int | None = None,
    line_width: tuple[float, float] | None = None,
    strict: bool = False,
    seed: int = 0,
    allow_one_class: bool = False,
) -> Sketches:
    """Open labelled sketches from any source.

    Args:
        source: `doodles` (built in; `doodles?tool=ink` in one tool: `pencil`, `ink`, `brush`, or `photo` for their
            photo-like twins); a folder with one folder of pictures a class; a folder of QuickDraw `.ndjson`
            files; or a dataset of the hub such as `songweig/imagenet_sketch` (its `train` split, else its first).
        image_size: side of the square pictures in pixels.
        per_class: at most so many of each class: of pictures a sample drawn with `seed`, of QuickDraw the first of each
            file (the rest is not read), of doodles how many to make (100 if None).
        line_width: range in fractions of the side, for drawings kept as strokes. Each has its own, drawn uniformly with
            `seed`, so that training meets several. Never thinner than 0.8 pixels, which would fade. None: 0.008 to
            0.024 for QuickDraw (1.8 to 5.4 pixels at 224), and of doodles each one's own.
        strict: refuse damaged files and lines rather than leave them out.
        seed: of the sample, of the line widths, and of the doodles (another seed, other doodles).
        allow_one_class: take a source of a single class too, which most uses cannot do with.

    Returns:
        The sketches, opened but not decoded. Damaged files that a look at header and end can tell, and malformed lines,
        are left out and named in `.unreadable`; others raise `UnreadablePicture` when they are read.

    Raises:
        ValueError: in one line, for a source that is missing, empty, of one class only or laid out otherwise, for
            sizes and widths out of range, and with `strict` for damaged files.
    """
    checked_size(image_size)
    if per_class is not None and per_class < 1:
        raise ValueError(f"per_class must be at least 1, got {per_class}")
    if seed < 0:
        raise ValueError(f"seed must be 0 or more, got {seed}")
    if line_width is not None and not 0 < line_width[0] <= line_width[1] <= 1:
        raise ValueError(f"line_width must be (least, most) in fractions of the side, in (0, 1], got {line_width}")

    kind, place = recognise(source)
    found = without_empty_classes(_OPENERS[kind](place, per_class, seed))
    if found.unreadable and strict:
        raise ValueError(f"{source}: {list_some(found.unreadable)}; mend or remove them, or leave strict off")
    if not found.classes:
        raise ValueError(f"{source}: no readable sketch in it; {list_some(found.unreadable)}")
    if len(found.classes) < 2 and not allow_one_class:
        raise ValueError(f"{source}: only one class, {found.classes[0]!r}; at least two are needed")
    return Sketches(
        name=str(source),
        classes=found.classes,
        labels=found.labels,
        image_size=image_size,
        unreadable=found.unreadable,
        rows=found.rows,
        order=found.order,
        paint=found.paint,
        line_width=LINE_WIDTH if line_width is None and kind == "quickdraw" else line_width,
        seed=seed,
        relatives=found.relatives,
    )


# ---------------------------------------------------------------------------------------------------------------------
# The kinds of source

_CHOICES = "'doodles', a folder of class folders, a folder of QuickDraw .ndjson, or a hub name such as user/dataset"


@dataclass(frozen=True)
class _Found:
    rows: Dataset
    order: np.ndarray
    labels: np.ndarray
    classes: list[str]
    paint: Callable[[dict[str, Any], int, float | None], Image.Image]
    unreadable: list[str]
    relatives: Sequence[str] | None = None


Kind = Literal["doodles", "quickdraw", "folder", "hub"]


def recognise(source: str | Path) -> tuple[Kind, Any]:
    """Return which kind of source `open_sketches` takes this for, and its folder, if it has one, else its name.

    Raises:
        ValueError: if it is none.
    """
    if re.match(r"doodles($|\?)", str(source)):
        return "doodles", source
    if not str(source).strip():
        raise ValueError(f"no data source given; give {_CHOICES}")
    try:
        folder = Path(source).expanduser()
    except RuntimeError as error:
        raise ValueError(f"{source}: that user has no home folder; write the path in full") from error
    if folder.is_dir():
        return ("quickdraw" if any(folder.glob("*.ndjson")) else "folder"), folder
    if folder.exists():
        raise ValueError(f"{source} is a file; give the folder that it is in")
    if isinstance(source, str) and HUB_NAME.fullmatch(source):
        return "hub", source
    raise ValueError(f"{source} does not exist; give {_CHOICES}")


PHOTO = "photo"  # what a doodle is "drawn" with to be photo-like


def _doodles(source: str, per_class: int | None, seed: int) -> _Found:
    head, _, query = source.partition("?")
    tool = parse_options(source, query, head, {"tool": (*STYLES, PHOTO)}).get("tool")
    count = per_class or DOODLES_PER_CLASS
    first = seed * 1_000_000  # so that sets of different seeds share no doodle
    labels = np.repeat(np.arange(len(KINDS)), count)
    seeds = np.tile(np.arange(first, first + count), len(KINDS))
    rows = Dataset.from_dict({"kind": [KINDS[label] for label in labels], "seed": seeds})
    return _Found(rows, np.arange(len(rows)), labels, list(KINDS), partial(_paint_doodle, tool=tool), [])


def _paint_doodle(row: dict[str, Any], size: int, width: float | None, *, tool: str | None = None) -> Image.Image:
    drawing = doodle(row["kind"], row["seed"])
    if tool == PHOTO:
        return drawing.photo(size)
    return drawing.sketch(size, style=tool, line_width=width and max(THINNEST, width * size))


def _quickdraw(folder: Path, per_class: int | None, _: int) -> _Found:
    # note: names, sizes and times are arguments so that they enter the cache's key: a changed file is read anew
    files = tuple(
        (str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in sorted(folder.resolve().glob("*.ndjson"))
    )
    with _quiet_unless_large(sum(size for _, size, _ in files)):
        rows = Dataset.from_generator(
            _quickdraw_rows,
            features=_QUICKDRAW_ROW,
            gen_kwargs={"files": files, "per_class": per_class, "reader": QUICKDRAW_READER},
        )
    faults = rows.data.column("fault")
    order = np.flatnonzero(faults.is_null().to_numpy())
    words = rows.data.column("word").drop_null().combine_chunks().dictionary_encode()
    names = words.dictionary.to_pylist()
    labels = np.argsort(np.argsort(names))[words.indices.to_numpy()]
    return _Found(rows, order, labels, sorted(names), _paint_quickdraw, faults.drop_null().to_pylist())


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


def _class_folders(root: Path, per_class: int | None, seed: int) -> _Found:
    # note: a walk of our own, because the builders of `datasets` take class folders named train or test for splits
    root = root.absolute()
    paths = find_pictures(root)
    inside = [path.relative_to(root) for path in paths]
    if not paths:
        if next(root.rglob("*.parquet"), None):
            return _hub(str(root), per_class, seed)
        raise ValueError(f"{root} holds no pictures; give {_CHOICES}")
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
    return _Found(file_rows(paths), order, labels[order], classes, paint_file, unreadable, relatives)


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
    """Read a picture file whole into a square, as `fit_square` does."""
    return fit_square(read_picture(os.fsdecode(row["path"])), size)


_CLASS_FOLDERS = "a folder of class folders"
CLASS_COLUMNS = ("label", "labels", "class", "category", "word")


def _hub(name: str, per_class: int | None, seed: int) -> _Found:
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
    return _Found(cells, order, labels[order], classes, paint_cell, unreadable)


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
    """Read a picture of a data set whole into a square, as `fit_square` does."""
    cell = row["image"]
    source = cell["path"] if cell["bytes"] is None else cell["bytes"]
    return fit_square(read_picture(source, name=row["name"]), size)


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


_Labelled = TypeVar("_Labelled", _Found, Sketches)


def without_empty_classes(found: _Labelled) -> _Labelled:
    """Leave out the classes that no item is of, and number the others anew."""
    used, labels = np.unique(found.labels, return_inverse=True)
    return replace(found, classes=[found.classes[label] for label in used], labels=labels.astype(np.int64))


_OPENERS: dict[Kind, Callable[[Any, int | None, int], _Found]] = {
    "doodles": _doodles, "quickdraw": _quickdraw, "folder": _class_folders, "hub": _hub
}  # fmt: skip


def list_some(faults: Sequence[str], most: int = 5, *, done: str = "read") -> str:
    """Return how many files cannot be read (or used, say), and the first of them, as part of an error."""
    more = f"; and {len(faults) - most} more" if len(faults) > most else ""
    return f"{len(faults)} cannot be {done}: {'; '.join(faults[:most])}{more}"


def checked_size(image_size: int) -> int:
    """Return the side of images in pixels; ValueError if it is out of range."""
    if not 1 <= image_size <= LARGEST_SIDE:
        raise ValueError(f"image_size must be 1 to {LARGEST_SIDE} pixels, got {image_size}")
    return image_size
