"""Several labelled sources as one: `quickdraw,sketchy,pacs_sketch`. Classes of one name are one class."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from jaxtyping import Int64
from PIL import Image

from sketchloss.data.labelled import Labelled, Paint


@dataclass(frozen=True)
class JoinedRows:
    """The rows of several tables under one numbering, the first table's first. Made by `join`."""

    tables: tuple[Any, ...]
    starts: tuple[int, ...]
    """Number of the first row of each table."""

    def __len__(self) -> int:
        return self.starts[-1] + len(self.tables[-1])

    def part_of(self, rows: Int64[np.ndarray, " n"]) -> Int64[np.ndarray, " n"]:
        """Return which table each of these rows is in, counted from 0."""
        return np.searchsorted(self.starts, rows, side="right") - 1

    def __getitem__(self, row: int) -> dict[str, Any]:
        part = int(self.part_of(np.array([row]))[0])
        return {"part": part, "row": self.tables[part][row - self.starts[part]]}


def join(parts: Sequence[Labelled], *, own_width: Sequence[bool]) -> Labelled:
    """Put several sources together, their items one after another.

    Args:
        parts: as found. Classes whose names differ only in case, hyphens and underscores become one, called by
            that name in lower case with spaces.
        own_width: of each part, whether its drawings have a line width of their own that a common one must not change.

    Returns:
        The whole. Items are related only within their part.
    """
    starts = tuple(np.cumsum([0, *(len(part.rows) for part in parts[:-1])]).tolist())
    classes = sorted({plain_name(name) for part in parts for name in part.classes})
    number = {name: index for index, name in enumerate(classes)}
    numbers = [np.array([number[plain_name(name)] for name in part.classes], dtype=np.int64) for part in parts]
    relatives = None
    if any(part.relatives is not None for part in parts):
        relatives = [
            f"{place} {name}"
            for place, part in enumerate(parts)
            for name in (range(len(part.rows)) if part.relatives is None else part.relatives)
        ]
    return Labelled(
        rows=JoinedRows(tuple(part.rows for part in parts), starts),
        order=np.concatenate([part.order + start for part, start in zip(parts, starts, strict=True)]),
        labels=np.concatenate([new[part.labels] for new, part in zip(numbers, parts, strict=True)]),
        classes=classes,
        paint=partial(_paint_joined, paints=tuple(part.paint for part in parts), own_width=tuple(own_width)),
        unreadable=[fault for part in parts for fault in part.unreadable],
        relatives=relatives,
        passed_over=[line for part in parts for line in part.passed_over],
    )


def plain_name(name: str) -> str:
    """Return a class name in the form that is compared: lower case, hyphens and underscores become single spaces."""
    return " ".join(name.casefold().replace("_", " ").replace("-", " ").split()) or name  # a class may be called "-"


def _paint_joined(
    row: Mapping[str, Any], size: int, width: float | None, *, paints: Sequence[Paint], own_width: Sequence[bool]
) -> Image.Image:
    part = row["part"]
    return paints[part](row["row"], size, None if own_width[part] else width)
