"""What a study makes of its probes. Oracle: results that were written here."""

import time
from typing import Any

from sketchloss.experiments.cells import Cell, CellStore, done
from sketchloss.experiments.probe import experiment


def result(arm: str, seed: int) -> dict[str, Any]:
    rows = [{"name": f"{arm}, seed {seed}", "group": arm}, {"name": f"pixels, seed {seed}", "group": None}]
    return {"data": "doodles", "seed": seed, "rows": rows, "chosen": [f"{arm}, seed {seed}"]}


def probed(arm: str, place: int, seed: int) -> Cell:
    name = f"probe/{arm}/{seed}"
    return Cell(name, "probe", lambda *_: result(arm, seed), {}, arm=arm, place=place, seed=seed)


def test_figure_and_details_are_of_the_first_seed_that_is_there_of_each_arm_and_pixels_come_first(tmp_path):
    cells = [probed("tuning", 0, 4), probed("tuning", 0, 3), probed("original", 1, 3), probed("tuning", 0, 5)]
    store = CellStore(tmp_path, cells, started=time.time())
    for cell in cells[:1]:
        store.run(cell.name)
    assert experiment._merge(done(store, "probe"))["chosen"] == ["tuning, seed 4"]
    for cell in cells[1:]:
        store.run(cell.name)
    merged = experiment._merge(done(store, "probe"))
    assert (merged["data"], merged["seed"]) == ("doodles", 3)
    assert merged["chosen"] == ["tuning, seed 3", "original, seed 3"]
    names = [row["name"] for row in merged["rows"]]
    assert names == ["pixels, seed 3", "pixels, seed 3", "tuning, seed 3", "original, seed 3"]
