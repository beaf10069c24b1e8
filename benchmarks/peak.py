"""How near loss, embedding and stylizer come to what the processor can do, operation by operation.

    python benchmarks/peak.py [--weights sketch] [--dtype bfloat16] [--rows 12]

The peak is the better rate of a large matrix product and of the best 3×3 convolution of VGG's shapes, in the same run
and precision. The share of it is told for the whole, and for each operation with the shapes of its operands. Operations
by element (copies, sums, products) have no multiply-adds that count: they move memory.
"""

import argparse
import math
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import torch
import torch.nn.functional as F
from torch.profiler import ProfilerActivity, profile

from sketchloss import SketchLoss
from sketchloss.figures.tables import markdown_table
from sketchloss.networks.stylizer import Stylizer, StylizerConfig
from sketchloss.stylize.pictures import prepare_stylizer

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
#: Channels and side of the convolutions that the peak is looked for among: VGG-16's at 256 pixels.
SHAPES = ((64, 256), (128, 128), (256, 64), (512, 32))
BATCH = 4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", default="sketch")
    parser.add_argument("--dtype", choices=DTYPES, nargs="+", default=list(DTYPES))
    parser.add_argument("--rows", type=int, default=8, help="operations to list, of each work")
    options = parser.parse_args()
    print(f"{torch.get_num_threads()} threads")
    for name in options.dtype:
        dtype = DTYPES[name]
        peak = max(_product_rate(dtype), *(_convolution_rate(*shape, dtype) for shape in SHAPES))
        print(f"\n## {name}: {peak / 1e9:.0f} thousand million multiply-adds a second at best\n")
        whole = []
        for work, step in _works(options.weights, dtype).items():
            seconds = _seconds(step)
            rows = sorted(_operations(step), key=lambda row: -row[1])
            counted = sum(row[2] for row in rows)
            whole.append((work, f"{seconds:.3f}", f"{counted / 1e9:.1f}", f"{counted / seconds / peak:.0%}"))
            spent = sum(row[1] for row in rows)
            shown = [
                (operation, f"{time / spent:.0%}", f"{arithmetic / time / peak:.0%}" if arithmetic else "-")
                for operation, time, arithmetic in rows[: options.rows]
            ]
            print(f"\n### {work}\n")
            print(markdown_table(("operation and shape", "of the time", "of the peak"), shown))
        print("\n" + markdown_table(("work", "seconds", "GMAC", "of the peak"), whole))


def _works(weights: str, dtype: torch.dtype) -> dict[str, Callable[[], object]]:
    """Return name -> one step of the work."""
    generator = torch.Generator().manual_seed(0)
    target, pred = (torch.rand(BATCH, 3, 256, 256, generator=generator) for _ in range(2))
    loss = SketchLoss(weights).to(dtype)
    known = loss.extract(target.to(dtype))
    moving = pred.to(dtype).requires_grad_()
    backbone, pictures = loss.backbone, torch.rand(16, 3, 128, 128, generator=generator).to(dtype)
    pictures = pictures.contiguous(memory_format=torch.channels_last)
    stylizer = prepare_stylizer(Stylizer(StylizerConfig()).eval())
    photo = torch.rand(1, 3, 256, 256, generator=generator)

    def style() -> object:
        cast = torch.autocast("cpu", dtype) if dtype != torch.float32 else nullcontext()
        with torch.inference_mode(), cast:
            return stylizer(photo)

    def embed() -> object:
        with torch.inference_mode():
            return backbone.embed(pictures)

    return {
        f"loss, forward and backward, {BATCH}x3x256x256, target kept": lambda: loss(moving, known).backward(),
        f"embedding, {len(pictures)}x3x128x128": embed,
        "stylizer, 1x3x256x256": style,
    }


def _operations(step: Callable[[], object]) -> list[tuple[str, float, int]]:
    """Return name with shapes, seconds and multiply-adds of each kind of operation."""
    with profile(activities=[ProfilerActivity.CPU], record_shapes=True) as found:
        step()
    seconds: dict[str, float] = defaultdict(float)
    arithmetic: dict[str, int] = defaultdict(int)
    for event in found.events() or []:
        shapes = [shape for shape in event.input_shapes or [] if shape]
        name = f"{event.name.removeprefix('aten::')} {' '.join('x'.join(map(str, shape)) for shape in shapes[:2])}"
        seconds[name] += event.self_cpu_time_total / 1e6
        arithmetic[name] += _arithmetic(event.name, shapes, event.concrete_inputs or [])
    return [(name, time, arithmetic[name]) for name, time in seconds.items() if time]


def _arithmetic(name: str, shapes: list[list[int]], inputs: list[Any]) -> int:
    """Return the multiply-adds of an operation."""
    match name:
        case "aten::mkldnn_convolution":
            (n, _, *sides), kernel = shapes[:2]
            padding, stride = inputs[3:5]
            for axis in (0, 1):
                n *= (sides[axis] + 2 * padding[axis] - kernel[2 + axis]) // stride[axis] + 1
            return n * math.prod(kernel)
        case "aten::convolution_backward":  # of the input alone: the weights are frozen
            (n, _, height, width), kernel = shapes[0], shapes[2]
            return n * height * width * math.prod(kernel)
        case "aten::bmm" | "aten::mm":
            return math.prod(shapes[0]) * shapes[1][-1]
        case _:
            return 0


# The machine ---------------------------------------------------------------------------------------------------------


def _seconds(step: Callable[[], object], rounds: int = 5) -> float:
    """Return the least wall time of a step, after one to warm up."""
    step()
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        step()
        times.append(time.perf_counter() - start)
    return min(times)


def _product_rate(dtype: torch.dtype, side: int = 2048) -> float:
    a, b = (torch.rand(side, side).to(dtype) for _ in range(2))
    return side**3 / _seconds(lambda: torch.mm(a, b))


def _convolution_rate(channels: int, side: int, dtype: torch.dtype) -> float:
    images = torch.rand(BATCH, channels, side, side).to(dtype, memory_format=torch.channels_last)
    kernel = torch.rand(channels, channels, 3, 3).to(dtype, memory_format=torch.channels_last)
    with torch.inference_mode():
        return BATCH * channels**2 * 9 * side**2 / _seconds(lambda: F.conv2d(images, kernel, padding=1))


if __name__ == "__main__":
    main()
