"""How fast drawings are embedded for a gallery, in float32 and bfloat16, and whether a search then finds the same.

    python benchmarks/embedding.py [--data FOLDER] [--weights sketch imagenet] [--drawings 400] [--rounds 3]

All ways in turn, round after round; medians of processor time. "The same of ten": of the ten nearest drawings of each
drawing, the share that the ten nearest by float32 hold, too, at any place: by the same weights, and by the first ones.
"""

import argparse
import statistics
import time

import numpy as np
import torch

from sketchloss import load_backbone
from sketchloss.data.sources import open_sketches
from sketchloss.figures.tables import markdown_table
from sketchloss.gallery.searching import BATCH_PIXELS
from sketchloss.metrics.ranking import nearest
from sketchloss.networks.backbone import Backbone

SIZE, TEN = 128, 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="doodles?per_class=30", help="labelled sketches, as for `finetune`")
    parser.add_argument("--weights", nargs="+", default=["sketch"])
    parser.add_argument("--drawings", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    sketches = open_sketches(options.data, SIZE)
    chosen = np.random.default_rng(0).permutation(len(sketches))[: options.drawings]
    images = torch.stack([sketches[int(place)]["image"] for place in chosen]).float() / 255
    ways = [(name, half) for name in options.weights for half in (False, True)]
    backbones: dict[str, Backbone] = {name: load_backbone(name, classes=()) for name in options.weights}
    seconds: dict[tuple[str, bool], list[float]] = {way: [] for way in ways}
    found = {}
    for _ in range(options.rounds):
        for name, half in ways:
            start = time.process_time()
            embeddings = embed(backbones[name], images, half=half)
            seconds[name, half].append(time.process_time() - start)
            if (name, half) not in found:
                found[name, half] = nearest(embeddings, embeddings, TEN + 1)[1][:, 1:].numpy()
    usual = statistics.median(seconds[ways[0]])
    rows = []
    for name, half in ways:
        held = [_shared(found[name, half], found[other, False]) for other in (name, ways[0][0])]
        middle = statistics.median(seconds[name, half])
        rows.append(
            (name, "bf16" if half else "no", f"{len(images) / middle:.1f}", f"{usual / middle:.2f}x",
             *(f"{share:.1%}" for share in held))
        )  # fmt: skip
    print(f"{len(images)} drawings at {SIZE} pixels, {torch.get_num_threads()} threads\n")
    headings = ("weights", "precision", "drawings a second", "speed", "the same of ten", f"of ten by {ways[0][0]}")
    print(markdown_table(headings, rows))


def _shared(ours: np.ndarray, theirs: np.ndarray) -> float:
    """Return the share of ours that theirs hold, too, row by row."""
    return float(np.mean([len(set(one) & set(other)) / TEN for one, other in zip(ours, theirs, strict=True)]))


@torch.inference_mode()
def embed(backbone: Backbone, images: torch.Tensor, *, half: bool) -> torch.Tensor:
    """Return the embeddings, batch by batch as a gallery computes them."""
    with torch.autocast("cpu", torch.bfloat16, enabled=half):
        batches = images.split(BATCH_PIXELS[0] // SIZE**2)
        return torch.cat([backbone.embed(batch.contiguous(memory_format=torch.channels_last)) for batch in batches])


if __name__ == "__main__":
    main()
