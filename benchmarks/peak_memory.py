"""Peak memory of one call, for the benchmarks beside it (Linux only)."""

from collections.abc import Callable
from pathlib import Path


def peak_growth(call: Callable[[], object]) -> int:
    """Return the bytes by which the peak of this process grows over a call; ask in a fresh process."""
    Path("/proc/self/clear_refs").write_text("5")  # forgets the peak so far
    before = _peak()
    call()
    return _peak() - before


def _peak() -> int:
    status = Path("/proc/self/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))) * 1024
