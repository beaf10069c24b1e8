"""Table 1 (Seo 2025): what photo-to-sketch networks draw, of one run of the command or of the cells of a study."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from sketchloss.data.names import short_name
from sketchloss.experiments.distance_columns import distance_intervals, distance_measures, distance_values
from sketchloss.experiments.page_judges import PAGE_MEASURES
from sketchloss.experiments.section import Section
from sketchloss.experiments.table import Measure, Table, Values, merge
from sketchloss.networks.arms import ARMS

#: Table 1 of the paper: set -> arm -> SSIM and FID.
PAPER = {
    "cufs": {
        "attention+tuning": (0.5308, 92.06),
        "tuning": (0.5049, 119.84),
        "attention": (0.4886, 233.87),
        "original": (0.5173, 105.76),
    },
    "fs2k-style-1": {
        "attention+tuning": (0.4132, 65.66),
        "tuning": (0.3703, 100.15),
        "attention": (0.4176, 100.15),
        "original": (0.4216, 70.16),
    },
    "fs2k-style-2": {
        "attention+tuning": (0.2824, 73.25),
        "tuning": (0.2396, 77.60),
        "attention": (0.2998, 73.57),
        "original": (0.2770, 58.70),
    },
    "fs2k-style-3": {
        "attention+tuning": (0.5656, 126.66),
        "tuning": (0.5454, 168.16),
        "attention": (0.4979, 398.16),
        "original": (0.5618, 150.00),
    },
    # As printed; the second FID is a slip for 116.44, the mean of the four above.
    "average": {
        "attention+tuning": (0.4480, 89.40),
        "tuning": (0.4150, 116.16),
        "attention": (0.4259, 201.43),
        "original": (0.4444, 96.15),
    },
}
AVERAGE = "average"
GREY_PHOTO, OTHER_SKETCHES = "grey photo", "other true sketches"


def measures(distances: Sequence[Mapping[str, Any]], folder: str) -> list[Measure]:
    """Return the columns of Table 1, of one set of pairs.

    Args:
        distances: distances of one row of the table.
        folder: what the paper's set is called, such as `fs2k-style-1`.
    """
    paper = PAPER.get(folder, {})
    similarity = {arm: (found[0], None) for arm, found in paper.items()}
    fids = {arm: (found[1], None) for arm, found in paper.items()}
    return [
        Measure("ssim", "SSIM", digits=3, paper=similarity, paper_digits=4),
        Measure("ssim_deviation", "SSIM, deviation over pairs", ranked=False, shown=False),
        *distance_measures(distances, fids),
    ]


def values(results: Mapping[str, Any], source: str) -> Values:
    """Return what one run has measured on one set."""
    found: dict[str, dict[str, dict[int, float]]] = {}
    for row, of_row in results["sets"][source]["rows"].items():
        measured = dict(distance_values(of_row["distances"]))
        if of_row["ssim"]:
            measured["ssim"] = of_row["ssim"]["mean"]
            if of_row["ssim"]["deviation"] is not None:
                measured["ssim_deviation"] = of_row["ssim"]["deviation"]
        found[row] = {name: {results["seed"]: value} for name, value in measured.items()}
    return found


def sections(results: Sequence[Mapping[str, Any]]) -> list[Section]:
    """Return what was measured, Table 1 of each set of pairs, and the averages of all sets if there are several.

    Args:
        results: what `results.json` of the style table holds, of one run, or of runs that differ only in set, arm
            and seed.
    """
    sources = list(dict.fromkeys(source for found in results for source in found["sets"]))
    made = [_section([found for found in results if source in found["sets"]], source) for source in sources]
    if len(made) > 1:
        made.append(_average([one.table for one in made if one.table], results, sources))
    # What is said of all sets stands once, before the first table and after the last.
    made[-1] = replace(made[-1], notes=tuple(_notes(results)))
    return [Section(None, caption=_caption(results)), *made, *_pages(results, sources)]


def _pages(results: Sequence[Mapping[str, Any]], sources: Sequence[str]) -> Iterator[Section]:
    """Yield a table for each set of what is measured without a network; results of earlier versions have none."""
    for source in sources:
        rows = [(found["seed"], found["sets"][source]["rows"]) for found in results if source in found["sets"]]
        values = merge(
            [
                {row: {name: {seed: value} for name, value in of_row.get("pages", {}).items()}}
                for seed, of_seed in rows
                for row, of_row in of_seed.items()
                if of_row.get("pages")
            ],
            once=(GREY_PHOTO,),
        )
        if values:
            yield Section(
                Table(PAGE_MEASURES, values, corner="loss of the arm", beside=(GREY_PHOTO,)),
                source=f"{source}, pages",
                caption=(
                    f"{short_name(source)}: the same drawings by judges that are no network, so no arm was trained by "
                    "them. Means over pairs. Scoot is for faces; an ink ratio of 1 is right."
                ),
            )


def _section(results: Sequence[Mapping[str, Any]], source: str) -> Section:
    first = results[0]
    of_set = first["sets"][source]
    distances = next(iter(of_set["rows"].values()))["distances"]
    intervals: dict[tuple[str, str], tuple[float, float]] = {}
    for found in results:
        for row, of_row in found["sets"][source]["rows"].items():
            for name, bounds in _intervals(of_row):
                intervals.setdefault((row, name), bounds)  # of the first result, as the references' values
    fewer = f", {of_set['compared']:,} of them for the distances" if of_set["compared"] < of_set["pairs"] else ""
    table = Table(
        measures(distances, of_set["folder"]),
        merge([values(found, source) for found in results], once=(GREY_PHOTO, OTHER_SKETCHES)),
        corner="loss of the arm",
        beside=(GREY_PHOTO, OTHER_SKETCHES),
        intervals=intervals,
        same_data=_is_papers_protocol(first),
    )
    return Section(table, source=source, caption=f"{short_name(source)}: {of_set['pairs']:,} test pairs{fewer}.")


def _intervals(row: Mapping[str, Any]) -> Iterator[tuple[str, tuple[float, float]]]:
    yield from distance_intervals(row["distances"])
    similarity = row["ssim"]
    if similarity and similarity["deviation"] is not None:
        from scipy.special import stdtrit  # heavy, and only needed here

        t = float(stdtrit(similarity["count"] - 1, 0.975))  # pairs may be few
        half = t * similarity["deviation"] / math.sqrt(similarity["count"])
        yield "ssim", (similarity["mean"] - half, similarity["mean"] + half)


def _average(tables: Sequence[Table], results: Sequence[Mapping[str, Any]], sources: Sequence[str]) -> Section:
    """Return the mean over sets, of rows, columns and seeds that all sets have."""
    shown = {measure.name for table in tables for measure in table.measures if measure.shown}
    average: dict[str, dict[str, dict[int, float]]] = {}
    for row in tables[0].values:
        if not all(row in table.values for table in tables):
            continue
        for name, of_seeds in tables[0].values[row].items():
            if name not in shown:  # a mean of deviations is none
                continue
            columns = [table.values[row].get(name, {}) for table in tables]
            shared = [seed for seed in of_seeds if all(seed in column for column in columns)]
            if shared:
                average.setdefault(row, {})[name] = {
                    seed: math.fsum(column[seed] for column in columns) / len(columns) for seed in shared
                }
    first = results[0]
    folders = {found["sets"][source]["folder"] for found in results for source in sources if source in found["sets"]}
    small = {measure.name for table in tables for measure in table.measures if measure.small_sample}
    one = next(iter(next(iter(first["sets"].values()))["rows"].values()))
    distances = [{**distance, "small_sample": distance["name"] in small} for distance in one["distances"]]
    table = Table(
        measures(distances, AVERAGE if folders == set(PAPER) - {AVERAGE} else ""),
        average,
        corner="loss of the arm",
        beside=(GREY_PHOTO, OTHER_SKETCHES),
        same_data=_is_papers_protocol(first),
    )
    return Section(table, source=AVERAGE, caption="Mean over the sets.")


def _is_papers_protocol(results: Mapping[str, Any]) -> bool:
    """Tell whether trainings were as large as the paper's; sets that it has numbers of are the same."""
    return (results["image_size"], results["photos"], results["width"]) == (256, 118_288, 1.0)


def _caption(results: Sequence[Mapping[str, Any]]) -> str:
    first = results[0]
    counts = sorted({count for found in results for count in found["sketches"].values()})
    sketches = f"{' to '.join(f'{count:,}' for count in counts[:: max(1, len(counts) - 1)])} sketches"
    return (
        f"Photo to sketch: one network for each set and arm, of width {first['width']:g}, trained {first['steps']:,} "
        f"steps of {first['batch_size']} on {first['photos']:,} photos ({short_name(first['content'])}) at "
        f"{first['image_size']} pixels, with the mean style of {sketches} of the set's training part. It draws the "
        "photos of the test part, which are compared with the true sketches: SSIM (grey, Gaussian window of 11 by 11 "
        "pixels) pair by pair, and the distance of the two sets by the features of a network: Fréchet (FD), and kernel "
        "(KD, unbiased, may fall below 0). Of one training, 95 % intervals over pairs and over resampled pictures; of "
        "several, mean ± standard deviation. Seo 2025: 256 pixels, full width, 118,288 photos, FID."
    )


def _notes(results: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    first = results[0]
    yield "The same pairs for all rows of a set; distances of different sets do not compare."
    yield (
        f"{GREY_PHOTO}: what nothing but taking the colour away would reach. {OTHER_SKETCHES}: as many of the set's "
        "training part: the same hand, other sitters; no lower bound."
    )
    yield (
        "Judges are parties: an arm was trained through features of its own weights, so that a distance by features of "
        "the same weights favours it. Only the FID's network is neutral (--inception)."
    )
    seeds = sorted({found["seed"] for found in results})
    if len(seeds) == 1:
        yield f"One training for each set and arm (seed {seeds[0]}): the intervals do not cover a second one."
    balance = first["balance"]
    ratio = " : ".join(f"{balance[name]:g}" for name in ("content_weight", "style_weight", "variation_weight"))
    yield f"content : style : total variation = {ratio}, balance {balance['balance']}."
    if len(results) == 1:
        yield from (f"{arm}: the weights {short_name(weights)}." for arm, weights in first["weights"].items())
    for arm in ARMS.values():
        if arm.name not in first["weights"] and not first.get("only"):
            yield f"{arm.name}: left out, no weights given ({arm.flag})."
