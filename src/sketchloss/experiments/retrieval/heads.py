"""Sketch retrieval: train a 512-d head on each arm's frozen features, then let held-out sketches look for their class
among those trained on (Seo 2025, section 4.2, Table 3).

    sketchloss retrieval --data doodles --out runs/retrieval --preset demo        a minute on two cores
    sketchloss retrieval --data FOLDER --out runs/mine --tuning runs/tuning --attention-tuning runs/attention
    sketchloss retrieval --preset paper --data songweig/imagenet_sketch --out runs/paper \\
        --tuning runs/paper-tuning --attention-tuning runs/paper-attention

A backbone's features do not change while a head is trained, so they are computed once and kept (`features.py`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from accelerate.utils import set_seed
from jaxtyping import Float, Float16, Int64
from PIL import Image
from pytorch_metric_learning.losses import TripletMarginLoss
from pytorch_metric_learning.miners import BatchHardMiner, TripletMarginMiner
from pytorch_metric_learning.samplers import MPerClassSampler
from torch import Tensor
from tqdm import tqdm

from sketchloss.data.left_out import say_left_out
from sketchloss.data.loading import HeldSketches, hold_if_small
from sketchloss.data.sources import Sketches, open_sketches
from sketchloss.experiments.retrieval.settings import Retrieval
from sketchloss.experiments.retrieval.table import RANKS, section
from sketchloss.experiments.section import Figure, write_results
from sketchloss.figures.contact_sheet import Tile, draw_contact_sheet
from sketchloss.metrics.features import cached_features, pixels_digest
from sketchloss.metrics.ranking import nearest, top_k_accuracy
from sketchloss.networks.embedder import Embedder, EmbedderConfig, load_embedder, save_embedder
from sketchloss.networks.weights import weights_digest
from sketchloss.system.files import read_json, write_json
from sketchloss.system.images import save_picture
from sketchloss.system.memory import reuse_freed_memory
from sketchloss.training.guards import TrainingStopped, require_finite
from sketchloss.training.held_folder import hold_run_folder
from sketchloss.training.run import check_run_folder, open_run_folder

SHOWN_QUERIES, SHOWN_SIDE = 8, 112


def retrieval(config: Retrieval) -> dict[str, Any]:
    """Run `sketchloss retrieval`.

    Returns:
        What `results.json` holds: `arms`, each with its `runs` (a dictionary for each seed, accuracies in [0, 1]).

    Raises:
        ValueError: as `Retrieval`, `open_sketches`, `load_backbone` and `check_run_folder`.
        TrainingStopped: if a loss is not finite.
    """
    # A mistake is said before the first hour, not after.
    layers = config.choose_layers(
        config.layer, lambda backbone: backbone.taps[-1], image_size=config.image_size, seeds=config.seeds
    )
    if not config.layer:  # so that config.json names it
        config = replace(config, layer=_noted_layer(config) or next(iter(layers.values())))
    check_run_folder(config.out, config, config.resume)
    with hold_run_folder(config.out):
        return _retrieval(config, layers)


def _noted_layer(config: Retrieval) -> str:
    """Return the layer that the run to go on with names, its first arm's; another arm may come first now."""
    try:
        return read_json(config.out / "config.json").get("layer", "") if config.resume else ""
    except (OSError, ValueError):  # which is said by who checks the folder
        return ""


def _retrieval(config: Retrieval, layers: Mapping[str, str]) -> dict[str, Any]:
    # Set-up ----------------------------------------------------------------------------------------------------------
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    reuse_freed_memory()

    # Data ------------------------------------------------------------------------------------------------------------
    sketches = open_sketches(config.data, config.image_size, per_class=config.per_class, seed=config.seed)
    say_left_out(config.data, sketches.unreadable, sketches.passed_over)
    parts = [
        sketches.split_indices(config.held_out, seed=seed, duplicates=config.duplicates == "together")
        for seed in config.all_seeds()
    ]
    gallery, queries = (min(len(part[side]) for part in parts) for side in (0, 1))
    if gallery < max(RANKS) or not queries:
        raise ValueError(
            f"{config.data} leaves {gallery} sketches to learn from and {queries} queries: at least {max(RANKS)} and "
            "one are needed; use more sketches a class"
        )
    print(f"{config.data}: {len(sketches.classes)} classes, gallery of {gallery:,} sketches, {queries:,} queries")
    pictures = hold_if_small(sketches, workers=config.workers)
    digest = pixels_digest(pictures, workers=config.workers)
    open_run_folder(config.out, config, config.resume, data=digest)

    # Features and heads ----------------------------------------------------------------------------------------------
    labels = torch.from_numpy(sketches.labels)
    runs: dict[str, list[dict[str, Any]]] = {}
    shown = None
    for arm, layer in layers.items():
        here = replace(config, layer=layer)
        known: dict[str, _Features] = {}
        runs[arm] = []
        for run, (seed, (learnt, asked)) in enumerate(zip(config.all_seeds(), parts, strict=True)):
            weights = config.weights_of(arm, run)
            if weights not in known:
                known[weights] = _features(here, arm, run, pictures, device)
            features = known[weights]
            folder = config.out / "heads" / arm / str(seed)
            result = _trained(folder, features.digest, layer)
            if result is None:
                embedder = new_embedder(here, sketches.classes, features.digest, features.rows.shape[1], seed)
                embedder.to(device)
                losses = train_head(config, embedder, features.rows, labels, learnt, seed, name=f"{arm}, seed {seed}")
                save_embedder(embedder, folder)
                # What is measured is the head as it is kept, in float16.
                embeddings = load_embedder(folder).to(device).embed(features.rows)
                _require_embeddings(embeddings, config, arm)
                result = {
                    "seed": seed,
                    "weights": weights,
                    **_accuracy(embeddings, labels, learnt, asked),
                    "untrained_top_1": _accuracy(features.averaged, labels, learnt, asked)["top_1"],
                    "losses": losses,
                }
                write_json(folder / "result.json", result)  # last: it says that the head is done
            runs[arm].append(result)
            if shown is None:  # the picture shows the first arm's first repeat
                shown = load_embedder(folder).embed(features.rows)

    # Report ----------------------------------------------------------------------------------------------------------
    results = _results(config, sketches, (gallery, queries), layers, runs)
    assert shown is not None
    embeddings = shown
    made = section([results])
    assert made.table is not None
    results["table"] = made.table.as_json()
    figure = Figure(
        f"Held-out sketches and their five nearest: {config.arms()[0]}",
        lambda path: save_picture(_picture(config, sketches, embeddings, *parts[0]), path),
    )
    write_results(config.out, results, [made.with_figures({"nearest.png": figure})])
    return results


# Features ------------------------------------------------------------------------------------------------------------


class _Features(NamedTuple):
    digest: str
    """Digest of the backbone."""
    rows: Float16[np.ndarray, "n f"]
    """Features that the heads are trained on."""
    averaged: Float[Tensor, "n c"]
    """Features averaged over positions."""


def _features(
    config: Retrieval, arm: str, run: int, pictures: Sketches | HeldSketches, device: torch.device
) -> _Features:
    # note: one start of the untrained gates for all repeats, because features are computed once an arm.
    backbone = config.load(arm, run, gates=config.seed).to(device)
    rows = cached_features(
        backbone,
        pictures,
        **{"layer": config.layer, "grid": config.grid, "precision": config.precision},
        **{"folder": config.cache, "workers": config.workers, "progress": True, "name": arm},
    )
    channels = backbone.channels(config.layer)
    averaged = [
        torch.from_numpy(rows[start : start + 1024].astype(np.float32)).unflatten(1, (channels, -1)).mean(2)
        for start in range(0, len(rows), 1024)
    ]
    return _Features(weights_digest(backbone), rows, torch.cat(averaged))


# Training a head -----------------------------------------------------------------------------------------------------


def train_head(
    config: Retrieval,
    embedder: Embedder,
    features: Float16[np.ndarray, "n f"],
    labels: Int64[Tensor, " n"],
    learnt: Int64[np.ndarray, " m"],
    seed: int,
    *,
    name: str = "",
) -> list[float]:
    """Train an embedder in place on some rows of the features.

    Args:
        config: the settings of the loss, the batches and the optimiser.
        embedder: on the device to train on.
        features: features of all sketches; may be mapped from disk.
        labels: classes of all sketches.
        learnt: which of them to train on.
        seed: random seed of dropout and of the order.
        name: what the bar calls it.

    Returns:
        The mean loss of each epoch.

    Raises:
        TrainingStopped: if the loss is not finite.
    """
    set_seed(seed)  # NumPy's too, from which the sampler draws
    device = embedder.classifier.weight.device
    batch_size = min(config.classes_per_batch, len(labels[learnt].unique())) * config.sketches_per_class
    # As many PK batches as show each sketch once on average.
    batches = MPerClassSampler(
        labels[learnt], config.sketches_per_class, batch_size, length_before_new_iter=max(batch_size, len(learnt))
    )
    optimizer = torch.optim.Adam(embedder.parameters(), lr=config.lr, fused=True)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, step_size=config.lr_every, gamma=0.1)
    triplet = TripletMarginLoss(margin=config.margin)
    miner = _miner(config)
    embedder.train()
    losses, step = [], 0
    for _ in tqdm(range(config.epochs), desc=name, unit=" epochs", disable=None):
        total = torch.zeros((), device=device)
        order = torch.tensor(list(batches)).view(-1, batch_size)
        for chosen in order.numpy():
            rows = learnt[chosen]
            inputs = torch.from_numpy(features[rows]).to(device).float()
            classes = labels[rows].to(device)
            embeddings, logits = embedder(inputs)
            loss = F.cross_entropy(logits, classes)
            if config.triplet_weight:
                mined = miner(embeddings, classes) if miner else None
                loss = loss + config.triplet_weight * triplet(embeddings, classes, mined)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.detach()
            step += 1
        losses.append(total.item() / len(order))
        require_finite(losses[-1], step, optimizer.param_groups[0]["lr"])
        schedule.step()
    embedder.eval()
    return losses


def _miner(config: Retrieval) -> BatchHardMiner | TripletMarginMiner | None:
    if config.mining == "batch-hard":
        return BatchHardMiner()
    return TripletMarginMiner(config.margin, type_of_triplets="semihard") if config.mining == "semi-hard" else None


def new_embedder(config: Retrieval, classes: Sequence[str], weights: str, features: int, seed: int) -> Embedder:
    """Return an untrained head.

    Args:
        config: its width and scale, and how the features are made.
        classes: their names.
        weights: digest of the backbone.
        features: number of values that come in for each sketch.
        seed: random seed of its start.
    """
    torch.manual_seed(seed)
    return Embedder(
        EmbedderConfig(
            features=features,
            classes=tuple(classes),
            hidden=config.hidden,
            scale=config.scale,
            weights=weights,
            layer=config.layer,
            grid=config.grid,
            image_size=config.image_size,
            precision=config.precision,
        )
    )


def _trained(folder: Path, digest: str, layer: str) -> dict[str, Any] | None:
    """Return the result of a head that an interrupted run trained, or None if it has to be trained."""
    if not (folder / "result.json").is_file():
        return None
    trained = load_embedder(folder).config
    if (trained.weights, trained.layer) != (digest, layer):
        what = "weights" if trained.weights != digest else "layers"
        raise ValueError(f"{folder} was trained on other {what} than are given now: start a new run")
    return read_json(folder / "result.json")


def _require_embeddings(embeddings: Tensor, config: Retrieval, arm: str) -> None:
    lengths = embeddings.norm(dim=1)
    if not (lengths.isfinite() & (lengths > 0)).all():
        raise TrainingStopped(
            f"the head of {arm} diverged at lr {config.lr:g}: its embeddings are zero or not finite; use a smaller --lr"
        )


def _accuracy(rows: Tensor, labels: Tensor, learnt: np.ndarray, asked: np.ndarray) -> dict[str, float]:
    scores = top_k_accuracy(rows[asked], labels[asked], rows[learnt], labels[learnt], k=RANKS)
    return {f"top_{k}": value for k, value in scores.items()}


# Report --------------------------------------------------------------------------------------------------------------


def _results(
    config: Retrieval, sketches: Sketches, parts: Sequence[int], layers: Mapping[str, str], arms: dict[str, list[dict]]
) -> dict[str, Any]:
    gallery, queries = parts
    known = config.entries()
    return {
        "format": "sketchloss retrieval",
        "data": config.data,
        "classes": len(sketches.classes),
        "gallery": gallery,
        "queries": queries,
        "unreadable": len(sketches.unreadable),
        **{name: getattr(config, name) for name in ("image_size", "hidden", "epochs", "seed", "seeds")},
        "only": list(config.only),
        "arms": {
            arm: {
                "weights": list(dict.fromkeys(run["weights"] for run in runs)),
                "gates": known[arm].gates,
                "layer": layers[arm],
                "runs": runs,
            }
            for arm, runs in arms.items()
        },
    }


def _picture(
    config: Retrieval, sketches: Sketches, embeddings: Tensor, learnt: np.ndarray, asked: np.ndarray
) -> Image.Image:
    """Draw some queries with their five nearest, as the first arm's first head finds them."""
    chosen = np.random.default_rng(config.seed).permutation(asked)[:SHOWN_QUERIES]
    _, found = nearest(embeddings[chosen], embeddings[learnt], 5)
    large = sketches.with_size(SHOWN_SIDE)
    rows = []
    for query, places in zip(chosen, found.tolist(), strict=True):
        label = sketches.labels[query]
        tiles = [
            Tile(
                large.picture(index),
                sketches.classes[sketches.labels[index]],
                "right" if sketches.labels[index] == label else "wrong",
            )
            for index in learnt[places].tolist()
        ]
        rows.append((Tile(large.picture(int(query)), sketches.classes[label]), tiles))
    return draw_contact_sheet(rows, title=f"Held-out sketches and their five nearest: {config.arms()[0]}")
