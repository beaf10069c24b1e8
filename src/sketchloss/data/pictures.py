"""Pictures without labels: a map-style dataset of squares cut from files, rows or drawings."""

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
import torch
from datasets import Dataset, Features, Value
from jaxtyping import Int64, UInt8
from PIL import Image
from torch import Tensor

from sketchloss.data.sources import checked_size
from sketchloss.system.images import fill_square
from sketchloss.system.visible_ink import open_photo, open_to_show


class PictureItem(TypedDict):
    """One picture: `image` uint8 3×size×size, `index` its place in the set."""

    image: UInt8[Tensor, "3 size size"]
    index: int


@dataclass(frozen=True, eq=False)
class Pictures:
    """Unlabelled pictures, a map-style dataset for `torch.utils.data.DataLoader` (picklable, safe to fork).

    `pictures[i]` is a `PictureItem`. Made by `open_photos` and `open_style`, and by `Pairs` for each of its sides.
    """

    name: str
    """Source that the pictures were opened from."""
    names: list[str]
    """Name of each picture: its path in the folder, its row in the data set, or its doodle."""
    sizes: Int64[np.ndarray, " n"]
    """Size in bytes of each picture's file at opening; 0 for pictures that are drawn, not read."""
    image_size: int
    """Side of the square pictures in pixels."""
    unreadable: list[str]
    """Pictures left out at opening, each with its reason."""
    rows: Dataset
    order: Int64[np.ndarray, " n"]
    """Row of each picture in `rows`: a selection shares its rows with the whole."""
    paint: Callable[[dict[str, Any], int], Image.Image]
    """Function from a row and a size in pixels to a square `L` or `RGB` picture."""
    passed_over: list[str] = field(default_factory=list)
    """Lines about pictures that are not read: files of kinds that cannot be read, and later pages of files."""

    def __len__(self) -> int:
        return len(self.order)

    def __getitem__(self, index: int) -> PictureItem:
        image = torch.from_numpy(np.array(self.picture(index))).permute(2, 0, 1).contiguous()
        return {"image": image, "index": int(index)}

    def picture(self, index: int) -> Image.Image:
        """Draw or decode one picture: `RGB`, `image_size`×`image_size`.

        Raises:
            UnreadablePicture: if its file turns out to be damaged.
            IndexError: beyond the end.
        """
        return self.paint(self.rows[int(self.order[index])], self.image_size).convert("RGB")

    def select(self, indices: Sequence[int] | Int64[np.ndarray, " m"]) -> "Pictures":
        """Return the set with only these pictures, in this order."""
        indices = np.asarray(indices, dtype=np.int64).reshape(-1)
        names = [self.names[index] for index in indices]
        return replace(self, names=names, sizes=self.sizes[indices], order=self.order[indices])

    def with_size(self, image_size: int) -> "Pictures":
        """The same pictures at another size."""
        return replace(self, image_size=checked_size(image_size))

    def digest(self) -> str:
        """Return 16 hexadecimal digits that tell this set from others, without decoding it.

        They follow from the names, the files' sizes in bytes, the order and the image size; not from where the folder
        lies, nor from pixels: a file replaced by one of equal length goes unnoticed.
        """
        text = json.dumps([self.image_size, self.names, self.sizes.tolist()])
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def pictures_from_files(
    name: str,
    root: Path,
    paths: Sequence[Path],
    image_size: int,
    unreadable: list[str],
    passed_over: Sequence[str] = (),
    *,
    drawings: bool,
) -> Pictures:
    """Make a set of picture files that were looked at before, named by their paths from `root`.

    Args:
        name: what they were opened from.
        root: a folder that all are in.
        paths: paths of the files.
        image_size: side of the squares in pixels.
        unreadable: as of `Pictures`.
        passed_over: as of `Pictures`.
        drawings: drawings that would be lost on white paper are inverted, as `open_to_show` does; photos go on black.
    """
    # as bytes: a file's name need not be text
    places = [os.fsencode(path.absolute()) for path in paths]
    return Pictures(
        name=name,
        names=[path.relative_to(root).as_posix() for path in paths],
        sizes=np.array([path.stat().st_size for path in paths], dtype=np.int64),
        image_size=image_size,
        unreadable=unreadable,
        rows=Dataset.from_dict({"path": places}, features=Features({"path": Value("binary")})),
        order=np.arange(len(paths)),
        paint=partial(_paint_file, drawings=drawings),
        passed_over=list(passed_over),
    )


def _paint_file(row: dict[str, Any], size: int, *, drawings: bool) -> Image.Image:
    return fill_square(OPENERS[drawings](os.fsdecode(row["path"])), size)


#: What opens a photo, and what a drawing.
OPENERS = (open_photo, open_to_show)
