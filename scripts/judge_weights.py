"""Compare weights on drawings that a run of `sketchloss finetune` held out, and on classes that it left out.

    SKETCHLOSS_DATA=FOLDER .venv/bin/python scripts/judge_weights.py RUN imagenet sketch RUN [--json FILE]

For each source of the run: every held-out drawing looks for its class among the drawings trained on (1-NN), and the
separation ratio of the held-out ones. Of the left-out classes: each drawing among the others. By the averaged relu5_3
features, at the size of the training. What bundled weights have to win before they replace the last.
"""

import argparse
import json
from pathlib import Path

import torch

from sketchloss import load_backbone, separation, top_k_accuracy
from sketchloss.data.sources import open_sketches
from sketchloss.features import embed_sketches
from sketchloss.files import write_json
from sketchloss.report.tables import markdown_table


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("run", type=Path, help="folder of `sketchloss finetune`")
    parser.add_argument("weights", nargs="+", help="names or paths to compare")
    parser.add_argument("--json", type=Path, help="also write the numbers here")
    options = parser.parse_args()
    config = json.loads((options.run / "config.json").read_text())
    size, seed = config["image_size"], config["seed"]
    how = {"per_class": config["per_class"], "seed": seed}
    rows = {name: {} for name in options.weights}
    backbones = {name: load_backbone(name, classes=()) for name in options.weights}
    for source in config["data"].split(","):
        whole = open_sketches(source, size, **how)
        learnt, held = whole.split(config["held_out"], seed=seed)
        place = Path(source).name
        for name, backbone in backbones.items():
            queries, labels = embed_sketches(backbone, held), torch.from_numpy(held.labels)
            gallery, theirs = embed_sketches(backbone, learnt), torch.from_numpy(learnt.labels)
            rows[name][f"{place}, {len(held)} held out: 1-NN"] = top_k_accuracy(queries, labels, gallery, theirs)[1]
            rows[name][f"{place}: ratio"] = separation(queries, labels).ratio
    if config["leave_out"]:
        kept = open_sketches(config["data"], size, **how).select_classes(config["leave_out"])
        labels = torch.from_numpy(kept.labels)
        for name, backbone in backbones.items():
            found = embed_sketches(backbone, kept)
            scores = top_k_accuracy(found, labels, found, labels, exclude_self=True)
            what = f"{len(kept.classes)} classes left out, {len(kept)} sketches"
            rows[name] |= {f"{what}: {k}-NN": scores[k] for k in (1, 5)}
            rows[name][f"{what}: ratio"] = separation(found, labels).ratio
    measures = list(next(iter(rows.values())))
    cells = [
        [measure, *(f"{row[measure]:.2f}" if "ratio" in measure else f"{row[measure]:.1%}" for row in rows.values())]
        for measure in measures
    ]
    print(markdown_table(["", *(Path(name).name for name in rows)], cells))
    if options.json:
        write_json(options.json, rows)


if __name__ == "__main__":
    main()
