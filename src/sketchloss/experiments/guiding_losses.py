"""The losses that the experiments on guiding compare: pixels alone, with SSIM, and with each of four perceptual terms.

Weights and formula are two causes, so each of two weights stands with each of two formulas.
"""

from collections.abc import Callable
from typing import Any

from sketchloss.data.names import short_name
from sketchloss.networks.paper_layers import PAPER_LAYERS

#: The name of no term.
NONE = "none"
_PAPER = f"l1:{','.join(PAPER_LAYERS)}"
#: Terms beside the mean absolute difference of pixels: names for `named_loss`, and none.
TERMS = (NONE, "ssim", f"imagenet:{_PAPER}", f"sketch:{_PAPER}", "imagenet:ink", "sketch:ink")
#: Before the name of a term that stands beside the difference of pixels, where terms also stand alone.
BESIDE = "pixels+"
#: Those of a network.
PERCEPTUAL = TERMS[2:]
_IMAGENET_L1, _SKETCH_L1, _IMAGENET, _SKETCH = PERCEPTUAL
#: What tells weights and formula apart: other weights under each formula, then the other formula under each weights.
COMPARED = ((_SKETCH, _IMAGENET), (_SKETCH_L1, _IMAGENET_L1), (_SKETCH, _SKETCH_L1), (_IMAGENET, _IMAGENET_L1))


def open_term(name: str, *, bfloat16: bool = True) -> Callable[..., Any] | None:
    """Return a term, a loss as for `strokes.recovery.recover`, or None for none.

    Args:
        name: `none`, or as for `named_loss`.
        bfloat16: compute its network under autocast.

    Raises:
        ValueError: as `named_loss`.
        FileNotFoundError: as `named_loss`.
    """
    from sketchloss.strokes.named_losses import named_loss  # torch; the names alone are wanted for a help page

    return None if name == NONE else named_loss(name, bfloat16=bfloat16)


def term_title(name: str) -> str:
    """Return a term's name for tables: "SSIM", "imagenet, the paper's l1", "sketch, ink"; others as they are.

    Of weights in a folder only the folder's own name is said.
    """
    weights, colon, formula = name.partition(":")
    weights = short_name(weights)
    named = {_PAPER: f"{weights}, the paper's l1", "ink": f"{weights}, ink"}
    plain = {"ssim": "SSIM", "pixels-l2-blurred": "blurred pixels, l2", NONE: "pixels"}
    return plain.get(name) or named.get(formula) or f"{weights}{colon}{formula}"


def column_title(name: str) -> str:
    """Return the name of the loss that is pixels and a term: "pixels", "pixels + SSIM", "pixels + sketch, ink"."""
    return term_title(name) if name == NONE else f"pixels + {term_title(name)}"
