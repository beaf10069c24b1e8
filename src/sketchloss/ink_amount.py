"""How much ink there is on a page."""

import numpy as np
from PIL import Image

#: A page with less than this share of the other's ink has nearly none.
NEARLY_NONE = 0.05
#: Ink that covers less of the page than this is none: a dot of two pixels on a page of 256.
NONE = 6e-5


def ink_amount(drawing: Image.Image) -> float:
    """Return how much of a page its ink would cover, were it all as dark as can be.

    Args:
        drawing: dark ink on light paper; the paper is the page's median grey.

    Returns:
        A share, in [0, 1]; 0 for an empty page.
    """
    grey = np.asarray(drawing.convert("L"), dtype=np.float64)
    paper = max(float(np.median(grey)), 1.0)
    darker = (paper - grey).clip(0) / paper
    return float(np.where(darker > 0.05, darker, 0).mean())  # what is fainter is the paper's own grain


def nearly_blank(first: float, second: float) -> str:
    """Say in a few words which of two pages has nearly no ink; no words if both have some.

    Args:
        first: as `ink_amount` gives it.
        second: likewise.
    """
    least, most = sorted((first, second))
    if most < NONE:
        return "Both pages are blank"
    if least < NONE:
        return f"The {'first' if first < second else 'second'} page is blank"
    if least < NEARLY_NONE * most:
        return f"The {'first' if first < second else 'second'} page has nearly no ink"
    return ""
