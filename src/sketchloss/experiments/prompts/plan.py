"""The settings of prompt to sketch in a study."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

import tyro

from sketchloss.diffusion.bases import TINY
from sketchloss.experiments.tuning.plan import Plan, in_data_folder
from sketchloss.training.checks import require_positive


@dataclass(frozen=True)
class PromptsPlan(Plan):
    """Settings of prompt to sketch in a study: how the LoRAs are trained, on which sketches and which model."""

    lora_preset: Literal["demo", "small", "stable", "paper"] = "demo"
    """Preset of `sketchloss lora table`."""
    taught: str = "doodles?tool=ink"
    """Labelled sketches that a text-to-image model is taught to draw."""
    taught_classes: tuple[str, ...] = ()
    """Classes of these sketches that it is taught; by default all."""
    base: str = TINY
    """Text-to-image model that is taught to draw: `tiny` (in the package), a folder, or a hub name."""
    teaching_steps: Annotated[int | None, tyro.conf.DisallowNone] = 40
    """Training steps of each LoRA; by default the preset's."""
    clip_model: Annotated[str | None, tyro.conf.DisallowNone] = None
    """CLIP model, a folder or a hub name, to measure the similarity to the prompt as well."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_positive(self, ("teaching_steps",))


_STABLE_DIFFUSION = {
    "base": "stable-diffusion-v1-5/stable-diffusion-v1-5",
    "taught": "songweig/imagenet_sketch",
    "clip_model": "openai/clip-vit-base-patch16",
}
#: Classes of QuickDraw that the base `tiny` knows as coloured pictures.
KNOWN_TO_TINY = (
    *("airplane", "apple", "bicycle", "bird", "book", "butterfly", "cactus", "car", "cat", "chair", "clock", "cup"),
    *("envelope", "fish", "flower", "guitar", "hat", "house", "key", "ladder", "leaf", "mushroom", "rabbit"),
    *("scissors", "snail", "star", "sun", "table", "tree", "umbrella"),
)
#: What each preset of a study changes of the defaults above.
PRESETS: dict[str, dict[str, Any]] = {
    "real": {
        "lora_preset": "small",
        "teaching_steps": None,
        "taught": f"{in_data_folder('quickdraw')},{in_data_folder('quickdraw_more')}",
        "taught_classes": KNOWN_TO_TINY,
    },
    "weekend": {"lora_preset": "stable", "teaching_steps": 5000, **_STABLE_DIFFUSION},
    "paper": {"lora_preset": "paper", "teaching_steps": None, **_STABLE_DIFFUSION},
}
