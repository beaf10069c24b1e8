"""Ask which features Table 4 of the paper measured, which it does not say: distances by every candidate beside its own.

    sketchloss retrieval --data quickdraw --per-class 9 --seeds 1 --out RUN
    .venv/bin/python scripts/which_features.py RUN

RUN is a folder of `sketchloss retrieval`, whose data, weights and first heads are measured. Candidates are what VGG-16
has to offer: the last convolution before and after its ReLU, and pool5, averaged or flat; the classifier of weights
that were tuned with one; the trained embedding of the head. Each as it is, after a ReLU, and with the mean over all
sketches taken off. ImageNet's own classifier is not in the package, so `original` has no classifier here.
"""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import mean
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sketchloss import load_backbone, separation
from sketchloss.data.loading import HeldSketches, hold_if_small, load_batches, to_unit_range
from sketchloss.data.sources import Sketches, open_sketches
from sketchloss.experiments.separation.distances import take_settings_of_run
from sketchloss.experiments.separation.settings import ClassSeparation
from sketchloss.experiments.separation.table import PAPER
from sketchloss.figures.tables import markdown_table
from sketchloss.metrics.features import cached_features
from sketchloss.networks.embedder import load_embedder
from sketchloss.networks.vgg import VGG
from sketchloss.system.files import write_json

LAST = "relu5_3"
#: Greatest number of positions each way of flat features, as in VGG's classifier.
GRID = 7
Rows = dict[str, Tensor]


def main() -> None:
    """Print a table for each arm, and how near each candidate comes to the paper's numbers."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("run", type=Path, help="folder of `sketchloss retrieval`")
    parser.add_argument("--cache", type=Path, help="folder of features that the run kept, if it has one of its own")
    parser.add_argument("--json", type=Path, help="also write the numbers here")
    options = parser.parse_args()
    config = take_settings_of_run(ClassSeparation(out=options.run, heads=options.run, cache=options.cache), options.run)
    sketches = open_sketches(config.data, config.image_size, per_class=config.per_class, seed=config.seed)
    held, labels = hold_if_small(sketches, workers=config.workers), torch.from_numpy(sketches.labels)
    print(f"{config.data}: {len(sketches):,} sketches of {len(sketches.classes)} classes, {config.image_size} pixels")
    found: dict[str, dict[str, Any]] = {}
    for arm in config.arms():
        rows = collect(config, arm, held)
        found[arm] = {name: measure(row, labels) for name, row in changed(rows)}
        print(f"\n## {arm}\n\n{markdown_table(HEADER, [*of_arm(found[arm]), paper_row(arm)])}")
    print(f"\n## Nearest to Table 4\n\n{markdown_table(*nearest(found))}")
    if options.json:
        write_json(options.json, found)


# Candidates ----------------------------------------------------------------------------------------------------------


def collect(config: ClassSeparation, arm: str, sketches: Sketches | HeldSketches) -> Rows:
    """Return the rows of each candidate, n×d, of an arm's first repeat."""
    backbone = config.load(arm, gates=config.seed)
    if config.entries()[arm].gates != "untrained":
        backbone = load_backbone(config.weights_of(arm))  # with its classifier, if it has one
    if not isinstance(backbone, VGG):
        raise SystemExit(f"{arm} is no VGG-16, which the candidates are layers of: give a run without it")
    parts: dict[str, list[Tensor]] = {}
    for batch in load_batches(sketches, batch_size=32, workers=config.workers):
        for name, features in look(backbone, to_unit_range(batch["image"])).items():
            parts.setdefault(name, []).append(features.float())
    rows = {name: torch.cat(of_name) for name, of_name in parts.items()}
    assert config.heads is not None
    head = load_embedder(config.heads / "heads" / arm / str(config.seed))
    how: dict[str, Any] = {name: getattr(head.config, name) for name in ("layer", "grid", "precision")}
    seen = cached_features(backbone, sketches, **how, folder=config.cache, workers=config.workers)
    return {**rows, "embedding of the trained head": head.embed(seen)}


@torch.no_grad()
def look(backbone: VGG, images: Tensor) -> Rows:
    """Return the candidates of some images."""
    classifier = backbone.classifier or nn.Sequential()
    linear = [module for module in classifier.modules() if isinstance(module, nn.Linear)]
    last = next(module for module in reversed(list(backbone.features)) if isinstance(module, nn.Conv2d))
    with noted(last, *linear) as seen:
        taps = backbone(images, (LAST, "pool5"))
        if linear:
            backbone.classify_features(taps[backbone.classified_layer])
    maps = {"conv5 before its ReLU": seen[0], "conv5 after its ReLU": taps[LAST], "pool5": taps["pool5"]}
    found = {}
    for name, features in maps.items():
        found[f"{name}, averaged"] = features.mean((2, 3))
        height, width = (min(GRID, side) for side in features.shape[2:])
        found[f"{name}, flat"] = F.adaptive_avg_pool2d(features, (height, width))
    names = [f"layer {number} of the classifier" for number in range(1, len(linear))] + ["logits"] * bool(linear)
    return {name: row.flatten(1) for name, row in {**found, **dict(zip(names, seen[1:], strict=True))}.items()}


@contextmanager
def noted(*modules: nn.Module) -> Iterator[list[Tensor]]:
    """Note what modules give, in a list that is filled when they have run, in their order."""
    seen: list[Tensor] = []
    # note: a copy, because the ReLU behind a convolution overwrites what it gave
    hooks = [module.register_forward_hook(lambda _, __, given: seen.append(given.clone())) for module in modules]
    yield seen
    for hook in hooks:
        hook.remove()


def changed(rows: Rows) -> Iterator[tuple[str, Tensor]]:
    """Yield each candidate as it is, after a ReLU if it has negative numbers, and less its mean."""
    for name, row in rows.items():
        yield name, row
        if (row < 0).any():
            yield f"{name}, after a ReLU", row.clamp(min=0)
        yield f"{name}, centred", row - row.mean(0)


# Tables --------------------------------------------------------------------------------------------------------------

HEADER = ("features", "numbers", "negative", "intra", "inter", "ratio", "can inter be 1.000?")


def measure(rows: Tensor, labels: Tensor) -> dict[str, Any]:
    """Return the mean distances by some features; rows of zeros, which have no direction, are left out."""
    kept = rows.norm(dim=1) > 0
    found = separation(rows[kept], labels[kept], hardest=0)
    return {
        **{name: getattr(found, name) for name in ("intra", "inter", "ratio")},
        "numbers": rows.shape[1],
        "negative": (rows < 0).float().mean().item(),
        "left_out": int((~kept).sum()),
    }


def of_arm(found: dict[str, dict[str, Any]]) -> Iterator[list[str]]:
    """Yield a line for each candidate."""
    for name, one in found.items():
        # Of two rows without negative numbers the cosine is 0 or more: a mean distance of 1 needs that no two classes
        # share one number that is not 0.
        possible = "yes" if one["negative"] else "no: nothing is negative"
        shares = [f"{one['negative']:.0%}", *(f"{one[key]:.3f}" for key in ("intra", "inter")), f"{one['ratio']:.2f}"]
        left_out = f" (without {one['left_out']} rows of zeros)" if one["left_out"] else ""
        yield [f"{name}{left_out}", f"{one['numbers']:,}", *shares, possible]


def paper_row(arm: str) -> list[str]:
    """Return what the paper printed for an arm."""
    printed = [f"{PAPER[key][arm][0]:.3f}" if arm in PAPER[key] else "-" for key in ("intra", "inter")]
    ratio = f"{PAPER['ratio'][arm][0]:.2f}" if arm in PAPER["ratio"] else "-"
    return ["*Seo 2025, ImageNet-Sketch*", "", "", *printed, ratio, ""]


def nearest(found: dict[str, dict[str, dict[str, Any]]]) -> tuple[list[str], list[list[str]]]:
    """Return a table of the candidates that all the paper's arms have, by their mean difference from its numbers."""
    arms = [arm for arm in PAPER["intra"] if arm in found]
    shared = [name for name in found[arms[0]] if all(name in found[arm] for arm in arms)]
    rows = []
    for name in shared:
        away = [abs(found[arm][name][key] - PAPER[key][arm][0]) for arm in arms for key in ("intra", "inter")]
        order = sorted(arms, key=lambda arm: -found[arm][name]["ratio"])
        rows.append((mean(away), [name, f"{mean(away):.3f}", " > ".join(order)]))
    printed = sorted(arms, key=lambda arm: -PAPER["ratio"][arm][0])
    header = ["features", f"mean difference of intra and inter, {len(arms)} arms", "arms by ratio"]
    return header, [*(row for _, row in sorted(rows)), ["*Seo 2025*", "", " > ".join(printed)]]


if __name__ == "__main__":
    main()
