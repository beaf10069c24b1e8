"""The ablation: which choices matter. Each is changed by itself, in smaller trainings."""

import dataclasses
from collections.abc import Iterator
from typing import Any

from sketchloss.experiments.cells import Cell, CellStore, done
from sketchloss.experiments.experiment import Experiment
from sketchloss.experiments.keys import network_of
from sketchloss.experiments.section import Section
from sketchloss.experiments.table import Table, Values
from sketchloss.experiments.tuning.ablation_plan import GATE_INITS, AblationPlan, Choice
from sketchloss.experiments.tuning.experiment import (
    epochs,
    finetune_settings,
    left_out_in_words,
    load,
    measures,
    open_data,
    tuning,
    values,
)
from sketchloss.experiments.tuning.plan import is_tuned
from sketchloss.experiments.tuning.settings import PRESETS as FINETUNE_PRESETS
from sketchloss.experiments.tuning.settings import Finetune
from sketchloss.networks.arms import ARMS

AS_THE_STUDY = "as the study"
#: How Algorithm 1 optimises, and how we do.
_OPTIMISATION = ("optimizer", "lr", "new_lr_factor", "schedule", "warmup", "clip", "label_smoothing")


def variants(plan: AblationPlan) -> dict[str, dict[str, Any]]:
    """Return the choices tested, each with its other value: name -> settings of `sketchloss finetune`."""
    stable = {item.name: item.default for item in dataclasses.fields(Finetune) if item.name in _OPTIMISATION}
    literal = {name: FINETUNE_PRESETS["paper"][name] for name in _OPTIMISATION}
    other_way = stable if plan.tuning_preset == "paper" else literal
    known: dict[Choice, dict[str, dict[str, Any]]] = {
        "gate_init": {f"gate_init={other}": {"gate_init": other} for other in GATE_INITS if other != plan.gate_init},
        "downsample": {
            f"downsample={other}": {"downsample": other} for other in ("none", "max") if other != plan.downsample
        },
        "optimisation": {f"lr={other_way['lr']:g}, {other_way['optimizer']}": other_way},
    }
    asked = [of_choice for choice, of_choice in known.items() if not plan.ablations or choice in plan.ablations]
    return {AS_THE_STUDY: {}, **{name: changes for of_choice in asked for name, changes in of_choice.items()}}


def cells(plan: AblationPlan) -> Iterator[Cell]:
    """Yield a cell for each seed, choice and arm of the paper's that it concerns."""
    smaller = {
        "per_class": plan.ablation_per_class,
        "epochs": plan.ablation_epochs,
        "image_size": plan.ablation_image_size or plan.image_size,
    }
    for seed in plan.all_seeds(plan.ablation_seeds):
        for variant, changes in variants(plan).items():
            for arm in filter(is_tuned, ARMS.values()):
                if arm.gates == "trained" or not {"gate_init", "downsample"} & set(changes):
                    settings = finetune_settings(plan, arm, seed, **smaller, **changes)
                    name = f"ablation/{variant}/{arm.name}/{seed}"
                    yield tuning(plan, name, "ablation", settings, arm.name, variant)


def check(plan: AblationPlan) -> None:
    """See that its images are large enough."""
    network = network_of(plan.weights)
    layer = network.taps[-1] if plan.tuning_preset == "paper" else network.embedding_layer
    least = network.minimum_size((layer,))
    setting = "image_size" if plan.ablation_image_size is None else "ablation_image_size"
    if (size := getattr(plan, setting)) < least:
        raise ValueError(f"{setting} is {size}: it must be {least} pixels or more")


def sections(plan: AblationPlan, store: CellStore) -> Iterator[Section]:
    """Yield one table: arms by choice."""
    found: dict[str, Any] = {}
    for variant in variants(plan):
        of_variant: Values = values(done(store, "ablation", source=variant))
        for arm, of_arm in of_variant.items():
            found[arm if variant == AS_THE_STUDY else f"{arm}, {variant}"] = of_arm
    if found:
        seeds = f"{plan.ablation_seeds} seeds" if plan.ablation_seeds > 1 else "one seed"
        yield Section(
            Table(measures(store, "ablation"), found, corner="arm, and what is different"),
            caption=(
                "One choice at a time turned the other way round, in smaller trainings: "
                f"{plan.ablation_image_size or plan.image_size} pixels, {plan.ablation_per_class or 'all'} sketches a "
                f"class, {epochs(plan.ablation_epochs)}, {seeds}; else as above (`downsample={plan.downsample}`, "
                f"`gate_init={plan.gate_init}`).{left_out_in_words(plan)}"
            ),
        )


EXPERIMENT = Experiment(
    name="ablation",
    title="Which choices matter",
    cells=cells,
    sections=sections,
    needs=(),
    load=load,
    check=check,
    open=open_data,
)
