"""Does a distance between drawings behave? Edits of known size, changes that people ignore, choices, and people.

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
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import tyro
from jaxtyping import Float
from torch import Tensor

from sketchloss.data.left_out import say_left_out
from sketchloss.data.quickdraw.drawings import open_drawings, split_in_halves
from sketchloss.experiments.probe.distances import (
    EMBED,
    BackboneDistances,
    Family,
    PlainDistance,
    baselines,
    combine,
    load_distance,
    measure,
    measure_pairs,
)
from sketchloss.experiments.probe.figure import draw_probe
from sketchloss.experiments.probe.measures import answers, in_plain, summarise
from sketchloss.experiments.probe.sheet import draw_trials
from sketchloss.experiments.probe.table import is_published, sections
from sketchloss.experiments.probe.tap_choice import MOST_TAPS, choose_taps
from sketchloss.experiments.probe.trials import LEVELS, RIVALS, SMALLEST, Trials, check_levels, make_trials
from sketchloss.experiments.section import WRITTEN, Figure, write_results
from sketchloss.loss.tap_distance import METRICS, Metric
from sketchloss.metrics.triplets import Triplets, agreement, read_triplets
from sketchloss.networks.arms import PROPOSED, ArmWeights
from sketchloss.networks.weights import load_backbone
from sketchloss.system.files import claim_folder
from sketchloss.system.images import LARGEST_SIDE, fit_square, save_picture, to_tensor
from sketchloss.system.setting_fields import FILES, PLACE, WEIGHTS, own_layers
from sketchloss.training.held_folder import hold_run_folder

#: Drawings opened of each class: what is not asked about serves as rival, and gives strokes to add.
PER_CLASS = 24
#: Drawings asked about in each class, in both halves together, as far as there are classes enough.
ASKED_PER_CLASS = 4


@dataclass(frozen=True, kw_only=True)
class Probe(ArmWeights):
    """Ask distances between drawings what is known about them, and which taps of a backbone answer best.

    Raises:
        ValueError: for a setting outside its range, naming it.
    """

    out: Path = field(metadata=PLACE)
    """Folder to make, for the tables and figures."""
    data: str = field(default="doodles", metadata=FILES)
    """Drawings as strokes: `doodles`, or a folder of QuickDraw .ndjson."""
    drawings: int = 200
    """How many to ask about: half of them to choose by, half to report."""
    levels: tuple[float, ...] = LEVELS
    """Shares of the strokes that are removed, added, displaced, redrawn; also the hand's wobble."""
    image_size: int = 64
    """Side of the drawings in pixels."""
    taps: tuple[str, ...] = field(default=(), metadata=own_layers(lambda network: network.stages))
    """Layers to measure each by itself, from shallow to deep; by default the last of each stage of the network."""
    weights: tuple[str, ...] = field(default=(), metadata=WEIGHTS)
    """More weights beside the arms': names, paths, hub repos or `transformers:ID`."""
    distance: tuple[str, ...] = ()
    """Distances of your own, `module:function` or `file.py:function`: two batches (n, 3, h, w) in [0, 1] to (n,)."""
    baselines: Annotated[bool, tyro.conf.FlagConversionOff] = True
    """Also measure raw pixels and SSIM."""
    choose: Annotated[str | None, tyro.conf.DisallowNone] = None
    """Arm, or one of `weights`, to choose taps and weights for; by default `attention+tuning` where it is measured."""
    triplets: Annotated[Path | None, tyro.conf.DisallowNone] = field(default=None, metadata=FILES)
    """Judgments of people: a CSV file with the columns reference, closer, farther, or a folder laid out as BAPPS."""
    pictures: Annotated[Path | None, tyro.conf.DisallowNone] = None
    """Folder of the pictures that the CSV file names; by default `pictures` beside it, else its own folder."""
    kind: Annotated[str | None, tyro.conf.DisallowNone] = None
    """Which kind of judgment to score, of a CSV file with a column `kind`; by default `random` where there are such."""
    triplet_size: int = 128
    """Side of these pictures in pixels."""
    seed: int = 0
    """Of the halves, the edits and the doodles."""
    again: bool = field(default=False, metadata=PLACE)
    """Throw away what an earlier run of this left in `out`."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_counts(1)
        if self.drawings < 4:
            raise ValueError(f"drawings is {self.drawings}: each half needs 2 at least, so give 4 or more")
        check_levels(self.levels)
        for name in ("image_size", "triplet_size"):
            if not SMALLEST <= getattr(self, name) <= LARGEST_SIDE:
                value = getattr(self, name)
                raise ValueError(f"{name} is {value}: it must be {SMALLEST} to {LARGEST_SIDE} pixels")
        if not 0 <= self.seed < 2**32:
            raise ValueError(f"seed is {self.seed}: it must be 0 to {2**32 - 1}")
        if len(self.taps) > MOST_TAPS:
            raise ValueError(f"taps names {len(self.taps)} layers: name {MOST_TAPS} at most")
        for name in ("weights", "distance"):
            values = getattr(self, name)
            if twice := [value for value in values if values.count(value) > 1]:
                raise ValueError(f"{name} names {twice[0]} twice: name each once")
        if clash := [weights for weights in self.weights if weights in self.arms()]:
            raise ValueError(f"weights names {clash[0]}, which is what an arm is called: give a path, as ./{clash[0]}")
        if self.choose is not None and self.choose not in (known := [*self.arms(), *self.weights]):
            raise ValueError(f"choose is {self.choose!r}, which is not measured: choose from {', '.join(known)}")
        if self.triplets is None and not (self.pictures is None and self.kind is None):
            name = "kind" if self.pictures is None else "pictures"
            raise ValueError(f"{name} is {getattr(self, name)}, and there are no judgments: give --triplets too")

    def chooses(self) -> str | None:
        """Return the arm or weights to choose taps for; None: none."""
        return self.choose or (PROPOSED if PROPOSED in self.arms() else None)


KIND = "probe"
#: All that this leaves in its folder.
MADE = {"config.json", *WRITTEN, "figure.png", "trials.png"}
#: What each preset changes of the defaults above.
PRESETS: dict[str, dict[str, Any]] = {
    "small": {},
    "demo": {"drawings": 16, "levels": (0.2, 0.4, 0.6)},
}


def probe(config: Probe) -> dict[str, Any]:
    """Run the recipe; return what `results.json` holds.

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
