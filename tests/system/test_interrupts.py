"""Oracle: the exit code of processes that are sent real signals."""

import sys

import pytest

from child_process import finished

#: A signal comes before the n-th instruction of the wait, in Python; where it has fewer, a little later.
SIGNALLED_AT_EACH_INSTRUCTION = """
import os, signal, sys, threading
from sketchloss.system.interrupts import EndOfService

def signal_at(instruction):
    left = instruction

    def trace(frame, event, _):
        nonlocal left
        frame.f_trace_opcodes = True
        if event == "opcode":
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.{signal})
        return trace

    return trace

for instruction in range(1, 100):
    end = EndOfService()
    late = threading.Timer(0.02, os.kill, (os.getpid(), signal.{signal}))
    late.start()
    sys.settrace(signal_at(instruction))
    end.wait()
    sys.settrace(None)
    late.join(60)
print("all waits ended")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_a_signal_ends_the_wait_whenever_it_comes(name):
    script = SIGNALLED_AT_EACH_INSTRUCTION.format(signal=name)
    child = finished([sys.executable, "-c", script], seconds=30)
    assert (child.returncode, child.stdout, child.stderr) == (0, "all waits ended\n", "")
