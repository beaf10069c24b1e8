"""The pieces of the demo. Each is computed once and kept (`experiments/cells.py`), what takes longest last."""

from collections.abc import Mapping
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any

import torch

from sketchloss import __version__
from sketchloss.data.loading import hold_if_small
from sketchloss.data.sources import open_sketches
from sketchloss.experiments.cells import Cell
from sketchloss.experiments.demo.pictures import draw_differences, draw_nearest, draw_photos, draw_prompts
from sketchloss.experiments.demo.settings import Demo
from sketchloss.experiments.probe.trick_drawings import make_tricks
from sketchloss.experiments.probe.trick_verdicts import judge, measure_tricks, open_halves, summarise
from sketchloss.experiments.retrieval.heads import retrieval
from sketchloss.experiments.retrieval.settings import Retrieval
from sketchloss.experiments.separation.distances import class_separation
from sketchloss.experiments.separation.settings import ClassSeparation
from sketchloss.experiments.tuning.finetune import finetune
from sketchloss.experiments.tuning.settings import PRESETS, Finetune
from sketchloss.loss.loss import PAPER_LAYERS, SketchLoss
from sketchloss.metrics.features import embed_sketches
from sketchloss.metrics.plain_distance import Distance, baselines
from sketchloss.metrics.ranking import nearest, top_k_accuracy
from sketchloss.networks.arms import PROPOSED, WeightsPerArm
from sketchloss.networks.weights import load_backbone
from sketchloss.system.files import plain_settings
from sketchloss.system.images import save_picture

DATA = "doodles"
FEATURES = "features"
BEFORE, AFTER = "before", "after"
#: Pictures in the folders of the steps.
DIFFERENCES, PHOTOS, MORE_PHOTOS, PROMPTS, NEAREST = (
    "differences.png",
    "photos.png",
    "more_photos.png",
    "prompts.png",
    "nearest_three.png",
)
OURS = "SketchLoss"

Needs = Mapping[str, Path]


def cells(config: Demo) -> list[Cell]:
    """Return the steps in the order in which they are done. Every setting that decides a result decides all of them."""
    settings = {name: value for name, value in plain_settings(config).items() if name not in ("out", "again")}
    settings["version"] = __version__

    def cell(name: str, compute: Any, headline: Any, needs: tuple[str, ...] = ()) -> Cell:
        return Cell(name, name, partial(compute, config), settings, needs=needs, headline=headline)

    return [
        cell("questions", ask, lambda found: f"{found['drawings']} drawings, {len(found['right'])} distances"),
        cell("pictures", draw, lambda found: f"{found['photos']} photos, {found['prompts']} prompts"),
        cell("search", train_heads, lambda found: f"{config.heads} heads for each of {len(found['arms'])} networks"),
        cell("classes", separate, lambda found: f"{found['measured']} held-out drawings", needs=("search",)),
        cell(
            "tuning",
            tune,
            lambda found: f"nearest drawing right: {found[BEFORE]:.0%}, then {found[AFTER]:.0%}",
        ),
    ]


# What distances answer -----------------------------------------------------------------------------------------------


def distances(config: Demo) -> dict[str, Distance]:
    """Return what is asked, from the plainest to ours."""
    pixels, _, ssim = baselines()
    ours = config.weights_of(PROPOSED)
    return {
        "pixels": pixels.function,
        "SSIM": ssim.function,
        "VGG loss": SketchLoss(config.photo, metric="l1", layers=PAPER_LAYERS, reduction="none"),
        OURS: SketchLoss(ours, reduction="none"),
    }


def ask(config: Demo, run: Path, _: Needs) -> dict[str, Any]:
    """Ask how often no trick fools a distance, by the name of the trick, and draw what ours sees."""
    drawings = open_halves(DATA, seed=config.seed)[1]
    tricked = make_tricks(drawings, config.image_size, count=config.asked, seed=config.seed)
    asked = distances(config)
    right: dict[str, dict[str, float]] = {}
    for name, measured in measure_tricks(asked, tricked).items():
        shares = summarise(judge(measured)).shares
        right[name] = {trick: 1 - share.value for trick, share in shares.items() if share}
    run.mkdir(exist_ok=True)
    ours = asked[OURS]
    assert isinstance(ours, SketchLoss)
    save_picture(draw_differences(ours), run / DIFFERENCES)
    return {"drawings": len(tricked), "right": right}


# What is drawn -------------------------------------------------------------------------------------------------------


def draw(config: Demo, run: Path, _: Needs) -> dict[str, Any]:
    """Turn photos into sketches, and draw prompts."""
    run.mkdir(exist_ok=True)
    few, many = draw_photos(config.stylizer)
    save_picture(few, run / PHOTOS)
    save_picture(many, run / MORE_PHOTOS)
    prompts, sheet = draw_prompts(config.base, steps=config.drawing_steps, seed=config.seed)
    save_picture(sheet, run / PROMPTS)
    return {"photos": 6, "prompts": len(prompts)}


# What is trained -----------------------------------------------------------------------------------------------------


def train_heads(config: Demo, run: Path, _: Needs) -> dict[str, Any]:
    """Train search heads on the features of the four networks (Table 3)."""
    weights = {item.name: getattr(config, item.name) for item in fields(WeightsPerArm)}
    return retrieval(
        Retrieval(
            **weights,
            **_drawings(config),
            out=run,
            epochs=8,
            seeds=config.heads,
            cache=config.out / FEATURES,
            workers=0,
            resume=(run / "config.json").is_file(),
        )
    )


def separate(config: Demo, run: Path, needs: Needs) -> dict[str, Any]:
    """Measure how far apart the heads keep the kinds (Table 4)."""
    heads = needs["search"]
    again = run.exists()
    return class_separation(
        ClassSeparation(out=run, heads=heads, part="held-out", cache=config.out / FEATURES, workers=0, again=again)
    )


def tune(config: Demo, run: Path, _: Needs) -> dict[str, Any]:
    """Tune a network on drawings (Algorithm 1), and let held-out drawings look for their kind before and after."""
    recipe = {**PRESETS["demo"], "image_sizes": (config.image_size,), "epochs": config.epochs, **_drawings(config)}
    resume = (run / "config.json").is_file()
    recipe["log_every"] = 2  # of so few steps the curves show most
    found = finetune(Finetune(**recipe, out=run, arm="tuning", weights=config.photo, workers=0, resume=resume))
    sketches = open_sketches(DATA, config.image_size, per_class=config.per_class, seed=config.seed)
    learnt, asked = sketches.split(config.held_out, seed=config.seed)  # as in the training
    labels = [torch.from_numpy(part.labels) for part in (asked, learnt)]
    held = [hold_if_small(part, workers=0) for part in (asked, learnt)]
    result: dict[str, Any] = {"held_out": len(asked), "learnt": len(learnt), "steps": found["steps"]}
    result |= {"kinds": len(sketches.classes), "accuracy": found["best_validation_accuracy"]}
    for name, weights in ((BEFORE, config.photo), (AFTER, str(run))):
        backbone = load_backbone(weights, classes=())
        queries, gallery = (embed_sketches(backbone, part, workers=0) for part in held)
        result[name] = top_k_accuracy(queries, labels[0], gallery, labels[1], k=(1,))[1]
        places = nearest(queries, gallery, 3)[1]  # at last those of the tuned network, for the picture
    save_picture(draw_nearest(asked, learnt, places.numpy()), run / NEAREST)
    return result


def _drawings(config: Demo) -> dict[str, Any]:
    """Return the settings by which all trainings have the same drawings."""
    names = ("image_size", "per_class", "held_out", "seed")
    return {"data": DATA, **{name: getattr(config, name) for name in names}}
