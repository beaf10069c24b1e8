"""The processes that tests start say how they ended. Oracle: what was done to them."""

import os
import signal
import sys

import pytest

from child_process import finished, forked, started

WAITS = "import time; print('here', flush=True); time.sleep(60)"


def test_one_that_is_killed_since_its_time_is_over_says_so():
    with started([sys.executable, "-c", WAITS], seconds=0.2) as child:
        how = child.how_it_ended()
    assert how.startswith("it ended with signal SIGKILL, killed because its time was up, and said: ")


@pytest.mark.parametrize(
    ("does", "how"),
    [
        ("pass", "it ended with exit code 0, and said: nothing"),
        ("import sys; print('why'); sys.exit(3)", "it ended with exit code 3, and said: why"),
        ("import os; os.kill(os.getpid(), 9)", "it ended with signal SIGKILL, and said: nothing"),
    ],
)
def test_one_that_ends_too_early_says_how(does, how):
    with started([sys.executable, "-c", does]) as child, pytest.raises(AssertionError) as error:
        child.wait_until(lambda: False)
    assert str(error.value).startswith(how)


def test_one_that_ended_in_time_was_not_killed():
    with started([sys.executable, "-c", WAITS], seconds=60) as child:
        child.wait_until(lambda: "here" in child.said())
        os.kill(child.process.pid, signal.SIGTERM)
        assert child.how_it_ended() == "it ended with signal SIGTERM, and said: here"
    assert finished([sys.executable, "-c", "print(1)"]).stdout == "1\n"


def test_a_fork_has_the_environment_of_its_test(monkeypatch):
    for value in ("one", "another"):
        monkeypatch.setenv("SKETCHLOSS_TEST_FORK", value)
        with forked("import os; print(os.environ['SKETCHLOSS_TEST_FORK'])") as child:
            assert child.exit_code() == 0, child.complaints()
            assert child.said() == f"{value}\n"
