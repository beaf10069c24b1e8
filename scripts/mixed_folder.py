"""How well does a gallery search with pictures from a scanner and a phone? A table, with and without cleaning.

    SKETCHLOSS_DATA=FOLDER python scripts/mixed_folder.py --data tuberlin --out mixed.json
    python scripts/mixed_folder.py --draw docs/images/clean_page.png

Clean drawings are made into pictures of several kinds: inverted, on grey paper, in a corner of a scanned sheet, and so
on (`KINDS`). They are queries to a gallery of clean drawings, and to one whose drawings are of all kinds in turn. A
query is right if the nearest drawing has its class. No query is a drawing of the gallery. The second command draws a
doodle as each kind, and what cleaning makes of it.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from matplotlib.figure import Figure
from PIL import Image, ImageFilter, ImageOps

from sketchloss.data.doodles.kinds import doodle
from sketchloss.experiments.probe.measures import wilson
from sketchloss.figures.tables import markdown_table
from sketchloss.gallery import Gallery
from sketchloss.gallery.searching import TURNS
from sketchloss.system.clean_page import NoDrawing, clean_page
from sketchloss.system.files import write_json
from sketchloss.system.images import fit_square, open_picture
from sketchloss.system.picture_files import find_pictures

Random = np.random.Generator
#: Width and height of an A4 sheet in inches.
A4 = (8.27, 11.69)
#: Side in pixels of the clean drawings.
SIDE = 256
AS_IT_CAME, CLEANED = "as it came", "cleaned"


def main() -> None:
    """Print the table, and write its numbers."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--draw", type=Path, help="only draw the kinds, into this picture")
    what.add_argument("--data", help="class folders of drawings, below $SKETCHLOSS_DATA or a path")
    parser.add_argument("--classes", type=int, default=20)
    parser.add_argument("--gallery", type=int, default=10, help="drawings of each class in the gallery")
    parser.add_argument("--queries", type=int, default=5, help="drawings of each class to search with")
    parser.add_argument("--kinds", nargs="+", default=list(KINDS), choices=KINDS)
    parser.add_argument("--weights", default="sketch")
    parser.add_argument("--image-size", type=int, default=128)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="also write the numbers here, as JSON")
    options = parser.parse_args()
    try:
        if options.draw:
            draw(options.draw, options.seed)
            return
        kept, asked = choose(options)
        found = measure(kept, asked, options)
        print(table(found, len(asked)))
    except (ValueError, FileNotFoundError) as error:
        print(f"mixed_folder: {error}", file=sys.stderr)
        sys.exit(2)


Drawings = list[tuple[str, Image.Image]]


def choose(options: argparse.Namespace) -> tuple[Drawings, Drawings]:
    """Choose the gallery's drawings and the queries, each with its class."""
    folder = Path(os.environ.get("SKETCHLOSS_DATA", "")) / options.data
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is no folder: check --data and SKETCHLOSS_DATA")
    random = np.random.default_rng(options.seed)
    enough = {}
    for place in sorted(path for path in folder.iterdir() if path.is_dir()):
        pictures = find_pictures(place)
        if len(pictures) >= options.gallery + options.queries:
            enough[place.name] = pictures
    if not 0 < options.classes <= len(enough) or options.gallery < 1 or options.queries < 1:
        raise ValueError(
            f"{folder} has {len(enough)} classes of {options.gallery + options.queries} drawings and more: "
            f"{options.classes} classes cannot be taken; lower --classes, --gallery or --queries"
        )
    kept, asked = [], []
    for name in sorted(random.choice(list(enough), options.classes, replace=False)):
        chosen = random.permutation(len(enough[name]))[: options.gallery + options.queries]
        drawings = [(str(name), fit_square(open_picture(enough[name][place]), SIDE)) for place in chosen]
        kept += drawings[: options.gallery]
        asked += drawings[options.gallery :]
    return kept, asked


def measure(kept: Drawings, asked: Drawings, options: argparse.Namespace) -> dict[str, dict[str, list[bool]]]:
    """Return which queries are right: the kind, then the gallery and whether it cleans."""
    names, truth = list(KINDS), np.array([label for label, _ in asked])
    labels = np.array([label for label, _ in kept])
    found: dict[str, dict[str, list[bool]]] = {}
    with tempfile.TemporaryDirectory() as place:  # empty galleries: they read and embed, and the search is done here
        settings = {"weights": options.weights, "image_size": options.image_size}
        galleries = {
            how: Gallery.create(Path(place) / how, clean=how == CLEANED, **settings) for how in (AS_IT_CAME, CLEANED)
        }
        clean = embed([("clean", drawing) for _, drawing in kept], galleries, options.seed)
        mixed = embed(
            [(names[place % len(names)], drawing) for place, (_, drawing) in enumerate(kept)], galleries, options.seed
        )
        for kind in options.kinds:
            queries = embed([(kind, drawing) for _, drawing in asked], galleries, options.seed + 1, kind in TURNED)
            for title, turns in ((kind, 1), (f"{kind}, rotations", TURNS))[: 1 + (kind in TURNED)]:
                found[title] = {}
                for column, rows in (("clean gallery", clean), ("mixed gallery", mixed)):
                    for how in galleries:
                        similarity = np.max([vectors @ rows[how][0].T for vectors in queries[how][:turns]], axis=0)
                        found[title][f"{column}, {how}"] = (labels[similarity.argmax(1)] == truth).tolist()
                shares = {column: f"{np.mean(right):.3f}" for column, right in found[title].items()}
                print(f"{title}: {shares}", file=sys.stderr, flush=True)
            if options.out:  # after every kind: a long run that is stopped leaves what it found
                values = {key: str(value) if isinstance(value, Path) else value for key, value in vars(options).items()}
                write_json(options.out, {"settings": values, "right": found})
    return found


def embed(
    drawings: Drawings, galleries: dict[str, Gallery], seed: int, turned: bool = False
) -> dict[str, list[Float[np.ndarray, "n d"]]]:
    """Return the embeddings of drawings, each made into a picture of its kind: for each gallery, and each turn.

    A page on which cleaning finds no drawing counts as a white one.
    """
    read: dict[str, list[torch.Tensor]] = {how: [] for how in galleries}
    for number, (kind, drawing) in enumerate(drawings):
        picture = KINDS[kind](drawing, np.random.default_rng((seed, number)))
        for how, gallery in galleries.items():
            try:
                read[how].append(gallery.read(picture).image)
            except NoDrawing as error:
                print(f"{kind} {number}: {error}", file=sys.stderr, flush=True)
                read[how].append(torch.ones(3, *[gallery.settings.image_size] * 2))
    vectors: dict[str, list[Float[np.ndarray, "n d"]]] = {}
    for how, images in read.items():
        batches = torch.stack(images).split(16)
        vectors[how] = [
            np.concatenate([galleries[how].embed(batch.rot90(turn, (2, 3))) for batch in batches])
            for turn in range(TURNS if turned else 1)
        ]
    return vectors


def table(found: dict[str, dict[str, list[bool]]], queries: int) -> str:
    """Write the table: a row for each kind, in percent, with the interval of the second share."""
    columns = list(next(iter(found.values())))
    rows = []
    for kind, right in found.items():
        low, high = wilson(float(np.mean(right[columns[1]])), queries)
        shares = [f"{100 * np.mean(right[column]):.0f}" for column in columns]
        rows.append([kind, *shares, f"{100 * low:.0f} to {100 * high:.0f}"])
    return markdown_table(["queries", *columns, f"95 %, {columns[1]}"], rows)


def draw(path: Path, seed: int) -> None:
    """Draw a doodle as each kind but those that are only turned or moved, and what cleaning makes of it."""
    shown = list(KINDS)[1:6]
    drawing = doodle("bicycle", 3, style="ink").sketch(SIDE)
    figure = Figure(figsize=(1.5 * len(shown), 2.6), layout="constrained", facecolor="0.93")
    for column, (kind, axes) in enumerate(zip(shown, figure.subplots(2, len(shown)).T, strict=True)):
        picture = KINDS[kind](drawing, np.random.default_rng((seed, column)))
        axes[0].set_title(kind, fontsize=8)
        for place, page in zip(axes, (picture, clean_page(picture)), strict=True):
            place.imshow(fit_square(page.convert("L"), SIDE), cmap="gray", vmin=0, vmax=255)
            place.set_axis_off()
    figure.savefig(path, dpi=110)


# The kinds -----------------------------------------------------------------------------------------------------------


def inverted(drawing: Image.Image, _: Random) -> Image.Image:
    """Light lines on black."""
    return ImageOps.invert(drawing)


def grey_paper(drawing: Image.Image, random: Random) -> Image.Image:
    """Grey paper with texture, a light that falls off, and a shadow with a soft edge."""
    page = ImageOps.expand(drawing.resize((512, 512), Image.Resampling.BICUBIC), 40, "white")
    return on_paper(page, random, grey=(150, 200), texture=9, shadow=0.6)


def corner_of_sheet(drawing: Image.Image, random: Random, dpi: int = 300) -> Image.Image:
    """A drawing of 3 to 5 cm, its lines twice as wide, in a corner of a scanned A4 sheet."""
    size = tuple(round(inches * dpi) for inches in A4)
    side = round(random.uniform(1.2, 2.0) * dpi)
    small = thicker(drawing.resize((side, side), Image.Resampling.BICUBIC))
    margin = round(0.4 * dpi)
    place = [int(random.choice([margin, length - side - margin])) for length in size]
    sheet = Image.new("L", size, "white")
    sheet.paste(small.convert("L"), (place[0], place[1]))
    return on_paper(sheet, random, grey=(235, 250), texture=2, shadow=0.95)


def photographed(drawing: Image.Image, random: Random) -> Image.Image:
    """A page on a table, from a slant, in uneven light; the table is to be seen at all edges."""
    width, height = 900, 1200
    page = Image.new("L", (width, height), "white")
    side = round(random.uniform(0.5, 0.8) * width)
    place = (int(random.integers(40, width - side - 40)), int(random.integers(40, height - side - 40)))
    page.paste(drawing.convert("L").resize((side, side), Image.Resampling.BICUBIC), place)
    page = on_paper(page, random, grey=(190, 235), texture=4, shadow=0.7)
    # The corners of the page in the photo, each moved by up to 7 % of the side, the table around them.
    corners = np.array([(0.07, 0.07), (0.07, 0.93), (0.93, 0.93), (0.93, 0.07)]) + random.uniform(-0.06, 0.06, (4, 2))
    warp = perspective(corners * (width, height), np.array([(0, 0), (0, height), (width, height), (width, 0)]))
    table = noise((width, height), random, 12) + random.uniform(50, 120)
    stretched = page.transform(page.size, Image.Transform.PERSPECTIVE, warp, Image.Resampling.BICUBIC)
    inside = Image.new("L", page.size, 255).transform(page.size, Image.Transform.PERSPECTIVE, warp)
    photo = Image.composite(stretched, picture_of(table), inside).filter(ImageFilter.GaussianBlur(1))
    return as_jpeg(photo, 80)


def phone_thumbnail(drawing: Image.Image, random: Random) -> Image.Image:
    """A phone's picture of a page, sent at 90 pixels as a JPEG."""
    page = ImageOps.expand(drawing.resize((512, 512), Image.Resampling.BICUBIC), 40, "white")
    photo = on_paper(page, random, grey=(190, 230), texture=4, shadow=0.8)
    return as_jpeg(photo.resize((90, 90), Image.Resampling.BICUBIC), 50)


def shifted(drawing: Image.Image, random: Random) -> Image.Image:
    """The drawing at one end of a page of 1.6 times its side."""
    side = drawing.width
    page = Image.new("RGB", (round(1.6 * side),) * 2, "white")
    page.paste(drawing, tuple(int(random.choice([0, page.width - side])) for _ in range(2)))
    return page


def rotated(drawing: Image.Image, random: Random) -> Image.Image:
    """Rotated by up to 10 degrees."""
    angle = random.uniform(3, 10) * random.choice([-1, 1])
    return drawing.rotate(angle, Image.Resampling.BICUBIC, expand=True, fillcolor="white")


def on_its_side(drawing: Image.Image, random: Random) -> Image.Image:
    """Rotated by 90 degrees, to the left or to the right."""
    return drawing.transpose(random.choice([Image.Transpose.ROTATE_90, Image.Transpose.ROTATE_270]))


#: Name of a kind -> what makes a clean drawing, a square, into a picture of it.
KINDS: dict[str, Callable[[Image.Image, Random], Image.Image]] = {
    "clean": lambda drawing, _: drawing,
    "inverted": inverted,
    "grey paper": grey_paper,
    "corner of a sheet": corner_of_sheet,
    "photographed": photographed,
    "phone, 90 px": phone_thumbnail,
    "shifted": shifted,
    "rotated, 10°": rotated,
    "rotated, 90°": on_its_side,
}
#: Kinds that are also searched with rotations.
TURNED = ("clean", "rotated, 90°")


def on_paper(
    page: Image.Image, random: Random, *, grey: tuple[int, int], texture: float | int, shadow: float
) -> Image.Image:
    """Return a page on paper of a grey in this range, rough by this standard deviation, darkest by this factor."""
    page = page.convert("L")
    size = page.size
    # Light falls off to one side, and a shadow lies over one end; both are smooth, so they are made small.
    x, y = np.meshgrid(np.linspace(-1, 1, 64), np.linspace(-1, 1, 64))
    angle, other = random.uniform(0, 2 * np.pi, 2)
    falls = 0.5 + 0.5 * (np.cos(angle) * x + np.sin(angle) * y) / 1.42
    edge = 1 / (1 + np.exp(-12 * (np.cos(other) * x + np.sin(other) * y - random.uniform(-0.3, 0.6))))
    light = (1 - (1 - shadow) * 0.6 * falls) * (1 - (1 - shadow) * 0.8 * edge)
    light = np.asarray(Image.fromarray(np.float32(light)).resize(size, Image.Resampling.BICUBIC))
    ink = 1 - np.asarray(page, np.float32) / 255
    paper = np.float32(random.uniform(*grey)) + noise(size, random, texture)
    return picture_of(paper * light * (1 - 0.8 * ink))


def noise(size: tuple[int, int], random: Random, deviation: float | int) -> Float[np.ndarray, "h w"]:
    """Return noise of two grains, fine and coarse, tiled from a piece of 512 pixels."""
    fine = random.standard_normal((512, 512), np.float32)
    coarse = Image.fromarray(random.standard_normal((128, 128), np.float32)).resize((512, 512))
    piece = np.float32(deviation / 1.4) * (fine + np.asarray(coarse))
    return np.tile(piece, (-(-size[1] // 512), -(-size[0] // 512)))[: size[1], : size[0]]


def thicker(drawing: Image.Image) -> Image.Image:
    """Return a drawing with wider lines: by about 1/120 of its side."""
    return drawing.convert("L").filter(ImageFilter.MinFilter(drawing.width // 240 * 2 + 1))


def perspective(corners: Float[np.ndarray, "4 2"], targets: Float[np.ndarray, "4 2"]) -> list[float]:
    """Return the eight numbers of Pillow's perspective that lead points of the result to points of the picture."""
    rows, values = [], []
    for (x, y), (u, v) in zip(corners, targets, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        values += [u, v]
    return np.linalg.solve(np.array(rows), np.array(values)).tolist()


def picture_of(grey: Float[np.ndarray, "h w"]) -> Image.Image:
    """Return a picture of greys from 0 to 255."""
    return Image.fromarray(grey.clip(0, 255).astype(np.uint8)).convert("RGB")


def as_jpeg(picture: Image.Image, quality: int) -> Image.Image:
    """Return a picture as it comes out of a JPEG file."""
    file = BytesIO()
    picture.save(file, "JPEG", quality=quality)
    return Image.open(file).convert("RGB")


if __name__ == "__main__":
    main()
