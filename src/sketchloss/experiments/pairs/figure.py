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
    """Write a contact sheet: of these drawings, those of `shown_places`.

    Args:
        columns: name -> drawings, in one order.
        path: picture to write.
    """
    count, _, _, side = next(iter(columns.values())).shape
    rows = [[to_picture(drawings[place] / 255) for drawings in columns.values()] for place in shown_places(count)]
    save_picture(draw_grid(rows, side=max(SIDE, side), column_names=tuple(columns)), path)
