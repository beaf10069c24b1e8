"""Draw the figures of the docs into docs/images.

    python docs/figures.py
    python docs/figures.py --table RUNS/table1 --set fs2k-style-3 --photos PHOTO...

The second also draws photos with the networks of a `sketchloss style table`.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from sketchloss import ARMS, SketchLoss
from sketchloss.compare import Pair, measure, picture_differences
from sketchloss.data.doodles import STYLES, doodle
from sketchloss.images import fill_square, read_picture, save_picture
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


def main() -> None:
    """Write all figures."""
    from tempfile import TemporaryDirectory

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", type=Path)
    parser.add_argument("--set", default="fs2k-style-3")
    parser.add_argument("--photos", type=Path, nargs="+", default=[])
    options = parser.parse_args()

    IMAGES.mkdir(exist_ok=True)
    save_picture(draw_doodles(), IMAGES / "doodles.png")
    with TemporaryDirectory() as folder:
        save_picture(draw_comparison(Path(folder)), IMAGES / "compare.png")
    if options.table:
        save_picture(draw_photos(options.table, options.set, options.photos), IMAGES / "photo_to_sketch.jpg")


if __name__ == "__main__":
    main()
