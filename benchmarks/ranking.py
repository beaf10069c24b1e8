"""Nearest neighbours against the bare product and top-k, and against faiss: time and memory.

    python benchmarks/ranking.py [--queries 5000] [--gallery 45000] [--size 512] [--rounds 5]

All variants are timed in turn, round after round, so that a busy machine slows them alike; the table gives medians and
ratios. Memory is the growth of a fresh process's peak over one call. All must find the same rows.
"""

import argparse
import multiprocessing
import statistics
import time
from collections.abc import Callable

import faiss
import torch
import torch.nn.functional as F
from torch import Tensor

from peak_memory import peak_growth
from sketchloss.figures.tables import markdown_table
from sketchloss.metrics.ranking import nearest

K = 5


def unit_rows(count: int, size: int, seed: int) -> Tensor:
    """Return L2-normalised random rows."""
    return F.normalize(torch.randn(count, size, generator=torch.Generator().manual_seed(seed)), dim=1)


def make_variants(queries: Tensor, gallery: Tensor) -> dict[str, Callable[[], Tensor]]:
    """Return name -> function that finds the rows of the K nearest."""

    def with_faiss() -> Tensor:
        index = faiss.IndexFlatIP(gallery.shape[1])
        index.add(gallery.numpy())
        return torch.from_numpy(index.search(queries.numpy(), K)[1])

    def bare_in_chunks() -> Tensor:
        return torch.cat([(chunk @ gallery.T).topk(K).indices for chunk in queries.split(372)])

    return {
        "bare: (queries @ gallery.T).topk(5)": lambda: (queries @ gallery.T).topk(K).indices,
        "bare, 372 queries at once": bare_in_chunks,
        "sketchloss.metrics.ranking.nearest": lambda: nearest(queries, gallery, K)[1],
        "faiss IndexFlatIP": with_faiss,
    }


def _memory(shape: tuple[int, int, int], name: str) -> int:
    """Return the bytes by which the peak of this process grows over one call (Linux only)."""
    call = make_variants(unit_rows(shape[0], shape[2], 0), unit_rows(shape[1], shape[2], 1))[name]
    return peak_growth(call)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("queries", 5000), ("gallery", 45000), ("size", 512), ("rounds", 5)):
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    shape = (options.queries, options.gallery, options.size)

    variants = make_variants(unit_rows(shape[0], shape[2], 0), unit_rows(shape[1], shape[2], 1))
    found = [call() for call in variants.values()]
    for name, rows in zip(variants, found, strict=True):
        share = (rows == found[0]).double().mean().item()
        print(f"{name}: {share:.4%} of the rows as the first")
    seconds: dict[str, list[float]] = {name: [] for name in variants}
    for _ in range(options.rounds):
        for name, call in variants.items():
            start = time.perf_counter()
            call()
            seconds[name].append(time.perf_counter() - start)
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
        memory = {name: pool.apply(_memory, (shape, name)) for name in variants}

    bare = statistics.median(next(iter(seconds.values())))
    rows = []
    for name, times in seconds.items():
        middle = statistics.median(times)
        rows.append([name, f"{middle:.2f}", f"{middle / bare:.2f}", f"{memory[name] / 2**20:,.0f}"])
    print(f"\n{' x '.join(map(str, shape))}, {torch.get_num_threads()} threads, median of {options.rounds} rounds\n")
    print(markdown_table(["variant", "seconds", "of the bare one's", "peak MiB"], rows))


if __name__ == "__main__":
    main()
