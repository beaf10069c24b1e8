"""Rate and memory of `sketchloss compare` on two folders: a batch at a time, as it was, or a thread for each core.

    python benchmarks/folders.py [--pairs 24] [--size 256] [--rounds 2] [--few 1000] [--many 10000]

The rate is of doodles drawn twice by other hands, with the `sketch` weights. All ways take turns, round after round, so
that a busy machine slows them alike; the ratios are of medians. CPU seconds are those of all threads together, also
while they wait for each other.

Memory is the growth of a fresh process's peak over one whole command, from listing the folders to the Parquet file,
for `--few` and for `--many` pairs of 32 pixels and a narrow network. The limits beside the numbers are what we want.
"""

import argparse
import multiprocessing
import statistics
import tempfile
import time
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import torch

from peak_memory import peak_growth
from sketchloss import Backbone, SketchLoss, save_backbone
from sketchloss.compare.command import compare
from sketchloss.compare.measuring import PairDistance, measure_each
from sketchloss.compare.pairing import Pair, match_folders
from sketchloss.compare.settings import Compare
from sketchloss.data.doodles.kinds import KINDS, doodle
from sketchloss.figures.tables import markdown_table

#: Name of a way to measure -> its settings. The first is what the others are compared with.
WAYS: dict[str, dict[str, Any]] = {
    "one batch at a time": {"workers": 1},
    "a thread for each core": {},
    "one batch at a time, bf16": {"workers": 1, "precision": "bf16"},
    "a thread for each core, bf16": {"precision": "bf16"},
}
#: Wanted: how many times as many pairs a second the best way measures, and how much more memory many pairs need.
WANTED_RATE, WANTED_MEMORY = 4.0, 1.2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=24)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--few", type=int, default=1_000)
    parser.add_argument("--many", type=int, default=10_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if options.pairs:
            print_rates(Path(folder) / "rate", options)
        print_memory(Path(folder), options)


def print_rates(place: Path, options: argparse.Namespace) -> None:
    """Measure the same pairs in each way, in turn."""
    draw(place, options.pairs, options.size)
    pairs, _, _ = match_folders(place / "old", place / "new")
    loss = SketchLoss("sketch", check=False)
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in WAYS}
    totals: dict[str, list[float]] = {}
    for way in WAYS.values():
        measure(loss, pairs[:2], options.size, way)  # warms up
    for _, (name, way) in product(range(options.rounds), WAYS.items()):
        cpu, wall = time.process_time(), time.perf_counter()
        totals[name] = measure(loss, pairs, options.size, way)
        seconds[name].append((time.process_time() - cpu, time.perf_counter() - wall))

    exact = torch.tensor(totals[next(iter(WAYS))])
    rows, first = [], None
    for name, times in seconds.items():
        cpu, wall = (statistics.median(column) for column in zip(*times, strict=True))
        first = first or (cpu, wall)
        off = ((torch.tensor(totals[name]) - exact).abs() / exact).max().item()
        cells = [
            f"{len(pairs) / cpu:.2f}",
            f"{first[0] / cpu:.2f}x",
            f"{len(pairs) / wall:.2f}",
            f"{first[1] / wall:.2f}x",
        ]
        rows.append([name, *cells, f"{off:.1e}"])
    head = f"{len(pairs)} pairs at {options.size} pixels, {torch.get_num_threads()} cores, {options.rounds} rounds"
    print(f"{head}; wanted: {WANTED_RATE:.0f}x\n")
    columns = ["way", "pairs a CPU second", "ratio", "pairs a second", "ratio", "greatest relative difference"]
    print(markdown_table(columns, rows), flush=True)


def measure(loss: SketchLoss, pairs: list[Pair], size: int, way: dict[str, Any]) -> list[float]:
    """Return the distances of pairs, measured in one way."""
    found = measure_each(loss, pairs, size=size, **way)
    return [one.total for one in found if isinstance(one, PairDistance)]


def draw(place: Path, count: int, size: int) -> None:
    """Write doodles into `old`, and the same of another hand into `new`."""
    for folder in ("old", "new"):
        (place / folder).mkdir(parents=True)
    for number in range(count):
        drawing = doodle(KINDS[number % len(KINDS)], number, style="ink")
        drawing.sketch(size).save(place / "old" / f"{number:06d}.png")
        drawing.redrawn(1).sketch(size).save(place / "new" / f"{number:06d}.png")


# Memory --------------------------------------------------------------------------------------------------------------


def print_memory(folder: Path, options: argparse.Namespace) -> None:
    """Run the command in fresh processes, on few and on many pairs."""
    torch.manual_seed(0)
    save_backbone(Backbone(width=1 / 16), folder / "weights", dtype=torch.float32)
    draw(folder / "drawn", 100, 32)
    growth = []
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
        for count in (options.few, options.many):
            multiply(folder / "drawn", folder / str(count), count)
            growth.append(pool.apply(memory_of_command, (folder, count)))
    few, many = (f"{one / 2**20:,.0f} MiB" for one in growth)
    ratio = growth[1] / growth[0]
    print(f"\npeak memory: {few} over {options.few:,} pairs, {many} over {options.many:,} ({ratio:.2f}x)", end="")
    print(f"; wanted: below {WANTED_MEMORY}x")


def multiply(drawn: Path, place: Path, count: int) -> None:
    """Fill two folders with links to a few drawings, in turn."""
    for folder in ("old", "new"):
        files = sorted((drawn / folder).iterdir())
        (place / folder).mkdir(parents=True)
        for number in range(count):
            (place / folder / f"{number:06d}.png").hardlink_to(files[number % len(files)])


def memory_of_command(folder: Path, count: int) -> int:
    """Return the bytes by which the peak of this process grows over one command (Linux only)."""
    place = folder / str(count)
    config = Compare(
        place / "old",
        place / "new",
        rows=folder / f"{count}.parquet",
        weights=str(folder / "weights"),
        size=32,
        quiet=True,
    )
    return peak_growth(partial(compare, config))


if __name__ == "__main__":
    main()
