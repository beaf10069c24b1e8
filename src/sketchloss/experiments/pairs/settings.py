"""The settings of one U-Net and of what is measured of it, which are the key of a cell."""

from dataclasses import dataclass, field, fields
from typing import Literal, TypeAlias, get_args

from sketchloss.system.setting_fields import FILES, LOSS, WEIGHTS

Task: TypeAlias = Literal["faces-cufs", "faces-fs2k", "rough", "scan"]
TASKS: tuple[Task, ...] = get_args(Task)
#: Tasks whose inputs are photos of faces; the inputs of the others are made from the true drawings.
FACES: tuple[Task, ...] = ("faces-cufs", "faces-fs2k")
#: Sides of pictures in pixels: the classifier needs the least, and a processor should not be asked for more. The U-Net
#: halves them three times.
LEAST_SIDE, GREATEST_SIDE, MULTIPLE = 16, 512, 8


def check_size(size: int, name: str = "image_size") -> None:
    """Refuse a side of pictures that the U-Net or the judges cannot take.

    Raises:
        ValueError: naming the setting and its range.
    """
    if size % MULTIPLE or not LEAST_SIDE <= size <= GREATEST_SIDE:
        raise ValueError(f"{name} is {size}: it must be a multiple of {MULTIPLE}, {LEAST_SIDE} to {GREATEST_SIDE}")


@dataclass(frozen=True, kw_only=True)
class PairData:
    """Settings that decide the pairs of a task and their parts."""

    task: Task
    """What is learned."""
    source: str = field(metadata=FILES)
    """Pairs of faces, or strokes of the true drawings."""
    classes: tuple[str, ...] = ()
    """Classes of the drawings; of faces none."""
    per_class: int = 0
    """At most this many drawings of a class; of faces all are used."""
    image_size: int = 64
    """Side of the pictures in pixels."""
    data_seed: int = 0
    """Random seed of the parts, of the line widths and of what is done to the drawings."""


@dataclass(frozen=True, kw_only=True)
class JudgeSettings:
    """Settings of the classifier that judges the drawings of `rough` and `scan`."""

    source: str = field(metadata=FILES)
    """Labelled sketches. Those that are among the pairs are left out, copies too."""
    strokes: str = field(metadata=FILES)
    """Strokes of the pairs' true drawings."""
    per_class: int
    """At most this many drawings of a class are pairs."""
    classes: tuple[str, ...]
    """Classes that it tells apart."""
    image_size: int
    """Side of the pictures in pixels."""
    steps: int
    """Number of steps of its training."""
    seed: int = 0
    """Random seed of its training, and of the pairs."""


@dataclass(frozen=True, kw_only=True)
class PairTraining(PairData):
    """Settings of one training."""

    term: str = field(metadata=LOSS)
    """Term beside the mean absolute difference of pixels: as for `open_term`."""
    term_weights: tuple[str, ...] = field(default=(), metadata=WEIGHTS)
    """Weights of the term's network."""
    width: int = 16
    """Channels of the U-Net's first level."""
    steps: int = 400
    """Number of steps."""
    batch_size: int = 8
    """Pictures in each step."""
    lr: float = 2e-3
    """Greatest learning rate of Adam; it falls to 0 along a cosine."""
    seed: int = 0
    """Random seed of first weights and order."""

    def data(self) -> PairData:
        """Return the settings that decide the pairs."""
        return PairData(**{item.name: getattr(self, item.name) for item in fields(PairData)})


@dataclass(frozen=True, kw_only=True)
class PairTest(PairTraining):
    """Settings of a training and of what is measured of it on the test part."""

    pulls: tuple[float, ...]
    """Pulls to choose from."""
    distances: tuple[str, ...] = field(default=(), metadata=LOSS)
    """Distances of networks to measure."""
    distance_weights: tuple[str, ...] = field(default=(), metadata=WEIGHTS)
    """Weights of these networks."""
    references: bool = False
    """Whether to measure the inputs and the true drawings as well."""
