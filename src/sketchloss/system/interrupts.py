"""Signals: Ctrl+C while libraries are imported, and the end of a service."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from queue import Empty, SimpleQueue


@contextmanager
def ended_by_interrupts() -> Iterator[None]:
    """Inside, Ctrl+C ends the process as the system does it, at once and in silence: 130 to the shell.

    For imports, where nothing is lost, and where libraries would make errors of their own of the interruption.
    """
    usual = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if not usual or threading.current_thread() is not threading.main_thread():  # it is not ours to change
        yield
        return
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


class EndOfService:
    """Catches, from now on, the signals with which a service is ended: SIGTERM, and SIGHUP where there is one."""

    def __init__(self) -> None:
        # note: no `threading.Event`. A signal that comes just as the wait begins would wait in `set` for the very lock
        # that the interrupted `wait` holds.
        self._came: SimpleQueue[int] = SimpleQueue()
        for name in ("SIGTERM", "SIGHUP"):
            if hasattr(signal, name):
                signal.signal(getattr(signal, name), lambda number, _: self._came.put(number))

    def wait(self) -> None:
        """Wait for one of them, however long; return at once if one has come already."""
        # note: in turns, because a signal that the system gives to another thread does not wake this one, whose work
        # the answer is. That happens while a debugger or a profiler holds this thread.
        while True:
            with suppress(Empty):
                self._came.get(timeout=1)
                return
