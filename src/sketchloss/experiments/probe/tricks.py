"""Which tricks fool a distance between drawings: blank paper, half of the strokes, thick lines, a shift ...

    sketchloss tricks --preset demo --out runs/tricks                                a minute or so on two cores
    sketchloss tricks --data doodles QUICKDRAW SKETCHY TUBERLIN --out runs/tricks    a quarter of an hour
    sketchloss tricks --data SKETCHY --image-sizes 96 --drawings 40 --distance my_losses.py:lpips --out runs/mine

Every trick has a known right answer, and a distance is fooled where it gives another (`trick_drawings.py`). It is a
command of its own beside `sketchloss probe`, because it also takes pictures without strokes, several sources and sizes
at once, and whole distances instead of taps. How to ask a distance in Python: `fooled.py`.
"""

from dataclasses import asdict
from typing import Any

import torch

from sketchloss.data.left_out import say_left_out
from sketchloss.experiments.probe.sharing import share_backbone
from sketchloss.experiments.probe.trick_drawings import Tricked, make_tricks
from sketchloss.experiments.probe.trick_verdicts import Verdicts, judge, measure_tricks, open_halves, summarise
from sketchloss.experiments.probe.tricks_figure import draw_tricks
from sketchloss.experiments.probe.tricks_settings import Taps, Tricks
from sketchloss.experiments.probe.tricks_sheet import draw_tricked
from sketchloss.experiments.probe.tricks_table import ALL, sections
from sketchloss.experiments.section import WRITTEN, Figure, write_results
from sketchloss.loss.loss import BEFORE_0_2, PAPER_LAYERS, SketchLoss
from sketchloss.metrics.plain_distance import Distance, baselines, load_distance
from sketchloss.networks.weights import load_backbone
from sketchloss.system.files import claim_folder
from sketchloss.system.images import save_picture
from sketchloss.training.held_folder import hold_run_folder

TAPS: dict[Taps, tuple[str, ...] | None] = {"default": None, "paper": PAPER_LAYERS, "deep": BEFORE_0_2["layers"]}


KIND = "tricks run"
#: All that this leaves in its folder.
MADE = {"config.json", *WRITTEN, "figure.png", "tricks.png"}


def tricks(config: Tricks) -> dict[str, Any]:
    """Run `sketchloss tricks`; return the contents of `results.json`.

    Raises:
        ValueError: for sources, weights or distances that do not fit, drawings that are too few, or an `out` in use.
        FileNotFoundError: for weights that are not there.
    """
    with hold_run_folder(config.out):
        return _tricks(config)


def _tricks(config: Tricks) -> dict[str, Any]:
    # Set-up: mistakes are found before anything is written or takes long ---------------------------------------------
    device = "cuda" if torch.cuda.is_available() else "cpu"
    distances = _distances(config, device)
    faults: list[str] = []
    halves = {source: open_halves(source, seed=config.seed, faults=faults) for source in config.data}
    say_left_out(", ".join(config.data), faults)
    smallest = min(config.image_sizes)
    tried = [make_tricks(half[0], smallest, count=1, seed=config.seed) for half in halves.values()]
    measure_tricks(distances, tried[0], device=device)
    claim_folder(config.out, kind=KIND, made=MADE, again=config.again, settings=config)

    # Measuring -------------------------------------------------------------------------------------------------------
    rows: list[dict[str, Any]] = []
    shown: dict[str, Tricked] = {}
    for size, count in config.counts().items():
        together: dict[str, Verdicts] = {}
        for source, half in halves.items():
            tricked = make_tricks(half[config.half == "report"], size, count=count, seed=config.seed)
            shown[source] = tricked
            found = measure_tricks(distances, tricked, device=device, progress=True)
            verdicts = {name: judge(values) for name, values in found.items()}
            rows += [_row(name, source, size, one) for name, one in verdicts.items()]
            together = {name: together[name] + one if together else one for name, one in verdicts.items()}
            print(f"{source}, {size} pixels: {len(tricked)} drawings")
        rows += [_row(name, ALL, size, one) for name, one in together.items()]

    # Report ----------------------------------------------------------------------------------------------------------
    results: dict[str, Any] = {
        "format": f"sketchloss {KIND}",
        "half": config.half,
        "seed": config.seed,
        "sources": list(config.data),
        "image_sizes": list(config.image_sizes),
        "unreadable": len(faults),
        "rows": rows,
    }
    figures = {
        "figure.png": Figure("Which trick fools which distance", lambda path: draw_tricks(results, path)),
        "tricks.png": Figure("The tricks", lambda path: save_picture(draw_tricked(shown), path)),
    }
    first, *others = sections(results)
    write_results(config.out, results, [first.with_figures(figures), *others])
    return results


def _distances(config: Tricks, device: str) -> dict[str, Distance]:
    found: dict[str, Distance] = {}
    if config.baselines:
        found |= {one.name: one.function for one in baselines()}
    for weights in config.weights:
        backbone = load_backbone(weights, classes=())
        losses = {
            f"{weights} {metric}, {taps} taps": SketchLoss(
                backbone, layers=TAPS[taps], metric=metric, reduction="none", check=False
            ).to(device)
            for taps in config.taps
            for metric in config.metrics
        }
        if losses:
            share_backbone(list(losses.values()))
        found |= losses
    return found | {spec: load_distance(spec, device).function for spec in config.distance}


def _row(name: str, source: str, size: int, verdicts: Verdicts) -> dict[str, Any]:
    return {"distance": name, "source": source, "image_size": size, **asdict(summarise(verdicts))}
