"""Edits of a drawing of which there are only pixels: redrawn, lines wider, ink erased in pieces, all but one erased.

What `stroke_edits` does with strokes is done here with ink: float arrays h×w in [0, 1], 0 the paper and 1 full ink.
"""

import numpy as np
from jaxtyping import Float, Int
from PIL import Image
from scipy.ndimage import distance_transform_edt, gaussian_filter, grey_dilation, grey_erosion, label, map_coordinates

from sketchloss.data.quickdraw.painting import draw_strokes

Ink = Float[np.ndarray, "h w"]

#: A picture is cut by a grid of so many columns and rows; connected ink in one square is one piece of stroke.
GRID = 6
#: How smooth a warp is: the deviation of the Gaussian that smooths it, in sides of the picture.
SMOOTHNESS = 0.1
#: Ink darker than this share of the darkest belongs to a line; what is lighter goes with the nearest line.
LINE = 0.3


def to_ink(picture: Image.Image) -> Ink:
    """Return the ink of a picture, float64."""
    return 1 - np.asarray(picture.convert("L"), dtype=np.float64) / 255


def to_paper(ink: Ink) -> Image.Image:
    """Return ink as an `L` picture, dark on white."""
    return Image.fromarray((255 * (1 - ink)).round().clip(0, 255).astype(np.uint8))


def warped(ink: Ink, amount: float, rng: np.random.Generator) -> Ink:
    """Bend a drawing smoothly, as if a hand drew everything a little elsewhere.

    Args:
        ink: the ink to bend.
        amount: how far ink moves, root mean square, in sides of the picture.
        rng: random numbers of the directions.
    """
    side = max(ink.shape)
    field = gaussian_filter(rng.normal(size=(2, *ink.shape)), (0, SMOOTHNESS * side, SMOOTHNESS * side))
    field *= amount * side / np.sqrt((field**2).sum(0).mean())
    places = np.indices(ink.shape) + field
    return map_coordinates(ink, places, order=1, mode="constant", cval=0.0)


def widened(ink: Ink, pixels: float) -> Ink:
    """Make lines wider by so many pixels, or narrower if negative; fractions of pixels are grey edges."""
    radius = int(np.ceil(abs(pixels) / 2))
    if radius == 0:
        return ink
    rows, columns = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    disc = np.hypot(rows, columns) <= radius + 0.5
    other = (grey_dilation if pixels > 0 else grey_erosion)(ink, footprint=disc)
    share = abs(pixels) / (2 * radius)
    return (1 - share) * ink + share * other


def pieces(ink: Ink) -> Int[np.ndarray, "h w"]:
    """Part the ink into pieces of stroke: of each pixel the number of its piece, from 0.

    Raises:
        ValueError: for a picture without ink.
    """
    line = ink > LINE * ink.max()
    if not line.any():
        raise ValueError("the picture has no ink")
    connected = np.zeros(ink.shape, dtype=np.int64)
    label(line, structure=np.ones((3, 3)), output=connected)
    rows, columns = (np.arange(length) * GRID // length for length in ink.shape)
    squares = rows[:, None] * GRID + columns
    _, numbers = np.unique(connected[line] * GRID**2 + squares[line], return_inverse=True)
    found = np.zeros(ink.shape, dtype=np.int64)
    found[line] = numbers.reshape(-1)
    rows, columns = np.asarray(distance_transform_edt(~line, return_distances=False, return_indices=True))
    return found[rows, columns]


def erased(ink: Ink, share: float, rng: np.random.Generator) -> Ink:
    """Erase pieces, chosen at random, until what is gone is nearest to a share of the ink; one piece at least stays."""
    numbers = pieces(ink)
    weights = np.bincount(numbers.ravel(), ink.ravel())
    order = rng.permutation(len(weights))
    gone = np.cumsum(weights[order])[:-1] / weights.sum()
    count = int(np.abs(gone - share).argmin()) + 1 if len(gone) else 0
    return np.where(np.isin(numbers, order[:count]), 0.0, ink)


def longest_piece(ink: Ink) -> Ink:
    """Leave only the piece of most ink."""
    numbers = pieces(ink)
    return np.where(numbers == np.bincount(numbers.ravel(), ink.ravel()).argmax(), ink, 0.0)


def speck(ink: Ink, width: float, rng: np.random.Generator) -> Ink:
    """Leave a dot of a width in pixels, as dark as the darkest ink, at a place where ink was; the ink is square."""
    (side, _) = ink.shape
    place = rng.choice(ink.size, p=ink.ravel() / ink.sum())
    centre = (np.array([[place % side, place // side]]) + 0.5) / side
    return ink.max() * to_ink(draw_strokes([centre], side, line_width=width))
