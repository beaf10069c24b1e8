"""The study from its first cell to its report."""

import time
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

from sketchloss.experiments.cells import CellStore
from sketchloss.experiments.study.estimate import describe_plan
from sketchloss.experiments.study.offline import offline
from sketchloss.experiments.study.plan import plan_cells, planned
from sketchloss.experiments.study.report import write_report
from sketchloss.experiments.study.running import CELLS, find_workplace, run_cells
from sketchloss.experiments.study.settings import Study
from sketchloss.system.files import check_claim, claim_folder, read_json
from sketchloss.training.held_folder import is_held


def command(config: Study) -> int:
    """Run the study; return the exit code: 0, or 1 if cells failed."""
    return int(any(cell["state"] == "failed" for cell in study(config).get("cells", ())))


def study(config: Study) -> dict[str, Any]:
    """Run a whole study.

    Returns:
        What `results.json` holds: `tables`, each measured number by table, set, row, measure and seed; `cells`, each
        with its state; `settings`, `environment`, `seconds`. Of a dry run: `plan`, and nothing is written. Of a process
        beside the first: nothing.

    Raises:
        ValueError: as `Study`; for sources, weights or a base that cannot be opened; if `out` holds other things.
        RuntimeError: of a process beside the first, if the first does not get as far as opening `out`.
    """
    # Set-up ----------------------------------------------------------------------------------------------------------
    begun = time.time()
    config = replace(config, out=config.out.absolute())  # cells note paths, and are gone on with from any folder
    workplace = find_workplace()
    experiments = planned(config)
    with offline() if config.dry_run else nullcontext():
        for experiment in experiments:
            experiment.check(config)
    if config.dry_run:
        return {"plan": describe_plan(config)} if workplace.rank == 0 else {}
    if workplace.rank == 0:
        check_claim(config.out, **_folder_of(config))
    # A mistake in what comes last must not cost what comes before. What several open in the same way is opened once.
    for open_data in dict.fromkeys(experiment.open for experiment in experiments):
        open_data(config, print if workplace.rank == 0 else lambda _: None)
    if workplace.rank == 0:
        _open_folder(config, workplace.launch)
    else:
        _wait_for_folder(config, workplace.launch)

    # Cells -----------------------------------------------------------------------------------------------------------
    store = CellStore(config.out / CELLS, plan_cells(config), started=begun)
    run_cells(config, store, workplace)
    if workplace.rank > 0:
        return {}

    # Report ----------------------------------------------------------------------------------------------------------
    results = write_report(config, store, seconds=time.time() - begun, devices=workplace.devices)
    failed = [cell["name"] for cell in results["cells"] if cell["state"] == "failed"]
    print(f"\nReport:  {config.out / 'report.html'}")
    print(f"The same: {config.out / 'report.md'}; pictures in {config.out / 'figures'}")
    print("Numbers: tables.csv (what the tables say), numbers.csv (every value), results.json")
    if failed:
        print(f"{len(failed)} of {len(results['cells'])} cells failed; why is in the report, more in their log.txt")
    return results


def _open_folder(config: Study, launch: str) -> None:
    """Make the folder, or see that it is a study's; with `again` remove what a study left there. Then say so in it."""
    if config.again and any(is_held(cell) for cell in (config.out / CELLS).glob("*")):
        raise ValueError(f"another process is working in {config.out}: wait until it is done, or choose another --out")
    claim_folder(config.out, **_folder_of(config), launch=launch)


def _folder_of(config: Study) -> dict[str, Any]:
    return {"kind": "study", "made": MADE, "again": config.again, "resume": True, "mark": MARKER}


def _wait_for_folder(config: Study, launch: str) -> None:
    """Wait until the first process of this launch has opened the folder.

    Raises:
        RuntimeError: if it has not within ten minutes, as when it ended over a mistake, which it said.
    """
    for _ in range(WAITS):
        try:
            if read_json(config.out / MARKER).get("launch") == launch:
                return
        except (OSError, ValueError):
            pass
        time.sleep(WAIT_SECONDS)
    raise RuntimeError(f"{config.out} was not opened by the first process: see what it said")


MARKER = "study.json"
WAITS, WAIT_SECONDS = 1200, 0.5
#: All that a study leaves in its folder; `--again` removes only that.
MADE = frozenset(
    {MARKER, CELLS, "features", "figures", "report.md", "report.html", "numbers.csv", "tables.csv", "results.json"}
)
