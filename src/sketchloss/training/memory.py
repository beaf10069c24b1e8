"""Memory that a training takes and frees again at every step."""

import ctypes
import sys

# Parameters of glibc's mallopt, from malloc.h.
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4


def reuse_freed_memory() -> bool:
    """Have the C library keep freed memory of any size and hand it out again, for the rest of this process.

    By default each tensor of more than 32 MiB on the CPU comes new from the system and goes back to it: at every step
    of a training its pages are cleared and mapped anew, which can take longer than the arithmetic. The price: memory
    once taken stays with the process.

    Returns:
        Whether it could be done: with glibc, that is on most Linux systems.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    return bool(mallopt(M_MMAP_MAX, 0)) and bool(mallopt(M_TRIM_THRESHOLD, 2**31 - 1))
