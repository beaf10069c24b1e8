"""Table 2 (Seo 2025): what LoRAs draw, of one run of the command or of the cells of a study."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from sketchloss.data.names import short_name
from sketchloss.experiments.distance_columns import distance_measures, distance_values
from sketchloss.experiments.section import Section
from sketchloss.experiments.table import PAPER_DATA, Measure, Published, Table, Values, merge
from sketchloss.networks.arms import ARMS

PAPER_BASE = "stable-diffusion-v1-5/stable-diffusion-v1-5"
#: Table 2 of the paper: CLIP similarity and FID.
PAPER_CLIP: Published = {
    "attention+tuning": (27.19, None),
    "tuning": (26.09, None),
    "attention": (22.48, None),
    "original": (26.15, None),
}
PAPER_FID: Published = {
    "attention+tuning": (65.56, None),
    "tuning": (85.03, None),
    "attention": (122.87, None),
    "original": (80.04, None),
}
#: The row of a LoRA without a perceptual term, which the others are compared with.
PLAIN: Literal["none"] = "none"
BASE_ROW, TRUE_ROW = "base without LoRA", "other true drawings"


def values(results: Mapping[str, Any]) -> Values:
    """Return what one run has measured."""
    found: dict[str, dict[str, dict[int, float]]] = {}
    for row, runs in results["rows"].items():
        for place, run in enumerate(runs):
            measured = {"class_accuracy": run["class_accuracy"], **dict(distance_values(run["distances"]))}
            if run["clip"]:
                measured["clip"] = run["clip"]["mean"]
            for name, value in measured.items():
                found.setdefault(row, {}).setdefault(name, {})[results["seed"] + place] = value
    return found


def measures(results: Mapping[str, Any]) -> list[Measure]:
    """Return the columns of Table 2."""
    runs = [runs[0] for runs in results["rows"].values()]
    clip = next((run["clip"]["name"] for run in runs if run["clip"]), "CLIP similarity")
    trials = results["classes"] * results["drawings"]
    return [
        Measure("class_accuracy", "class accuracy", percent=True, digits=1, share=True, trials=trials),
        Measure("clip", clip, digits=2, paper=PAPER_CLIP),
        *distance_measures(runs[0]["distances"], PAPER_FID),
    ]


def section(results: Sequence[Mapping[str, Any]]) -> Section:
    """Return Table 2.

    Args:
        results: what `results.json` of the LoRA table holds, of one run, or of runs that differ only in arm and seed.
    """
    first = results[0]
    merged = merge([values(found) for found in results], once=(BASE_ROW, TRUE_ROW))
    table = Table(
        measures(first),
        merged,
        corner="perceptual term",
        against=PLAIN,
        beside=(BASE_ROW, TRUE_ROW),
        same_data=(first["base"], first["data"], first["image_size"]) == (PAPER_BASE, PAPER_DATA, 256),
    )
    seeds = max(len(found["class_accuracy"]) for row, found in merged.items() if row not in table.beside)
    notes = tuple(_notes(results, seeds, BASE_ROW in merged))
    return Section(table, caption=_caption(first, seeds), notes=notes)


def _caption(results: Mapping[str, Any], seeds: int) -> str:
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


def _notes(all_results: Sequence[Mapping[str, Any]], seeds: int, has_references: bool) -> Iterator[str]:
    results = all_results[0]
    yield (
        "The judge is no party: it shares no weights with the arms. An arm was trained through features of its own "
        "weights, so that a distance by features of the same weights favours it."
    )
    if has_references:
        yield (
            f"{BASE_ROW}: what the pipeline draws untaught. {TRUE_ROW}: as many that were learnt from, by the judge "
            "too; the accuracy is of the held-out ones."
        )
    gate = "every sample has it"
    if results["gate"] == "snr":
        gate = f"samples with a signal-to-noise ratio of at least {results['minimum_snr']:g} have it"
    weight = "a factor"
    if results["balance"] == "initial":
        weight = "the gradients that it and the noise loss send to the UNet's output stand in that ratio at the start"
    part = f", in a window of {results['decoded_part']:g} of the side" if results["decoded_part"] < 1 else ""
    target = {"latent": "the decoded true latent", "image": "the true drawing"}[results["target"]]
    yield f"Perceptual term: weight {results['perceptual_weight']:g} ({weight}); {gate}; compared with {target}{part}."
    if seeds == 1:
        yield f"One training for each arm (seed {results['seed']}): another would differ by an unknown amount."
    if len(all_results) == 1:
        yield from (
            f"{arm}: the weights {', '.join(map(short_name, names))}." for arm, names in results["weights"].items()
        )
    for arm in ARMS.values():
        if arm.name not in results["weights"] and not results["only"]:
            yield f"{arm.name}: left out, no weights given ({arm.flag})."
