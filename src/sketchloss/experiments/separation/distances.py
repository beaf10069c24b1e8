"""Class separation, how far apart the arms keep the classes: Table 4 and Figure 4 (Seo 2025, section 4.3).

    sketchloss separation --data doodles --out runs/separation --per-class 20          a minute or two on two cores
    sketchloss separation --data FOLDER --out runs/separation --tuning runs/tuning --attention-tuning runs/attention
    sketchloss separation --heads runs/retrieval --out runs/separation                 of the trained 512-d embedding

Mean cosine distance within and across classes, exactly (`sketchloss.metrics.separation`), their ratio, and beside it
how often a sketch's nearest neighbour is of its class.
"""

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float16, Float32, Int64

from sketchloss.data.left_out import say_left_out
from sketchloss.data.loading import HeldSketches, hold_if_small
from sketchloss.data.names import short_name
from sketchloss.data.sources import Sketches, open_sketches
from sketchloss.experiments.section import WRITTEN, Figure, write_results
from sketchloss.experiments.separation.figures import (
    Sample,
    draw_distances,
    draw_map,
    draw_ratios,
    ratio_bars,
)
from sketchloss.experiments.separation.settings import PRESETS, ClassSeparation
from sketchloss.experiments.separation.table import QUANTITIES, section, table_of
from sketchloss.metrics.distance_histogram import DistanceHistogram, distance_histogram
from sketchloss.metrics.embedding_map import choose_sample, map_to_plane
from sketchloss.metrics.features import cached_features, pixels_digest
from sketchloss.metrics.ranking import top_k_accuracy
from sketchloss.metrics.separation import Separation, separation
from sketchloss.metrics.statistics import format_spread, spread
from sketchloss.networks.backbone import Backbone
from sketchloss.networks.embedder import Embedder, load_embedder
from sketchloss.networks.weights import weights_digest
from sketchloss.system.files import claim_folder, read_json
from sketchloss.training.held_folder import hold_run_folder
from sketchloss.training.run import check_data

KIND = "separation"
#: All that this leaves in its folder.
MADE = {"config.json", *WRITTEN, "ratio.png", "distances.png", "map.png"}


@dataclass(frozen=True)
class Measured:
    """Measurements of one arm."""

    varies: str
    """Description of what differs from repeat to repeat; empty: nothing, and there is only one repeat."""
    runs: list[dict[str, float]]
    """Quantities of each repeat."""
    result: Separation
    """Separation in the first repeat; the fields below are of that repeat, too."""
    histogram: DistanceHistogram
    positions: np.ndarray | None
    """Positions of the sketches on the map."""

    def values(self, quantity: str) -> list[float]:
        """Return a quantity of each repeat; empty if one of them has none (its features have collapsed)."""
        values = [run[quantity] for run in self.runs]
        return values if all(map(math.isfinite, values)) else []


def class_separation(config: ClassSeparation) -> dict[str, Any]:
    """Run `sketchloss separation`; return the contents of `results.json`.

    Raises:
        ValueError: for weights, heads or a layer that do not fit, embeddings that are zero, or an `out` that is in use.
        FileNotFoundError: for weights or heads that are not there.
    """
    with hold_run_folder(config.out):
        return _class_separation(config)


def _class_separation(config: ClassSeparation) -> dict[str, Any]:
    # Set-up: mistakes are found before anything is written or takes long ---------------------------------------------
    if config.heads is not None:
        config = take_settings_of_run(config, config.heads)
    layers = _choose_layers(config)
    if config.heads is None:
        config = replace(config, layer=next(iter(layers.values())))  # so that config.json names it

    # Data ------------------------------------------------------------------------------------------------------------
    sketches = open_sketches(config.data, config.image_size, per_class=config.per_class, seed=config.seed)
    say_left_out(config.data, sketches.unreadable, sketches.passed_over)
    parts = _choose_parts(config, sketches)
    held = hold_if_small(sketches, workers=config.workers)
    if config.heads is not None:  # else the parts held out would be others
        check_data(config.heads, pixels_digest(held, workers=config.workers))
    claim_folder(config.out, kind=KIND, made=MADE, again=config.again, settings=config)
    which = "all of them" if config.part == "whole" else f"{len(parts[0]):,} held out"
    print(f"{config.data}: {len(sketches):,} sketches of {len(sketches.classes)} classes, {which}")

    # Arms ------------------------------------------------------------------------------------------------------------
    found: dict[str, Measured] = {}
    sample = choose_sample(sketches.labels[parts[0]])
    for arm, layer in layers.items():
        here = config if config.heads else replace(config, layer=layer)
        found[arm] = _measure_arm(here, arm, held, parts, sample)
        print(f"{arm}: {_in_short(found[arm])}")

    # Report ----------------------------------------------------------------------------------------------------------
    results = _results(config, sketches, layers, found)
    results["table"] = table_of([results]).as_json()
    figures = _figures(config, sketches.classes, results, found, sample)
    write_results(config.out, results, [section([results]).with_figures(figures)])
    return results


# What is measured ----------------------------------------------------------------------------------------------------


def take_settings_of_run(config: ClassSeparation, run: Path) -> ClassSeparation:
    """Take over the settings of a run of `sketchloss retrieval`: its data, sizes, weights and seeds.

    Raises:
        ValueError: if the folder is no such run, or a setting of the config is neither the default nor the run's.
    """
    mend = "--heads takes the folder of a finished `sketchloss retrieval` run"
    try:
        stored = read_json(run / "config.json")
    except (OSError, ValueError):
        raise ValueError(f"{run} holds no readable config.json: {mend}") from None
    if not (run / "heads").is_dir():
        raise ValueError(f"{run} holds no heads: {mend}, finish it with `sketchloss retrieval --resume`")
    settled = {}
    for item in dataclasses.fields(config):
        if item.name not in stored or item.name in OWN:
            continue
        value, given = stored[item.name], getattr(config, item.name)
        settled[item.name] = value = tuple(value) if isinstance(value, list) else value
        # What a preset may have set, nobody has asked for.
        presets = [changes[item.name] for changes in PRESETS.values() if item.name in changes]
        if given not in (item.default, value, *presets):
            flag = f"--{item.name.replace('_', '-')}"
            raise ValueError(f"{item.name} is {given!r}, but the heads in {run} have {value!r}: leave {flag} out")
    try:
        return replace(config, **settled)
    except TypeError as error:
        raise ValueError(f"{run}/config.json is damaged ({error}): {mend}") from None


#: What a config says for itself, whatever the run with the heads says.
OWN = {"out", "again", "heads", "only", "layer", "part", "hardest", "precision", "cache", "workers"}


def what_varies(config: ClassSeparation, arm: str) -> str:
    """Say what differs between the repeats of an arm; empty if nothing does."""
    entry = config.entries()[arm]
    names = {entry.weights_of(run) for run in range(config.seeds)}
    found = {
        "the split": config.part == "held-out",
        "the weights" if entry.tuning is None else "the tuned weights": len(names) > 1,
        # Heads are trained on one start of the gates.
        "the untrained gates": entry.gates == "untrained" and config.heads is None,
        "the trained head": config.heads is not None,
    }
    return " and ".join(name for name, varies in found.items() if varies) if config.seeds > 1 else ""


def _arms_with_heads(config: ClassSeparation, run: Path) -> list[str]:
    mend = "finish the run with `sketchloss retrieval --resume`"
    if missing := [arm for arm in config.only if not (run / "heads" / arm).is_dir()]:
        raise ValueError(f"only names {missing[0]}, which is not in {run}/heads: name others, or {mend}")
    arms = [arm for arm in config.arms() if (run / "heads" / arm).is_dir()]
    if not arms:
        raise ValueError(f"{run}/heads has none of {', '.join(config.arms())}: {mend}")
    return arms


def _choose_layers(config: ClassSeparation) -> dict[str, str]:
    """Return the layer of each arm that is measured, of trained heads the one below them; all weights are checked."""
    config.check_counts(config.seeds)
    if config.heads is None:
        return config.choose_layers(
            config.layer,
            lambda backbone: backbone.embedding_layer,
            image_size=config.image_size,
            seeds=config.seeds,
        )
    layers = {}
    for arm in _arms_with_heads(config, config.heads):
        for run in range(config.seeds):
            _, head = _load(config, arm, run)
            assert head is not None
            layers[arm] = head.config.layer
    return layers


def _load(config: ClassSeparation, arm: str, run: int) -> tuple[Backbone, Embedder | None]:
    """Load an arm's backbone for one repeat, and the head that was trained on its features if heads are measured."""
    if config.heads is None:
        return config.load(arm, run, gates=config.seed + run), None
    folder = config.heads / "heads" / arm / str(config.seed + run)
    head = load_embedder(folder)
    if head.config.image_size != config.image_size:
        raise ValueError(f"{folder} was trained at {head.config.image_size} pixels and not {config.image_size}")
    # The heads of `attention` are all trained on one start of the gates.
    backbone = config.load(arm, run, gates=config.seed)
    if head.config.weights != weights_digest(backbone):
        weights = config.weights_of(arm, run)
        raise ValueError(f"{folder} was trained on other weights than {weights} is now: run the retrieval again")
    return backbone, head


def _choose_parts(config: ClassSeparation, sketches: Sketches) -> list[np.ndarray]:
    """Return of each repeat which sketches are measured."""
    if config.part == "whole":
        parts = [np.arange(len(sketches))] * config.seeds
    else:
        together = config.duplicates == "together"
        parts = [
            sketches.split_indices(config.held_out, seed=config.seed + run, duplicates=together)[1]
            for run in range(config.seeds)
        ]
    for part in parts:
        counts = np.bincount(sketches.labels[part], minlength=2)
        if (counts > 0).sum() < 2 or counts.max() < 2:
            mend = "it needs more a class" if config.part == "whole" else "hold out more, or measure the whole"
            raise ValueError(f"{config.data}: no class has two sketches in the {config.part} part: {mend}")
    return parts


def _measure_arm(
    config: ClassSeparation, arm: str, sketches: Sketches | HeldSketches, parts: Sequence[np.ndarray], sample: Sample
) -> Measured:
    varies, labels = what_varies(config, arm), sketches.labels
    first, *others = parts if varies else parts[:1]
    known: dict[str, Float16[np.ndarray, "n f"]] = {}
    rows = _embed(config, arm, 0, sketches, known)[first]
    result, quantities = _measure(arm, rows, labels[first], config.hardest)
    runs = [quantities]
    for run, part in enumerate(others, start=1):
        runs.append(_measure(arm, _embed(config, arm, run, sketches, known)[part], labels[part], 0)[1])
    return Measured(varies, runs, result, distance_histogram(rows, labels[first]), map_to_plane(rows[sample.rows]))


def _embed(
    config: ClassSeparation,
    arm: str,
    run: int,
    sketches: Sketches | HeldSketches,
    known: dict[str, Float16[np.ndarray, "n f"]],
) -> Float32[np.ndarray, "n d"]:
    """Return the embeddings of all sketches, in their order; keep the features in `known`, by the backbone's digest."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    backbone, head = _load(config, arm, run)
    digest = weights_digest(backbone)
    if digest not in known:  # else all pixels would be decoded and hashed again
        how = {"layer": config.layer, "precision": config.precision}
        if head is not None:  # the heads of an arm differ in their seeds only
            how = {name: getattr(head.config, name) for name in ("layer", "grid", "precision")}
        settings = {"folder": config.cache, "workers": config.workers, "progress": True, "name": arm}
        known[digest] = cached_features(backbone.to(device), sketches, **how, **settings)
    if head is None:
        return np.asarray(known[digest], dtype=np.float32)
    return head.to(device).embed(known[digest]).numpy()


def _measure(
    arm: str, rows: Float32[np.ndarray, "n d"], labels: Int64[np.ndarray, " n"], hardest: int
) -> tuple[Separation, dict[str, float]]:
    try:
        found = separation(rows, labels, hardest=hardest)
    except ValueError as error:
        raise ValueError(f"{arm}: {error}") from None
    vectors, classes = torch.from_numpy(rows), torch.from_numpy(labels)
    near = (1, min(5, len(rows) - 1))
    accuracy = top_k_accuracy(vectors, classes, vectors, classes, near, exclude_self=True)
    distances = {name: getattr(found, name) for name in QUANTITIES if not name.startswith("top_")}
    return found, {**distances, "top_1": accuracy[1], "top_5": accuracy[near[1]]}


# Report --------------------------------------------------------------------------------------------------------------


def _results(
    config: ClassSeparation, sketches: Sketches, layers: Mapping[str, str], found: Mapping[str, Measured]
) -> dict[str, Any]:
    first = next(iter(found.values()))
    return {
        "format": f"sketchloss {KIND}",
        "data": config.data,
        "part": config.part,
        "held_out": config.held_out,
        "sketches": len(sketches),
        "measured": first.result.n,
        "classes": first.result.classes,
        "singletons": first.result.singletons,
        "unreadable": len(sketches.unreadable),
        "image_size": config.image_size,
        "seeds": config.seeds,
        "heads": config.heads and str(config.heads),
        "embedding": _in_words(config.heads) if config.heads else f"{_each(layers)}, averaged over positions",
        "in_histogram": first.histogram.rows,
        "arms": {
            arm: {"layer": layers[arm], **_results_of_arm(config, sketches.classes, arm, one)}
            for arm, one in found.items()
        },
        "left_out": [arm for arm in config.entries() if arm not in found and not config.only],
    }  # fmt: skip


def _results_of_arm(config: ClassSeparation, classes: Sequence[str], arm: str, measured: Measured) -> dict[str, Any]:
    return {
        "weights": list(dict.fromkeys(config.weights_of(arm, run) for run in range(len(measured.runs)))),
        "varies": measured.varies or None,
        "runs": [
            {"seed": config.seed + run, **{name: _finite(value) for name, value in quantities.items()}}
            for run, quantities in enumerate(measured.runs)
        ],
        # Of the first repeat.
        "hardest": [
            {"first": classes[pair.first], "second": classes[pair.second], "cosine": pair.cosine}
            for pair in measured.result.hardest
        ],
        "per_class": {
            classes[label]: {**asdict(one), "ratio": _finite(one.ratio)}
            for label, one in measured.result.per_class.items()
        },
    }


def _each(layers: Mapping[str, str]) -> str:
    """Say which layer is measured, and of which arms it is another."""
    first = next(iter(layers.values()))
    others = [f"; of {arm} {layer}" for arm, layer in layers.items() if layer != first]
    return f"{first}{''.join(others)}"


def _in_words(heads: Path) -> str:
    stored = read_json(heads / "config.json")
    epochs = stored.get("epochs")
    return f"the embedding of trained heads ({stored.get('hidden')} wide, {epochs} epoch{'s' * (epochs != 1)})"


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _in_short(measured: Measured) -> str:
    values = measured.values("ratio")
    repeats = f", {len(values)} seeds" if len(values) > 1 else ""
    return f"ratio {format_spread(spread(values))}{repeats}" if values else "no ratio, its features have collapsed"


def _figures(
    config: ClassSeparation,
    classes: Sequence[str],
    results: dict[str, Any],
    found: Mapping[str, Measured],
    sample: Sample,
) -> dict[str, Figure]:
    layer = "trained embedding"
    if config.heads is None:
        layer = ", ".join(dict.fromkeys(one["layer"] for one in results["arms"].values()))
    measured, rows = results["measured"], results["in_histogram"]
    what = (
        f"{short_name(config.data)}: {measured:,} sketches of {results['classes']} classes, {config.image_size} "
        f"pixels, {layer}"
    )
    seed = ", first seed" if config.seeds > 1 else ""
    pairs = "all pairs" if rows == measured else f"pairs of a random sample of {rows:,}"
    shown = "all" if len(sample.rows) == measured else f"{len(sample.rows):,}"
    titles = {
        "ratio.png": f"Class separation\n{what}",
        "distances.png": f"Distances of pairs ({pairs}{seed})\n{what}",
        "map.png": f"Maps of the embedding (t-SNE of {shown}{seed})\n{what}",
    }
    bars = ratio_bars(table_of([results]))
    histograms = {arm: one.histogram for arm, one in found.items()}
    positions = {arm: one.positions for arm, one in found.items()}
    drawn: dict[str, Callable[[Path, str], object]] = {
        "ratio.png": lambda path, title: draw_ratios(bars, path, title=title),
        "distances.png": lambda path, title: draw_distances(histograms, path, title=title),
        "map.png": lambda path, title: draw_map(positions, sample, classes, path, title=title),
    }
    return {
        name: Figure(title.replace("\n", ", "), partial(_draw, drawn[name], title)) for name, title in titles.items()
    }


def _draw(draw: Callable[[Path, str], object], title: str, path: Path) -> None:
    draw(path, title)
