"""Pictures without labels, to train a photo-to-sketch network on: content photos and pictures of a style.

photos = open_photos("~/pictures", 256, limit=2000)
style = open_style("fs2k:~/data/fs2k?style=1", 256)
photos[0]["image"], photos.picture(0), photos.digest()
"""

from functools import partial
from pathlib import Path
from typing import Any, Literal

import datasets
import numpy as np
import pyarrow.compute as pc
from jaxtyping import Int64
from PIL import Image

from sketchloss.data.hub import load_hub, one_column
from sketchloss.data.names import HUB_NAME
from sketchloss.data.pairs import is_pair_source, open_pairs, pair_layout
from sketchloss.data.pictures import OPENERS, Pictures, pictures_from_files
from sketchloss.data.quickdraw.ndjson import is_quickdraw
from sketchloss.data.sources import checked_size, list_some, refuse_left_out
from sketchloss.system.images import UnreadablePicture, fill_square, probe_picture
from sketchloss.system.passed_over import later_pages, other_kinds, passed_over
from sketchloss.system.picture_files import find_pictures

# ---------------------------------------------------------------------------------------------------------------------
# Opening

_CHOICES = "a folder of pictures, a picture, a hub name such as user/dataset, doodles, cufs:PATH or fs2k:PATH?style=1"


def open_photos(
    source: str | Path, image_size: int, *, limit: int | None = None, strict: bool = False, seed: int = 0
) -> Pictures:
    """Open photos.

    Args:
        source: a folder of pictures at any depth; one picture; a data set of the hub such as `user/dataset` (its
            `train` split, else its first); or what `open_pairs` takes, of which the photos of the training part are
            taken (`doodles`, `cufs:PATH`, `fs2k:PATH?style=1`).
        image_size: side of the square pictures in pixels; they are cut to it by `fill_square`.
        limit: at most this many, a sample drawn with `seed`; of files, only these are looked at.
        strict: refuse damaged files and mismatched pairs rather than leave them out.
        seed: random seed of the sample.

    Returns:
        The pictures, opened but not decoded. Damaged files that a look at header and end can tell are left out and
        named in `.unreadable`; others raise `UnreadablePicture` when they are read. What is transparent is read on
        white, or on black where all of the photo would be lost on white.

    Raises:
        ValueError: in one line, for a source that is missing, empty or of another kind, for sizes and limits out of
            range, and with `strict` for damaged files.
    """
    return _open(source, image_size, "photos", limit, strict, seed)


def open_style(
    source: str | Path, image_size: int, *, limit: int | None = None, strict: bool = False, seed: int = 0
) -> Pictures:
    """Open pictures of a style, as `open_photos` does, but take the sketches of pairs.

    Drawings whose light ink would be lost on white are turned, as `open_to_show` does.
    """
    return _open(source, image_size, "sketches", limit, strict, seed)


def _open(
    source: str | Path,
    image_size: int,
    side: Literal["photos", "sketches"],
    limit: int | None,
    strict: bool,
    seed: int,
) -> Pictures:
    checked_size(image_size)
    if limit is not None and limit < 1:
        raise ValueError(f"limit must be at least 1 picture, got {limit}")
    if seed < 0:
        raise ValueError(f"seed must be 0 or more, got {seed}")
    if not str(source).strip():
        raise ValueError(f"no pictures given; give {_CHOICES}")
    if is_pair_source(source):
        pairs = open_pairs(source, strict=strict)
        pictures = pairs.photos(image_size) if side == "photos" else pairs.sketches(image_size)
        return pictures.select(_sample(len(pictures), limit, seed))
    path, drawings = _expanded(source), side == "sketches"
    if path.is_dir():
        layout = pair_layout(path)
        if layout:
            raise ValueError(f"{source} holds photos and sketches side by side; give {layout}:{source}")
        pictures = _folder(str(source), path, image_size, limit, seed, drawings)
    elif path.exists():
        probe_picture(path)
        return pictures_from_files(
            str(source), path.parent, [path], image_size, [], later_pages([path]), drawings=drawings
        )
    elif isinstance(source, str) and HUB_NAME.fullmatch(source):
        pictures = _hub(source, image_size, limit, seed, drawings)
    else:
        raise ValueError(f"{source} does not exist; give {_CHOICES}")
    if strict:
        refuse_left_out(source, pictures.unreadable, pictures.passed_over)
    if not len(pictures):
        raise ValueError(f"{source}: no readable picture in it; {list_some(pictures.unreadable)}")
    return pictures


def _expanded(source: str | Path) -> Path:
    try:
        return Path(source).expanduser()
    except RuntimeError as error:
        raise ValueError(f"{source}: that user has no home folder; write the path in full") from error


def _folder(name: str, root: Path, image_size: int, limit: int | None, seed: int, drawings: bool) -> Pictures:
    paths = find_pictures(root)
    if not paths:
        if next(root.rglob("*.parquet"), None):
            return _hub(str(root), image_size, limit, seed, drawings)
        what = "QuickDraw strokes, no pictures" if is_quickdraw(root) else "no pictures"
        raise ValueError("; ".join([f"{name} holds {what}; give {_CHOICES}", *other_kinds(root)]))
    whole, unreadable = [], []
    for index in _sample(len(paths), limit, seed):
        try:
            probe_picture(paths[index])
            whole.append(paths[index])
        except UnreadablePicture as error:
            unreadable.append(str(error))
    return pictures_from_files(name, root, whole, image_size, unreadable, passed_over(root, whole), drawings=drawings)


_PICTURES = "a folder of pictures"


def _hub(name: str, image_size: int, limit: int | None, seed: int, drawings: bool) -> Pictures:
    rows = load_hub(name, otherwise=_PICTURES)
    column = one_column(
        name, rows, "picture", ("image", "photo"), lambda kind: isinstance(kind, datasets.Image), otherwise=_PICTURES
    )
    rows = rows.select_columns([column]).rename_columns({column: "image"})
    rows = rows.cast_column("image", datasets.Image(decode=False))
    cells = rows.data.column("image")  # of bytes and path, of which a look at the lengths reads neither
    lengths, paths = (
        # pyright knows none of the functions that this module makes when it is imported
        pc.binary_length(pc.struct_field(cells, field)).fill_null(0).to_numpy()  # pyright: ignore
        for field in ("bytes", "path")
    )
    empty = (lengths == 0) & (paths == 0)
    order = np.flatnonzero(~empty)
    order = order[_sample(len(order), limit, seed)]
    count = int(empty.sum())
    return Pictures(
        name=name,
        names=[f"row {row}" for row in order],
        sizes=lengths[order].astype(np.int64),
        image_size=image_size,
        unreadable=[f"{name}: {count} row{'s' * (count > 1)} without a picture"] if count else [],
        rows=rows.add_column("name", [f"{name} row {row}" for row in range(len(rows))]),
        order=order,
        paint=partial(_paint_cell, drawings=drawings),
    )


def _paint_cell(row: dict[str, Any], size: int, *, drawings: bool) -> Image.Image:
    cell = row["image"]
    source = cell["path"] if cell["bytes"] is None else cell["bytes"]
    return fill_square(OPENERS[drawings](source, name=row["name"]), size)


def _sample(count: int, limit: int | None, seed: int) -> Int64[np.ndarray, " m"]:
    """Indices of at most `limit` of so many, in order."""
    if limit is None or limit >= count:
        return np.arange(count)
    return np.sort(np.random.default_rng(seed).permutation(count)[:limit])
