"""Distances that are any function of two batches of images: raw pixels, SSIM, and a user's own, found by its name."""

import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from typing import TypeAlias, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from sketchloss.system.own_function import load_function

#: From two batches of images, float n×3×h×w in [0, 1], to n distances: the greater, the more different.
Distance: TypeAlias = Callable[[Tensor, Tensor], Tensor]
#: A distance is at most this: means of more overflow.
LARGEST = torch.finfo(torch.float32).max


class PlainDistance:
    """A distance that is any function of two batches of images.

    Args:
        name: name of the distance.
        function: a function from two batches, float n×3×h×w in [0, 1], to (n,) finite numbers.
        symmetric: whether the order of the two makes no difference.
    """

    def __init__(self, name: str, function: Distance, *, symmetric: bool = False) -> None:
        self.name = name
        self.symmetric = symmetric
        self.function = function

    def __call__(self, pred: Float[Tensor, "n 3 h w"], target: Float[Tensor, "m 3 h w"]) -> Float[Tensor, " n"]:
        """Call the function, on copies of its own. What it prints goes to stderr.

        Args:
            pred: images in [0, 1].
            target: as many images of the same size, or one for all.

        Returns:
            The distances, float64.

        Raises:
            ValueError: if it raises anything, or returns something else than n finite numbers.
        """
        pred = pred.clone(memory_format=torch.contiguous_format)
        target = target.expand(len(pred), -1, -1, -1).clone(memory_format=torch.contiguous_format)
        try:
            with redirect_stdout(sys.stderr):  # stdout may be JSON
                found = self.function(pred, target)
        except (Exception, SystemExit) as error:  # exit code 0 would say that all is well
            reason = " ".join(str(error).split()) or "no reason given"
            raise ValueError(
                f"distance {self.name} failed on two batches of shape {tuple(pred.shape)}: "
                f"{type(error).__name__}: {reason}"
            ) from error
        return checked(found, len(pred), self.name)

    def extract(self, images: Float[Tensor, "n 3 h w"]) -> dict[str, Tensor]:
        """Keep the images as they are, so that this stands among distances that look at each picture once."""
        return {"images": images}

    def compare(self, ones: dict[str, Tensor], others: dict[str, Tensor]) -> dict[str, Float[Tensor, " n"]]:
        """Return the distances of what `extract` kept, under this one's name; raises as a call does."""
        return {self.name: self(ones["images"], others["images"])}


def checked(found: object, count: int, name: str) -> Float[Tensor, " n"]:
    """Return what a distance returned, float64; ValueError unless it is `count` finite numbers."""
    if not isinstance(found, Tensor):
        raise ValueError(f"distance {name} returned {type(found).__name__}: it must return a tensor of shape (n,)")
    if found.shape != (count,):
        raise ValueError(
            f"distance {name} returned shape {tuple(found.shape)} for {count} pairs: it must return ({count},), one "
            "number for each pair"
        )
    if found.is_meta or found.layout != torch.strided or found.is_complex():
        raise ValueError(f"distance {name} returned a sparse, meta or complex tensor: it must hold plain real numbers")
    found = found.detach().double()
    bad = ~(found.abs() <= LARGEST)  # nan is no such number either
    if bad.any():
        first = found[bad][0].item()
        raise ValueError(f"distance {name} returned {first} for a pair: every distance must be finite, and fit float32")
    return found


def one_minus_ssim(name: str = "ssim") -> PlainDistance:
    """Make 1 - SSIM: 0 for equal pictures, at most 2.

    Raises:
        ModuleNotFoundError: if kornia is not installed, which the core does not need.
    """
    from sketchloss.metrics.ssim import ssim

    return PlainDistance(name, lambda pred, target: 1 - ssim(pred, target), symmetric=True)


def baselines() -> list[PlainDistance]:
    """Make what needs no network: `pixel l1` (mean difference), `pixel l2` (mean squared), `ssim` (1 - SSIM)."""
    return [
        PlainDistance("pixel l1", lambda pred, target: (pred - target).abs().mean((1, 2, 3)), symmetric=True),
        PlainDistance("pixel l2", lambda pred, target: (pred - target).square().mean((1, 2, 3)), symmetric=True),
        one_minus_ssim(),
    ]


def load_distance(spec: str, device: str | torch.device = "cpu") -> PlainDistance:
    """Find a user's distance. What its module prints goes to stderr.

    Args:
        spec: as for `load_function`; it may be a loss module that returns one number for each pair.
        device: where it will get its images; a `torch.nn.Module` is moved there and put into eval mode.

    Raises:
        ValueError: as `load_function`.
    """
    function = load_function(spec, "distance")
    if isinstance(function, nn.Module):
        function.to(device).eval()
    return PlainDistance(spec, cast(Distance, function))  # what it returns is checked
