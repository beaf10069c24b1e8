"""Time and memory of the loss, forward and backward, against a VGG loss written the usual way.

    python benchmarks/loss.py [--weights sketch sketch-small] [--rounds 7]

`SketchLoss` of each weights stands with its own layers, and with those of the usual loss; beside them one as LPIPS
is written, on the same weights as the usual one, and both compiled with `torch.compile` (which needs a C++ compiler;
`--no-compile` leaves them out). All variants are timed in turn, round after round, so that a busy machine slows them
alike; the table gives medians and ratios. Memory is the growth of a fresh process's peak over one forward and backward
pass.
"""

import argparse
import functools
import multiprocessing
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from peak_memory import peak_growth
from sketchloss import SketchLoss, load_backbone
from sketchloss.figures.tables import markdown_table
from sketchloss.loss.loss import PAPER_LAYERS
from sketchloss.networks.vgg import VGG

SHAPE = (4, 3, 256, 256)


class UsualLoss(nn.Module):
    """Both images through all of VGG-16, float32, contiguous; L1 at four layers."""

    TAPS: tuple[int, ...] = (3, 8, 15, 22)  # relu1_2, relu2_2, relu3_3, relu4_3

    def __init__(self) -> None:
        super().__init__()
        backbone = load_backbone("imagenet")
        assert isinstance(backbone, VGG)
        self.features = backbone.features.requires_grad_(False)
        for layer in self.features:
            if isinstance(layer, nn.ReLU):
                layer.inplace = True  # as torchvision's
        self.taps = self.TAPS
        self.mean, self.std = backbone.mean, backbone.std

    def extract(self, images: Tensor) -> list[Tensor]:
        """Return the features at the taps."""
        features, found = (images - self.mean) / self.std, []
        for index, layer in enumerate(self.features):
            features = layer(features)
            if index in self.taps:
                found.append(features)
        return found

    def forward(self, pred: Tensor, target: Tensor) -> Tensor:
        """Return the loss."""
        pairs = zip(self.extract(pred), self.extract(target), strict=True)
        return torch.stack([(a - b).abs().mean() for a, b in pairs]).mean()


class LpipsStyle(UsualLoss):
    """Features of unit length at each position, squared differences, weighed by channel, at five layers."""

    TAPS = (3, 8, 15, 22, 29)  # relu1_2, relu2_2, relu3_3, relu4_3, relu5_3

    def __init__(self) -> None:
        super().__init__()
        channels = (64, 128, 256, 512, 512)
        self.weights = nn.ModuleList(nn.Conv2d(count, 1, 1, bias=False).requires_grad_(False) for count in channels)

    def forward(self, pred: Tensor, target: Tensor) -> Tensor:
        """Return the loss."""
        pairs = zip(self.extract(pred), self.extract(target), self.weights, strict=True)
        parts = [weigh((F.normalize(a, eps=1e-10) - F.normalize(b, eps=1e-10)).square()) for a, b, weigh in pairs]
        return torch.stack([part.mean() for part in parts]).sum()


def make_variants(weights: Sequence[str], *, compiled: bool = True) -> dict[str, Callable[[], Callable[[], None]]]:
    """Return name -> function that sets a variant up and returns its step."""

    def peer(kind: type[UsualLoss], *, compiled: bool = False) -> Callable[[], None]:
        loss, target, pred = kind(), *_images()
        if compiled:
            loss = torch.compile(loss)
        return lambda: loss(pred, target).backward()

    def ours(name: str, *, cached: bool, dtype: torch.dtype, **settings: Any) -> Callable[[], None]:
        loss, target, pred = SketchLoss(name, **settings).to(dtype), *_images(dtype)
        known = loss.extract(target) if cached else target
        return lambda: loss(pred, known).backward()

    ways: dict[str, dict[str, Any]] = {
        "": {"cached": False, "dtype": torch.float32},
        ", target cached": {"cached": True, "dtype": torch.float32},
        ", bfloat16": {"cached": False, "dtype": torch.bfloat16},
        ", target cached, bfloat16": {"cached": True, "dtype": torch.bfloat16},
    }
    settings: dict[str, dict[str, Any]] = {
        "": {},
        ", the usual layers": {"layers": PAPER_LAYERS},
        ", the usual layers, l1": {"layers": PAPER_LAYERS, "metric": "l1"},
    }
    return {
        **{
            f"{words}{', compiled' * how}": functools.partial(peer, kind, compiled=how)
            for words, kind in (("usual VGG loss", UsualLoss), ("as LPIPS", LpipsStyle))
            for how in ((False, True) if compiled else (False,))
        },
        **{
            f"SketchLoss({name!r}){said}{words}": functools.partial(ours, name, **how, **given)
            for name in weights
            for said, given in settings.items()
            for words, how in ways.items()
        },
    }


def _images(dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    target, pred = (torch.rand(SHAPE, generator=generator).to(dtype) for _ in range(2))
    return target, pred.requires_grad_()


def _memory(weights: Sequence[str], name: str) -> int:
    """Return the bytes by which the peak of this process grows over one step (Linux only)."""
    step = make_variants(weights)[name]()
    return peak_growth(step)


def floor_seconds(multiply_adds: int) -> float:
    """Return the least time the arithmetic takes here: at the rate of a large float32 matrix product."""
    a, b = torch.rand(2048, 2048), torch.rand(2048, 2048)
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        torch.mm(a, b)
        seconds.append(time.perf_counter() - start)
    return multiply_adds / (2048**3 / min(seconds))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", nargs="+", default=["sketch", "sketch-small"])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--no-compile", action="store_true")
    options = parser.parse_args()

    variants = make_variants(options.weights, compiled=not options.no_compile)
    steps = {name: setup() for name, setup in variants.items()}
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for round_number in range(options.rounds + 1):
        for name, step in steps.items():
            start = time.perf_counter()
            step()
            if round_number:  # the first warms up
                seconds[name].append(time.perf_counter() - start)
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
        memory = {name: pool.apply(_memory, (options.weights, name)) for name in variants}

    usual = statistics.median(seconds["usual VGG loss"])
    rows = []
    for name, times in seconds.items():
        middle = statistics.median(times)
        rows.append([name, f"{middle:.2f}", f"{usual / middle:.2f}x", f"{memory[name] / 2**20:,.0f}"])
    print(f"{'x'.join(map(str, SHAPE))}, {torch.get_num_threads()} threads, median of {options.rounds} rounds\n")
    print(markdown_table(["variant", "seconds", "speed", "peak MiB"], rows))

    loss, (target, pred) = SketchLoss(options.weights[0], layers=PAPER_LAYERS), _images()
    with FlopCounterMode(display=False) as counter:
        loss(pred, loss.extract(target)).backward()
    multiply_adds = counter.get_total_flops() // 2
    floor = floor_seconds(multiply_adds)
    print(
        f"\nThe float32 floor without a cached target: {multiply_adds / 1e9:.0f} GMAC (target and pred forward, pred "
        f"backward up to {PAPER_LAYERS[-1]}) at the rate of a 2048x2048 matrix product, {floor:.2f} s."
    )


if __name__ == "__main__":
    main()
