"""The table of a comparison: a row for each pair, also for what could not be compared."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from sketchloss.compare.comparison import Comparison, origin
from sketchloss.compare.measuring import LeftOut, PairDistance
from sketchloss.compare.pairing import Pair
from sketchloss.compare.row_formats import write_rows
from sketchloss.compare.settings import Compare
from sketchloss.loss.loss import SketchLoss


class Table:
    """What a row of the table holds, and what is the same in all.

    The columns are the name, the distance and that of each layer, the other distances, how it was measured, the words
    about an odd page, the two files, and the reason why there is no distance.

    Args:
        config: settings of the comparison.
        loss: what measures.
        others: names of the other distances.
    """

    def __init__(self, config: Compare, loss: SketchLoss, others: Sequence[str]) -> None:
        self.config = config
        self.how = {"metric": config.metric, "size": config.size, "precision": config.precision}
        self.how |= {"weights": config.weights, **origin(config, loss)}
        """How it was measured: the same in every row."""
        self._layers, self._others = list(loss.layers), list(others)
        self.columns: dict[str, type] = {"name": str, **dict.fromkeys(["distance", *self._layers, *others], float)}
        self.columns |= {name: type(value) for name, value in self.how.items()}
        self.columns |= dict.fromkeys(("words", "a", "b", "reason"), str)
        """Name of each column -> type of its values."""

    def row(self, found: PairDistance | LeftOut) -> dict[str, Any]:
        """Return the row of a pair."""
        pair = found.pair
        files = {"a": str(pair.a), "b": str(pair.b)}
        if isinstance(found, LeftOut):
            return {"name": pair.name, **self.how, **files, "reason": found.reason}
        values = {"distance": found.total, **found.per_tap, **found.others}
        return {"name": pair.name, **values, **self.how, "words": found.words, **files}

    def found(self, row: dict[str, Any]) -> PairDistance | LeftOut:
        """Return what a row was made of."""
        pair = Pair(row["name"], Path(row["a"]), Path(row["b"]))
        if "reason" in row:
            return LeftOut(pair, row["reason"])
        per_tap = {name: row[name] for name in self._layers}
        return PairDistance(pair, row["distance"], per_tap, row["words"], {name: row[name] for name in self._others})

    def alone(self, only_a: Sequence[str], only_b: Sequence[str]) -> Iterator[dict[str, Any]]:
        """Yield the rows of pictures that are in only one of two folders."""
        for folder, names in ((self.config.a, only_a), (self.config.b, only_b)):
            for name in names:
                yield {"name": name, **self.how, "reason": f"only in {folder}"}


def write_table(path: Path, table: Table, found: Comparison) -> None:
    """Write the table as CSV, whole or not at all.

    Rows without a distance come last: pairs that could not be read, then pictures that are in only one of the folders.
    """

    def rows() -> Iterator[dict[str, Any]]:
        for each in (*found.tally.distances, *found.tally.left_out):
            yield table.row(each)
        yield from table.alone(found.only_a, found.only_b)

    write_rows(path, table.columns, rows(), suffix=".csv")
