"""Training steps of a photo-to-sketch network, against the loop as it is usually written.

    python benchmarks/style_training.py [--size 128] [--width 0.5] [--rounds 9]

Usual: photo, sketch and a style picture go through the loss network to its last tap at every step, in float32 and the
default layout. Ours: the style's Gram matrices are computed once, the photo goes no deeper than the content layer. In
turn, in one run; all variants compute the same terms of the same loss.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from sketchloss import load_backbone
from sketchloss.data.doodles.kinds import KINDS, doodle
from sketchloss.figures.tables import markdown_table
from sketchloss.loss.loss import PAPER_LAYERS, gram
from sketchloss.loss.style_loss import StyleTransferLoss, total_variation
from sketchloss.networks.backbone import freeze
from sketchloss.networks.stylizer import Stylizer, StylizerConfig
from sketchloss.system.images import to_tensor
from sketchloss.system.memory import reuse_freed_memory

BATCH = 4
WEIGHTS = {"content": 1.0, "style": 100.0, "total_variation": 1.0}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--width", type=float, default=0.5)
    parser.add_argument("--weights", default="imagenet")
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()

    reuse_freed_memory()  # for all variants alike; `sketchloss style train` does so too
    photos = torch.stack([to_tensor(doodle(kind, 0).photo(options.size)) for kind in KINDS[:BATCH]])
    style = torch.stack([to_tensor(doodle(kind, 1).sketch(options.size)).expand(3, -1, -1) for kind in KINDS[:BATCH]])
    variants = {
        "usual loop": usual(photos, style, options, cached=False),
        "  Gram matrices once": usual(photos, style, options, cached=True),
        "ours, float32": ours(photos, style, options, torch.float32),
        "ours, bfloat16": ours(photos, style, options, torch.bfloat16),
    }
    seconds: dict[str, list[float]] = {name: [] for name in variants}
    for _ in range(options.rounds + 1):
        for name, step in variants.items():
            start = time.perf_counter()
            step()
            seconds[name].append(time.perf_counter() - start)
    medians = {name: statistics.median(times[1:]) for name, times in seconds.items()}
    rows = [[name, f"{1 / median:.2f}", f"{medians['usual loop'] / median:.2f}x"] for name, median in medians.items()]
    print(
        f"batch {BATCH}, {options.size} pixels, width {options.width:g}, loss of {options.weights}, "
        f"{torch.get_num_threads()} threads\n"
    )
    print(markdown_table(["variant", "steps/s", "speed"], rows))


def usual(photos: Tensor, style: Tensor, options: argparse.Namespace, *, cached: bool) -> Callable[[], None]:
    """Return the step of a loop written the usual way."""
    network = Stylizer(StylizerConfig(width=options.width))
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    backbone = freeze(load_backbone(options.weights, classes=()))

    def grams_of_style() -> dict[str, Tensor]:
        with torch.no_grad():
            return {name: gram(taps).mean(0) for name, taps in backbone(style, PAPER_LAYERS).items()}

    kept = grams_of_style() if cached else None

    def step() -> None:
        drawn = network(photos)
        features = backbone(drawn, PAPER_LAYERS)
        with torch.no_grad():
            wanted = backbone(photos, PAPER_LAYERS)
        grams = kept or grams_of_style()
        content = F.mse_loss(features["relu2_2"], wanted["relu2_2"])
        terms = [(gram(features[name]) - grams[name]).square().sum((1, 2)).mean() for name in PAPER_LAYERS]
        total = (
            WEIGHTS["content"] * content
            + WEIGHTS["style"] * torch.stack(terms).mean()
            + WEIGHTS["total_variation"] * total_variation(drawn)
        )
        total.backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def ours(photos: Tensor, style: Tensor, options: argparse.Namespace, dtype: torch.dtype) -> Callable[[], None]:
    """Return the step of `sketchloss style train`."""
    network = Stylizer(StylizerConfig(width=options.width)).to(memory_format=torch.channels_last)  # pyright: ignore
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    loss = StyleTransferLoss(options.weights)
    loss.set_style([style])
    weights = loss.share_out(**WEIGHTS)
    photos = photos.contiguous(memory_format=torch.channels_last)

    def step() -> None:
        with torch.autocast("cpu", dtype, enabled=dtype is not torch.float32):
            drawn = network(photos).float()
            terms = loss(drawn, photos)
        torch.stack([weights[name] * value for name, value in terms.items()]).sum().backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


if __name__ == "__main__":
    main()
