"""The paper's four arms, and which weights stand for them where an experiment compares them."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch

from sketchloss.networks.attention import GateInit, is_gate_tensor
from sketchloss.networks.backbone import Backbone
from sketchloss.networks.weights import load_backbone

ArmName = Literal["attention+tuning", "tuning", "attention", "original"]


@dataclass(frozen=True)
class Arm:
    """One of the paper's four arms."""

    attention: bool
    tuning: bool


#: The paper's four arms by our names, in the order of its tables.
ARMS = {
    "attention+tuning": Arm(attention=True, tuning=True),
    "tuning": Arm(attention=False, tuning=True),
    "attention": Arm(attention=True, tuning=False),
    "original": Arm(attention=False, tuning=False),
}


@dataclass(frozen=True, kw_only=True)
class WeightsPerArm:
    """The weights of each arm; base of the configs of trainings for one arm."""

    photo: str = "imagenet"
    """Weights of the untuned arms, `original` and, with untrained gates, `attention`: a name, a path, a hub repo, or
    another network as `transformers:ID`."""
    tuning: tuple[str, ...] = ("sketch-plain",)
    """Weights tuned without attention: none, one, or one for each seed (if the experiment has several). Made by
    `sketchloss finetune --arm tuning`."""
    attention_tuning: tuple[str, ...] = ("sketch",)
    """Weights tuned with attention: likewise."""
    gate_init: GateInit = "default"
    """How the untrained gates of `attention` start: `default`, each near 0.5, `ajar`, at 0.88, or `open`, near 1."""
    downsample: Literal["none", "max"] = "max"
    """Whether the untrained gates replace their pools (`none`) or come before them."""

    def arms(self) -> list[str]:
        """Return the arms that have weights, in the order of the paper's tables."""
        return [arm for arm in ARMS if self._names(arm)]

    def count(self, arm: str) -> int:
        """Return how many weights an arm has."""
        return len(self._names(arm))

    def check_counts(self, seeds: int) -> None:
        """Refuse more than one weights of an arm unless there is one for each seed: some would count twice.

        Raises:
            ValueError: naming the arm's setting and how many there are.
        """
        for name in ("tuning", "attention_tuning"):
            count = len(getattr(self, name))
            if count not in (0, 1, seeds):
                raise ValueError(f"{name} has {count} weights for {seeds} seeds: give one, or one for each seed")

    def weights_of(self, arm: str, run: int = 0) -> str:
        """Return the name or path of an arm's weights in the given repeat of the experiment, counted from 0."""
        names = self._names(arm)
        return names[run % len(names)]

    def load(self, arm: str, run: int = 0, *, gates: int | None = None) -> Backbone:
        """Load an arm's backbone for one repeat of the experiment.

        Args:
            arm: one of `arms()`.
            run: which repeat, from 0: of several weights it takes the next.
            gates: seed that untrained gates are drawn from; by default `run`.

        Raises:
            ValueError: as `load_backbone`, or if the weights have gates where the arm has none, or none where it has.
        """
        weights, kind = self.weights_of(arm, run), ARMS[arm]
        if not kind.tuning:
            settings = {"gate_init": self.gate_init, "downsample": self.downsample} if kind.attention else {}
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(run if gates is None else gates)
                backbone = load_backbone(weights, attention=kind.attention, classes=(), **settings)
            report = backbone.load_report
            assert report is not None
            if any(map(is_gate_tensor, report.new)) != kind.attention or any(map(is_gate_tensor, report.unused)):
                raise ValueError(f"the weights {weights} have attention gates: --photo takes weights without any")
            return backbone
        backbone = load_backbone(weights, classes=())
        if bool(backbone.gates) != kind.attention:
            has, flag = ("", "attention-tuning") if backbone.gates else ("no ", "tuning")
            raise ValueError(f"the weights {weights} of the arm {arm} have {has}attention gates: give them as --{flag}")
        return backbone

    def _names(self, arm: str) -> tuple[str, ...]:
        if not ARMS[arm].tuning:
            return (self.photo,)
        return self.attention_tuning if ARMS[arm].attention else self.tuning


@dataclass(frozen=True, kw_only=True)
class ArmWeights(WeightsPerArm):
    """The weights of each arm and which arms to compare; base of the configs of experiments that compare arms.

    Raises:
        ValueError: if `only` names an arm that has no weights, or none.
    """

    only: tuple[ArmName, ...] = ()
    """Compare these arms alone; by default every arm that has weights."""
    beside: ClassVar[tuple[str, ...]] = ()
    """What `only` may name beside arms."""

    def __post_init__(self) -> None:
        self.check_only()

    def arms(self) -> list[str]:
        """Return the arms to compare, in the order of the paper's tables."""
        return [arm for arm in super().arms() if not self.only or arm in self.only]

    def check_only(self) -> None:
        """Refuse a name in `only` that is no arm, or an arm without weights.

        Raises:
            ValueError: naming it, and what to give.
        """
        for arm in self.only:
            if arm not in (*ARMS, *self.beside):
                raise ValueError(f"only names {arm!r}: choose from {', '.join((*ARMS, *self.beside))}")
            if arm in ARMS and not self.count(arm):
                raise ValueError(f"only names {arm}, which has no weights: give --{arm.replace('+', '-')}")
