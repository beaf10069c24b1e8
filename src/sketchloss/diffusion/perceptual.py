"""The perceptual term of latent diffusion: how the picture that a UNet predicts differs from the true one.

Seo 2025, section 4.1, after Berrada et al. 2025 ("Boosting Latent Diffusion with Perceptual Objectives"), who compare
features of the decoder itself: here both latents are decoded to RGB and compared by a `SketchLoss`.
"""

from collections.abc import Sequence
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from sketchloss.diffusion.arithmetic import signal_to_noise
from sketchloss.loss.loss import SketchLoss

#: Which samples get the term: all (Seo 2025), or those with enough signal for a clean picture (Berrada et al. 2025).
Gate = Literal["none", "snr"]
#: How much each of them counts: all alike, or by its share of signal ᾱ = SNR / (SNR + 1).
SnrWeighting = Literal["none", "signal"]
Target = Literal["latent", "image"]


class LatentPerceptualLoss(nn.Module):
    """A `SketchLoss` between decoded latents: L(D(x̂_0), D(x_0)), for each sample that passes the gate.

    Args:
        autoencoder: diffusers' `AutoencoderKL`, which is frozen here; its dtype is what it computes in.
        loss: on the autoencoder's device, with `reduction="none"` and the range of decoded pictures, [0, 1].
        gate: `none` or `snr`: samples below `minimum_snr` count 0, and are neither decoded nor looked at, which saves
            most of the cost: of Stable Diffusion 1.x's timesteps a fifth passes an SNR of 3.
        minimum_snr: of the gate; 3 as Berrada et al. 2025.
        weighting: `none`, or `signal`: times ᾱ.
        target: what x̂_0 is compared with: `latent`, D(x_0), which asks for nothing that the decoder cannot draw; or
            `image`, the picture itself, which saves a decoding.
        part: side of the window that is decoded, as a share of the picture's, where a corner is given: 0.5 decodes a
            quarter of it.

    Raises:
        ValueError: for a setting outside its choices or range.
    """

    def __init__(
        self,
        autoencoder: Any,
        loss: SketchLoss,
        *,
        gate: Gate = "snr",
        minimum_snr: float = 3.0,
        weighting: SnrWeighting = "none",
        target: Target = "latent",
        part: float = 1.0,
    ) -> None:
        super().__init__()
        choices = {"gate": (gate, ("none", "snr")), "weighting": (weighting, ("none", "signal"))}
        for name, (value, known) in (choices | {"target": (target, ("latent", "image"))}).items():
            if value not in known:
                raise ValueError(f"{name} {value!r} is unknown: use {' or '.join(known)}")
        if loss.reduction != "none":
            raise ValueError(f"the loss's reduction is {loss.reduction!r}: it must be 'none', a value for each sample")
        if loss.value_range != (0, 1):
            raise ValueError(
                f"the loss's value_range is {loss.value_range}: it must be (0, 1), that of decoded pictures"
            )
        if not 0 <= minimum_snr < float("inf"):
            raise ValueError(f"minimum_snr is {minimum_snr}: it must be finite and not negative")
        if not 0 < part <= 1:
            raise ValueError(f"part is {part}: it must be above 0 and at most 1")
        self.autoencoder = autoencoder.requires_grad_(False).eval()
        self.loss = loss
        self.gate, self.minimum_snr, self.weighting, self.target = gate, minimum_snr, weighting, target
        self.part = part

    def train(self, mode: bool = True) -> "LatentPerceptualLoss":  # noqa: ARG002
        """Stay in eval mode: nothing here is trained."""
        return super().train(False)

    def passes(self, alphas: Float[Tensor, " n"]) -> Bool[Tensor, " n"]:
        """Tell which samples get the term: those whose SNR ᾱ / (1-ᾱ) is at least the minimum, or all."""
        if self.gate == "none":
            return torch.ones_like(alphas, dtype=torch.bool)
        return signal_to_noise(alphas) >= self.minimum_snr

    def forward(
        self,
        predicted: Float[Tensor, "n c h w"],
        clean: Float[Tensor, "n c h w"],
        alphas: Float[Tensor, " n"],
        images: Float[Tensor, "n 3 s s"] | None = None,
        corner: tuple[float, float] | None = None,
    ) -> Float[Tensor, " n"]:
        """Return the term of each sample in float32; 0, without gradient, where the gate is shut.

        Args:
            predicted: x̂_0, latents as the UNet knows them (scaled); the gradient flows here.
            clean: x_0, in the same form.
            alphas: ᾱ of each sample.
            images: the pictures in [0, 1], for the target `image`.
            corner: where the window lies, down and across, each from 0 (first) to 1 (last); None: decode everything.

        Raises:
            ValueError: if the images are needed and not given.
        """
        if self.target == "image" and images is None:
            raise ValueError("the target is the image: give the images")
        values = torch.zeros(len(predicted), dtype=torch.float32, device=predicted.device)
        chosen = self.passes(alphas).nonzero().flatten()
        if not len(chosen):
            return values
        window = self.window(predicted.shape[-2:], corner)
        ours = self.decode(predicted[chosen][..., *window])
        with torch.no_grad():
            if images is None or self.target == "latent":
                theirs = self.decode(clean[chosen][..., *window])
            else:
                theirs = images[chosen][..., *(_times(side, images.shape[-1] // clean.shape[-1]) for side in window)]
        distances = self.loss(ours, theirs)
        if self.weighting == "signal":
            distances = distances * alphas[chosen]
        return values.index_add(0, chosen, distances.to(values.dtype))

    def window(self, size: Sequence[int], corner: tuple[float, float] | None) -> tuple[slice, slice]:
        """Return which rows and columns are decoded of latents that have so many."""
        if corner is None:
            corner, part = (0.0, 0.0), 1.0
        else:
            part = self.part
        rows, columns = (_place(side, part, start) for side, start in zip(size, corner, strict=True))
        return rows, columns

    def decode(self, latents: Float[Tensor, "n c h w"]) -> Float[Tensor, "n 3 s s"]:
        """Decode latents as the UNet knows them to images in [0, 1], in float32.

        Values beyond are cut, but their gradient passes: paper is white, and where a line is missing from it, a decoder
        that overshoots must still be told so.
        """
        config = self.autoencoder.config
        unscaled = latents / config.scaling_factor + (getattr(config, "shift_factor", None) or 0.0)
        images = self.autoencoder.decode(unscaled.to(self.autoencoder.dtype)).sample.float() / 2 + 0.5
        return images + (images.clamp(0, 1) - images).detach()


def _place(side: int, part: float, start: float) -> slice:
    size = max(1, round(part * side))
    first = round(start * (side - size))
    return slice(first, first + size)


def _times(side: slice, factor: int) -> slice:
    return slice(side.start * factor, side.stop * factor)
