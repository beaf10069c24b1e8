"""From the settings of a study to its cells: which recipe is run with what, for every part, arm and seed."""

import dataclasses
import functools
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

import torch

from sketchloss.data.loading import hold_if_small
from sketchloss.data.names import short_name
from sketchloss.data.sources import open_sketches, split_sources
from sketchloss.features import embed_sketches
from sketchloss.loss import DEFAULT_METRIC
from sketchloss.networks.arms import ARMS, Arm, read_arms
from sketchloss.networks.attention import GateInit
from sketchloss.networks.backbone import Backbone
from sketchloss.networks.weights import load_backbone, weights_digest
from sketchloss.ranking import top_k_accuracy
from sketchloss.recipes.class_separation import ClassSeparation, class_separation
from sketchloss.recipes.finetune import PRESETS as FINETUNE_PRESETS
from sketchloss.recipes.finetune import Finetune, finetune
from sketchloss.recipes.probe import PRESETS as PROBE_PRESETS
from sketchloss.recipes.probe import Probe, probe
from sketchloss.recipes.retrieval import PRESETS as RETRIEVAL_PRESETS
from sketchloss.recipes.retrieval import Retrieval, retrieval
from sketchloss.recipes.study.cells import Cell
from sketchloss.recipes.study.settings import Choice, Part, Study
from sketchloss.recipes.style_table import PRESETS as STYLE_PRESETS
from sketchloss.recipes.style_table import StyleTable, style_table
from sketchloss.report.lora_table import PLAIN
from sketchloss.separation import separation
from sketchloss.tap_distance import VERSIONS

REFERENCE = "as the study"
#: What of a config does not decide a result, or is said by a cell's needs.
_FREE = frozenset(
    {"out", "cache", "workers", "resume", "again", "dry_run", "tuning", "attention_tuning", "heads", "judge"}
    | {"references"}
)


def plan_cells(config: Study) -> list[Cell]:
    """Return the cells of a study, each after those that it needs."""
    parts: dict[Part, Any] = {
        **{"tuning": _tuning_cells, "retrieval": _retrieval_cells, "separation": _separation_cells},
        **{"probe": _probe_cells, "style": _style_cells, "lora": _lora_cells, "ablation": _ablation_cells},
    }
    # Whatever is measured needs the tuned arms, and separation the heads of retrieval.
    wanted = {part for part in parts if config.does(part)}
    if wanted - {"ablation"}:
        wanted.add("tuning")
    if "separation" in wanted:
        wanted.add("retrieval")
    return [cell for part, cells in parts.items() if part in wanted for cell in cells(config)]


def check_sizes(config: Study) -> None:
    """See that images are large enough for the layers that are measured.

    Raises:
        ValueError: naming the setting and the pixels that are needed.
    """
    networks = [_network(start_of(config, arm)) for arm in config.entries().values()]
    embedded = max(network.minimum_size((network.embedding_layer,)) for network in networks)
    deepest = max(network.minimum_size((network.taps[-1],)) for network in networks)
    # note: a retrieval head and the paper's classifier see the deepest layer, the other parts the embedding's.
    sizes = {"image_size": deepest if config.does("retrieval") or config.does("separation") else embedded}
    if config.does("ablation"):
        sizes["ablation_image_size"] = deepest if config.tuning_preset == "paper" else embedded
    for name, least in sizes.items():
        value = getattr(config, name)
        if value is not None and value < least:
            raise ValueError(f"{name} is {value}: it must be {least} pixels or more")


def further_tunings(config: Study) -> dict[str, Finetune]:
    """Return by name how the first seed of each further arm is tuned that the study tunes.

    Raises:
        ValueError: for settings that do not go together, naming the arm.
    """
    found = {}
    for arm in filter(_is_tuned, config.further().values()):
        try:
            found[arm.name] = Finetune(out=config.out, **_finetune(config, arm, config.seed))
        except ValueError as error:
            raise ValueError(f"arm {arm.name}: {error}") from None
    return found


# Weights -------------------------------------------------------------------------------------------------------------


def _is_tuned(arm: Arm) -> bool:
    """Tell whether the study tunes it."""
    return arm.tuning is not None


def start_of(config: Study, arm: Arm, seed: int | None = None) -> str:
    """Return the weights that an arm has, or that its tuning starts from."""
    if arm.tuning is not None:
        return arm.tuning.get("weights", config.weights)
    return arm.weights_of(0 if seed is None else seed - config.seed)


def _weights_needed(arm: Arm, seed: int) -> tuple[str, ...]:
    return (_tuning_name(arm.name, seed),) if _is_tuned(arm) else ()


def _arm_settings(config: Study, arm: Arm, seed: int) -> dict[str, Any]:
    """Return the settings of `ArmWeights` for one arm, but for the folder of its tuned weights."""
    given = {} if _is_tuned(arm) else arm.settings(start_of(config, arm, seed))
    return {"only": (arm.name,), "photo": config.weights, "downsample": config.downsample, "seed": seed, **given}


def _arm_paths(arm: Arm, seed: int, needs: Mapping[str, Path]) -> dict[str, Any]:
    """Return the settings that name tuned weights."""
    tuned = arm.settings(str(needs[_tuning_name(arm.name, seed)])) if _is_tuned(arm) else {}
    return {"tuning": (), "attention_tuning": (), **tuned}


def _of(config: Study, arm: str, seed: int, source: str = "") -> dict[str, Any]:
    """Return whose a cell is."""
    names = [*config.entries(), PLAIN]
    return {"arm": arm, "place": names.index(arm), "seed": seed, "source": source}


# Tuning --------------------------------------------------------------------------------------------------------------


def _tuning_name(arm: str, seed: int) -> str:
    return f"tuning/{arm}/{seed}"


def _tuning_cells(config: Study) -> Iterator[Cell]:
    for seed in config.all_seeds():
        for arm in filter(_is_tuned, config.entries().values()):
            name = _tuning_name(arm.name, seed)
            yield _tuning_cell(config, name, "tuning", _finetune(config, arm, seed), arm.name)


def _finetune(config: Study, arm: Arm, seed: int, **changes: Any) -> dict[str, Any]:
    """Return the settings of `sketchloss finetune` but for its folder."""
    tuning = arm.tuning or {}
    settings = {
        **FINETUNE_PRESETS[config.tuning_preset],
        **{name: getattr(config, name) for name in ("data", "leave_out", "weights", "downsample", "gate_init")},
        **{name: getattr(config, name) for name in ("image_size", "per_class", "held_out", "epochs", "batch_size")},
        **({"lr": config.lr} if config.lr else {}),
        "seed": seed,
        **tuning,
        **changes,
    }
    # At one size, so that cells cost what `estimate.py` says.
    return {**settings, "image_sizes": tuning.get("image_sizes", (settings["image_size"],))}


def _tuning_cell(config: Study, name: str, part: str, settings: dict[str, Any], arm: str) -> Cell:
    def compute(run: Path, _: Mapping[str, Path]) -> dict[str, Any]:
        found = finetune(Finetune(out=run, resume=(run / "config.json").is_file(), **settings))
        metrics = [json.loads(line) for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
        epochs = [line for line in metrics if "validation_accuracy" in line]
        left_out = (
            measure_left_out(config, load_backbone(run, classes=()), settings["seed"], settings["image_size"])
            if config.leave_out
            else {}
        )
        return {
            "validation_accuracy": found["best_validation_accuracy"],
            "validation_top5": max(epochs, key=lambda line: line["validation_accuracy"])["validation_top5"],
            "accuracies": [line["validation_accuracy"] for line in epochs],
            "steps": found["steps"],
            "held_out_sketches": found["held_out"],
            **left_out,
        }

    return Cell(
        *(name, part, compute, _decisive(Finetune, settings)),
        headline=lambda found: f"validation top-1 {found['validation_accuracy']:.1%}",
        **_of(config, arm, settings["seed"]),
    )


def measure_left_out(config: Study, backbone: Backbone, seed: int, image_size: int) -> dict[str, Any]:
    """Return how well a backbone's features tell the classes apart that no arm was tuned on."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    sketches = open_sketches(config.data, image_size, per_class=config.per_class, seed=seed).select_classes(
        config.leave_out
    )
    rows, labels = embed_sketches(backbone.to(device), hold_if_small(sketches)), torch.from_numpy(sketches.labels)
    found: dict[str, Any] = {"left_out_sketches": len(sketches), "left_out_classes": len(sketches.classes)}
    if not rows.isfinite().all() or not rows.any(1).all():  # the training has collapsed, and its accuracy says so
        return found
    scores = top_k_accuracy(rows, labels, rows, labels, k=(1, 5), exclude_self=True)
    found |= {f"left_out_top_{k}": value for k, value in scores.items()}
    ratio = separation(rows, labels).ratio
    return {**found, "left_out_ratio": ratio if torch.isfinite(torch.tensor(ratio)) else None}


# Retrieval and separation: Tables 3 and 4 ----------------------------------------------------------------------------


def _retrieval_name(source: str, arm: str, seed: int) -> str:
    return f"retrieval/{short_name(source)}/{arm}/{seed}"


def _retrieval_cells(config: Study) -> Iterator[Cell]:
    for source in config.measured_sets():
        for seed in config.all_seeds():
            for arm in config.entries().values():
                yield _retrieval_cell(config, source, arm, seed)


def _retrieval_cell(config: Study, source: str, arm: Arm, seed: int) -> Cell:
    settings = {
        **RETRIEVAL_PRESETS[config.retrieval_preset],
        **{"data": source, "image_size": config.image_size, "per_class": config.per_class, "seeds": 1},
        **{"held_out": config.held_out, **_arm_settings(config, arm, seed)},
    }

    def compute(run: Path, needs: Mapping[str, Path]) -> dict[str, Any]:
        resume = (run / "config.json").is_file()
        where = {"out": run, "cache": _feature_cache(run), "resume": resume, **_arm_paths(arm, seed, needs)}
        return retrieval(Retrieval(**settings, **where))

    return Cell(
        *(_retrieval_name(source, arm.name, seed), "retrieval", compute),
        _decisive(Retrieval, settings, start_of(config, arm, seed)),
        needs=_weights_needed(arm, seed),
        headline=lambda found: f"top-1 {found['arms'][arm.name]['runs'][0]['top_1']:.1%}",
        **_of(config, arm.name, seed, source),
    )


def _feature_cache(run: Path) -> Path:
    """Return the folder that the cells of a study share for features; files in it are named by their contents."""
    return run.parents[1].parent / "features"


def _separation_cells(config: Study) -> Iterator[Cell]:
    for source in config.measured_sets():
        for seed in config.all_seeds():
            for arm in config.entries().values():
                yield _separation_cell(config, source, arm, seed)


def _separation_cell(config: Study, source: str, arm: Arm, seed: int) -> Cell:
    heads = _retrieval_name(source, arm.name, seed)

    def compute(run: Path, needs: Mapping[str, Path]) -> dict[str, Any]:
        where: dict[str, Any] = {"out": run, "heads": needs[heads], "cache": _feature_cache(run)}
        return class_separation(ClassSeparation(only=(arm.name,), again=run.exists(), **where))

    return Cell(
        *(f"separation/{short_name(source)}/{arm.name}/{seed}", "separation", compute),
        {"arm": arm.name, "seed": seed},
        needs=(heads, *_weights_needed(arm, seed)),
        headline=lambda found: f"ratio {found['arms'][arm.name]['runs'][0]['ratio'] or float('nan'):.2f}",
        **_of(config, arm.name, seed, source),
    )


# Probe ---------------------------------------------------------------------------------------------------------------


def _probe_cells(config: Study) -> Iterator[Cell]:
    for seed in config.all_seeds():
        for arm in config.entries().values():
            # note: the drawings are the same for every seed, and so are weights that were given once.
            if _is_tuned(arm) or len(arm.weights) > 1 or seed == config.seed:
                yield _probe_cell(config, arm, seed)


def _probe_cell(config: Study, arm: Arm, seed: int) -> Cell:
    settings = {
        **PROBE_PRESETS[config.probe_preset],
        # What is no network is measured once, beside one of the arms.
        **{"data": config.probed, "triplets": config.triplets, "baselines": arm.name == [*ARMS][-1]},
        **_arm_settings(config, arm, seed),
        "seed": config.seed,
    }
    # note: what the loss is by default decides a result, too, and so do the metrics that the chosen one is one of.
    start = start_of(config, arm, seed)
    default = [*_network(start).default_layers, DEFAULT_METRIC]
    decisive = {**_decisive(Probe, settings, start), "default": default, "metrics": VERSIONS}

    def compute(run: Path, needs: Mapping[str, Path]) -> dict[str, Any]:
        return probe(Probe(**settings, out=run, again=run.exists(), **_arm_paths(arm, seed, needs)))

    def headline(found: Mapping[str, Any]) -> str:
        return f"score {next(row for row in found['rows'] if row['arm'] == arm.name)['report']['score']:.3f}"

    return Cell(
        *(f"probe/{arm.name}/{seed}", "probe", compute, decisive),
        needs=_weights_needed(arm, seed),
        headline=headline,
        **_of(config, arm.name, seed),
    )


# Photo to sketch: Table 1 and Figure 2 -------------------------------------------------------------------------------


def _style_cells(config: Study) -> Iterator[Cell]:
    for seed in config.all_seeds(config.generator_seeds):
        for source in config.sets:
            for arm in config.entries().values():
                yield _style_cell(config, source, arm, seed)


def _style_cell(config: Study, source: str, arm: Arm, seed: int) -> Cell:
    sizes = {"steps": config.drawing_steps, "image_size": config.drawing_size}
    settings = {
        **STYLE_PRESETS[config.style_preset],
        **{name: value for name, value in sizes.items() if value is not None},
        **{"content": config.content, "sets": (source,), "inception": config.inception},
        **_arm_settings(config, arm, seed),
    }

    def compute(run: Path, needs: Mapping[str, Path]) -> dict[str, Any]:
        where = {"out": run, "resume": (run / "config.json").is_file(), **_arm_paths(arm, seed, needs)}
        return style_table(StyleTable(**settings, **where))

    return Cell(
        *(f"style/{short_name(source)}/{arm.name}/{seed}", "style", compute, _decisive(StyleTable, settings)),
        needs=_weights_needed(arm, seed),
        headline=lambda found: f"SSIM {found['sets'][source]['rows'][arm.name]['ssim']['mean']:.3f}",
        **_of(config, arm.name, seed, source),
    )


# Prompt to sketch: Table 2 and Figure 3 ------------------------------------------------------------------------------


def _lora_name(arm: str, seed: int) -> str:
    return f"lora/{arm}/{seed}"


def _lora_cells(config: Study) -> Iterator[Cell]:
    for seed in config.all_seeds(config.generator_seeds):
        for arm in (None, *config.entries().values()):  # the first trains the judge for all
            yield _lora_cell(config, arm, seed)


def _lora_cell(config: Study, arm: Arm | None, seed: int) -> Cell:
    """Return the cell of an arm, or of no perceptual term."""
    from sketchloss.recipes.lora_table import PRESETS, LoraTable, lora_table  # four seconds, for those who ask

    arm = arm or Arm(name=PLAIN, option="photo", weights=(config.weights,))
    name = _lora_name(arm.name, seed)
    judged_by = _lora_name(PLAIN, config.seed)
    is_judge = name == judged_by
    settings = {
        **PRESETS[config.lora_preset],
        **{"data": config.taught, "base": config.base, "inception": config.inception, "clip_model": config.clip_model},
        **({} if config.teaching_steps is None else {"steps": config.teaching_steps}),
        **_arm_settings(config, arm, seed),
    }

    def compute(run: Path, needs: Mapping[str, Path]) -> dict[str, Any]:
        # The references are the same for all: the first measures them.
        judge = {} if is_judge else {"judge": needs[judged_by] / "judge", "references": False}
        where = {"out": run, "resume": (run / "config.json").is_file(), **judge, **_arm_paths(arm, seed, needs)}
        return lora_table(LoraTable(**settings, **where))

    return Cell(
        *(name, "lora", compute, _decisive(LoraTable, settings)),
        needs=(*_weights_needed(arm, seed), *(() if is_judge else (judged_by,))),
        headline=lambda found: f"class accuracy {found['rows'][arm.name][0]['class_accuracy']:.1%}",
        **_of(config, arm.name, seed),
    )


# Which choices matter ------------------------------------------------------------------------------------------------

#: How Algorithm 1 optimises, and how we do.
_OPTIMISATION = ("optimizer", "lr", "new_lr_factor", "schedule", "warmup", "clip", "label_smoothing")


def ablation_variants(config: Study) -> dict[str, dict[str, Any]]:
    """Return the choices looked into, each turned the other way round: name -> settings of `sketchloss finetune`."""
    stable = {item.name: item.default for item in dataclasses.fields(Finetune) if item.name in _OPTIMISATION}
    literal = {name: FINETUNE_PRESETS["paper"][name] for name in _OPTIMISATION}
    other_way = stable if config.tuning_preset == "paper" else literal
    variants: dict[Choice, dict[str, dict[str, Any]]] = {
        "gate_init": {
            f"gate_init={other}": {"gate_init": other} for other in get_args(GateInit) if other != config.gate_init
        },
        "downsample": {
            f"downsample={other}": {"downsample": other} for other in ("none", "max") if other != config.downsample
        },
        "optimisation": {f"lr={other_way['lr']:g}, {other_way['optimizer']}": other_way},
    }
    asked = [of_choice for choice, of_choice in variants.items() if not config.ablations or choice in config.ablations]
    return {REFERENCE: {}, **{name: changes for of_choice in asked for name, changes in of_choice.items()}}


def _ablation_cells(config: Study) -> Iterator[Cell]:
    smaller = {
        "per_class": config.ablation_per_class,
        "epochs": config.ablation_epochs,
        "image_size": config.ablation_image_size or config.image_size,
    }
    for seed in config.all_seeds(config.ablation_seeds):
        for variant, changes in ablation_variants(config).items():
            for arm in filter(_is_tuned, ARMS.values()):
                if arm.gates == "trained" or not {"gate_init", "downsample"} & set(changes):
                    settings = _finetune(config, arm, seed, **smaller, **changes)
                    cell = _tuning_cell(config, f"ablation/{variant}/{arm.name}/{seed}", "ablation", settings, arm.name)
                    yield dataclasses.replace(cell, source=variant)


# ---------------------------------------------------------------------------------------------------------------------


def _decisive(recipe: type, settings: Mapping[str, Any], start: str = "") -> dict[str, Any]:
    """Return every setting of a recipe that decides its result, defaults included, JSON-ready.

    Args:
        recipe: its dataclass.
        settings: those that are not its defaults.
        start: weights of the network that is measured.
    """
    found = {}
    for item in dataclasses.fields(recipe):
        if item.name in _FREE:
            continue
        if item.name in settings:
            found[item.name] = settings[item.name]
        elif item.default is not dataclasses.MISSING:
            found[item.name] = item.default
        else:
            assert item.default_factory is not dataclasses.MISSING, f"{recipe.__name__} needs {item.name}"
            found[item.name] = item.default_factory()
    if found.get("arm") == ():  # so that cells from before there were further arms are found
        del found["arm"]
    for name, own in _OWN_LAYERS.items():
        if name in found and not found[name]:
            found[name] = own(_network(found["extractors"][0] if name == "extractor_layer" else start))
    return json.loads(json.dumps({**found, "files": _fingerprints(found)}, default=str))


#: Settings that name layers, by default the network's own, and which layers these are.
_OWN_LAYERS: dict[str, Callable[[Backbone], Any]] = {
    "layer": lambda network: network.taps[-1],
    "taps": lambda network: network.stages,
    "extractor_layer": lambda network: network.embedding_layer,
}


@functools.cache
def _network(weights: str) -> Backbone:
    """Return the network of weights, to ask for its layers; a VGG where they cannot be loaded, which is said later."""
    try:
        return load_backbone(weights, classes=())
    except (OSError, ValueError):
        return Backbone(width=0.125)


#: Settings that name weights, and those that name files to learn from or to measure.
_WEIGHTS = ("weights", "photo", "extractors")
_FILES = ("data", "content", "sets", "triplets", "inception", "base", "clip_model")


def _fingerprints(settings: Mapping[str, Any]) -> dict[str, str]:
    """Return what tells whether the files behind some settings are still those that they were."""
    found = {}
    for name in (*_WEIGHTS, *_FILES):
        value = settings.get(name) or ()
        sources = [value] if isinstance(value, str | Path) else value
        if name in _WEIGHTS:
            found[name] = " ".join(_weights_fingerprint(str(source)) for source in sources)
            continue
        found[name] = " ".join(_files_fingerprint(str(part)) for source in sources for part in split_sources(source))
    if isinstance(arms := settings.get("arm"), tuple):
        given = [weights for arm in read_arms(arms).values() for weights in arm.weights]
        found["arm"] = " ".join(map(_weights_fingerprint, given))
    return found


@functools.cache
def _weights_fingerprint(name: str) -> str:
    try:
        return weights_digest(load_backbone(name, classes=()))
    except (OSError, ValueError):  # said when they are needed; until then a plan can be made without
        return ""


@functools.cache
def _files_fingerprint(source: str) -> str:
    """Return a digest of names, sizes and times of the files that a source lies in; empty if it lies in none."""
    place = Path(source.rpartition("?")[0] or source).expanduser()
    kind, colon, rest = str(place).partition(":")
    if colon and kind.isalnum() and not place.exists():  # fs2k:PATH
        place = Path(rest).expanduser()
    files = list(_files_below(place)) if place.is_dir() else [place] if place.is_file() else []
    digest = hashlib.sha256()
    for file in files:
        try:
            status = file.stat()
            said = f"{file} {status.st_size} {status.st_mtime_ns}\n"
        except OSError:  # a broken link; whoever reads it says so
            said = f"{file}\n"
        digest.update(said.encode(errors="surrogateescape"))
    return digest.hexdigest() if files else ""


def _files_below(folder: Path, above: frozenset[Path] = frozenset()) -> Iterator[Path]:
    """Find files as `find_pictures` does: linked folders are entered, hidden files and folders are not."""
    here = folder.resolve()
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name) if here not in above else ():
        if entry.is_dir() and not entry.name.startswith("."):
            yield from _files_below(entry, above | {here})
        elif not entry.name.startswith("."):
            yield entry
