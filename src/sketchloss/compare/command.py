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
import statistics
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from sketchloss.compare.measuring import (
    Pair,
    PairDistance,
    match_folders,
    measure,
    picture_differences,
)
from sketchloss.compare.settings import Compare
from sketchloss.loss.calibration import calibration_for
from sketchloss.loss.loss import SketchLoss
from sketchloss.loss.tap_distance import VERSIONS
from sketchloss.networks.weights import weights_digest
from sketchloss.system.files import write_atomic
from sketchloss.system.images import save_picture
from sketchloss.system.passed_over import later_pages, other_kinds
from sketchloss.system.picture_files import plain_suffixes
from sketchloss.system.picture_pages import split_page

# The command ---------------------------------------------------------------------------------------------------------


def compare(config: Compare) -> None:
    """Run the command: print the distances, and write the table and the pictures that were asked for.

    Raises:
        ValueError: for pictures or settings that cannot be compared.
        FileNotFoundError: if a path does not exist.
    """
    for path in (config.a, config.b):
        if not split_page(path)[0].exists():
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
        if path and path.exists() and any(path.samefile(split_page(given)[0]) for given in (config.a, config.b)):
            raise ValueError(f"{path} is one of the drawings to compare: write elsewhere")
        for given in (config.a, config.b):
            if path and given.is_dir() and path.resolve().is_relative_to(given.resolve()):
                raise ValueError(f"{path} lies in {given}, whose pictures are compared: write elsewhere")
    if config.csv and config.csv.is_dir():
        raise ValueError(f"{config.csv} is a folder: name a file for --csv")
    if config.map and not config.a.is_dir():
        if config.map.is_dir():
            raise ValueError(f"{config.map} is a folder: name a picture for --map, such as {config.map / 'map.png'}")
        if config.map.suffix.lower() not in plain_suffixes():
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
