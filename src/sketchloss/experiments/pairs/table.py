"""The tables of the pairs: the judges of each task, and beside them the distances that some losses are made of."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from sketchloss.experiments.guiding_losses import COMPARED, NONE, column_title, term_title
from sketchloss.experiments.page_judges import PAGE_MEASURES
from sketchloss.experiments.pairs.judging import choosing_measure
from sketchloss.experiments.pairs.settings import FACES
from sketchloss.experiments.section import Section
from sketchloss.experiments.table import Measure, Table, Values
from sketchloss.figures.tables import markdown_table
from sketchloss.metrics.comparison import SIGNIFICANT, Comparison, Pairs, compare_all
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
    # What chose the pulls is shown and not ranked; so is what all rows are trained by.
    chooser = choosing_measure(task)
    pages = {one.name: replace(one, ranked=one.ranked and one.name != chooser) for one in PAGE_MEASURES}
    ratio = pages.pop("ink_ratio")
    return [
        *pages.values(),
        Measure("class_accuracy", "class accuracy", percent=True, digits=1, share=True, trials=tested),
        Measure("frechet", "FD (classifier)", **_LOWER, small_sample=tested < 2048, digits=2),
        Measure("ssim", "SSIM", digits=3),
        ratio,
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
    yield Section(
        table,
        source=task,
        caption=_caption(task, first, settings),
        notes=tuple(_notes(task, results)),
        after=_between_terms(table),
    )
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


def _between_terms(table: Table) -> str:
    """Return what other weights do under the same formula, and the other formula with the same weights, as Markdown."""
    rows = [(column_title(one), column_title(other)) for one, other in COMPARED]
    ranked = [measure for measure in table.measures if measure.ranked and measure.shown]
    found = compare_all(
        {
            (pair, measure.name): Pairs(ours, theirs, share=measure.share, trials=measure.trials)
            for pair in rows
            for measure in ranked
            if (ours := table.values.get(pair[0], {}).get(measure.name))
            and (theirs := table.values.get(pair[1], {}).get(measure.name))
        }
    )
    if not found:
        return ""
    known = [measure for measure in ranked if any(name == measure.name for _, name in found)]
    lines = []
    for pair in rows:
        cells = [_difference(found.get((pair, measure.name)), measure) for measure in known]
        lines.append([f"{pair[0]} against {pair[1]}", *cells])
    count = sum(one.p is not None for one in found.values())
    note = (
        f"Differences between terms: * better and † worse with p < {SIGNIFICANT} (paired t-test over seeds, Holm's "
        f"correction for the {count} tests of this table). In brackets: the smallest difference that would have been "
        "found with 80 % power."
    )
    return f"{markdown_table(['difference', *(measure.heading for measure in known)], lines)}\n\n{note}"


def _difference(found: Comparison | None, measure: Measure) -> str:
    if found is None:
        return "-"
    scale, digits = (100, 1) if measure.percent else (1, measure.digits or 3)
    seen = "" if found.detectable is None else f" ({found.detectable * scale:.{digits}f})"
    return (
        f"{found.difference * scale:+.{digits}f} {found.mark(greater_is_better=measure.greater_is_better)}".rstrip()
        + seen
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
    mirrored = ", half of them mirrored copies," if task in FACES else ""
    return (
        f"A U-Net of {first['parameters'] / 1e6:.2f} million parameters learns {_WHAT[task]} from "
        f"{first['learned']:,} pairs{mirrored}{kinds} at {settings['image_size']} pixels, {settings['steps']:,} steps "
        f"of {settings['batch_size']}, by the mean absolute difference of pixels and a term. Measured on "
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
            f"nothing was chosen, all rows have {', '.join(f'{pull:g}' for pull in pulls) or 'none'}."
        )
    yield "L1 is a term of every row and not counted. Precision and recall are parts of F1. An ink ratio of 1 is right."
    accuracies = [result["judge_accuracy"] for _, _, result in results if "judge_accuracy" in result]
    if accuracies:
        yield (
            f"Class accuracy and FD: by a classifier that was trained from scratch on other drawings "
            f"({accuracies[0]:.1%} of held-out ones right), and through which no row was trained."
        )
