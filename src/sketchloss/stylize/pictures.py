"""One picture through a stylizer: the same size out, through tiles where it is large, transparency kept if asked."""

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from sketchloss.networks.stylizer import Layer, Stylizer, StylizerConfig
from sketchloss.stylize.tiles import TILE, check_tile, stylize_tiled
from sketchloss.system.device import Device, bfloat16_of, pick_device
from sketchloss.system.images import check_mode, open_picture, to_picture, to_tensor

Precision = Literal["auto", "no", "bf16"]
# In one piece the network takes about 800 bytes a pixel at full width in float32: 1.6 GB for so many.
MAX_PIXELS = 2_000_000


@runtime_checkable
class AnyStylizer(Protocol):
    """A network that makes sketches: a `Stylizer`, or an `ExportedStylizer`."""

    config: StylizerConfig

    def __call__(self, images: Tensor) -> Tensor: ...  # noqa: D102


def prepare_stylizer(stylizer: Stylizer, *, device: Device = "auto", precision: Precision = "auto") -> Stylizer:
    """Return a copy of a stylizer where and as it is quickest to use.

    Args:
        stylizer: on any device.
        device: `auto`: the GPU if there is one.
        precision: `bf16`: bfloat16 where the hardware has it, twice as fast, with values off by a few levels of 255,
            and else float32; `no`: float32; `auto`: as `bf16` on a GPU, float32 on the CPU.

    Raises:
        ValueError: if there is no such device.
    """
    place = pick_device(device)
    asked = precision == "bf16" or (precision == "auto" and place.type == "cuda")
    halve = asked and bfloat16_of(place.type) != "emulated"
    copy = deepcopy(stylizer).eval().requires_grad_(False)
    for layer in [module for module in copy.modules() if isinstance(module, Layer)]:
        # The same arithmetic on kernels that keep the channels_last layout; in use up to three times as fast in all.
        # Their sums are of float32: at 1024x1024 values are off by 1e-4, a thirtieth of a level of 255.
        norm = nn.GroupNorm(channels := layer.convolution.out_channels, channels, eps=layer.norm.eps)
        norm.load_state_dict(layer.norm.state_dict())
        layer.norm = norm.requires_grad_(False)  # pyright: ignore[reportAttributeAccessIssue]
    copy = copy.to(place, torch.bfloat16 if halve else torch.float32)
    return copy.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]


@torch.inference_mode()
def stylize(
    stylizer: AnyStylizer,
    picture: Image.Image,
    *,
    draw_size: int | None = None,
    max_pixels: int = MAX_PIXELS,
    tile: int = TILE,
    progress: Callable[[float], object] = lambda _: None,
) -> Image.Image:
    """Turn a picture into a sketch.

    Args:
        stylizer: as `prepare_stylizer` or `load_exported` returns it; it is used where it is.
        picture: upright, `RGB` or `L`, as `open_picture` returns it.
        draw_size: side in pixels that the shorter side of a larger picture is reduced to for the drawing; the sketch is
            enlarged again. A network draws lines and shades of the size that it was trained on, so that pictures many
            times as large turn into texture. None: as the picture is.
        max_pixels: larger pictures go through in tiles, with the same result: see `stylize_tiled`.
        tile: side in pixels of a tile.
        progress: as for `stylize_tiled`.

    Returns:
        A picture of the same size, `RGB` or `L` as the stylizer is made.

    Raises:
        ValueError: for what is no picture, or one of another mode; for a `draw_size` below 1; for a picture above
            `max_pixels` if the stylizer is an exported one, which has no layers to send tiles through; or if the
            network's values are not numbers.
    """
    if not isinstance(picture, Image.Image):
        raise ValueError(f"expected a picture, got {type(picture).__name__}: open it with open_picture")
    if not isinstance(stylizer, AnyStylizer):
        raise ValueError(f"expected a stylizer, got {type(stylizer).__name__}: open it with load_stylizer")
    check_mode(picture)
    check_tile(tile)
    if draw_size is not None and draw_size < 1:
        raise ValueError(f"draw_size is {draw_size}: it must be at least 1 pixel")
    if draw_size is not None and min(picture.size) > draw_size:
        scale = draw_size / min(picture.size)
        smaller = picture.resize([max(1, round(side * scale)) for side in picture.size], Image.Resampling.LANCZOS)
        sketch = stylize(stylizer, smaller, max_pixels=max_pixels, tile=tile, progress=progress)
        return sketch.resize(picture.size, Image.Resampling.BICUBIC)
    width, height = picture.size
    if not isinstance(stylizer, Stylizer):
        if width * height > max_pixels:
            raise ValueError(
                f"the picture has {width}x{height} pixels, and an exported stylizer takes {max_pixels:,} at once: "
                "raise --max-pixels if the memory is there, draw it smaller with --draw-size, or use the folder that "
                "it was exported from"
            )
        return to_picture(stylizer(_as_batch(picture))[0])
    if width * height > max_pixels:
        pixels = torch.from_numpy(np.array(picture.convert("RGB"))).permute(2, 0, 1)
        sketch = stylize_tiled(stylizer, pixels, tile=tile, progress=progress).cpu().permute(1, 2, 0).numpy()
        return Image.fromarray(sketch if sketch.shape[-1] == 3 else sketch[..., 0])
    weights = stylizer.output.weight
    images = _as_batch(picture).to(weights.device, weights.dtype, memory_format=torch.channels_last)
    return to_picture(stylizer(images)[0])


def _as_batch(picture: Image.Image) -> Tensor:
    return to_tensor(picture).expand(3, -1, -1)[None]


def read_with_alpha(data: bytes | Path, *, name: str) -> tuple[Image.Image, Image.Image | None]:
    """Read a picture and, separately, its transparency.

    Args:
        data: bytes of a file, or a path.
        name: its name in an error.

    Returns:
        The picture as `open_picture` gives it, and its alpha channel (`L`, upright, 255 where it is opaque), or None if
        it has none.

    Raises:
        UnreadablePicture: as `open_picture`.
    """
    picture = open_picture(data, name=name, paper=None)
    return open_picture(picture), picture.getchannel("A") if picture.mode == "RGBA" else None


def has_alpha(picture: Image.Image) -> bool:
    """Tell whether a picture has transparency that `open_picture` flattens."""
    return picture.has_transparency_data and not (picture.mode == "F" or picture.mode.startswith("I"))
