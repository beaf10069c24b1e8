"""A drawing as it comes from a scanner or a phone, made into dark ink on white paper that is cropped to the ink.

    page = clean_page(open_picture("scan.jpg"))

It needs SciPy, which the extra `gallery` brings.
"""

from typing import cast

import numpy as np
from jaxtyping import Bool, Float32, Int32
from PIL import Image, ImageOps
from scipy import ndimage

from sketchloss.system.images import UnreadablePicture

#: Longest side in pixels of what is looked at; a larger page is reduced to it.
SIDE = 512
#: Longest side in pixels of the picture that the paper's brightness is estimated on.
PAPER_SIDE = 128
#: Widest line, and widest sheet's edge, as a share of the longest side: darkness that is wider is paper or table.
LINE, EDGE = 0.12, 0.04
#: Brightness that changes by this share from pixel to pixel (of `PAPER_SIDE`) is an edge of the sheet, not a shadow.
STEEP = 0.18
#: Least share of the picture that is taken for a table beside the sheet; what is smaller is ink.
TABLE = 0.01
#: Deviation of the paper's darkness, in [0, 1], from which on the page comes from a camera or a scanner.
TEXTURE = 0.001
#: What is so much fainter than the ink, on paper with texture, is the rest of a shadow, or a trace of JPEG.
FAINT = 0.25
#: Least area of a piece of ink on paper with texture, in pixels of a page of `SIDE` by `SIDE`; smaller is a speck.
SPECK = 26
#: Least share of the dark area that is left of a photographed page without what touches the edges of the picture. Of
#: 100 such pages one had 0.044, the others 0.05 and more; dense drawings that reach the edges had 0.039 and less.
INSIDE = 0.04
#: Least skewness of the brightness of a page that is light on dark: without ink it is near 0.
SKEWNESS = 0.3
#: White margin around the ink, as a share of the longer side of the ink.
MARGIN = 0.06


class NoDrawing(UnreadablePicture):
    """A page on which no ink can be told from the paper. The text is one line with the fix."""


def clean_page(picture: Image.Image, *, name: str = "picture") -> Image.Image:
    """Find the ink of a drawing, and return it alone: dark on white, cropped, in grey.

    The steps:

    1. The page is reduced to `SIDE` pixels, and inverted if it is light on dark.
    2. It is divided by the brightness of its paper, which whitens grey paper and removes shadows.
    3. Ink is what is clearly darker than the paper. Paper with texture comes from a scanner or a camera: there, specks
       are dropped, and what touches the edges of the picture or lies beyond the sheet, such as a table. The darkness is
       stretched, so that pencil becomes as dark as ink.
    4. The page is cropped to the ink, with a margin. If the ink fills little of the page, it is cut out of the picture
       as it came, and steps 2 to 4 are done again, to have its lines in full.

    Args:
        picture: `L` or `RGB`, of any size. Colours are read as grey.
        name: its name in an error.

    Returns:
        `RGB`, all channels alike, of at most `SIDE` pixels and the margin.

    Raises:
        NoDrawing: if there is nothing but paper, or nothing but ink.
    """
    page = picture.convert("L")
    seen = _reduced(page, SIDE)
    if is_light_on_dark(seen):
        page, seen = ImageOps.invert(page), ImageOps.invert(seen)
    ink = _find_ink(seen)
    box = ink.getbbox()
    if box is None:
        raise NoDrawing(
            f"{' '.join(name.split())}: cleaning finds no drawing on it, only paper or only ink; check the picture"
        )
    if seen.size != page.size and max(ink.crop(box).size) < SIDE / 2:
        again = _find_ink(_reduced(page.crop(_around(box, page.width / seen.width)), SIDE))
        if again.getbbox():
            ink, box = again, again.getbbox()
    ink = ink.crop(box)
    return ImageOps.invert(ImageOps.expand(ink, round(MARGIN * max(ink.size)), 0)).convert("RGB")


def is_light_on_dark(page: Image.Image) -> bool:
    """Tell whether a drawing is light on dark.

    Paper is what most of a page is: it is dark if its median is nearer to the darkest than to the lightest. Shadows and
    tables make such pages, too; there the ink, which differs from what is around it, is still darker.

    Args:
        page: `L`, not large.
    """
    grey = np.asarray(page, np.float32)
    darkest, lightest = np.percentile(ndimage.uniform_filter(grey, 3), (0.1, 99.9))
    paper = np.median(grey)
    from_around = grey - ndimage.gaussian_filter(grey, 0.08 * max(grey.shape), mode="nearest")
    skewness = (from_around**3).mean() / max(from_around.std() ** 3, 1e-6)
    return bool(paper - darkest < lightest - paper and skewness > SKEWNESS)


def _reduced(page: Image.Image, side: int) -> Image.Image:
    """Return a page whose longest side is at most so many pixels."""
    scale = side / max(page.size)
    if scale >= 1:
        return page
    size = (max(1, round(page.width * scale)), max(1, round(page.height * scale)))
    return page.resize(size, Image.Resampling.BILINEAR, reducing_gap=2)


def _around(box: tuple[int, int, int, int], scale: float) -> tuple[int, int, int, int]:
    """Return a box with a quarter of its longer side on all sides, in pixels of the picture as it came."""
    left, top, right, bottom = box
    room = max(right - left, bottom - top) / 4
    return (
        max(0, round((left - room) * scale)),
        max(0, round((top - room) * scale)),
        round((right + room) * scale),
        round((bottom + room) * scale),
    )


def _find_ink(page: Image.Image) -> Image.Image:
    """Return the ink of a page: `L`, 255 where it is darkest, 0 on the paper."""
    paper, outside = _find_paper(page)
    darkness = 1 - (np.asarray(page, np.float32) + 1) / paper
    inside = np.logical_not(outside)
    darkness -= np.median(darkness[inside])
    has_texture = _deviation(darkness[inside]) > TEXTURE
    if has_texture:
        darkness[outside] = 0
        darkness = ndimage.gaussian_filter(darkness, max(darkness.shape) / SIDE)
    least = max(0.04, 3 * _deviation(darkness))
    kept = _without_specks(darkness, least, has_texture=has_texture)
    if not kept.any():
        return Image.new("L", page.size)
    usual = np.percentile(darkness[kept], 75)
    start = FAINT * usual if has_texture else least / 2
    ink = ((darkness - start) / (usual - start)).clip(0, 1)
    ink[np.logical_not(ndimage.binary_dilation(kept))] = 0
    return Image.fromarray((255 * ink).round().astype(np.uint8))


def _deviation(darkness: Float32[np.ndarray, "..."]) -> float:
    """Return the standard deviation of what is mostly paper, whatever ink there is."""
    return 1.48 * float(np.median(abs(darkness)))


def _without_specks(
    darkness: Float32[np.ndarray, "h w"], least: float, *, has_texture: bool
) -> Bool[np.ndarray, "h w"]:
    """Return where ink is: connected pieces that are dark somewhere and, on paper with texture, no specks."""
    mask = darkness > least
    if has_texture:
        inside = _without_edges(mask)
        if inside.sum() >= max(SPECK, INSIDE * mask.sum()):  # a drawing that fills the picture touches its edges, too
            mask = inside
    if not mask.any():
        return mask
    usual = np.percentile(darkness[mask], 90)
    if has_texture:
        mask &= darkness > FAINT * usual
    pieces, count = _label(mask)
    darkest = np.asarray(ndimage.maximum(darkness, pieces, np.arange(count + 1)))
    kept = darkest > (max(0.12, 1.5 * least, 0.4 * usual) if has_texture else max(0.05, 0.2 * usual))
    kept[0] = False
    if has_texture:
        speck = max(4, SPECK * (max(darkness.shape) / SIDE) ** 2)
        kept &= np.bincount(pieces.ravel(), minlength=count + 1) >= speck
    return kept[pieces]


def _without_edges(mask: Bool[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    """Return a mask without the pieces that touch the edges of the picture."""
    pieces, count = _label(mask)
    is_inside = np.ones(count + 1, bool)
    is_inside[np.concatenate([pieces[0], pieces[-1], pieces[:, 0], pieces[:, -1]])] = False
    return is_inside[pieces] & mask


def _label(mask: Bool[np.ndarray, "h w"]) -> tuple[Int32[np.ndarray, "h w"], int]:
    """Number the connected pieces of a mask from 1 on; pieces may touch at corners."""
    return cast("tuple[np.ndarray, int]", ndimage.label(mask, np.ones((3, 3))))


def _find_paper(page: Image.Image) -> tuple[Float32[np.ndarray, "h w"], Bool[np.ndarray, "h w"]]:
    """Return the brightness that each point would have without ink, from 1 to 256, and what lies outside the sheet."""
    small = np.asarray(_reduced(page, PAPER_SIDE), np.float32) + 1
    side = max(small.shape)
    # A closing fills what is dark and narrower than its window.
    window = max(3, round(LINE * side) | 1)
    paper = ndimage.grey_closing(small, window, mode="nearest")
    # The sheet is the largest and brightest area without an edge in it.
    rough = ndimage.gaussian_filter(ndimage.grey_closing(small, max(3, round(EDGE * side) | 1), mode="nearest"), 0.7)
    is_smooth = ndimage.minimum_filter(rough, 3) > (1 - STEEP) * ndimage.maximum_filter(rough, 3)
    areas, count = _label(is_smooth)
    outside = np.zeros(small.shape, bool)
    if count > 1:
        brightness = np.asarray(ndimage.median(rough, areas, np.arange(count + 1)))
        brightness[0] = 0  # the edges
        sizes = np.bincount(areas.ravel(), minlength=count + 1)
        sheet = int((sizes * brightness).argmax())
        at_edge = np.unique(np.concatenate([areas[0], areas[-1], areas[:, 0], areas[:, -1]]))
        is_table = (brightness < 0.8 * brightness[sheet]) & (sizes > TABLE * small.size)
        table = [area for area in at_edge if area and is_table[area]]
        outside = ndimage.binary_dilation(np.isin(areas, table), np.ones((3, 3)), 3)
        # Elsewhere the paper is as bright as at the nearest point of the sheet: large dark areas are ink.
        nearest = ndimage.distance_transform_edt(areas != sheet, return_distances=False, return_indices=True)
        paper = paper[tuple(np.asarray(nearest))]
    paper = ndimage.gaussian_filter(paper, window / 8, mode="nearest")
    large = Image.fromarray(paper).resize(page.size, Image.Resampling.BILINEAR)
    return np.asarray(large), np.asarray(Image.fromarray(outside).resize(page.size)) > 0
