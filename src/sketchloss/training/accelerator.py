"""The accelerator that a training runs on: devices, processes, precision."""

from contextlib import AbstractContextManager
from typing import Literal

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState, GradientState
from accelerate.utils import DataLoaderConfiguration

TrainingPrecision = Literal["no", "bf16", "fp16"]
#: Of weights that are not trained.
DTYPES = {"no": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def new_accelerator(precision: TrainingPrecision, *, seed: int, accumulate: int = 1) -> Accelerator:
    """Return an accelerator whose data loaders are shuffled by a seed.

    Args:
        precision: float32 (`no`), or mixed with bfloat16 or float16.
        seed: random seed of the order of the data.
        accumulate: steps whose gradients are added up.

    Raises:
        ValueError: for float16 without a GPU.
    """
    # accelerate keeps one state a process, and refuses a second training with another precision; after one that ended
    # within an accumulated gradient, the optimisers of others would do nothing.
    AcceleratorState._reset_state()
    GradientState._reset_state()
    accelerator = Accelerator(
        # note: else several processes that a launcher started would not know of each other without a GPU
        cpu=not torch.accelerator.is_available(),
        mixed_precision=precision,
        gradient_accumulation_steps=accumulate,
        dataloader_config=DataLoaderConfiguration(use_seedable_sampler=True, data_seed=seed),
    )
    if precision == "fp16" and accelerator.device.type == "cpu":
        raise ValueError("precision is fp16, which needs a GPU: use bf16 or no")
    return accelerator


def forked_random(device: torch.device) -> AbstractContextManager[None]:
    """Leave torch's random states as they were: what is drawn inside changes nothing outside."""
    return torch.random.fork_rng(devices=[device] if device.type == "cuda" else [])
