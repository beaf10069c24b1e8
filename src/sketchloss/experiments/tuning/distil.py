"""Distil a thinner, faster network from the weights of a VGG-16, on drawings alone.

    sketchloss distil --data doodles --out runs/thin --width 0.25 --per-class 20 --steps 100     two minutes on a core
    sketchloss distil --data quickdraw,drawings --out runs/thin

The result is `OUT/best`: weights by the least validation loss, for `SketchLoss("OUT")` and `load_backbone("OUT")`.
The terms are those of `training/imitation.py` (features through projections: Romero et al. 2015, FitNets; distances and
likeness: Park et al. 2019, relational knowledge distillation).
"""

import hashlib
import math
import time
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from jaxtyping import UInt8
from torch import Tensor
from tqdm import tqdm

from sketchloss.data.augmentation import OVERSIZE, Augment
from sketchloss.data.left_out import say_left_out
from sketchloss.data.loading import hold_if_small, load_batches
from sketchloss.data.names import short_name
from sketchloss.data.partners import partners
from sketchloss.data.sources import Sketches, open_sketches
from sketchloss.experiments.tuning.distil_settings import Distil
from sketchloss.networks.backbone import Origin
from sketchloss.networks.thinner import fit_filters, new_thin
from sketchloss.networks.weights import load_backbone, save_backbone, weights_digest
from sketchloss.system.memory import reuse_freed_memory
from sketchloss.training.accelerator import describe, forked_random, new_accelerator
from sketchloss.training.endless import endless_batches
from sketchloss.training.guards import require_finite
from sketchloss.training.held_folder import hold_run_folder
from sketchloss.training.imitation import TERMS, Imitation
from sketchloss.training.meter import Meter
from sketchloss.training.rates import rate_schedule
from sketchloss.training.run import Run, check_run_folder

#: Pixels of the sketches that the filters of the start are fitted on, at most: 768 sketches of 64 pixels. The deepest
#: layer then has six times as many places as a filter has weights.
FITTED_ON = 3 * 2**20
#: What `curves.png` shows.
PANELS = {
    "loss": {"train": "train_loss", "validation": "validation_loss"},
    "correlation of distances": {"validation": "validation_agreement"},
}


def distil(config: Distil) -> dict[str, Any]:
    """Run `sketchloss distil`.

    Returns:
        `validation_loss` and `validation_agreement` (the correlation of the student's distances with the teacher's) of
        the best weights, `steps`, and `weights`, their folder.

    Raises:
        ValueError: as `Distil`, `open_sketches`, `load_backbone`, `new_thin` and `Run`.
        TrainingStopped: if the loss is not finite.
    """
    accelerator = new_accelerator(config.precision, seed=config.seed)
    check_run_folder(config.out, config, config.resume)  # before minutes of decoding, not after
    with hold_run_folder(config.out, main=accelerator.is_main_process):
        return _distil(config, accelerator)


def _distil(config: Distil, accelerator: Accelerator) -> dict[str, Any]:
    # Set-up ----------------------------------------------------------------------------------------------------------
    set_seed(config.seed)
    say = accelerator.print
    reuse_freed_memory()

    # Networks --------------------------------------------------------------------------------------------------------
    sizes = config.step_sizes()
    teacher = load_backbone(config.teacher, classes=())
    student = new_thin(teacher, config.width)
    student.origin = Origin(started_from=short_name(config.teacher), licence=teacher.origin.licence)
    least = teacher.minimum_size((*teacher.default_layers, teacher.embedding_layer))
    for name, size in (("image_size", config.image_size), *(("a size of image_sizes", size) for size in sizes.sizes)):
        if size < least:
            raise ValueError(f"{name} is {size}: {teacher.embedding_layer} needs {least} pixels or more")

    # Data ------------------------------------------------------------------------------------------------------------
    sketches = open_sketches(
        config.data,
        math.ceil(OVERSIZE * max(sizes.sizes)),
        per_class=config.per_class,
        strict=config.strict,
        seed=config.seed,
        allow_one_class=True,
    )
    say_left_out(config.data, sketches.unreadable, sketches.passed_over, say=say)
    if config.leave_out:
        sketches = sketches.select_classes(config.leave_out, leave_out=True)
    train_part, held_out_part = _split(sketches, config)
    batches = load_batches(
        hold_if_small(train_part, workers=config.workers),
        **{"batch_size": config.batch_size, "shuffle": True, "workers": config.workers, "seed": config.seed},
    )
    held_out = torch.stack([item["image"] for item in map(held_out_part.__getitem__, range(len(held_out_part)))])
    augment = Augment(config)

    # Model -----------------------------------------------------------------------------------------------------------
    teacher_digest = weights_digest(teacher)
    model = Imitation(student, teacher)
    count = max(1, FITTED_ON // config.image_size**2)
    some = np.random.default_rng(config.seed).permutation(len(train_part))[:count]
    images = augment(torch.stack([train_part[int(index)]["image"] for index in some]), config.image_size)
    if config.start == "fitted":
        fit_filters(student, teacher, images)
    # note: a sixth, since there are fewer weights to fit, and the features of all taps are held at once
    model.fit_projections(images[: max(1, count // 6)])
    model = model.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    optimizer = torch.optim.AdamW(model.parameters(), lr=config.lr, weight_decay=config.weight_decay, fused=True)
    model, optimizer, batches = accelerator.prepare(model, optimizer, batches)
    schedule = rate_schedule(
        optimizer.optimizer, config.schedule, steps=config.steps, warmup=config.warmup, after_warmup=True
    )
    accelerator.register_for_checkpointing(schedule)
    weights = {name: getattr(config, f"{name.removesuffix('s')}_weight") for name in TERMS}

    def terms_of(stored: UInt8[Tensor, "n 3 s s"], size: int) -> tuple[Tensor, dict[str, Tensor]]:
        terms = model(*partners(augment(stored, size), augment(stored, size)))
        loss = torch.stack([weight * terms[name] for name, weight in weights.items()]).sum()
        return loss, terms

    def judge(step: int, best: dict[str, float]) -> dict[str, float]:
        """Validate, keep the weights if they are the best, and return the scores of the best."""
        scores = _validate(terms_of, held_out.to(accelerator.device), config)
        run.log(step, **scores)
        say(f"step {step:,}: {_words(scores)}")
        # Before a checkpoint: weights that have diverged must not take the place of good ones.
        require_finite(scores["validation_loss"], step, optimizer.param_groups[0]["lr"])
        if best and scores["validation_loss"] >= best["validation_loss"]:
            return best
        if accelerator.is_main_process:
            save_backbone(accelerator.unwrap_model(model).student, run.folder / "best")
        return scores

    # Loop ------------------------------------------------------------------------------------------------------------
    run = Run(config.out, config, accelerator, config.resume)
    run.pin_data(_digest(train_part, held_out_part), loss=teacher_digest)
    position = (run.load_checkpoint() if config.resume else None) or {"step": 0, "best": {}}
    step, best = position["step"], position["best"]
    say(f"{config.data}: {len(train_part):,} sketches to train on, {len(held_out_part):,} held out")
    at = ", ".join(f"{size} ({share:.0%})" for size, share in zip(sizes.sizes, sizes.shares, strict=True))
    say(f"{config.steps:,} steps of {config.batch_size} pairs on {describe(accelerator)}, at {at} pixels")
    if not step:
        best = judge(0, best)
    bar = tqdm(
        total=config.steps,
        initial=step,
        disable=None if accelerator.is_local_main_process else True,  # None: shown on a terminal only
        mininterval=1,
    )
    meter, started, since = Meter(), time.perf_counter(), step
    for batch in endless_batches(accelerator, batches, step, config.steps):
        loss, terms = terms_of(batch["image"], sizes.at(config.seed, step))
        require_finite(loss.item(), step, optimizer.param_groups[0]["lr"])
        accelerator.backward(loss)
        if config.clip:
            accelerator.clip_grad_norm_(model.parameters(), config.clip)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        step += 1
        meter.add(train_loss=loss.item(), **{name: terms[name].item() for name in TERMS})
        bar.update()
        if step % config.log_every == 0:
            seconds = (time.perf_counter() - started) / (step - since)
            numbers = meter.read()
            bar.set_postfix_str(f"loss {numbers['train_loss']:.4f}, {seconds:.2f} s a step")
            run.log(step, learning_rate=optimizer.param_groups[0]["lr"], seconds_a_step=seconds, **numbers)
            started, since = time.perf_counter(), step
        if due := step % config.validate_every == 0 or step == config.steps:
            best = judge(step, best)
        if due or step % config.checkpoint_every == 0:
            if not due:
                with torch.no_grad(), forked_random(accelerator.device):  # as in `judge`
                    again, _ = terms_of(batch["image"], sizes.at(config.seed, step))
                require_finite(again.item(), step, optimizer.param_groups[0]["lr"])
            run.save_checkpoint({"step": step, "best": best})
            started, since = time.perf_counter(), step
    bar.close()

    # Report ----------------------------------------------------------------------------------------------------------
    run.close()
    if accelerator.is_main_process:
        from sketchloss.figures.curves import draw_curves

        draw_curves(
            run.metrics(),
            run.folder / "curves.png",
            title=f"distilled from {short_name(config.teacher)}",
            panels=PANELS,
        )
    say(f"best: {_words(best)}; weights in {run.folder / 'best'}, curves in {run.folder / 'curves.png'}")
    return {**best, "steps": step, "weights": str(run.folder / "best")}


def _split(sketches: Sketches, config: Distil) -> tuple[Sketches, Sketches]:
    """Return the sketches to train on, and those held out."""
    if len(sketches) < config.held_out + config.batch_size:
        raise ValueError(
            f"{config.data} has {len(sketches)} sketches: {config.held_out} are held out, and a batch is "
            f"{config.batch_size}; use more sketches, or a smaller held_out"
        )
    group_of = np.unique(sketches.groups, return_inverse=True)[1]
    held: set[int] = set()  # groups of related sketches go to one side
    count = 0
    for index in np.random.default_rng(config.seed).permutation(len(sketches)):
        if count >= config.held_out:
            break
        if int(group_of[index]) not in held:
            held.add(int(group_of[index]))
            count += int((group_of == group_of[index]).sum())
    is_held = np.isin(group_of, list(held))
    return sketches.select(np.flatnonzero(~is_held)), sketches.select(np.flatnonzero(is_held))


def _digest(*parts: Sketches) -> str:
    """Return a name for the data as split: places in the sources."""
    return hashlib.sha256(b" ".join(part.order.tobytes() for part in parts)).hexdigest()


@torch.no_grad()
def _validate(terms_of: Any, held_out: UInt8[Tensor, "n 3 s s"], config: Distil) -> dict[str, float]:
    """Return the means of the loss and the terms on the same pairs each time, and how well distances agree."""
    meter, distances = Meter(), []
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        for part in held_out.tensor_split(max(1, len(held_out) // config.batch_size)):  # none is one sketch
            loss, terms = terms_of(part, config.image_size)
            meter.add(loss=loss.item(), **{name: terms[name].item() for name in TERMS})
            distances.append(torch.stack([terms["ours"], terms["wanted"]]))
    agreement = torch.corrcoef(torch.cat(distances, dim=1).sqrt())[0, 1].item()
    return {**{f"validation_{name}": value for name, value in meter.read().items()}, "validation_agreement": agreement}


def _words(scores: dict[str, float]) -> str:
    parts = ", ".join(f"{name} {scores[f'validation_{name}']:.4f}" for name in ("loss", *TERMS))
    return f"validation {parts}, correlation of distances {scores['validation_agreement']:.4f}"
