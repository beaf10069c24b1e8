"""What a comparison prints: text for people, or JSON for programs."""

import json
from collections.abc import Sequence
from typing import Any

from sketchloss.compare.comparison import Comparison, Summary, origin
from sketchloss.compare.measuring import PairDistance
from sketchloss.compare.settings import Compare
from sketchloss.compare.tally import NAMED
from sketchloss.compare.verdict import Verdict
from sketchloss.loss.calibration import Calibration, calibration_for
from sketchloss.loss.loss import SketchLoss

# Text ----------------------------------------------------------------------------------------------------------------


def as_text(config: Compare, loss: SketchLoss, found: Comparison) -> str:
    """Say what was found, without an end of line."""
    if found.single:
        return _text_of_two(config, found, calibration_for(loss, config.size))
    summary = found.summary()
    tally = found.tally
    lines = [] if config.quiet or config.rows else [*_align(tally.distances), ""]
    spread = "" if summary.deviation is None else f" ± {summary.deviation:#.4g}"
    total = len(tally.totals)
    count = "1 pair" if total == 1 else f"{total:,} pairs (mean ± standard deviation)"
    lines.append(f"distance {summary.mean:#.4g}{spread} over {count}; {_how(config)}")
    if total > 1:
        lines.append(f"quantiles: {_quantiles(summary)}")
    for name, other in found.other_summaries().items():
        spread = "" if other.deviation is None else f" ± {other.deviation:#.4g}; {_quantiles(other)}"
        lines.append(f"{name} {other.mean:#.4g}{spread}")
    if worst := tally.farthest(config.worst):
        lines.append("farthest: " + ", ".join(f"{distance.pair.name} ({distance.total:#.4g})" for distance in worst))
    if tally.odd:
        count = "1 pair is" if tally.odd_count == 1 else f"{tally.odd_count:,} pairs are"
        lines.append(f"{count} not of two drawings: {_listed(tally.odd)}")
    if found.maps:
        lines.append(f"maps of the farthest in {config.map}")
    for folder, names in ((config.a, found.only_a), (config.b, found.only_b)):
        if names:
            lines.append(f"{len(names):,} only in {folder}: {_listed(names)}")
    if tally.left_out:
        lines += [f"{tally.left_out_count:,} left out:", *(f"  {left.reason}" for left in tally.left_out)]
        if tally.left_out_count > len(tally.left_out):
            lines.append(f"  ... (all are in {config.rows})")
    return _as_lines([*lines, *found.unread])


def _text_of_two(config: Compare, found: Comparison, calibration: Calibration | None) -> str:
    (distance,) = found.tally.distances
    parts = {} if config.quiet else distance.per_tap
    width = max(len(name) for name in ("distance", *parts, *distance.others))
    lines = [f"{'distance':{width}}  {distance.total:#.4g}   ({_how(config)})"]
    if words := _words(distance, calibration):
        lines.append(f"{'':{width}}  {words}")
    lines += [f"{name:{width}}  {value:#.4g}" for name, value in {**parts, **distance.others}.items()]
    lines += [f"{'map':{width}}  {path}" for path in found.maps]
    return _as_lines([*lines, *found.unread])


def _as_lines(lines: Sequence[str]) -> str:
    # A file's name may have a new line in it, and the rest of it would pass for a line of the report.
    return "\n".join(line.replace("\n", "\\n") for line in lines)


def _align(distances: Sequence[PairDistance]) -> list[str]:
    rows = [["name", "distance", *distances[0].per_tap, *distances[0].others]]
    for each in distances:
        values = (each.total, *each.per_tap.values(), *each.others.values())
        rows.append([each.pair.name, *(f"{value:#.4g}" for value in values)])
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for row in rows:
        numbers = [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        lines.append("  ".join([row[0].ljust(widths[0]), *numbers]))
    return lines


def _quantiles(summary: Summary) -> str:
    return ", ".join(f"{name} {value:#.4g}" for name, value in summary.quantiles.items())


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:NAMED]) + (", ..." if len(names) > NAMED else "")


def _how(config: Compare) -> str:
    size = f"{config.size} pixels" if config.size else "own size"
    more = (", bf16" if config.precision == "bf16" else "") + (", inverted" if config.invert else "")
    return f"{config.metric}, {config.weights} weights, {size}{more}"


def _words(distance: PairDistance, calibration: Calibration | None) -> str:
    return distance.words or (calibration.words(distance.total) if calibration else "")


# JSON ----------------------------------------------------------------------------------------------------------------


def as_json(config: Compare, loss: SketchLoss, found: Comparison, verdict: Verdict) -> str:
    """Return what was found as a JSON object, without an end of line."""
    how = {"weights": config.weights, "metric": config.metric, "layers": list(loss.layers), "size": config.size}
    how["precision"] = config.precision
    how |= {**origin(config, loss), "invert": config.invert}
    result = _json_of_two(loss, config, found) if found.single else _json_of_many(config, found)
    judged = {"exit_code": verdict.exit_code, "failures": verdict.failures}
    return json.dumps({**how, **result, **judged}, indent=2, ensure_ascii=False, allow_nan=False)


def _json_of_two(loss: SketchLoss, config: Compare, found: Comparison) -> dict[str, Any]:
    (distance,) = found.tally.distances
    calibration = calibration_for(loss, config.size)
    result: dict[str, Any] = {"distance": distance.total}
    if found.unread:
        result["passed_over"] = found.unread
    if calibration:
        result["closer_pairs"] = calibration.shares(distance.total)
    result |= _describe(distance, _words(distance, calibration))
    return {**result, "map": str(found.maps[0]) if found.maps else None}


def _json_of_many(config: Compare, found: Comparison) -> dict[str, Any]:
    summary, tally = found.summary(), found.tally
    rows: dict[str, Any] = {}
    if config.rows:
        rows = {"rows": str(config.rows), "compared": len(tally.totals), "left_out_count": tally.left_out_count}
    return {
        "distance": summary.mean,
        "standard_deviation": summary.deviation,
        "quantiles": summary.quantiles,
        "other_distances": {
            name: {"mean": other.mean, "standard_deviation": other.deviation, "quantiles": other.quantiles}
            for name, other in found.other_summaries().items()
        },
        "pairs": [{"distance": each.total, **_describe(each, each.words)} for each in tally.distances],
        **rows,
        "worst": [distance.pair.name for distance in tally.farthest(config.worst)],
        "only_in_a": found.only_a,
        "only_in_b": found.only_b,
        "left_out": [left.reason for left in tally.left_out],
        "passed_over": found.unread,
        "maps": [str(path) for path in found.maps],
    }


def _describe(distance: PairDistance, words: str) -> dict[str, Any]:
    pair = distance.pair
    odd = {"words": words} if words else {}
    beside = {"other_distances": distance.others} if distance.others else {}
    return {**odd, "per_tap": distance.per_tap, **beside, "name": pair.name, "a": str(pair.a), "b": str(pair.b)}
