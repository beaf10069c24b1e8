"""Table 2 (Seo 2025) in words: what `results.json` of the LoRA table holds, as Markdown and as rows for CSV."""

from collections.abc import Iterator
from typing import Any, Literal

from sketchloss.comparison import Comparison, Pairs, compare_all, explain, format_difference, one_trial
from sketchloss.data.names import short_name
from sketchloss.networks.arms import ARMS
from sketchloss.report.tables import PAPER_DATA, format_p, markdown_table, paper_cell, paper_heading
from sketchloss.statistics import format_spread, spread

PAPER_BASE = "stable-diffusion-v1-5/stable-diffusion-v1-5"
#: Table 2 of the paper: arm -> CLIP similarity and FID.
PAPER = {
    "attention+tuning": (27.19, 65.56),
    "tuning": (26.09, 85.03),
    "attention": (22.48, 122.87),
    "original": (26.15, 80.04),
}
PLAIN: Literal["none"] = "none"
CSV_HEADER = (
    *("row", "run", "class_accuracy", "clip_model", "clip", "distance", "compared", "value", "kernel_name", "kernel"),
    *("paper_clip", "paper_fid"),
)


def lora_report(results: dict[str, Any]) -> str:
    """Return the caption, the table beside the paper's, and notes, as Markdown."""
    return "\n\n".join([_caption(results), _table(results), "\n".join(f"- {note}" for note in _notes(results))])


def lora_rows(results: dict[str, Any]) -> list[tuple[object, ...]]:
    """Return a row for each arm or reference, repeat and distance, under `CSV_HEADER`."""
    rows = []
    for name, runs in results["rows"].items():
        for run, found in enumerate(runs):
            clip = found["clip"] or {"name": None, "mean": None}
            for distance in found["distances"]:
                values = (distance[key] for key in ("name", "value", "kernel_name", "kernel"))
                distance_name, value, kernel_name, kernel = values
                front = (name, run, found["class_accuracy"], clip["name"], clip["mean"])
                compared = (distance_name, results["compared"], value, kernel_name, kernel)
                rows.append((*front, *compared, *PAPER.get(name, (None, None))))
    return rows


def is_papers_protocol(base: str, data: str, image_size: int) -> bool:
    """Tell whether a table is of the model, the data and the size that the paper had."""
    return (base, data, image_size) == (PAPER_BASE, PAPER_DATA, 256)


def _compared(results: dict[str, Any]) -> dict[str, Comparison]:
    """Return how the class accuracy of each arm compares with that of no perceptual term, over the seeds."""
    rows, trials = results["rows"], results["classes"] * results["drawings"]
    if results["seeds"] < 2 or PLAIN not in rows:
        return {}
    values = {name: {place: run["class_accuracy"] for place, run in enumerate(runs)} for name, runs in rows.items()}
    return compare_all(
        {
            name: Pairs(found, values[PLAIN], share=True, trials=trials)
            for name, found in values.items()
            if name != PLAIN and len(found) == len(values[PLAIN])
        }
    )


def _caption(results: dict[str, Any]) -> str:
    seeds = results["seeds"]
    trainings = "one training of each arm" if seeds == 1 else f"{seeds} trainings of each arm (mean ± deviation)"
    base, data, judge = short_name(results["base"]), short_name(results["data"]), results["judge"]
    steps = f"{results['steps']:,} steps of {results['batch_size'] * results['accumulate']}"
    sketches = f"{results['learnt']:,} sketches ({data}, {results['classes']} classes)"
    how = f'"{results["template"]}", {results["drawing_steps"]} steps, guidance {results["guidance"]:g}'
    return (
        f"Prompt to sketch: LoRAs of rank {results['rank']} ({results['targets']}) on {base}, trained "
        f"{steps} on {sketches} at {results['image_size']} pixels, "
        f"{trainings}. Each draws every class {results['drawings']} times ({how}). Class accuracy: share of the "
        "generated drawings that a classifier, trained on the same true drawings, takes for what they should be; it is "
        f"right about {judge['accuracy']:.1%} of {judge['held']:,} held-out true ones. FD: Fréchet distance of "
        f"{results['compared']:,} drawings from as many held-out true ones, by the features of a network; KD: kernel "
        "distance, unbiased. Seo 2025: Stable Diffusion 1.5, ImageNet-Sketch, 256 pixels, 100 epochs, CLIP "
        "similarity and FID."
    )


def _table(results: dict[str, Any]) -> str:
    rows = results["rows"]
    first = next(iter(rows.values()))[0]
    compared = _compared(results)
    header = ["perceptual term", "class accuracy ↑ (%)", *(["p against none"] if compared else [])]
    header += [f"{first['clip']['name']} ↑"] if first["clip"] else []
    header += [f"{distance[name]} ↓" for distance in first["distances"] for name in ("name", "kernel_name")]
    table = []
    for name, runs in rows.items():
        accuracies = [run["class_accuracy"] for run in runs]
        cells = [format_spread(spread(accuracies), digits=1, percent=True)]
        if compared:
            one = compared.get(name)
            cells[0] = f"{cells[0]} {one.mark() if one else ''}".rstrip()
            cells.append(format_p(one.p if one else None))
        if first["clip"]:
            cells.append(format_spread(spread([run["clip"]["mean"] for run in runs])) if runs[0]["clip"] else "-")
        cells += [
            _spread_of([run["distances"][place][key] for run in runs])
            for place in range(len(first["distances"]))
            for key in ("value", "kernel")
        ]
        paper = [paper_cell(f"{value:.2f}") for value in PAPER[name]] if name in PAPER else ["-", "-"]
        table.append([name, *cells, *paper])
    same = is_papers_protocol(results["base"], results["data"], results["image_size"])
    return markdown_table([*header, *(paper_heading(what, same_data=same) for what in ("CLIP ↑", "FID ↓"))], table)


def _spread_of(values: list[float]) -> str:
    """Return mean and deviation with three figures of the mean, and never in powers of ten."""
    found = spread(values)
    size = abs(found.mean)
    digits = 0 if size >= 100 else 1 if size >= 10 else 2 if size >= 1 else 4
    return format_spread(found, digits=digits)


def _notes(results: dict[str, Any]) -> Iterator[str]:
    if any(distance["small_sample"] for runs in results["rows"].values() for run in runs
           for distance in run["distances"]):  # fmt: skip
        yield "Small samples (below 2,048): Fréchet distances lie too high; do not compare them with published FIDs."
    yield (
        "The judge is no party: it shares no weights with the arms. An arm was trained through features of its own "
        "weights, so that a distance by features of the same weights favours it."
    )
    if results["references"]:
        yield "base without LoRA: what the pipeline draws untaught."
        yield (
            "other true drawings: as many that were learnt from, by the judge too; the accuracy is of the held-out "
            "ones."
        )
    gate = (
        f"samples with a signal-to-noise ratio of at least {results['minimum_snr']:g} have it"
        if results["gate"] == "snr"
        else "every sample has it"
    )
    weight = (
        "the gradients that it and the noise loss send to the UNet's output stand in that ratio at the start"
        if results["balance"] == "initial"
        else "a factor"
    )
    part = f", in a window of {results['decoded_part']:g} of the side" if results["decoded_part"] < 1 else ""
    target = {"latent": "the decoded true latent", "image": "the true drawing"}[results["target"]]
    yield f"Perceptual term: weight {results['perceptual_weight']:g} ({weight}); {gate}; compared with {target}{part}."
    compared = _compared(results)
    trials = results["classes"] * results["drawings"]
    yield f"Class accuracy of the generated drawings: {one_trial(trials)}."
    if said := explain(list(compared.values()), against=PLAIN):
        yield said
    unseen = [
        f"{name} {format_difference(one.detectable, percent=True)}"
        for name, one in compared.items()
        if one.detectable is not None and one.verdict() == "undecided"
    ]
    if unseen:
        yield f"Undecided; with 80 % power would have been found: {'; '.join(unseen)}."
    if results["seeds"] == 1:
        yield f"One training for each arm (seed {results['seed']}): another would differ by an unknown amount."
    yield from (f"{arm}: the weights {', '.join(map(short_name, names))}." for arm, names in results["weights"].items())
    for arm in ARMS.values():
        if arm.name not in results["weights"] and not results["only"]:
            yield f"{arm.name}: left out, no weights given ({arm.flag})."
