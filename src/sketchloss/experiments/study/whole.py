"""The study from its first cell to its report."""

import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

from sketchloss.data.captions import open_captioned
from sketchloss.data.left_out import say_left_out
from sketchloss.data.pairs import open_pairs
from sketchloss.data.photos import open_photos
from sketchloss.data.sources import open_sketches
from sketchloss.data.stroke_drawings import open_drawings
from sketchloss.diffusion.bases import find_base
from sketchloss.files import claim_folder, read_json
from sketchloss.networks.weights import load_backbone
from sketchloss.recipes.finetune import load_start
from sketchloss.recipes.study.cells import CellStore
from sketchloss.recipes.study.estimate import describe_plan
from sketchloss.recipes.study.offline import offline
from sketchloss.recipes.study.plan import check_sizes, further_tunings, plan_cells
from sketchloss.recipes.study.reporting import write_report
from sketchloss.recipes.study.running import CELLS, find_workplace, run_cells
from sketchloss.recipes.study.settings import Study
from sketchloss.training.held_folder import is_held
from sketchloss.triplets import read_triplets

#: The nearest five of a sketch are looked at.
FEWEST_LEFT_OUT = 6


def command(config: Study) -> int:
    """Run the study; return the exit code: 0, or 1 if cells failed."""
    return int(any(cell["state"] == "failed" for cell in study(config).get("cells", ())))


def study(config: Study) -> dict[str, Any]:
    """Run the recipe.

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
    with offline() if config.dry_run else nullcontext():
        check_sizes(config)
    further_tunings(config)
    if config.dry_run:
        return {"plan": describe_plan(config)} if workplace.rank == 0 else {}
    _check_sources(config, say=print if workplace.rank == 0 else lambda _: None)
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
    print(f"The same: {config.out / 'report.md'}, numbers.csv, results.json; pictures in {config.out / 'figures'}")
    if failed:
        print(f"{len(failed)} of {len(results['cells'])} cells failed; why is in the report, more in their log.txt")
    return results


def _check_sources(config: Study, say: Callable[[str], object]) -> None:
    """Open everything that is needed: a mistake in what comes last must not cost what comes before."""
    measured = config.measured_sets() if config.does("retrieval") or config.does("separation") else ()
    for source in {config.data, *measured}:
        sketches = open_sketches(source, config.image_size, per_class=config.per_class, seed=config.seed)
        say_left_out(source, sketches.unreadable, sketches.passed_over, say=say)
        if config.leave_out and source == config.data:
            sketches.select_classes(config.leave_out, leave_out=True)
            left_out = sketches.select_classes(config.leave_out)
            if len(left_out.classes) < 2 or len(left_out) < FEWEST_LEFT_OUT:
                raise ValueError(
                    f"leave_out names {len(left_out.classes)} class(es) with {len(left_out)} sketches: nearest "
                    f"neighbours are looked for among them, so leave out two classes or more, with {FEWEST_LEFT_OUT} "
                    "sketches at least"
                )
    if load_backbone(config.weights, classes=()).gates:
        raise ValueError(
            f"weights is {config.weights}, which has attention gates: the arms without need others, such as imagenet"
        )
    for weights in {weights for arm in config.further().values() for weights in arm.weights}:
        load_backbone(weights, classes=())
    for name, tuning in further_tunings(config).items():
        backbone = load_start(tuning, classes=())
        least, smallest = backbone.minimum_size((backbone.classified_layer,)), min(tuning.step_sizes().sizes)
        if smallest < least:
            raise ValueError(f"arm {name}: a size of image_sizes is {smallest}: it must be {least} pixels or more")
    if config.does("style"):
        photos = open_photos(config.content, config.image_size)
        say_left_out(config.content, photos.unreadable, photos.passed_over, say=say)
        for source in config.sets:
            say_left_out(source, open_pairs(source).problems, say=say)
    if config.does("lora"):
        taught = open_captioned(config.taught, config.image_size, per_class=1)
        say_left_out(config.taught, taught.unreadable, taught.passed_over, say=say)
        find_base(config.base)
    for name in ("triplets", "inception"):
        path = getattr(config, name)
        if path is not None and not path.is_file():
            raise ValueError(f"{name} is {path}, which is no file: check the path, or leave it out")
    if config.does("probe"):
        faults: list[str] = []
        open_drawings(config.probed, per_class=2, classes=2, seed=config.seed, faults=faults)
        say_left_out(config.probed, faults, say=say)
        if config.triplets is not None:
            read_triplets(config.triplets)


def _open_folder(config: Study, launch: str) -> None:
    """Make the folder, or see that it is a study's; with `again` remove what a study left there. Then say so in it."""
    if config.again and any(is_held(cell) for cell in (config.out / CELLS).glob("*")):
        raise ValueError(f"another process is working in {config.out}: wait until it is done, or choose another --out")
    claim_folder(config.out, kind="study", made=MADE, again=config.again, resume=True, mark=MARKER, launch=launch)


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
#: All that a study leaves in its folder; `--again` removes that alone.
MADE = frozenset({MARKER, CELLS, "features", "figures", "report.md", "report.html", "numbers.csv", "results.json"})
