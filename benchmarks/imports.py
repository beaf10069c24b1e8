"""Time of `from sketchloss import *` against `import torch`, each in fresh processes, in turn.

python benchmarks/imports.py [--rounds 7]
"""

import argparse
import statistics
import subprocess
import sys

from sketchloss.figures.tables import markdown_table

# All names: each loads its module when it is first used.
IMPORTS = {"torch": "import torch", "sketchloss": "from sketchloss import *"}


def seconds_of_import(module: str) -> float:
    """Return the seconds that an import takes in a new process, without starting Python."""
    code = f"import time; start = time.perf_counter(); {IMPORTS[module]}; print(time.perf_counter() - start)"
    child = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=300)
    return float(child.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    seconds: dict[str, list[float]] = {module: [] for module in IMPORTS}
    for round_number in range(rounds + 1):
        for module in IMPORTS:
            found = seconds_of_import(module)
            if round_number:  # the first fills the disk's cache
                seconds[module].append(found)
    medians = {module: statistics.median(times) for module, times in seconds.items()}
    rows = [[m, f"{s:.2f}", f"{s / medians['torch']:.2f}"] for m, s in medians.items()]
    print(markdown_table(["import", "seconds", "of torch's"], rows))


if __name__ == "__main__":
    main()
