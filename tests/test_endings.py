"""The tests end: child_process.py alone starts processes, and no wait is without a limit. Oracle: the tests' source."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
#: Give the others their limits; and a program that runs in a child.
LIMITING = {"child_process.py", "page_client.py", "forking.py"}
#: Names of `subprocess` that start nothing.
HARMLESS = {"DEVNULL", "PIPE", "STDOUT", "CalledProcessError", "CompletedProcess", "TimeoutExpired"}
#: Functions of `os` that start a process; those of other endings as well (`spawnv`, `forkpty`).
STARTING = ("fork", "popen", "posix_spawn", "spawn", "system")
#: Methods that wait for ever if they are given nothing.
WAITING = {"acquire", "communicate", "get", "join", "wait"}
#: Likewise, of a future; other things have results, too, in files that import no futures.
FUTURES = {"anyio", "concurrent", "gradio_client", "multiprocessing"}
#: Functions that wait for ever without this argument.
TIMED = {"Client": "timeout", "create_connection": "timeout", "urlopen": "timeout"}


def faults(source: str) -> Iterator[str]:
    """Yield what could outlast a test: its line, and what it is."""
    nodes = list(ast.walk(ast.parse(source)))
    plain = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    named = {(node.module or "", a.name) for node in nodes if isinstance(node, ast.ImportFrom) for a in node.names}
    waiting = set(WAITING)
    if FUTURES & {name.partition(".")[0] for name in (*plain, *(module for module, _ in named))}:
        waiting.add("result")
    if "subprocess" in plain or any(module == "subprocess" and name not in HARMLESS for module, name in named):
        yield "starts processes itself"
    if ("gradio_client", "Client") in named:
        yield "a client of the page that waits for ever"
    for node in nodes:
        if not isinstance(node, ast.Call):
            continue
        called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        given = {word.arg for word in node.keywords}
        if isinstance(node.func, ast.Attribute) and called in waiting and not node.args and not node.keywords:
            yield f"{node.lineno}: {called}() without a limit"
        elif called in TIMED and TIMED[called] not in given:
            yield f"{node.lineno}: {called}() without a {TIMED[called]}"
        elif called.startswith(STARTING) and getattr(getattr(node.func, "value", None), "id", "") == "os":
            yield f"{node.lineno}: os.{called}()"


def test_every_process_and_wait_of_the_tests_has_a_limit():
    files = [path for path in TESTS.rglob("*.py") if path.name not in LIMITING]
    assert len(files) > 100
    assert [f"{path.name} {fault}" for path in files for fault in faults(path.read_text(encoding="utf-8"))] == []


@pytest.mark.parametrize(
    "source",
    [
        "import subprocess\nsubprocess.run(['true'])",
        "from subprocess import Popen",
        "import os\nos.fork()",
        "import os\nos.spawnv(os.P_WAIT, 'true', ['true'])",
        "thread.join()",
        "process.wait()",
        "child.process.communicate()",
        "queue.get()",
        "from concurrent.futures import ThreadPoolExecutor\npool.submit(len, []).result()",
        "from gradio_client import Client",
        "urllib.request.urlopen(address)",
        "httpx.Client(base_url=url)",
    ],
)
def test_what_has_none_is_found(source):
    assert len(list(faults(source))) == 1


@pytest.mark.parametrize(
    "source",
    [
        "from subprocess import PIPE, CompletedProcess",
        "' '.join(words)\nthread.join(20)\nprocess.wait(timeout=60)\nfound.get('name')",
        "from concurrent.futures import ThreadPoolExecutor\npool.submit(len, []).result(60)",
        "meter.result()",
        "urllib.request.urlopen(address, timeout=30)",
    ],
)
def test_what_has_one_is_left_alone(source):
    assert list(faults(source)) == []
