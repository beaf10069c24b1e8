"""The common frame of two drawings: the ink's centre of gravity in the middle, the ink's spread at one size.

A drawing that was moved on its page differs from its original at every line, and one that was scaled does, too. In this
frame they are the same again. Centre and spread are sums over all ink, so that neither the pale edge of a scaled line
nor the noise of a JPEG file moves them much; a box around the ink depends on the outermost pixels alone.
"""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float32, UInt8
from PIL import Image, ImageOps

from sketchloss.system.visible_ink import FAINT, open_to_show

#: Pages are reduced to this longer side in pixels before anything is computed, so that a poster needs no more memory.
MOST_SIDE = 1024
#: Half of the frame's side, in spreads of the ink. Less than 1 % of a drawing's ink lies outside (five sets looked at).
SPREADS = 2.5
#: What is fainter than this share of the darkest ink is the paper's grain, or the noise of a JPEG file.
GRAIN = 0.08
#: Side of the map of a drawing's ink.
GRID = 32
#: Side in pixels at which two drawings are compared by the loss: that of the package's calibration; and the least one
#: that they are reduced to before, so that both are as soft.
SIDE, LEAST_SIDE = 256, 32

InkMap = UInt8[np.ndarray, "32 32 3"]


@dataclass(frozen=True)
class InkFrame:
    """The square of a page that holds its drawing."""

    x: float
    """Centre of gravity of the ink, in pixels from the left."""
    y: float
    """Centre of gravity of the ink, in pixels from the top."""
    half: float
    """Half of the frame's side in pixels."""
    paper: tuple[int, int, int]
    """Colour of the paper, which also lies around the page."""


def open_page(path: Path) -> tuple[Image.Image, tuple[int, int]]:
    """Open a drawing to compare it with its copies: dark ink on light paper, at most `MOST_SIDE` pixels long.

    Returns:
        An `RGB` picture, and the width and height of the file's picture.

    Raises:
        UnreadablePicture: as `open_picture`.
    """
    page = open_to_show(path)
    size = page.size
    page.thumbnail((MOST_SIDE, MOST_SIDE), Image.Resampling.BILINEAR)
    return (ImageOps.invert(page) if np.median(np.asarray(page.convert("L"))) < 128 else page), size


def find_frame(page: Image.Image) -> InkFrame | None:
    """Find where the drawing is on an `RGB` page; None for a blank page."""
    pixels = np.asarray(page, dtype=np.float32)
    paper = np.median(pixels.reshape(-1, 3), axis=0)
    ink = np.abs(pixels - paper).max(axis=2)
    if ink.max() < FAINT:
        return None
    ink = (ink - GRAIN * ink.max()).clip(0)
    columns, rows = (ink.sum(axis, dtype=np.float64) / ink.sum(dtype=np.float64) for axis in (0, 1))
    places = [np.arange(len(shares)) + 0.5 for shares in (columns, rows)]
    x, y = float(columns @ places[0]), float(rows @ places[1])
    spread = math.sqrt(float(columns @ (places[0] - x) ** 2 + rows @ (places[1] - y) ** 2))
    red, green, blue = paper.round().astype(int).tolist()
    return InkFrame(x, y, max(1.0, SPREADS * spread), (red, green, blue))


def cut_out(page: Image.Image, frame: InkFrame, side: int) -> Image.Image:
    """Cut the frame out of a page and resize it to a square of this side in pixels; paper lies around the page."""
    left, top, right, bottom = (
        *(frame.x - frame.half, frame.y - frame.half),
        *(frame.x + frame.half, frame.y + frame.half),
    )
    border = (
        *(math.ceil(max(0, -left)) + 1, math.ceil(max(0, -top)) + 1),
        *(math.ceil(max(0, right - page.width)) + 1, math.ceil(max(0, bottom - page.height)) + 1),
    )
    wide = ImageOps.expand(page, border, fill=frame.paper)
    box = (left + border[0], top + border[1], right + border[0], bottom + border[1])
    return wide.resize((side, side), Image.Resampling.BILINEAR, box=box)


def map_ink(page: Image.Image, frame: InkFrame) -> InkMap:
    """Return how far each square of the frame is from the paper, for red, green and blue."""
    squares = np.asarray(cut_out(page, frame, GRID), dtype=np.int16)
    return np.abs(squares - np.array(frame.paper, dtype=np.int16)).astype(np.uint8)


def local_differences(first: InkMap, others: UInt8[np.ndarray, "n 32 32 3"]) -> Float32[np.ndarray, " n"]:
    """Return the greatest difference in one square between a drawing and each of some others.

    Each map is scaled to a sum of 1 first, because a reduced drawing has paler lines.

    Returns:
        Shares of the fullest square, in [0, 1]; 0 for the same ink everywhere. 1 for a map without ink.
    """
    maps = np.concatenate([first[None], others]).reshape(len(others) + 1, -1).astype(np.float32)
    sums = maps.sum(axis=1, keepdims=True)
    maps /= np.maximum(sums, 1)
    differences = np.abs(maps[1:] - maps[0]).max(axis=1)
    fullest = np.maximum(maps[1:].max(axis=1), maps[0].max())
    return np.where((sums[1:, 0] > 0) & (sums[0, 0] > 0), differences / np.maximum(fullest, 1e-9), 1).astype(np.float32)


def bring_together(
    first: tuple[Image.Image, InkFrame], second: tuple[Image.Image, InkFrame]
) -> tuple[Image.Image, Image.Image]:
    """Cut two drawings out of their pages, at `SIDE` pixels and equally soft: the larger one is reduced first."""
    native = min(first[1].half, second[1].half) * 2
    side = max(LEAST_SIDE, min(SIDE, round(native)))
    a, b = (
        cut_out(page, frame, side).resize((SIDE, SIDE), Image.Resampling.BILINEAR) for page, frame in (first, second)
    )
    return a, b
