"""Judges of what a network has drawn, against the true drawings: without a network, by a classifier, by distances."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import chain

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from sketchloss.data.joined import plain_name
from sketchloss.data.loading import to_unit_range
from sketchloss.data.quickdraw.drawings import StrokeDrawing, open_drawings
from sketchloss.data.sources import Sketches, open_sketches
from sketchloss.data.splits import duplicate_groups
from sketchloss.experiments.guiding_losses import open_term
from sketchloss.experiments.page_judges import judge_pages
from sketchloss.experiments.pairs.settings import FACES, JudgeSettings
from sketchloss.metrics.distances import frechet_distance
from sketchloss.metrics.extractors import embed_images
from sketchloss.metrics.ink_overlap import ink_overlap
from sketchloss.metrics.scoot import scoot
from sketchloss.metrics.ssim import ssim
from sketchloss.networks.judge import Judge
from sketchloss.strokes.named_losses import pixels_l1
from sketchloss.training.train_judge import train_judge

#: Share of the classifier's drawings that its own accuracy is measured on.
HELD_OUT = 0.1
#: Fewest drawings of a class that it can learn: one is held out.
FEWEST = 2
#: Line width, as a share of the side, at which drawings are compared when copies are looked for.
COMPARED_WIDTH = 0.016
#: Drawings whose features are compared together.
AT_ONCE = 16
Drawings = UInt8[Tensor, "n 3 s s"]


def choosing_measure(task: str) -> str:
    """Return the measure that pulls are chosen by: greater is better."""
    return "scoot" if task in FACES else "f1"


def validation_score(task: str, drawn: Drawings, true: Drawings) -> float:
    """Return the mean of a task's choosing measure."""
    ours, theirs = to_unit_range(drawn), to_unit_range(true)
    values = scoot(ours, theirs) if choosing_measure(task) == "scoot" else ink_overlap(ours, theirs).f1
    return values.mean().item()


def measure(task: str, drawn: Drawings, true: Drawings) -> dict[str, float]:
    """Return the mean over drawings of every measure that needs no network."""
    ours, theirs = to_unit_range(drawn), to_unit_range(true)
    found = judge_pages(ours, theirs)
    del found["width_error" if task in FACES else "scoot"]  # hatching has no line width; Scoot is of faces
    return {**found, "ssim": ssim(ours, theirs).mean().item(), "l1": pixels_l1(ours, theirs).mean().item()}


@torch.no_grad()
def measure_distances(names: Sequence[str], drawn: Drawings, true: Drawings) -> dict[str, float]:
    """Return the mean over drawings of distances that are named as terms."""
    found = {}
    for name in names:
        term = open_term(name)
        assert term is not None
        parts = zip(drawn.split(AT_ONCE), true.split(AT_ONCE), strict=True)
        values = [term(to_unit_range(ours), to_unit_range(theirs)) for ours, theirs in parts]
        found[name] = torch.cat(values).double().mean().item()
    return found


def measure_by(judge: Judge, drawn: Drawings, true: Drawings, labels: Sequence[str]) -> dict[str, float]:
    """Return class accuracy, and the Fréchet distance of the classifier's features from those of the true drawings."""
    numbers = {plain_name(name): number for number, name in enumerate(judge.classes)}
    known = torch.tensor([numbers[plain_name(label)] for label in labels])
    extractor = judge.extractor()
    ours, theirs = (embed_images(extractor, [to_unit_range(images)]) for images in (drawn, true))
    return {
        "class_accuracy": judge.accuracy_of(to_unit_range(drawn), known),
        "frechet": frechet_distance(ours, theirs) if len(drawn) > 1 else 0.0,
    }


def make_judge(settings: JudgeSettings) -> Judge:
    """Train the classifier that judges the drawings of `rough` and `scan`, from scratch.

    It sees none of the pairs' true drawings and no copy of one, and of other copies one.

    Raises:
        ValueError: for a source that is not there, or lacks one of the classes, or has nothing of one but copies.
    """
    sketches = open_sketches(settings.source, settings.image_size, seed=settings.seed).select_classes(settings.classes)
    others = _without_copies(
        sketches,
        open_drawings(settings.strokes, per_class=settings.per_class, classes=settings.classes, seed=settings.seed),
    )
    train, held = others.split(HELD_OUT, seed=settings.seed)
    return train_judge(train, held, steps=settings.steps, seed=settings.seed, workers=0, progress=False)


def _without_copies(sketches: Sketches, drawings: Sequence[StrokeDrawing]) -> Sketches:
    """Leave out of sketches those that show one of these drawings; of copies among themselves, keep the first."""
    size, drawn = sketches.image_size, sketches
    if sketches.line_width is not None:  # all lines alike, since copies are found by what ink there is
        drawn = replace(sketches, line_width=(COMPARED_WIDTH, COMPARED_WIDTH))
        drawings = [replace(drawing, line_width=COMPARED_WIDTH) for drawing in drawings]
    pictures = (drawn.picture(index) for index in range(len(drawn)))
    groups = duplicate_groups(chain(pictures, (drawing.picture(size) for drawing in drawings)))
    firsts = np.unique(groups[: len(sketches)])  # a group is called by its first picture, and sketches come first
    others = np.setdiff1d(firsts, groups[len(sketches) :])
    counts = np.bincount(sketches.labels[others], minlength=len(sketches.classes))
    if counts.min() < FEWEST:
        name = sketches.classes[int(counts.argmin())]
        raise ValueError(
            f"{sketches.name} has {counts.min()} drawings of {name} that are not among the pairs: the classifier needs "
            f"{FEWEST} of each class, so give it more data, or fewer pairs_per_class"
        )
    return sketches.select(others)
