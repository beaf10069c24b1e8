"""Names of the sets of UNet layers that can get a LoRA."""

from typing import Literal

LoraTargets = Literal["attention", "attention+feedforward", "all"]
