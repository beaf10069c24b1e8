"""Checks that a tuning at several image sizes is possible, and a plan of what it will take."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from sketchloss.networks.backbone import Backbone
from sketchloss.training.classifier import count_step_memory
from sketchloss.training.plan import measure_steps, peak_memory
from sketchloss.training.resources import count_multiply_adds, require_memory
from sketchloss.training.sizes import StepSizes


def check_sizes(
    backbone: Backbone, sizes: StepSizes, *, image_size: int, batch_size: int, precision: str, device: torch.device
) -> None:
    """See that a backbone can be trained at these sizes, and validated at another, before anything is decoded.

    Args:
        backbone: with a classifier, on any device.
        sizes: the sizes to train at.
        image_size: the size to validate at.
        batch_size: images a step.
        precision: precision of the training, as for `new_accelerator`.
        device: that it will be trained on.

    Raises:
        ValueError: in one line, for a size that the classified layer cannot take, or that memory will not hold.
    """
    layer = backbone.classified_layer
    least = backbone.minimum_size((layer,))
    for name, size in (("image_size", image_size), *(("a size of image_sizes", size) for size in sizes.sizes)):
        if size < least:
            raise ValueError(f"{name} is {size}: {layer} of this backbone needs {least} pixels or more")
    largest = max(sizes.sizes)
    require_memory(
        count_step_memory(backbone, image_size=largest, batch_size=batch_size, precision=precision),
        device,
        what=f"a step of {batch_size} images at {largest} pixels",
        mend="name smaller image_sizes, a smaller batch_size, or set checkpoint_activations",
    )


def plan_tuning(
    backbone: Backbone,
    sizes: StepSizes,
    step: Callable[[dict[str, Tensor], int], object],
    batches: Any,
    *,
    epochs: int,
    seed: int,
    device: torch.device,
) -> dict[str, Any]:
    """Measure a few steps at each size and say what the whole run will take.

    Args:
        backbone: only its configuration is used.
        sizes: the sizes to train at.
        step: a real step on a batch at a size; it moves the weights, which must then be thrown away.
        batches: batches of one epoch, a data loader.
        epochs: number of epochs of the run.
        seed: random seed of the run, which decides the sizes of its steps.
        device: that it runs on.

    Returns:
        Counts, multiply-adds, times and memory, of the whole, and in `sizes` of each size.
    """
    images, steps = len(batches.dataset), epochs * len(batches)
    at_sizes = []
    for (size, count), share in zip(sizes.count(seed, steps).items(), sizes.shares, strict=True):
        forward = count_multiply_adds(
            lambda size=size: type(backbone)(backbone.config).classify(torch.rand(1, 3, size, size))
        )
        seconds = measure_steps(lambda batch, size=size: step(batch, size), batches, device)
        row = {"pixels": size, "share": share, "steps": count, "multiply_adds_an_image_forward": forward}
        at_sizes.append({**row, "seconds_a_step": round(seconds, 3)})
    forward = sum(row["steps"] * row["multiply_adds_an_image_forward"] for row in at_sizes) / steps
    seconds = sum(row["steps"] * row["seconds_a_step"] for row in at_sizes) / steps
    return {
        "training_images": images,
        "classes": len(backbone.config.classes),
        "steps": steps,
        "multiply_adds_an_image_forward": round(forward),
        # Backward takes twice the forward pass: gradients of the weights and of the features.
        "multiply_adds_in_all": round(3 * forward * images * epochs),
        "seconds_a_step": round(seconds, 3),
        "hours_of_steps": round(steps * seconds / 3600, 3),
        "peak_memory_MiB": round(peak_memory(device) / 2**20),
        "sizes": at_sizes,
    }


def plan_lines(plan: dict[str, Any]) -> list[str]:
    """Return a plan as lines to print."""
    lines = [f"{name.replace('_', ' ')}: {value:,}" for name, value in plan.items() if name != "sizes"]
    for row in plan["sizes"]:
        numbers = (f"{name.replace('_', ' ')} {value:,}" for name, value in row.items() if name != "pixels")
        lines.append(f"at {row['pixels']} pixels: {', '.join(numbers)}")
    return lines
