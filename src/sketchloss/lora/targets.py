"""Which layers of a UNet get a LoRA, by name."""

from typing import Literal

LoraTargets = Literal["attention", "attention+feedforward", "all"]
