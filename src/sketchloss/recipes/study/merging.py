"""From the cells that are done to one set of numbers for each table: over arms, seeds and sets."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from sketchloss.data.ignorable import CHANGES
from sketchloss.data.names import short_name
from sketchloss.networks.arms import Arm
from sketchloss.recipes.study.arms import describe
from sketchloss.recipes.study.cells import Cell, CellStore
from sketchloss.recipes.study.settings import Part
from sketchloss.report.arm_table import Measure, keep_comparisons
from sketchloss.statistics import spread

Results = dict[str, Any]
#: Row -> measure -> seed -> value.
Table = dict[str, dict[str, dict[int, float]]]
TUNED_HERE = "in this study, anew for each seed"


def done(store: CellStore, part: Part, **fields: Any) -> list[tuple[Cell, Results]]:
    """Return the cells of a part that are done, with their results, in the order of the arms and then of the seeds."""
    found = [cell for cell in store if cell.part == part and all(getattr(cell, k) == v for k, v in fields.items())]
    found.sort(key=lambda cell: (cell.place, cell.seed))
    return [(cell, store.result(cell.name)) for cell in found if store.state(cell.name) == "done"]


def tuning_values(store: CellStore, part: Part = "tuning", **fields: Any) -> Table:
    """Return what was found of the tuned backbones: row -> measure -> seed -> value. Of an ablation, by variant."""
    table: Table = {}
    for cell, result in done(store, part, **fields):
        measures = ("validation_accuracy", "validation_top5", "left_out_top_1", "left_out_top_5", "left_out_ratio")
        for name in measures:
            if result.get(name) is not None:
                table.setdefault(cell.arm, {}).setdefault(name, {})[cell.seed] = result[name]
    return table


def least_count(store: CellStore, part: Part, count: str, **fields: Any) -> int | None:
    """Return of how many sketches a part's shares are, the least of its cells; None if a cell does not say.

    Args:
        store: the cells.
        part: whose.
        count: key of the number in a cell's result.
        fields: of the cells that count.
    """
    counts = [result.get(count, 0) for _, result in done(store, part, **fields)]  # older cells do not say
    return min(counts, default=0) or None


def merge_retrieval(store: CellStore, source: str, arms: Mapping[str, Arm]) -> Results | None:
    """Return Table 3 of one set as `sketchloss retrieval` has it, or None if no cell of it is done."""
    from sketchloss.report.retrieval_table import MEASURES, measures

    cells = done(store, "retrieval", source=source)
    merged = _merge_arms(cells, arms, MEASURES, measures(min((found["queries"] for _, found in cells), default=0)))
    differ = "Seeds differ in the tuned weights, the sketches, the split, the head's start and the order."
    return merged and {**merged, "gates_anew": True, "seeds_differ": differ}


def merge_separation(store: CellStore, source: str, arms: Mapping[str, Arm]) -> Results | None:
    """Return Table 4 of one set as `sketchloss separation` has it, or None if no cell of it is done."""
    from sketchloss.report.separation_table import QUANTITIES, measures

    cells = done(store, "separation", source=source)
    least = min((found["measured"] for _, found in cells), default=0)
    merged = _merge_arms(cells, arms, tuple(QUANTITIES), measures(least))
    if merged:
        for arm, of_arm in merged["arms"].items():
            varies = ["the sketches, the split and the trained head"]
            if arms[arm].gates == "untrained":
                varies.insert(0, "the untrained gates")
            elif arms[arm].tuning is not None or len(arms[arm].weights) > 1:
                varies.insert(0, "the weights" if arms[arm].weights else "the tuned weights")
            of_arm["varies"] = ", ".join(varies) if len(of_arm["runs"]) > 1 else None
        merged["left_out"] = []
        merged["data"] = source
    return merged


def _merge_arms(
    cells: Sequence[tuple[Cell, Results]],
    entries: Mapping[str, Arm],
    measures: Sequence[str],
    compared: Sequence[Measure],
) -> Results | None:
    if not cells:
        return None
    arms: dict[str, Results] = {}
    for cell, result in cells:
        found = result["arms"][cell.arm]
        if cell.arm in arms:
            arms[cell.arm]["runs"] += found["runs"]
        else:  # what is said of one repeat only is said of the first
            arms[cell.arm] = {**found, "runs": list(found["runs"]), "layer": found.get("layer", "")}
    for arm, of_arm in arms.items():
        entry = entries[arm]
        of_arm["gates"] = entry.gates
        of_arm["weights"] = [short_name(name) for name in entry.weights] or [f"{describe(entry)} {TUNED_HERE}"]
        values = {name: _by_seed(of_arm["runs"], name) for name in measures}
        of_arm["spread"] = {
            name: asdict(spread(list(found.values()))) if found else None for name, found in values.items()
        }
    values = {arm: {name: _by_seed(of_arm["runs"], name) for name in measures} for arm, of_arm in arms.items()}
    for arm, comparisons in keep_comparisons(compared, values).items():
        arms[arm]["against_tuning"] = comparisons
    first = cells[0][1]
    return {**first, "seeds": max(len(of_arm["runs"]) for of_arm in arms.values()), "arms": arms}


def _by_seed(runs: Iterable[Mapping[str, Any]], name: str) -> dict[int, float]:
    return {run["seed"]: run[name] for run in runs if run[name] is not None}


def style_values(store: CellStore, source: str) -> Table:
    """Return Table 1 of one set of pairs: row -> `ssim` and the names of distances -> seed -> value."""
    table: Table = {}
    for cell, result in done(store, "style", source=source):
        for row, found in result["sets"][source]["rows"].items():
            values = table.setdefault(row, {})
            if found["ssim"]:
                values.setdefault("ssim", {})[cell.seed] = found["ssim"]["mean"]
            for distance in found["distances"]:
                values.setdefault(distance["name"], {})[cell.seed] = distance["value"]
    return _references_last(table, store)


def average_style(tables: Sequence[Table]) -> Table:
    """Return the mean over sets, of rows, measures and seeds that all sets have."""
    average: Table = {}
    for row in tables[0]:
        if not all(row in table for table in tables):
            continue
        for name, of_seeds in tables[0][row].items():
            columns = [table[row].get(name, {}) for table in tables]
            for seed in of_seeds:
                if all(seed in column for column in columns):
                    value = sum(column[seed] for column in columns) / len(columns)
                    average.setdefault(row, {}).setdefault(name, {})[seed] = value
    return average


def lora_values(store: CellStore) -> Table:
    """Return Table 2: row -> `class_accuracy`, `clip` and the names of distances -> seed -> value."""
    table: Table = {}
    for cell, result in done(store, "lora"):
        for row, runs in result["rows"].items():
            values = table.setdefault(row, {})
            values.setdefault("class_accuracy", {})[cell.seed] = runs[0]["class_accuracy"]
            if runs[0]["clip"]:
                values.setdefault("clip", {})[cell.seed] = runs[0]["clip"]["mean"]
            for distance in runs[0]["distances"]:
                values.setdefault(distance["name"], {})[cell.seed] = distance["value"]
    return _references_last(table, store)


def merge_probe(store: CellStore) -> Results | None:
    """Return what `sketchloss probe` would have found of all arms together, with the first seed's weights."""
    cells = [(cell, result) for cell, result in done(store, "probe") if _is_first(store, cell)]
    if not cells:
        return None
    results = [result for _, result in cells]
    return {
        **results[0],
        "rows": sorted((row for result in results for row in result["rows"]), key=lambda row: row["group"] is not None),
        "chosen": [chosen for result in results for chosen in result["chosen"]],
    }


def _is_first(store: CellStore, cell: Cell) -> bool:
    return cell.seed == min(other.seed for other in store if (other.part, other.arm) == (cell.part, cell.arm))


def probe_values(store: CellStore) -> Table:
    """Return what the probe found of each arm's loss and of what is no network: row -> measure -> seed -> value."""
    table: Table = {}
    for cell, result in done(store, "probe"):
        names = {"default": str(cell.arm), "paper": f"{cell.arm}, the paper's l1"}
        for row in result["rows"]:
            if row["kind"] not in (*names, "baseline"):
                continue
            values = table.setdefault(names.get(row["kind"]) or row["name"], {})
            found = row["report"]
            measures = {
                **{"score": found["score"], "grows": found["growth"]["mean"], "ignores": found["ignoring"]["mean"]},
                **{rival: share and share["value"] for rival, share in found["choice"].items()},
                "people": row["people"] and row["people"]["value"],
            }
            for name, value in measures.items():
                if value is not None:
                    values.setdefault(name, {})[cell.seed] = value
    return table


def probe_counts(merged: Results) -> dict[str, int]:
    """Return of how many yes-or-no trials the probe's shares are: measure -> number."""
    row = merged["rows"][0]
    counts = {rival: share["trials"] for rival, share in row["report"]["choice"].items() if share}
    counts["ignores"] = row["report"]["drawings"] * len(CHANGES)
    if row["people"]:
        counts["people"] = row["people"]["judgments"]
    return counts


def _references_last(table: Table, store: CellStore) -> Table:
    """Put rows that are no arm at the end; of these one value is enough, since no seed changes them."""
    arms = {cell.arm for cell in store}
    trained = {row: found for row, found in table.items() if row in arms}
    references = {
        row: {name: dict(list(values.items())[:1]) for name, values in found.items()}
        for row, found in table.items()
        if row not in trained
    }
    return {**trained, **references}


def long_rows(results: Mapping[str, Any]) -> list[tuple[object, ...]]:
    """Return every measured number as a row of table, set, row, measure, seed and value."""
    rows: list[tuple[object, ...]] = []
    for name, sets in results["tables"].items():
        for source, table in sets.items():
            for row, measures in table.items():
                for measure, values in measures.items():
                    rows += [(name, short_name(source), row, measure, seed, value) for seed, value in values.items()]
    return rows


def values_of_runs(merged: Results | None, measures: Iterable[str]) -> Table:
    """Return what a merged Table 3 or 4 holds, as the others: row -> measure -> seed -> value."""
    if merged is None:
        return {}
    return {
        arm: {name: found for name in measures if (found := _by_seed(of_arm["runs"], name))}
        for arm, of_arm in merged["arms"].items()
    }
