"""Random changes that make one drawing many: other cuts and angles, other pens, other paper."""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor, nn

#: Training drawings are decoded larger than they are trained at by this factor, because crops are enlarged again.
OVERSIZE = 4 / 3
# Below this many pixels a pen that is 4 pixels wider would fill the gaps between lines.
BROAD_PEN_FROM = 96


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """Random changes of training drawings; base of the settings of trainings. A share of 0 leaves a change out.

    Raises:
        ValueError: for a setting outside its range, naming it.
    """

    crop_scale: tuple[float, float] = (0.3, 1.0)
    """Least and greatest share of a sketch's area that a random crop keeps."""
    crop_ratio: tuple[float, float] = (3 / 4, 4 / 3)
    """Least and greatest width of a crop, divided by its height."""
    flip: float = 0.5
    """Share of sketches that are mirrored."""
    rotate: float = 0.5
    """Share of sketches that are turned; what comes in at the corners is white."""
    rotation: float = 15.0
    """Largest angle in degrees that a sketch is turned by, either way."""
    thicken: float = 0.25
    """Share of sketches whose lines get 2 pixels wider; in pictures of 96 pixels and more, half of them get 4 pixels
    wider."""
    thin: float = 0.1
    """Share of sketches whose wide lines get narrower and whose thin lines get fainter."""
    soften: float = 0.2
    """Share of sketches that are blurred."""
    softness: float = 1.0
    """Largest standard deviation of the blur of `soften` in pixels; the least is 0.3."""
    grey: float = 0.2
    """Share of sketches with grey lines."""
    lightest_line: float = 0.6
    """Lightest grey that lines get, and lightest value of a coloured line's channels; 0 is black, 1 is white."""
    colour: float = 0.15
    """Share of sketches with lines of one random colour."""
    tint: float = 0.3
    """Share of sketches on paper that is not quite white."""
    darkest_paper: float = 0.85
    """Darkest value that a channel of tinted paper gets; 1 is white."""

    def __post_init__(self) -> None:
        low, high = self.crop_scale
        if not 0 < low <= high <= 1:
            raise ValueError(f"crop_scale is {low} {high}: it must be two shares with 0 < least <= greatest <= 1")
        low, high = self.crop_ratio
        if not 0 < low <= high < math.inf:
            raise ValueError(f"crop_ratio is {low} {high}: it must be two numbers with 0 < least <= greatest")
        for name in ("flip", "rotate", "thicken", "thin", "soften", "grey", "colour", "tint"):
            if not 0 <= (share := getattr(self, name)) <= 1:
                raise ValueError(f"{name} is {share}: it must be a share from 0 to 1")
        if not 0 <= self.rotation <= 180:
            raise ValueError(f"rotation is {self.rotation}: it must be 0 to 180 degrees")
        if not 0.3 <= self.softness <= 10:
            raise ValueError(f"softness is {self.softness}: it must be 0.3 to 10 pixels")
        if not 0 <= self.lightest_line < self.darkest_paper <= 1:
            raise ValueError(
                f"lightest_line is {self.lightest_line} and darkest_paper {self.darkest_paper}: lines must be darker "
                "than paper, and both lie from 0 to 1"
            )


#: Algorithm 1's: only RandomResizedCrop and horizontal flip.
CROP_AND_FLIP = {"rotate": 0.0, "thicken": 0.0, "thin": 0.0, "soften": 0.0, "grey": 0.0, "colour": 0.0, "tint": 0.0}


class Augment(nn.Module):
    """Changes each drawing of a batch by itself, on the device it is on.

    Random numbers come from PyTorch's global generator of the CPU.

    Args:
        settings: which changes, and how strong.
    """

    def __init__(self, settings: Augmentation) -> None:
        super().__init__()
        self.settings = settings
        side = 2 * math.ceil(2 * settings.softness) + 1
        from kornia import augmentation  # here, as it takes a second to load

        self.soften = augmentation.RandomGaussianBlur(
            (side, side), (0.3, settings.softness), border_type="constant", p=settings.soften
        )

    @torch.no_grad()
    def forward(self, images: UInt8[Tensor, "n 3 h w"], size: int) -> Float[Tensor, "n 3 size size"]:
        """Return float32 images in [0, 1].

        Args:
            images: dark drawings on white, best a third larger than `size`; larger ones are first made smaller,
                with anti-aliasing.
            size: side of what comes out, in pixels.
        """
        grey = all(torch.equal(images[:, 0], images[:, channel]) for channel in (1, 2))
        ink = 1 - (images[:, :1] if grey else images).float() / 255
        larger = math.ceil(OVERSIZE * size)
        if min(ink.shape[-2:]) > larger:
            ink = F.interpolate(ink, (larger, larger), mode="bilinear", antialias=True)
        # note: what lies outside is 0, which is paper, since these are given the ink and not the picture.
        grid = F.affine_grid(
            self._draw_views(len(ink)).to(ink.device), [*ink.shape[:2], size, size], align_corners=False
        )
        ink = F.grid_sample(ink, grid, align_corners=False)
        ink = self._change_pen(ink)
        if self.settings.soften:
            ink = self.soften(ink)
        return self._colour(ink).clamp(0, 1).contiguous(memory_format=torch.channels_last)

    def _draw_views(self, count: int) -> Float[Tensor, "n 2 3"]:
        """Draw a crop, an angle and a side for each, as matrices from the places of a view to those of a picture."""
        settings = self.settings
        area, shape, across, down, turn, mirror, angle = torch.rand(7, count)
        least, greatest = settings.crop_scale
        area = least + (greatest - least) * area
        # Only shapes whose crop lies within the picture; torchvision and kornia draw anew until one does.
        narrowest, widest = (torch.tensor(ratio) for ratio in settings.crop_ratio)
        narrowest, widest = narrowest.maximum(area).log(), widest.minimum(1 / area).log()
        ratio = torch.lerp(narrowest, widest, shape).exp()
        width, height = (area * ratio).sqrt().clamp(max=1), (area / ratio).sqrt().clamp(max=1)
        angle = torch.deg2rad(settings.rotation * (2 * angle - 1)) * (turn < settings.rotate)
        mirrored = torch.where(mirror < settings.flip, -1.0, 1.0)
        rows = (
            (mirrored * width * angle.cos(), -height * angle.sin(), (1 - width) * (2 * across - 1)),
            (mirrored * width * angle.sin(), height * angle.cos(), (1 - height) * (2 * down - 1)),
        )
        return torch.stack([torch.stack(row, dim=1) for row in rows], dim=1)

    def _change_pen(self, ink: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        chance, strength = torch.rand(2, len(ink))
        settings = self.settings
        wider = chance < settings.thicken
        broad = wider & (strength < 0.5) & (ink.shape[-1] >= BROAD_PEN_FROM)
        narrower = (chance >= settings.thicken) & (chance < settings.thicken + settings.thin)
        for chosen in (wider, broad):  # twice 3×3 is 5×5
            if chosen.any():
                ink[chosen] = F.max_pool2d(ink[chosen], 3, stride=1, padding=1)
        if narrower.any():
            before = ink[narrower]
            # note: not in full, which would take every line of two pixels and less off the paper.
            share = (0.3 + 0.4 * strength[narrower]).to(ink.device)[:, None, None, None]
            ink[narrower] = torch.lerp(before, -F.max_pool2d(-before, 3, stride=1, padding=1), share)
        return ink

    def _colour(self, ink: Float[Tensor, "n c h w"]) -> Float[Tensor, "n 3 h w"]:
        settings, count = self.settings, len(ink)
        in_grey, in_colour, on_tint = torch.rand(3, count, 1) < torch.tensor(
            [settings.grey, settings.colour, settings.tint]
        ).view(3, 1, 1)
        lines = settings.lightest_line * torch.rand(count, 3)
        lines = torch.where(in_colour, lines, lines[:, :1] * in_grey)
        # Half of a paper's darkness is common to its channels.
        darkness = (torch.rand(count, 1) + torch.rand(count, 3)) / 2
        paper = 1 - (1 - settings.darkest_paper) * darkness * on_tint
        lines, paper = (colour.to(ink.device)[:, :, None, None] for colour in (lines, paper))
        return paper - ink * (paper - lines)
