"""Rate and memory of `sketchloss gallery build` and `gallery duplicates`, over few and many drawings.

    python benchmarks/building.py [--few 1000] [--many 10000] [--ways sketch:no sketch:bf16 sketch-small:bf16]

Doodles of 128 pixels, all different, and of each hundredth a copy as JPEG. Each command runs in a fresh process; memory
is the growth of the process's peak over the whole command, from listing the folder on (Linux only). The first way is
measured over the few alone. Seconds are those of the clock: run it on an idle machine.
"""

import argparse
import contextlib
import io
import multiprocessing
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from PIL import Image

from peak_memory import peak_growth
from sketchloss.data.doodles.kinds import KINDS, doodle
from sketchloss.figures.tables import markdown_table
from sketchloss.gallery.commands import build
from sketchloss.gallery.duplicates.command import duplicates
from sketchloss.gallery.duplicates.options import FindDuplicates
from sketchloss.gallery.options import Build

SIZE, COPIED = 128, 100
#: Runs one command: folder of the drawings, weights and precision, number of drawings.
Command = Callable[[Path, str, int], None]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--few", type=int, default=1_000)
    parser.add_argument("--many", type=int, default=10_000)
    parser.add_argument("--ways", nargs="+", default=["sketch:no", "sketch:bf16", "sketch-small:bf16"])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for count in (options.few, options.many):
            draw(folder / str(count), count)
        rows, first = [], None
        for way in options.ways:
            counts = (options.few,) if way == options.ways[0] else (options.few, options.many)
            for count in counts:
                seconds, memory = in_process(build_gallery, folder, way, count)
                rate = count / seconds
                first = first or rate
                found = in_process(find_duplicates, folder, way, count)
                cells = [f"{rate:.0f}", f"{rate / first:.1f}x", f"{memory / 2**20:,.0f}", f"{found[0]:.0f}"]
                rows.append([way, f"{count:,}", *cells, f"{found[1] / 2**20:,.0f}"])
    columns = ("weights:precision", "drawings", "built a second", "ratio", "MiB", "duplicates, seconds", "MiB")
    print(markdown_table(columns, rows))


def draw(place: Path, count: int) -> None:
    """Write doodles, and copies of some as JPEG."""
    place.mkdir()
    for number in range(count):
        original = number - COPIED // 2
        if number % COPIED == COPIED - 1:
            with Image.open(place / f"{original:06d}.png") as picture:
                picture.convert("RGB").save(place / f"{number:06d}.jpg", quality=80)
        else:
            picture = doodle(KINDS[number % len(KINDS)], number, style="ink").sketch(SIZE)
            picture.save(place / f"{number:06d}.png")


def in_process(call: Command, folder: Path, way: str, count: int) -> tuple[float, int]:
    """Return the seconds and the growth of the peak in bytes of a command in a fresh process."""
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
        return pool.apply(measured, (call, folder, way, count))


def measured(call: Command, folder: Path, way: str, count: int) -> tuple[float, int]:
    start = time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()):
        growth = peak_growth(partial(call, folder, way, count))
    return time.perf_counter() - start, growth


def build_gallery(folder: Path, way: str, count: int) -> None:
    weights, _, precision = way.rpartition(":")
    place = folder / f"gallery {way.replace('/', ' ')} {count}"
    build(Build(place, (folder / str(count),), weights=weights, precision=precision))  # pyright: ignore[reportArgumentType]


def find_duplicates(folder: Path, way: str, count: int) -> None:
    duplicates(FindDuplicates(folder / f"gallery {way.replace('/', ' ')} {count}"))


if __name__ == "__main__":
    main()
