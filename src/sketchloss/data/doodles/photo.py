"""The photo of a doodle's scene: the same parts as coloured, lit, shaded bodies before a background."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from PIL import Image, ImageDraw, ImageFilter

from sketchloss.data.doodles.shapes import Part

SUPERSAMPLING = 3


def draw_photo(parts: Sequence[Part], size: int, *, rng: np.random.Generator) -> Image.Image:
    """A picture of the parts, `size`×`size` RGB: no outlines, light from one upper side, shadows, a textured ground.

    Args:
        parts: back to front, in the unit square.
        size: side of the picture in pixels.
        rng: decides light, background and grain.
    """
    light = np.array([rng.choice((-1, 1)) * rng.uniform(0.3, 0.75), -rng.uniform(0.45, 0.8)], dtype=np.float32)
    large = size * SUPERSAMPLING
    numbers = _front_parts(parts, large)
    background = _background(parts, numbers, size, light, rng)

    x = ((np.arange(large, dtype=np.float32) + 0.5) / large)[None, :]
    y = x.T
    lows, highs = (
        np.array([reach(part.points, axis=0) for part in parts], dtype=np.float32) for reach in (np.min, np.max)
    )
    middle, half = (lows + highs) / 2, np.maximum((highs - lows) / 2, 0.01)
    behind = np.maximum(numbers.astype(np.intp) - 1, 0)
    u = (x - middle[behind, 0]) / half[behind, 0]
    v = (y - middle[behind, 1]) / half[behind, 1]
    bulge = np.array([part.bulge for part in parts], dtype=np.float32)[behind]
    facing = u * light[0] + v * light[1]  # each part is lit as if inflated to its bounding ellipse
    rim = np.minimum(u * u + v * v, 1.3)
    shade = 1.02 + facing * (0.12 + 0.3 * bulge) - 0.22 * bulge * rim
    highlight = np.clip(1 - 5 * ((u - 0.45 * light[0]) ** 2 + (v - 0.45 * light[1]) ** 2), 0, 1) * bulge * 0.3

    offset = np.round(-light * 0.025 * large).astype(int)  # a part throws its shadow on those behind it
    in_front = np.roll(numbers, offset[::-1], axis=(0, 1))
    shade *= np.where(in_front > numbers, np.float32(0.74), np.float32(1))

    colours = np.array([part.colour for part in parts], dtype=np.float32)[behind]
    body = colours * shade[..., None]
    body += (255 - body) * highlight[..., None]
    body = body.reshape(size, SUPERSAMPLING, size, SUPERSAMPLING, 3)
    solid = (numbers > 0).astype(np.float32).reshape(size, SUPERSAMPLING, size, SUPERSAMPLING, 1)
    cover = solid.mean(axis=(1, 3))
    picture = (body * solid).mean(axis=(1, 3)) + background * (1 - cover)
    picture *= 1 + 0.05 * _blotches(size, 9, rng)[..., None]
    picture += rng.normal(0, 2.5, picture.shape)
    return Image.fromarray(picture.clip(0, 255).astype(np.uint8))


def _front_parts(parts: Sequence[Part], large: int) -> np.ndarray:
    """For each pixel the number of the part in front, from 1; 0 where there is none."""
    canvas = Image.new("L", (large, large), 0)
    pen = ImageDraw.Draw(canvas)
    for number, part in enumerate(parts, start=1):
        flat = (part.points * large).ravel().tolist()
        if part.filled:
            pen.polygon(flat, fill=number)
        else:
            pen.line(flat, fill=number, width=max(SUPERSAMPLING, round(part.thickness * large)), joint="curve")
    return np.asarray(canvas)


def _background(
    parts: Sequence[Part], numbers: np.ndarray, size: int, light: Float[np.ndarray, "2"], rng: np.random.Generator
) -> Float[np.ndarray, "size size 3"]:
    """A wall fading into a floor, with the soft shadow of the object and a darker patch where it stands."""
    wall = np.array(rng.uniform(150, 235)) + rng.uniform(-28, 28, 3)
    floor = wall * rng.uniform(0.62, 0.9) + rng.uniform(-14, 14, 3)
    horizon, softness = rng.uniform(0.55, 0.8), rng.uniform(0.03, 0.25)
    y, x = np.mgrid[0:size, 0:size].astype(np.float32) / size
    depth = 1 / (1 + np.exp(-(y - horizon) / softness))[..., None]
    ground = wall * (1 - depth) + floor * depth
    ground *= 1 + 0.1 * ((x - 0.5) * light[0] + (y - 0.5) * light[1])[..., None]
    ground *= 1 + 0.045 * _blotches(size, 5, rng)[..., None]

    everything = np.concatenate([part.points for part in parts])
    left, right, bottom = everything[:, 0].min(), everything[:, 0].max(), everything[:, 1].max()
    shadow = Image.fromarray((numbers > 0).astype(np.uint8) * 150).resize((size, size), Image.Resampling.BOX)
    shadow = shadow.transform(
        (size, size), Image.Transform.AFFINE, (1, 0, light[0] * 0.05 * size, 0, 1, light[1] * 0.05 * size)
    )
    pen = ImageDraw.Draw(shadow)
    height = 0.035 + 0.03 * (right - left)
    pen.ellipse([size * c for c in (left, bottom - height, right, bottom + height)], fill=210)
    shadow = shadow.filter(ImageFilter.GaussianBlur(0.03 * size))
    return ground * (1 - 0.5 * np.asarray(shadow, dtype=np.float32) / 255)[..., None]


def _blotches(size: int, cells: int, rng: np.random.Generator) -> Float[np.ndarray, "size size"]:
    """Smooth unevenness, about -1 to 1."""
    coarse = Image.fromarray(rng.uniform(-1, 1, (cells, cells)).astype(np.float32))
    return np.asarray(coarse.resize((size, size), Image.Resampling.BICUBIC))
