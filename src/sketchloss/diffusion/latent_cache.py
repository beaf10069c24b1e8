"""Latents of a set of pictures, computed once: kept in memory, and on disk for the next training."""

import hashlib
import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor
from tqdm import tqdm

from sketchloss.data.loading import load_batches
from sketchloss.diffusion.latents import Moments, encode_both_views
from sketchloss.metrics.features import pixels_digest
from sketchloss.system.files import write_tensors

# Raise when what is computed from the same weights and pixels changes, so that older files are not met again.
FORMAT = 1


def encode_pictures(
    autoencoder: Any,
    pictures: Any,
    *,
    folder: Path | None = None,
    batch_size: int = 8,
    workers: int | None = None,
    progress: bool = False,
) -> Moments:
    """Return the latents' distributions of pictures, each as it is and mirrored, in float16 on the CPU.

    Args:
        autoencoder: diffusers' `AutoencoderKL`, on the device to compute on.
        pictures: a dataset for `load_batches`.
        folder: where to keep them for the next time, named by a digest of weights and pixels; None: nowhere.
        batch_size: pictures at once.
        workers: as for `load_batches`.
        progress: show a bar on a terminal.

    Raises:
        ValueError: if a latent is not finite, or `folder` is a file.
        UnreadablePicture: if a file turns out to be damaged.
        OSError: if the folder cannot be written to.
    """
    file = None
    if folder is not None:
        if folder.exists() and not folder.is_dir():
            raise ValueError(f"{folder} is a file: give a folder to keep latents in")
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / f"{_key(autoencoder, pictures, workers)}.safetensors"
        if (found := _read(file, len(pictures))) is not None:
            return found
    parts = []
    batches = load_batches(pictures, batch_size=batch_size, workers=workers)
    for batch in tqdm(batches, desc="latents", disable=None if progress else True):
        part = encode_both_views(autoencoder, batch["image"])
        if not (part.mean.isfinite().all() and part.deviation.isfinite().all()):
            raise ValueError("the autoencoder's latents are not finite: use --precision bf16 or no")
        parts.append(Moments(part.mean.half(), part.deviation.half()))
    moments = Moments(*(torch.cat([getattr(part, name) for part in parts], dim=1) for name in ("mean", "deviation")))
    if file is not None:
        write_tensors(file, {"mean": moments.mean.contiguous(), "deviation": moments.deviation.contiguous()})
    return moments


def tensors_digest(tensors: dict[str, Tensor]) -> str:
    """Return the SHA-256 of named tensors: their names, dtypes and bytes."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _key(autoencoder: Any, pictures: Any, workers: int | None) -> str:
    recipe = {
        "format": FORMAT,
        "autoencoder": tensors_digest(autoencoder.state_dict()),
        "device": autoencoder.device.type,  # whose arithmetic differs in the last digits
        "pixels": pixels_digest(pictures, workers=workers),
    }
    return hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()[:32]


def _read(file: Path, count: int) -> Moments | None:
    """Return what a file holds, or None if there is none that is whole."""
    try:
        stored = load_file(file)
        moments = Moments(stored["mean"], stored["deviation"])
    except (OSError, SafetensorError, KeyError):
        return None
    return moments if len(moments) == count else None
