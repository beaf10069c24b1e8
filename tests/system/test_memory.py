"""Freed memory is handed out again. Oracle: the system's own count of pages that a process had mapped."""

import sys

import pytest

from child_process import finished

COUNT = """
import resource, sys
import torch
from sketchloss.system.memory import reuse_freed_memory
if sys.argv[1] == "reuse":
    assert reuse_freed_memory()
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(4):
    torch.ones(20_000_000)
before = faults()
for _ in range(20):
    torch.ones(20_000_000)  # 80 MB: about 19,500 pages of 4 KiB
print(faults() - before)
"""


def pages(how: str) -> int:
    done = finished([sys.executable, "-c", COUNT, how], check=True, seconds=240)
    return int(done.stdout)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only glibc has it")
def test_a_large_tensor_takes_the_pages_of_the_last_one():
    new, reused = pages("default"), pages("reuse")
    assert new > 500, "large tensors are reused already: the function has no purpose here"
    assert reused < new / 4, "now and then a small block lies in between, and new pages are taken once"
