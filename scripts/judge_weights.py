"""Compare weights on drawings that a run of `sketchloss finetune` held out, and on classes that it left out.

    SKETCHLOSS_DATA=FOLDER .venv/bin/python scripts/judge_weights.py RUN imagenet sketch RUN [--image-sizes 64 224]

Of the left-out classes: each drawing looks for its class among the others (k-NN), and the separation ratio. For each
source of the run, without `--only-left-out`: every held-out drawing looks for its class among the drawings trained on
(1-NN), and the separation ratio of the held-out ones. By the averaged features of one layer. What bundled weights have
to win before they replace the last.
"""

import argparse
import json
from pathlib import Path

import torch

from sketchloss import load_backbone, separation, top_k_accuracy
from sketchloss.data.joined import plain_name
from sketchloss.data.sources import open_sketches
from sketchloss.figures.tables import markdown_table
from sketchloss.metrics.features import embed_sketches
from sketchloss.system.files import write_json


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("run", type=Path, help="folder of `sketchloss finetune`")
    parser.add_argument("weights", nargs="+", help="names or paths to compare")
    parser.add_argument("--json", type=Path, help="also write the numbers here")
    parser.add_argument("--data", help="other sources than those of the run, with commas between them")
    parser.add_argument("--image-sizes", type=int, nargs="+", help="sides in pixels; default: that of the training")
    parser.add_argument("--layer", default="relu5_3", help="whose features are averaged; default: relu5_3")
    parser.add_argument("--per-class", type=int, help="at most so many drawings of a class; default: as the training")
    parser.add_argument("--only-left-out", action="store_true", help="judge no classes that were trained on")
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="bf16", help="of the convolutions")
    options = parser.parse_args()
    with torch.autocast("cpu", torch.bfloat16, enabled=options.precision == "bf16"):
        rows = judge(options)
    measures = list(next(iter(rows.values())))
    cells = [
        [measure, *(f"{row[measure]:.2f}" if "ratio" in measure else f"{row[measure]:.1%}" for row in rows.values())]
        for measure in measures
    ]
    print(markdown_table(["", *(Path(name).name for name in rows)], cells))
    if options.json:
        write_json(options.json, rows)


def judge(options: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Return the measures of each weights."""
    config = json.loads((options.run / "config.json").read_text())
    data = options.data or config["data"]
    rows: dict[str, dict[str, float]] = {name: {} for name in options.weights}
    backbones = {name: load_backbone(name, classes=()) for name in options.weights}
    for size in options.image_sizes or [config["image_size"]]:
        how = {"per_class": options.per_class or config["per_class"], "seed": config["seed"]}
        for source in () if options.only_left_out else data.split(","):
            whole = open_sketches(source, size, **how)
            learnt, held = whole.split(config["held_out"], seed=config["seed"])
            what = f"{size} px, {Path(source).name}, {len(held)} held out"
            for name, backbone in backbones.items():
                queries, labels = embed_sketches(backbone, held, layer=options.layer), torch.from_numpy(held.labels)
                gallery = embed_sketches(backbone, learnt, layer=options.layer)
                found = top_k_accuracy(queries, labels, gallery, torch.from_numpy(learnt.labels))
                rows[name] |= {f"{what}: 1-NN": found[1], f"{what}: ratio": separation(queries, labels).ratio}
        if config["leave_out"]:
            whole = open_sketches(data, size, **how)
            there = {plain_name(name) for name in whole.classes}  # of other sources perhaps not all
            kept = whole.select_classes([name for name in config["leave_out"] if plain_name(name) in there])
            labels = torch.from_numpy(kept.labels)
            what = f"{size} px, {len(kept.classes)} classes left out, {len(kept)} sketches"
            for name, backbone in backbones.items():
                found = embed_sketches(backbone, kept, layer=options.layer)
                scores = top_k_accuracy(found, labels, found, labels, exclude_self=True)
                rows[name] |= {f"{what}: {k}-NN": scores[k] for k in (1, 5)}
                rows[name][f"{what}: ratio"] = separation(found, labels).ratio
                print(what, name, scores, flush=True)
    return rows


if __name__ == "__main__":
    main()
