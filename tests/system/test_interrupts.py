"""Oracle: the exit code of processes that are sent real signals."""

import signal
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


# Ctrl+C while libraries are imported ---------------------------------------------------------------------------------

INTERRUPTED = """
import os, signal
from sketchloss.system.interrupts import ended_by_interrupts
with ended_by_interrupts():
    os.kill(os.getpid(), signal.SIGINT)
print("it goes on")
"""
#: Prints who would hear of Ctrl+C, inside and afterwards.
HEARD_BY = """
import signal, threading
from sketchloss.system.interrupts import ended_by_interrupts

def look():
    with ended_by_interrupts():
        print(signal.getsignal(signal.SIGINT) is HANDLER)
    print(signal.getsignal(signal.SIGINT) is HANDLER)

HANDLER = signal.default_int_handler
{start}
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
def test_ctrl_c_ends_an_import_at_once_and_in_silence():
    child = finished([sys.executable, "-c", INTERRUPTED])
    assert (child.returncode, child.stdout, child.stderr) == (-signal.SIGINT, "", "")


@pytest.mark.parametrize(
    ("start", "heard"),
    [
        ("look()", (False, True)),
        # Threads may not change who hears, and what somebody else has chosen stays.
        ("thread = threading.Thread(target=look); thread.start(); thread.join(60)", (True, True)),
        ("HANDLER = signal.SIG_IGN; signal.signal(signal.SIGINT, HANDLER); look()", (True, True)),
        ("HANDLER = lambda *_: None; signal.signal(signal.SIGINT, HANDLER); look()", (True, True)),
    ],
)
def test_who_heard_of_ctrl_c_hears_of_it_again(start, heard):
    child = finished([sys.executable, "-c", HEARD_BY.format(start=start)])
    assert (child.returncode, child.stderr) == (0, "")
    assert child.stdout.split() == [str(one) for one in heard]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
def test_a_signal_that_another_thread_is_given_ends_the_wait():
    script = """
import signal, threading, time
from sketchloss.system.interrupts import EndOfService

end = EndOfService()
other = threading.Thread(target=time.sleep, args=(60,), daemon=True)
other.start()
threading.Timer(0.5, signal.pthread_kill, (other.ident, signal.SIGTERM)).start()
end.wait()
print("ended")
"""
    assert finished([sys.executable, "-c", script], seconds=30).stdout == "ended\n"
