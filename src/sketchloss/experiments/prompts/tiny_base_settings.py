"""The settings of `sketchloss lora base`, and its presets."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from sketchloss.data.captions.prompts import check_template
from sketchloss.diffusion.pipeline import checked_tiny_size
from sketchloss.system.setting_fields import MEASURED, PLACE
from sketchloss.training.checks import require_not_negative, require_positive


@dataclass(frozen=True, kw_only=True)
class TinyDiffusion:
    """Train a small text-to-image pipeline from scratch, to use in place of Stable Diffusion.

    Raises:
        ValueError: for a setting outside its range, naming it.
    """

    out: Path = field(metadata=PLACE)
    """Run folder to make; the pipeline is in its `model`."""
    data: str = "doodles?tool=photo"
    """Labelled pictures that the pipeline learns to make, given as for `sketchloss finetune`."""
    templates: tuple[str, ...] = ("a photo of a {}", "a {}")
    """Prompts for pictures of a class, each used as often as the others; {} stands for the class's name."""
    also: tuple[str, ...] = ("doodles",)
    """Further pictures, that only the autoencoder learns; the UNet never sees them."""
    image_size: int = 64
    """Side of the pictures in pixels, a multiple of 16."""
    per_class: Annotated[int | None, tyro.conf.DisallowNone] = 400
    """Use at most this many pictures of a class; None: all."""
    held_out: float = 0.05
    """Share of each class that is kept for the validation losses."""
    autoencoder_steps: int = 3500
    """Training steps of the autoencoder."""
    autoencoder_batch_size: int = 16
    """Pictures per training step of the autoencoder."""
    autoencoder_lr: float = 1e-3
    """AdamW's learning rate for the autoencoder."""
    divergence_weight: float = 1e-6
    """Weight of the latents' Kullback-Leibler divergence from a normal distribution (Rombach et al. 2022)."""
    steps: int = 8000
    """Training steps of the UNet."""
    batch_size: int = 64
    """Pictures per training step of the UNet."""
    lr: float = 1e-3
    """AdamW's learning rate for UNet and text encoder."""
    warmup: int = 200
    """Steps over which each learning rate rises; then it falls to 0 along a cosine."""
    min_snr_gamma: float = 5.0
    """Bound on the noise loss's weight (Hang et al. 2023)."""
    unconditional: float = 0.1
    """Share of the pictures shown without a prompt, for guidance (Ho & Salimans 2021)."""
    average: float = 0.999
    """Decay of the average over the weights; the average is what is kept."""
    precision: Literal["no", "bf16", "fp16"] = "bf16"
    """Arithmetic: `no`, float32; `bf16`, mixed with bfloat16, or float32 where that would be emulated; `fp16`, mixed
    with float16, on CUDA only."""
    guidance: float = 4.0
    """Classifier-free guidance of the progress pictures."""
    sample_every: int = 1000
    """Steps between progress pictures."""
    checkpoint_every: int = field(default=500, metadata=MEASURED)
    """Steps between checkpoints; one is also made at the end."""
    log_every: int = field(default=50, metadata=MEASURED)
    """Steps between lines of metrics.jsonl."""
    workers: Annotated[int | None, tyro.conf.DisallowNone] = field(default=None, metadata=PLACE)
    """Processes that decode pictures; by default one for each core except one, 8 at most."""
    seed: int = 0
    """Random seed of the initial weights, the split, the order and the noise."""
    resume: bool = field(default=False, metadata=PLACE)
    """Continue the run in `out` to the same weights as if it had never stopped."""

    def __post_init__(self) -> None:
        positive = ("autoencoder_steps", "autoencoder_batch_size", "autoencoder_lr", "steps", "batch_size", "lr")
        require_positive(
            self, (*positive, "min_snr_gamma", "sample_every", "checkpoint_every", "log_every", "per_class")
        )
        require_not_negative(self, ("seed", "workers", "warmup", "divergence_weight", "guidance"))
        for name in ("held_out", "average"):
            if not 0 < getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}: it must lie between 0 and 1")
        if not 0 <= self.unconditional < 1:
            raise ValueError(f"unconditional is {self.unconditional}: it must be at least 0 and less than 1")
        if not self.templates:
            raise ValueError("templates is empty: name at least one, such as 'a photo of a {}'")
        for template in self.templates:
            check_template(template)
        checked_tiny_size(self.image_size)


#: What each preset changes of the defaults above.
PRESETS: dict[str, dict[str, Any]] = {
    "standard": {},
    "demo": {"per_class": 40, "autoencoder_steps": 300, "steps": 500, "warmup": 50, "sample_every": 250},
}
