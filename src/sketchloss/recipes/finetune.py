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
from torch.utils.flop_counter import FlopCounterMode
from tqdm import tqdm

from sketchloss.attention import GateInit
from sketchloss.backbone import ARMS, Backbone
from sketchloss.data.loading import Augment, hold_if_small, load_batches, to_unit_range
from sketchloss.data.names import short_name
from sketchloss.data.sources import Sketches, open_sketches
from sketchloss.memory import reuse_freed_memory
from sketchloss.training.accelerator import new_accelerator
from sketchloss.training.checks import require_positive
from sketchloss.training.guards import chance_warning, require_finite
from sketchloss.training.meter import Meter
from sketchloss.training.plan import measure_steps, peak_memory
from sketchloss.training.run import Run, check_run_folder
from sketchloss.weights import load_backbone, save_backbone


@dataclass(frozen=True)
class Finetune:
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
    gate_init: GateInit = "open"
    """`open`: gates start near 1; `ajar`: each at 0.88; `default`: each near 0.5."""
    head: Literal["vgg", "pooled"] = "pooled"
    """Classifier: VGG's three layers, or one linear layer on pooled features."""
    image_size: int = 128
    """Side of the training images in pixels."""
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
    crop_scale: tuple[float, float] = (0.3, 1.0)
    """Share of a sketch's area that a random crop keeps."""
    epochs: int = 12
    """Passes over the training part."""
    batch_size: int = 32
    """Images per process and step."""
    accumulate: int = 1
    """Steps whose gradients are added before the weights move."""
    optimizer: Literal["adam", "adamw"] = "adamw"
    """Adam without weight decay, or AdamW with `weight_decay`."""
    lr: float = 8e-5
    """Learning rate of the convolutions."""
    new_lr_factor: float = 10.0
    """The classifier's and the gates' learning rate, as a multiple of `lr`."""
    weight_decay: float = 0.01
    """AdamW's."""
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
        positive = ("image_size", "epochs", "batch_size", "accumulate", "lr", "new_lr_factor", "log_every")
        require_positive(self, (*positive, "checkpoint_every"))
        if not 0 < self.held_out < 1:
            raise ValueError(f"held_out is {self.held_out}: it must lie between 0 and 1")
        low, high = self.crop_scale
        if not 0 < low <= high <= 1:
            raise ValueError(f"crop_scale is {low} {high}: it must be two shares with 0 < least <= greatest <= 1")
        if not 0 <= self.label_smoothing < 1:
            raise ValueError(f"label_smoothing is {self.label_smoothing}: it must be at least 0 and below 1")
        for name in ("warmup", "clip", "weight_decay", "workers"):
            if (getattr(self, name) or 0) < 0:
                raise ValueError(f"{name} is {getattr(self, name)}: it must not be negative")


#: What each preset changes of the defaults above.
PRESETS: dict[str, dict[str, Any]] = {
    # Algorithm 1 as printed. Its learning rate is known to fail; the run says so when it does.
    "paper": {
        **{"weights": "imagenet", "downsample": "none", "gate_init": "default", "head": "vgg", "image_size": 224},
        **{"crop_scale": (0.08, 1.0), "epochs": 25, "batch_size": 32, "optimizer": "adam", "lr": 0.005},
        **{"new_lr_factor": 1.0, "schedule": "constant", "warmup": 0, "clip": 0.0, "precision": "no"},
        "label_smoothing": 0.0,
    },
    "stable": {},
    "demo": {"image_size": 64, "per_class": 24, "epochs": 2, "lr": 2e-4, "warmup": 10},
}


class Classifier(nn.Module):
    """A backbone whose call is `classify`: what is trained, and wrapped for several processes."""

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits."""
        return self.backbone.classify(images)


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
    # note: training sketches are decoded larger than they are trained at, because crops are enlarged again.
    decoded_size = config.image_size * 4 // 3
    sketches = open_sketches(
        config.data, decoded_size, per_class=config.per_class, strict=config.strict, seed=config.seed
    )
    for line in sketches.unreadable[:5]:
        say(f"skipped {line}")
    if len(sketches.unreadable) > 5:
        say(f"skipped {len(sketches.unreadable)} unreadable sketches in all")
    if config.leave_out:
        sketches = sketches.select_classes(config.leave_out, leave_out=True)
    if len(sketches.classes) < 2:
        raise ValueError(f"{config.data} without {', '.join(config.leave_out)} is one class: leave out fewer")
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
    augment = Augment(config.image_size, crop_scale=config.crop_scale)

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
    assert backbone.load_report is not None
    new = set(backbone.load_report.new)
    backbone.checkpoint_activations = config.checkpoint_activations
    model = Classifier(backbone).to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]

    # Optimiser -------------------------------------------------------------------------------------------------------
    groups = [
        {"params": [weight for name, weight in backbone.named_parameters() if name not in new], "lr": config.lr},
        {
            "params": [weight for name, weight in backbone.named_parameters() if name in new],
            "lr": config.lr * config.new_lr_factor,
        },
    ]
    if config.optimizer == "adam":
        optimizer = torch.optim.Adam(groups, lr=config.lr)
    else:
        optimizer = torch.optim.AdamW(groups, lr=config.lr, weight_decay=config.weight_decay)
    model, optimizer, train_batches, held_out_batches = accelerator.prepare(
        model, optimizer, train_batches, held_out_batches
    )
    updates_an_epoch = math.ceil(len(train_batches) / config.accumulate)
    # The schedule counts updates of the weights, the same on every number of processes; so it is not prepared.
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer.optimizer, lambda update: _rate(update, updates_an_epoch * config.epochs, config)
    )
    accelerator.register_for_checkpointing(schedule)

    sizes = f"{len(train_part):,} sketches to train on, {len(held_out_part):,} held out"
    say(f"{config.arm} on {config.data}: {len(sketches.classes)} classes, {sizes}")
    say(f"{config.epochs} epochs of {len(train_batches):,} steps on {accelerator.device}")
    if config.dry_run:
        plan = _plan(config, accelerator, model, optimizer, augment, train_batches)
        for name, value in plan.items():
            say(f"{name.replace('_', ' ')}: {value:,}")
        return plan

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
                logits = model(augment(batch["image"]))
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


@torch.no_grad()
def evaluate(accelerator: Accelerator, model: nn.Module, batches: Any) -> dict[str, float]:
    """Return loss, top-1 and top-5 accuracy over whole sketches, and how much the features differ between them."""
    model.eval()
    backbone = accelerator.unwrap_model(model).backbone
    losses, correct, spread = [], [], math.inf
    for batch in batches:
        images = to_unit_range(batch["image"])
        logits = model(images).float()
        losses.append(accelerator.gather_for_metrics(F.cross_entropy(logits, batch["label"], reduction="none")))
        ranked = logits.topk(min(5, logits.shape[1]), dim=1).indices == batch["label"][:, None]
        correct.append(accelerator.gather_for_metrics(ranked))
        if len(losses) == 1 and len(images) > 1:
            spread = backbone.embed(images).std(0).mean().item()
    model.train()
    hits = torch.cat(correct).float()
    scores = {} if math.isinf(spread) else {"feature_spread": spread}  # one image has none
    return {
        "validation_loss": torch.cat(losses).mean().item(),
        "validation_accuracy": hits[:, 0].mean().item(),
        "validation_top5": hits.sum(1).mean().item(),
        **scores,
    }


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


def _plan(
    config: Finetune, accelerator: Accelerator, model: nn.Module, optimizer: Any, augment: Augment, batches: Any
) -> dict[str, Any]:
    """Say what the whole run will take. It moves the weights, which are then thrown away."""
    backbone = accelerator.unwrap_model(model).backbone
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        backbone.classify(torch.rand(1, 3, config.image_size, config.image_size, device=accelerator.device))
    forward = counter.get_total_flops() // 2

    def step(batch: dict[str, Tensor]) -> None:
        accelerator.backward(F.cross_entropy(model(augment(batch["image"])).float(), batch["label"]))
        optimizer.step()
        optimizer.zero_grad()

    seconds = measure_steps(step, batches, accelerator.device)
    images, steps = len(batches.dataset), config.epochs * len(batches)
    return {
        "training_images": images,
        "classes": len(backbone.config.classes),
        "steps": steps,
        "multiply_adds_an_image_forward": forward,
        # Backward takes twice the forward pass: gradients of the weights and of the features.
        "multiply_adds_in_all": 3 * forward * images * config.epochs,
        "seconds_a_step": round(seconds, 3),
        "hours_of_steps": round(steps * seconds / 3600, 3),
        "peak_memory_MiB": round(peak_memory(accelerator.device) / 2**20),
    }
