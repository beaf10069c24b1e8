"""Start-up: processor time of whole processes, beside a process that imports torch and does nothing else.

python benchmarks/imports.py [--rounds 7]

The least of several rounds, since other work on the machine only adds. The computation of `compare` is what a second
comparison takes in one process: reading the weights, building the loss, two looks at each drawing.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

from sketchloss.data.doodles.kinds import doodle
from sketchloss.figures.tables import markdown_table

TORCH, HELP, COMPARE, COMPUTATION = "import torch", "sketchloss --help", "sketchloss compare a b", "its computation"
#: What is promised, in times of torch's import; of `compare` without its computation.
LIMITS = {HELP: 0.5, COMPARE: 1.3}
TWICE = """
import time
from pathlib import Path
from sketchloss.compare.command import compare
from sketchloss.compare.settings import Compare
config = Compare(a=Path("a.png"), b=Path("b.png"))
compare(config)
start = time.process_time()
compare(config)
print(time.process_time() - start)
"""
PROCESSES = {
    TORCH: ["-c", "import torch"],
    "from sketchloss import *": ["-c", "from sketchloss import *"],  # each name loads its module
    HELP: ["-m", "sketchloss", "--help"],
    COMPARE: ["-m", "sketchloss", "compare", "a.png", "b.png"],
    COMPUTATION: ["-c", TWICE],
}


def processor_seconds(name: str, folder: Path) -> float:
    """Return the processor time of a new process; of the computation, what the process says of itself."""
    # note: with what Python compiled kept, as where the package is installed; on one thread, as times add up otherwise
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, *PROCESSES[name]],
        check=True,
        capture_output=True,
        text=True,
        timeout=300,
        cwd=folder,
        env=environment,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if name == COMPUTATION:
        return float(done.stdout.split()[-1])
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    found: dict[str, list[float]] = {name: [] for name in PROCESSES}
    with tempfile.TemporaryDirectory() as name:
        for number, file in enumerate(("a.png", "b.png")):
            doodle("cat", number).sketch(256).save(Path(name, file))
        for round_number in range(rounds + 1):
            for process, seconds in found.items():
                second = processor_seconds(process, Path(name))
                if round_number:  # the first fills the disk's cache
                    seconds.append(second)
    least = {process: min(seconds) for process, seconds in found.items()}
    least[COMPARE] -= least[COMPUTATION]
    rows = []
    for process, seconds in least.items():
        label = f"{process}, without its computation" if process == COMPARE else process
        limit = f"{LIMITS[process]:.1f}" if process in LIMITS else ""
        rows.append([label, f"{seconds:.2f}", f"{seconds / least[TORCH]:.2f}", limit])
    print(markdown_table(["process", "processor seconds", "of torch's", "limit"], rows))


if __name__ == "__main__":
    main()
