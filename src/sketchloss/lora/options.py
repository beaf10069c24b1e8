"""Settings of `sketchloss lora sample` and `sketchloss lora merge`."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from sketchloss.data.captions.prompts import check_template
from sketchloss.system.device import Device

SEEDS = 2**63  # what torch's generators take


@dataclass(frozen=True, kw_only=True)
class LoraSample:
    """Draw prompts with a text-to-image model, with or without a LoRA.

    Raises:
        ValueError: for a setting outside its range, naming it.
    """

    base: Annotated[str | None, tyro.conf.DisallowNone] = None
    """Text-to-image model: a name of the hub, a folder, or `tiny`. By default what the LoRA was trained on, if its file
    says, or Stable Diffusion 1.5."""
    lora: Annotated[Path | None, tyro.conf.DisallowNone] = None
    """LoRA to draw with: a LoRA file, its folder, or a run folder of `sketchloss lora train`; without one, the model
    draws as it is."""
    lora_scale: float = 1.0
    """Factor on what the LoRA changes."""
    out: Path
    """Folder to make: a picture for each prompt and seed, and `grid.png`, which shows all of them."""
    again: bool = False
    """Repeat an earlier sampling in this folder: what it made is removed."""
    prompts: tuple[str, ...] = ()
    """Prompts to draw; one that is given twice is drawn once."""
    prompt_file: Annotated[Path | None, tyro.conf.DisallowNone] = None
    """Text file (UTF-8) with more prompts, one a line."""
    classes: tuple[str, ...] = ()
    """Classes to draw as well: names, or ImageNet ids such as n02123045; `template` makes a prompt of each."""
    class_file: Annotated[Path | None, tyro.conf.DisallowNone] = None
    """Text file (UTF-8) with more classes, one a line."""
    template: Annotated[str | None, tyro.conf.DisallowNone] = None
    """Prompt of a class, with {} for its name. By default what the LoRA was trained with, if its file says, or 'a
    sketch of a {}'."""
    seeds: tuple[int, ...] = (0,)
    """Random seeds: each prompt is drawn with each of them; the same seed gives the same picture."""
    steps: int = 30
    """Denoising steps of each picture."""
    guidance: float = 7.5
    """Classifier-free guidance: how closely to follow the prompt; up to 1: none, in half the time."""
    negative_prompt: Annotated[str | None, tyro.conf.DisallowNone] = None
    """Prompt of what the pictures should not show."""
    image_size: Annotated[int | None, tyro.conf.DisallowNone] = None
    """Side of the pictures in pixels. By default the size that the LoRA was trained at, if its file says, or the
    model's."""
    batch_size: int = 4
    """Number of pictures that are drawn at once."""
    precision: Literal["no", "bf16", "fp16"] = "no"
    """Arithmetic: float32, bfloat16 (float32 where that would be emulated) or float16 (which needs a GPU)."""
    device: Device = "auto"
    """Device to compute on; `auto`: the GPU if there is one."""
    json: bool = False
    """Print JSON and nothing else."""

    def __post_init__(self) -> None:
        check_settings(
            self.seeds,
            steps=self.steps,
            guidance=self.guidance,
            negative_prompt=self.negative_prompt,
            batch_size=self.batch_size,
        )
        twice = [seed for seed in self.seeds if self.seeds.count(seed) > 1]
        if twice:
            raise ValueError(f"seeds holds {twice[0]} twice: name each once")
        if self.image_size is not None and self.image_size < 1:
            raise ValueError(f"image_size is {self.image_size}: it must be at least 1")
        if self.template is not None:
            check_template(self.template)


@dataclass(frozen=True, kw_only=True)
class LoraMerge:
    """Add a LoRA to its model's weights, for programs that open only models."""

    base: Annotated[str | None, tyro.conf.DisallowNone] = None
    """Text-to-image model: a name of the hub, a folder, or `tiny`. By default what the LoRA was trained on, if its file
    says, or Stable Diffusion 1.5."""
    lora: Path
    """LoRA to add: a LoRA file, its folder, or a run folder of `sketchloss lora train`."""
    lora_scale: float = 1.0
    """Factor on what the LoRA changes."""
    out: Path
    """Folder to make, which `StableDiffusionPipeline.from_pretrained` opens."""
    dtype: Literal["float16", "float32"] = "float16"
    """Number format of the weights on disk."""


def check_settings(
    seeds: Sequence[int], *, steps: int, guidance: float | int, negative_prompt: str | None, batch_size: int
) -> None:
    """Raise ValueError, as `draw` does, for mistakes that can be found without a pipeline."""
    if not seeds:
        raise ValueError("seeds is empty: give at least one")
    for seed in seeds:
        if not 0 <= seed < SEEDS:
            raise ValueError(f"seed is {seed}: it must be at least 0 and below 2**63")
    for name, value in (("steps", steps), ("batch_size", batch_size)):
        if value < 1:
            raise ValueError(f"{name} is {value}: it must be at least 1")
    if not 0 <= guidance < math.inf:
        raise ValueError(f"guidance is {guidance}: it must be finite and not negative")
    if negative_prompt is not None and guidance <= 1:
        raise ValueError(f"guidance is {guidance}, which leaves no use for a negative prompt: raise it above 1")
