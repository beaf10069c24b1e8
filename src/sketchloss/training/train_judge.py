"""Training the judge of generated drawings, from scratch and in minutes.

train, held = open_sketches("doodles?tool=ink", 64, per_class=200).split(0.1, seed=0)
judge = train_judge(train, held)
print(judge.accuracy)
"""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from kornia.augmentation import RandomAffine, RandomHorizontalFlip
from torch import nn
from tqdm import tqdm

from sketchloss.data.loading import HeldSketches, hold_if_small, load_batches, to_unit_range
from sketchloss.data.names import short_name
from sketchloss.data.sources import Sketches
from sketchloss.metrics.features import pixels_digest
from sketchloss.networks.judge import AT_ONCE, Judge, JudgeConfig
from sketchloss.system.device import in_bfloat16
from sketchloss.training.guards import TrainingStopped

SMALLEST_MIXED = 32  # pixels


def train_judge(
    train: Sketches,
    held: Sketches,
    *,
    steps: int = 600,
    batch_size: int = 64,
    lr: float = 3e-3,
    seed: int = 0,
    device: str | torch.device = "cpu",
    workers: int | None = None,
    progress: bool = True,
) -> Judge:
    """Train a judge from scratch: AdamW, a short warm-up and a cosine, in mixed precision with bfloat16.

    Pictures below 32 pixels are learnt in float32, and all where bfloat16 would be emulated.

    Drawings are mirrored, turned by up to 8°, moved by up to 8 % and scaled by up to 15 %. The same drawings and seed
    give the same judge on the same machine. On 35 kinds of built-in doodles (180 of each, 64 pixels) 500 steps take
    less than a minute of one core, and of 700 held-out ones 99.9 % are then classified rightly.

    Args:
        train: true drawings to learn from, with 2 classes or more.
        held: others of the same classes and size, which its accuracy is measured on.
        steps: number of steps of the training.
        batch_size: drawings a step.
        lr: greatest learning rate.
        seed: random seed of first weights, order and augmentation; the random state of the program does not change.
        device: the device to train on, and where the judge stays.
        workers: processes that decode drawings; None: one for each core but one.
        progress: show a bar on stderr, if that is a terminal.

    Raises:
        ValueError: for settings below their least; if classes or sizes of the two sets differ, a class has no drawing
            to learn from, or nothing is held out.
        TrainingStopped: if the loss is not finite.
    """
    _check(train, held, steps, batch_size, lr)
    learnt = hold_if_small(train, workers=workers)
    config = JudgeConfig(
        classes=tuple(train.classes),
        image_size=train.image_size,
        held=len(held),
        data=short_name(train.name),
        pixels=pixels_digest(learnt, workers=workers),
        steps=steps,
        seed=seed,
    )
    device = torch.device(device)
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        judge = Judge(config).to(device).to(memory_format=torch.channels_last).train()  # pyright: ignore[reportCallIssue]
        augment = nn.Sequential(
            RandomAffine(degrees=8.0, translate=(0.08, 0.08), scale=(0.85, 1.15)), RandomHorizontalFlip()
        )
        optimizer = torch.optim.AdamW(judge.parameters(), lr, weight_decay=0.05)
        rise = 0.1 if steps > 10 else 0.3  # of 10 steps a tenth is one, by which OneCycleLR would divide less one
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, lr, total_steps=steps, pct_start=rise)
        batches = _endless(learnt, batch_size, workers, seed)
        for step in tqdm(range(steps), "judge", disable=None if progress else True):
            batch = next(batches)
            ink = augment(Judge.ink(to_unit_range(batch["image"].to(device))))
            # note: below 32 pixels bfloat16 gave NaN in a few runs of a hundred on one CPU; float32 never did.
            with in_bfloat16(device.type, wanted=train.image_size >= SMALLEST_MIXED):
                logits = judge.look(ink.contiguous(memory_format=torch.channels_last))[1]
            loss = F.cross_entropy(logits.float(), batch["label"].to(device), label_smoothing=0.1)
            if not loss.isfinite():
                raise TrainingStopped(
                    f"the judge's loss is {loss.item()} at step {step}: try a tenth of its lr, {lr:.2g}"
                )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    # note: laid out as a loaded one, whose sums are then of the same order
    judge.eval().to(memory_format=torch.contiguous_format)
    right = [
        judge.accuracy_of(to_unit_range(batch["image"]), batch["label"]) * len(batch["label"])
        for batch in load_batches(held, batch_size=AT_ONCE, workers=workers)
    ]
    judge.config = replace(config, accuracy=round(sum(right)) / len(held))
    return judge


def _check(train: Sketches, held: Sketches, steps: int, batch_size: int, lr: float) -> None:
    for name, value, least in (("steps", steps, 1), ("batch_size", batch_size, 2)):
        if value < least:
            raise ValueError(f"{name} is {value}: it must be at least {least}")
    if not 0 < lr < float("inf"):
        raise ValueError(f"lr is {lr}: it must be positive")
    if train.classes != held.classes or train.image_size != held.image_size:
        raise ValueError(
            f"{train.name} and {held.name} differ in their classes or in size ({train.image_size} and "
            f"{held.image_size} pixels): hold out a part of one set"
        )
    counts = np.bincount(train.labels, minlength=len(train.classes))
    if not counts.all():
        raise ValueError(f"class {train.classes[counts.argmin()]!r} has no drawing to learn from: give it some")
    if not len(held):
        raise ValueError("no drawings are held out: its accuracy needs some")


def _endless(sketches: Sketches | HeldSketches, batch_size: int, workers: int | None, seed: int) -> Iterator[dict]:
    batches = load_batches(sketches, batch_size=batch_size, shuffle=True, workers=workers, seed=seed)
    while True:
        # note: batch norm needs two; every class has one and there are two classes, so that some batch has
        yield from (batch for batch in batches if len(batch["label"]) > 1)
