"""One door for all data: built-in doodles, QuickDraw strokes, folders of pictures, datasets of the hub.

Rows live in a `datasets.Dataset` (memory-mapped from disk where they are many); pictures are drawn or decoded when
asked for.
"""

import os
import re
import zlib
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, TypedDict

import numpy as np
import torch
from jaxtyping import Int64, UInt8
from PIL import Image
from torch import Tensor

from sketchloss.data.joined import JoinedRows, join, plain_name
from sketchloss.data.labelled import (
    CHOICES,
    LINE_WIDTH,
    Labelled,
    Paint,
    Rows,
    find_class_folders,
    find_doodles,
    find_hub,
    find_quickdraw,
    without_empty_classes,
)
from sketchloss.data.names import HUB_NAME
from sketchloss.data.quickdraw.ndjson import is_quickdraw
from sketchloss.data.splits import duplicate_groups, merge_groups, split_by_class
from sketchloss.data.synonyms import same_kind
from sketchloss.system.images import LARGEST_SIDE


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
    """Source that the sketches were opened from."""
    classes: list[str]
    labels: Int64[np.ndarray, " n"]
    """Class of each sketch, as an index into `classes`; known without decoding."""
    image_size: int
    """Side of the square pictures in pixels."""
    unreadable: list[str]
    """Files or lines left out at opening, each with its reason."""
    rows: Rows
    order: Int64[np.ndarray, " n"]
    """Row of each sketch in `rows`: a selection shares its rows with the whole."""
    paint: Paint
    """Function from a row, a size in pixels and a line width in fractions of the side (None: its own) to a square
    picture."""
    line_width: tuple[float, float] | None = None
    seed: int = 0
    relatives: Sequence[str] | None = None
    """Value of `groups` for each row; None if no two rows are related."""
    passed_over: list[str] = field(default_factory=list)
    """Lines about pictures that are not read: files of kinds that cannot be read, and later pages of files."""

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
        """Name of each sketch's group, which only related sketches share: sketches of one photo (Sketchy)."""
        return [str(row) if self.relatives is None else self.relatives[int(row)] for row in self.order]

    def select(self, indices: Sequence[int] | Int64[np.ndarray, " m"]) -> "Sketches":
        """Keep these sketches, in this order; classes and labels stay as they are."""
        indices = np.asarray(indices, dtype=np.int64).reshape(-1)
        return replace(self, labels=self.labels[indices], order=self.order[indices])

    def select_classes(self, names: Collection[str], *, leave_out: bool = False) -> "Sketches":
        """Keep the sketches of some classes, or leave these out; labels are numbered anew.

        Args:
            names: compared without regard to case, hyphens and underscores.
            leave_out: keep all the others instead. Then a name also stands for its synonyms (`same_kind`): without
                "car", no source has a "car (sedan)" either.

        Raises:
            ValueError: for a name that is no class, or if no class is left.
        """
        known = [plain_name(name) for name in self.classes]
        meant = {name: same_kind(name) if leave_out else {plain_name(name)} for name in names}
        wanted = {plain for plains in meant.values() for plain in plains}
        if unknown := [name for name, plains in meant.items() if plains.isdisjoint(known)]:
            close = get_close_matches(plain_name(unknown[0]), known, n=1)
            mend = f"did you mean {close[0]!r}?" if close else f"classes are {', '.join(known[:5])}, ..."
            raise ValueError(f"{self.name} has no class {unknown[0]!r}: {mend}")
        kept = np.array([(name in wanted) != leave_out for name in known])
        if not kept.any():
            mend = "name fewer to leave out" if leave_out else "name one or more"
            raise ValueError(f"{self.name}: no class is left of its {len(known)}; {mend}")
        return without_empty_classes(self.select(np.flatnonzero(kept[self.labels])))

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
        if not self.classes:  # pictures with captions of their own
            return split_by_class(self.labels, held_out=held_out, seed=seed, groups=groups)
        # note: by source and the class's name, so that a sketch lies on the same side whether its source is opened
        # alone or joined with others, and whichever classes are left out.
        part = self.rows.part_of(self.order) if isinstance(self.rows, JoinedRows) else np.zeros_like(self.order)
        strata, numbered = np.unique(part * len(self.classes) + self.labels, return_inverse=True)
        names = [plain_name(self.classes[stratum % len(self.classes)]) for stratum in strata]
        keys = [zlib.crc32(name.encode(errors="surrogatepass")) for name in names]  # a folder's name need not be text
        return split_by_class(numbered.reshape(-1), held_out=held_out, seed=seed, groups=groups, keys=keys)

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
            Several sources with commas between them are one set, in which classes of the same name are one class.
        image_size: side of the square pictures in pixels.
        per_class: at most this many of each class, from each of several sources: of pictures a sample drawn with
            `seed`, of QuickDraw the first of each file (the rest is not read), of doodles how many to make (100 if
            None).
        line_width: range in fractions of the side, for drawings kept as strokes. Each has its own, drawn uniformly with
            `seed`, so that training meets several. Never thinner than 0.8 pixels, which would fade. None: 0.008 to
            0.024 for QuickDraw (1.8 to 5.4 pixels at 224), and of doodles each one's own.
        strict: refuse damaged files and lines, other kinds of pictures and later pages rather than leave them out.
        seed: random seed of the sample, of the line widths, and of the doodles (another seed, other doodles).
        allow_one_class: accept a source of a single class too, which most uses cannot take.

    Returns:
        The sketches, opened but not decoded. Files whose header or end shows damage, and malformed lines,
        are left out and named in `.unreadable`; others raise `UnreadablePicture` when they are read. Drawings on a
        transparent ground whose light ink would be lost on white paper are inverted, as `open_to_show` does.

    Raises:
        ValueError: in one line, for a source that is missing, empty, has only one class or another layout, for
            sizes and widths out of range, and with `strict` for damaged files.
    """
    checked_size(image_size)
    if per_class is not None and per_class < 1:
        raise ValueError(f"per_class must be at least 1, got {per_class}")
    if seed < 0:
        raise ValueError(f"seed must be 0 or more, got {seed}")
    if line_width is not None and not 0 < line_width[0] <= line_width[1] <= 1:
        raise ValueError(f"line_width must be (least, most) in fractions of the side, in (0, 1], got {line_width}")

    kinds = [recognise(part) for part in split_sources(source)]
    parts = [_OPENERS[kind](place, per_class, seed) for kind, place in kinds]
    strokes = [kind == "quickdraw" for kind, _ in kinds]
    if len(parts) > 1:
        for (_, place), part in zip(kinds, parts, strict=True):
            if not len(part.order):
                raise ValueError(f"{place}: no readable sketch in it; {list_some(part.unreadable)}")
        found = join(parts, own_width=[line_width is None and not drawn for drawn in strokes])
    else:
        found = parts[0]
    found = without_empty_classes(found)
    if strict:
        refuse_left_out(source, found.unreadable, found.passed_over)
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
        line_width=LINE_WIDTH if line_width is None and any(strokes) else line_width,
        seed=seed,
        relatives=found.relatives,
        passed_over=found.passed_over,
    )


def split_sources(source: str | Path) -> list[str | Path]:
    """Return the sources that are joined with commas; a folder with commas in its name is one."""
    if isinstance(source, Path) or "," not in source or _is_there(source):
        return [source]
    parts = [part.strip() for part in source.split(",")]
    if not all(parts):
        raise ValueError(f"{source} has a comma with no source beside it: take it out, or name the source")
    places = [os.path.realpath(os.path.expanduser(part)) for part in parts]  # noqa: PTH111 (names no user either)
    if twice := [part for part, place in zip(parts, places, strict=True) if places.count(place) > 1]:
        raise ValueError(f"{source} names {twice[-1]} twice: its sketches would count double")
    return [*parts]


def _is_there(name: str) -> bool:
    return os.path.exists(os.path.expanduser(name))  # noqa: PTH110, PTH111 (a name may be too long for a path)


Kind = Literal["doodles", "quickdraw", "folder", "hub"]


def recognise(source: str | Path) -> tuple[Kind, Any]:
    """Return which kind of source `open_sketches` takes this for, and its folder, if it has one, else its name.

    Raises:
        ValueError: if it is none.
    """
    if re.match(r"doodles($|\?)", str(source)):
        return "doodles", source
    if not str(source).strip():
        raise ValueError(f"no data source given; give {CHOICES}")
    try:
        folder = Path(source).expanduser()
    except RuntimeError as error:
        raise ValueError(f"{source}: that user has no home folder; write the path in full") from error
    if folder.is_dir():
        return ("quickdraw" if is_quickdraw(folder) else "folder"), folder
    if folder.exists():
        raise ValueError(f"{source} is a file; give the folder that it is in")
    if isinstance(source, str) and HUB_NAME.fullmatch(source):
        return "hub", source
    raise ValueError(f"{source} does not exist; give {CHOICES}")


_OPENERS: dict[Kind, Callable[[Any, int | None, int], Labelled]] = {
    **{"doodles": find_doodles, "quickdraw": find_quickdraw, "folder": find_class_folders, "hub": find_hub}
}


def list_some(faults: Sequence[str], most: int = 5, *, done: str = "read") -> str:
    """Return how many files cannot be read (or used, say), and the first of them, as part of an error."""
    more = f"; and {len(faults) - most} more" if len(faults) > most else ""
    return f"{len(faults)} cannot be {done}: {'; '.join(faults[:most])}{more}"


def refuse_left_out(
    source: str | Path, unreadable: Sequence[str], passed_over: Sequence[str], *, done: str = "read"
) -> None:
    """Raise ValueError for a source that is not used whole, as `strict` wants it."""
    if unreadable or passed_over:
        what = list_some(unreadable, done=done) if unreadable else "; ".join(passed_over)
        raise ValueError(f"{source}: {what}; fix or remove them, or leave strict off")


def checked_size(image_size: int) -> int:
    """Return the side of images in pixels; ValueError if it is out of range."""
    if not 1 <= image_size <= LARGEST_SIDE:
        raise ValueError(f"image_size must be 1 to {LARGEST_SIDE} pixels, got {image_size}")
    return image_size
