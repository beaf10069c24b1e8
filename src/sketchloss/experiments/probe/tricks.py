"""Which tricks fool a distance between drawings: blank paper, half of the strokes, thick lines, a shift ...

    sketchloss tricks --preset demo --out runs/tricks                                a minute or so on two cores
    sketchloss tricks --data doodles QUICKDRAW SKETCHY TUBERLIN --out runs/tricks    a quarter of an hour
    sketchloss tricks --data SKETCHY --image-sizes 96 --drawings 40 --distance my_losses.py:lpips --out runs/mine

Every trick has a known right answer, and a distance is fooled where it gives another (`trick_drawings.py`). It is a
command of its own beside `sketchloss probe`, because it also takes pictures without strokes, several sources and sizes
at once, and whole distances instead of taps. How to ask a distance in Python: `fooled.py`.
"""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import torch
import tyro

from sketchloss.data.left_out import say_left_out
from sketchloss.experiments.probe.distances import Distance, baselines, load_distance
from sketchloss.experiments.probe.fooled import Verdicts, judge, measure_tricks, open_halves, summarise
from sketchloss.experiments.probe.sharing import share_backbone
from sketchloss.experiments.probe.trials import SMALLEST
from sketchloss.experiments.probe.trick_drawings import Tricked, make_tricks
from sketchloss.experiments.probe.tricks_figure import draw_tricks
from sketchloss.experiments.probe.tricks_sheet import draw_tricked
from sketchloss.experiments.probe.tricks_table import ALL, sections
from sketchloss.experiments.section import WRITTEN, Figure, write_results
from sketchloss.loss.loss import BEFORE_0_2, PAPER_LAYERS, Metric, SketchLoss
from sketchloss.networks.weights import load_backbone
from sketchloss.system.files import claim_folder
from sketchloss.system.images import LARGEST_SIDE, save_picture
from sketchloss.training.held_folder import hold_run_folder

Taps = Literal["default", "paper", "deep"]
TAPS: dict[Taps, tuple[str, ...] | None] = {"default": None, "paper": PAPER_LAYERS, "deep": BEFORE_0_2["layers"]}


@dataclass(frozen=True, kw_only=True)
class Tricks:
    """Ask distances between drawings which tricks fool them, on several sources and at several sizes.

    Raises:
        ValueError: for a setting outside its range, naming it.
    """

    out: Path
    """Folder to make, for the tables and figures."""
    data: tuple[str, ...] = ("doodles",)
    """Sources: `doodles` and folders of QuickDraw .ndjson as strokes; folders of class folders as pictures."""
    image_sizes: tuple[int, ...] = (64, 96, 128, 224, 320)
    """Sides of the pictures in pixels."""
    drawings: tuple[int, ...] = (40, 40, 16, 6, 4)
    """How many of each source to ask about: one number for each size, or one for all."""
    half: Literal["report", "choose"] = "report"
    """Which half of the drawings: the one that only reports, or the one by which a distance may be chosen."""
    weights: tuple[str, ...] = ("imagenet", "sketch")
    """Weights to compare features with: names, paths or hub repos."""
    metrics: tuple[Metric, ...] = get_args(Metric)
    """Distances between features."""
    taps: tuple[Taps, ...] = ("default", "paper")
    """Sets of layers: `default`: those of `SketchLoss`; of VGG-16 also `paper`: relu1_2, relu2_2, relu3_3, relu4_3;
    `deep`: relu3_3, relu4_3, relu5_3."""
    distance: tuple[str, ...] = ()
    """Distances of your own, `module:function` or `file.py:function`: two batches (n, 3, h, w) in [0, 1] to (n,)."""
    baselines: Annotated[bool, tyro.conf.FlagConversionOff] = True
    """Also ask raw pixels and SSIM."""
    seed: int = 0
    """Of the halves, the tricks and the doodles."""
    again: bool = False
    """Throw away what an earlier run of this left in `out`."""

    def __post_init__(self) -> None:
        for name in ("data", "image_sizes", "drawings"):
            if not getattr(self, name):
                raise ValueError(f"{name} names nothing: give one or more")
        for size in self.image_sizes:
            if not SMALLEST <= size <= LARGEST_SIDE:
                raise ValueError(f"image_sizes has {size}: each must be {SMALLEST} to {LARGEST_SIDE} pixels")
        if len(self.drawings) not in (1, len(self.image_sizes)):
            sizes = len(self.image_sizes)
            raise ValueError(f"drawings has {len(self.drawings)} numbers for {sizes} sizes: give one, or one for each")
        if min(self.drawings) < 1:
            raise ValueError(f"drawings has {min(self.drawings)}: ask about one at least")
        if not 0 <= self.seed < 2**32:
            raise ValueError(f"seed is {self.seed}: it must be 0 to {2**32 - 1}")
        for name in ("data", "image_sizes", "weights", "metrics", "taps", "distance"):
            values = getattr(self, name)
            if twice := [value for value in values if values.count(value) > 1]:
                raise ValueError(f"{name} names {twice[0]} twice: name each once")
        features = self.weights and self.metrics and self.taps
        if not (self.baselines or self.distance or features):
            raise ValueError("there is no distance to ask: name weights with metrics and taps, or a distance")

    def counts(self) -> dict[int, int]:
        """Return how many drawings of each source to ask about, by size."""
        numbers = self.drawings if len(self.drawings) > 1 else self.drawings * len(self.image_sizes)
        return dict(zip(self.image_sizes, numbers, strict=True))


KIND = "tricks run"
#: All that this leaves in its folder.
MADE = {"config.json", *WRITTEN, "figure.png", "tricks.png"}
#: What each preset changes of the defaults above.
PRESETS: dict[str, dict[str, Any]] = {
    "full": {},
    "demo": {"image_sizes": (64,), "drawings": (10,), "metrics": ("ink", "l1"), "taps": ("default",)},
}


def tricks(config: Tricks) -> dict[str, Any]:
    """Run the recipe; return what `results.json` holds.

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
