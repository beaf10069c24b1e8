"""What a study is of: its settings, and four sizes of it."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import tyro

from sketchloss.data.names import short_name
from sketchloss.diffusion.bases import TINY
from sketchloss.networks.arms import Arm, WeightsPerArm, check_counts, read_arms
from sketchloss.networks.attention import GateInit
from sketchloss.recipes.study.arms import read_tuning
from sketchloss.recipes.study.device_speed import check_device_speed
from sketchloss.training.checks import require_positive

Part = Literal["tuning", "style", "lora", "retrieval", "separation", "probe", "ablation"]
PARTS: tuple[Part, ...] = get_args(Part)
Choice = Literal["gate_init", "downsample", "optimisation"]
#: Where the preset `real` looks for its data.
DATA_VARIABLE = "SKETCHLOSS_DATA"


@dataclass(frozen=True)
class Study:
    """Compare the paper's four arms, and others: every table and figure, over seeds, into one report.

    Presets: `demo`, on doodles, minutes on a laptop; `real`, on people's drawings in `$SKETCHLOSS_DATA`, an afternoon
    on two cores; `weekend`, the paper's data and sizes, one GPU and a weekend; `paper`, its whole protocol.

    Raises:
        ValueError: for a setting outside its range, naming it.
    """

    out: Path
    """Folder to make, for the report and everything behind it. The same command goes on where it was stopped."""
    only: tuple[Part, ...] = ()
    """Parts to do; by default all: tuning, style (Table 1, Figure 2), lora (Table 2, Figure 3), retrieval (Table 3),
    separation (Table 4, Figure 4), probe (distances of edited drawings), ablation (which choices matter)."""
    data: str = "doodles"
    """Sketches that the backbones are tuned on: `doodles`, a folder of class folders, a folder of QuickDraw .ndjson, or
    a hub data set; several with commas between them."""
    measured: tuple[str, ...] = ()
    """Sets of sketches for retrieval and separation; by default `data`."""
    leave_out: tuple[str, ...] = ()
    """Classes never tuned on; the features' nearest neighbours among them are measured."""
    weights: str = "imagenet"
    """What the paper's four arms start from."""
    arm: tuple[str, ...] = ()
    """Further arms, after the paper's: `NAME=WEIGHTS` with given weights, one, or one for each seed with commas between
    them; or `NAME=finetune:SETTING=VALUE,...`, tuned for each seed as the arm `tuning` is, but for these settings of
    `sketchloss finetune`, as in `contrast=finetune:contrast=0.1`. With gates if `arm=attention+tuning` is among them.
    Several values of a setting have spaces between them."""
    image_size: int = 64
    """Side of the images in pixels, for tuning, retrieval and separation."""
    per_class: Annotated[int | None, tyro.conf.DisallowNone] = 14
    """Use at most this many sketches of a class of each source."""
    held_out: float = 0.2
    """Share of each class that is never tuned on: the queries."""
    downsample: Literal["none", "max"] = "max"
    """`none`: gates replace their pools, as the paper has it; `max`: gate, then pool."""
    gate_init: GateInit = "open"
    """How the gates of attention+tuning start: `open`, near 1, `ajar`, each at 0.88, or `default`, each near 0.5.
    Those of `attention` start as PyTorch has it."""
    seeds: int = 3
    """Repeats of tuning, retrieval, separation and probe; split, starts and order differ together."""
    generator_seeds: int = 1
    """Repeats of what takes longest: photo to sketch and prompt to sketch."""
    seed: int = 0
    """Of the first repeat; the next is one more."""
    tuning_preset: Literal["demo", "stable", "paper"] = "demo"
    """Preset of `sketchloss finetune` for what is not said here."""
    epochs: int = 3
    """Passes over the training part, for the tuned arms."""
    batch_size: int = 32
    """Images a step of tuning."""
    lr: Annotated[float | None, tyro.conf.DisallowNone] = None
    """Learning rate of tuning; by default the preset's."""
    retrieval_preset: Literal["demo", "small", "paper"] = "demo"
    """Preset of `sketchloss retrieval`."""
    style_preset: Literal["demo", "small", "standard", "paper"] = "demo"
    """Preset of `sketchloss style table`."""
    content: str = "doodles"
    """Photos that the photo-to-sketch networks are trained on."""
    sets: tuple[str, ...] = ("doodles?tool=ink",)
    """Pairs of photo and true sketch that they draw: `doodles?tool=ink`, `cufs:PATH`, `fs2k:PATH?style=1`."""
    drawing_steps: Annotated[int | None, tyro.conf.DisallowNone] = 100
    """Steps that each photo-to-sketch network is trained; by default the preset's."""
    drawing_size: Annotated[int | None, tyro.conf.DisallowNone] = None
    """Side of its images in pixels; by default the preset's."""
    lora_preset: Literal["demo", "small", "stable", "paper"] = "demo"
    """Preset of `sketchloss lora table`."""
    taught: str = "doodles?tool=ink"
    """Labelled sketches that a text-to-image model is taught to draw."""
    base: str = TINY
    """The model: `tiny` (in the package), a folder, or a hub name."""
    teaching_steps: Annotated[int | None, tyro.conf.DisallowNone] = 40
    """Steps that it is trained; by default the preset's."""
    probe_preset: Literal["demo", "small"] = "demo"
    """Preset of `sketchloss probe`."""
    probed: str = "doodles"
    """Strokes that the probe edits: `doodles`, or a folder of QuickDraw .ndjson."""
    triplets: Annotated[Path | None, tyro.conf.DisallowNone] = None
    """Human judgments for the probe: a CSV file of reference, closer, farther."""
    inception: Annotated[Path | None, tyro.conf.DisallowNone] = None
    """The FID Inception's weights file, to measure the FID as well."""
    clip_model: Annotated[str | None, tyro.conf.DisallowNone] = None
    """CLIP model, a folder or a hub name, to measure the similarity to the prompt as well."""
    ablations: tuple[Choice, ...] = ()
    """Choices to look into, by default all: gate_init (how gates start), downsample (whether they replace their pools),
    optimisation (as the paper prints it, or as here)."""
    ablation_per_class: Annotated[int | None, tyro.conf.DisallowNone] = 6
    """Sketches of a class for the ablation, which has trainings twelve times as long as the others."""
    ablation_image_size: Annotated[int | None, tyro.conf.DisallowNone] = 32
    """Side of its images in pixels; the preset `paper` has those of the others."""
    ablation_epochs: int = 2
    """Passes over its training part."""
    ablation_seeds: int = 1
    """Repeats of it."""
    workers: int = 0
    """Processes that share the work, each a cell at a time; 0: one for each GPU, or one. Those of `accelerate launch`
    do the same."""
    dry_run: bool = False
    """Say what would be done, about how long it would take, and what to leave out to save most, and stop. Asks no
    network: sizes of data sets that are not on this disk are those that were published."""
    device_speed: str = "a100"
    """What a dry run counts the time for: a card (`a100`, `h100`, `h200`, `l4`, `rtx-3090`, `rtx-4090`, at 30 % of its
    maker's peak), the TFLOP/s that your trainings reach, such as `40`, or `here`, measured on this machine."""
    again: bool = False
    """Throw away what an earlier study left in `out`."""

    def __post_init__(self) -> None:
        numbers = (
            "image_size",
            "epochs",
            "batch_size",
            "seeds",
            "generator_seeds",
            "ablation_epochs",
            "ablation_seeds",
        )
        require_positive(self, numbers)
        for name in (
            *("per_class", "drawing_steps", "drawing_size", "teaching_steps", "lr"),
            *("ablation_per_class", "ablation_image_size"),
        ):
            value = getattr(self, name)
            if value is not None and not value > 0:  # nan neither
                raise ValueError(f"{name} is {value}: it must be positive")
        for name in ("per_class", "ablation_per_class"):
            if getattr(self, name) == 1:
                raise ValueError(f"{name} is 1: one sketch of a class is held out, so give 2 or more")
        if (self.does("style") or self.does("lora")) and self.generator_seeds > self.seeds:
            raise ValueError(
                f"generator_seeds is {self.generator_seeds}: generators need weights tuned with their seed, so give "
                f"{self.seeds} (seeds) or fewer"
            )
        for name in ("seed", "workers"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} is {getattr(self, name)}: it must be 0 or more")
        check_device_speed(self.device_speed)
        if not 0 < self.held_out < 1:
            raise ValueError(f"held_out is {self.held_out}: it must lie between 0 and 1")
        for part in self.only:
            if part not in PARTS:
                raise ValueError(f"only names {part!r}: choose from {', '.join(PARTS)}")
        if not self.sets:
            raise ValueError("sets is empty: name at least one, such as doodles?tool=ink")
        for name in ("sets", "measured"):
            called = [short_name(source) for source in getattr(self, name)]
            if twice := [place for place in called if called.count(place) > 1]:
                raise ValueError(f"{name} names two sets called {twice[0]}: rename one's folder, or take one out")
        check_counts(self.further().values(), self.seeds)

    def further(self) -> dict[str, Arm]:
        """Return the arms beside the paper's by their names: of given weights, or tuned in the study, without."""
        return read_arms(self.arm, tune=read_tuning)

    def entries(self) -> dict[str, Arm]:
        """Return every arm by its name; those that are tuned in the study have no weights."""
        paper = WeightsPerArm(photo=self.weights, tuning=(), attention_tuning=(), downsample=self.downsample)
        return paper.entries() | self.further()

    def does(self, part: Part) -> bool:
        """Tell whether a part is asked for."""
        return not self.only or part in self.only

    def measured_sets(self) -> tuple[str, ...]:
        """Return the sets for retrieval and separation."""
        return self.measured or (self.data,)

    def all_seeds(self, count: int | None = None) -> range:
        """Return the seed of each repeat."""
        return range(self.seed, self.seed + (self.seeds if count is None else count))


def _real() -> Iterator[tuple[str, Any]]:
    folder = os.environ.get(DATA_VARIABLE, "data")
    sets = tuple(f"{folder}/{name}" for name in ("quickdraw", "sketchy", "pacs_sketch"))
    yield "data", ",".join(sets)
    yield "measured", sets[:2]  # 16 sketches of each of PACS's seven classes would say nothing
    yield "content", f"{folder}/photos"
    yield "sets", (f"cufs:{folder}/cufs", *(f"fs2k:{folder}/fs2k?style={style}" for style in (1, 2, 3)))
    yield "probed", f"{folder}/quickdraw"
    triplets = Path(folder, "human_triplets", "triplets.csv")
    yield "triplets", triplets if triplets.is_file() else None


#: Classes of Sketchy that QuickDraw does not have, a part of them: no arm has seen any sketch of these.
NEVER_TUNED_ON = (
    *("ape", "armor", "beetle", "bell", "blimp", "cabin", "chicken", "deer", "geyser", "hermit_crab", "jack-o-lantern"),
    *("jellyfish", "lizard", "pistol", "pretzel", "ray", "rocket", "seagull", "seal", "songbird", "starfish", "tank"),
    *("volcano", "wading_bird", "wheelchair"),
)
#: What each preset changes of the defaults above.
PRESETS: dict[str, dict[str, Any]] = {
    "demo": {},
    # Real drawings, at what two cores can do in an afternoon.
    "real": {
        **dict(_real()),
        **{"leave_out": NEVER_TUNED_ON, "per_class": 16, "held_out": 0.1, "seeds": 3, "generator_seeds": 3},
        **{"tuning_preset": "stable", "epochs": 6, "batch_size": 64, "lr": 1.2e-4, "retrieval_preset": "small"},
        **{"style_preset": "small", "drawing_steps": 1000, "drawing_size": None, "lora_preset": "small"},
        **{"teaching_steps": None, "probe_preset": "small"},
        # note: not `downsample`, which takes twelve times as long as the other choices
        **{"ablations": ("gate_init", "optimisation")},
        **{"ablation_per_class": 4, "ablation_epochs": 4, "ablation_seeds": 3},
    },
    # The paper's data, sizes and seeds, at what one A100 can do in a weekend, even if it is half as fast as a plan
    # assumes: gates before their pools, which takes a twelfth of the arithmetic, and generators trained less.
    "weekend": {
        **{"data": "songweig/imagenet_sketch", "weights": "imagenet", "image_size": 224, "per_class": None},
        **{"held_out": 0.1, "seeds": 5, "generator_seeds": 5, "tuning_preset": "stable", "epochs": 25},
        **{"batch_size": 64, "lr": 1.2e-4, "retrieval_preset": "small", "probe_preset": "small"},
        **{"style_preset": "standard", "content": "detection-datasets/coco", "drawing_steps": 6000},
        **{"sets": ("cufs:cufs", "fs2k:fs2k?style=1", "fs2k:fs2k?style=2", "fs2k:fs2k?style=3")},
        **{"lora_preset": "stable", "taught": "songweig/imagenet_sketch", "teaching_steps": 5000},
        **{"base": "stable-diffusion-v1-5/stable-diffusion-v1-5", "clip_model": "openai/clip-vit-base-patch16"},
        # note: not `downsample`, which takes twelve times as long as the other choices
        **{"ablations": ("gate_init", "optimisation"), "ablation_per_class": None, "ablation_image_size": None},
        **{"ablation_epochs": 10, "ablation_seeds": 5},
    },
    # The paper's protocol as printed, with our reading of its gaps.
    "paper": {
        **{"data": "songweig/imagenet_sketch", "weights": "imagenet", "image_size": 224, "per_class": None},
        **{"held_out": 0.1, "downsample": "none", "gate_init": "default", "seeds": 5, "generator_seeds": 5},
        **{"tuning_preset": "paper", "epochs": 25, "retrieval_preset": "paper", "style_preset": "paper"},
        **{"content": "detection-datasets/coco", "drawing_steps": None, "lora_preset": "paper", "teaching_steps": None},
        **{"sets": ("cufs:cufs", "fs2k:fs2k?style=1", "fs2k:fs2k?style=2", "fs2k:fs2k?style=3")},
        **{"taught": "songweig/imagenet_sketch", "base": "stable-diffusion-v1-5/stable-diffusion-v1-5"},
        **{"clip_model": "openai/clip-vit-base-patch16", "probe_preset": "small", "ablation_per_class": None},
        **{"ablation_image_size": None, "ablation_epochs": 25, "ablation_seeds": 5},
    },
}
