"""Draw the figures of the docs into docs/images.

    python docs/figures.py
    python docs/figures.py --table RUNS/table1 --set fs2k-style-3 --photos PHOTO...
    python docs/figures.py --lora RUNS/table2/runs/attention+tuning-0

The second also draws photos with the networks of a `sketchloss style table`, the third prompts with a LoRA on `tiny`.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from sketchloss import ARMS, SketchLoss
from sketchloss.compare import Pair, measure, picture_differences
from sketchloss.data.doodles import KINDS as DOODLES
from sketchloss.data.doodles import STYLES, doodle
from sketchloss.data.prompts import make_prompts, readable
from sketchloss.diffusion.bases import TINY
from sketchloss.diffusion.pipeline import load_text_to_image
from sketchloss.images import fill_square, read_picture, save_picture
from sketchloss.lora import load_lora
from sketchloss.lora.sampling import draw
from sketchloss.models.stylizer import load_stylizer
from sketchloss.report.grid import draw_grid
from sketchloss.stylize import prepare_stylizer, stylize

IMAGES = Path(__file__).parent / "images"
KINDS = ("bicycle", "bird", "cat", "clock", "house", "ice_cream", "rabbit", "scissors", "snail", "tree")
SIDE, GAP = 128, 6


def draw_doodles() -> Image.Image:
    """Ten kinds: each as pencil, ink and brush drawing of one scene, and its photo-like twin."""
    rows = len(STYLES) + 1
    sheet = Image.new("RGB", (len(KINDS) * (SIDE + GAP) - GAP, rows * (SIDE + GAP) - GAP), "white")
    for column, kind in enumerate(KINDS):
        scene = doodle(kind, 3)
        pictures = [*(scene.sketch(SIDE, style=style) for style in STYLES), scene.photo(SIDE)]
        for row, picture in enumerate(pictures):
            sheet.paste(picture, (column * (SIDE + GAP), row * (SIDE + GAP)))
    return sheet


def draw_comparison(folder: Path) -> Image.Image:
    """A drawing and the same drawing with some strokes missing and another hand, compared."""
    scene = doodle("house", 5, style="ink")
    files = [folder / "a.png", folder / "b.png"]
    save_picture(scene.sketch(320), files[0])
    save_picture(scene.redrawn(1).without(0.25, seed=1).sketch(320), files[1])
    loss = SketchLoss()
    distances, _ = measure(loss, [Pair("house", *files)])
    return picture_differences(loss, distances, weights="sketch")[0]


def draw_photos(table: Path, name: str, photos: Sequence[Path]) -> Image.Image:
    """Photos, and what the network of each arm makes of them, at twice the size it was trained at."""
    stylizers = {arm: prepare_stylizer(load_stylizer(table / "runs" / name / arm)) for arm in ARMS}
    side = 2 * next(iter(stylizers.values())).config.image_size
    pictures = [fill_square(read_picture(photo), side) for photo in photos]
    rows = [[picture, *(stylize(stylizer, picture) for stylizer in stylizers.values())] for picture in pictures]
    return draw_grid(rows, side=144, column_names=("photo", *ARMS))


def draw_base() -> Image.Image:
    """What the base `tiny` draws: every kind that it knows, once."""
    drawn = draw(load_text_to_image(TINY), make_prompts(DOODLES, "a photo of a {}"), (0,), guidance=4.0, batch_size=35)
    pictures = [drawing.picture for drawing in drawn]
    rows = [pictures[start : start + 7] for start in range(0, len(pictures), 7)]
    return draw_grid(rows, side=96)


def draw_lessons(lora: Path) -> Image.Image:
    """Ten kinds by the base `tiny`, and by the same base with a LoRA that taught it to sketch."""
    rows = []
    for template, taught in (("a photo of a {}", False), ("a sketch of a {}", False), ("a sketch of a {}", True)):
        pipeline = load_text_to_image(TINY)
        if taught:
            load_lora(pipeline, lora)
        drawn = draw(pipeline, make_prompts(KINDS, template), (0, 1), guidance=4.0, batch_size=20)
        pictures = [drawing.picture for drawing in drawn]
        rows += [pictures[0::2], pictures[1::2]] if taught else [pictures[0::2]]
    names = ("tiny, a photo", "tiny, a sketch", "with LoRA, a sketch", "another seed")
    return draw_grid(rows, side=96, row_names=names, column_names=[readable(kind) for kind in KINDS])


def main() -> None:
    """Write all figures."""
    from tempfile import TemporaryDirectory

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", type=Path)
    parser.add_argument("--set", default="fs2k-style-3")
    parser.add_argument("--photos", type=Path, nargs="+", default=[])
    parser.add_argument("--lora", type=Path)
    options = parser.parse_args()

    IMAGES.mkdir(exist_ok=True)
    save_picture(draw_doodles(), IMAGES / "doodles.png")
    with TemporaryDirectory() as folder:
        save_picture(draw_comparison(Path(folder)), IMAGES / "compare.png")
    save_picture(draw_base(), IMAGES / "tiny.png")
    if options.lora:
        save_picture(draw_lessons(options.lora), IMAGES / "prompt_to_sketch.png")
    if options.table:
        save_picture(draw_photos(options.table, options.set, options.photos), IMAGES / "photo_to_sketch.jpg")


if __name__ == "__main__":
    main()
