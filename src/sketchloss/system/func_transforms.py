"""A check whether code runs inside a transform of `torch.func`."""

import torch


def inside_transform() -> bool:
    """Tell whether a transform of `torch.func` (`grad`, `jvp`, `vmap`, ...) is at work.

    Transforms want operations that they know: no backward pass of our own, no `out=`, no look at a value.
    """
    return torch._C._are_functorch_transforms_active()  # note: torch has no public name for it
