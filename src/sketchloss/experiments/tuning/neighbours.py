"""Accuracy of a backbone's nearest neighbours, without training: each sketch looks for its class among the others.

sketchloss neighbours --data sketchy pacs --weights imagenet sketch runs/mine
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import torch
import tyro

from sketchloss.data.left_out import say_left_out
from sketchloss.data.names import short_name
from sketchloss.data.sources import open_sketches
from sketchloss.experiments.section import Section
from sketchloss.experiments.table import Measure, Table
from sketchloss.metrics.features import embed_sketches
from sketchloss.metrics.ranking import top_k_accuracy
from sketchloss.networks.weights import load_backbone
from sketchloss.system.files import write_json


@dataclass(frozen=True)
class Neighbours:
    """Measure how often a sketch's nearest neighbour is of its class, for several weights and sets of sketches.

    Raises:
        ValueError: for a setting outside its range, naming it.
    """

    data: tuple[str, ...]
    """Sets of sketches: `doodles`, folders, or hub data sets."""
    weights: tuple[str, ...] = ("imagenet", "sketch")
    """Weights to measure: names, paths, hub repos or `transformers:ID`."""
    image_size: int = 64
    """Side of the images in pixels."""
    per_class: Annotated[int | None, tyro.conf.DisallowNone] = None
    """Use at most this many sketches of a class."""
    layer: str = ""
    """Layer whose features, averaged over positions, are compared; by default each network's embedding layer."""
    seed: int = 0
    """Random seed of the sample of each class, and of the line widths of stroke data."""
    json: Annotated[Path | None, tyro.conf.DisallowNone] = None
    """JSON file to write the numbers to as well."""

    def __post_init__(self) -> None:
        if not self.data or not self.weights:
            raise ValueError(f"data is {self.data} and weights {self.weights}: name at least one of each")
        if self.image_size < 1:
            raise ValueError(f"image_size is {self.image_size}: it must be at least 1")


def neighbours(config: Neighbours) -> list[dict[str, Any]]:
    """Run `sketchloss neighbours`; return a row for each set and weights: `top_1`, `top_3`, `top_5` in [0, 1].

    Raises:
        ValueError: as `open_sketches` and `load_backbone`.
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"
    backbones = {weights: load_backbone(weights, classes=()).to(device) for weights in config.weights}
    sets = [
        open_sketches(source, config.image_size, per_class=config.per_class, seed=config.seed) for source in config.data
    ]
    rows = []
    for source, sketches in zip(config.data, sets, strict=True):
        say_left_out(source, sketches.unreadable, sketches.passed_over)
        labels = torch.from_numpy(sketches.labels)
        for weights, backbone in backbones.items():
            layer = config.layer or backbone.embedding_layer
            rows_of_set = embed_sketches(backbone, sketches, layer=layer)
            scores = top_k_accuracy(rows_of_set, labels, rows_of_set, labels, exclude_self=True)
            rows.append(
                {
                    **{"data": source, "sketches": len(sketches), "classes": len(sketches.classes)},
                    "unreadable": len(sketches.unreadable),
                    **{"weights": weights, "image_size": config.image_size, "layer": layer},
                    **{f"top_{k}": value for k, value in scores.items()},
                }
            )
    for source in config.data:
        print(f"\n{_section([row for row in rows if row['data'] == source]).markdown()}")
    if config.json:
        write_json(config.json, rows)
    return rows


def _section(rows: Sequence[Mapping[str, Any]]) -> Section:
    """Return the table of one set of sketches."""
    first = rows[0]
    share: dict[str, Any] = {"percent": True, "digits": 1, "share": True, "trials": first["sketches"]}
    table = Table(
        [Measure(f"top_{k}", f"top-{k}", **share) for k in (1, 3, 5)],
        {row["weights"]: {f"top_{k}": {0: row[f"top_{k}"]} for k in (1, 3, 5)} for row in rows},
        corner="weights",
    )
    return Section(
        table, caption=f"{short_name(first['data'])}: {first['sketches']:,} sketches of {first['classes']} classes."
    )
