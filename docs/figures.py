"""Draw the figures of the docs: `python docs/figures.py`, into docs/images."""

from pathlib import Path

from PIL import Image

from sketchloss import SketchLoss
from sketchloss.compare import Pair, measure, picture_differences
from sketchloss.data.doodles import STYLES, doodle
from sketchloss.images import save_picture

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


def main() -> None:
    """Write all figures."""
    from tempfile import TemporaryDirectory

    IMAGES.mkdir(exist_ok=True)
    save_picture(draw_doodles(), IMAGES / "doodles.png")
    with TemporaryDirectory() as folder:
        save_picture(draw_comparison(Path(folder)), IMAGES / "compare.png")


if __name__ == "__main__":
    main()
