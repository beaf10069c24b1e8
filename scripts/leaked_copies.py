"""Show what leaked copies do to top-1: queries that are flipped or turned copies of drawings in the gallery.

    .venv/bin/python scripts/leaked_copies.py --data quickdraw --per-class 9

ImageNet-Sketch has flipped and turned copies of its drawings, and a random split puts them on both sides. Here a frozen
network looks for held-out drawings among the rest. Then a growing share of these queries gives way to copies of
drawings in the gallery. Nothing is trained: what top-1 gains is by copies alone.
"""

import argparse
from pathlib import Path
from statistics import mean, stdev

import numpy as np
import torch
from jaxtyping import Bool
from PIL import Image, ImageOps
from torch import Tensor

from sketchloss import load_backbone
from sketchloss.data.loading import to_unit_range
from sketchloss.data.sources import Sketches, open_sketches
from sketchloss.figures.tables import markdown_table
from sketchloss.metrics.features import embed_sketches
from sketchloss.metrics.ranking import nearest
from sketchloss.networks.backbone import Backbone
from sketchloss.system.files import write_json

SHARES = (0.0, 0.05, 0.1, 0.2, 0.3, 0.5)
#: Least and greatest angle of a copy that is turned, in degrees.
TURN = (3, 10)
#: How often the queries that give way are chosen anew; images at once.
DRAWS, AT_ONCE = 20, 64


def main() -> None:
    """Print top-1 of each kind of query, and by share of copies."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", default="doodles", help="as for `sketchloss retrieval`")
    parser.add_argument("--weights", default="imagenet", help="the frozen network")
    parser.add_argument("--image-size", type=int, default=64)
    parser.add_argument("--per-class", type=int, help="at most so many sketches of a class")
    parser.add_argument("--held-out", type=float, default=0.1, help="share of each class that gives the queries")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="also write the numbers here")
    options = parser.parse_args()
    sketches = open_sketches(options.data, options.image_size, per_class=options.per_class, seed=options.seed)
    gallery, held = sketches.split(options.held_out, seed=options.seed)
    backbone = load_backbone(options.weights, classes=())
    right = find_right(backbone, gallery, held, options.seed)
    print(
        f"{options.data}: gallery of {len(gallery):,} sketches of {len(gallery.classes)} classes, {len(held):,} queries"
    )
    print(f"by the weights {options.weights}, {options.image_size} pixels\n")
    cells = [[kind, f"{of_kind.float().mean():.1%}"] for kind, of_kind in right.items()]
    print(markdown_table(["queries", "top-1"], cells), "\n")
    by_share = {share: mix(right, share, options.seed) for share in SHARES}
    cells = [[f"{share:.0%}", f"{mean(found):.1%}", f"{stdev(found):.1%}"] for share, found in by_share.items()]
    print(markdown_table(["share of copies among the queries", "top-1", "deviation over draws"], cells))
    if options.json:
        write_json(
            options.json,
            {
                "queries": {kind: of_kind.float().mean().item() for kind, of_kind in right.items()},
                "by_share": {str(share): mean(found) for share, found in by_share.items()},
            },
        )


def find_right(backbone: Backbone, gallery: Sketches, held: Sketches, seed: int) -> dict[str, Bool[Tensor, " queries"]]:
    """Return of each query, and of a copy of each kind in its place, whether the nearest in the gallery is right."""
    rows, labels = embed_sketches(backbone, gallery), torch.from_numpy(gallery.labels)

    def is_right(queries: Tensor, of_queries: Tensor) -> Tensor:
        return labels[nearest(queries, rows, 1)[1][:, 0]] == of_queries

    found = {"held-out drawings": is_right(embed_sketches(backbone, held), torch.from_numpy(held.labels))}
    rng = np.random.default_rng(seed)
    chosen = rng.choice(len(gallery), len(held), replace=len(held) > len(gallery))
    for kind in ("flipped", "turned", "flipped and turned"):
        copies = [copy_of(gallery.picture(int(index)), kind, rng) for index in chosen]
        found[f"copies, {kind}"] = is_right(embed(backbone, copies), labels[chosen])
    return found


def copy_of(picture: Image.Image, kind: str, rng: np.random.Generator) -> Image.Image:
    """Return a copy of a drawing, flipped or turned by a few degrees, on white paper."""
    copy = picture.convert("RGB")
    if "flipped" in kind:
        copy = ImageOps.mirror(copy)
    if "turned" in kind:
        angle = rng.uniform(*TURN) * rng.choice((-1, 1))
        copy = copy.rotate(angle, Image.Resampling.BICUBIC, fillcolor="white")
    return copy


@torch.no_grad()
def embed(backbone: Backbone, pictures: list[Image.Image]) -> Tensor:
    """Return a row for each picture."""
    images = to_unit_range(torch.stack([torch.from_numpy(np.array(one)).permute(2, 0, 1) for one in pictures]))
    return torch.cat([backbone.embed(some) for some in images.split(AT_ONCE)])


def mix(right: dict[str, Bool[Tensor, " queries"]], share: float, seed: int) -> list[float]:
    """Return top-1 where a share of the queries has given way to copies of all kinds, for each of several draws."""
    clean, *copies = right.values()
    replaced = round(share * len(clean))
    found = []
    for draw in range(DRAWS):
        rng = np.random.default_rng((seed, draw))
        order = rng.permutation(len(clean))
        kinds = rng.integers(len(copies), size=replaced)
        hits = sum(bool(copies[kind][place]) for kind, place in zip(kinds, order[:replaced], strict=True))
        found.append((hits + clean[order[replaced:]].sum().item()) / len(clean))
    return found


if __name__ == "__main__":
    main()
