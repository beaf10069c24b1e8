"""A gallery of many rows: recall and speed of its index against exact search, building it, memory and disk.

    python benchmarks/gallery.py [--rows 100000] [--data FOLDER] [--seeds 512] [--queries 200] [--rounds 5]
    python benchmarks/gallery.py --rows 2000000 --exact-queries 10 --rounds 3

The rows are clustered as drawings are. A few hundred drawings are embedded: of `--data`, a folder of class folders, or
else built-in doodles. Each row is a point between one of them and one of its 200 nearest, with noise of a quarter of
its length in all directions, at unit length. The queries are made likewise and are no rows.

Index and exact search take turns, round after round, so that a busy machine slows them alike; the ratio is of medians.
The rows go in 1024 a commit, as `gallery add` writes them; what embedding costs is not in it, and has its own line.
Rows are made as they are written, so that memory is what the gallery needs, whatever their number (Linux only).
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from peak_memory import peak_growth
from sketchloss import load_backbone
from sketchloss.data.doodles.kinds import KINDS, doodle
from sketchloss.figures.tables import markdown_table
from sketchloss.gallery.table import PictureTable, Row
from sketchloss.system.images import fit_square, open_picture, to_tensor
from sketchloss.system.picture_files import find_pictures

SIZE = 128
NEAR = 200
NOISE = 0.25
K = 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--seeds", type=int, default=512, help="drawings that are embedded")
    parser.add_argument("--queries", type=int, default=200)
    parser.add_argument("--exact-queries", type=int, help="of them, searched exactly, too; by default all")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--weights", default="sketch")
    options = parser.parse_args()

    start = time.perf_counter()
    drawings = embed_drawings(options.data, options.seeds, options.weights)
    embedding_rate = len(drawings) / (time.perf_counter() - start)
    generator = np.random.default_rng(0)
    queries = spread(drawings, options.queries, generator)
    truth = Nearest(queries)

    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        table = PictureTable.create(folder, drawings.shape[1], exact_below=1)
        stages: dict[str, list[str]] = {}

        def fill() -> None:
            for first in range(0, options.rows, 1024):
                rows = spread(drawings, min(1024, options.rows - first), generator)
                truth.look_at(rows, first)
                table.write([make_row(first + i, row) for i, row in enumerate(rows)])

        for name, call in (
            ("rows written, 1,024 a commit", fill),
            ("commits merged, index made", table.tidy),
            ("paths and hashes read, as `add` begins", table.known),
        ):
            start, processor = time.perf_counter(), time.process_time()
            growth = peak_growth(call)
            passed, computed = time.perf_counter() - start, time.process_time() - processor
            disk = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
            stages[name] = [f"{passed:.1f}", f"{computed:.1f}", f"{growth / 2**20:,.0f}", f"{disk / 2**20:,.0f}"]

        seconds: dict[bool, list[float]] = {True: [], False: []}
        recall, growths = {}, {True: 0, False: 0}
        for _ in range(options.rounds):
            for exact in seconds:
                asked = queries[: options.exact_queries] if exact else queries
                found: list[list[int]] = []

                def search(asked: np.ndarray = asked, exact: bool = exact, found: list = found) -> None:
                    found += [[int(row.id) for row, _ in table.nearest(query, K, exact=exact)] for query in asked]

                start = time.perf_counter()
                growths[exact] = max(growths[exact], peak_growth(search))
                seconds[exact].append((time.perf_counter() - start) / len(asked))
                pairs = zip(found, truth.rows.tolist(), strict=False)
                recall[exact] = sum(len(set(a) & set(b)) for a, b in pairs) / (K * len(asked))
    each = {exact: statistics.median(times) for exact, times in seconds.items()}

    source = options.data.name if options.data else "doodles"
    count = f"{options.rows:,} rows of {drawings.shape[1]} numbers"
    print(f"{count}, spread from {len(drawings):,} drawings ({source})\n")
    cells = [
        [
            *(name, f"{recall[exact]:.4f}", f"{1 / each[exact]:.1f}", f"{each[True] / each[exact]:.1f}"),
            *(f"{1000 * each[exact]:.1f}", f"{growths[exact] / 2**20:,.0f}"),
        ]
        for exact, name in ((True, "exact"), (False, "index"))
    ]
    columns = ["search", f"recall@{K}", "queries a second", "ratio", "ms a query", "memory, MiB"]
    print(markdown_table(columns, cells))
    columns = ["stage", "seconds", "processor seconds", "memory, MiB", "then on disk, MiB"]
    print("\n" + markdown_table(columns, [[name, *values] for name, values in stages.items()]))
    print(f"\ndrawings read and embedded a second, one after the other: {embedding_rate:.1f}")


class Nearest:
    """The rows most similar to queries among all that were looked at, by brute force."""

    def __init__(self, queries: np.ndarray) -> None:
        self.queries = queries
        self.rows = np.zeros((len(queries), 0), int)
        self.similarities = np.zeros((len(queries), 0), np.float32)

    def look_at(self, rows: np.ndarray, first: int) -> None:
        """Take in further rows, the first of which has this number."""
        similarities = np.hstack([self.similarities, self.queries @ rows.T])
        numbers = np.hstack([self.rows, np.tile(np.arange(first, first + len(rows)), (len(self.queries), 1))])
        kept = np.argsort(-similarities, axis=1)[:, :K]
        self.rows = np.take_along_axis(numbers, kept, axis=1)
        self.similarities = np.take_along_axis(similarities, kept, axis=1)


@torch.inference_mode()
def embed_drawings(folder: Path | None, count: int, weights: str) -> np.ndarray:
    """Return unit embeddings of drawings, n×d."""
    backbone = load_backbone(weights, classes=())
    if folder:
        paths = find_pictures(folder)
        chosen = np.random.default_rng(0).permutation(len(paths))[:count]
        pictures = (open_picture(paths[index]) for index in chosen)
    else:
        pictures = (doodle(KINDS[seed % len(KINDS)], seed).sketch(SIZE) for seed in range(count))
    rows = []
    for picture in pictures:
        image = (
            to_tensor(fit_square(picture, SIZE))[None]
            .expand(1, 3, SIZE, SIZE)
            .contiguous(memory_format=torch.channels_last)
        )
        rows.append(backbone.embed(image).numpy())
    return np.concatenate(rows)


def spread(drawings: np.ndarray, count: int, generator: np.random.Generator) -> np.ndarray:
    """Return unit rows between and around the drawings' embeddings, count×d."""
    near = np.argsort(-(drawings @ drawings.T), axis=1)[:, 1 : NEAR + 1]
    first = generator.integers(0, len(drawings), count)
    second = near[first, generator.integers(0, near.shape[1], count)]
    share = generator.random((count, 1), dtype=np.float32)
    rows = drawings[first] * (1 - share) + drawings[second] * share
    noise = generator.standard_normal(rows.shape, dtype=np.float32) * (NOISE / rows.shape[1] ** 0.5)
    rows += noise * np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def make_row(number: int, vector: np.ndarray) -> Row:
    return Row(f"{number:032d}", b"/%d.png" % number, f"{number:064d}", 1, None, vector)


if __name__ == "__main__":
    main()
