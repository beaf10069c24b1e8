"""A contact sheet of the pairs: in each row a test drawing, in the columns its input, the truth and each loss."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from torch import Tensor

from sketchloss.figures.grid import draw_grid
from sketchloss.system.images import save_picture, to_picture

#: Drawings that are shown, and the least side of one in pixels: the names of the losses need so much.
SHOWN, SIDE = 8, 160


def shown_places(count: int) -> list[int]:
    """Return which of so many test drawings a contact sheet shows: a few, spread evenly."""
    return np.linspace(0, count - 1, min(SHOWN, count)).round().astype(int).tolist()


def draw_pairs(columns: Mapping[str, UInt8[Tensor, "n 3 s s"]], path: Path) -> None:
    """Write a contact sheet: of the drawings of each column, those of `shown_places`.

    Args:
        columns: name -> drawings, in one order.
        path: picture to write.
    """
    shown = [drawings[shown_places(len(drawings))] for drawings in columns.values()]
    rows = [[to_picture(drawing / 255) for drawing in row] for row in zip(*shown, strict=True)]
    side = shown[0].shape[-1]
    save_picture(draw_grid(rows, side=max(SIDE, side), column_names=tuple(columns)), path)
