"""Draw the figures of the docs into docs/images.

    python docs/figures.py
    python docs/figures.py --table RUNS/table1 --set fs2k-style-3 --photos PHOTO...
    python docs/figures.py --lora RUNS/table2/runs/attention+tuning-0

The second also draws photos with the networks of a `sketchloss style table`, the third prompts with a LoRA on `tiny`.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from PIL import Image

from sketchloss import ARMS, SketchLoss, to_tensor
from sketchloss.compare.measuring import Pair, measure, picture_differences
from sketchloss.data.captions.prompts import make_prompts, readable
from sketchloss.data.doodles.kinds import KINDS as DOODLES
from sketchloss.data.doodles.kinds import STYLES, doodle
from sketchloss.data.quickdraw.drawings import open_drawings, split_in_halves
from sketchloss.diffusion.bases import TINY
from sketchloss.diffusion.pipeline import load_text_to_image
from sketchloss.figures.grid import draw_grid
from sketchloss.lora import load_lora
from sketchloss.lora.sampling import draw
from sketchloss.loss.loss import PAPER_LAYERS
from sketchloss.metrics.plain_distance import Distance, baselines
from sketchloss.networks.stylizer import load_stylizer
from sketchloss.strokes.command import strokes
from sketchloss.strokes.settings import Strokes
from sketchloss.stylize import prepare_stylizer, stylize
from sketchloss.system.images import fill_square, open_picture, save_picture

IMAGES = Path(__file__).parent / "images"
KINDS = ("bicycle", "bird", "cat", "clock", "house", "ice_cream", "rabbit", "scissors", "snail", "tree")
SIDE, GAP = 128, 6
#: Of the figure of choices.
COLUMNS = 8


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


def draw_choices() -> Figure:
    """Doodles, each beside another of its kind and an empty page: which is nearer in what.

    Shown are drawings of kinds spread over the alphabet, whatever the answers; the shares are of all that are asked.
    """
    _, asked = split_in_halves(open_drawings("doodles", per_class=8, classes=35), 0)
    labels = [drawing.label for drawing in asked]
    references = torch.stack([to_tensor(drawing.picture(SIDE).convert("RGB")) for drawing in asked])
    others = references[[_next_of_the_kind(labels, place) for place in range(len(labels))]]
    pixels, _, structure = baselines()
    distances: dict[str, Distance] = {
        "pixels (L1)": pixels.function,
        "1 - SSIM": structure.function,
        "VGG loss, trained on photos": SketchLoss("imagenet", metric="l1", layers=PAPER_LAYERS, reduction="none"),
        "sketchloss": SketchLoss(reduction="none"),
    }
    with torch.no_grad():
        right = {
            name: distance(others, references) < distance(torch.ones_like(references), references)
            for name, distance in distances.items()
        }
    firsts = [labels.index(label) for label in sorted(set(labels))]
    shown = [firsts[place] for place in np.linspace(0, len(firsts) - 1, COLUMNS).round().astype(int)]

    figure = Figure(figsize=(11, 4.9), layout="constrained")
    rows = {"the drawing": references, "A: another one": others, "B: an empty page": torch.ones_like(references)}
    axes = figure.subplots(
        len(rows) + 1, len(shown) + 1, height_ratios=(1, 1, 1, 1.1), width_ratios=(2.5, *[1] * COLUMNS)
    )
    for one in axes.flat:
        one.set_axis_off()
    for row, (name, pictures) in enumerate(rows.items()):
        axes[row, 0].text(1, 0.5, name, ha="right", va="center", fontsize=11)
        for column, place in enumerate(shown):
            axes[row, column + 1].imshow(pictures[place].permute(1, 2, 0))
            axes[row, column + 1].set(xticks=(), yticks=())
            axes[row, column + 1].set_axis_on()
            axes[row, column + 1].spines[:].set_color("lightgrey")
    for line, (name, answers) in enumerate(right.items()):
        height, weight = 0.88 - 0.26 * line, "bold" if name == "sketchloss" else "normal"
        said = f"{name}: {int(answers.sum())} right"
        axes[-1, 0].text(1, height, said, ha="right", va="center", fontsize=10, weight=weight)
        for column, place in enumerate(shown):
            answer, colour = ("A", "#0072B2") if answers[place] else ("B", "#D55E00")
            style = {"ha": "center", "va": "center", "fontsize": 12, "weight": "bold", "color": colour}
            axes[-1, column + 1].text(0.5, height, answer, **style)
    figure.suptitle(f"Which of the two is nearer to the drawing? ({len(asked)} asked)", fontsize=13)
    return figure


def _next_of_the_kind(labels: Sequence[str], place: int) -> int:
    """Return the place of the next drawing of the same kind, the first after the last."""
    same = [one for one, label in enumerate(labels) if label == labels[place]]
    return same[(same.index(place) + 1) % len(same)]


def draw_photos(table: Path, name: str, photos: Sequence[Path]) -> Image.Image:
    """Photos, and what the network of each arm makes of them, at twice the size it was trained at."""
    stylizers = {arm: prepare_stylizer(load_stylizer(table / "runs" / name / arm)) for arm in ARMS}
    side = 2 * next(iter(stylizers.values())).config.image_size
    pictures = [fill_square(open_picture(photo), side) for photo in photos]
    rows = [[picture, *(stylize(stylizer, picture) for stylizer in stylizers.values())] for picture in pictures]
    return draw_grid(rows, side=144, column_names=("photo", *ARMS))


def draw_strokes(folder: Path) -> None:
    """The way of 24 strokes to a doodle of a cat, as `sketchloss strokes` draws it."""
    save_picture(doodle("cat", 3, style="ink").sketch(400), folder / "cat.png")
    files = {"out": folder / "cat.svg", "gif": IMAGES / "strokes.gif"}
    strokes(Strokes(folder / "cat.png", count=24, size=192, force=True, **files))


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
        draw_strokes(Path(folder))
    draw_choices().savefig(IMAGES / "choices.png", dpi=110)
    save_picture(draw_base(), IMAGES / "tiny.png")
    if options.lora:
        save_picture(draw_lessons(options.lora), IMAGES / "prompt_to_sketch.png")
    if options.table:
        save_picture(draw_photos(options.table, options.set, options.photos), IMAGES / "photo_to_sketch.jpg")


if __name__ == "__main__":
    main()
