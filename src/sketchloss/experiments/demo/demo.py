"""What the package does, in a few minutes and without other files: `make demo`.

    sketchloss demo --out demo                                   two minutes or so on two cores
    sketchloss demo --out demo --epochs 1 --heads 1 --asked 10   about half of it

The network that is tuned here is trained for about a minute. The tables of the paper compare networks that were
tuned for longer: the weights in the package. `sketchloss study` tunes all of them itself, and trains what draws.
"""

import sys
import time
from dataclasses import replace

from sketchloss.experiments.cells import LOG, CellStore
from sketchloss.experiments.demo.report import FIGURES, REPORT, write_report
from sketchloss.experiments.demo.settings import Demo
from sketchloss.experiments.demo.steps import FEATURES, cells
from sketchloss.experiments.study.running import CELLS, format_seconds
from sketchloss.system.files import claim_folder
from sketchloss.training.held_folder import hold_run_folder

MARKER = "demo.json"
#: All that a demo leaves in its folder; `--again` removes only that.
MADE = frozenset({MARKER, CELLS, FEATURES, FIGURES, *REPORT})


def command(config: Demo) -> int:
    """Run the demo; return the exit code: 0, or 1 if a step failed."""
    with hold_run_folder(config.out):
        return _run(replace(config, out=config.out.absolute()))


def _run(config: Demo) -> int:
    claim_folder(config.out, kind="demo", made=MADE, again=config.again, resume=True, mark=MARKER)
    store = CellStore(config.out / CELLS, cells(config), started=time.time())
    for number, cell in enumerate(store, 1):
        step = f"[{number}/{len(store.cells)}]  {cell.name:10}"
        known = store.state(cell.name) == "done"
        if not known:
            print(f"{step} ...", flush=True)
            store.run(cell.name)
        if store.state(cell.name) == "failed":
            log = store.place(cell.name) / LOG
            print(f"sketchloss demo: {cell.name} failed: {store.reason(cell.name)}; more in {log}", file=sys.stderr)
            return 1
        took = "there already" if known else format_seconds(store.seconds(cell.name))
        print(f"{step} {took:>13}  {cell.headline(store.result(cell.name))}", flush=True)
    write_report(config, store)
    print(f"\nOpen {config.out / 'report.html'} in a browser.")
    return 0
