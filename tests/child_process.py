"""Child processes of the tests: a session of their own, a user's signals, a time limit, and an end whatever happens.

`finished` runs one to its end; inside `with started(...)` one runs beside the test.
"""

import os
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

Command = Sequence[str | Path]


class Child:
    """A process that `started` has started.

    Args:
        process: leads a session of its own.
        output: what it says on stdout and stderr, unless they were given to somebody else.
    """

    def __init__(self, process: subprocess.Popen[str], output: IO[str]) -> None:
        self.process = process
        self.limit: float | None = None
        """After so many seconds it was killed; None if it was not."""
        self._output = output

    def said(self) -> str:
        """Return what it has said so far."""
        self._output.seek(0)
        return self._output.read()

    def wait(self) -> int:
        """Wait until it has ended, at the latest by its time limit; return its exit code, negative for a signal."""
        return self.process.wait()

    def wait_until(self, reached: Callable[[], bool]) -> None:
        """Wait for something that the process does; it must not end before."""
        while not reached():
            assert self.process.poll() is None, self.how_it_ended()
            time.sleep(0.01)

    def how_it_ended(self) -> str:
        """Wait until it has ended; say how, and what it said last."""
        code = self.wait()
        said = self.said().strip()[-2000:]
        over = f" (killed after its {self.limit:,.0f} seconds)" if self.limit else ""
        return f"it ended with {name_of_code(code)}{over}, and said: {said or 'nothing'}"

    def kill(self) -> None:
        """End it and what it has started, as a failing power supply does."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def kill_late(self, seconds: float) -> None:
        """End it since its time is over."""
        if self.process.poll() is None:
            self.limit = seconds
            self.kill()


def name_of_code(code: int) -> str:
    """Return an exit code in words: that of a process which a signal ended is negative."""
    return f"exit code {code}" if code >= 0 else f"signal {signal.Signals(-code).name}"


@contextmanager
def started(command: Command, *, seconds: float = 120, **settings: Any) -> Iterator[Child]:
    """Start a process; when the block ends, it and all that it has started are ended.

    Args:
        command: and its arguments.
        seconds: after which it is killed, also while somebody waits for it.
        settings: of `subprocess.Popen`, such as `cwd`, `env`, `stdin`. By default nothing comes from stdin, and stdout
            and stderr go to a file, which never fills up as a pipe does.
    """
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as output:
        settings = {"stdin": subprocess.DEVNULL, "stdout": output, "stderr": output, **settings}
        with _heeded_signals():
            process = subprocess.Popen(list(map(str, command)), text=True, start_new_session=True, **settings)
        child = Child(process, output)
        limit = threading.Timer(seconds, child.kill_late, [seconds])
        limit.start()
        try:
            yield child
        finally:
            limit.cancel()
            child.kill()
            for pipe in filter(None, (process.stdin, process.stdout, process.stderr)):
                with suppress(BrokenPipeError):
                    pipe.close()


def finished(command: Command, *, seconds: float = 120, **settings: Any) -> subprocess.CompletedProcess[str]:
    """Run a process to its end, as `started`; `stdout` of what comes back is all that it said, in order."""
    with started(command, seconds=seconds, **settings) as child:
        code = child.wait()
        return subprocess.CompletedProcess(command, code, child.said(), "")


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
