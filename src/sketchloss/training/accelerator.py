"""The accelerator that a training runs on: devices, processes, precision."""

from contextlib import AbstractContextManager
from typing import Literal, cast

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState, GradientState
from accelerate.utils import DataLoaderConfiguration

from sketchloss.system.device import bfloat16_of

TrainingPrecision = Literal["no", "bf16", "fp16"]
_DTYPES = {"no": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def dtype_of(precision: TrainingPrecision, kind: str) -> torch.dtype:
    """Return the type that weights which are not trained have in a precision: for `bf16` float32 where it is emulated.

    Args:
        precision: float32 (`no`), bfloat16 or float16.
        kind: type of the device.
    """
    return _DTYPES["no" if precision == "bf16" and bfloat16_of(kind) == "emulated" else precision]


def new_accelerator(precision: TrainingPrecision, *, seed: int, accumulate: int = 1) -> Accelerator:
    """Return an accelerator whose data loaders are shuffled by a seed.

    Args:
        precision: float32 (`no`), or mixed with bfloat16 or float16. On a device that would emulate bfloat16 `bf16` is
            float32, which is quicker there.
        seed: random seed of the order of the data.
        accumulate: steps whose gradients are added up.

    Raises:
        ValueError: for float16 without a GPU.
    """
    # accelerate keeps one state a process, and refuses a second training with another precision; after one that ended
    # within an accumulated gradient, the optimisers of others would do nothing.
    AcceleratorState._reset_state()
    GradientState._reset_state()
    has_gpu = torch.accelerator.is_available()
    kind = torch.accelerator.current_accelerator().type if has_gpu else "cpu"  # pyright: ignore[reportOptionalMemberAccess]
    accelerator = Accelerator(
        # note: else several processes that a launcher started would not know of each other without a GPU
        cpu=not has_gpu,
        mixed_precision="no" if dtype_of(precision, kind) == torch.float32 else precision,
        gradient_accumulation_steps=accumulate,
        dataloader_config=DataLoaderConfiguration(use_seedable_sampler=True, data_seed=seed),
    )
    if precision == "fp16" and accelerator.device.type == "cpu":
        raise ValueError("precision is fp16, which needs a GPU: use bf16 or no")
    return accelerator


def describe(accelerator: Accelerator) -> str:
    """Return where and how an accelerator computes, such as `cpu in bfloat16`."""
    dtype = _DTYPES[cast(TrainingPrecision, accelerator.mixed_precision)]
    return f"{accelerator.device} in {str(dtype).removeprefix('torch.')}"


def forked_random(device: torch.device) -> AbstractContextManager[None]:
    """Leave torch's random states as they were: what is drawn inside changes nothing outside."""
    return torch.random.fork_rng(devices=[device] if device.type == "cuda" else [])
