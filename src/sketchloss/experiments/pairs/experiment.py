"""The pairs in a study: for each task and loss the pull is chosen, then a U-Net is trained with each seed and judged.

Cells: the classifier; for each task, term and pull a training whose drawings of the validation part are measured
(`choose`), with a seed of its own, so that the choice favours none of the trainings that count; for each task, loss and
seed a training at the chosen pull, whose drawings of the test part are measured, and then judged by the classifier
(`judged`): another classifier needs no training anew.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from sketchloss.data.sources import open_sketches
from sketchloss.experiments.cells import RESULT, RUN, Cell, CellStore, done
from sketchloss.experiments.experiment import Experiment, Load
from sketchloss.experiments.guiding_losses import NONE, column_title, open_term, term_title
from sketchloss.experiments.keys import decisive
from sketchloss.experiments.pairs import table
from sketchloss.experiments.pairs.figure import draw_pairs
from sketchloss.experiments.pairs.judging import (
    choosing_measure,
    make_judge,
    measure,
    measure_by,
    measure_distances,
    validation_score,
)
from sketchloss.experiments.pairs.plan import PairsPlan
from sketchloss.experiments.pairs.settings import FACES, JudgeSettings, PairData, PairTest, PairTraining, Task
from sketchloss.experiments.pairs.tasks import check_parts, open_parts
from sketchloss.experiments.pairs.training import draw, train
from sketchloss.experiments.section import Figure, Section
from sketchloss.experiments.tuning.counted import Network, count_forward
from sketchloss.loss.tap_distance import VERSIONS
from sketchloss.networks.judge import Judge, JudgeConfig, load_judge, save_judge
from sketchloss.networks.unet import UNet
from sketchloss.strokes.named_losses import network_of
from sketchloss.system.files import read_json, write_tensors
from sketchloss.training.resources import count_multiply_adds

#: What a cell leaves in its run folder: the classifier, the drawings of the test part.
JUDGE, DRAWN = "judge", "drawn.safetensors"
#: What the name of a cell ends with that has the classifier judge another's drawings.
JUDGED = "/judged"
#: What the results of a cell follow from beside its settings. Raise the version when a cell computes something else.
_FORMAT = {"version": 1, "metrics": VERSIONS}
#: The seed that pulls are chosen with is so far above the study's.
CHOOSING_SEED = 1000


def cells(plan: PairsPlan) -> Iterator[Cell]:
    """Yield the cell of the classifier, and for each task those that choose the pulls before those that count."""
    if any(task not in FACES for task in plan.pairs_tasks):
        yield _judge_cell(plan)
    for task in plan.pairs_tasks:
        for term in plan.pairs_losses:
            yield from _choosing_cells(plan, task, term)
        for seed in plan.all_pairs_seeds():
            for term in plan.pairs_losses:
                yield _test_cell(plan, task, term, seed)
                if task not in FACES:
                    yield _judged_cell(plan, task, term, seed)


# The classifier ------------------------------------------------------------------------------------------------------

_JUDGE_CELL = "pairs/judge"


def _judge_cell(plan: PairsPlan) -> Cell:
    settings: dict[str, Any] = {
        "source": plan.pairs_judge_data,
        "strokes": plan.pairs_strokes,
        "per_class": plan.pairs_per_class,
        "classes": plan.pairs_classes,
        "image_size": plan.pairs_size,
        "steps": plan.pairs_judge_steps,
        "seed": plan.seed,
    }

    def compute(run: Path, _: Mapping[str, Path]) -> dict[str, Any]:
        judge = make_judge(JudgeSettings(**settings))
        save_judge(judge, run / JUDGE)
        return {"accuracy": judge.accuracy, "held": judge.config.held}

    return Cell(
        _JUDGE_CELL,
        "pairs",
        compute,
        decisive(JudgeSettings, settings),
        headline=lambda found: f"{found['accuracy']:.1%} of {found['held']} right",
    )


# Choosing ------------------------------------------------------------------------------------------------------------


def _training_settings(plan: PairsPlan, task: Task, term: str, seed: int) -> dict[str, Any]:
    network = network_of(term)
    return {
        **_data_settings(plan, task),
        "term": term,
        "term_weights": (network.weights,) if network else (),
        "width": plan.pairs_width,
        "steps": plan.pairs_steps,
        "batch_size": plan.pairs_batch,
        "seed": seed,
    }


def _data_settings(plan: PairsPlan, task: Task) -> dict[str, Any]:
    drawn = {"classes": plan.pairs_classes, "per_class": plan.pairs_per_class}
    return {
        "task": task,
        "source": plan.source_of(task),
        "image_size": plan.pairs_size,
        "data_seed": plan.seed,
        **({} if task in FACES else drawn),
    }


def _choosing_name(task: str, term: str, pull: float) -> str:
    return f"pairs/{task}/{column_title(term)}/choose pull {pull:g}"


def _choosing_cells(plan: PairsPlan, task: Task, term: str) -> Iterator[Cell]:
    """Yield a cell for each pull; none where there is nothing to choose."""
    if term == NONE or len(plan.pairs_pulls) == 1:
        return
    settings = _training_settings(plan, task, term, plan.seed + CHOOSING_SEED)
    for pull in plan.pairs_pulls:

        def compute(_: Path, __: Mapping[str, Path], pull: float = pull) -> dict[str, Any]:
            config = PairTraining(**settings)
            parts, device = open_parts(config.data()), _device()
            network = train(parts.train, config, pull, device=device)
            drawn = draw(network, parts.choose.inputs[:, 0], device=device)
            return {"pull": pull, "score": validation_score(task, drawn, parts.choose.targets)}

        yield Cell(
            _choosing_name(task, term, pull),
            "pairs",
            compute,
            {**decisive(PairTraining, settings), **_FORMAT, "pull": pull},
            headline=lambda found: f"validation {choosing_measure(task)} {found['score']:.3f}",
            source=task,
        )


# What counts ---------------------------------------------------------------------------------------------------------


def _test_name(task: str, term: str, seed: int) -> str:
    return f"pairs/{task}/{column_title(term)}/{seed}"


def _test_cell(plan: PairsPlan, task: Task, term: str, seed: int) -> Cell:
    choosing = [cell.name for cell in _choosing_cells(plan, task, term)]
    settings: dict[str, Any] = {
        **_training_settings(plan, task, term, seed),
        "pulls": () if term == NONE else plan.pairs_pulls,
        "distances": plan.pairs_distances,
        "distance_weights": tuple(network.weights for name in plan.pairs_distances if (network := network_of(name))),
        # note: the same for all rows and seeds, so one cell measures them
        "references": term == NONE and seed == plan.seed,
    }

    def compute(run: Path, needed: Mapping[str, Path]) -> dict[str, Any]:
        scores = [read_json(needed[name].parent / RESULT)["result"] for name in choosing]
        return _test(PairTest(**settings), scores, run)

    return Cell(
        _test_name(task, term, seed),
        "pairs",
        compute,
        {**decisive(PairTest, settings), **_FORMAT},
        needs=tuple(choosing),
        headline=_headline,
        arm=column_title(term),
        place=plan.pairs_losses.index(term),
        seed=seed,
        source=task,
    )


def _headline(found: Mapping[str, Any]) -> str:
    pull = "" if found["pull"] is None else f", pull {found['pull']:g}"
    return f"ink F1 {found['measures']['f1']:.3f}{pull}"


def choose_pull(pulls: tuple[float, ...], scores: list[dict[str, Any]]) -> float | None:
    """Return the pull with the best validation score, of equal ones the smallest; None without a term."""
    if not pulls:
        return None
    if not scores:
        return pulls[0]
    best = max(scores, key=lambda found: (found["score"], -found["pull"]))
    return float(best["pull"])


def _test(config: PairTest, scores: list[dict[str, Any]], run: Path) -> dict[str, Any]:
    pull, parts, device = choose_pull(config.pulls, scores), open_parts(config.data()), _device()
    network = train(parts.train, config, pull or 1.0, device=device)
    test = parts.test
    inputs = test.inputs[:, 0]
    drawn = draw(network, inputs, device=device)
    tensors = {"drawn": drawn, **({"inputs": inputs, "targets": test.targets} if config.references else {})}
    run.mkdir(parents=True, exist_ok=True)
    write_tensors(run / DRAWN, {name: values.contiguous() for name, values in tensors.items()})

    def measured(drawings: torch.Tensor) -> dict[str, Any]:
        return {
            "measures": measure(config.task, drawings, test.targets),
            "distances": measure_distances(config.distances, drawings, test.targets),
        }

    references = {table.INPUT: inputs, table.TRUTH: test.targets} if config.references else {}
    return {
        **measured(drawn),
        "references": {row: measured(drawings) for row, drawings in references.items()},
        "pull": pull,
        "validation": {f"{found['pull']:g}": found["score"] for found in scores},
        "learned": len(parts.train),
        "chosen_by": len(parts.choose),
        "tested": len(test),
        "parameters": sum(weight.numel() for weight in network.parameters()),
    }


def _judged_cell(plan: PairsPlan, task: Task, term: str, seed: int) -> Cell:
    test = _test_name(task, term, seed)

    def compute(_: Path, needed: Mapping[str, Path]) -> dict[str, Any]:
        file = needed[test] / DRAWN
        if not file.is_file():  # a copy of a study may hold results alone
            raise ValueError(f"{file} is gone: delete the folder {file.parent.parent}, so that it is made again")
        judge, drawings = load_judge(needed[_JUDGE_CELL] / JUDGE), load_file(file)
        true = open_parts(PairData(**_data_settings(plan, task))).test
        rows = {"drawn": "drawn", **({"inputs": table.INPUT, "targets": table.TRUTH} if "targets" in drawings else {})}
        found = {row: measure_by(judge, drawings[name], true.targets, true.labels) for name, row in rows.items()}
        return {"measures": found.pop("drawn"), "references": found, "judge_accuracy": judge.accuracy}

    return Cell(
        test + JUDGED,
        "pairs",
        compute,
        {},
        needs=(test, _JUDGE_CELL),
        headline=lambda found: f"{found['measures']['class_accuracy']:.1%} recognised",
        seed=seed,
        source=task,
    )


def _device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"


# What it takes -------------------------------------------------------------------------------------------------------

#: Pictures that a classifier sees in a step.
_JUDGED_AT_ONCE = 64


def load(_: PairsPlan, cell: Cell) -> Load:
    """Return what a cell takes; what judges take is little beside it."""
    settings: Any = cell.settings
    if not settings:  # it judges drawings that are there
        return Load(0)
    steps, size = settings["steps"], settings["image_size"]
    if cell.name == _JUDGE_CELL:
        return Load(3 * steps * _JUDGED_AT_ONCE * _count_judge(size, len(settings["classes"])), steps)
    a_picture = 3 * _count_unet(settings["width"], size)
    if network := network_of(settings["term"]):
        counted = Network(network.weights, None, "max")
        # The drawing there and back, and the target.
        a_picture += 3 * count_forward(counted, size, network.layers or tuple(counted.like.default_layers))
    return Load(steps * settings["batch_size"] * a_picture, steps)


@cache
def _count_unet(width: int, size: int) -> int:
    return count_multiply_adds(lambda: UNet(width)(torch.rand(1, 3, size, size)))


@cache
def _count_judge(size: int, classes: int) -> int:
    config = JudgeConfig(classes=tuple(map(str, range(classes))), image_size=size)
    return count_multiply_adds(lambda: Judge(config).look(torch.rand(2, 1, size, size))) // 2


# Data ----------------------------------------------------------------------------------------------------------------


def open_data(plan: PairsPlan, say: Callable[[str], object]) -> None:
    """Open the data of every task, the classifier's and the terms' networks."""
    for task in plan.pairs_tasks:
        with _named(f"the task {task}"):
            check_parts(PairData(**_data_settings(plan, task)), say)
    if any(task not in FACES for task in plan.pairs_tasks):
        with _named("pairs_judge_data"):
            open_sketches(plan.pairs_judge_data, plan.pairs_size, seed=plan.seed).select_classes(plan.pairs_classes)
    for term in dict.fromkeys((*plan.pairs_losses, *plan.pairs_distances)):
        open_term(term)


@contextmanager
def _named(what: str) -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{what}: {error}") from None


# Report --------------------------------------------------------------------------------------------------------------


def sections(plan: PairsPlan, store: CellStore) -> Iterator[Section]:
    """Yield the tables of each task, with a contact sheet of the first seed's drawings below the first."""
    for task in plan.pairs_tasks:
        found = [(cell, result) for cell, result in done(store, "pairs", source=task) if cell.arm]
        if not found:
            continue
        results = [(str(cell.settings["term"]), cell.seed, _with_judged(store, cell, result)) for cell, result in found]
        first, *others = table.sections(task, results, found[0][0].settings)
        shown = [cell for cell, _ in found if cell.seed == plan.seed and _drawn(store, cell).is_file()]
        if any(cell.settings["references"] for cell in shown):
            caption = f"{task}: input, true drawing, and what U-Nets of the first seed draw, by pixels and each term"
            first = first.with_figures({f"pairs-{task}.png": Figure(caption, partial(_draw, store, shown))})
        yield first
        yield from others


def _with_judged(store: CellStore, cell: Cell, result: Mapping[str, Any]) -> Mapping[str, Any]:
    """Add what the classifier says of a test cell's drawings, if it has said so yet."""
    name = cell.name + JUDGED
    if name not in store.cells or store.state(name) != "done":
        return result
    judged = store.result(name)
    references = {
        row: {**of, "measures": {**of["measures"], **judged["references"][row]}}
        for row, of in result["references"].items()
    }
    measures = {**result["measures"], **judged["measures"]}
    return {**result, "measures": measures, "references": references, "judge_accuracy": judged["judge_accuracy"]}


def _drawn(store: CellStore, cell: Cell) -> Path:
    """Return the file of what a contact sheet shows; a copy of a study may lack it."""
    return store.place(cell.name) / RUN / DRAWN


def _draw(store: CellStore, shown: list[Cell], path: Path) -> None:
    files = {str(cell.settings["term"]): load_file(_drawn(store, cell)) for cell in shown}
    columns = {"input": files[NONE]["inputs"], "true drawing": files[NONE]["targets"]}
    draw_pairs({**columns, **{term_title(term): tensors["drawn"] for term, tensors in files.items()}}, path)


EXPERIMENT = Experiment(
    name="pairs",
    title="Pairs with a right answer (pairs)",
    cells=cells,
    sections=sections,
    needs=(),
    load=load,
    open=open_data,
)
