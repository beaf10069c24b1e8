"""Tuning in a study: each arm that has no weights yet, over the seeds (Algorithm 1)."""

import json
import math
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch

from sketchloss.data.left_out import say_left_out
from sketchloss.data.loading import hold_if_small
from sketchloss.data.sources import open_sketches
from sketchloss.experiments.cells import RUN, Cell, CellStore, Result, done, least_count
from sketchloss.experiments.experiment import Claim, Experiment, Load
from sketchloss.experiments.keys import decisive, network_of
from sketchloss.experiments.section import Figure, Section
from sketchloss.experiments.table import Measure, Table, Values, merge
from sketchloss.experiments.tuning import gates
from sketchloss.experiments.tuning.counted import Network, count_forward, count_pictures, tuning_memory
from sketchloss.experiments.tuning.finetune import finetune, load_start
from sketchloss.experiments.tuning.plan import Plan, image_size_of, is_tuned, start_of, tuning_cell, whose
from sketchloss.experiments.tuning.settings import PRESETS as FINETUNE_PRESETS
from sketchloss.experiments.tuning.settings import Finetune
from sketchloss.metrics.features import embed_sketches
from sketchloss.metrics.ranking import top_k_accuracy
from sketchloss.metrics.separation import separation
from sketchloss.networks.arms import ARMS, Arm
from sketchloss.networks.backbone import Backbone
from sketchloss.networks.weights import load_backbone
from sketchloss.system.files import read_json
from sketchloss.training.sizes import StepSizes

#: The nearest five of a sketch are looked at.
FEWEST_LEFT_OUT = 6


# Cells ---------------------------------------------------------------------------------------------------------------


def cells(plan: Plan) -> Iterator[Cell]:
    """Yield a cell for each seed and each arm that the study tunes."""
    for seed in plan.all_seeds():
        for arm in filter(is_tuned, plan.entries().values()):
            yield tuning(plan, tuning_cell(arm.name, seed), "tuning", finetune_settings(plan, arm, seed), arm.name)


def finetune_settings(plan: Plan, arm: Arm, seed: int, **changes: Any) -> dict[str, Any]:
    """Return the settings of `sketchloss finetune` for an arm, except its folder."""
    own = arm.tuning or {}
    settings = {
        **FINETUNE_PRESETS[plan.tuning_preset],
        **{name: getattr(plan, name) for name in ("data", "leave_out", "weights", "downsample", "gate_init")},
        **{name: getattr(plan, name) for name in ("image_size", "per_class", "held_out", "epochs", "batch_size")},
        **({"lr": plan.lr} if plan.lr else {}),
        "seed": seed,
        **own,
        **changes,
    }
    # At one size, so that cells cost what `load` says.
    return {**settings, "image_sizes": own.get("image_sizes", (settings["image_size"],))}


def tuning(plan: Plan, name: str, part: str, settings: Mapping[str, Any], arm: str, source: str = "") -> Cell:
    """Return a cell that tunes a backbone and measures its features on the classes left out.

    Args:
        plan: plan of the study.
        name: name of the cell.
        part: the experiment that it belongs to.
        settings: settings of `sketchloss finetune`, except its folder.
        arm: whose it is.
        source: what tells it from other cells of the arm and the seed.
    """

    def compute(run: Path, _: Mapping[str, Path]) -> dict[str, Any]:
        found = finetune(Finetune(out=run, resume=(run / "config.json").is_file(), **settings))
        metrics = [json.loads(line) for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
        epochs = [line for line in metrics if "validation_accuracy" in line]
        left_out = {}
        if plan.leave_out:
            left_out = measure_left_out(plan, load_backbone(run, classes=()), settings["seed"], settings["image_size"])
        return {
            "validation_accuracy": found["best_validation_accuracy"],
            "validation_top5": max(epochs, key=lambda line: line["validation_accuracy"])["validation_top5"],
            "accuracies": [line["validation_accuracy"] for line in epochs],
            "steps": found["steps"],
            "held_out_sketches": found["held_out"],
            **left_out,
        }

    return Cell(
        name,
        part,
        compute,
        decisive(Finetune, settings),
        headline=lambda found: f"validation top-1 {found['validation_accuracy']:.1%}",
        **whose(plan, arm, settings["seed"], source),
    )


def measure_left_out(plan: Plan, backbone: Backbone, seed: int, image_size: int) -> dict[str, Any]:
    """Return how well a backbone's features tell the classes apart that no arm was tuned on."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    opened = open_sketches(plan.data, image_size, per_class=plan.per_class, seed=seed)
    sketches = opened.select_classes(plan.leave_out)
    rows, labels = embed_sketches(backbone.to(device), hold_if_small(sketches)), torch.from_numpy(sketches.labels)
    found: dict[str, Any] = {"left_out_sketches": len(sketches), "left_out_classes": len(sketches.classes)}
    if not rows.isfinite().all() or not rows.any(1).all():  # the training has collapsed, and its accuracy says so
        return found
    scores = top_k_accuracy(rows, labels, rows, labels, k=(1, 5), exclude_self=True)
    found |= {f"left_out_top_{k}": value for k, value in scores.items()}
    ratio = separation(rows, labels).ratio
    return {**found, "left_out_ratio": ratio if math.isfinite(ratio) else None}


def load(_: Plan, cell: Cell) -> Load:
    """Return what a training takes."""
    settings: Any = cell.settings
    count, classes, assumed = count_pictures(
        settings["data"], settings["per_class"], settings["seed"], tuple(settings["leave_out"])
    )
    # At least one of a class is held out, and no class wholly.
    train = count - classes * min(max(1, round(count / classes * settings["held_out"])), max(1, count // classes - 1))
    steps = settings["epochs"] * math.ceil(train / settings["batch_size"])
    attention = ARMS[settings["arm"]].gates != "none"
    network = Network(settings["weights"], attention, settings["downsample"], settings.get("slots", "pools"))
    sizes = StepSizes(tuple(settings["image_sizes"]), settings["size_shares"] and tuple(settings["size_shares"]))
    an_image = math.fsum(
        share * count_forward(network, size) for size, share in zip(sizes.sizes, sizes.shares, strict=True)
    )
    arithmetic = 3 * train * settings["epochs"] * an_image
    trained = (settings["head"], classes, settings["batch_size"], settings["precision"])
    memory = partial(tuning_memory, network, max(sizes.sizes), *trained)
    return Load(arithmetic, steps, memory, assumed, settings["precision"])


# Checks --------------------------------------------------------------------------------------------------------------


def further_tunings(plan: Plan) -> dict[str, Finetune]:
    """Return by name how the first seed of each further arm is tuned that the study tunes.

    Raises:
        ValueError: for settings that do not go together, naming the arm.
    """
    found = {}
    for arm in filter(is_tuned, plan.further().values()):
        try:
            found[arm.name] = Finetune(out=plan.out, **finetune_settings(plan, arm, plan.seed))
        except ValueError as error:
            raise ValueError(f"arm {arm.name}: {error}") from None
    return found


def check(plan: Plan) -> None:
    """See that further arms can be tuned as they are described, and that images are large enough for the embedding."""
    further_tunings(plan)
    check_image_size(plan, lambda network: network.embedding_layer)


def check_image_size(plan: Plan, layer: Callable[[Backbone], str]) -> None:
    """See that images are large enough for a layer of every arm's network.

    Raises:
        ValueError: naming the pixels that are needed.
    """
    for arm in plan.entries().values():
        network, size = network_of(start_of(plan, arm)), image_size_of(plan, arm)
        least = network.minimum_size((layer(network),))
        if size < least:
            of_arm = f"arm {arm.name}: " if size != plan.image_size else ""
            raise ValueError(f"{of_arm}image_size is {size}: it must be {least} pixels or more")


def open_data(plan: Plan, say: Any) -> None:
    """Open the sketches, and the weights of every arm."""
    sketches = open_sketches(plan.data, plan.image_size, per_class=plan.per_class, seed=plan.seed)
    say_left_out(plan.data, sketches.unreadable, sketches.passed_over, say=say)
    if plan.leave_out:
        sketches.select_classes(plan.leave_out, leave_out=True)
        left_out = sketches.select_classes(plan.leave_out)
        if len(left_out.classes) < 2 or len(left_out) < FEWEST_LEFT_OUT:
            raise ValueError(
                f"leave_out names {len(left_out.classes)} class(es) with {len(left_out)} sketches: nearest "
                f"neighbours are looked for among them, so leave out two classes or more, with {FEWEST_LEFT_OUT} "
                "sketches at least"
            )
    if load_backbone(plan.weights, classes=()).gates:
        raise ValueError(
            f"weights is {plan.weights}, which has attention gates: the arms without need others, such as imagenet"
        )
    for weights in {weights for arm in plan.further().values() for weights in arm.weights}:
        load_backbone(weights, classes=())
    for name, further in further_tunings(plan).items():
        backbone = load_start(further, classes=())
        least, smallest = backbone.minimum_size((backbone.classified_layer,)), min(further.step_sizes().sizes)
        if smallest < least:
            raise ValueError(f"arm {name}: a size of image_sizes is {smallest}: it must be {least} pixels or more")


# Tables --------------------------------------------------------------------------------------------------------------


def values(results: Iterable[tuple[Cell, Result]]) -> Values:
    """Return what was found of the tuned backbones."""
    names = ("validation_accuracy", "validation_top5", "left_out_top_1", "left_out_top_5", "left_out_ratio")
    return merge(
        [
            {cell.arm: {name: {cell.seed: found[name]} for name in names if found.get(name) is not None}}
            for cell, found in results
        ]
    )


def measures(store: CellStore, part: str) -> list[Measure]:
    """Return the columns; shares are of as many sketches as the cell with the fewest has."""
    held_out, left_out = (least_count(store, part, name) for name in ("held_out_sketches", "left_out_sketches"))
    share: dict[str, Any] = {"percent": True, "share": True}
    return [
        Measure("validation_accuracy", "validation top-1", **share, trials=held_out),
        Measure("validation_top5", "top-5", **share, trials=held_out, shown=part == "tuning"),
        Measure("left_out_top_1", "left-out classes: 1-NN", **share, trials=left_out),
        Measure("left_out_top_5", "left-out classes: 5-NN", **share, trials=left_out, shown=False),
        Measure("left_out_ratio", "left-out classes: inter / intra"),
    ]


def sections(plan: Plan, store: CellStore) -> Iterator[Section]:
    """Yield the table of the arms, with the curves of the first seed of each."""
    found = done(store, "tuning")
    if not found:
        return
    figures = {}
    for arm in dict.fromkeys(cell.arm for cell, _ in found):
        cell = next(cell for cell, _ in found if cell.arm == arm)
        curves = store.place(cell.name) / RUN / "curves.png"
        if curves.is_file():
            caption = f"Training of {arm}, seed {cell.seed}"
            figures[f"tuning-{arm}.png"] = Figure(caption, partial(shutil.copyfile, curves))
    yield Section(
        Table(measures(store, "tuning"), values(found)),
        caption=(
            f"VGG-16 tuned to classify sketches for {epochs(plan.epochs)}, best epoch by the held-out sketches; mean ± "
            f"standard deviation over seeds.{left_out_in_words(plan)}"
        ),
        figures=figures,
    )
    yield from _gates_section(store, found)


def _gates_section(store: CellStore, found: Iterable[tuple[Cell, Result]]) -> Iterator[Section]:
    """Yield a table of what the gates of the arms that have them do, with the maps of the first seed of each."""
    values: dict[str, dict[str, dict[int, float]]] = {}
    figures: dict[str, Figure] = {}
    for cell, _ in found:
        run = store.place(cell.name) / RUN
        if not (run / gates.NUMBERS).is_file():  # the arm has none, or the run is from before they were measured
            continue
        for gate, numbers in read_json(run / gates.NUMBERS)["gates"].items():
            of_gate = values.setdefault(f"{cell.arm}, {gate}", {})
            for measure, value in gates.row_of(numbers).items():
                of_gate.setdefault(measure, {})[cell.seed] = value
        caption = f"What the spatial gates of {cell.arm} let through, seed {cell.seed}"
        figures.setdefault(f"gates-{cell.arm}.png", Figure(caption, partial(shutil.copyfile, run / gates.PICTURE)))
    if values:
        yield Section(
            Table(gates.MEASURES, values, corner="arm and gate"),
            source="gates",
            caption=(
                "Weights in (0, 1) that the gates multiply features by, on sketches held out. Deviations are at the "
                "end of the training: over the channels or places of a drawing, and over drawings; 0: the gate is a "
                "constant. Distance: how far the gate's parameters have moved, beside their norm at the start."
            ),
            figures=figures,
        )


def left_out_in_words(plan: Plan) -> str:
    """Return what the columns on classes left out are; empty where none are."""
    if not plan.leave_out:
        return ""
    return (
        f" Left-out classes: {len(plan.leave_out)} that no arm was tuned on; each of their sketches looks for its "
        "class among the others, by the averaged features that are the embedding."
    )


def epochs(count: int) -> str:
    """Return "3 epochs"."""
    return f"{count} epochs" if count > 1 else "one epoch"


EXPERIMENT = Experiment(
    name="tuning",
    title="Tuning (Algorithm 1)",
    cells=cells,
    sections=sections,
    needs=(),
    load=load,
    claim=Claim("validation_accuracy", "classification"),
    check=check,
    open=open_data,
)
