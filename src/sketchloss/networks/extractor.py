"""Extractors, which compare sets of images: a network that makes features, with the name of its distances."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Extractor:
    """A network that turns images into features to compare, and its name."""

    name: str
    """Name of the network, which a distance between its features carries."""
    embed: Callable[[Tensor], Tensor]
    """Function from images (n, 3, h, w) in [0, 1], on any device, to features (n, d)."""
    minimum: int = 1
    """Least height and width of the images in pixels."""
