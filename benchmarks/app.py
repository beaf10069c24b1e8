"""The page under load: many clients at once for a while; latency, errors, the server's memory, and the first view.

    python benchmarks/app.py [--clients 20] [--seconds 60] [--weights sketch]

Each client, a session of its own, compares two doodles, searches with one, and turns a photo into a sketch, by turns
and without a pause. Before and after stands what one client alone sees. Memory is the server's resident set, sampled
each second. The first view is the time from asking for the page to its first text in Chromium, with an empty cache,
when nothing else is done; without Chromium it is left out.
"""

import argparse
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import psutil
from gradio_client import Client, handle_file

from sketchloss.data.doodles.kinds import KINDS, doodle
from sketchloss.figures.tables import markdown_table

JOBS = ("compare", "search", "stylize")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--weights", default="sketch", help="those that compare and search")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder), options.weights) as (url, process):
        pictures = Path(folder)
        for number, kind in enumerate(KINDS):
            doodle(kind, 900 + number).sketch(300).save(pictures / f"{number}.png")
            doodle(kind, 900 + number).photo(256).save(pictures / f"photo-{number}.png")
        if views := first_views(url):
            print(f"first view: {statistics.median(views):.2f} s, median of {len(views)}; ", end="")
        load(url, pictures, 1, 3, process)  # warm: the doodles' gallery, the style
        alone = load(url, pictures, 1, 10, process)
        together = load(url, pictures, options.clients, options.seconds, process)
        after = load(url, pictures, 1, 10, process)
    rows = []
    for name, found in (("1, before", alone), (f"{options.clients} at once", together), ("1, after", after)):
        for job in JOBS:
            times = sorted(found.seconds[job])
            last = times[min(len(times) - 1, round(0.95 * len(times)))]
            shown = (f"{statistics.median(times):.2f}", f"{last:.2f}", str(found.errors[job]))
            rows.append((name, job, str(len(times)), *shown))
    print(f"{sum(map(len, together.seconds.values())) / options.seconds:.1f} answers a second\n")
    print(markdown_table(("clients", "what", "answers", "median s", "95 % within s", "errors"), rows))
    memory = together.memory
    third = max(1, len(memory) // 3)
    print(
        f"\nserver's memory: {alone.memory[0]:,.0f} MiB before, {max(memory[:third]):,.0f} at most in the first third, "
        f"{max(memory[-third:]):,.0f} in the last, {after.memory[-1]:,.0f} afterwards"
    )


class Found:
    """What a load has shown."""

    def __init__(self) -> None:
        self.seconds: dict[str, list[float]] = {job: [] for job in JOBS}
        self.errors = dict.fromkeys(JOBS, 0)
        self.memory: list[float] = []


def load(url: str, pictures: Path, clients: int, seconds: float, process: psutil.Process) -> Found:
    found = Found()
    end = threading.Event()

    def visit(number: int) -> None:
        # note: else it reads all certificates of the machine for each request, which costs more than an answer
        client = Client(url, verbose=False, analytics_enabled=False, ssl_verify=False)
        ready.wait(300)
        turn = number
        while not end.is_set():
            one, two = (pictures / f"{place % len(KINDS)}.png" for place in (turn, 7 * turn + 1))
            job = JOBS[turn % len(JOBS)]
            start = time.perf_counter()
            try:
                if job == "compare":
                    client.predict(handle_file(one), handle_file(two), api_name="/compare")
                elif job == "search":
                    client.predict(handle_file(one), "doodles", 10, api_name="/search")
                else:
                    photo = handle_file(pictures / f"photo-{turn % len(KINDS)}.png")
                    client.predict(photo, "pencil (built in)", 256, api_name="/stylize")
                found.seconds[job].append(time.perf_counter() - start)
            except Exception as error:  # noqa: BLE001 (each is counted and told)
                found.errors[job] += 1
                print(f"{job}: {error}", file=sys.stderr)
            turn += 1

    ready = threading.Barrier(clients + 1)
    threads = [threading.Thread(target=visit, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    ready.wait(300)
    stop = time.monotonic() + seconds
    while time.monotonic() < stop:
        found.memory.append(process.memory_info().rss / 2**20)
        time.sleep(1)
    end.set()
    for thread in threads:
        thread.join(300)
    found.memory.append(process.memory_info().rss / 2**20)
    return found


def first_views(url: str, rounds: int = 5) -> list[float]:
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        return []
    from playwright.sync_api import sync_playwright

    times = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        for _ in range(rounds):
            page = browser.new_context().new_page()
            start = time.perf_counter()
            page.goto(url, wait_until="commit")
            page.get_by_text("Give two drawings").wait_for()
            times.append(time.perf_counter() - start)
        browser.close()
    return times


@contextmanager
def serving(folder: Path, weights: str):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [Path(sys.executable).with_name("sketchloss"), "app", "--port", str(port), "--weights", weights]
    settings = {**os.environ, "XDG_CACHE_HOME": str(folder / "cache")}
    with subprocess.Popen(command, env=settings, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()  # said when it is there
        try:
            yield f"http://127.0.0.1:{port}/", psutil.Process(process.pid)
        finally:
            process.terminate()


if __name__ == "__main__":
    main()
