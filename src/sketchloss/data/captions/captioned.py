"""Pictures with prompts, to train a text-to-image model on: from class names, caption columns or files of captions.

captioned = open_captioned("~/data/sketchy", 256, template="a sketch of a {}")
captioned[0]["image"], captioned.captions[0], captioned.class_prompts
"""

import os
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset
from jaxtyping import Int64
from PIL import Image

from sketchloss.data.captions.prompts import TEMPLATE, check_template, make_prompts
from sketchloss.data.captions.written import (
    FILE_COLUMN,
    choose_columns,
    find_metadata,
    first_text,
    named_path,
    one_line,
    read_caption,
    read_metadata,
)
from sketchloss.data.hub import load_hub
from sketchloss.data.labelled import (
    file_rows,
    paint_cell,
    paint_file,
    picture_cells,
    read_classes,
    relatives_of,
    sample_by_class,
    without_empty_classes,
)
from sketchloss.data.pictures import PictureItem
from sketchloss.data.sources import (
    Sketches,
    checked_size,
    list_some,
    open_sketches,
    recognise,
    refuse_left_out,
    split_sources,
)
from sketchloss.system.images import probe_picture
from sketchloss.system.passed_over import passed_over
from sketchloss.system.picture_files import find_pictures

_WAYS = (
    "put the pictures of each class in a folder of its own, or write each caption into a .txt of the same name beside "
    "its picture, or into a metadata.jsonl of lines with file_name and text"
)


@dataclass(frozen=True, eq=False)
class Captioned:
    """Pictures with a caption each, a map-style dataset for `load_batches` (picklable, safe to fork).

    `captioned[i]` is `{"image": uint8 3×size×size, "index": i}`, and `captioned.captions[i]` what it shows. Made by
    `open_captioned`.
    """

    sketches: Sketches
    """The pictures, as labelled sketches. Without classes, `classes` is empty and `labels` are all 0."""
    captions: list[str]
    """Caption of each picture, in one line."""
    template: str
    """Caption of a picture that has only a class; {} stands for the class's name."""

    def __len__(self) -> int:
        return len(self.sketches)

    def __getitem__(self, index: int) -> PictureItem:
        return {"image": self.sketches[index]["image"], "index": int(index)}

    def picture(self, index: int) -> Image.Image:
        """Draw or decode one picture: `RGB`, `image_size`×`image_size`.

        Raises:
            UnreadablePicture: if its file turns out to be damaged.
            IndexError: beyond the end.
        """
        return self.sketches.picture(index).convert("RGB")

    @property
    def name(self) -> str:
        """Source that the pictures were opened from."""
        return self.sketches.name

    @property
    def image_size(self) -> int:
        """Side of the square pictures in pixels."""
        return self.sketches.image_size

    @property
    def unreadable(self) -> list[str]:
        """Pictures left out at opening, each with its reason."""
        return self.sketches.unreadable

    @property
    def passed_over(self) -> list[str]:
        """Lines about pictures that are not read: files of kinds that cannot be read, and later pages of files."""
        return self.sketches.passed_over

    @property
    def classes(self) -> list[str]:
        """Names of the classes as the source has them; empty if it has none."""
        return self.sketches.classes

    @property
    def labels(self) -> Int64[np.ndarray, " n"] | None:
        """Class of each picture, as an index into `classes`; None if there are none."""
        return self.sketches.labels if self.classes else None

    @property
    def class_prompts(self) -> list[str]:
        """The template with the readable name of each class, also where pictures have captions of their own."""
        return make_prompts(self.classes, self.template)

    def select(self, indices: Sequence[int] | Int64[np.ndarray, " m"]) -> "Captioned":
        """Keep these pictures, in this order; the classes stay as they are."""
        indices = np.asarray(indices, dtype=np.int64).reshape(-1)
        captions = [self.captions[index] for index in indices]
        return replace(self, sketches=self.sketches.select(indices), captions=captions)

    def select_classes(self, names: Collection[str]) -> "Captioned":
        """Keep the pictures of some classes; labels are numbered anew.

        Args:
            names: compared without regard to case, hyphens and underscores.

        Raises:
            ValueError: for a name that is no class, or pictures without classes.
        """
        if not self.classes:
            raise ValueError(f"{self.name} has no classes: leave classes out")
        kept = self.sketches.select_classes(names)
        wanted = {place for place, name in enumerate(self.classes) if name in set(kept.classes)}
        captions = [text for text, label in zip(self.captions, self.sketches.labels, strict=True) if label in wanted]
        return replace(self, sketches=kept, captions=captions)

    def split(self, held_out: float = 0.1, *, seed: int) -> "tuple[Captioned, Captioned]":
        """Part the set in two: the pictures to train on and those held out.

        By class, if there are classes; sketches of one photo, and a picture that has several captions, go to one side.
        A single picture is trained on.

        Args:
            held_out: share, in (0, 1).
            seed: decides which.
        """
        train, held = self.sketches.split_indices(held_out, seed=seed)
        return self.select(train), self.select(held)

    def with_size(self, image_size: int) -> "Captioned":
        """The same pictures at another size."""
        return replace(self, sketches=self.sketches.with_size(image_size))


def open_captioned(
    source: str | Path,
    image_size: int,
    *,
    template: str = TEMPLATE,
    captions: str | None = None,
    per_class: int | None = None,
    limit: int | None = None,
    strict: bool = False,
    seed: int = 0,
) -> Captioned:
    """Open pictures with a caption each, from any source.

    Args:
        source: one of

            - what `open_sketches` takes (`doodles`, class folders, QuickDraw, a data set of the hub, several of these),
              here of a single class too: the caption is the template with the class's readable name. In class folders
              that are not one of several a `.txt` of the same name beside a picture takes its place;
            - a data set of the hub, or a folder of its parquet files, with a column of captions: it is taken if
              `captions` names it, or if it is called `text`, `caption`, `captions`, `prompt` or `sentence` and there is
              no column of classes. Of a list of captions the first is taken;
            - a folder of pictures with a `metadata.jsonl` or `metadata.csv`, which has the columns `file_name` (from
              the folder on) and, as above, the captions or the classes (Hugging Face's `imagefolder`);
            - a folder with pictures in it directly, each with its caption in a `.txt` of the same name beside it, of
              which the first line counts (kohya's convention).
        image_size: side of the square pictures in pixels; they are fitted into it whole, as `fit_square` does.
        template: a text with one `{}` where the class's name goes.
        captions: which column holds the captions.
        per_class: at most this many of each class, as for `open_sketches`; of no effect where there are no classes.
        limit: at most this many in all, a sample drawn with `seed`; the source is opened whole before.
        strict: refuse what is damaged or lacks a caption rather than leave it out.
        seed: random seed of the samples, and of drawings as for `open_sketches`.

    Returns:
        The pictures, opened but not decoded. Left out and named in `.unreadable`: damaged files and lines, pictures
        without a caption or with an empty one, rows of metadata that name no file in the folder, and class folders
        without pictures.

    Raises:
        ValueError: in one line, for a source that is missing, without pictures or without captions, for a column that
            is missing or not text, a template without `{}`, numbers out of range, and with `strict` for anything that
            would be left out.
    """
    checked_size(image_size)
    check_template(template)
    for option, value, least in (("per_class", per_class, 1), ("limit", limit, 1), ("seed", seed, 0)):
        if value is not None and value < least:
            raise ValueError(f"{option} must be {least} or more, got {value}")
    found = _find_rows(source, captions, template)
    if found is None:
        captioned = _from_classes(source, image_size, template, captions, per_class, seed)
    else:
        captioned = _from_rows(str(source), image_size, template, found, per_class if found.classes else None, seed)
    if strict:
        refuse_left_out(source, captioned.unreadable, captioned.passed_over, done="used")
    if not len(captioned):
        faults = list_some(captioned.unreadable, done="used")
        raise ValueError(f"{source}: no picture with a caption in it; {faults}; give each picture a caption")
    if limit is not None and limit < len(captioned):
        captioned = captioned.select(np.sort(np.random.default_rng(seed).permutation(len(captioned))[:limit]))
    if captioned.classes:
        captioned = replace(captioned, sketches=without_empty_classes(captioned.sketches))
    return captioned


# ---------------------------------------------------------------------------------------------------------------------
# Captions from class names


def _from_classes(
    source: str | Path, image_size: int, template: str, captions: str | None, per_class: int | None, seed: int
) -> Captioned:
    if captions is not None:
        raise ValueError(f"captions is {captions!r}, but {source} has no columns: leave captions out")
    sketches = open_sketches(source, image_size, per_class=per_class, seed=seed, allow_one_class=True)
    prompts = make_prompts(sketches.classes, template)
    texts = [prompts[label] for label in sketches.labels]
    if len(split_sources(source)) > 1:
        return Captioned(sketches, texts, template)
    kind, place = recognise(source)
    if kind != "folder":
        return Captioned(sketches, texts, template)
    faults: dict[int, str] = {}
    assert isinstance(sketches.rows, Dataset)
    paths = sketches.rows[:]["path"]
    for index, row in enumerate(sketches.order):
        beside = Path(os.fsdecode(paths[row])).with_suffix(".txt")
        if beside.is_file():
            try:
                texts[index] = read_caption(beside)
            except ValueError as error:
                faults[index] = str(error)
    unreadable = [*sketches.unreadable, *_empty_folders(place), *faults.values()]
    captioned = Captioned(replace(sketches, unreadable=unreadable), texts, template)
    return captioned.select([index for index in range(len(texts)) if index not in faults])


def _empty_folders(root: Path) -> Iterator[str]:
    for folder in sorted(root.iterdir()):
        hidden = folder.name.startswith((".", "__MACOSX"))  # as `find_pictures` passes over
        if not folder.is_dir() or hidden:
            continue
        try:
            is_empty = not find_pictures(folder)
        except ValueError:  # it may not be listed, which `passed_over` says
            continue
        if is_empty:
            yield one_line(f"{folder}: a class folder without pictures; put some in it or remove it")


# ---------------------------------------------------------------------------------------------------------------------
# Captions that are written


@dataclass(frozen=True)
class _Rows:
    rows: Dataset
    paint: Callable[[dict[str, Any], int, float | None], Image.Image]
    captions: list[str]  # of each row
    classes: list[str]
    labels: np.ndarray  # of each row; all 0 where there are no classes
    faults: dict[int, str]  # of the rows that cannot be used, why
    beyond: list[str] = field(default_factory=list)  # what is not even a row, and why
    relatives: Sequence[str] | None = None
    passed_over: list[str] = field(default_factory=list)


def _from_rows(
    source: str, image_size: int, template: str, found: _Rows, per_class: int | None, seed: int
) -> Captioned:
    usable = found.labels.copy()
    usable[np.array(list(found.faults), dtype=np.int64)] = -1
    order = sample_by_class(usable, per_class, seed)
    sketches = Sketches(
        name=source,
        classes=found.classes,
        labels=found.labels[order],
        image_size=image_size,
        unreadable=[*found.beyond, *found.faults.values()],
        rows=found.rows,
        order=order,
        paint=found.paint,
        seed=seed,
        relatives=found.relatives,
        passed_over=found.passed_over,
    )
    return Captioned(sketches, [found.captions[row] for row in order], template)


def _find_rows(source: str | Path, captions: str | None, template: str) -> _Rows | None:
    """Return what a source with written captions or with columns holds; None: only its classes say what it shows."""
    if len(split_sources(source)) > 1:
        return None
    kind, place = recognise(source)
    if kind == "hub":
        return _data_set(str(source), captions, template)
    if kind != "folder":
        return None
    root = place.resolve()
    paths = find_pictures(root)
    if not paths and next(root.rglob("*.parquet"), None):
        return _data_set(str(place), captions, template)
    metadata = find_metadata(root)
    if metadata:
        found = _metadata(root, metadata, paths, captions, template)
    elif any(path.parent == root for path in paths):
        found = _text_files(root, paths, captions)
    else:
        return None
    return replace(found, passed_over=passed_over(root, paths))


def _data_set(name: str, captions: str | None, template: str) -> _Rows:
    rows = load_hub(name, otherwise="a folder of class folders")
    cells, pictured = picture_cells(name, rows)
    column, class_column = choose_columns(name, rows, captions, only_text_is_class=True)
    texts, classes, labels = _read_columns(rows, column, class_column, template)
    faults: dict[int, str] = {}
    for row in range(len(rows)):
        missing = "picture" if not pictured[row] else "class" if labels[row] < 0 else "caption"
        if missing != "caption" or not texts[row]:
            faults[row] = f"{name} row {row}: no {missing}; add one or remove the row"
    return _Rows(cells, paint_cell, texts, classes, labels, faults)


def _text_files(root: Path, paths: list[Path], captions: str | None) -> _Rows:
    if not any(path.with_suffix(".txt").is_file() for path in paths):
        raise ValueError(f"{root} holds pictures without captions: {_WAYS}")
    if captions is not None:
        raise ValueError(f"captions is {captions!r}, but {root} has its captions in .txt files: leave captions out")
    faults: dict[int, str] = {}
    texts: list[str] = []
    for index, path in enumerate(paths):
        try:
            probe_picture(path)
            texts.append(read_caption(path.with_suffix(".txt")))
        except ValueError as error:  # as an unreadable picture is, too
            texts.append("")
            faults[index] = str(error)
    relatives = [relatives_of(path.relative_to(root)) for path in paths]
    return _Rows(file_rows(paths), paint_file, texts, [], np.zeros(len(paths), np.int64), faults, relatives=relatives)


def _read_columns(
    rows: Dataset, column: str | None, class_column: str | None, template: str
) -> tuple[list[str], list[str], np.ndarray]:
    """Return the caption of each row, "" if it has none, the classes, and of each row its class, -1 if it has none."""
    if class_column is None:
        classes, labels = [], np.zeros(len(rows), dtype=np.int64)
    else:
        classes, labels = read_classes(rows, class_column)
    if column is not None:
        values = rows.select_columns([column])[:][column]
        return [one_line(first_text(value) or "") for value in values], classes, labels
    prompts = make_prompts(classes, template)
    return [prompts[label] if label >= 0 else "" for label in labels], classes, labels


def _metadata(root: Path, metadata: Path, pictures: list[Path], captions: str | None, template: str) -> _Rows:
    rows, places, beyond = read_metadata(metadata)
    if FILE_COLUMN not in rows.column_names:
        raise ValueError(f"{metadata} has no column {FILE_COLUMN}, among {', '.join(rows.column_names)}: "
                         f"name the file of each picture there")  # fmt: skip
    names = rows[:][FILE_COLUMN]
    column, class_column = choose_columns(
        str(metadata), rows.remove_columns([FILE_COLUMN]), captions, only_text_is_class=False
    )
    texts, classes, labels = _read_columns(rows, column, class_column, template)
    paths = [root] * len(rows)
    faults: dict[int, str] = {}
    for row, name in enumerate(names):
        try:
            paths[row] = named_path(root, name)
            probe_picture(paths[row])
            if labels[row] < 0 or not texts[row]:
                raise ValueError(f"no {'class' if labels[row] < 0 else 'caption'}; write one")
        except ValueError as error:
            faults[row] = one_line(f"{places[row]}: {error}")
    unnamed = sorted(set(pictures) - set(paths))
    beyond += [one_line(f"{path}: no caption; add a line to {metadata.name}") for path in unnamed]
    relatives = [relatives_of(path.relative_to(root)) for path in paths]
    return _Rows(file_rows(paths), paint_file, texts, classes, labels, faults, beyond, relatives)
