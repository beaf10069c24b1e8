"""The amount of ink on a page."""

import math

import numpy as np
from PIL import Image

#: A page with less than this share of the other's ink has nearly none.
NEARLY_NONE = 0.05
#: Ink that covers less of the page than this is nearly none: a dot of two pixels on a page of 256.
NONE = 6e-5
#: A page whose paper is darker than this share of white is no light paper.
DARK = 0.6


def ink_amount(drawing: Image.Image) -> float:
    """Return how much of a page its ink would cover, were it all as dark as can be.

    Args:
        drawing: dark ink on light paper; the paper is the page's median grey.

    Returns:
        A share, in [0, 1]; 0 for an empty page; NaN where the paper is dark, of which nobody knows what is ink.
    """
    grey = np.asarray(drawing.convert("L"), dtype=np.float64)
    paper = float(np.median(grey))
    if paper < 255 * DARK:
        return math.nan
    darker = (paper - grey).clip(0) / paper
    return float(np.where(darker > 0.05, darker, 0).mean())  # what is fainter is the paper's own grain


def nearly_blank(first: float, second: float) -> str:
    """Say in a few words which of two pages has nearly no ink, or is dark; no words if both have some on light paper.

    Args:
        first: as `ink_amount` gives it.
        second: the second page, in the same form.
    """
    dark = [name for name, amount in (("first", first), ("second", second)) if math.isnan(amount)]
    if dark:
        pages = f"The {dark[0]} page is" if len(dark) == 1 else "Both pages are"
        return f"{pages} mostly dark: light lines on dark paper need the setting invert"
    least, most = sorted((first, second))
    if most < NONE:
        return "Both pages are blank" if most == 0 else "Both pages have nearly no ink"
    page = f"The {'first' if first < second else 'second'} page"
    if least == 0:
        return f"{page} is blank"
    return f"{page} has nearly no ink" if least < max(NONE, NEARLY_NONE * most) else ""
