"""The processor's cores, shared between the computations that run at once."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch

#: Threads that torch had when the page was started.
ALL = torch.get_num_threads()
#: Seconds for which as many computations are expected at once as there have just been.
REMEMBERED = 5.0
_lock = threading.Lock()
_running, _most, _counted = 0, 1, 0.0


@contextmanager
def share_cores() -> Iterator[None]:
    """Inside, or in a function that this decorates, torch computes with as many threads as leave some to the others.

    A single visitor has all of them. Two computations with all of them each would wait for one another.
    """
    global _running, _most, _counted
    with _lock:
        _running += 1
        now = time.monotonic()
        if _running >= _most or now - _counted > REMEMBERED:
            _most, _counted = _running, now
        torch.set_num_threads(max(1, ALL // _most))  # of this thread, and of those that begin later
    try:
        yield
    finally:
        with _lock:
            _running -= 1
