"""Compare drawings, two pictures or two folders of them: how far apart they are, and where.

    sketchloss compare before.png after.png --map difference.png
    sketchloss compare generated/ wanted/ --csv distances.csv --map worst/

In Python, the same in four calls:

    loss = SketchLoss("sketch")
    pairs, only_a, only_b = match_folders("generated", "wanted")
    distances, unreadable = measure(loss, pairs)
    picture_differences(loss, distances[:1])[0].save("difference.png")
"""

import csv
import json
import math
import statistics
import sys
import unicodedata
from collections.abc import Iterable, Sequence
from copy import copy
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
import tyro
from PIL import Image
from torch import Tensor

from sketchloss.figures.difference import Caption, draw_difference
from sketchloss.loss.calibration import calibration_for
from sketchloss.loss.loss import DEFAULT_METRIC, SketchLoss
from sketchloss.loss.tap_distance import VERSIONS, Metric
from sketchloss.metrics.ink_amount import ink_amount, nearly_blank
from sketchloss.networks.weights import weights_digest
from sketchloss.system.files import write_atomic
from sketchloss.system.images import (
    LARGEST_SIDE,
    find_pictures,
    fit_square,
    picture_suffixes,
    save_picture,
    to_tensor,
)
from sketchloss.system.passed_over import later_pages, no_pictures, other_kinds
from sketchloss.system.visible_ink import open_visible

# Pixels evaluated at once: 16 pairs at 256, so that large pictures need no more memory than small ones.
BATCH_PIXELS = 16 * 256**2


@dataclass(frozen=True)
class Compare:
    """Measure how different two drawings look, or the drawings of the same name in two folders.

    Raises:
        ValueError: for a setting outside its range, naming it.
    """

    a: Annotated[Path, tyro.conf.Positional]
    """First picture, or first folder of pictures."""
    b: Annotated[Path, tyro.conf.Positional]
    """Second picture, or second folder. From two folders, pictures of the same name (without suffix) are compared."""
    weights: str = "sketch"
    """Network weights: `sketch`, `imagenet`, a weights folder or file, a hub repo, or `transformers:ID`."""
    metric: Metric = DEFAULT_METRIC
    """Distance between features: `ink`, which is relative to blank paper (0 the same drawing, 1 nothing in common), or
    `l1`, `l2`, `cosine`. The default of version 0.1 is `--metric l1 --layers relu3_3 relu4_3 relu5_3`."""
    layers: tuple[str, ...] = ()
    """Layers whose distances are averaged; by default the default layers of the network."""
    size: int = 256
    """Side in pixels of the square that both pictures are fitted into; 0: they stay as they are, if both have one
    size."""
    map: Annotated[Path | None, tyro.conf.DisallowNone] = None
    """Picture to write that shows where the two differ; for two folders, a folder for pictures of the worst pairs."""
    json: bool = False
    """Print JSON and nothing else."""
    csv: Annotated[Path | None, tyro.conf.DisallowNone] = None
    """CSV table to write, one row per pair."""
    worst: int = 5
    """Number of the farthest pairs to name and, with --map, to draw."""
    invert: bool = False
    """Invert both pictures: they are light on dark, or light on a transparent ground."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Device to compute on; `auto`: the GPU if there is one."""

    def __post_init__(self) -> None:
        for name in ("size", "worst"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} is {getattr(self, name)}: it must not be negative")
        if self.size > LARGEST_SIDE:
            raise ValueError(f"size is {self.size}: {LARGEST_SIDE} pixels at most; 0 takes pictures as they are")


@dataclass(frozen=True)
class Pair:
    """Two pictures to compare."""

    name: str
    a: Path
    b: Path


@dataclass(frozen=True)
class PairDistance:
    """Distance between the two pictures of a pair."""

    pair: Pair
    total: float
    """Weighted mean of the distances over the layers."""
    per_tap: dict[str, float]
    """Layer name -> distance at that layer."""
    words: str = ""
    """Warning about an odd page, as `nearly_blank` gives it; empty if there is none."""


def match_folders(a: str | Path, b: str | Path) -> tuple[list[Pair], list[str], list[str]]:
    """Match the pictures of two folders by their path in the folder, without suffix: `cats/1.png` and `cats/1.jpg`.

    Returns:
        The pairs, then the names found only in `a`, then those found only in `b`; each sorted by name.

    Raises:
        ValueError: if one is no folder or holds no pictures, a name stands for two pictures, or no name is in both.
    """
    ours, theirs = _by_name(Path(a)), _by_name(Path(b))
    pairs = [Pair(name, ours[name], theirs[name]) for name in sorted(ours.keys() & theirs.keys())]
    if not pairs:
        raise ValueError(
            f"no picture of {a} has the name of one of {b}: found {min(ours)} in the first and {min(theirs)} in the "
            "second; rename them, suffixes may differ"
        )
    return pairs, sorted(ours.keys() - theirs.keys()), sorted(theirs.keys() - ours.keys())


def _by_name(folder: Path) -> dict[str, Path]:
    named: dict[str, Path] = {}
    for path in find_pictures(folder):
        # note: some systems write é as one character, some as two
        name = unicodedata.normalize("NFC", path.relative_to(folder).with_suffix("").as_posix())
        if name in named:
            raise ValueError(f"{folder} holds both {named[name].name} and {path.name}: keep one picture of a name")
        named[name] = path
    if not named:
        raise ValueError(no_pictures(folder))
    return named


def measure(
    loss: SketchLoss, pairs: Iterable[Pair], *, size: int = 256, invert: bool = False
) -> tuple[list[PairDistance], list[str]]:
    """Measure pairs of pictures, several at a time.

    Args:
        loss: its content term is what is measured; on any device.
        pairs: which pictures.
        size: side in pixels of the square that both are fitted into; 0 keeps them as they are.
        invert: whether they are light on dark.

    Returns:
        The distances in the order of the pairs, and for each pair left out a line with the file and the reason.

    Raises:
        ValueError: if `size` is too small for the loss, the loss wants another range than [0, 1], or a distance is not
            finite.
    """
    if loss.value_range != (0, 1):
        raise ValueError(f"the loss's value_range is {loss.value_range}: it must be (0, 1), that of pictures here")
    if 0 < size < loss.minimum_size:
        raise ValueError(f"size is {size}: {'/'.join(loss.layers)} need at least {loss.minimum_size} pixels")
    distances: list[PairDistance] = []
    left_out: list[str] = []
    waiting: list[tuple[Pair, Tensor, Tensor, str]] = []
    for pair in pairs:
        try:
            drawings = _read(pair, invert)
            a, b = (to_tensor(picture) for picture in _fit(drawings, pair, size, loss.minimum_size))
        except ValueError as error:
            left_out.append(str(error))
            continue
        if waiting and (waiting[0][1].shape != a.shape or (len(waiting) + 1) * a[0].numel() > BATCH_PIXELS):
            distances += _measure_batch(loss, waiting)
            waiting = []
        waiting.append((pair, a, b, nearly_blank(*map(ink_amount, drawings))))
    if waiting:
        distances += _measure_batch(loss, waiting)
    return distances, left_out


@torch.inference_mode()
def _measure_batch(loss: SketchLoss, batch: list[tuple[Pair, Tensor, Tensor, str]]) -> list[PairDistance]:
    each = copy(loss)  # shares the backbone
    each.reduction, each.content_weight, each.style_weight = "none", 1.0, 0.0
    pairs, ours, theirs, words = zip(*batch, strict=True)
    device = loss.backbone.mean.device
    per_tap = each.per_tap(torch.stack(ours).to(device), torch.stack(theirs).to(device))["content"]
    rows = torch.stack([per_tap[name] for name in loss.layers], dim=1).tolist()
    weights = [weight / sum(loss.layers.values()) for weight in loss.layers.values()]
    distances = []
    for pair, row, odd in zip(pairs, rows, words, strict=True):
        total = sum(weight * value for weight, value in zip(weights, row, strict=True))
        if not math.isfinite(total):
            raise ValueError(
                f"the distance of {pair.a} and {pair.b} is {total}: are these weights from a diverged run?"
            )
        distances.append(PairDistance(pair, total, dict(zip(loss.layers, row, strict=True)), odd))
    return distances


def picture_differences(
    loss: SketchLoss, distances: Sequence[PairDistance], *, size: int = 256, invert: bool = False, weights: str = ""
) -> list[Image.Image]:
    """Draw where the pictures of each pair differ, all with one colour scale.

    Args:
        loss: as for `measure`.
        distances: what `measure` returned.
        size: as for `measure`.
        invert: as for `measure`.
        weights: the name of the loss's weights, for the caption.

    Returns:
        A picture for each, as `draw_difference` makes them.
    """
    drawings = [_read(distance.pair, invert) for distance in distances]
    heats = []
    for distance, pair in zip(distances, drawings, strict=True):
        a, b = (to_tensor(picture)[None] for picture in _fit(pair, distance.pair, size, loss.minimum_size))
        device = loss.backbone.mean.device
        with torch.inference_mode():
            heats.append(loss.map(a.to(device), b.to(device))[0, 0].cpu().numpy())
    greatest = max((float(heat.max()) for heat in heats), default=0.0)
    measured = f"{weights} weights, {'/'.join(loss.layers)}".removeprefix(" weights, ")
    return [
        draw_difference(
            *pair,
            heat,
            caption=Caption(
                distance.pair.a.name,
                distance.pair.b.name,
                f"{loss.metric} distance {distance.total:#.4g} ({measured})",
                f"{loss.metric} distance at each pixel",
            ),
            greatest=greatest,
        )
        for distance, pair, heat in zip(distances, drawings, heats, strict=True)
    ]


def _read(pair: Pair, invert: bool) -> tuple[Image.Image, Image.Image]:
    # Turned here and not in the loss: the paper that `fit_square` puts around a drawing is white.
    return open_visible(pair.a, invert=invert), open_visible(pair.b, invert=invert)


def _fit(
    pictures: tuple[Image.Image, Image.Image], pair: Pair, size: int, minimum: int
) -> tuple[Image.Image, Image.Image]:
    a, b = pictures
    if size:
        return fit_square(a, size), fit_square(b, size)
    found = [f"{path} is {width}x{height}" for path, (width, height) in ((pair.a, a.size), (pair.b, b.size))]
    if a.size != b.size:
        raise ValueError(f"{' and '.join(found)} pixels: name a size to fit both into, such as --size 256")
    if min(a.size) < minimum:
        raise ValueError(f"{found[0]} pixels: the loss needs {minimum}x{minimum}; name a size to enlarge it to")
    return a, b


# The command ---------------------------------------------------------------------------------------------------------


def compare(config: Compare) -> None:
    """Run the command: print the distances, and write the table and the pictures that were asked for.

    Raises:
        ValueError: for pictures or settings that cannot be compared.
        FileNotFoundError: if a path does not exist.
    """
    for path in (config.a, config.b):
        if not path.exists():
            raise FileNotFoundError(f"{path} does not exist: check the path")
    if config.a.is_dir() != config.b.is_dir():
        folder, file = (config.a, config.b) if config.a.is_dir() else (config.b, config.a)
        raise ValueError(f"{folder} is a folder and {file} a file: give two pictures or two folders")
    _check_outputs(config)
    loss = SketchLoss(config.weights, layers=config.layers or None, metric=config.metric, check=False)
    loss = loss.to(_pick_device(config.device))
    result = _compare_folders(config, loss) if config.a.is_dir() else _compare_pictures(config, loss)
    sys.stdout.write(result + "\n")


def _compare_pictures(config: Compare, loss: SketchLoss) -> str:
    one_name = config.a.stem if config.a.stem == config.b.stem else f"{config.a.stem} {config.b.stem}"
    distances, left_out = measure(loss, [Pair(one_name, config.a, config.b)], size=config.size, invert=config.invert)
    if left_out:
        raise ValueError(left_out[0])
    if config.csv:
        _write_table(config, loss, distances)
    if config.map:
        pictures = picture_differences(loss, distances, size=config.size, invert=config.invert, weights=config.weights)
        save_picture(pictures[0], config.map)
    (distance,) = distances
    unread = later_pages((config.a, config.b))
    calibration = calibration_for(loss, config.size)
    words = distance.words
    if calibration and not words:
        words = calibration.words(distance.total)
    if config.json:
        known: dict[str, Any] = {}
        if unread:
            known["passed_over"] = unread
        if calibration:
            known["closer_pairs"] = calibration.shares(distance.total)
        return _to_json(
            config, loss, {"distance": distance.total, **known, **_describe(distance, words), "map": _text(config.map)}
        )
    width = max(len(name) for name in ("distance", *distance.per_tap))
    lines = [f"{'distance':{width}}  {distance.total:#.4g}   ({_how(config)})"]
    if words:
        lines[0] += f"\n{'':{width}}  {words}"
    lines += [f"{name:{width}}  {value:#.4g}" for name, value in distance.per_tap.items()]
    if config.map:
        lines.append(f"{'map':{width}}  {config.map}")
    lines += unread
    return "\n".join(lines)


def _compare_folders(config: Compare, loss: SketchLoss) -> str:
    from tqdm import tqdm

    pairs, only_a, only_b = match_folders(config.a, config.b)
    unread = [*other_kinds(config.a), *other_kinds(config.b)]
    unread += later_pages(path for pair in pairs for path in (pair.a, pair.b))
    bar = tqdm(pairs, unit="pair", disable=None, leave=False)  # on stderr, and only if that is a terminal
    distances, left_out = measure(loss, bar, size=config.size, invert=config.invert)
    if not distances:
        raise ValueError(f"none of the {len(pairs)} pairs could be compared, first: {left_out[0]}")
    if config.csv:
        _write_table(config, loss, distances)
    worst = sorted(distances, key=lambda distance: -distance.total)[: config.worst]
    maps: list[Path] = []
    if config.map:
        pictures = picture_differences(loss, worst, size=config.size, invert=config.invert, weights=config.weights)
        for distance, picture in zip(worst, pictures, strict=True):
            maps.append(config.map / f"{distance.pair.name}.png")
            maps[-1].parent.mkdir(parents=True, exist_ok=True)
            save_picture(picture, maps[-1])
    totals = [distance.total for distance in distances]
    mean, deviation = statistics.fmean(totals), statistics.stdev(totals) if len(totals) > 1 else None
    if config.json:
        return _to_json(
            config,
            loss,
            {
                "distance": mean,
                "standard_deviation": deviation,
                "pairs": [{"distance": each.total, **_describe(each, each.words)} for each in distances],
                "worst": [distance.pair.name for distance in worst],
                "only_in_a": only_a,
                "only_in_b": only_b,
                "left_out": left_out,
                "passed_over": unread,
                "maps": [str(path) for path in maps],
            },
        )
    spread = "" if deviation is None else f" ± {deviation:#.4g}"
    count = "1 pair" if len(totals) == 1 else f"{len(totals):,} pairs (mean ± standard deviation)"
    lines = [*_align(distances), "", f"distance {mean:#.4g}{spread} over {count}; {_how(config)}"]
    if worst:
        named = ", ".join(f"{distance.pair.name} ({distance.total:#.4g})" for distance in worst)
        lines.append(f"farthest: {named}")
    if odd := [f"{distance.pair.name} ({distance.words})" for distance in distances if distance.words]:
        count = "1 pair is" if len(odd) == 1 else f"{len(odd):,} pairs are"
        lines.append(f"{count} not of two drawings: {', '.join(odd[:5])}{', ...' if len(odd) > 5 else ''}")
    if maps:
        lines.append(f"maps of the farthest in {config.map}")
    lines += [
        f"{len(names):,} only in {folder}: {', '.join(names[:5])}{', ...' if len(names) > 5 else ''}"
        for folder, names in ((config.a, only_a), (config.b, only_b))
        if names
    ]
    if left_out:
        lines += [f"{len(left_out):,} left out:", *(f"  {reason}" for reason in left_out)]
    lines += unread
    return "\n".join(lines)


def _align(distances: Sequence[PairDistance]) -> list[str]:
    taps = list(distances[0].per_tap)
    rows = [["name", "distance", *taps]]
    rows += [[d.pair.name, *(f"{value:#.4g}" for value in (d.total, *d.per_tap.values()))] for d in distances]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for row in rows:
        numbers = [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        lines.append("  ".join([row[0].ljust(widths[0]), *numbers]))
    return lines


def _write_table(config: Compare, loss: SketchLoss, distances: Sequence[PairDistance]) -> None:
    assert config.csv is not None
    how = {"metric": config.metric, "size": config.size, "weights": config.weights, **_origin(config, loss)}
    with write_atomic(config.csv) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(["name", "distance", *distances[0].per_tap, *how, "words"])
        table.writerows([d.pair.name, d.total, *d.per_tap.values(), *how.values(), d.words] for d in distances)


def _describe(distance: PairDistance, words: str) -> dict[str, Any]:
    pair = distance.pair
    odd = {"words": words} if words else {}
    return {**odd, "per_tap": distance.per_tap, "name": pair.name, "a": str(pair.a), "b": str(pair.b)}


def _origin(config: Compare, loss: SketchLoss) -> dict[str, Any]:
    """Return what an old value can be made again from."""
    return {
        "weights_digest": weights_digest(loss.backbone),
        "metric_version": VERSIONS[config.metric],
        "sketchloss": version("sketchloss"),
    }


def _to_json(config: Compare, loss: SketchLoss, result: dict[str, Any]) -> str:
    how = {"weights": config.weights, "metric": config.metric, "layers": list(loss.layers), "size": config.size}
    how |= _origin(config, loss)
    return json.dumps({**how, "invert": config.invert, **result}, indent=2, ensure_ascii=False, allow_nan=False)


def _how(config: Compare) -> str:
    size = f"{config.size} pixels" if config.size else "own size"
    return f"{config.metric}, {config.weights} weights, {size}{', inverted' if config.invert else ''}"


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)


def _check_outputs(config: Compare) -> None:
    """Find out before the work is done, not after."""
    for path in (config.map, config.csv):
        if path and path.exists() and any(path.samefile(given) for given in (config.a, config.b)):
            raise ValueError(f"{path} is one of the drawings to compare: write elsewhere")
        for given in (config.a, config.b):
            if path and given.is_dir() and path.resolve().is_relative_to(given.resolve()):
                raise ValueError(f"{path} lies in {given}, whose pictures are compared: write elsewhere")
    if config.csv and config.csv.is_dir():
        raise ValueError(f"{config.csv} is a folder: name a file for --csv")
    if config.map and not config.a.is_dir():
        if config.map.is_dir():
            raise ValueError(f"{config.map} is a folder: name a picture for --map, such as {config.map / 'map.png'}")
        if config.map.suffix.lower() not in picture_suffixes():
            raise ValueError(f"{config.map} has no picture's suffix: name a picture for --map, such as map.png")
    for path in (config.csv, None if config.a.is_dir() else config.map):
        if path and not path.parent.is_dir():
            raise ValueError(f"cannot write {path}: the folder {path.parent} does not exist; make it first")
    if config.map and config.a.is_dir():
        if config.map.exists() and not config.map.is_dir():
            raise ValueError(f"{config.map} is a file: name a folder for --map, since folders are compared")
        config.map.mkdir(parents=True, exist_ok=True)


def _pick_device(name: str) -> torch.device:
    if name == "cuda" and not torch.cuda.is_available():
        raise ValueError("device is cuda: torch finds no GPU here; use --device cpu")
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)
