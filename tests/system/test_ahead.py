"""Work ahead in threads. Oracle: the built-in `map`, and a count of what is under way."""

import threading
import time

import pytest

from sketchloss.system.ahead import in_threads


def test_the_order_stays_and_only_so_much_is_under_way():
    started: list[int] = []

    def square(number: int) -> int:
        started.append(number)
        time.sleep(0.002 * (number % 3))  # later ones may be ready before
        return number**2

    found = in_threads(square, range(40), workers=4, ahead=6)
    first = next(found)
    assert len(started) <= 6
    assert [first, *found] == [number**2 for number in range(40)]


def test_an_error_comes_where_its_result_would_and_ends_the_rest():
    started: list[int] = []

    def refuse_three(number: int) -> int:
        started.append(number)
        if number == 3:
            raise ValueError("three")
        return number

    found = in_threads(refuse_three, range(1000), workers=2, ahead=4)
    assert [next(found) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match="three"):
        next(found)
    assert len(started) < 20


def test_each_thread_is_prepared_once():
    prepared: list[int] = []
    list(in_threads(str, range(20), workers=3, ahead=6, prepare=lambda: prepared.append(threading.get_ident())))
    assert 1 <= len(prepared) == len(set(prepared)) <= 3
