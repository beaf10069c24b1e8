"""A small U-Net from picture to picture (Ronneberger et al. 2015), for experiments on what a loss teaches.

Plain, and not diffusers' `UNet2DModel`: without time and group norms a step on a processor takes less than half.
"""

from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn

#: Levels of the network; each further one has half the height and width.
LEVELS = 4
#: Factor on the first weights of the last layer: it begins with nearly white paper.
FIRST = 0.1


class UNet(nn.Module):
    """Picture to picture of the same size, values in [0, 1]; half a million parameters at a width of 16.

    Args:
        width: channels of the first level, 1 or more; each further level has twice as many.
        channels: channels of the picture that comes out.

    Raises:
        ValueError: for a width or number of channels below 1.
    """

    def __init__(self, width: int = 16, *, channels: int = 3) -> None:
        super().__init__()
        if width < 1 or channels < 1:
            raise ValueError(f"width is {width} and channels {channels}: both must be at least 1")
        widths = [width * 2**level for level in range(LEVELS)]
        self.down = nn.ModuleList(_block(before, after) for before, after in pairwise([3, *widths]))
        self.up = nn.ModuleList(_block(upper + lower, upper) for upper, lower in pairwise(widths))
        self.smaller, self.larger = nn.MaxPool2d(2), nn.Upsample(scale_factor=2)
        self.out = nn.Conv2d(width, channels, 1)
        nn.init.ones_(self.out.bias)  # pyright: ignore[reportArgumentType] - it begins with white paper
        with torch.no_grad():
            self.out.weight.mul_(FIRST)

    def forward(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n c h w"]:
        """Return float32 pictures in [0, 1].

        Args:
            images: in [0, 1]; height and width are multiples of 8.
        """
        kept: list[Tensor] = []
        features = images
        for block in self.down:
            features = block(self.smaller(features) if kept else features)
            kept.append(features)
        features = kept.pop()
        for block in reversed(self.up):
            features = block(torch.cat([kept.pop(), self.larger(features)], 1))
        drawn = self.out(features).float()
        # note: cut to [0, 1] with a gradient that passes. A sigmoid comes near white slowly, and stays grey in short
        # trainings.
        return drawn + (drawn.clamp(0, 1) - drawn).detach()


def _block(before: int, after: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for channels in (before, after):
        layers += [nn.Conv2d(channels, after, 3, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)
