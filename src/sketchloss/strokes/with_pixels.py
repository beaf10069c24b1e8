"""A term beside the mean absolute difference of pixels, whose pull is a multiple of theirs."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from sketchloss.strokes.named_losses import pixels_l1
from sketchloss.strokes.recovery import Loss, check_values


class WithPixels:
    """Mean absolute difference of pixels plus a term, weighed by the gradients that both send to the picture.

    Where a picture first differs from its target and the term pulls at it, the term's gradient gets `pull` times the
    norm of the pixels' gradient, for each picture alone; the weight is kept from then on. So losses of any scale can be
    compared.

    Args:
        term: a loss as for `recover` that returns a value for each picture.
        pull: norm of the term's gradient as a multiple of the pixels', above 0.

    Raises:
        ValueError: for a pull that is not above 0.
    """

    def __init__(self, term: Loss, *, pull: float | int = 1.0) -> None:
        if not 0 < pull < float("inf"):
            raise ValueError(f"pull is {pull}: it must be above 0")
        self.term, self.pull = term, pull

    def extract(self, target: Float[Tensor, "n c h w"]) -> tuple[Tensor, Any, dict[str, Tensor]]:
        """Return what is computed of targets once, with the weights, which are not known yet."""
        extract = getattr(self.term, "extract", None)
        return target, target if extract is None else extract(target), {}

    def __call__(self, pred: Float[Tensor, "n c h w"], given: tuple[Tensor, Any, dict[str, Tensor]]) -> Tensor:
        """Return the loss of each picture.

        Args:
            pred: pictures.
            given: what `extract` returned of their targets.

        Raises:
            ValueError: for a term that does not return a value for each picture, with a gradient.
        """
        target, extracted, weights = given
        pixels, term = pixels_l1(pred, target), check_values(self.term(pred, extracted), len(pred))
        if term.shape != pixels.shape:
            raise ValueError(
                f"the loss returned a tensor {tuple(term.shape)} of {len(pred)} pictures: beside the pixels it must "
                "return a value for each"
            )
        weight = weights.get("term", torch.zeros_like(pixels))
        if not weight.all():
            pull, wanted = _norms(term, pred), self.pull * _norms(pixels, pred)
            found = torch.where(pull > 0, wanted / pull, 0)  # a flat term is weighed when it first pulls
            weights["term"] = weight = torch.where(weight == 0, found, weight)
        return pixels + weight * term


def _norms(values: Float[Tensor, " n"], pictures: Tensor) -> Float[Tensor, " n"]:
    """Return the norm of each picture's gradient."""
    (gradient,) = torch.autograd.grad(values.sum(), pictures, retain_graph=True)
    return torch.linalg.vector_norm(gradient.flatten(1).float(), dim=1)
