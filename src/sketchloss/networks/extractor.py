"""What compares sets of images: a network that turns them into features, with the name of its distances."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Extractor:
    """A network that turns images into features to compare, and its name."""

    name: str
    """What a distance between its features is named after."""
    embed: Callable[[Tensor], Tensor]
    """From images (n, 3, h, w) in [0, 1], on any device, to features (n, d)."""
    minimum: int = 1
    """Least height and width in pixels."""
