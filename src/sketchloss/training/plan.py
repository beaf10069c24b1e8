"""Time and memory that a training will take, from a few measured steps."""

import sys
import time
from collections.abc import Callable, Iterable
from itertools import islice
from statistics import median
from typing import Any

import torch


def measure_steps(step: Callable[[Any], object], batches: Iterable[Any], device: torch.device, count: int = 3) -> float:
    """Return the median seconds of a step, after one that warms up. The steps are real ones: weights move."""
    seconds = []
    for batch in islice(batches, count + 1):
        start = time.perf_counter()
        step(batch)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        seconds.append(time.perf_counter() - start)
    return median(seconds[1:] or seconds)


def peak_memory(device: torch.device) -> int:
    """Return the peak in bytes since the process began: of the GPU's allocator, or of the process; 0 if unknown."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    try:
        import resource
    except ImportError:  # Windows has none
        return 0
    unit = 1 if sys.platform == "darwin" else 1024  # Linux counts in KiB, macOS in bytes
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
