"""Networks for the training of a LoRA: the pipeline, and the perceptual term on the pictures that it predicts."""

import torch

from sketchloss.diffusion.perceptual import LatentPerceptualLoss
from sketchloss.diffusion.pipeline import load_text_to_image
from sketchloss.diffusion.quiet import StableDiffusionPipeline
from sketchloss.lora.sampling import size_step
from sketchloss.lora.settings import LoraSettings
from sketchloss.loss.loss import SketchLoss
from sketchloss.networks.own_layers import layers_for
from sketchloss.training.accelerator import dtype_of


def open_networks(
    settings: LoraSettings, arm: str, device: torch.device
) -> tuple[StableDiffusionPipeline, LatentPerceptualLoss | None]:
    """Open the base and an arm's perceptual term, and see that they fit the size of the pictures.

    Args:
        settings: settings of the training.
        arm: name of the arm whose network the term uses; `none`: no term.
        device: the device to put both on.

    Returns:
        The pipeline, with its networks in the precision of the settings, and the term, None without one.

    Raises:
        ValueError: for a size that the base does not take, and as `load_text_to_image` and `open_term`.
    """
    pipeline = load_text_to_image(settings.base, dtype=dtype_of(settings.precision, device.type)).to(device)
    pipeline.set_progress_bar_config(disable=True)
    if settings.image_size % (unit := size_step(pipeline)):
        near = max(unit, round(settings.image_size / unit) * unit)
        raise ValueError(f"image_size is {settings.image_size}: this base takes multiples of {unit}, such as {near}")
    return pipeline, open_term(settings, arm, pipeline)


def open_term(settings: LoraSettings, arm: str, pipeline: StableDiffusionPipeline) -> LatentPerceptualLoss | None:
    """Return an arm's perceptual term, on the device of the pipeline, or None without one.

    Args:
        settings: settings of the training.
        arm: its name; `none`: no term.
        pipeline: pipeline whose decoder the term uses.

    Raises:
        ValueError: for a size that the layers do not take, and as `Arm.load` and `SketchLoss`.
    """
    if arm == "none" or not settings.perceptual_weight:
        return None
    backbone = settings.load(arm, gates=settings.seed)
    layers = layers_for(backbone, settings.layers)
    try:
        loss = SketchLoss(backbone, layers=layers, metric=settings.metric, reduction="none", check=False)
    except ValueError as error:
        raise ValueError(f"{arm}: {error}") from None
    perceptual = LatentPerceptualLoss(
        pipeline.vae,
        loss,
        gate=settings.gate,
        minimum_snr=settings.minimum_snr,
        weighting=settings.snr_weighting,
        target=settings.target,
        part=settings.decoded_part,
    )
    factor = pipeline.vae_scale_factor
    rows, _ = perceptual.window([settings.image_size // factor] * 2, (0.0, 0.0))
    if rows.stop * factor < (least := loss.minimum_size):
        which = f" and decoded_part {settings.decoded_part:g}" if settings.decoded_part < 1 else ""
        raise ValueError(
            f"image_size is {settings.image_size}{which}: the layers of {arm} need at least {least} pixels"
        )
    return perceptual.to(pipeline.device)
