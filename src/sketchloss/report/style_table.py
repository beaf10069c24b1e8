"""Table 1 (Seo 2025) in words: what `results.json` of the style table holds, as Markdown and as rows for CSV."""

from collections.abc import Iterable, Iterator
from typing import Any

from sketchloss.data.names import short_name
from sketchloss.networks.arms import ARMS
from sketchloss.report.tables import markdown_table, paper_cell, paper_heading
from sketchloss.statistics import Spread, format_spread

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
CSV_HEADER = (
    *("set", "row", "pairs", "ssim", "ssim_deviation", "distance", "compared", "value", "low", "high", "bias"),
    *("kernel", "kernel_deviation", "paper_ssim", "paper_fid"),
)


def style_report(results: dict[str, Any]) -> str:
    """Return the caption, the table beside the paper's, and notes, as Markdown."""
    return "\n\n".join([_caption(results), _table(results), "\n".join(f"- {note}" for note in _notes(results))])


def style_rows(results: dict[str, Any]) -> list[tuple[object, ...]]:
    """Return a row for each set, arm or reference, and distance, under `CSV_HEADER`."""
    rows = []
    for name, of_set in results["sets"].items():
        for row, found in of_set["rows"].items():
            similarity = found["ssim"] or {"mean": None, "deviation": None}
            paper = PAPER.get(of_set["folder"], {}).get(row, (None, None))
            for distance in found["distances"]:
                values = (distance[key] for key in ("value", "low", "high", "bias", "kernel", "kernel_std"))
                front = (name, row, of_set["pairs"], similarity["mean"], similarity["deviation"])
                rows.append((*front, distance["name"], of_set["compared"], *values, *paper))
    return rows


def _caption(results: dict[str, Any]) -> str:
    return (
        f"Photo to sketch: one network for each set and arm, of width {results['width']:g}, trained "
        f"{results['steps']:,} steps of {results['batch_size']} on {results['photos']:,} photos "
        f"({short_name(results['content'])}) at {results['image_size']} pixels, with the mean style of "
        f"{_sketches(results)} of the set's training part. It draws the photos of the test part, which are compared "
        "with the true sketches: SSIM (grey, Gaussian window of 11 by 11 pixels; mean ± standard deviation over pairs) "
        "pair by pair, and the distance of the two sets by the features of a network: Fréchet (FD), with a 95 % "
        "interval over resampled pictures, and kernel (KD, unbiased, may fall below 0). Seo 2025: 256 pixels, full "
        "width, 118,288 photos, FID."
    )


def is_papers_protocol(results: dict[str, Any]) -> bool:
    """Tell whether a table is of trainings as large as the paper's; sets that it has numbers of are the same."""
    return (results["image_size"], results["photos"], results["width"]) == (256, 118_288, 1.0)


def _sketches(results: dict[str, Any]) -> str:
    counts = sorted(set(results["sketches"].values()))
    return f"{' to '.join(f'{count:,}' for count in counts[:: max(1, len(counts) - 1)])} sketches"


def _table(results: dict[str, Any]) -> str:
    distances = next(iter(next(iter(results["sets"].values()))["rows"].values()))["distances"]
    headings = [f"{distance[name]} ↓" for distance in distances for name in ("name", "kernel_name")]
    header = ["set", "loss of the arm", "SSIM ↑", *headings]
    header += [paper_heading(what, same_data=is_papers_protocol(results)) for what in ("SSIM ↑", "FID ↓")]
    rows = []
    for name, of_set in results["sets"].items():
        for row, found in of_set["rows"].items():
            similarity = format_spread(Spread(**found["ssim"]), digits=3) if found["ssim"] else "-"
            cells = [text for item in found["distances"] for text in (_interval(item), _figures(item["kernel"]))]
            rows.append([short_name(name), row, similarity, *cells, *_paper(of_set["folder"], row)])
    if len(results["sets"]) > 1:
        rows += _averages(results)
    return markdown_table(header, rows)


def _averages(results: dict[str, Any]) -> Iterator[list[str]]:
    sets = list(results["sets"].values())
    for row in sets[0]["rows"]:
        found = [of_set["rows"][row] for of_set in sets]
        similarity = "-" if found[0]["ssim"] is None else f"{_mean(item['ssim']['mean'] for item in found):.3f}"
        cells = [
            _figures(_mean(distance[name] for distance in distances))
            for distances in zip(*(item["distances"] for item in found), strict=True)
            for name in ("value", "kernel")
        ]
        papers = [PAPER.get(of_set["folder"], {}).get(row) for of_set in sets]
        complete = len(papers) == len(PAPER) - 1 and all(papers)
        yield [AVERAGE, row, similarity, *cells, *(_paper(AVERAGE, row) if complete else ["-", "-"])]


def _mean(values: Iterable[float]) -> float:
    found = list(values)
    return sum(found) / len(found)


def _figures(value: float) -> str:
    """Return a number with three figures, and never in powers of ten."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _interval(distance: dict[str, Any]) -> str:
    value = _figures(distance["value"])
    return value if distance["low"] is None else f"{value} [{_figures(distance['low'])}, {_figures(distance['high'])}]"


def _paper(folder: str, row: str) -> list[str]:
    found = PAPER.get(folder, {}).get(row)
    return [paper_cell(f"{found[0]:.4f}"), paper_cell(f"{found[1]:.2f}")] if found else ["-", "-"]


def _notes(results: dict[str, Any]) -> Iterator[str]:
    counts = [(short_name(name), of_set["pairs"], of_set["compared"]) for name, of_set in results["sets"].items()]
    yield (
        "Pairs: "
        + "; ".join(
            f"{name} {pairs:,}" + (f", {compared:,} of them for the distances" if compared < pairs else "")
            for name, pairs, compared in counts
        )
        + ". The same for all rows of a set; distances of different sets do not compare."
    )
    if any(
        distance["small_sample"]
        for of_set in results["sets"].values()
        for row in of_set["rows"].values()
        for distance in row["distances"]
    ):
        yield "Small samples (below 2,048): Fréchet distances lie too high; do not compare them with published FIDs."
    yield (
        "grey photo: what nothing but taking the colour away would reach. other true sketches: as many of the set's "
        "training part: the same hand, other sitters; no lower bound."
    )
    yield (
        "Judges are parties: an arm was trained through features of its own weights, so that a distance by features of "
        "the same weights favours it. Only the FID's network is neutral (--inception)."
    )
    yield "One training for each set and arm (seed " + f"{results['seed']}): the intervals do not cover a second one."
    balance = results["balance"]
    ratio = " : ".join(f"{balance[name]:g}" for name in ("content_weight", "style_weight", "variation_weight"))
    yield f"content : style : total variation = {ratio}, balance {balance['balance']}."
    yield from (f"{arm}: the weights {short_name(weights)}." for arm, weights in results["weights"].items())
    for arm in ARMS.values():
        if arm.name not in results["weights"] and not results.get("only"):
            yield f"{arm.name}: left out, no weights given ({arm.flag})."
