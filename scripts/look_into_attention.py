"""Look into what attention does in tuned backbones of a study: which layers gain, and what the gates have learnt.

    SKETCHLOSS_DATA=FOLDER .venv/bin/python scripts/look_into_attention.py STUDY

On the classes that the study's arms were never tuned on: nearest-neighbour top-1 by each layer's averaged features, of
every tuned arm and seed, and of those that have gates with each gate held at its mean weight. Then the gates: their
mean weight, how far it differs between channels or positions of one drawing, and between drawings. Runs from before
`sketchloss finetune` wrote `gates.json` and `gates.png` get theirs.
"""

import argparse
import copy
import json
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import torch
from accelerate.utils import set_seed
from torch import Tensor, nn

from sketchloss import Backbone, load_backbone, top_k_accuracy
from sketchloss.data.loading import hold_if_small, load_batches, to_unit_range
from sketchloss.data.sources import open_sketches
from sketchloss.experiments.tuning.finetune import load_start
from sketchloss.experiments.tuning.gates import MEASURED, NUMBERS, GateWeights, as_on_disk, report_gates, weigh
from sketchloss.experiments.tuning.settings import Finetune
from sketchloss.figures.tables import markdown_table
from sketchloss.metrics.features import embed_sketches

LAYERS = ("relu2_2", "relu3_3", "relu4_3", "relu5_3")
HELD = "gates held at their mean"


def tuned_runs(study: Path) -> Iterator[tuple[str, int, Path]]:
    """Find the tuned backbones of a study: arm, seed, folder of the run."""
    for result in sorted(study.glob("cells/tuning_*/result.json")):
        _, arm, seed = json.loads(result.read_text())["cell"].split("/")
        yield arm, int(seed), result.parent / "run"


def held(backbone: Backbone, weights: dict[str, GateWeights]) -> Backbone:
    """Return a copy whose gates no longer look: each channel, and all positions, keep their mean weight over drawings.

    Not 1: the next convolution may make up for gates that start at 1/2.
    """
    still = copy.deepcopy(backbone)
    for name, gate in still.gates.items():
        channel, spatial = gate.channel.expand, gate.spatial.conv
        nn.init.zeros_(channel.weight)
        nn.init.zeros_(spatial.weight)
        channel.bias.data = weights[name].channel.mean(0).logit() / 2  # Eq. 1 adds it twice
        spatial.bias = nn.Parameter(weights[name].spatial.mean().logit().view(1))
    return still


def add_missing_report(run: Path, config: dict[str, Any], tuned: Backbone) -> None:
    """Write what the gates do into the folder of a run from before `sketchloss finetune` did so."""
    if (run / NUMBERS).is_file():
        return
    known = {item.name for item in fields(Finetune)}
    settings: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in config.items()
    }
    finetune = Finetune(**{name: value for name, value in settings.items() if name in known})
    sketches = open_sketches(finetune.data, finetune.image_size, per_class=finetune.per_class, seed=finetune.seed)
    if finetune.leave_out:
        sketches = sketches.select_classes(finetune.leave_out, leave_out=True)
    _, held_out = sketches.split(finetune.held_out, seed=finetune.seed, duplicates=finetune.duplicates == "together")
    set_seed(finetune.seed)  # as the run did before it drew new gates
    print(report_gates(as_on_disk(load_start(finetune, sketches.classes)), tuned, held_out, run))


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("study", type=Path, help="folder of `sketchloss study`")
    options = parser.parse_args()
    accuracies: dict[tuple[str, str], list[float]] = {}
    gates: dict[str, list[Tensor]] = {}
    for arm, seed, run in tuned_runs(options.study):
        config = json.loads((run / "config.json").read_text())
        sketches = open_sketches(config["data"], config["image_size"], seed=seed).select_classes(config["leave_out"])
        pictures, labels = hold_if_small(sketches), torch.from_numpy(sketches.labels)
        backbone = load_backbone(run, classes=())
        variants = {arm: backbone}
        if backbone.gates:
            images = to_unit_range(next(iter(load_batches(pictures, batch_size=MEASURED)))["image"])
            found = weigh(backbone, images)
            variants[f"{arm}, {HELD}"] = held(backbone, found)
            for name, weights in found.items():
                for part, rows in weights._asdict().items():
                    gates.setdefault(f"{arm}: {name}.{part}", []).append(rows.flatten(1))
            add_missing_report(run, config, load_backbone(run))
        for name, variant in variants.items():
            for layer in LAYERS:
                rows = embed_sketches(variant, pictures, layer=layer)
                found = top_k_accuracy(rows, labels, rows, labels, exclude_self=True)[1]
                accuracies.setdefault((name, layer), []).append(100 * found)
    if not accuracies:
        raise SystemExit(f"{options.study} has no tuned backbones: give the folder of a study")
    names = dict.fromkeys(name for name, _ in accuracies)
    cells = [[name, *(_spread(accuracies[name, layer]) for layer in LAYERS)] for name in names]
    print("Nearest-neighbour top-1 (%) among classes never tuned on, by layer")
    print(markdown_table(["arm", *LAYERS], cells))
    cells = [
        [
            name,
            f"{torch.cat(found).mean():.3f}",
            f"{mean(weights.std(1).mean().item() for weights in found):.3f}",
            f"{mean(weights.std(0).mean().item() for weights in found):.3f}",
        ]
        for name, found in gates.items()
    ]
    print("\nWeights of the gates, mean over seeds")
    print(markdown_table(["gate", "mean", "spread within a drawing", "spread between drawings"], cells))


def _spread(values: list[float]) -> str:
    return f"{mean(values):.1f} ± {stdev(values):.1f}" if len(values) > 1 else f"{values[0]:.1f}"


if __name__ == "__main__":
    main()
