"""What the training of a LoRA starts from: the pipeline, and the perceptual term that looks at what it has in mind."""

import torch

from sketchloss.diffusion.perceptual import LatentPerceptualLoss
from sketchloss.diffusion.pipeline import load_text_to_image
from sketchloss.diffusion.quiet import StableDiffusionPipeline
from sketchloss.lora.sampling import size_step
from sketchloss.lora.settings import LoraArm, LoraSettings
from sketchloss.loss import SketchLoss
from sketchloss.training.accelerator import DTYPES


def open_networks(
    settings: LoraSettings, arm: LoraArm, device: torch.device
) -> tuple[StableDiffusionPipeline, LatentPerceptualLoss | None]:
    """Open the base and an arm's perceptual term, and see that they fit the size of the pictures.

    Args:
        settings: of the training.
        arm: which variant of the backbone; `none`: no term.
        device: to put both on.

    Returns:
        The pipeline, with its networks in the precision of the settings, and the term, None without one.

    Raises:
        ValueError: for an arm without weights or a size that the base or the layers do not take, and as
            `load_text_to_image`, `load_backbone` and `SketchLoss`.
    """
    if arm != "none" and arm not in settings.arms():
        raise ValueError(f"arm is {arm}, which has no weights: give --{arm.replace('+', '-')}")
    pipeline = load_text_to_image(settings.base, dtype=DTYPES[settings.precision]).to(device)
    pipeline.set_progress_bar_config(disable=True)
    if settings.image_size % (unit := size_step(pipeline)):
        near = max(unit, round(settings.image_size / unit) * unit)
        raise ValueError(f"image_size is {settings.image_size}: this base takes multiples of {unit}, such as {near}")
    if arm == "none" or not settings.perceptual_weight:
        return pipeline, None
    loss = SketchLoss(
        settings.load(arm, gates=settings.seed),
        layers=settings.layers,
        metric=settings.metric,
        reduction="none",
        check=False,
    )
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
        raise ValueError(f"image_size is {settings.image_size}{which}: the layers need at least {least} pixels")
    return pipeline, perceptual.to(device)
