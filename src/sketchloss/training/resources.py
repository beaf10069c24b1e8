"""Cost of a training step, counted on tensors without contents, and the memory that is free for it."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import psutil
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode

#: Adam and AdamW keep two numbers for every weight, which the first step, the one that is counted, does not have yet.
ADAM_STATES = 2
#: What libraries take for themselves on top of what is counted: on a CPU about a quarter more was seen.
OVERHEAD = 1.25


@contextlib.contextmanager
def without_contents() -> Iterator[None]:
    """Make every tensor that is created inside one that has a shape and no contents."""
    with FakeTensorMode():
        yield


def count_multiply_adds(compute: Callable[[], Any]) -> int:
    """Return the multiply-adds of a computation that is built inside this call, without doing it.

    Args:
        compute: builds a network and its inputs, and calls it; convolutions and matrix products count, as is usual.
    """
    with without_contents(), torch.no_grad(), FlopCounterMode(display=False) as counter:
        compute()
    return counter.get_total_flops() // 2


def peak_training_memory(build: Callable[[], nn.Module], loss: Callable[[nn.Module], torch.Tensor]) -> int:
    """Return the peak bytes of tensors in a training step with Adam, counted without doing it.

    Args:
        build: makes the network, in float32.
        loss: from the network to a scalar, with inputs that it makes itself.

    Returns:
        Weights, gradients, Adam's states, and all that is kept for the backward pass. What libraries take for
        themselves comes on top: see `OVERHEAD`.
    """
    from torch.distributed._tools.mem_tracker import MemTracker  # a second to import, for those who ask

    tracker = MemTracker()
    with without_contents():
        network = build()
        trained = [weight for weight in network.parameters() if weight.requires_grad]
        tracker.track_external(network)
        with tracker:
            loss(network).backward()
        states = ADAM_STATES * sum(weight.numel() * weight.element_size() for weight in trained)
    peak = tracker.get_tracker_snapshot("peak")
    return max(int(found["Total"]) for found in peak.values()) + states


def require_memory(counted: int, device: torch.device, *, what: str, mend: str) -> None:
    """See that a training will fit into memory, before it is begun.

    Args:
        counted: peak bytes of its tensors.
        device: that they will be on.
        what: is too large if they will not fit.
        mend: what to do then.

    Raises:
        ValueError: with both numbers, if more is needed than is free.
    """
    needed, free = counted * OVERHEAD, free_memory(device)
    if needed > free:
        raise ValueError(f"{what} takes about {needed / 2**30:.1f} GiB, and {free / 2**30:.1f} GiB are free: {mend}")


def free_memory(device: torch.device) -> int:
    """Return the bytes that can still be taken on a device: of a GPU's memory, or of the computer's."""
    return torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else psutil.virtual_memory().available
