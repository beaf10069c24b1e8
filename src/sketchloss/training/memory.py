"""How much memory a training has taken at most."""

import resource
import sys

import torch


def peak_memory(device: torch.device) -> int:
    """Return the peak in bytes since the process began: of the GPU's allocator, or of the process on a CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    # Linux counts in KiB, macOS in bytes.
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
