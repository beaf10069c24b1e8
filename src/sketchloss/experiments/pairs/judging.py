"""Judges of what a network has drawn, against the true drawings: without a network, by a classifier, by distances."""

from collections.abc import Sequence

import torch
from jaxtyping import UInt8
from torch import Tensor

from sketchloss.data.joined import plain_name
from sketchloss.data.loading import to_unit_range
from sketchloss.data.sources import open_sketches
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

    Raises:
        ValueError: for a source that is not there, or lacks one of the classes.
    """
    sketches = open_sketches(settings.source, settings.image_size, seed=settings.seed).select_classes(settings.classes)
    train, held = sketches.split(HELD_OUT, seed=settings.seed)
    return train_judge(train, held, steps=settings.steps, seed=settings.seed, workers=0, progress=False)
