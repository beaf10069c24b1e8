"""A command in two processes that share its work: by `accelerate launch`, or by hand, where a test looks at each."""

import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import CompletedProcess

from child_process import Child, finished, started

#: Without a GPU, too, this starts processes; `--cpu` starts only one.
LAUNCH = "accelerate.commands.launch --multi_gpu --num_processes=2 --num_machines=1 --dynamo_backend=no"


def launched(*command: str | Path, seconds: float = 240) -> CompletedProcess[str]:
    """Run a Python script, or `-m` and a module, in two processes of `accelerate launch`, to its end."""
    return finished(
        [
            sys.executable,
            "-m",
            *LAUNCH.split(),
            "--mixed_precision=no",
            f"--main_process_port={_port()}",
            *command,
        ],
        seconds=seconds,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


@contextmanager
def both_started(script: Path, *arguments: str | Path, seconds: float = 240) -> Iterator[tuple[Child, Child]]:
    """Start a Python script as the first and the second process of a job."""
    place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(_port()), "WORLD_SIZE": "2", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, script, *arguments]
    environments = [{**os.environ, **place, "RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in (0, 1)]
    with (
        started(command, seconds=seconds, env=environments[0]) as first,
        started(command, seconds=seconds, env=environments[1]) as second,
    ):
        yield first, second


def _port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]
