"""Memory and time of the loss on a scan, whole and in patches, forward and backward (Linux only).

    python benchmarks/large_picture.py --pixels 3 12

Each is a fresh process. Memory is the growth of its peak; a picture of 12 megapixels is 4000x3000.
"""

import argparse
import multiprocessing
import time

import torch

import sketchloss.loss.loss
from peak_memory import peak_growth
from sketchloss import SketchLoss
from sketchloss.figures.tables import markdown_table

#: Megapixels up to which the whole picture is tried, too.
WHOLE = 3


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--pixels", type=float, nargs="+", default=[1.5, 3, 12], help="megapixels of the pictures")
    parser.add_argument("--weights", default="sketch")
    parser.add_argument("--metric", default="ink")
    options = parser.parse_args()
    rows = []
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
        for megapixels in options.pixels:
            found = {}
            for way in ("whole", "in patches") if megapixels <= WHOLE else ("in patches",):
                found[way] = pool.apply(measure, (options.weights, options.metric, megapixels, way == "whole"))
                peak, seconds, value = found[way]
                beside = f"{seconds / found['whole'][1]:.2f}x" if "whole" in found else "-"
                rows.append([f"{megapixels:g}", way, f"{peak / 2**30:.2f}", f"{seconds:.0f}", beside, f"{value:.7f}"])
                print(" ".join(rows[-1]), flush=True)
    print(markdown_table(["megapixels", "", "peak GiB", "seconds", "beside whole", "value"], rows))


def measure(weights: str, metric: str, megapixels: float, whole: bool) -> tuple[int, float, float]:
    """Return the growth of the peak, the seconds and the value of one forward and backward pass."""
    sketchloss.loss.loss.LARGE = 2**62 if whole else 1
    loss = SketchLoss(weights, metric=metric)  # pyright: ignore[reportArgumentType]
    width = round((megapixels * 1e6 * 4 / 3) ** 0.5)
    random = torch.Generator().manual_seed(0)
    ink = (torch.rand(2, 1, round(width * 3 / 4), width, generator=random) < 0.02).float()
    pred, target = (1 - torch.nn.functional.max_pool2d(ink, 3, 1, 1)).split(1)
    pred.requires_grad_()
    values = []

    def step() -> None:
        values.append(loss(pred, target))
        values[0].backward()

    begin = time.perf_counter()
    peak = peak_growth(step)
    return peak, time.perf_counter() - begin, values[0].item()


if __name__ == "__main__":
    main()
