"""Settings that the experiments of a study share: its arms, its seeds, and how it tunes arms."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from sketchloss.data.names import short_name
from sketchloss.experiments.tuning.arms import describe, read_tuning
from sketchloss.networks.arms import Arm, WeightsPerArm, check_counts, read_arms
from sketchloss.networks.attention import GateInit
from sketchloss.system.setting_fields import PLACE
from sketchloss.training.checks import require_not_negative, require_positive

#: Where the preset `real` looks for its data.
DATA_VARIABLE = "SKETCHLOSS_DATA"


@dataclass(frozen=True)
class Plan:
    """The settings that all experiments of a study share; base of the settings of each.

    Raises:
        ValueError: for a setting outside its range, naming it.
    """

    out: Path = field(metadata=PLACE)
    """Folder to make, for the report and everything it is made from. The same command continues where it was
    stopped."""
    data: str = "doodles"
    """Sketches that the backbones are tuned on: `doodles`, a folder of class folders, a folder of QuickDraw .ndjson, or
    a hub data set; several are separated by commas."""
    measured: tuple[str, ...] = ()
    """Sets of sketches for retrieval and separation; by default `data`."""
    leave_out: tuple[str, ...] = ()
    """Classes that are never tuned on; the features' nearest neighbours among them are measured."""
    weights: str = "imagenet"
    """Weights that the paper's four arms start from."""
    arm: tuple[str, ...] = ()
    """Further arms, after the paper's. `NAME=WEIGHTS` gives weights: one, or one for each seed, separated by commas.
    `NAME=finetune:SETTING=VALUE,...` is tuned for each seed as the arm `tuning` is, with these settings of `sketchloss
    finetune` changed, as in `contrast=finetune:contrast=0.1`; `arm=attention+tuning` among them adds gates. Several
    values of a setting are separated by spaces. An arm with an `image_size` is also measured at that size."""
    image_size: int = 64
    """Side of the images in pixels, for tuning, retrieval and separation, of arms that set no other."""
    per_class: Annotated[int | None, tyro.conf.DisallowNone] = 14
    """Use at most this many sketches of a class of each source."""
    held_out: float = 0.2
    """Share of each class that is never tuned on and gives the queries."""
    downsample: Literal["none", "max"] = "max"
    """Whether gates replace their pools (`none`, as in the paper) or come before them (`max`)."""
    gate_init: GateInit = "open"
    """Start of the gates of attention+tuning: `open`, near 1, `ajar`, each at 0.88, `half`, each at 1/2 while the next
    convolution makes up for it, `random`, as `half` with small random differences, or `default`, each near 0.5. Gates
    of the arm `attention` start as PyTorch has it."""
    seeds: int = 3
    """Number of repeats of tuning, retrieval, separation and probe; split, starts and order differ together."""
    generator_seeds: int = 1
    """Number of repeats of the slowest experiments: photo to sketch and prompt to sketch."""
    seed: int = 0
    """Random seed of the first repeat; the next one has one more."""
    tuning_preset: Literal["demo", "stable", "paper"] = "demo"
    """Preset of `sketchloss finetune` for the settings of tuning that are not given here."""
    epochs: int = 3
    """Passes over the training part, for the tuned arms."""
    batch_size: int = 32
    """Images per step of tuning."""
    lr: Annotated[float | None, tyro.conf.DisallowNone] = None
    """Learning rate of tuning; by default the preset's."""
    inception: Annotated[Path | None, tyro.conf.DisallowNone] = None
    """The FID Inception's weights file, to measure the FID of generated sketches as well."""

    def __post_init__(self) -> None:
        require_positive(self, ("image_size", "epochs", "batch_size", "seeds", "generator_seeds", "per_class", "lr"))
        require_not_negative(self, ("seed",))
        if self.per_class == 1:
            raise ValueError("per_class is 1: one sketch of a class is held out, so give 2 or more")
        if not 0 < self.held_out < 1:
            raise ValueError(f"held_out is {self.held_out}: it must lie between 0 and 1")
        check_names(self, "measured")
        check_counts(self.further().values(), self.seeds)

    def check_generators(self) -> None:
        """Refuse more repeats of the generators than there are tuned weights for.

        Raises:
            ValueError: saying how many there may be.
        """
        if self.generator_seeds > self.seeds:
            raise ValueError(
                f"generator_seeds is {self.generator_seeds}: generators need weights tuned with their seed, so give "
                f"{self.seeds} (seeds) or fewer"
            )

    def generators_in_words(self) -> str:
        """Return how often generators are trained, as the report sets it against the paper."""
        seeds = f"{self.generator_seeds} seeds" if self.generator_seeds > 1 else "one seed"
        return f"{seeds}; the paper reports one training."

    def further(self) -> dict[str, Arm]:
        """Return the arms in addition to the paper's, by name: those to be tuned have no weights."""
        return read_arms(self.arm, tune=read_tuning)

    def entries(self) -> dict[str, Arm]:
        """Return every arm by its name; those that are tuned in the study have no weights."""
        paper = WeightsPerArm(photo=self.weights, tuning=(), attention_tuning=(), downsample=self.downsample)
        return paper.entries() | self.further()

    def measured_sets(self) -> tuple[str, ...]:
        """Return the sets for retrieval and separation."""
        return self.measured or (self.data,)

    def all_seeds(self, count: int | None = None) -> range:
        """Return the seed of each repeat, or of this many repeats."""
        return range(self.seed, self.seed + (self.seeds if count is None else count))


def check_names(plan: object, setting: str) -> None:
    """Refuse two sets of one name: their rows and files would be called alike.

    Raises:
        ValueError: naming the setting and the name.
    """
    called = [short_name(source) for source in getattr(plan, setting)]
    if twice := [place for place in called if called.count(place) > 1]:
        raise ValueError(f"{setting} names two sets called {twice[0]}: rename one's folder, or take one out")


def check_file(plan: object, setting: str) -> None:
    """Refuse a setting that names something other than a file; None passes.

    Raises:
        ValueError: naming the setting and the path.
    """
    path = getattr(plan, setting)
    if path is not None and not path.is_file():
        raise ValueError(f"{setting} is {path}, which is no file: check the path, or leave it out")


def in_data_folder(name: str) -> str:
    """Return the path of one of the sets that the preset `real` is of."""
    return f"{os.environ.get(DATA_VARIABLE, 'data')}/{name}"


# Of an arm in a study ------------------------------------------------------------------------------------------------


def is_tuned(arm: Arm) -> bool:
    """Tell whether the study tunes it."""
    return arm.tuning is not None


def start_of(plan: Plan, arm: Arm, seed: int | None = None) -> str:
    """Return the weights that an arm has, or that its tuning starts from."""
    if arm.tuning is not None:
        return arm.tuning.get("weights", plan.weights)
    return arm.weights_of(0 if seed is None else seed - plan.seed)


def tuning_cell(arm: str, seed: int) -> str:
    """Return the name of the cell that tunes an arm."""
    return f"tuning/{arm}/{seed}"


def weights_needed(arm: Arm, seed: int) -> tuple[str, ...]:
    """Return the names of the cells that make an arm's weights."""
    return (tuning_cell(arm.name, seed),) if is_tuned(arm) else ()


def image_size_of(plan: Plan, arm: Arm) -> int:
    """Return the side of the images in pixels that an arm is tuned at, and looks at in retrieval and separation."""
    return (arm.tuning or {}).get("image_size", plan.image_size)


def other_sizes(plan: Plan) -> tuple[str, ...]:
    """Return a note for each arm that looks at images of another size than the rest."""
    sizes = {name: image_size_of(plan, arm) for name, arm in plan.entries().items()}
    return tuple(f"{name}: measured at {size} pixels." for name, size in sizes.items() if size != plan.image_size)


def arm_settings(plan: Plan, arm: Arm, seed: int) -> dict[str, Any]:
    """Return the settings of `ArmWeights` for one arm, except the folder of its tuned weights."""
    given = {} if is_tuned(arm) else arm.settings(start_of(plan, arm, seed))
    return {"only": (arm.name,), "photo": plan.weights, "downsample": plan.downsample, "seed": seed, **given}


def arm_paths(arm: Arm, seed: int, needs: Mapping[str, Path]) -> dict[str, Any]:
    """Return the settings of `ArmWeights` that name tuned weights."""
    tuned = arm.settings(str(needs[tuning_cell(arm.name, seed)])) if is_tuned(arm) else {}
    return {"tuning": (), "attention_tuning": (), **tuned}


def whose(plan: Plan, arm: str, seed: int, source: str = "") -> dict[str, Any]:
    """Return the fields of `Cell` that say whose it is; rows that are no arm come last."""
    names = [*plan.entries(), arm]
    return {"arm": arm, "place": names.index(arm), "seed": seed, "source": source}


def weights_in_words(plan: Plan) -> dict[str, str]:
    """Return what each arm's weights are, as the notes of a table have it."""
    found = {}
    for name, arm in plan.entries().items():
        turns = ", by turns" if len(arm.weights) > 1 else ""
        given = ", ".join(map(short_name, arm.weights))
        found[name] = f"{given}{turns}" if given else f"{describe(arm)} in this study, anew for each seed"
    return found


def feature_cache(run: Path) -> Path:
    """Return the folder that the cells of a study share for features; files in it are named by their contents."""
    return run.parents[1].parent / "features"


# Presets -------------------------------------------------------------------------------------------------------------

#: Classes of Sketchy that QuickDraw does not have, a part of them: no arm has seen any sketch of these.
NEVER_TUNED_ON = (
    *("ape", "armor", "beetle", "bell", "blimp", "cabin", "chicken", "deer", "geyser", "hermit_crab", "jack-o-lantern"),
    *("jellyfish", "lizard", "pistol", "pretzel", "ray", "rocket", "seagull", "seal", "songbird", "starfish", "tank"),
    *("volcano", "wading_bird", "wheelchair"),
)
#: Controls that tell what acts where gates do (docs/guide/study.md); the image of the last is as large as lets the arm
#: `tuning` have maps as large as arms without pools.
CONTROLS = (
    "gates-no-pools=finetune:arm=attention+tuning,downsample=none",
    "no-pools=finetune:slots=nothing,downsample=none",
    "gates-dilated=finetune:arm=attention+tuning,downsample=dilated",
    "dilated=finetune:slots=nothing,downsample=dilated",
    "convolutions=finetune:slots=convolutions",
    "random-gates=finetune:arm=attention+tuning,gate_init=random,gate_lr_factor=0",
)
_REAL = tuple(map(in_data_folder, ("quickdraw", "sketchy", "pacs_sketch")))
#: What each preset of a study changes of the defaults above.
PRESETS: dict[str, dict[str, Any]] = {
    "doodles": {},
    "demo": {},  # what `doodles` was called before there was `sketchloss demo`
    # Real drawings, at sizes for two cores.
    "real": {
        "data": ",".join(_REAL),
        "measured": _REAL[:2],  # 16 sketches of each of PACS's seven classes would say nothing
        "leave_out": NEVER_TUNED_ON,
        "per_class": 16,
        "held_out": 0.1,
        "seeds": 3,
        "generator_seeds": 3,
        "tuning_preset": "stable",
        "epochs": 6,
        "batch_size": 64,
        "lr": 1.2e-4,
    },
    # Which part of gates in place of pools acts? Small enough for two cores.
    "controls": {
        "data": in_data_folder("quickdraw"),
        "per_class": 9,
        "held_out": 0.1,
        "image_size": 32,
        "gate_init": "half",
        "arm": (*CONTROLS, "larger=finetune:image_size=128"),
        "seeds": 3,
        "tuning_preset": "stable",
        "epochs": 2,
    },
    # Tables 3 and 4 anew with ImageNet's weights and gates that can move, on drawings by people; for two cores.
    "gates": {
        "data": ",".join(map(in_data_folder, ("quickdraw", "tuberlin", "sketchy"))),
        "per_class": 8,
        "held_out": 0.2,
        "gate_init": "half",
        "seeds": 5,
        "tuning_preset": "stable",
        "epochs": 6,
    },
    # Controls beside them, on the paper's data at its size: for a reader with a GPU.
    "attention": {
        "data": "songweig/imagenet_sketch",
        "per_class": None,
        "held_out": 0.1,
        "image_size": 224,
        "gate_init": "half",
        "arm": CONTROLS,
        "seeds": 5,
        "tuning_preset": "stable",
        "epochs": 12,
        "batch_size": 64,
    },
    # The paper's data, sizes and seeds, at what one A100 can do in a weekend, even if it is half as fast as a plan
    # assumes: gates before their pools, which takes a twelfth of the arithmetic, and generators trained less.
    "weekend": {
        "data": "songweig/imagenet_sketch",
        "weights": "imagenet",
        "image_size": 224,
        "per_class": None,
        "held_out": 0.1,
        "seeds": 5,
        "generator_seeds": 5,
        "tuning_preset": "stable",
        "epochs": 25,
        "batch_size": 64,
        "lr": 1.2e-4,
    },
    # The paper's protocol as printed, with our reading of its gaps.
    "paper": {
        "data": "songweig/imagenet_sketch",
        "weights": "imagenet",
        "image_size": 224,
        "per_class": None,
        "held_out": 0.1,
        "downsample": "none",
        "gate_init": "default",
        "seeds": 5,
        "generator_seeds": 5,
        "tuning_preset": "paper",
        "epochs": 25,
    },
}
