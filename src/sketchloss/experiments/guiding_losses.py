"""The losses that the experiments on guiding compare: pixels alone, with SSIM, and with each of four perceptual terms.

Weights and formula are two causes, so each of two weights stands with each of two formulas.
"""

from sketchloss.data.names import short_name
from sketchloss.networks.paper_layers import PAPER_LAYERS
from sketchloss.strokes.named_losses import named_loss, network_of
from sketchloss.strokes.recovery import Loss

#: The name of no term.
NONE = "none"
_PAPER = f"l1:{','.join(PAPER_LAYERS)}"
#: Terms beside the mean absolute difference of pixels: names for `named_loss`, and none.
TERMS = (NONE, "ssim", f"imagenet:{_PAPER}", f"sketch:{_PAPER}", "imagenet:ink", "sketch:ink")
#: Those of a network.
PERCEPTUAL = TERMS[2:]


def open_term(name: str, *, bfloat16: bool = True) -> Loss | None:
    """Return a term, or None for none.

    Args:
        name: `none`, or as for `named_loss`.
        bfloat16: compute its network under autocast.

    Raises:
        ValueError: as `named_loss`.
        FileNotFoundError: as `named_loss`.
    """
    return None if name == NONE else named_loss(name, bfloat16=bfloat16)


def term_title(name: str) -> str:
    """Return a term's name for tables: "SSIM", "imagenet, the paper's l1", "sketch, ink"; others by their own name.

    Of weights in a folder only the folder's own name is said.
    """
    if network := network_of(name):
        formula = name.removeprefix(f"{network.weights}:")
        words = "the paper's l1" if formula == _PAPER else formula
        return f"{short_name(network.weights)}, {words}"
    return {"ssim": "SSIM", NONE: "pixels"}.get(name, name)


def column_title(name: str) -> str:
    """Return the name of the loss that is pixels and a term: "pixels", "pixels + SSIM", "pixels + sketch, ink"."""
    return term_title(name) if name == NONE else f"pixels + {term_title(name)}"
