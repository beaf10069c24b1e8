"""Time of the closed form of class separation against brute force over all pairs, and its memory over a long stream.

    python benchmarks/separation.py [--rows 20000] [--size 512] [--classes 125] [--rounds 3] [--threads 1]

Brute force: unit rows, their products in chunks of 256 rows (the fastest tried), added up within and across classes. In
float64 it is as exact as the closed form, in float32 faster; both are shown. All are timed in turn, round after round,
so that a busy machine slows them alike; the table gives medians. Memory is the growth of a fresh process's peak while
it takes in rows made chunk by chunk (Linux only).
"""

import argparse
import multiprocessing
import statistics
import time

import torch
from torch import Tensor

from peak_memory import peak_growth
from sketchloss import separation
from sketchloss.figures.tables import markdown_table
from sketchloss.metrics.separation import SeparationMeter

CHUNK = 256
STREAMED = (10_000, 100_000, 1_000_000)


def brute_force(rows: Tensor, labels: Tensor, dtype: torch.dtype) -> tuple[float, float]:
    """Return mean cosine distance within and across classes, pair by pair."""
    unit = torch.nn.functional.normalize(rows.to(dtype), dim=1)
    total = within = 0.0
    pairs = len(rows) * (len(rows) - 1)
    within_pairs = int((torch.bincount(labels) * (torch.bincount(labels) - 1)).sum())
    for start in range(0, len(rows), CHUNK):
        distances = 1 - unit[start : start + CHUNK] @ unit.T
        total += distances.sum().item()
        within += distances.mul_(labels[start : start + CHUNK, None] == labels).sum().item()
    return within / within_pairs, (total - within) / (pairs - within_pairs)


def make_rows(count: int, size: int, classes: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Return float32 rows like averaged ReLU features, not below zero, and labels."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(classes, (count,), generator=generator)
    return torch.rand(count, size, generator=generator), labels


def _memory(count: int, size: int, classes: int, chunk: int = 1000) -> int:
    """Return the bytes by which the peak of this process grows while rows stream through the meter."""
    torch.set_num_threads(1)
    rows, labels = make_rows(chunk, size, classes)
    meter = SeparationMeter()

    def stream() -> None:
        for number in range(count // chunk):
            meter.add(rows.roll(number % size, dims=1), labels)
        meter.result()

    return peak_growth(stream)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--classes", type=int, default=125)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)

    rows, labels = make_rows(options.rows, options.size, options.classes)
    variants = {
        "brute force, float64": lambda: brute_force(rows, labels, torch.float64),
        "brute force, float32": lambda: brute_force(rows, labels, torch.float32),
        "closed form, float64": lambda: (lambda found: (found.intra, found.inter))(separation(rows, labels)),
    }
    seconds: dict[str, list[float]] = {name: [] for name in variants}
    found = {}
    separation(rows, labels)
    for _ in range(options.rounds):
        for name, run in variants.items():
            for _ in range(10 if name.startswith("closed") else 1):
                start = time.perf_counter()
                found[name] = run()
                seconds[name].append(time.perf_counter() - start)

    exact, ours = found["brute force, float64"], statistics.median(seconds["closed form, float64"])
    cells = []
    for name, times in seconds.items():
        middle = statistics.median(times)
        error = max(abs(one - other) for one, other in zip(found[name], exact, strict=True))
        cells.append([name, f"{middle:.4f}", f"{middle / ours:,.0f}x", f"{error:.0e}"])
    print(
        f"{options.rows:,} x {options.size} float32 rows, {options.classes} classes, {options.threads} threads, median "
        f"of {options.rounds} rounds (closed form: ten runs in each)\n"
    )
    print(markdown_table(["", "seconds", "of the closed form", "off by"], cells))

    reading = statistics.median(_timed(rows.sum) for _ in range(10))
    print(f"\nReading the rows once takes {reading:.4f} s: the closed form takes {ours / reading:.1f} times that.\n")
    cells = []
    for count in STREAMED:
        with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
            grown = pool.apply(_memory, (count, options.size, options.classes))
        cells.append([f"{count:,}", f"{grown / 2**20:.1f}", f"{count * options.size * 4 / 2**20:,.0f}"])
    print(markdown_table(["rows streamed", "peak MiB beyond a chunk", "MiB of all rows"], cells))


def _timed(function) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
