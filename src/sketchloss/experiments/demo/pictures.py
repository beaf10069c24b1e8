"""The pictures of the demo: three for the first screen, each as wide as a phone, and sheets for further down."""

import numpy as np
import torch
from jaxtyping import Int
from PIL import Image

from sketchloss.data.captions.prompts import make_prompts, readable
from sketchloss.data.doodles.kinds import doodle
from sketchloss.data.sources import Sketches
from sketchloss.diffusion.pipeline import load_text_to_image
from sketchloss.figures.contact_sheet import Tile, draw_contact_sheet
from sketchloss.figures.difference import lay_heat_under
from sketchloss.figures.grid import draw_grid
from sketchloss.lora.sampling import draw as draw_with
from sketchloss.loss.loss import SketchLoss
from sketchloss.networks.stylizer import load_stylizer
from sketchloss.stylize import prepare_stylizer, stylize
from sketchloss.system.images import to_tensor

KINDS = ("bicycle", "bird", "cat", "house", "rabbit", "tree")
SIDE = 128


@torch.no_grad()
def draw_differences(loss: SketchLoss) -> Image.Image:
    """Draw three pairs of drawings, and where the loss sees them differ: the stronger the colour, the more."""
    cat, house, bird = (doodle(kind, 5, style="ink") for kind in ("cat", "house", "bird"))
    pairs = [
        (cat, cat.redrawn(1)),
        (house, house.redrawn(1).without(0.25, seed=1)),
        (bird, doodle("bird", 8, style="ink")),
    ]
    pictures = [[scene.sketch(SIDE) for scene in pair] for pair in pairs]
    maps = [loss.map(*(to_tensor(picture)[None] for picture in pair))[0, 0].numpy() for pair in pictures]
    greatest = float(max(heat.max() for heat in maps))
    rows = [
        [*pair, lay_heat_under(pair[0], heat, greatest=greatest)] for pair, heat in zip(pictures, maps, strict=True)
    ]
    return draw_grid(rows, side=93, column_names=("A", "B", "difference"), title="Where two drawings differ")


def draw_nearest(asked: Sketches, learnt: Sketches, places: Int[np.ndarray, "n k"]) -> Image.Image:
    """Draw three drawings of different kinds with the nearest of those learnt from, a frame where the kind is right.

    Args:
        asked: drawings that look for others.
        learnt: drawings that they look among.
        places: for each of those asked, the nearest, as indices.
    """
    shown = np.linspace(0, len(asked) - 1, 5).round().astype(int)[1:-1].tolist()
    large, found = asked.with_size(SIDE), learnt.with_size(SIDE)
    rows = []
    for query in shown:
        label = asked.labels[query]
        tiles = [
            Tile(found.picture(index), verdict="right" if learnt.labels[index] == label else "wrong")
            for index in places[query].tolist()
        ]
        rows.append((Tile(large.picture(query), readable(asked.classes[label])), tiles))
    return draw_contact_sheet(rows, side=57, title="The nearest drawings")


def draw_photos(name: str) -> tuple[Image.Image, Image.Image]:
    """Turn built-in photos into sketches.

    Args:
        name: of the network.

    Returns:
        Two of them for the first screen, and all of them, with the sketch that each photo was made from.
    """
    stylizer = prepare_stylizer(load_stylizer(name))
    scenes = [doodle(kind, 3) for kind in KINDS]
    photos = [scene.photo(2 * SIDE) for scene in scenes]
    sketches = [stylize(stylizer, photo) for photo in photos]
    few = [[photos[place], sketches[place]] for place in (2, 3)]
    title = "A photo turned into a sketch"
    true = [scene.sketch(2 * SIDE) for scene in scenes]
    return (
        draw_grid(few, side=142, column_names=("photo", "sketch"), title=title),
        draw_grid([photos, sketches, true], side=SIDE, row_names=("photo", name, "true sketch")),
    )


def draw_prompts(base: str, *, steps: int, seed: int) -> tuple[list[str], Image.Image]:
    """Draw a prompt of each kind twice with a text-to-image model; return the prompts and the sheet."""
    prompts = make_prompts(KINDS, "a photo of a {}")
    pipeline = load_text_to_image(base)
    drawn = draw_with(pipeline, prompts, (seed, seed + 1), steps=steps, guidance=4.0, batch_size=2 * len(prompts))
    pictures = [drawing.picture for drawing in drawn]
    rows = [pictures[0::2], pictures[1::2]]
    names = ("a photo of a ...", "another seed")
    return prompts, draw_grid(rows, side=96, row_names=names, column_names=[readable(kind) for kind in KINDS])
