"""The four arms side by side: tune those that are tuned, measure all, one table and the pictures.

sketchloss study --preset demo --out demo        minutes on two cores, on built-in doodles
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import tyro

from sketchloss.arms import ArmWeights
from sketchloss.backbone import ARMS
from sketchloss.compare import Pair, measure, picture_differences
from sketchloss.data.captions import open_captioned
from sketchloss.data.pairs import open_pairs
from sketchloss.data.photos import open_photos
from sketchloss.data.sources import Sketches, open_sketches
from sketchloss.diffusion.bases import TINY, find_base
from sketchloss.features import embed_sketches
from sketchloss.files import claim_folder, write_atomic, write_json
from sketchloss.images import save_picture
from sketchloss.loss import SketchLoss
from sketchloss.ranking import top_k_accuracy
from sketchloss.recipes.class_separation import ClassSeparation, class_separation
from sketchloss.recipes.finetune import PRESETS as FINETUNE_PRESETS
from sketchloss.recipes.finetune import Finetune, finetune
from sketchloss.recipes.latent_diffusion import PRESETS as LORA_PRESETS
from sketchloss.recipes.latent_diffusion import LatentDiffusion, latent_diffusion
from sketchloss.recipes.retrieval import PRESETS as RETRIEVAL_PRESETS
from sketchloss.recipes.retrieval import Retrieval, retrieval
from sketchloss.recipes.style_table import PRESETS as STYLE_PRESETS
from sketchloss.recipes.style_table import StyleTable, style_table
from sketchloss.report.tables import markdown_table


@dataclass(frozen=True)
class Study:
    """Compare the paper's four arms on one set of sketches.

    Raises:
        ValueError: for a setting outside its range, naming it.
    """

    out: Path
    """Folder to make, for tables, pictures and the runs of the tuned arms."""
    data: str = "doodles"
    """Sketches: `doodles`, a folder of class folders, a folder of QuickDraw .ndjson, or a hub data set."""
    weights: str = "photo"
    """What all four arms start from."""
    image_size: int = 64
    """Side of the images in pixels."""
    per_class: Annotated[int | None, tyro.conf.DisallowNone] = 40
    """Use at most this many sketches of a class."""
    epochs: int = 3
    """Passes over the training part, for the tuned arms."""
    held_out: float = 0.2
    """Share of each class that is never trained on: the queries."""
    seed: int = 0
    """Of the split, the order and the crops; the first of `seeds`."""
    seeds: int = 3
    """Repeats of the retrieval and the separation."""
    content: str = "doodles"
    """Photos that the photo-to-sketch networks are trained on."""
    sets: tuple[str, ...] = ("doodles?tool=ink",)
    """Pairs of photo and true sketch that they draw: `doodles?tool=ink`, `cufs:PATH`, `fs2k:PATH?style=1`."""
    drawing_steps: int = 250
    """Steps that each photo-to-sketch network is trained."""
    taught: str = "doodles?tool=ink"
    """Labelled sketches that a text-to-image model is taught to draw."""
    base: str = TINY
    """The model: `tiny` (in the package), a folder, or a hub name."""
    teaching_steps: int = 150
    """Steps that it is trained."""
    again: bool = False
    """Throw away what an earlier study left in `out`."""

    def __post_init__(self) -> None:
        for name in ("image_size", "epochs", "seeds", "drawing_steps", "teaching_steps"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}: it must be at least 1")
        if not 0 < self.held_out < 1:
            raise ValueError(f"held_out is {self.held_out}: it must lie between 0 and 1")


PRESETS: dict[str, dict[str, Any]] = {"demo": {}}
FORMAT = "sketchloss study"
TUNED = tuple(arm for arm, kind in ARMS.items() if kind.tuning)
#: All that a study leaves in its folder.
MADE = {"results.json", "results.md", "compare.png", "compare_a.png", "compare_b.png", "features", *TUNED} | {
    "retrieval",
    "separation",
    "style",
    "lora",
}


def study(config: Study) -> dict[str, Any]:
    """Run the recipe; return what `results.json` holds.

    Raises:
        ValueError: if `out` holds files and `again` is not said, or files that no study made, or as `Finetune`.
    """
    # Data ------------------------------------------------------------------------------------------------------------
    sketches = open_sketches(config.data, config.image_size, per_class=config.per_class, seed=config.seed)
    gallery, queries = sketches.split(config.held_out, seed=config.seed)
    sizes = f"{len(gallery):,} sketches to learn from, {len(queries):,} held out"
    print(f"{config.data}: {len(sketches.classes)} classes, {sizes}")

    # Set-up ----------------------------------------------------------------------------------------------------------
    weights: dict[str, Any] = {
        **{"photo": config.weights, "tuning": (str(config.out / "tuning"),)},
        "attention_tuning": (str(config.out / "attention+tuning"),),
    }
    arms = ArmWeights(**weights)
    open_photos(config.content, config.image_size)  # what is drawn comes last: a mistake there must not cost the rest
    open_captioned(config.taught, config.image_size, per_class=1)
    find_base(config.base)
    for source in config.sets:
        open_pairs(source)
    untuned = {arm: arms.load(arm) for arm, kind in ARMS.items() if not kind.tuning}
    claim_folder(config.out, kind="study", made=MADE, again=config.again)

    # Arms ------------------------------------------------------------------------------------------------------------
    rows = []
    for arm, kind in ARMS.items():
        accuracy = None
        if kind.tuning:
            print(f"\n{arm}: tuning")
            accuracy = finetune(_tuning(config, arm))["best_validation_accuracy"]
        backbone = arms.load(arm) if kind.tuning else untuned[arm]
        scores = top_k_accuracy(
            embed_sketches(backbone, queries),
            torch.from_numpy(queries.labels),
            embed_sketches(backbone, gallery),
            torch.from_numpy(gallery.labels),
        )
        rows.append({"arm": arm, "classification": accuracy, **{f"top_{k}": value for k, value in scores.items()}})

    # Retrieval and separation: Tables 3 and 4 ------------------------------------------------------------------------
    same: dict[str, Any] = {
        **{name: getattr(config, name) for name in ("data", "image_size", "per_class", "held_out", "seed", "seeds")},
        **weights,
        "cache": config.out / "features",
    }
    print("\nRetrieval: training heads")
    retrieval(Retrieval(out=config.out / "retrieval", **{**RETRIEVAL_PRESETS["demo"], **same}))
    print("\nSeparation of the classes by the trained embeddings")
    class_separation(ClassSeparation(out=config.out / "separation", heads=config.out / "retrieval", **same))

    # Photo to sketch: Table 1 and Figure 2 ---------------------------------------------------------------------------
    print("\nPhoto to sketch with the loss of each arm")
    drawing: dict[str, Any] = {"content": config.content, "sets": config.sets, "seed": config.seed, **weights}
    drawing["steps"] = config.drawing_steps
    style_table(StyleTable(out=config.out / "style", **{**STYLE_PRESETS["demo"], **drawing}))

    # Prompt to sketch: Figure 3 --------------------------------------------------------------------------------------
    print("\nPrompt to sketch: teaching a text-to-image model to draw")
    teaching: dict[str, Any] = {"base": config.base, "data": config.taught, "steps": config.teaching_steps, **weights}
    teaching["seed"] = config.seed
    latent_diffusion(LatentDiffusion(out=config.out / "lora", **{**LORA_PRESETS["demo"], **teaching}))

    # Report ----------------------------------------------------------------------------------------------------------
    results = {
        "format": FORMAT,
        "data": config.data,
        "image_size": config.image_size,
        "classes": len(sketches.classes),
        "gallery": len(gallery),
        "queries": len(queries),
        "epochs": config.epochs,
        "seed": config.seed,
        "weights": config.weights,
        "arms": rows,
    }
    write_json(config.out / "results.json", results)
    text = f"{_caption(results)}\n\n{_table(rows)}"
    with write_atomic(config.out / "results.md") as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")
    compared = _compare_two(queries, config.out)
    print(f"\nThe backbones as they are, without a trained head\n\n{text}\n\nTo look at, in {config.out}:")
    for file, what in (
        ("results.md", "the table above"),
        (compared.name, "two held-out sketches compared by the attention+tuning arm"),
        *((f"{arm}/curves.png", f"training curves of {arm}") for arm in TUNED),
        ("retrieval/table.md", "Table 3 in small"),
        ("retrieval/nearest.png", "queries with their five nearest"),
        ("separation/table.md", "Table 4 in small"),
        ("separation/ratio.png", "Figure 4 in small"),
        ("separation/distances.png", "distances within and across classes"),
        ("separation/map.png", "maps of the embeddings"),
        ("style/table.md", "Table 1 in small"),
        ("style/figure.png", "Figure 2 in small: photos, true sketches, and what the arms draw"),
        ("lora/samples.png", "Figure 3 in very small: what a text-to-image model draws after a few lessons"),
    ):
        print(f"  {file:28} {what}")
    return results


def _tuning(config: Study, arm: str) -> Finetune:
    return Finetune(
        data=config.data,
        out=config.out / arm,
        arm=arm,  # pyright: ignore[reportArgumentType] - one of ARMS, and tuned
        weights=config.weights,
        image_size=config.image_size,
        per_class=config.per_class,
        epochs=config.epochs,
        held_out=config.held_out,
        seed=config.seed,
        **{name: FINETUNE_PRESETS["demo"][name] for name in ("lr", "warmup")},
    )


def _compare_two(queries: Sketches, out: Path) -> Path:
    """Compare two held-out sketches, of one class if one has two, and draw where they differ."""
    counts = np.bincount(queries.labels)
    label = int(counts.argmax())
    one, other = (queries.labels == label).nonzero()[0][:2] if counts[label] > 1 else (0, len(queries) - 1)
    files = [out / "compare_a.png", out / "compare_b.png"]
    for index, file in zip((one, other), files, strict=True):
        save_picture(queries.with_size(256).picture(int(index)), file)
    loss = SketchLoss(out / "attention+tuning")
    distances, _ = measure(loss, [Pair(queries.classes[label], *files)])
    save_picture(picture_differences(loss, distances, weights="attention+tuning")[0], out / "compare.png")
    return out / "compare.png"


def _caption(results: dict[str, Any]) -> str:
    return (
        f"Four arms on {results['data']}: {results['classes']} classes, {results['image_size']} pixels, "
        f"{results['queries']:,} queries against {results['gallery']:,} sketches, tuned {results['epochs']} epochs "
        f"from {results['weights']}, one seed ({results['seed']}). Top-k: a sketch of the query's class is among the k "
        "nearest by cosine similarity of the pooled relu5_3 features. Classified: validation top-1 of the tuned arms, "
        "whose best epoch is chosen on the queries. The untuned gates are as PyTorch starts them."
    )


def _table(rows: Sequence[dict[str, Any]]) -> str:
    columns = {"top_1": "top-1", "top_3": "top-3", "top_5": "top-5", "classification": "classified"}
    cells = [[row["arm"], *("-" if row[name] is None else f"{row[name]:.1%}" for name in columns)] for row in rows]
    return markdown_table(["arm", *columns.values()], cells)
