"""The arithmetic of latent diffusion: signal-to-noise, the predicted clean latent, weights of the noise loss.

Notation of Ho et al. 2020: x_t = √ᾱ_t x_0 + √(1-ᾱ_t) ε. Every function takes ᾱ of each sample, which
`cumulative_alphas` reads off a scheduler of diffusers.
"""

from typing import Any, Literal, get_args

import torch
from jaxtyping import Float, Int64
from torch import Tensor

#: What a UNet predicts: the noise ε, or the velocity v = √ᾱ ε - √(1-ᾱ) x_0 (Salimans & Ho 2022, section 4).
Prediction = Literal["epsilon", "v_prediction"]


def cumulative_alphas(scheduler: Any, timesteps: Int64[Tensor, " n"]) -> Float[Tensor, " n"]:
    """Return ᾱ of some timesteps, in float32 on their device.

    Args:
        scheduler: a scheduler of diffusers, with `alphas_cumprod`.
        timesteps: from 0 to below the scheduler's number.
    """
    return scheduler.alphas_cumprod.to(timesteps.device, torch.float32)[timesteps]


def check_prediction(scheduler: Any) -> Prediction:
    """Return what the UNet of a scheduler predicts.

    Raises:
        ValueError: for anything but noise and velocity, and for noise where the last step holds no signal at all: a
            clean latent cannot be told from it (Lin et al. 2024, section 3.1).
    """
    kind = scheduler.config.prediction_type
    if kind not in get_args(Prediction):
        raise ValueError(f"the base predicts {kind!r}: only epsilon and v_prediction are known here")
    if kind == "epsilon" and float(scheduler.alphas_cumprod.min()) <= 0:
        raise ValueError("the base predicts noise but its last step has no signal: rescale it with v_prediction only")
    return kind


def signal_to_noise(alphas: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
    """Return ᾱ / (1 - ᾱ): infinite for no noise, 0 for no signal."""
    return alphas / (1 - alphas)


def denoised(
    output: Float[Tensor, "n c h w"],
    noisy: Float[Tensor, "n c h w"],
    alphas: Float[Tensor, " n"],
    prediction: Prediction,
) -> Float[Tensor, "n c h w"]:
    """Return the clean latent that a UNet's output amounts to, in float32.

    From noise: (x_t - √(1-ᾱ) ε) / √ᾱ (Ho et al. 2020, Eq. 15); from velocity: √ᾱ x_t - √(1-ᾱ) v (Salimans & Ho 2022,
    appendix D), which needs no division and holds where there is no signal.

    Args:
        output: output of the UNet, any float dtype.
        noisy: x_t.
        alphas: ᾱ of each sample; above 0 for `epsilon`.
        prediction: what the output is.
    """
    signal, noise = alphas.sqrt()[:, None, None, None], (1 - alphas).sqrt()[:, None, None, None]
    output, noisy = output.float(), noisy.float()
    if prediction == "epsilon":
        return (noisy - noise * output) / signal
    return signal * noisy - noise * output


def training_target(
    clean: Float[Tensor, "n c h w"],
    noise: Float[Tensor, "n c h w"],
    alphas: Float[Tensor, " n"],
    prediction: Prediction,
) -> Float[Tensor, "n c h w"]:
    """Return the target of the UNet's output: the noise, or the velocity √ᾱ ε - √(1-ᾱ) x_0 (Salimans & Ho 2022)."""
    if prediction == "epsilon":
        return noise
    return alphas.sqrt()[:, None, None, None] * noise - (1 - alphas).sqrt()[:, None, None, None] * clean


def add_noise(
    clean: Float[Tensor, "n c h w"], noise: Float[Tensor, "n c h w"], alphas: Float[Tensor, " n"]
) -> Float[Tensor, "n c h w"]:
    """Return x_t = √ᾱ x_0 + √(1-ᾱ) ε (Ho et al. 2020, Eq. 4)."""
    return alphas.sqrt()[:, None, None, None] * clean + (1 - alphas).sqrt()[:, None, None, None] * noise


def min_snr_weight(alphas: Float[Tensor, " n"], gamma: float, prediction: Prediction) -> Float[Tensor, " n"]:
    """Return the factors on the squared error of each sample that bound its weight on x_0 (Hang et al. 2023, Eq. 8).

    Squared errors of noise and velocity are SNR and SNR + 1 times those of x_0; the weight on x_0 shall be
    min(SNR, γ). So: min(SNR, γ) / SNR = min(1, γ / SNR), and min(SNR, γ) / (SNR + 1).

    Args:
        alphas: ᾱ of each sample.
        gamma: γ, above 0; 5 in the paper.
        prediction: what the UNet predicts.
    """
    snr = signal_to_noise(alphas)
    if prediction == "epsilon":
        return (gamma / snr).clamp(max=1)  # 1 where there is no signal
    # note: an infinite SNR (no noise) gives 0, as its limit
    return snr.clamp(max=gamma) / (snr + 1)


def denoising_loss(
    output: Float[Tensor, "n c h w"],
    target: Float[Tensor, "n c h w"],
    alphas: Float[Tensor, " n"],
    prediction: Prediction,
    *,
    min_snr_gamma: float | None = None,
) -> Float[Tensor, " n"]:
    """Return the mean squared error of each sample in float32 (Ho et al. 2020, Eq. 14), weighted if a gamma is given.

    Args:
        output: output of the UNet.
        target: as `training_target` returns it.
        alphas: ᾱ of each sample.
        prediction: what the output is.
        min_snr_gamma: as for `min_snr_weight`; None: no weights.
    """
    error = (output.float() - target.float()).square().mean((1, 2, 3))
    return error if min_snr_gamma is None else min_snr_weight(alphas, min_snr_gamma, prediction) * error
