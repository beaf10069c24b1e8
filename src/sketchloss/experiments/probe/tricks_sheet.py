"""A sheet of the tricks: some drawings of each source with their references and what the tricks make of them."""

from collections.abc import Mapping

import numpy as np
from PIL import Image
from torch import Tensor

from sketchloss.data.names import short_name
from sketchloss.experiments.probe.trick_drawings import GREY, GREY_PAPER, REFERENCES, TRICKS, Tricked
from sketchloss.figures.grid import draw_grid

SIDE = 96
SHOWN = 3
#: Grey of a square that stands for a reference that there is not.
NOT_KNOWN = 230


def draw_tricked(tricked: Mapping[str, Tricked], *, shown: int = SHOWN) -> Image.Image:
    """Draw the tricks played on a few drawings of each source, a row for each drawing.

    Args:
        tricked: by source.
        shown: number of drawings of each source.

    Returns:
        An `RGB` picture.
    """
    rows, names = [], []
    for source, one in tricked.items():
        for index in np.linspace(0, len(one) - 1, min(shown, len(one))).round().astype(int).tolist():
            references = [
                _picture(picture) if known else Image.new("L", (SIDE, SIDE), NOT_KNOWN)
                for picture, known in zip(one.references[index], one.known[index], strict=True)
            ]
            grey = Image.fromarray((GREY * one.drawings[index].numpy()).astype(np.uint8))
            rows.append([_picture(one.drawings[index]), *references, *map(_picture, one.tricks[index]), grey])
            names.append(f"{short_name(source)}: {one.labels[index]}")
    columns = ["drawing", *REFERENCES, *TRICKS, GREY_PAPER]
    return draw_grid(rows, side=SIDE, row_names=names, column_names=columns, title="What a distance is asked")


def _picture(pixels: Tensor) -> Image.Image:
    return Image.fromarray(pixels.numpy())
