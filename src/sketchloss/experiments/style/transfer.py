"""Train a network that turns photos into sketches of one style in a single pass (Johnson et al. 2016; Seo 2025, 4.1).

    sketchloss style train --preset demo --out runs/doodles             a minute or two on two cores
    sketchloss style train --content PHOTOS --style SKETCHES --out runs/mine
    sketchloss style train --preset paper --style 'fs2k:FS2K?style=1' --out runs/paper
    sketchloss style apply runs/mine photo.jpg --out sketch.png

The result is `OUT/model`, a network for `load_stylizer`, with the pictures `OUT/samples/` and `OUT/before_after.png`.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import islice
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from jaxtyping import Float
from PIL import Image
from torch import Tensor
from tqdm import tqdm

from sketchloss.data.left_out import say_left_out
from sketchloss.data.loading import hold_if_small, load_batches, to_unit_range
from sketchloss.data.names import short_name
from sketchloss.data.photos import open_photos, open_style
from sketchloss.data.pictures import Pictures
from sketchloss.experiments.style.transfer_settings import StyleSettings, StyleTransfer
from sketchloss.figures.grid import draw_grid
from sketchloss.loss.balance import Balance, gradient_norms
from sketchloss.loss.style_loss import StyleTransferLoss
from sketchloss.networks.own_layers import content_layer_for, layers_for
from sketchloss.networks.stylizer import Stylizer, StylizerConfig, save_stylizer
from sketchloss.networks.weights import weights_digest
from sketchloss.system.files import write_json
from sketchloss.system.images import save_picture, to_picture
from sketchloss.system.memory import reuse_freed_memory
from sketchloss.training.accelerator import describe, new_accelerator
from sketchloss.training.endless import endless_batches
from sketchloss.training.guards import blank_warning, require_finite
from sketchloss.training.held_folder import hold_run_folder
from sketchloss.training.meter import Meter
from sketchloss.training.rates import rate_schedule
from sketchloss.training.run import Run, check_run_folder

RESULT = "result.json"


def style_transfer(config: StyleTransfer) -> dict[str, Any]:
    """Run `sketchloss style train`.

    Returns:
        What `result.json` holds: `model`, the network's folder, `before_after`, the picture, the numbers of
        `photos`, `sketches` and `steps`, and the last `terms` on the photos shown.

    Raises:
        ValueError: as `StyleTransfer`, `open_photos`, `open_style`, `load_backbone` and `Run`.
        TrainingStopped: if the loss is not finite.
    """
    accelerator = new_accelerator(config.precision, seed=config.seed)
    check_run_folder(config.out, config, config.resume)  # before an hour of decoding, not after
    with hold_run_folder(config.out, main=accelerator.is_main_process):
        return _style_transfer(config, accelerator)


def _style_transfer(config: StyleTransfer, accelerator: Accelerator) -> dict[str, Any]:
    # Set-up ----------------------------------------------------------------------------------------------------------
    say = accelerator.print
    reuse_freed_memory()

    # Loss ------------------------------------------------------------------------------------------------------------
    loss = open_loss(config, config.arm_name).to(accelerator.device)
    balance = Balance(
        loss.share_out(
            content=config.content_weight, style=config.style_weight, total_variation=config.variation_weight
        ),
        config.balance,
    )

    # Data ------------------------------------------------------------------------------------------------------------
    photos = _opened(open_photos, config.content, config.limit, config, say)
    style = _opened(open_style, config.style, config.style_limit, config, say)
    if config.validation is None:
        shown, photos = _part(photos, config)
    else:
        shown = _opened(open_photos, config.validation, config.shown, config, say)
    batches = load_batches(
        hold_if_small(photos, workers=config.workers),
        **{"batch_size": config.batch_size, "shuffle": True, "workers": config.workers, "seed": config.seed},
    )
    style_batches = load_batches(style, batch_size=8, workers=config.workers)
    loss.set_style(to_unit_range(batch["image"].to(accelerator.device)) for batch in style_batches)

    # Model and optimiser ---------------------------------------------------------------------------------------------
    set_seed(config.seed)
    network = Stylizer(
        StylizerConfig(
            width=config.width,
            blocks=config.blocks,
            channels=config.channels,
            arm=config.arm_name,
            image_size=config.image_size,
            content=short_name(config.content),  # not where it lies
            style=short_name(config.style),
        )
    )
    model = network.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    optimizer = torch.optim.Adam(model.parameters(), lr=config.lr)
    model, optimizer, batches = accelerator.prepare(model, optimizer, batches)
    steps = config.steps or config.epochs * len(batches)
    schedule = rate_schedule(optimizer.optimizer, config.schedule, steps=steps)
    accelerator.register_for_checkpointing(schedule, balance)
    kept = "" if config.validation else f" and {len(shown):,} to show the progress on"
    say(f"{config.content}: {len(photos):,} photos to learn on{kept}; {config.style}: {len(style):,} sketches")
    how = f"{config.batch_size} at {config.image_size} pixels with {config.arm_name}"
    say(f"{steps:,} steps of {how}, {describe(accelerator)}")

    # Loop ------------------------------------------------------------------------------------------------------------
    run = Run(config.out, config, accelerator, config.resume)
    run.pin_data(f"{photos.digest()} {style.digest()} {shown.digest()}", loss=weights_digest(loss.backbone))
    step = ((run.load_checkpoint() if config.resume else None) or {"step": 0})["step"]
    if config.resume:
        say(f"continuing after step {step:,}")
    shown_images = torch.stack([item["image"] for item in map(shown.__getitem__, range(len(shown)))])
    shown_images = to_unit_range(shown_images.to(accelerator.device))
    if not step and config.balance != "none":
        for images in islice(_images(batches, epoch=0), config.balance_batches):
            balance.observe(_norms(accelerator, model, loss, images, balance.active))
    bar = tqdm(
        total=steps,
        initial=step,
        disable=None if accelerator.is_local_main_process else True,  # None: shown on a terminal only
        mininterval=1,
    )
    meter, started, since, scores = Meter(), time.perf_counter(), step, {}
    for batch in endless_batches(accelerator, batches, step, steps):
        images = to_unit_range(batch["image"])
        terms, _ = _forward(accelerator, model, loss, images)
        if config.balance == "running" and step and step % config.balance_every == 0:
            balance.observe(_norms(accelerator, model, loss, images, balance.active))
        total = balance.total(terms)
        require_finite(total.item(), step, optimizer.param_groups[0]["lr"])
        accelerator.backward(total)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        step += 1
        meter.add(loss=total.item(), **{name: value.item() for name, value in terms.items()})
        bar.update()
        if step % config.log_every == 0 or step == steps:
            seconds = time.perf_counter() - started
            speed = (step - since) * config.batch_size * accelerator.num_processes / seconds
            numbers = meter.read()
            bar.set_postfix_str(f"loss {numbers['loss']:.3f}, {speed:.1f} images/s")
            factors = {f"factor_{name}": balance.factors[name] for name in balance.active}
            run.log(
                step,
                learning_rate=optimizer.param_groups[0]["lr"],
                **{"images_per_second": speed, **numbers, **factors},
            )
            started, since = time.perf_counter(), step
        due_sample, due_checkpoint = (
            step % every == 0 or step == steps for every in (config.sample_every, config.checkpoint_every)
        )
        if not (due_sample or due_checkpoint):
            continue
        scores, sketches = _sample(accelerator, model, loss, shown_images)
        # Before a checkpoint, too: weights that have diverged must not take the place of good ones.
        require_finite(sum(scores.values()), step, optimizer.param_groups[0]["lr"])
        if due_sample:
            run.log(step, **{f"validation_{name}": value for name, value in scores.items()})
            # Within each channel: a sheet of one colour is blank too.
            warning = blank_warning(sketches.std(dim=(2, 3)).max().item())
            if warning:
                say(f"warning: step {step}: {warning}")
            if accelerator.is_main_process:
                title = f"{short_name(config.style)}, {config.arm_name}, step {step:,}"
                (run.folder / "samples").mkdir(exist_ok=True)
                for file in (run.folder / "samples" / f"step_{step:06}.png", run.folder / "before_after.png"):
                    save_picture(_before_after(shown_images, sketches, title), file)
        if due_checkpoint:
            # First the network: killed in between, a resumed run makes it again.
            if accelerator.is_main_process:
                network = accelerator.unwrap_model(model)
                network.config = replace(network.config, steps=step)
                save_stylizer(network, run.folder / "model")
            run.save_checkpoint({"step": step})
        started, since = time.perf_counter(), step
    bar.close()
    run.close()

    # Report ----------------------------------------------------------------------------------------------------------
    if not scores:  # a finished run, resumed
        scores, _ = _sample(accelerator, model, loss, shown_images)
    before_after = run.folder / "before_after.png"
    result = {
        **{"model": str(run.folder / "model"), "before_after": str(before_after)},
        **{"photos": len(photos), "sketches": len(style), "steps": steps, "terms": scores},
    }
    if accelerator.is_main_process:
        write_json(run.folder / RESULT, result)  # last: it says that the run is done
    say(f"network in {run.folder / 'model'}, photos before and after in {before_after}")
    return result


# Set-up --------------------------------------------------------------------------------------------------------------


def open_loss(config: StyleSettings, arm: str) -> StyleTransferLoss:
    """Return the loss that uses an arm's network, on the CPU.

    Raises:
        ValueError: for weights, layers or an image size that do not fit.
    """
    backbone = config.load(arm, gates=config.seed)
    try:
        loss = StyleTransferLoss(
            backbone,
            content_layer=content_layer_for(backbone, config.content_layer),
            style_layers=layers_for(backbone, config.style_layers),
            metric=config.content_metric,
        )
    except ValueError as error:
        raise ValueError(f"{arm}: {error}") from None
    if config.image_size < loss.minimum_size:
        least = loss.minimum_size
        raise ValueError(f"image_size is {config.image_size}: the layers of {arm} need at least {least} pixels")
    return loss


# Data ----------------------------------------------------------------------------------------------------------------


def _opened(
    opened: Callable[..., Pictures], source: str, limit: int | None, config: StyleTransfer, say: Callable[[str], None]
) -> Pictures:
    pictures = opened(source, config.image_size, limit=limit, strict=config.strict, seed=config.seed)
    say_left_out(source, pictures.unreadable, pictures.passed_over, say=say)
    return pictures


def _part(photos: Pictures, config: StyleTransfer) -> tuple[Pictures, Pictures]:
    """Return the photos to show the progress on, and the others."""
    if len(photos) <= config.shown:
        raise ValueError(
            f"{config.content} has {len(photos)} photos, of which {config.shown} are kept to show the progress: "
            "use more photos, a smaller --shown, or --validation"
        )
    mixed = np.random.default_rng(config.seed).permutation(len(photos))
    return photos.select(np.sort(mixed[: config.shown])), photos.select(np.sort(mixed[config.shown :]))


def _images(batches: Any, epoch: int) -> Iterator[Float[Tensor, "n 3 s s"]]:
    batches.set_epoch(epoch)
    for batch in batches:
        yield to_unit_range(batch["image"])


# Steps ---------------------------------------------------------------------------------------------------------------


def _forward(
    accelerator: Accelerator, model: Any, loss: StyleTransferLoss, images: Float[Tensor, "n 3 s s"]
) -> tuple[dict[str, Tensor], Float[Tensor, "n c s s"]]:
    """Return the terms, and what was drawn."""
    drawn = model(images).float()
    with accelerator.autocast():
        return loss(drawn, images), drawn


def _norms(
    accelerator: Accelerator,
    model: Any,
    loss: StyleTransferLoss,
    images: Float[Tensor, "n 3 s s"],
    names: Iterable[str],
) -> dict[str, float]:
    """Return the terms' gradient norms, the same in all processes."""
    with torch.no_grad():
        drawn = model(images).float()
    drawn.requires_grad_()
    # float16 has no room for gradients that differ by orders of magnitude; bfloat16 has.
    exact = torch.autocast(drawn.device.type, enabled=False)
    with exact if accelerator.mixed_precision == "fp16" else accelerator.autocast():
        terms = loss(drawn, images)
    norms = gradient_norms(terms, drawn, names)
    means = accelerator.reduce(torch.tensor(list(norms.values()), device=drawn.device), "mean")
    return dict(zip(norms, means.tolist(), strict=True))  # pyright: ignore[reportAttributeAccessIssue] - a tensor


# Pictures ------------------------------------------------------------------------------------------------------------


@torch.no_grad()
def _sample(
    accelerator: Accelerator, model: Any, loss: StyleTransferLoss, images: Float[Tensor, "n 3 s s"]
) -> tuple[dict[str, float], Float[Tensor, "n c s s"]]:
    """Return the terms on the photos shown, and their sketches."""
    model.eval()
    terms, sketches = _forward(accelerator, model, loss, images)
    model.train()
    return {name: value.item() for name, value in terms.items()}, sketches


def _before_after(photos: Tensor, sketches: Tensor, title: str) -> Image.Image:
    rows = [[to_picture(image) for image in images] for images in (photos, sketches)]
    return draw_grid(rows, side=max(96, photos.shape[-1]), row_names=("photo", "sketch"), title=title)
