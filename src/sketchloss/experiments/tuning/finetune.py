"""Fine-tune the backbone on sketches by classification (Seo 2025, Algorithm 1).

    sketchloss finetune --data doodles --out runs/doodles --preset demo     a minute or two on two cores
    sketchloss finetune --data songweig/imagenet_sketch --out runs/paper --preset paper
    accelerate launch --num_processes 4 -m sketchloss finetune --data FOLDER --out runs/mine

The result is `OUT/best`: weights by the best validation accuracy, for `SketchLoss("OUT")` and `load_backbone("OUT")`.
Where there are gates, `OUT/gates.json` and `OUT/gates.png` say what they do.
"""

import hashlib
import json
import math
import time
from collections.abc import Iterator, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from accelerate import Accelerator
from accelerate.utils import set_seed
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from tqdm import tqdm

from sketchloss.data.augmentation import OVERSIZE, Augment
from sketchloss.data.left_out import say_left_out
from sketchloss.data.loading import hold_if_small, load_batches
from sketchloss.data.names import short_name
from sketchloss.data.sources import Sketches, open_sketches
from sketchloss.experiments.tuning.gates import as_on_disk, report_gates
from sketchloss.experiments.tuning.settings import PRESETS as PRESETS
from sketchloss.experiments.tuning.settings import Finetune
from sketchloss.networks.arms import ARMS
from sketchloss.networks.backbone import Backbone, Origin
from sketchloss.networks.weights import load_backbone, save_backbone
from sketchloss.system.memory import reuse_freed_memory
from sketchloss.training.accelerator import describe, forked_random, new_accelerator
from sketchloss.training.classifier import Classifier, evaluate
from sketchloss.training.contrast import ClassesTogether, supervised_contrast
from sketchloss.training.groups import parameter_groups
from sketchloss.training.guards import chance_warning, require_finite
from sketchloss.training.held_folder import hold_run_folder
from sketchloss.training.meter import Meter
from sketchloss.training.rates import rate_schedule
from sketchloss.training.run import Run, check_run_folder
from sketchloss.training.tuning_plan import check_sizes, plan_lines, plan_tuning

# What the result says of its licence, if the weights that it was started from did not say.
UNKNOWN = "unknown"


def finetune(config: Finetune) -> dict[str, Any]:
    """Run `sketchloss finetune`.

    Returns:
        `best_validation_accuracy` in [0, 1], `held_out`, how many sketches it is a share of, `steps`, and
        `weights`, the best ones' folder; of a dry run the plan.

    Raises:
        ValueError: as `Finetune`, `open_sketches`, `load_backbone` and `Run`.
        TrainingStopped: if the loss is not finite.
    """
    accelerator = new_accelerator(config.precision, seed=config.seed, accumulate=config.accumulate)
    if config.dry_run:
        return _finetune(config, accelerator)
    check_run_folder(config.out, config, config.resume)  # before hours of decoding, not after
    with hold_run_folder(config.out, main=accelerator.is_main_process):
        return _finetune(config, accelerator)


def _finetune(config: Finetune, accelerator: Accelerator) -> dict[str, Any]:
    # Set-up ----------------------------------------------------------------------------------------------------------
    set_seed(config.seed)
    say = accelerator.print
    contrast = supervised_contrast() if config.contrast else None
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
    say_left_out(config.data, sketches.unreadable, sketches.passed_over, say=say)
    if config.leave_out:
        sketches = sketches.select_classes(config.leave_out, leave_out=True)
    if len(sketches.classes) < 2:
        raise ValueError(f"{config.data} without {', '.join(config.leave_out)} is one class: leave out fewer")

    # Model -----------------------------------------------------------------------------------------------------------
    backbone = load_start(config, sketches.classes)
    backbone.origin = _origin(config, backbone.origin)
    if backbone.origin.licence == UNKNOWN:
        mend = 'write it into their config.json as "licence", or give --licence'
        say(f"warning: the weights {config.weights} do not name their licence, and so the result will not: {mend}")
    start = as_on_disk(backbone) if backbone.gates else None
    backbone.checkpoint_activations = config.checkpoint_activations
    check_sizes(
        backbone,
        sizes,
        image_size=config.image_size,
        batch_size=config.batch_size,
        precision=config.precision,
        device=accelerator.device,
    )
    model = Classifier(backbone).to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]

    # Batches ---------------------------------------------------------------------------------------------------------
    train_part, held_out_part = sketches.split(
        config.held_out, seed=config.seed, duplicates=config.duplicates == "together"
    )
    if not len(held_out_part):
        raise ValueError(
            f"{config.data} has one sketch of each class, and one must be held out: give two or more of each"
        )
    held_out_part = held_out_part.with_size(config.image_size)
    together = ClassesTogether(train_part.labels, config.contrast_together, config.seed) if contrast else None
    train_batches, held_out_batches = (
        load_batches(
            hold_if_small(part, workers=config.workers),
            batch_size=config.batch_size,
            shuffle=part is train_part,
            workers=config.workers,
            seed=config.seed,
            order=together if part is train_part else None,
        )
        for part in (train_part, held_out_part)
    )
    augment = Augment(config)

    # Optimiser -------------------------------------------------------------------------------------------------------
    rates = {name: getattr(config, name) for name in ("lr", "new_lr_factor", "gate_lr_factor", "weight_decay")}
    groups = parameter_groups(backbone, **rates, gate_weight_decay=config.gate_weight_decay)
    # note: the same steps in one pass over the weights, on a CPU in half the time
    if config.optimizer == "adam":
        optimizer = torch.optim.Adam([{**group, "weight_decay": 0.0} for group in groups], fused=True)
    else:
        optimizer = torch.optim.AdamW(groups, fused=True)
    averaged = None
    if config.ema:  # made before the model is prepared: a copy of what is prepared would call the original
        averaged = AveragedModel(model.to(accelerator.device), multi_avg_fn=get_ema_multi_avg_fn(config.ema))
        accelerator.register_for_checkpointing(averaged)
    model, optimizer, train_batches, held_out_batches = accelerator.prepare(
        model, optimizer, train_batches, held_out_batches
    )
    updates_an_epoch = math.ceil(len(train_batches) / config.accumulate)
    # The schedule counts updates of the weights, the same on every number of processes; so it is not prepared.
    updates = updates_an_epoch * config.epochs
    schedule = rate_schedule(
        optimizer.optimizer, config.schedule, steps=updates, warmup=config.warmup, after_warmup=True
    )
    accelerator.register_for_checkpointing(schedule)

    def loss_of(batch: dict[str, Tensor], size: int) -> tuple[Tensor, Tensor]:
        logits, embeddings = model(augment(batch["image"], size))
        loss = F.cross_entropy(logits.float(), batch["label"], label_smoothing=config.label_smoothing)
        if contrast:
            loss = loss + config.contrast * contrast(embeddings, batch["label"])
        return loss, logits

    counts = f"{len(train_part):,} sketches to train on, {len(held_out_part):,} held out"
    say(f"{config.arm} on {config.data}: {len(sketches.classes)} classes, {counts}")
    at = ", ".join(f"{size} ({share:.0%})" for size, share in zip(sizes.sizes, sizes.shares, strict=True))
    say(f"{config.epochs} epochs of {len(train_batches):,} steps on {describe(accelerator)}, at {at} pixels")
    if config.dry_run:

        def train_once(batch: dict[str, Tensor], size: int) -> None:
            accelerator.backward(loss_of(batch, size)[0])
            optimizer.step()
            optimizer.zero_grad()

        plan = plan_tuning(
            *(backbone, sizes, train_once, train_batches),
            epochs=config.epochs,
            seed=config.seed,
            device=accelerator.device,
        )
        for line in plan_lines(plan):
            say(line)
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
                loss, logits = loss_of(batch, sizes.at(config.seed, step))
                require_finite(loss.item(), step, optimizer.param_groups[0]["lr"])
                accelerator.backward(loss)
                if accelerator.sync_gradients and config.clip:
                    accelerator.clip_grad_norm_(model.parameters(), config.clip)
                optimizer.step()
                optimizer.zero_grad()
            if accelerator.sync_gradients:
                schedule.step()
                if averaged:
                    averaged.update_parameters(accelerator.unwrap_model(model))
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
                # What has diverged must not take the place of good weights.
                with torch.no_grad(), forked_random(accelerator.device):
                    again, _ = loss_of(batch, sizes.at(config.seed, step))
                require_finite(again.item(), step, optimizer.param_groups[0]["lr"])
                run.save_checkpoint({"epoch": epoch, "batch": batch_number, "step": step, "best": best})
        bar.close()

        # Evaluation --------------------------------------------------------------------------------------------------
        judged = averaged.module if averaged else model
        scores = evaluate(accelerator, judged, held_out_batches)
        run.log(step, epoch=epoch + 1, **scores)
        require_finite(scores["validation_loss"], step, optimizer.param_groups[0]["lr"])
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
                save_backbone(accelerator.unwrap_model(judged).backbone, run.folder / "best")
        run.save_checkpoint({"epoch": epoch + 1, "batch": 0, "step": step, "best": best})
        checkpoint_due = False
        started, images_seen, waited = time.perf_counter(), 0, 0.0

    # Report ----------------------------------------------------------------------------------------------------------
    run.close()
    if accelerator.is_main_process:
        from sketchloss.figures.curves import draw_curves

        title = f"{config.arm} on {short_name(sketches.name)}"
        if config.label_smoothing:
            title += " (training loss with label smoothing and crops, validation loss without)"
        draw_curves(run.metrics(), run.folder / "curves.png", title=title)
        if start is not None:
            say(report_gates(start, load_backbone(run.folder / "best"), held_out_part, run.folder))
    say(f"best validation top-1 {best:.2%}; weights in {run.folder / 'best'}, curves in {run.folder / 'curves.png'}")
    return {
        **{"best_validation_accuracy": best, "held_out": len(held_out_part)},
        **{"steps": step, "weights": str(run.folder / "best")},
    }


def load_start(config: Finetune, classes: Sequence[str]) -> Backbone:
    """Return the backbone that is tuned, with a new classifier for these classes; ValueError as `load_backbone`."""
    return load_backbone(
        config.weights,
        attention=ARMS[config.arm].gates != "none",
        downsample=config.downsample,
        slots=config.slots,
        gate_init=config.gate_init,
        head=config.head,
        classes=tuple(classes),
        **({} if config.pooling is None else {"pooling": config.pooling}),
    )


def _origin(config: Finetune, of_start: Origin) -> Origin:
    """Return what the result says about what it was started from."""
    named = "" if of_start.licence == UNKNOWN else of_start.licence
    if named and config.licence and named != config.licence:
        raise ValueError(
            f"licence is {config.licence}, but the weights {config.weights} are under {named}: leave licence out"
        )
    return Origin(started_from=short_name(config.weights), licence=named or config.licence or UNKNOWN)


def _digest(*parts: Sketches) -> str:
    """Return a name for the data as split: classes, labels and places."""
    digest = hashlib.sha256(json.dumps(parts[0].classes).encode())
    for part in parts:
        digest.update(part.labels.tobytes() + part.order.tobytes())
    return digest.hexdigest()


def _timed(batches: Any) -> Iterator[tuple[dict[str, Tensor], float]]:
    """Yield each batch with the seconds spent waiting for it."""
    start = time.perf_counter()
    for batch in batches:
        yield batch, time.perf_counter() - start
        start = time.perf_counter()
