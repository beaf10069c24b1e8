"""The CSV table of a comparison: a row for each pair, also for what could not be compared."""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sketchloss.compare.comparison import Comparison, origin
from sketchloss.compare.settings import Compare
from sketchloss.loss.loss import SketchLoss
from sketchloss.system.files import write_atomic


def write_table(path: Path, config: Compare, loss: SketchLoss, found: Comparison) -> None:
    """Write the table, whole or not at all.

    The columns are the name, the distance and that of each layer, the other distances, how it was measured, the words
    about an odd page, the two files, and the reason why there is no distance. Rows without a distance come last: pairs
    that could not be read, then pictures that are in only one of the folders.
    """
    first = found.distances[0]
    columns = ["name", "distance", *first.per_tap, *first.others, *_how(config, loss), "words", "a", "b", "reason"]
    with (
        write_atomic(path) as temporary,
        temporary.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file,
    ):
        table = csv.DictWriter(file, columns, restval="")
        table.writeheader()
        table.writerows(_rows(config, loss, found))


def _rows(config: Compare, loss: SketchLoss, found: Comparison) -> Iterator[dict[str, Any]]:
    how = _how(config, loss)
    for each in found.distances:
        row = {"name": each.pair.name, "distance": each.total, **each.per_tap, **each.others, **how}
        yield {**row, "words": each.words, "a": each.pair.a, "b": each.pair.b}
    for left in found.left_out:
        yield {"name": left.pair.name, **how, "a": left.pair.a, "b": left.pair.b, "reason": left.reason}
    for folder, names in ((config.a, found.only_a), (config.b, found.only_b)):
        for name in names:
            yield {"name": name, **how, "reason": f"only in {folder}"}


def _how(config: Compare, loss: SketchLoss) -> dict[str, Any]:
    return {"metric": config.metric, "size": config.size, "weights": config.weights, **origin(config, loss)}
