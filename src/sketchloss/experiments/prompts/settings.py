"""The settings of `sketchloss lora table`, and its presets."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar

import tyro

from sketchloss.experiments.prompts.table import PLAIN
from sketchloss.experiments.prompts.training_settings import PRESETS as LORA_PRESETS
from sketchloss.lora.settings import LoraSettings
from sketchloss.networks.arms import ArmWeights
from sketchloss.system.setting_fields import FILES, MEASURED, NEEDED, PLACE, WEIGHTS, own_layers


@dataclass(frozen=True, kw_only=True)
class LoraTable(LoraSettings, ArmWeights):
    """Train a LoRA with the loss of each arm and for each seed, draw every class with it, and measure the drawings.

    Raises:
        ValueError: for a setting outside its range, naming it.
    """

    data: str = field(metadata=FILES)
    """Labelled sketches: `doodles`, a folder of class folders, a folder of QuickDraw .ndjson, or a hub data set."""
    out: Path = field(metadata=PLACE)
    """Run folder to make."""
    only: tuple[str, ...] = field(default=(), metadata=MEASURED)
    """Arms to train, of `attention+tuning`, `tuning`, `attention`, `original`, `none` (a plain LoRA) and the further
    arms; by default every one that has weights, and `none`."""
    beside: ClassVar[tuple[str, ...]] = (PLAIN,)
    seeds: int = field(default=1, metadata=MEASURED)
    """Number of trainings of each arm; if an arm has several weights, each training takes the next."""
    drawings: int = field(default=8, metadata=MEASURED)
    """Number of drawings of each class with each LoRA."""
    drawing_steps: int = field(default=25, metadata=MEASURED)
    """Denoising steps of each drawing."""
    guidance: float = 7.5
    """Classifier-free guidance of the drawings and of the progress pictures."""
    judge: Annotated[Path | None, tyro.conf.DisallowNone] = field(default=None, metadata=NEEDED | MEASURED)
    """Classifier that measures the drawings, from an earlier table's `OUT/judge`; by default one is trained on the true
    drawings."""
    judge_steps: int = 600
    """Training steps of that classifier, if one is trained."""
    clip_model: Annotated[str | None, tyro.conf.DisallowNone] = field(default=None, metadata=MEASURED | FILES)
    """CLIP model, a folder or a hub name, to measure the similarity to the prompt as well."""
    references: Annotated[bool, tyro.conf.FlagConversionOff] = field(default=True, metadata=NEEDED | MEASURED)
    """Also measure what the base model draws without a LoRA, and other true drawings."""
    extractors: tuple[str, ...] = field(default=("imagenet", "sketch"), metadata=MEASURED | WEIGHTS)
    """Weights whose features the Fréchet and kernel distances compare, in addition to the judge's."""
    extractor_layer: str = field(
        default="", metadata=MEASURED | own_layers(lambda network: network.embedding_layer, of="extractors")
    )
    """Layer whose features, averaged over positions, are compared; by default each network's embedding layer."""
    inception: Annotated[Path | None, tyro.conf.DisallowNone] = field(default=None, metadata=MEASURED | FILES)
    """The FID Inception's weights file, to measure the FID as well."""
    examples: int = field(default=8, metadata=MEASURED)
    """Number of classes in the figure."""
    resume: bool = field(default=False, metadata=PLACE)
    """Continue the run in `out`: LoRAs that are trained already are not trained again."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("seeds", "drawings", "drawing_steps", "judge_steps", "examples"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}: it must be at least 1")
        self.check_counts(self.seeds)
        self.check_only()


#: What each preset changes of the defaults above.
PRESETS: dict[str, dict[str, Any]] = {
    "paper": {**LORA_PRESETS["paper"], "clip_model": "openai/clip-vit-base-patch16", "drawings": 5},
    "stable": {},
    "small": {
        **{**LORA_PRESETS["demo"], "per_class": 200, "held_out": 0.2, "steps": 600, "warmup": 50},
        **{"sample_every": 600, "checkpoint_every": 600, "balance_batches": 32},
    },
    "demo": {
        **{**LORA_PRESETS["demo"], "per_class": 12, "held_out": 0.3, "shown": 2, "judge_steps": 100},
        **{"drawings": 1, "drawing_steps": 10},
    },
}
