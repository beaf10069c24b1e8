"""Work that is done in threads ahead of who asks for it: in order, and only so much of it at a time."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_threads(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    *,
    workers: int,
    ahead: int,
    prepare: Callable[[], object] | None = None,
) -> Iterator[Result]:
    """Yield what a function returns for each item, in the order of the items. What it raises is raised here.

    Args:
        function: called in the threads.
        items: gone through in the thread that asks.
        workers: threads, at least 1.
        ahead: at most this many results are being made or wait, at least 1.
        prepare: called once in each thread, before anything else.
    """
    waiting: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(workers, initializer=prepare) as pool:
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) >= ahead:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
