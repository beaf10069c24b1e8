"""Child processes of the tests: a session of their own, a user's signals, a time limit, and an end whatever happens.

`finished` runs one to its end; inside `with started(...)` one runs beside the test, and so does one inside
`with forked(...)`, which need not import first what takes seconds to import. No test starts one otherwise
(test_endings.py).
"""

import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from io import TextIOWrapper
from pathlib import Path
from subprocess import DEVNULL, PIPE
from typing import Any

from tqdm import tqdm

Command = Sequence[str | Path]
#: Seconds until a process that was killed is gone, or a system that is no longer well.
GONE = 60
#: What a process has imported in whose forks Python code runs: that of the slowest commands which are killed.
IMPORTED = (
    *("torch._dynamo", "torch.utils.tensorboard", "sketchloss.metrics.features", "sketchloss.figures.curves"),
    *("sketchloss.experiments.tuning.finetune", "sketchloss.experiments.style.transfer"),
)


class Child:
    """A process that `started` has started.

    Args:
        process: leads a session of its own.
        place: with the files `stdout` and `stderr`, of what it says unless these were given to somebody else.
    """

    def __init__(self, process: "subprocess.Popen[str] | Fork", place: Path) -> None:
        self.process = process
        self.overdue = False
        """Whether it was ended because its time was up."""
        self._place = place

    def said(self) -> str:
        """Return what it has said on stdout so far."""
        return (self._place / "stdout").read_text(encoding="utf-8", errors="replace")

    def complaints(self) -> str:
        """Return what it has said on stderr so far."""
        return (self._place / "stderr").read_text(encoding="utf-8", errors="replace")

    def exit_code(self) -> int:
        """Wait until it has ended; return its exit code, negative for a signal. Its time must not be up before."""
        code = self.process.wait()
        assert not self.overdue, f"its time was up: {self._all_said()}"
        return code

    def wait_until(self, reached: Callable[[], bool], seconds: float = 300) -> None:
        """Wait for something that the process does; it must not end before, nor take longer."""
        late = time.monotonic() + seconds
        while True:
            code = self.process.poll()
            if reached():
                return
            assert code is None, self.how_it_ended()
            assert time.monotonic() < late, f"it took longer than {seconds} seconds: {self._all_said()}"
            time.sleep(0.01)

    def tell(self, text: str) -> None:
        """Write to its stdin, a pipe."""
        assert self.process.stdin is not None
        self.process.stdin.write(text)
        self.process.stdin.flush()

    def ask(self, line: str, seconds: float) -> str:
        """Write a line to its stdin and return the next one of its stdout, both pipes; "" if it ended or was too slow.

        Args:
            line: with its end.
            seconds: after which it is killed.
        """
        assert self.process.stdout is not None
        with _limit(seconds, self._end_late), suppress(BrokenPipeError):
            self.tell(line)
            return self.process.stdout.readline()
        return ""

    def how_it_ended(self) -> str:
        """Wait until it has ended; say how, and what it said last."""
        code = self.process.wait(GONE)
        over = ", killed because its time was up" if self.overdue else ""
        return f"it ended with {name_of_code(code)}{over}, and said: {self._all_said().strip()[-2000:] or 'nothing'}"

    def kill(self) -> None:
        """End it and what it has started, as a failing power supply does."""
        with suppress(ProcessLookupError):
            if hasattr(os, "killpg"):
                os.killpg(self.process.pid, signal.SIGKILL)
        self.process.kill()
        self.process.wait(GONE)

    def _end_late(self) -> None:
        self.overdue = self.process.poll() is None
        self.kill()

    def _all_said(self) -> str:
        return f"{self.said()}\n{self.complaints()}"


class Fork:
    """A process that runs Python code in a fork of one that has imported `IMPORTED`; used as a `Popen`."""

    stdin = stdout = stderr = None

    def __init__(self, code: str, arguments: Sequence[str], place: Path) -> None:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(list(IMPORTED))
        self._process = context.Process(target=_run_code, args=(code, arguments, place, dict(os.environ)), daemon=True)
        self._process.start()
        self.pid = self._process.pid

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        code = self.poll()
        assert code is not None, f"it has not ended in {timeout} seconds"
        return code

    def kill(self) -> None:
        self._process.kill()


def _run_code(code: str, arguments: Sequence[str], place: Path, environment: dict[str, str]) -> None:
    os.setsid()
    os.environ.clear()
    os.environ.update(environment)  # not that of the test that needed the first fork
    for number, name in ((1, "stdout"), (2, "stderr")):
        os.dup2(os.open(place / name, os.O_WRONLY), number)
    tqdm.set_lock(threading.RLock())  # its own is one of several processes, told as leaked where one was killed
    sys.argv = ["-c", *arguments]
    exec(code, {"__name__": "__main__"})


def name_of_code(code: int) -> str:
    """Return an exit code in words: that of a process which a signal ended is negative."""
    return f"exit code {code}" if code >= 0 else f"signal {signal.Signals(-code).name}"


@contextmanager
def started(command: Command, *, seconds: float = 120, **settings: Any) -> Iterator[Child]:
    """Start a process; when the block ends, it and all that it has started are ended.

    Args:
        command: and its arguments.
        seconds: after which it is killed, also while somebody waits for it or reads from it.
        settings: of `subprocess.Popen`, such as `cwd`, `env`, `stdin=PIPE`. By default nothing comes from stdin, and
            stdout and stderr go to files, which never fill up as pipes do.
    """
    with tempfile.TemporaryDirectory(prefix="child-", ignore_cleanup_errors=True) as folder:
        place = Path(folder)
        with (place / "stdout").open("wb") as said, (place / "stderr").open("wb") as complaints, _heeded_signals():
            settings = {"stdin": DEVNULL, "stdout": said, "stderr": complaints, **settings}
            process = subprocess.Popen(list(map(str, command)), text=True, start_new_session=True, **settings)
        with _ended(Child(process, place), seconds) as child:
            yield child


@contextmanager
def forked(code: str, *arguments: str | Path, seconds: float = 120) -> Iterator[Child]:
    """Run Python code as `started([sys.executable, "-c", code, *arguments])`, sooner: torch is there already."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        with started([sys.executable, "-c", code, *arguments], seconds=seconds) as child:
            yield child
        return
    with tempfile.TemporaryDirectory(prefix="child-", ignore_cleanup_errors=True) as folder:
        place = Path(folder)
        for name in ("stdout", "stderr"):
            (place / name).touch()
        with _ended(Child(Fork(code, list(map(str, arguments)), place), place), seconds) as child:
            yield child


@contextmanager
def _ended(child: Child, seconds: float) -> Iterator[Child]:
    try:
        with _limit(seconds, child._end_late):
            yield child
    finally:
        child.kill()
        for pipe in filter(None, (child.process.stdin, child.process.stdout, child.process.stderr)):
            with suppress(BrokenPipeError):
                pipe.close()


def finished(
    command: Command, *, input: bytes | None = None, check: bool = False, seconds: float = 120, **settings: Any
) -> subprocess.CompletedProcess[str]:
    """Run a process to its end, as `started`.

    Args:
        command: and its arguments.
        input: comes from its stdin, a pipe.
        check: whether it must succeed.
        seconds: that it may take; more is a failure.
        settings: as of `started`. What `stdout` and `stderr` are given to somebody else is "" in what comes back.
    """
    with started(command, seconds=seconds, **({} if input is None else {"stdin": PIPE}), **settings) as child:
        if input is not None:
            assert isinstance(child.process.stdin, TextIOWrapper)
            with suppress(BrokenPipeError), child.process.stdin as pipe:
                pipe.buffer.write(input)
        done = subprocess.CompletedProcess(command, child.exit_code(), child.said(), child.complaints())
        assert not check or done.returncode == 0, f"it ended with {done.returncode}: {done.stdout}\n{done.stderr}"
        return done


@contextmanager
def _limit(seconds: float, end: Callable[[], None]) -> Iterator[None]:
    """Call a function after some seconds, unless the block has ended before."""
    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


@contextmanager
def _heeded_signals() -> Iterator[None]:
    """What starts here heeds Ctrl+C and the like, also if the tests were told to ignore them, as a shell's `&` does."""
    names = [name for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
    ignored = [one for one in (getattr(signal, name) for name in names) if signal.getsignal(one) is signal.SIG_IGN]
    for one in ignored:
        signal.signal(one, signal.SIG_DFL)
    try:
        yield
    finally:
        for one in ignored:
            signal.signal(one, signal.SIG_IGN)
