"""Fine-tune the backbone on sketches by classification (Seo 2025, Algorithm 1).

    sketchloss finetune --data doodles --out runs/doodles --preset demo     a minute or two on two cores
    sketchloss finetune --data songweig/imagenet_sketch --out runs/paper --preset paper
    accelerate launch --num_processes 4 -m sketchloss finetune --data FOLDER --out runs/mine

The result is `OUT/best`: weights by the best validation accuracy, for `SketchLoss("OUT")` and `load_backbone("OUT")`.
"""

import hashlib
import json
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
import torch.nn.functional as F
import tyro
from accelerate import Accelerator
from accelerate.utils import set_seed
from torch import Tensor, nn
from tqdm import tqdm

from sketchloss.attention import GateInit
from sketchloss.backbone import ARMS, Backbone
from sketchloss.data.augmentation import CROP_AND_FLIP, OVERSIZE, Augment, Augmentation
from sketchloss.data.loading import hold_if_small, load_batches
from sketchloss.data.names import short_name
from sketchloss.data.sources import Sketches, open_sketches
from sketchloss.memory import reuse_freed_memory
from sketchloss.training.accelerator import new_accelerator
from sketchloss.training.checks import require_not_negative, require_positive
from sketchloss.training.classifier import Classifier, count_step_memory, evaluate
from sketchloss.training.groups import parameter_groups
from sketchloss.training.guards import chance_warning, require_finite
from sketchloss.training.meter import Meter
from sketchloss.training.plan import measure_steps, peak_memory
from sketchloss.training.resources import count_multiply_adds, require_memory
from sketchloss.training.run import Run, check_run_folder
from sketchloss.training.sizes import StepSizes, sizes_around
from sketchloss.weights import load_backbone, save_backbone


@dataclass(frozen=True)
class Finetune(Augmentation):
    """Tune VGG-16, with or without attention, to classify sketches; its features become the loss.

    Raises:
        ValueError: for a setting outside its range, naming it.
    """

    data: str
    """Sketches: `doodles`, a folder of class folders, a folder of QuickDraw .ndjson, or a hub data set; several with
    commas between them."""
    out: Path
    """Run folder to make."""
    arm: Literal["attention+tuning", "tuning"] = "attention+tuning"
    """With attention gates or without."""
    weights: str = "photo"
    """What to start from: a name (photo, imagenet, sketch), a path, or a hub repo."""
    downsample: Literal["none", "max"] = "max"
    """`none`: gates replace their pools (12 times the arithmetic); `max`: gate, then pool."""
    gate_init: GateInit = "half"
    """`half`: gates start at 1/2 each, and the next convolution makes up for it; `open`: near 1; `ajar`: at 0.88;
    `default`: near 0.5."""
    head: Literal["vgg", "pooled"] = "pooled"
    """Classifier: VGG's three layers, or one linear layer on pooled features."""
    image_size: int = 64
    """Side in pixels of the images that weights are validated and chosen at."""
    image_sizes: Annotated[tuple[int, ...] | None, tyro.conf.DisallowNone] = None
    """Sides in pixels of the training images: each batch has one of them, drawn at random. By default 3/4, 1, 3/2 and 2
    times `image_size`."""
    size_shares: Annotated[tuple[float, ...] | None, tyro.conf.DisallowNone] = None
    """Share of the batches that each of `image_sizes` gets. By default all the same; or of the sizes by default, 0.1,
    0.5, 0.25 and 0.15."""
    per_class: Annotated[int | None, tyro.conf.DisallowNone] = None
    """Use at most this many sketches of a class, from each of several sources."""
    leave_out: tuple[str, ...] = ()
    """Classes never to train on, so that they can be used to test what was learnt."""
    held_out: float = 0.1
    """Share of each class kept for validation."""
    duplicates: Literal["ignore", "together"] = "ignore"
    """`together`: flipped or rotated copies of one picture stay on one side of the split."""
    strict: bool = False
    """Refuse a source with unreadable files instead of skipping them."""
    epochs: int = 12
    """Passes over the training part."""
    batch_size: int = 32
    """Images per process and step, the same at every size."""
    accumulate: int = 1
    """Steps whose gradients are added before the weights move."""
    optimizer: Literal["adam", "adamw"] = "adamw"
    """Adam without weight decay, or AdamW with `weight_decay`."""
    lr: float = 8e-5
    """Learning rate of the convolutions."""
    new_lr_factor: float = 10.0
    """Learning rate of a new classifier, as a multiple of `lr`."""
    gate_lr_factor: float = 10.0
    """Learning rate of the gates, new or from the file, as a multiple of `lr`."""
    weight_decay: float = 0.01
    """AdamW's, of all but the gates."""
    gate_weight_decay: float = 0.0
    """AdamW's of the gates."""
    label_smoothing: float = 0.1
    """Of the cross-entropy."""
    schedule: Literal["constant", "cosine"] = "cosine"
    """Learning rate over time, after the warm-up."""
    warmup: int = 100
    """Steps over which the learning rate rises from 0."""
    clip: float = 1.0
    """Largest norm of the gradients; 0: no clipping."""
    precision: Literal["no", "bf16", "fp16"] = "bf16"
    """Arithmetic: float32, or mixed with bfloat16 or float16 (CUDA only)."""
    checkpoint_activations: bool = False
    """Recompute activations in the backward pass: less memory, more time."""
    workers: Annotated[int | None, tyro.conf.DisallowNone] = None
    """Decoding processes; by default one for each core but one, 8 at most."""
    checkpoint_every: int = 500
    """Steps between checkpoints; one is also made after each epoch."""
    log_every: int = 20
    """Steps between lines of metrics.jsonl."""
    seed: int = 0
    """Of the split, the initial weights, the order and the crops."""
    resume: bool = False
    """Continue the run in `out` to the same weights as if it had never stopped."""
    dry_run: bool = False
    """Print the plan (images, steps, multiply-adds, memory, time) from a few measured steps, and stop."""

    def __post_init__(self) -> None:
        super().__post_init__()
        positive = ("image_size", "epochs", "batch_size", "accumulate", "lr", "new_lr_factor", "gate_lr_factor")
        require_positive(self, (*positive, "log_every", "checkpoint_every"))
        require_not_negative(self, ("warmup", "clip", "weight_decay", "gate_weight_decay", "workers"))
        if not 0 < self.held_out < 1:
            raise ValueError(f"held_out is {self.held_out}: it must lie between 0 and 1")
        if not 0 <= self.label_smoothing < 1:
            raise ValueError(f"label_smoothing is {self.label_smoothing}: it must be at least 0 and below 1")
        self.step_sizes()

    def step_sizes(self) -> StepSizes:
        """Return the sizes to train at.

        Raises:
            ValueError: as `StepSizes`, or for shares without sizes.
        """
        if self.image_sizes is not None:
            return StepSizes(self.image_sizes, self.size_shares)
        if self.size_shares is not None:
            raise ValueError("size_shares are given without image_sizes: name the sizes, too")
        return sizes_around(self.image_size)


#: What each preset changes of the defaults above.
PRESETS: dict[str, dict[str, Any]] = {
    # Algorithm 1 as printed. Its learning rate is known to fail; the run says so when it does.
    "paper": {
        **{"weights": "imagenet", "downsample": "none", "gate_init": "default", "head": "vgg", "image_size": 224},
        **{"image_sizes": (224,), "crop_scale": (0.08, 1.0), **CROP_AND_FLIP, "label_smoothing": 0.0},
        **{"epochs": 25, "batch_size": 32, "optimizer": "adam", "lr": 0.005, "new_lr_factor": 1.0},
        **{"gate_lr_factor": 1.0, "schedule": "constant", "warmup": 0, "clip": 0.0, "precision": "no"},
    },
    "stable": {},
    "demo": {"image_sizes": (64,), "per_class": 24, "epochs": 2, "lr": 2e-4, "warmup": 10},
}


def finetune(config: Finetune) -> dict[str, Any]:
    """Run the recipe.

    Returns:
        `best_validation_accuracy` in [0, 1], `steps`, and `weights`, the best ones' folder; of a dry run the plan.

    Raises:
        ValueError: as `Finetune`, `open_sketches`, `load_backbone` and `Run`.
        TrainingStopped: if the loss is not finite.
    """
    # Set-up ----------------------------------------------------------------------------------------------------------
    accelerator = new_accelerator(config.precision, seed=config.seed, accumulate=config.accumulate)
    set_seed(config.seed)
    say = accelerator.print
    if not config.dry_run:
        check_run_folder(config.out, config, config.resume)  # before hours of decoding, not after

    reuse_freed_memory()

    # Data ------------------------------------------------------------------------------------------------------------
    sizes = config.step_sizes()
    sketches = open_sketches(
        config.data,
        math.ceil(OVERSIZE * max(sizes.sizes)),
        per_class=config.per_class,
        strict=config.strict,
        seed=config.seed,
    )
    for line in sketches.unreadable[:5]:
        say(f"skipped {line}")
    if len(sketches.unreadable) > 5:
        say(f"skipped {len(sketches.unreadable)} unreadable sketches in all")
    if config.leave_out:
        sketches = sketches.select_classes(config.leave_out, leave_out=True)
    if len(sketches.classes) < 2:
        raise ValueError(f"{config.data} without {', '.join(config.leave_out)} is one class: leave out fewer")

    # Model -----------------------------------------------------------------------------------------------------------
    attention = ARMS[config.arm].attention
    backbone = load_backbone(
        config.weights,
        attention=attention,
        downsample=config.downsample,
        gate_init=config.gate_init,
        head=config.head,
        classes=tuple(sketches.classes),
    )
    backbone.checkpoint_activations = config.checkpoint_activations
    _check_sizes(config, sizes, backbone, accelerator.device)  # before hours of decoding, not after
    model = Classifier(backbone).to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]

    # Batches ---------------------------------------------------------------------------------------------------------
    train_part, held_out_part = sketches.split(
        config.held_out, seed=config.seed, duplicates=config.duplicates == "together"
    )
    held_out_part = held_out_part.with_size(config.image_size)
    train_batches, held_out_batches = (
        load_batches(
            hold_if_small(part, workers=config.workers),
            batch_size=config.batch_size,
            shuffle=part is train_part,
            workers=config.workers,
            seed=config.seed,
        )
        for part in (train_part, held_out_part)
    )
    augment = Augment(config)

    # Optimiser -------------------------------------------------------------------------------------------------------
    rates = {name: getattr(config, name) for name in ("lr", "new_lr_factor", "gate_lr_factor", "weight_decay")}
    groups = parameter_groups(backbone, **rates, gate_weight_decay=config.gate_weight_decay)
    if config.optimizer == "adam":
        optimizer = torch.optim.Adam([{**group, "weight_decay": 0.0} for group in groups])
    else:
        optimizer = torch.optim.AdamW(groups)
    model, optimizer, train_batches, held_out_batches = accelerator.prepare(
        model, optimizer, train_batches, held_out_batches
    )
    updates_an_epoch = math.ceil(len(train_batches) / config.accumulate)
    # The schedule counts updates of the weights, the same on every number of processes; so it is not prepared.
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer.optimizer, lambda update: _rate(update, updates_an_epoch * config.epochs, config)
    )
    accelerator.register_for_checkpointing(schedule)

    counts = f"{len(train_part):,} sketches to train on, {len(held_out_part):,} held out"
    say(f"{config.arm} on {config.data}: {len(sketches.classes)} classes, {counts}")
    at = ", ".join(f"{size} ({share:.0%})" for size, share in zip(sizes.sizes, sizes.shares, strict=True))
    say(f"{config.epochs} epochs of {len(train_batches):,} steps on {accelerator.device}, at {at} pixels")
    if config.dry_run:
        return _plan(config, sizes, accelerator, model, optimizer, augment, train_batches)

    # Loop ------------------------------------------------------------------------------------------------------------
    run = Run(config.out, config, accelerator, config.resume)
    run.pin_data(_digest(train_part, held_out_part))
    position = (run.load_checkpoint() if config.resume else None) or {"epoch": 0, "batch": 0, "step": 0, "best": -1.0}
    step, best = position["step"], position["best"]
    started, images_seen, waited = time.perf_counter(), 0, 0.0
    meter, checkpoint_due = Meter(), False
    for epoch in range(position["epoch"], config.epochs):
        model.train()
        done = position["batch"] if epoch == position["epoch"] else 0
        train_batches.set_epoch(epoch)
        batches = accelerator.skip_first_batches(train_batches, done) if done else train_batches
        bar = tqdm(
            total=len(train_batches),
            initial=done,
            desc=f"epoch {epoch + 1}/{config.epochs}",
            disable=None if accelerator.is_local_main_process else True,  # None: shown on a terminal only
            mininterval=1,
        )
        for batch_number, (batch, wait) in enumerate(_timed(batches), start=done + 1):
            with accelerator.accumulate(model):
                logits = model(augment(batch["image"], sizes.at(config.seed, step)))
                loss = F.cross_entropy(logits.float(), batch["label"], label_smoothing=config.label_smoothing)
                require_finite(loss.item(), step, optimizer.param_groups[0]["lr"])
                accelerator.backward(loss)
                if accelerator.sync_gradients and config.clip:
                    accelerator.clip_grad_norm_(model.parameters(), config.clip)
                optimizer.step()
                optimizer.zero_grad()
            if accelerator.sync_gradients:
                schedule.step()
            step += 1
            waited += wait
            images_seen += len(batch["label"]) * accelerator.num_processes
            accuracy = (logits.argmax(1) == batch["label"]).float().mean()
            meter.add(train_loss=loss.item(), train_accuracy=accuracy.item())
            bar.update()
            if step % config.log_every == 0:
                seconds = time.perf_counter() - started
                numbers = {
                    **meter.read(),
                    "images_per_second": images_seen / seconds,
                    "share_of_time_waiting_for_data": waited / seconds,
                }
                bar.set_postfix_str(
                    f"loss {numbers['train_loss']:.3f}, accuracy {numbers['train_accuracy']:.1%}, "
                    f"{numbers['images_per_second']:.0f} images/s"
                )
                run.log(step, epoch=epoch + 1, learning_rate=optimizer.param_groups[0]["lr"], **numbers)
                started, images_seen, waited = time.perf_counter(), 0, 0.0
            checkpoint_due = checkpoint_due or step % config.checkpoint_every == 0
            # Not between the parts of an accumulated gradient, which a checkpoint does not hold.
            if checkpoint_due and accelerator.sync_gradients and batch_number < len(train_batches):
                checkpoint_due = False
                run.save_checkpoint({"epoch": epoch, "batch": batch_number, "step": step, "best": best})
        bar.close()

        # Evaluation --------------------------------------------------------------------------------------------------
        scores = evaluate(accelerator, model, held_out_batches)
        run.log(step, epoch=epoch + 1, **scores)
        say(
            f"epoch {epoch + 1}/{config.epochs}: validation top-1 {scores['validation_accuracy']:.2%}, "
            f"top-5 {scores['validation_top5']:.2%}, loss {scores['validation_loss']:.3f}"
        )
        warning = chance_warning(
            scores["validation_accuracy"], len(sketches.classes), scores.get("feature_spread", math.inf), config.lr
        )
        if warning:
            say(f"warning: {warning}")
        if scores["validation_accuracy"] > best:
            best = scores["validation_accuracy"]
            if accelerator.is_main_process:
                save_backbone(accelerator.unwrap_model(model).backbone, run.folder / "best")
        run.save_checkpoint({"epoch": epoch + 1, "batch": 0, "step": step, "best": best})
        checkpoint_due = False
        started, images_seen, waited = time.perf_counter(), 0, 0.0

    # Report ----------------------------------------------------------------------------------------------------------
    run.close()
    if accelerator.is_main_process:
        from sketchloss.report.figures import draw_curves

        title = f"{config.arm} on {short_name(sketches.name)}"
        if config.label_smoothing:
            title += " (training loss with label smoothing and crops, validation loss without)"
        draw_curves(run.metrics(), run.folder / "curves.png", title=title)
    say(f"best validation top-1 {best:.2%}; weights in {run.folder / 'best'}, curves in {run.folder / 'curves.png'}")
    return {"best_validation_accuracy": best, "steps": step, "weights": str(run.folder / "best")}


def _digest(*parts: Sketches) -> str:
    """Return a name for the data as split: classes, labels and places."""
    digest = hashlib.sha256(json.dumps(parts[0].classes).encode())
    for part in parts:
        digest.update(part.labels.tobytes() + part.order.tobytes())
    return digest.hexdigest()


def _rate(update: int, updates: int, config: Finetune) -> float:
    """Return the factor on the learning rate before the given update."""
    if update < config.warmup:
        return (update + 1) / (config.warmup + 1)
    if config.schedule == "constant":
        return 1.0
    progress = (update - config.warmup) / max(1, updates - config.warmup)
    return 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))


def _timed(batches: Any) -> Iterator[tuple[dict[str, Tensor], float]]:
    """Yield each batch with the seconds spent waiting for it."""
    start = time.perf_counter()
    for batch in batches:
        yield batch, time.perf_counter() - start
        start = time.perf_counter()


def _check_sizes(config: Finetune, sizes: StepSizes, backbone: Backbone, device: torch.device) -> None:
    """Refuse sizes that the classified layer cannot take, or that memory will not hold; ValueError in one line."""
    least = backbone.minimum_size((backbone.classified_layer,))
    for name, size in (("image_size", config.image_size), *(("image_sizes", size) for size in sizes.sizes)):
        if size < least:
            has = "is" if name == "image_size" or config.image_sizes is None else "has"
            raise ValueError(
                f"{name} {has} {size}: {backbone.classified_layer} of this backbone needs {least} pixels or more"
            )
    largest = max(sizes.sizes)
    counted = count_step_memory(backbone, image_size=largest, batch_size=config.batch_size, precision=config.precision)
    require_memory(
        counted,
        device,
        what=f"a step of {config.batch_size} images at {largest} pixels",
        mend="name smaller image_sizes, a smaller batch_size, or set checkpoint_activations",
    )


def _plan(
    config: Finetune,
    sizes: StepSizes,
    accelerator: Accelerator,
    model: nn.Module,
    optimizer: Any,
    augment: Augment,
    batches: Any,
) -> dict[str, Any]:
    """Say what the whole run will take. It moves the weights, which are then thrown away."""
    settings = accelerator.unwrap_model(model).backbone.config
    images, steps = len(batches.dataset), config.epochs * len(batches)
    at_sizes = []
    for (size, count), share in zip(sizes.count(config.seed, steps).items(), sizes.shares, strict=True):

        def step(batch: dict[str, Tensor], size: int = size) -> None:
            logits = model(augment(batch["image"], size))
            accelerator.backward(F.cross_entropy(logits.float(), batch["label"]))
            optimizer.step()
            optimizer.zero_grad()

        forward = count_multiply_adds(lambda size=size: Backbone(settings).classify(torch.rand(1, 3, size, size)))
        seconds = measure_steps(step, batches, accelerator.device)
        row = {"pixels": size, "share": share, "steps": count, "multiply_adds_an_image_forward": forward}
        at_sizes.append({**row, "seconds_a_step": round(seconds, 3)})
    forward = sum(row["steps"] * row["multiply_adds_an_image_forward"] for row in at_sizes) / steps
    seconds = sum(row["steps"] * row["seconds_a_step"] for row in at_sizes) / steps
    plan = {
        "training_images": images,
        "classes": len(settings.classes),
        "steps": steps,
        "multiply_adds_an_image_forward": round(forward),
        # Backward takes twice the forward pass: gradients of the weights and of the features.
        "multiply_adds_in_all": round(3 * forward * images * config.epochs),
        "seconds_a_step": round(seconds, 3),
        "hours_of_steps": round(steps * seconds / 3600, 3),
        "peak_memory_MiB": round(peak_memory(accelerator.device) / 2**20),
    }
    for name, value in plan.items():
        accelerator.print(f"{name.replace('_', ' ')}: {value:,}")
    for row in at_sizes:
        numbers = (f"{name.replace('_', ' ')} {value:,}" for name, value in row.items() if name != "pixels")
        accelerator.print(f"at {row['pixels']} pixels: {', '.join(numbers)}")
    return {**plan, "sizes": at_sizes}
