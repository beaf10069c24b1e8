"""Recall of the gallery's index, searches a second of the index against exact, and rows added a second.

    python benchmarks/gallery.py [--rows 100000] [--data FOLDER] [--seeds 512] [--queries 200] [--rounds 5]

The rows are clustered as drawings are. A few hundred drawings are embedded: of `--data`, a folder of class folders, or
else built-in doodles. Each row is a point between one of them and one of its 200 nearest, with noise of a quarter of
its length in all directions, at unit length. The queries are made likewise and are no rows.

Index and exact search take turns, round after round, so that a busy machine slows them alike; the ratio is of medians.
The rows go in 1024 a commit, as `gallery add` writes them; what embedding costs is not in it, and has its own line.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

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
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--weights", default="sketch")
    options = parser.parse_args()

    start = time.perf_counter()
    drawings = embed_drawings(options.data, options.seeds, options.weights)
    embedding_rate = len(drawings) / (time.perf_counter() - start)
    generator = np.random.default_rng(0)
    rows = spread(drawings, options.rows, generator)
    queries = spread(drawings, options.queries, generator)
    truth = np.argsort(-(queries @ rows.T), axis=1)[:, :K]

    with tempfile.TemporaryDirectory() as folder:
        table = PictureTable.create(Path(folder), rows.shape[1], exact_below=1)
        start = time.perf_counter()
        for first in range(0, len(rows), 1024):
            table.write([make_row(i, rows[i]) for i in range(first, min(first + 1024, len(rows)))])
        write_rate = len(rows) / (time.perf_counter() - start)
        start = time.perf_counter()
        table.tidy()
        index_seconds = time.perf_counter() - start

        seconds: dict[bool, list[float]] = {True: [], False: []}
        recall = {}
        for _ in range(options.rounds):
            for exact in seconds:
                start = time.perf_counter()
                found = [[int(row.id) for row, _ in table.nearest(query, K, exact=exact)] for query in queries]
                seconds[exact].append(time.perf_counter() - start)
                pairs = zip(found, truth.tolist(), strict=True)
                recall[exact] = sum(len(set(a) & set(b)) for a, b in pairs) / (K * len(queries))
    rate = {exact: len(queries) / statistics.median(times) for exact, times in seconds.items()}

    source = options.data.name if options.data else "doodles"
    print(f"{len(rows):,} rows of {rows.shape[1]} numbers, spread from {len(drawings):,} drawings ({source})\n")
    cells = [
        ["exact", f"{recall[True]:.4f}", f"{rate[True]:.1f}", "1.0"],
        ["index", f"{recall[False]:.4f}", f"{rate[False]:.1f}", f"{rate[False] / rate[True]:.1f}"],
    ]
    print(markdown_table(["search", f"recall@{K}", "queries a second", "ratio"], cells))
    print(f"\nrows written a second: {write_rate:,.0f}; making the index: {index_seconds:.1f} s")
    print(f"drawings read and embedded a second, one after the other: {embedding_rate:.1f}")


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
