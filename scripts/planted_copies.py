"""Plant copies in a folder of drawings, let `sketchloss gallery duplicates` look for them, and count what it finds.

    python scripts/planted_copies.py --data SKETCHY --drawings 100 --out runs/planted
    python scripts/planted_copies.py --data doodles --drawings 5 --others 20 --out runs/doodles

Each chosen drawing gets an exact copy, a shifted, a re-encoded and a rescaled one, and two that are no copies: one with
ink erased and one with a stroke more. Other drawings of the same classes lie beside them. The folder stays in `--out`.
"""

import argparse
import json
from collections import Counter
from collections.abc import Iterator
from itertools import combinations, product
from pathlib import Path

import numpy as np
from PIL import Image, ImageChops

from sketchloss.data.doodles.kinds import KINDS, doodle
from sketchloss.data.picture_edits import erased, to_ink, to_paper
from sketchloss.data.quickdraw.painting import draw_strokes
from sketchloss.figures.tables import markdown_table
from sketchloss.gallery import Gallery
from sketchloss.gallery.duplicates import Duplicates, find_duplicates
from sketchloss.gallery.duplicates.options import MAX_DISTANCE
from sketchloss.system.images import open_picture
from sketchloss.system.picture_files import find_pictures

COPIES = ("exact", "shifted", "re-encoded", "rescaled")
#: What is no copy: the names of files that begin so are of one drawing, but not the same one.
EDITED = ("erased", "added")
DOODLES = 4  # of each kind
#: Greatest shift, in sides of the picture; qualities of JPEG; factors of the size; shares of the ink that is erased.
SHIFT, QUALITY, SCALE, ERASED = 0.1, (30, 90), (0.5, 2.0), (0.03, 0.15)


def plant(data: Path, out: Path, *, drawings: int, others: int, seed: int) -> None:
    """Write the folder: in each class folder, files named `KIND-NUMBER`; a number stands for one drawing."""
    rng = np.random.default_rng(seed)
    if str(data) == "doodles":
        data = out.parent / "doodles"
        for kind, number in product(KINDS, range(DOODLES)):
            (data / kind).mkdir(parents=True, exist_ok=True)
            doodle(kind, number).sketch(256).save(data / kind / f"{number}.png")
    found = find_pictures(data)
    chosen = [found[place] for place in rng.choice(len(found), min(drawings, len(found)), replace=False)]
    beside = [path for path in found if path not in set(chosen) and path.parent in {one.parent for one in chosen}]
    for number, path in enumerate(chosen):
        folder = out / path.parent.name
        folder.mkdir(parents=True, exist_ok=True)
        drawing = open_picture(path).convert("L")
        drawing.save(folder / f"original-{number}.png")
        drawing.save(folder / f"exact-{number}.png")
        quality = int(rng.integers(QUALITY[0], QUALITY[1] + 1))
        drawing.save(folder / f"re-encoded-{number}.jpg", quality=quality)
        for kind, picture in edits(drawing, rng):
            picture.save(folder / f"{kind}-{number}.png")
    for place in rng.permutation(len(beside))[:others]:
        folder = out / beside[place].parent.name
        open_picture(beside[place]).convert("L").save(folder / f"other-{len(chosen) + place}.png")


def edits(drawing: Image.Image, rng: np.random.Generator) -> Iterator[tuple[str, Image.Image]]:
    """Yield the drawing moved, rescaled, with ink erased, and with a stroke more."""
    width, height = drawing.size
    moved = Image.new("L", drawing.size, "white")
    moved.paste(drawing, (round(width * rng.uniform(-SHIFT, SHIFT)), round(height * rng.uniform(-SHIFT, SHIFT))))
    yield "shifted", moved
    factor = float(np.exp(rng.uniform(*np.log(SCALE))))
    filters = (Image.Resampling.BILINEAR, Image.Resampling.BICUBIC, Image.Resampling.LANCZOS)
    size = max(1, round(width * factor)), max(1, round(height * factor))
    yield "rescaled", drawing.resize(size, filters[rng.integers(len(filters))])
    ink = to_ink(drawing)
    yield "erased", to_paper(erased(ink, rng.uniform(*ERASED), rng))
    ends, bend = rng.uniform(0.1, 0.9, (2, 2)), rng.normal(0, 0.05, 2)
    side = max(drawing.size)
    stroke = draw_strokes([np.stack([ends[0], ends.mean(0) + bend, ends[1]])], side, line_width=max(1.5, side / 100))
    faded = to_paper(ink.max() * to_ink(stroke)[:height, :width])  # as dark as the others
    yield "added", ImageChops.darker(drawing, faded)


def count(found: Duplicates) -> tuple[Counter[str], Counter[str]]:
    """Count pairs of files that are in one group, by each kind that is in the pair: all, and those that are copies."""
    claimed: Counter[str] = Counter()
    right: Counter[str] = Counter()
    for group in found.groups:
        files = [group.kept.path, *(copy.path for copy in group.copies)]
        for pair in combinations(files, 2):
            kinds, numbers = zip(*(path.stem.rsplit("-", 1) for path in pair), strict=True)
            is_copy = numbers[0] == numbers[1] and all(kind in ("original", *COPIES) for kind in kinds)
            for kind in set(kinds):
                claimed[kind] += 1
                right[kind] += is_copy
    return claimed, right


def recall(found: Duplicates, folder: Path) -> dict[str, tuple[int, int]]:
    """Return for each kind how many files are in one group with their original, and how many there are."""
    with_original: Counter[str] = Counter()
    for group in found.groups:
        names = [path.stem.rsplit("-", 1) for path in (group.kept.path, *(copy.path for copy in group.copies))]
        originals = {number for kind, number in names if kind == "original"}
        with_original.update(kind for kind, number in names if number in originals)
    planted = Counter(path.stem.rsplit("-", 1)[0] for path in find_pictures(folder))
    return {kind: (with_original[kind], planted[kind]) for kind in (*COPIES, *EDITED)}


def main() -> None:
    """Plant, look, and print a table for each greatest distance."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of class folders of drawings, or `doodles`")
    parser.add_argument("--out", type=Path, required=True, help="new folder")
    parser.add_argument("--drawings", type=int, default=100, help="drawings that get copies")
    parser.add_argument("--others", type=int, default=400, help="other drawings of the same classes")
    parser.add_argument("--max-distance", type=float, nargs="+", default=[MAX_DISTANCE])
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    folder = options.out / "drawings"
    if not folder.exists():
        plant(options.data, folder, drawings=options.drawings, others=options.others, seed=options.seed)
    place = options.out / "gallery"
    gallery = Gallery.open(place) if place.exists() else Gallery.build(place, [folder], progress=True)[0]
    results = {}
    for distance in options.max_distance:
        found = find_duplicates(gallery, max_distance=distance, progress=True)
        claimed, right = count(found)
        rows = []
        for kind, (hits, planted) in recall(found, folder).items():
            precision = f"{right[kind] / claimed[kind]:.3f}" if kind in COPIES and claimed[kind] else "-"
            rows.append([kind, str(planted), f"{hits / planted:.3f}", precision])
        print(f"{len(gallery):,} drawings, max_distance {distance:g}\n")
        print(markdown_table(("kind", "planted", "found with its original", "precision of its pairs"), rows), "\n")
        distances: dict[str, list[float]] = {}
        for copy in (copy for group in found.groups for copy in group.copies if not copy.exact):
            distances.setdefault(copy.path.stem.rsplit("-", 1)[0], []).append(copy.distance)
        results[f"{distance:g}"] = {"rows": rows, "claimed": claimed, "right": right, "distances": distances}
    (options.out / "results.json").write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
