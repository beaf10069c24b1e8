"""Doing the cells of a study: one after another in each process, several processes side by side, one view of it all."""

import multiprocessing
import os
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.context import SpawnProcess
from typing import Any

import torch
from tqdm import tqdm

from sketchloss.data.loading import remember_pictures
from sketchloss.experiments.cells import LOG, CellStore, last_line
from sketchloss.experiments.study.plan import plan_cells
from sketchloss.experiments.study.settings import Study
from sketchloss.system.memory import reuse_freed_memory
from sketchloss.system.processes import rank_and_count

CELLS = "cells"
POLL_SECONDS = 0.5


@dataclass(frozen=True)
class Workplace:
    """Place of this process among several that work on a study."""

    rank: int
    count: int
    launched: bool
    """Whether `accelerate launch` or torchrun started this process, and not the study itself."""
    devices: int
    """Number of GPUs that there were before this process took one of them."""
    launch: str = ""
    """Name that tells this launch from others, the same in all its processes; empty if it was not launched."""


def find_workplace() -> Workplace:
    """Return which process this is, and have it work for itself.

    Under `accelerate launch` every process would join the others in each training. A study has more cells than there
    are devices, so each process takes whole cells and one device instead.
    """
    rank, count = rank_and_count()
    launch, devices = "", torch.cuda.device_count()
    if count > 1:
        names = ("TORCHELASTIC_RUN_ID", "TORCHELASTIC_RESTART_COUNT", "MASTER_ADDR", "MASTER_PORT")
        launch = " ".join(os.environ.get(name, "") for name in names)
        if os.environ.get("LOCAL_WORLD_SIZE") == os.environ["WORLD_SIZE"]:  # one machine: ports come again, parents not
            launch += f" {os.getppid()}"
        _take_device(int(os.environ.get("LOCAL_RANK", "0")))
        for name in (
            "RANK",
            "WORLD_SIZE",
            "LOCAL_RANK",
            "LOCAL_WORLD_SIZE",
            "MASTER_ADDR",
            "MASTER_PORT",
            "GROUP_RANK",
        ):
            os.environ.pop(name, None)
        for name in [name for name in os.environ if name.startswith(("TORCHELASTIC_", "ACCELERATE_", "FSDP_"))]:
            os.environ.pop(name)
    return Workplace(rank, count, launched=count > 1, devices=devices, launch=launch)


def _take_device(place: int) -> None:
    """Let this process see one GPU only, by turns; before CUDA is first used."""
    devices = torch.cuda.device_count()  # asks the driver, without starting CUDA
    if devices > 1:
        visible = os.environ.get("CUDA_VISIBLE_DEVICES", ",".join(map(str, range(devices)))).split(",")
        os.environ["CUDA_VISIBLE_DEVICES"] = visible[place % len(visible)]


def run_cells(config: Study, store: CellStore, workplace: Workplace) -> None:
    """Do every cell that can be done, and return when none is left, whoever did it."""
    count = config.workers or max(1, torch.cuda.device_count())
    if workplace.launched:
        count = 1
    helpers: list[SpawnProcess] = []
    threads = max(1, torch.get_num_threads() // count)
    if count > 1:
        context = multiprocessing.get_context("spawn")
        for number in range(1, count):
            arguments = (config, store.started, number, threads)
            # note: no daemons, which could have no processes of their own to load pictures
            helpers.append(context.Process(target=_help, args=arguments, daemon=False))
    try:
        for helper in helpers:
            helper.start()
        if helpers:
            _take_device(0)
            torch.set_num_threads(threads)
        with _view(store, quiet=workplace.rank > 0):
            _work(store)
        _end(helpers, seconds=60)  # they end by themselves, since no cell is left
    except BaseException:
        _end(helpers, seconds=0)
        raise


def _end(processes: list[SpawnProcess], seconds: float | int) -> None:
    """Wait so long for processes; then ask them to end, and at last make them."""
    started = [process for process in processes if process.pid is not None]
    for ask, patience in ((SpawnProcess.terminate, seconds), (SpawnProcess.kill, 20)):
        end = time.monotonic() + patience
        for process in started:
            process.join(max(0.0, end - time.monotonic()))
        for process in started:
            if process.is_alive():
                ask(process)
    for process in started:
        process.join(20)


def _help(config: Study, started: float, number: int, threads: int) -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        _take_device(number)
        torch.set_num_threads(threads)
        store = CellStore(config.out / CELLS, plan_cells(config), started=started)
        _work(store)
    except KeyboardInterrupt:  # the first process says so
        sys.exit(130)


def _end_with_parent() -> None:
    """Wait until the process that started this one is no more, by whatever end, and end this one in mid-cell."""
    if parent := multiprocessing.parent_process():
        parent.join()  # without a limit: in a thread that keeps nobody waiting
        os._exit(1)


def _work(store: CellStore) -> None:
    reuse_freed_memory()
    with remember_pictures():
        while True:
            if not {"ready", "waiting"} & states(store).keys():
                return
            if not any(store.run(name) for name in store.ready()):
                time.sleep(POLL_SECONDS)  # others are at them


# What is seen of it --------------------------------------------------------------------------------------------------


@contextmanager
def _view(store: CellStore, *, quiet: bool):
    """Say of each cell when it is done, whoever did it; on a terminal with a bar and what is being done."""
    if quiet:
        yield
        return
    view = _View(store, sys.stdout, sys.stderr)
    view.start()
    try:
        yield
    finally:
        view.stop()


class _View(threading.Thread):
    # note: streams as they were at the start, because a cell's own prints go to its log.
    def __init__(self, store: CellStore, out: Any, err: Any) -> None:
        super().__init__(daemon=True)
        self.store, self.out = store, out
        self.said = {cell.name for cell in store if store.state(cell.name) == "done"}
        total = len(list(store))
        self.bar = tqdm(total=total, initial=len(self.said), desc="cells", file=err, disable=None, dynamic_ncols=True)
        self.ended = threading.Event()
        if self.said:
            self._say(f"{len(self.said)} of {total} cells are there already")

    def run(self) -> None:
        while not self.ended.wait(1):
            self._look()

    def stop(self) -> None:
        self.ended.set()
        self.join(60)  # it may be reading a folder on a slow disk
        self._look()
        self.bar.close()

    def _look(self) -> None:
        store = self.store
        for cell in store:
            if cell.name in self.said:
                continue
            state = store.state(cell.name)
            if state not in ("done", "failed"):
                continue
            self.said.add(cell.name)
            if state == "done":
                what = f"{format_seconds(store.seconds(cell.name)):>8}  {cell.headline(store.result(cell.name))}"
            else:
                what = f"{'failed':>8}  {store.reason(cell.name)}"
            self._say(f"[{len(self.said):3}/{self.bar.total}]  {cell.name:42} {what}".rstrip())
            self.bar.update()
        if not self.bar.disable:
            self.bar.set_postfix_str(self._doing(), refresh=True)

    def _doing(self) -> str:
        logs = [(self.store.place(cell.name) / LOG, cell.name) for cell in self.store if cell.name not in self.said]
        found = [(log.stat().st_mtime, log, name) for log, name in logs if log.is_file()]
        _, log, name = max(found, default=(0.0, None, ""))
        return f"{name}: {last_line(log)[:60]}" if log else ""

    def _say(self, line: str) -> None:
        if self.bar.disable:
            print(line, file=self.out, flush=True)
        else:
            self.bar.write(line, file=self.out)


def format_seconds(seconds: float | int) -> str:
    """Write a duration: "0:42", "1:03:20", and from two days on "3.2 days", "263 years"."""
    days = seconds / 86400
    if days >= 2:
        size, unit = (days / 365.25, "years") if days >= 730 else (days, "days")
        return f"{size:.1f} {unit}" if size < 10 else f"{size:,.0f} {unit}"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def states(store: CellStore) -> Mapping[str, int]:
    """Return how many cells are in each state."""
    found: dict[str, int] = {}
    for cell in store:
        state = store.state(cell.name)
        found[state] = found.get(state, 0) + 1
    return found
