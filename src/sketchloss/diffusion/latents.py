"""Latents of pictures by the autoencoder of a text-to-image pipeline: encoding a set once, decoding to [0, 1]."""

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor


@dataclass(frozen=True)
class Moments:
    """Normal distributions of the latents of pictures, as the autoencoder gives them (not yet scaled)."""

    mean: Float[Tensor, "*views n c h w"]
    """Means of the latents in two views of each picture: as it is, and mirrored."""
    deviation: Float[Tensor, "*views n c h w"]

    def __len__(self) -> int:
        return self.mean.shape[1]

    def select(self, indices: Int64[Tensor, " m"], chance: torch.Generator) -> "Moments":
        """Take some pictures, each in a view by chance; without the dimension of views."""
        view = torch.randint(2, (len(indices),), generator=chance)
        return Moments(self.mean[view, indices].float(), self.deviation[view, indices].float())

    def sample(self, chance: torch.Generator) -> Float[Tensor, "*views n c h w"]:
        """Draw latents, in float32."""
        noise = torch.randn(self.mean.shape, generator=chance)
        return self.mean.float() + self.deviation.float() * noise


def to_signed(images: UInt8[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 h w"]:
    """Turn stored bytes into what an autoencoder takes: float32 in [-1, 1]."""
    return images.float() / 127.5 - 1


@torch.no_grad()
def encode_both_views(vae: Any, images: UInt8[Tensor, "n 3 h w"], *, batch_size: int = 64) -> Moments:
    """Encode pictures as they are and mirrored, on the autoencoder's device.

    Args:
        vae: diffusers' `AutoencoderKL`.
        images: stored bytes.
        batch_size: pictures at once.

    Returns:
        Moments of shape 2×n×c×h×w on the CPU, in float32.
    """
    means, deviations = [], []
    for view in (images, images.flip(3)):
        parts = [vae.encode(to_signed(part).to(vae.device, vae.dtype)).latent_dist for part in view.split(batch_size)]
        means.append(torch.cat([part.mean.float().cpu() for part in parts]))
        deviations.append(torch.cat([part.std.float().cpu() for part in parts]))
    return Moments(torch.stack(means), torch.stack(deviations))


def decode_latents(vae: Any, latents: Float[Tensor, "n c h w"]) -> Float[Tensor, "n 3 h2 w2"]:
    """Decode latents, already divided by the scaling factor, to images in [0, 1].

    Values beyond are cut, which stops their gradient, as everywhere in diffusers.
    """
    return (vae.decode(latents.to(vae.device, vae.dtype)).sample.float() / 2 + 0.5).clamp(0, 1)
