"""A program that runs commands of sketchloss in processes that die at a moment; the tests speak to it in JSON.

A command is a fork of this process, which has imported what takes seconds to import. It is killed when it is about to
make its n-th change of a file in a folder, or after a time. What libraries of C and Rust change in files (safetensors,
LanceDB) is not seen here and not counted: for that there is the time.
"""

import faulthandler
import json
import os
import signal
import sys
import time
import warnings
from pathlib import Path

import torch
import torch.utils.tensorboard

import sketchloss.cli
import sketchloss.compare.command
import sketchloss.experiments.style.transfer
import sketchloss.experiments.tuning.finetune
import sketchloss.figures.curves
import sketchloss.gallery.commands

#: Audit events -> which of their values are a path and the folder that it is relative to.
EVENTS = {
    "os.mkdir": ((0, 2),),
    "os.remove": ((0, 1),),
    "os.rmdir": ((0, 1),),
    "os.rename": ((0, 2), (1, 3)),
    "os.link": ((1, 3),),
    "os.chmod": ((0, 2),),
    "os.truncate": ((0, None),),
}
#: A command that takes longer hangs, also on a busy computer: it says where, and is killed.
MOST_SECONDS = 300
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC


class Changes:
    """Counts the changes in a folder, as an audit hook; kills the process just before the last that it may begin."""

    def __init__(self, folder: str, last: int) -> None:
        self.folder, self.last = os.path.realpath(folder), last
        self.count = 0

    def __call__(self, event: str, values: tuple) -> None:
        if event == "open":
            path, mode, flags = values
            changes = isinstance(path, str) and (flags & WRITING or set(mode or "") & set("wax+"))
            paths = [path] if changes else []
        else:
            paths = [_full(values, *places) for places in EVENTS.get(event, ())]
        if any(os.path.abspath(path).startswith(self.folder) for path in paths):  # noqa: PTH100
            self.count += 1
            if self.count == self.last:
                os.kill(os.getpid(), signal.SIGKILL)


def _full(values: tuple, path: int, folder: int | None) -> str:
    name, base = os.fsdecode(values[path]), -1 if folder is None else values[folder]
    return name if base in (-1, None) else os.path.join(os.readlink(f"/proc/self/fd/{base}"), name)  # noqa: PTH115, PTH118


def run(job: dict) -> None:
    """Become the command; does not return."""
    said = os.open(job["said"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for stream in (1, 2):
        os.dup2(said, stream)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    changes = Changes(job["folder"], job["change"])
    sys.addaudithook(changes)
    faulthandler.enable()  # a crash says where it was, too
    faulthandler.dump_traceback_later(MOST_SECONDS - 5)
    signal.setitimer(signal.ITIMER_REAL, job["seconds"] or MOST_SECONDS)  # ends the process, as nobody handles it
    code = sketchloss.cli.main(job["arguments"])
    Path(job["said"]).with_suffix(".changes").write_text(str(changes.count))
    sys.exit(code)


def main() -> None:
    # note: LanceDB starts its threads anew in a fork, and warns that this is young; none of them is busy here
    warnings.filterwarnings("ignore", "lancedb fork support")
    torch.set_num_threads(1)
    started: dict[int, float] = {}
    for line in sys.stdin:
        job = json.loads(line)
        if "wait" in job:
            _, status = os.waitpid(job["wait"], 0)
            answer = [os.waitstatus_to_exitcode(status), time.monotonic() - started.pop(job["wait"])]
        else:
            answer = os.fork()
            if not answer:
                run(job)
            started[answer] = time.monotonic()
        print(json.dumps(answer), flush=True)


main()
