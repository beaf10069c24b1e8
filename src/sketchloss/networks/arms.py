"""Arms, the networks that an experiment compares: each has a name, gates or none, and weights or a tuning."""

import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any, ClassVar, Literal

import torch

from sketchloss.networks.attention import GateInit, is_gate_tensor
from sketchloss.networks.backbone import Backbone
from sketchloss.networks.weights import TRANSFORMERS, load_backbone
from sketchloss.system.setting_fields import MEASURED, NEEDED, WEIGHTS

#: The arm that the paper proposes.
PROPOSED = "attention+tuning"
#: The arm that tables compare the others with.
REFERENCE = "tuning"
#: What the paper claims: the first of each two is the better one.
CLAIMS = ((PROPOSED, REFERENCE), (PROPOSED, "original"), (REFERENCE, "original"))
#: What rows of tables are called that are no arms.
TAKEN = ("none", "base", "ssim")
#: Before settings of `sketchloss finetune`, where weights would stand.
TUNED_WITH = "finetune:"
#: How a further arm is written, for errors.
EXAMPLE = "dino=transformers:facebook/dinov2-small"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_+-]{0,39}")
#: Option -> what to do with weights whose gates are not the arm's.
_MENDS = {
    "photo": "--photo takes weights without any",
    "tuning": "give them as --attention-tuning",
    "attention_tuning": "give them as --tuning",
}


@dataclass(frozen=True, kw_only=True)
class Arm:
    """One of the networks that an experiment compares."""

    name: str
    """Name of the arm in tables, figures and folders."""
    option: str = "arm"
    """Setting that gives the arm's weights."""
    weights: tuple[str, ...] = ()
    """Weights that `load_backbone` takes: one, or one for each seed. Empty: the arm is left out, or tuned in the
    experiment."""
    tuning: Mapping[str, Any] | None = None
    """Settings of `sketchloss finetune` that make the arm's weights; None: it is not tuned."""
    gates: Literal["none", "trained", "untrained", "any"] = "any"
    """Gates of the arm: `none`; `trained`, in its weights; `untrained`, added to them; `any`, as its weights have
    them."""
    new_gates: Mapping[str, Any] = field(default_factory=dict)
    """Settings of untrained gates: `gate_init` and `downsample`."""

    @property
    def flag(self) -> str:
        """The option that gives its weights, on the command line."""
        return f"--{self.option.replace('_', '-')}"

    def weights_of(self, run: int = 0) -> str:
        """Return the name or path of its weights in the given repeat of the experiment, counted from 0."""
        return self.weights[run % len(self.weights)]

    def named(self, run: int = 0) -> str:
        """Return how `ForOneArm` names it: by its name, and by its weights if the other options do not give them."""
        return f"{self.name}={self.weights_of(run)}" if self.option == "arm" else self.name

    def settings(self, weights: str) -> dict[str, Any]:
        """Return the setting of `ArmWeights` that gives this arm these weights."""
        value = {"photo": weights, "arm": (f"{self.name}={weights}",)}
        return {self.option: value.get(self.option, (weights,))}

    def load(self, run: int = 0, *, gates: int | None = None) -> Backbone:
        """Load its backbone for one repeat of the experiment.

        Args:
            run: which repeat, from 0: of several weights it takes the next.
            gates: seed that untrained gates are drawn from; by default `run`.

        Raises:
            ValueError: as `load_backbone`, or if the weights have gates where the arm has none, or none where it has.
        """
        weights = self.weights_of(run)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(run if gates is None else gates)
            added = {"attention": True, **self.new_gates} if self.gates == "untrained" else {}
            backbone = load_backbone(weights, classes=(), **added)
        report = backbone.load_report
        assert report is not None
        in_weights = {*backbone.state_dict(), *report.unused} - set(report.new)
        has = any(map(is_gate_tensor, in_weights))
        if self.gates != "any" and has != (self.gates == "trained"):
            what = f"have {'' if has else 'no '}attention gates"
            raise ValueError(f"the weights {weights} of the arm {self.name} {what}: {_MENDS[self.option]}")
        return backbone


def read_arms(given: Sequence[str], tune: Callable[[str, str], Arm] | None = None) -> dict[str, Arm]:
    """Return further arms by their names.

    Args:
        given: `NAME=WEIGHTS` each, or `NAME=WEIGHTS,WEIGHTS,...` with one for each seed.
        tune: makes an arm of its name and what follows `finetune:`; None: nothing is tuned here.

    Raises:
        ValueError: for a text that is not of this form, and a name that is taken, given twice, or no name for a folder.
    """
    found: dict[str, Arm] = {}
    for text in given:
        name, equals, weights = text.partition("=")
        if not equals or not weights.strip():
            raise ValueError(f"arm is {text!r}: give a name and weights, as in {EXAMPLE}")
        if not _NAME.fullmatch(name):
            raise ValueError(
                f"arm is {text!r}: its name must be 1 to 40 letters, digits, -, _ and +, and begin with a letter or a "
                "digit"
            )
        # Some file systems do not tell A from a.
        if name.casefold() in (*ARMS, *TAKEN):
            raise ValueError(f"arm is {text!r}: the name {name} is taken; choose another")
        if name.casefold() in map(str.casefold, found):
            raise ValueError(f"arm names {name} twice: name each once")
        if not weights.startswith(TUNED_WITH):
            found[name] = Arm(name=name, weights=_split(text, weights))
        elif tune is None:
            raise ValueError(
                f"arm is {text!r}: it would be tuned, as `sketchloss study` does; tune it with `sketchloss finetune`, "
                f"and give {name}=FOLDER"
            )
        else:
            found[name] = tune(name, weights.removeprefix(TUNED_WITH))
    return found


def check_counts(arms: Iterable[Arm], seeds: int) -> None:
    """Refuse more than one weights of an arm unless there is one for each seed: some would count twice.

    Raises:
        ValueError: naming the arm, or its setting, and how many there are.
    """
    for arm in arms:
        if (count := len(arm.weights)) not in (0, 1, seeds):
            what = f"arm {arm.name}" if arm.option == "arm" else arm.option
            mend = f"{seeds} seeds: give one, or one for each seed" if seeds > 1 else "one seed: give one"
            raise ValueError(f"{what} has {count} weights for {mend}")


def _split(text: str, weights: str) -> tuple[str, ...]:
    """Return the weights that are joined with commas; a path with commas in it is one."""
    if os.path.exists(weights.removeprefix(TRANSFORMERS)):  # noqa: PTH110 (a name may be too long for a path)
        return (weights,)
    parts = tuple(part.strip() for part in weights.split(","))
    if not all(parts):
        raise ValueError(f"arm is {text!r}: it has a comma with no weights beside it; take it out, or name them")
    return parts


@dataclass(frozen=True, kw_only=True)
class WeightsPerArm:
    """The weights of the paper's arms; base of all configs that choose one or several."""

    photo: str = field(default="imagenet", metadata=WEIGHTS)
    """Weights of the untuned arms, `original` and, with untrained gates, `attention`: a name, a path, a hub repo, or
    another network as `transformers:ID`."""
    tuning: tuple[str, ...] = field(default=("sketch-plain",), metadata=NEEDED)
    """Weights tuned without attention: none, one, or one for each seed (if the experiment has several). `sketchloss
    finetune --arm tuning` makes them."""
    attention_tuning: tuple[str, ...] = field(default=("sketch",), metadata=NEEDED)
    """Weights tuned with attention: none, one, or one for each seed (if the experiment has several). `sketchloss
    finetune --arm attention+tuning` makes them."""
    gate_init: GateInit = "default"
    """Start of the untrained gates of `attention`: `default`, each near 0.5, `ajar`, at 0.88, or `open`, near 1."""
    downsample: Literal["none", "max"] = "max"
    """Whether the untrained gates replace their pools (`none`) or come before them."""

    def entries(self) -> dict[str, Arm]:
        """Return every arm by its name, with weights or without: the paper's in the order of its tables, then others.

        Raises:
            ValueError: as `read_arms`.
        """
        new_gates = {"gate_init": self.gate_init, "downsample": self.downsample}
        paper = (
            Arm(
                name=PROPOSED,
                option="attention_tuning",
                weights=self.attention_tuning,
                tuning={"arm": PROPOSED},
                gates="trained",
            ),
            Arm(name=REFERENCE, option="tuning", weights=self.tuning, tuning={"arm": REFERENCE}, gates="none"),
            Arm(name="attention", option="photo", weights=(self.photo,), gates="untrained", new_gates=new_gates),
            Arm(name="original", option="photo", weights=(self.photo,), gates="none"),
        )
        return {arm.name: arm for arm in paper} | self.further()

    def further(self) -> dict[str, Arm]:
        """Return the arms in addition to the paper's."""
        return {}

    def arms(self) -> list[str]:
        """Return the names of the arms that have weights, in the order of `entries`."""
        return [name for name, arm in self.entries().items() if arm.weights]

    def check_counts(self, seeds: int) -> None:
        """Refuse several weights of an arm that are not one for each seed, as the function does."""
        check_counts(self.entries().values(), seeds)

    def weights_of(self, arm: str, run: int = 0) -> str:
        """Return the name or path of an arm's weights in the given repeat of the experiment, counted from 0."""
        return self.entries()[arm].weights_of(run)

    def load(self, arm: str, run: int = 0, *, gates: int | None = None) -> Backbone:
        """Load the backbone of one of `arms()`, as `Arm.load` does."""
        return self.entries()[arm].load(run, gates=gates)

    def _check_has_weights(self, setting: str, arm: Arm) -> None:
        if not arm.weights:
            raise ValueError(f"{setting} {arm.name}, which has no weights: give {arm.flag}")


#: The paper's four arms by our names, in the order of its tables, with the weights of the package.
ARMS = WeightsPerArm().entries()


@dataclass(frozen=True, kw_only=True)
class ForOneArm(WeightsPerArm):
    """The weights of each arm and the one to take; base of the configs of trainings for one arm."""

    arm: str = PROPOSED
    """Network that the loss uses: `attention+tuning`, `tuning`, `attention` or `original`, whose weights are given by
    the options of the same name (`photo` for the last two), or one of yours as `NAME=WEIGHTS`."""
    beside: ClassVar[tuple[str, ...]] = ()
    """Names that `arm` may have in addition to the arms'."""

    @property
    def arm_name(self) -> str:
        """Name of the arm, without its weights."""
        return self.arm.partition("=")[0]

    def further(self) -> dict[str, Arm]:
        """Return the arm, if it is none of the paper's."""
        return read_arms((self.arm,)) if "=" in self.arm else {}

    def check_arm(self) -> None:
        """Refuse an arm that is unknown or has no weights, or several.

        Raises:
            ValueError: naming it, and what to give.
        """
        known = self.entries()
        if self.arm in self.beside:
            return
        if (arm := known.get(self.arm_name)) is None:
            choices = _choices(self.arm, (*known, *self.beside))
            raise ValueError(f"arm is {self.arm!r}, which is unknown: {choices}, or give {EXAMPLE}")
        self._check_has_weights("arm is", arm)
        if len(arm.weights) > 1:
            what = f"arm {arm.name}" if arm.option == "arm" else arm.option
            raise ValueError(f"{what} has {len(arm.weights)} weights for one training: give one")


@dataclass(frozen=True, kw_only=True)
class ArmWeights(WeightsPerArm):
    """The weights of each arm and which arms to compare; base of the configs of experiments that compare arms.

    Raises:
        ValueError: as `read_arms`; if `only` names an arm that has no weights, or none.
    """

    arm: tuple[str, ...] = field(default=(), metadata=MEASURED)
    """Further arms, after the paper's: `NAME=WEIGHTS` each, as in `dino=transformers:FOLDER tv=timm/vgg16.tv_in1k`, or
    `NAME=WEIGHTS,WEIGHTS` with one for each seed. Gates are as the weights have them."""
    only: tuple[str, ...] = field(default=(), metadata=MEASURED)
    """Compare only these arms, of `attention+tuning`, `tuning`, `attention`, `original` and the further ones; by
    default every arm that has weights."""
    beside: ClassVar[tuple[str, ...]] = ()
    """Names that `only` may have in addition to the arms'."""

    def __post_init__(self) -> None:
        self.check_only()

    def further(self) -> dict[str, Arm]:
        """Return the arms in addition to the paper's, in the order given."""
        return read_arms(self.arm)

    def arms(self) -> list[str]:
        """Return the names of the arms to compare, in the order of `entries`."""
        return [arm for arm in super().arms() if not self.only or arm in self.only]

    def choose_layers(
        self, layer: str, own: Callable[[Backbone], str], *, image_size: int, seeds: int
    ) -> dict[str, str]:
        """Return which layer is measured of each of `arms()`. All their weights are loaded, and mistakes found.

        Args:
            layer: the same for all; empty: each network's own.
            own: gives it.
            image_size: side of the images in pixels.
            seeds: number of repeats.

        Raises:
            ValueError: as `Arm.load`; for a layer that a network does not have, or images that are too small for it.
        """
        known, found = self.entries(), {}
        for name in self.arms():
            for run in range(min(seeds, len(known[name].weights))):
                backbone = known[name].load(run)
                chosen = found.setdefault(name, layer or own(backbone))
                try:
                    least = backbone.minimum_size((chosen,))
                except ValueError as error:
                    raise ValueError(f"{name}: {error}") from None
                if image_size < least:
                    raise ValueError(f"image_size is {image_size}: {chosen} of {name} needs {least} pixels at least")
        return found

    def check_only(self) -> None:
        """Refuse a name in `only` that is no arm, or an arm without weights.

        Raises:
            ValueError: naming it, and what to give.
        """
        known = self.entries()
        for name in self.only:
            if name in known:
                self._check_has_weights("only names", known[name])
            elif name not in self.beside:
                raise ValueError(f"only names {name!r}: {_choices(name, (*known, *self.beside))}")


def _choices(name: str, known: Sequence[str]) -> str:
    near = get_close_matches(name, known, n=1)
    return f"{f'did you mean {near[0]}? ' if near else ''}choose from {', '.join(known)}"
