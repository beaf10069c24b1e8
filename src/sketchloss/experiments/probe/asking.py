"""The probe of distances between drawings: edits of known size, changes that people ignore, choices, and people.

    sketchloss probe --preset demo --out runs/probe                                half a minute or so on two cores
    sketchloss probe --data QUICKDRAW --out runs/probe --tuning runs/tuning --weights imagenet runs/mine
    sketchloss probe --out runs/probe --distance my_losses.py:lpips                a distance of your own beside them
    sketchloss probe --out runs/probe --triplets triplets.csv                      and how often they agree with people

Drawings that are kept as strokes can be edited by known amounts. Half of them are for choosing taps and weights, and
the other half, on which nothing was chosen, is what the tables report. How to ask a distance in Python:
`sketchloss.experiments.probe.probe_distance`.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from sketchloss.data.left_out import say_left_out
from sketchloss.data.quickdraw.drawings import open_drawings, split_in_halves
from sketchloss.experiments.probe.distances import (
    EMBED,
    BackboneDistances,
    Family,
    combine,
    measure,
    measure_pairs,
)
from sketchloss.experiments.probe.figure import draw_probe
from sketchloss.experiments.probe.measures import answers, in_plain, summarise
from sketchloss.experiments.probe.settings import Probe
from sketchloss.experiments.probe.sheet import draw_trials
from sketchloss.experiments.probe.table import is_published, sections
from sketchloss.experiments.probe.tap_choice import MOST_TAPS, choose_taps
from sketchloss.experiments.probe.trials import RIVALS, Trials, make_trials
from sketchloss.experiments.section import WRITTEN, Figure, write_results
from sketchloss.loss.tap_distance import METRICS, Metric
from sketchloss.metrics.plain_distance import PlainDistance, baselines, load_distance
from sketchloss.metrics.triplets import Triplets, agreement, read_triplets
from sketchloss.networks.weights import load_backbone
from sketchloss.system.files import claim_folder
from sketchloss.system.images import fit_square, save_picture, to_tensor
from sketchloss.training.held_folder import hold_run_folder

#: Drawings opened of each class: what is not asked about serves as rival, and gives strokes to add.
PER_CLASS = 24
#: Drawings asked about in each class, in both halves together, as far as there are classes enough.
ASKED_PER_CLASS = 4


KIND = "probe"
#: All that this leaves in its folder.
MADE = {"config.json", *WRITTEN, "figure.png", "trials.png"}


def probe(config: Probe) -> dict[str, Any]:
    """Run `sketchloss probe`; return the contents of `results.json`.

    Raises:
        ValueError: for data without strokes, weights, distances or judgments that do not fit, or an `out` in use.
        FileNotFoundError: for weights that are not there.
    """
    with hold_run_folder(config.out):
        return _probe(config)


def _probe(config: Probe) -> dict[str, Any]:
    # Set-up: mistakes are found before anything is written or takes long ---------------------------------------------
    device = "cuda" if torch.cuda.is_available() else "cpu"
    families = _families(config, device)
    asked = (tap for family in families if isinstance(family, BackboneDistances) for tap in family.asked)
    config = replace(config, taps=tuple(dict.fromkeys(asked))[:MOST_TAPS])  # what config.json is to name
    triplets = None
    if config.triplets is not None:
        triplets = read_triplets(config.triplets, config.pictures, kind=config.kind)

    # Data ------------------------------------------------------------------------------------------------------------
    faults: list[str] = []
    classes = max(2, math.ceil(config.drawings / ASKED_PER_CLASS))
    drawings = open_drawings(config.data, per_class=PER_CLASS, classes=classes, seed=config.seed, faults=faults)
    say_left_out(config.data, faults)
    parts = split_in_halves(drawings, config.seed)
    halves = [
        make_trials(part, config.image_size, count=config.drawings // 2, levels=config.levels, seed=config.seed)
        for part in parts
    ]
    for family in families:
        _try(family, halves[0], device)
    claim_folder(config.out, kind=KIND, made=MADE, again=config.again, settings=config)
    results = _head(config, halves, triplets, len(faults))
    print(f"{config.data}: {results['drawings']} drawings to report, {results['choose_drawings']} to choose by")

    # Measuring -------------------------------------------------------------------------------------------------------
    for family in families:
        measured = [measure(family, half, device=device, progress=True) for half in halves]
        judged = _judge(family, triplets, config.triplet_size, device)
        rows = _rows(config, family, measured, halves, judged, triplets)
        results["rows"] += rows
        if isinstance(family, BackboneDistances) and family.name == config.chooses():
            choose, report = zip(measured, halves, strict=True)
            default = family.default_layers, family.default_metric
            chosen = choose_taps(choose, report, family.asked, default=default)
            entries = [chosen["default"], chosen["best"], *chosen["best_of"], *chosen["top"]]
            for entry in entries:  # reported beside the choice, which is made
                values = combine(judged, entry["layers"], entry["metric"]) if judged else None
                entry["people"] = _agree(values, triplets)
            results["chosen"].append({"group": family.name, "weights": rows[0]["weights"], **chosen})
        print(f"{rows[0]['name']}: score {rows[0]['report']['score']:.3f}")

    # Report ----------------------------------------------------------------------------------------------------------
    figures = {
        "figure.png": Figure("How distances behave, by the depth of the tap", lambda path: draw_probe(results, path)),
        "trials.png": Figure("What the distances were asked", lambda path: save_picture(draw_trials(halves[1]), path)),
    }
    first, *others = sections(results)
    write_results(config.out, results, [first.with_figures(figures), *others])
    return results


# Set-up --------------------------------------------------------------------------------------------------------------


def _families(config: Probe, device: str) -> list[Family]:
    families: list[Family] = [*(baselines() if config.baselines else ())]
    families += [load_distance(spec, device) for spec in config.distance]
    for name in [*config.arms(), *config.weights]:
        is_arm = name in config.arms()
        backbone = config.load(name, gates=config.seed) if is_arm else load_backbone(name, classes=())
        metrics: Sequence[Metric] = METRICS if name == config.chooses() else ()
        try:
            family = BackboneDistances(name, backbone, config.taps, metrics=metrics, device=device)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None
        for setting in ("image_size", "triplet_size"):
            if getattr(config, setting) < family.minimum_size:
                size = getattr(config, setting)
                raise ValueError(f"{setting} is {size}: the taps of {name} need {family.minimum_size} at least")
        families.append(family)
    return families


def _try(family: Family, trials: Trials, device: str) -> None:
    """Compare two drawings, so that a distance that fails does so before the others have taken their time."""
    if isinstance(family, PlainDistance):
        images = (trials.references[:2].float() / 255)[:, None].expand(-1, 3, -1, -1).to(device)
        with torch.no_grad():
            family.compare(family.extract(images), family.extract(images.flip(0)))


def _head(config: Probe, halves: Sequence[Trials], triplets: Triplets | None, unreadable: int) -> dict[str, Any]:
    choose, report = halves
    return {
        "format": f"sketchloss {KIND}",
        "data": config.data,
        "drawings": len(report.drawings),
        "choose_drawings": len(choose.drawings),
        "classes": report.classes,
        "image_size": config.image_size,
        "levels": list(report.levels),
        "seed": config.seed,
        "unreadable": unreadable,
        "trials": dict(zip(RIVALS, report.valid.sum(0).tolist(), strict=True)),
        "triplets": triplets and {
            "name": triplets.name,
            "pictures": len(triplets.pictures),
            "judgments": len(triplets),
            "participants": None if triplets.participants is None else int(triplets.participants.max()) + 1,
            "kind": triplets.kind,
            "size": config.triplet_size,
            "published": is_published([path.name for path in triplets.pictures]),
        },
        "rows": [],
        "chosen": [],
    }  # fmt: skip


# Measuring -----------------------------------------------------------------------------------------------------------

Distances = dict[str, Float[np.ndarray, "..."]]


def _judge(family: Family, triplets: Triplets | None, size: int, device: str) -> Distances | None:
    """Return the distances of the one and of the other picture to the reference, one row above the other."""
    if triplets is None:
        return None

    def read(index: int) -> Float[Tensor, "3 s s"]:
        return to_tensor(fit_square(triplets.read(index), size))

    found = measure_pairs(family, read, triplets.pairs, device=device, progress=True)
    return {name: values.reshape(2, -1) for name, values in found.items()}


def _agree(values: Float[np.ndarray, "2 m"] | None, triplets: Triplets | None) -> dict[str, Any] | None:
    if values is None or triplets is None:
        return None
    return asdict(agreement(triplets, values[0], values[1]))


def _rows(
    config: Probe,
    family: Family,
    measured: Sequence[Distances],
    halves: Sequence[Trials],
    judged: Distances | None,
    triplets: Triplets | None,
) -> list[dict[str, Any]]:
    """Return the rows of a family: of a backbone the loss as it is and as the paper has it, each tap, the embedding."""
    plain = {"group": None, "arm": None, "weights": None, "taps": {}, "metric": None}
    if isinstance(family, BackboneDistances):
        arm = family.name if family.name in config.arms() else None
        whose = {"group": family.name, "arm": arm, "weights": config.weights_of(arm) if arm else family.name}
        metric = family.default_metric
        asked = [
            {
                "name": f"{family.name}, default taps",
                "kind": "default",
                "taps": family.default_layers,
                "metric": metric,
            },
        ]
        if family.paper_layers:
            paper = {tap: 1 / len(family.paper_layers) for tap in family.paper_layers}
            asked.append({"name": f"{family.name}, the paper's l1", "kind": "paper", "taps": paper, "metric": "l1"})
        asked += [
            {"name": f"{family.name}, {tap}", "kind": "tap", "taps": {tap: 1.0}, "metric": metric}
            for tap in family.asked
        ]
        asked.append({"name": f"{family.name}, {EMBED}", "kind": EMBED, "taps": {}, "metric": "cosine"})
        asked = [{**plain, **whose, **one} for one in asked]
    else:
        kind = "own" if family.name in config.distance else "baseline"
        asked = [{**plain, "name": family.name, "kind": kind}]

    def distances(found: Distances, one: dict[str, Any]) -> Float[np.ndarray, "..."]:
        if one["taps"]:
            return combine(found, one["taps"], one["metric"])
        return found[EMBED if one["kind"] == EMBED else family.name]

    rows = []
    for one in asked:
        of_halves = {
            name: in_plain(summarise(answers(distances(found, one), half)))
            for name, found, half in zip(("choose", "report"), measured, halves, strict=True)
        }
        rows.append({**one, **of_halves, "people": _agree(distances(judged, one) if judged else None, triplets)})
    return rows
