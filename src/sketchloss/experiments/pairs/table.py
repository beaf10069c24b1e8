"""The tables of the pairs: the judges of each task, and beside them the distances that some losses are made of."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sketchloss.experiments.guiding_losses import NONE, column_title, term_title
from sketchloss.experiments.pairs.judging import choosing_measure
from sketchloss.experiments.pairs.settings import FACES
from sketchloss.experiments.section import Section
from sketchloss.experiments.table import Measure, Table, Values
from sketchloss.strokes.named_losses import network_of

#: Rows that no training made.
INPUT, TRUTH = "the input as it is", "the true drawing"
PULL = "pull"
_LOWER: dict[str, Any] = {"greater_is_better": False}
_WHAT = {
    "faces-cufs": "photos of faces to sketches (CUFS)",
    "faces-fs2k": "photos of faces to sketches (FS2K)",
    "rough": "rough lines to clean ones",
    "scan": "a poor scan to the clean drawing",
}


def measures(task: str, tested: int) -> list[Measure]:
    """Return the columns of a task's table.

    Args:
        task: name of the task.
        tested: number of drawings in the test part.
    """
    # What chose the pulls is shown and not ranked; so is what all rows are trained by, and parts of another measure.
    return [
        Measure("scoot", "Scoot", ranked=choosing_measure(task) != "scoot", digits=3),
        Measure("f1", "ink F1", ranked=choosing_measure(task) != "f1", digits=3),
        Measure("precision", "ink precision", ranked=False, digits=3),
        Measure("recall", "ink recall", ranked=False, digits=3),
        Measure("chamfer", "chamfer, px", **_LOWER, digits=3),
        Measure("stray_ink", "stray ink", **_LOWER, digits=3),
        Measure("white_paper", "white paper", digits=3),
        Measure("saturation", "saturation", **_LOWER, digits=4),
        Measure("width_error", "stroke width error, px", **_LOWER, digits=3),
        Measure("class_accuracy", "class accuracy", percent=True, digits=1, share=True, trials=tested),
        Measure("frechet", "FD (classifier)", **_LOWER, small_sample=tested < 2048, digits=2),
        Measure("ssim", "SSIM", digits=3),
        Measure("ink_ratio", "ink ratio", ranked=False, digits=2),
        Measure("l1", "L1", ranked=False, digits=4),
        Measure(PULL, "pull", ranked=False, digits=1),
    ]


def sections(task: str, results: Sequence[tuple[str, int, Mapping[str, Any]]], settings: Mapping[str, Any]) -> Iterator:
    """Yield the table of a task, and the one of distances of networks.

    Args:
        task: name of the task.
        results: term, seed and result of each cell.
        settings: settings of one of the cells.

    Returns:
        Sections, without figures.
    """
    terms = list(dict.fromkeys(term for term, _, _ in results))
    first = results[0][2]
    values = _values(results, "measures")
    beside = [row for row in (INPUT, TRUTH) if row in values]
    table = Table(
        measures(task, first["tested"]),
        values,
        corner="loss",
        against=column_title(NONE),
        beside=beside,
        not_counted=[(column_title(term), "ssim") for term in terms if term == "ssim"],
    )
    yield Section(table, source=task, caption=_caption(task, first, settings), notes=tuple(_notes(task, results)))
    names = list(first["distances"])
    if names:
        asked = {name: network_of(name) for name in names}
        parties = [
            (column_title(term), name)
            for term in terms
            for name, network in asked.items()
            if term == name or (network and (own := network_of(term)) and own.weights == network.weights)
        ]
        columns = [Measure(name, term_title(name), **_LOWER, digits=4) for name in names]
        distances = Table(
            columns,
            _values(results, "distances"),
            corner="loss",
            against=column_title(NONE),
            beside=beside,
            not_counted=parties,
        )
        yield Section(
            distances,
            source=f"{task} by distances of networks",
            caption="The same drawings by the distances that some rows were trained by. A row is in brackets where it "
            "was trained through the same weights.",
        )


def _values(results: Sequence[tuple[str, int, Mapping[str, Any]]], kind: str) -> Values:
    values: dict[str, dict[str, dict[int, float]]] = {}
    for term, seed, result in results:
        rows = {column_title(term): result[kind], **{row: of[kind] for row, of in result["references"].items()}}
        for row, measured in rows.items():
            for name, value in measured.items():
                values.setdefault(row, {}).setdefault(name, {})[seed] = value
        if kind == "measures" and result["pull"] is not None:
            values[column_title(term)].setdefault(PULL, {})[seed] = result["pull"]
    return values


def _caption(task: str, first: Mapping[str, Any], settings: Mapping[str, Any]) -> str:
    kinds = f" of {len(settings['classes'])} classes" if settings["classes"] else ""
    return (
        f"A U-Net of {first['parameters'] / 1e6:.2f} million parameters learns {_WHAT[task]} from "
        f"{first['learned']:,} pairs{kinds} at {settings['image_size']} pixels, {settings['steps']:,} steps of "
        f"{settings['batch_size']}, by the mean absolute difference of pixels and a term. Measured on "
        f"{first['tested']} drawings of the test part. Rows of one seed start from the same weights and see the same "
        "pictures in the same order."
    )


def _notes(task: str, results: Sequence[tuple[str, int, Mapping[str, Any]]]) -> Iterator[str]:
    first = results[0][2]
    scores = {term: result["validation"] for term, _, result in results if result["validation"]}
    measure = "Scoot" if choosing_measure(task) == "scoot" else "ink F1"
    if scores:
        said = "; ".join(
            f"{column_title(term)} {', '.join(f'{pull} {score:.3f}' for pull, score in found.items())}"
            for term, found in scores.items()
        )
        yield (
            "Pull: norm of the term's gradient at the output as a multiple of the pixels' one, held all the way. Each "
            f"row has the pull with the best {measure} on {first['chosen_by']} validation drawings, of one training "
            f"with a seed that is not counted; {measure} is therefore shown and not counted. Validation: {said}."
        )
    else:
        pulls = sorted({result["pull"] for _, _, result in results if result["pull"] is not None})
        yield (
            "Pull: norm of the term's gradient at the output as a multiple of the pixels' one, held all the way; "
            f"nothing was chosen, all rows have {', '.join(f'{pull:g}' for pull in pulls)}."
        )
    yield "L1 is a term of every row and not counted. Precision and recall are parts of F1. An ink ratio of 1 is right."
    if task not in FACES:
        yield (
            f"Class accuracy and FD: by a classifier that was trained from scratch on other drawings "
            f"({first['judge_accuracy']:.1%} of held-out ones right), and through which no row was trained."
        )
