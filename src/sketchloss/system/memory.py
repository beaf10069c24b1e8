"""Settings of the C library for memory that this process frees."""

import ctypes
import sys

# Parameters of glibc's mallopt, from malloc.h.
M_TRIM_THRESHOLD, M_MMAP_MAX, M_ARENA_MAX = -1, -4, -8


def reuse_freed_memory() -> bool:
    """Have the C library keep freed memory of any size and hand it out again, for the rest of this process.

    By default each tensor of more than 32 MiB on the CPU comes new from the system and goes back to it: at every step
    of a training its pages are cleared and mapped anew, which can take longer than the arithmetic. The price: memory
    once taken stays with the process.

    Returns:
        Whether it could be done: with glibc, that is on most Linux systems.
    """
    return _set(M_MMAP_MAX, 0) and _set(M_TRIM_THRESHOLD, 2**31 - 1)


def share_freed_memory() -> bool:
    """Have all threads take memory from two pools, for the rest of this process.

    By default each of a server's many threads gets a pool of its own, which keeps what it frees: the process grows with
    every thread that has ever computed something.

    Returns:
        As `reuse_freed_memory`.
    """
    return _set(M_ARENA_MAX, 2)


def _set(parameter: int, value: int) -> bool:
    if not sys.platform.startswith("linux"):
        return False
    try:
        return bool(ctypes.CDLL(None).mallopt(parameter, value))
    except (OSError, AttributeError):
        return False
