"""A second drawing for each of a batch, from nearly the same to blank paper: what a distance is taught on."""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

#: A drawing is moved by at most so many sides, turned by so many radians, and enlarged or reduced by such a share.
MOVE, TURN, SCALE = 0.06, 0.12, 0.08
#: Least and greatest side of what is erased, in sides of the picture.
ERASED = (0.2, 0.7)
#: Share of its darkness that ink which fades keeps at least.
FAINTEST = 0.2


@torch.no_grad()
def partners(
    pictures: Float[Tensor, "n 3 h w"], again: Float[Tensor, "n 3 h w"]
) -> tuple[Float[Tensor, "n 3 h w"], Float[Tensor, "n 3 h w"]]:
    """Return pairs to measure: each drawing with a random change of it, another view of it, another drawing, or paper.

    Random numbers come from PyTorch's global generator of the CPU.

    Args:
        pictures: dark drawings on light paper, in [0, 1].
        again: other views of the same drawings.

    Returns:
        The pictures, and a partner for each.
    """
    kinds = (moved(pictures), erased(pictures), thickened(pictures), faded(pictures), again, pictures.roll(1, 0))
    candidates = torch.stack([*kinds, torch.ones_like(pictures)])
    # Seldom blank paper, whose distance is nearly the same from every drawing.
    chances = torch.tensor([*(1.0 for _ in kinds), 0.5])
    kind = torch.multinomial(chances, len(pictures), replacement=True)
    return pictures, candidates[kind, torch.arange(len(pictures))]


def moved(pictures: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 h w"]:
    """Return the drawings a little elsewhere, turned and of another size; what comes in is the picture's edge."""
    across, down, turn, scale = 2 * torch.rand(4, len(pictures)) - 1
    angle, factor = TURN * turn, (SCALE * scale).exp()
    rows = (
        (factor * angle.cos(), -factor * angle.sin(), 2 * MOVE * across),
        (factor * angle.sin(), factor * angle.cos(), 2 * MOVE * down),
    )
    views = torch.stack([torch.stack(row, dim=1) for row in rows], dim=1).to(pictures.device)
    grid = F.affine_grid(views, list(pictures.shape), align_corners=False)
    return F.grid_sample(pictures, grid, padding_mode="border", align_corners=False)


def erased(pictures: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 h w"]:
    """Return the drawings with a rectangle of each as paper."""
    height, width = pictures.shape[-2:]
    low, high = ERASED
    left = pictures.clone()
    for picture in left:
        sides = low + (high - low) * torch.rand(2)
        tall, wide = math.ceil(sides[0] * height), math.ceil(sides[1] * width)
        top, start = int(torch.randint(height - tall + 1, ())), int(torch.randint(width - wide + 1, ()))
        picture[:, top : top + tall, start : start + wide] = picture.amax((1, 2))[:, None, None]
    return left


def thickened(pictures: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 h w"]:
    """Return the drawings with lines that are 2 pixels wider."""
    return -F.max_pool2d(-pictures, 3, stride=1, padding=1)


def faded(pictures: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 h w"]:
    """Return the drawings with fainter lines."""
    kept = FAINTEST + (1 - FAINTEST) * torch.rand(len(pictures), 1, 1, 1).to(pictures.device)
    paper = pictures.amax((2, 3), keepdim=True)
    return paper - kept * (paper - pictures)
