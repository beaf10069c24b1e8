"""While a picture is decoded, libraries say nothing: what they would say is dealt with where pictures are read."""

import os
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from sketchloss.system.image_contract import check_images as check_images  # for those who look for it here


class _Quiet:
    """While any thread reads a picture, nothing is said of large pictures and odd metadata: both are dealt with here.

    The filters of warnings are the process's. The first thread that comes saves them, and the last that goes restores
    them; in between none waits for another.
    """

    def __init__(self) -> None:
        self._begin()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._restore_in_child)

    def _begin(self) -> None:
        self._lock, self._inside = threading.Lock(), 0
        self._saved = warnings.catch_warnings()

    @contextmanager
    def __call__(self) -> Iterator[None]:
        with self._lock:
            if self._inside == 0:
                self._saved = warnings.catch_warnings()
                self._saved.__enter__()
                warnings.simplefilter("ignore")
            self._inside += 1
        try:
            yield
        finally:
            with self._lock:
                self._inside -= 1
                if self._inside == 0:
                    self._saved.__exit__(None, None, None)

    def _restore_in_child(self) -> None:
        # note: of the threads that were reading, and of who held the lock, a forked child has none
        if self._inside:
            self._saved.__exit__(None, None, None)
        self._begin()


quiet = _Quiet()
