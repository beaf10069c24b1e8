"""Work that several processes share, on one machine or many: `accelerate launch` or torchrun starts them.

Each runs the same command. The first leads: it runs the command, hands out parts of its work, and alone prints and
writes. The others do these parts and nothing else. Without a launcher, the one process does everything.
"""

import os
import pickle
import signal
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from datetime import timedelta
from itertools import islice
from typing import Any, TypeVar, cast

Item = TypeVar("Item")
Result = TypeVar("Result")

#: How long processes wait for the first part, such as until another writer is done; and for each other, in a round.
START, ROUND = timedelta(days=7), timedelta(minutes=30)
ENDED = (
    "a process that shares the work has ended, or the job was told to end: what was written is kept; give the same "
    "command again, and it goes on from there"
)


class ProcessEnded(ValueError):  # noqa: N818 (it says what has happened)
    """A process of the job has ended before its work was done. The text is one line."""


def rank_and_count() -> tuple[int, int]:
    """Return which process of a job this is, from 0, and how many there are, as a launcher says in the environment.

    Raises:
        ValueError: if it says no whole numbers.
    """
    found = []
    for name, alone in (("RANK", 0), ("WORLD_SIZE", 1)):
        said = os.environ.get(name, "")
        if said and not said.isdecimal():
            raise ValueError(f"the environment variable {name} is {said!r}: set a whole number, or unset it")
        found.append(int(said) if said else alone)
    return found[0], found[1]


def helps() -> bool:
    """Tell whether this process was started to help another one, which leads."""
    try:
        rank, count = rank_and_count()
    except ValueError:
        return False
    return count > 1 and rank > 0


def run_shared(command: Callable[[], Result]) -> Result | int:
    """Call a function whose work may be shared by `share_out`; in a process that helps, help instead.

    Returns:
        What the function returns; of a process that helps, its exit code.

    Raises:
        ProcessEnded: if another process has ended too early. If that makes the launcher end this process, it is a
            KeyboardInterrupt with the same text, because that is not taken for a mistake in a file.
        ValueError: if the processes cannot meet, or the launcher's variables are wrong.
    """
    global _job
    if rank_and_count()[1] < 2:
        return command()
    usual = signal.signal(signal.SIGTERM, signal.SIG_DFL if helps() else _told_to_end)
    try:
        _job = job = _Job()
        if helps():
            return job.help()
        try:
            return command()
        finally:
            job.send_home()
    finally:
        if _job is not None:
            _job.end()
        _job = None
        signal.signal(signal.SIGTERM, usual)


def share_out(
    work: Callable[[Iterable[Item]], Iterable[Result]], items: Iterable[Item], *, at_once: int
) -> Iterator[Result]:
    """Do work on items, and yield the results in the order of the items.

    Alone, `work` gets all items. In a job of several processes it goes to each of them, and each gets `at_once` items a
    round, until there are no more; then the other processes end. What they raise is raised here.

    Args:
        work: can be pickled. Its results in a round do not depend on other rounds.
        items: gone through as they are needed.
        at_once: items that a process gets in a round.

    Raises:
        ProcessEnded: as `run_shared`.
    """
    if _job is None or _job.is_over:
        yield from work(items)
    else:
        yield from _job.lead(work, items, at_once)


class _Job:
    """The processes of a job, as one of them sees it; they exchange what can be pickled, through gloo."""

    def __init__(self) -> None:
        import torch
        from torch import distributed

        self._distributed, self._group = distributed, None
        if torch.cuda.is_available():  # a GPU for each, if there are as many
            torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")) % torch.cuda.device_count())
        try:
            distributed.init_process_group("gloo", timeout=START)
        except (RuntimeError, ValueError) as error:
            where = ":".join(os.environ.get(name, "") for name in ("MASTER_ADDR", "MASTER_PORT"))
            raise ValueError(
                f"the processes cannot meet at {where} ({' '.join(str(error).split())[:200]}): check the address and "
                "the port that the launcher was given, and that nothing else uses the port"
            ) from None
        self.is_over = False
        """Whether the others have been sent home, or do not listen any more."""

    def lead(
        self, work: Callable[[Iterable[Item]], Iterable[Result]], items: Iterable[Item], at_once: int
    ) -> Iterator[Result]:
        rest, count = iter(items), self._distributed.get_world_size()
        self._exchange([pickle.dumps(work)] * count)  # however long the others have waited for it
        self._shorten()
        while parts := list(islice(iter(lambda: list(islice(rest, at_once)), []), count)):
            parts += [[] for _ in range(count - len(parts))]
            self.is_over = True  # until all are back: whatever ends this process meanwhile ends the others
            self._exchange(parts)
            found = self._gather(_Outcome.of(lambda part=parts[0]: work(part)))
            self.is_over = False
            for outcome in found:
                yield from outcome.get()
        self.send_home()

    def send_home(self) -> None:
        if not self.is_over:
            with suppress(ProcessEnded):  # there is nothing left to do
                self._exchange([None] * self._distributed.get_world_size())
                self._leave()
            self.is_over = True

    def help(self) -> int:
        try:
            work, sent = None, self._exchange(None)
            if sent is not None:
                self._shorten()
            while sent is not None and (part := self._exchange(None)) is not None:

                def do(part: list = part) -> Iterable:
                    nonlocal work
                    work = work or pickle.loads(sent)
                    return work(part)

                self._gather(_Outcome.of(do))
            self._leave()
        except ProcessEnded as error:
            if self._distributed.get_rank() == 1:  # one line, not one from each
                sys.stderr.write(f"sketchloss: {error}\n")
            return 1
        return 0

    def _shorten(self) -> None:
        """Wait for each other no longer than a round takes, from here on."""
        self._group = self._call(lambda: self._distributed.new_group(timeout=ROUND, backend="gloo"))

    def _leave(self) -> None:
        """End the connections, once each process knows that there is no more to do."""
        self._gather(_Outcome([], None))
        self.end()

    def end(self) -> None:
        """End the connections here, whatever has become of the others; gloo's threads must not outlive Python."""
        if self._distributed.is_initialized():
            with suppress(RuntimeError):  # of connections that are broken already
                self._distributed.destroy_process_group()

    def _exchange(self, parts: list | None) -> Any:
        """Return this process's part of those that the first one has."""
        given: list[Any] = [None]
        parts = None if helps() else parts
        self._call(lambda: self._distributed.scatter_object_list(given, cast(list, parts), src=0, group=self._group))
        return given[0]

    def _gather(self, outcome: "_Outcome") -> list["_Outcome"]:
        found: Any = None if helps() else [None] * self._distributed.get_world_size()
        self._call(lambda: self._distributed.gather_object(outcome, found, dst=0, group=self._group))
        return found

    def _call(self, collective: Callable[[], Result]) -> Result:
        try:
            return collective()
        except RuntimeError as error:  # gloo's, in many lines: a connection was closed, or nothing came
            self.is_over = True
            raise ProcessEnded(ENDED) from error


class _Outcome:
    """Results of a part, or what was raised."""

    def __init__(self, results: list, error: Exception | None) -> None:
        self.results, self.error = results, error

    @classmethod
    def of(cls, function: Callable[[], Iterable]) -> "_Outcome":
        try:
            return cls(list(function()), None)
        except Exception as error:  # noqa: BLE001 (raised again by the process that leads)
            where = traceback.format_exc()
            try:
                error.add_note(where)
                pickle.loads(pickle.dumps(error))
            except Exception:  # noqa: BLE001 (of any class, which may not be sent)
                error = RuntimeError(where)
            return cls([], error)

    def get(self) -> list:
        if self.error is not None:
            raise self.error
        return self.results


_job: _Job | None = None


def _told_to_end(*_: object) -> None:
    raise KeyboardInterrupt(ENDED)
