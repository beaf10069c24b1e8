"""The loss of one step of latent diffusion: the noise loss plus the perceptual term (Seo 2025, 4.1)."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from sketchloss.diffusion.arithmetic import (
    Prediction,
    add_noise,
    check_prediction,
    cumulative_alphas,
    denoised,
    denoising_loss,
    training_target,
)
from sketchloss.diffusion.perceptual import LatentPerceptualLoss


@dataclass(frozen=True)
class DenoisingTerms:
    """The two terms of the loss on one batch, each a float32 scalar, a mean over the samples."""

    noise: Float[Tensor, ""]
    """Weighted squared error of the UNet's output."""
    perceptual: Float[Tensor, ""]
    """Difference of the decoded pictures; samples that the gate leaves out count 0."""
    active: float
    """Share of the samples that got the perceptual term."""
    output: Float[Tensor, "n c h w"]
    """Output of the UNet, with its graph."""

    def named(self) -> dict[str, Tensor]:
        """Return the terms for `Balance`."""
        return {"noise": self.noise, "perceptual": self.perceptual}


class Denoising:
    """Noise a batch of latents, have the UNet say what was added, and measure how far off it is.

    With x_t = √ᾱ x_0 + √(1-ᾱ) ε: the noise loss |ε - ε̂|² (or of the velocity), weighted by min-SNR if a gamma is given,
    and the perceptual term between the decoded x̂_0 and x_0.

    Args:
        scheduler: a scheduler of diffusers, with the base's noise schedule.
        perceptual: the term's loss; None: no such term, and no decoding.
        min_snr_gamma: as for `min_snr_weight`; None: no weights.

    Raises:
        ValueError: for a base that predicts neither noise nor velocity.
    """

    def __init__(
        self, scheduler: Any, perceptual: LatentPerceptualLoss | None = None, *, min_snr_gamma: float | None = None
    ) -> None:
        self.scheduler, self.perceptual, self.min_snr_gamma = scheduler, perceptual, min_snr_gamma
        self.prediction: Prediction = check_prediction(scheduler)

    def __call__(
        self,
        model: Callable[..., Any],
        clean: Float[Tensor, "n c h w"],
        noise: Float[Tensor, "n c h w"],
        times: Int64[Tensor, " n"],
        words: Float[Tensor, "n t d"],
        images: Float[Tensor, "n 3 s s"] | None = None,
        corner: tuple[float, float] | None = None,
    ) -> DenoisingTerms:
        """Return the terms.

        Args:
            model: the UNet, called as `UNet2DConditionModel` is.
            clean: latents x_0 as the UNet knows them (scaled), float32.
            noise: ε, standard normal.
            times: timesteps, below the scheduler's number.
            words: the prompts' embeddings.
            images: the pictures in [0, 1], if the perceptual term compares with them.
            corner: as for `LatentPerceptualLoss`: where the part lies that is decoded; None: all is.
        """
        alphas = cumulative_alphas(self.scheduler, times)
        noisy = add_noise(clean, noise, alphas)
        output = model(noisy.to(words.dtype), times, words).sample.float()
        target = training_target(clean, noise, alphas, self.prediction)
        error = denoising_loss(output, target, alphas, self.prediction, min_snr_gamma=self.min_snr_gamma)
        distance, active = torch.zeros_like(error), 0.0
        if self.perceptual is not None:
            active = self.perceptual.passes(alphas).float().mean().item()
            if active:
                predicted = denoised(output, noisy, alphas, self.prediction)
                distance = self.perceptual(predicted, clean, alphas, images, corner)
        return DenoisingTerms(error.mean(), distance.mean(), active, output)
