"""Judges of drawings against the true ones that need no network, as columns of a table."""

import torch
from jaxtyping import Float
from torch import Tensor

from sketchloss.experiments.table import Measure
from sketchloss.metrics.ink_overlap import ink_overlap
from sketchloss.metrics.page_faults import page_faults
from sketchloss.metrics.scoot import scoot
from sketchloss.metrics.stroke_width import stroke_width
from sketchloss.system.images import to_picture

#: The columns. Precision and recall are parts of F1, and an ink ratio of 1 is right: none of them is ranked.
PAGE_MEASURES = (
    Measure("scoot", "Scoot", digits=3),
    Measure("f1", "ink F1", digits=3),
    Measure("precision", "ink precision", ranked=False, digits=3),
    Measure("recall", "ink recall", ranked=False, digits=3),
    Measure("chamfer", "chamfer, px", greater_is_better=False, digits=3),
    Measure("stray_ink", "stray ink", greater_is_better=False, digits=3),
    Measure("white_paper", "white paper", digits=3),
    Measure("saturation", "saturation", greater_is_better=False, digits=4),
    Measure("width_error", "stroke width error, px", greater_is_better=False, digits=3),
    Measure("ink_ratio", "ink ratio", ranked=False, digits=2),
)


def judge_pages(drawn: Float[Tensor, "n c h w"], true: Float[Tensor, "n c h w"]) -> dict[str, float]:
    """Return the mean of each of `PAGE_MEASURES` over drawings.

    A drawing without a value does not count: a share of the wanted ink, where none is wanted.

    Args:
        drawn: in [0, 1], dark ink on light paper, at least 8 pixels high and wide.
        true: of the same shape.

    Returns:
        Name of the measure -> mean; none for a measure of which no drawing has a value.

    Raises:
        ValueError: as `ink_overlap`, `page_faults` and `scoot`.
    """
    widths = [[stroke_width(to_picture(image)) for image in images] for images in (drawn.cpu(), true.cpu())]
    one, other = torch.tensor(widths, dtype=torch.float64)
    found = {
        "scoot": scoot(drawn, true),
        **ink_overlap(drawn, true)._asdict(),
        **page_faults(drawn, true)._asdict(),
        "width_error": (one - other).abs(),
    }
    known = {name: values[values.isfinite()] for name, values in found.items()}
    return {name: values.double().mean().item() for name, values in known.items() if len(values)}
