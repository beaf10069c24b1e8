"""The page of the demo: a first screen of three pictures and a table, then the paper's tables as far as they say much.

What says nothing at this size is left out, and a sentence says why and which command gives it.
"""

import os
import shutil
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from sketchloss.experiments.cells import RUN, CellStore
from sketchloss.experiments.demo import steps
from sketchloss.experiments.demo.settings import Demo
from sketchloss.experiments.retrieval.table import section as retrieval_section
from sketchloss.experiments.section import Figure, Section
from sketchloss.experiments.separation.table import section as separation_section
from sketchloss.experiments.study.running import format_seconds
from sketchloss.experiments.table import Measure, Table
from sketchloss.figures.page import write_page
from sketchloss.networks.arms import PROPOSED, REFERENCE
from sketchloss.system.files import write_atomic, write_json

FIGURES = "figures"
PAGE, TEXT, RESULTS = "report.html", "report.md", "results.json"
REPORT = frozenset({PAGE, TEXT, RESULTS})
TITLE = "sketchloss: what it does"
#: Pictures of the first screen: the step that draws it, its file there, and what it shows.
FIRST = (
    ("questions", steps.DIFFERENCES, "Pairs of drawings, and where the loss sees them differ"),
    ("tuning", steps.NEAREST, "Drawings, each with the three nearest; a green frame marks the right kind"),
    ("pictures", steps.PHOTOS, "Photos, and the sketches made of them"),
)
#: A trick -> what is true where it does not fool a distance. "It" is a drawing.
STATEMENTS = {
    "blank page": "An empty page is farther from it than another drawing.",
    "one stroke": "One stroke of it is farther than another drawing of its kind.",
    "half gone": "Half of it is farther than all of it, drawn again.",
    "shift 3 px": "Moved by 3 pixels, it is nearer than another drawing of its kind.",
    "quarter shift": "Moved by a quarter of the page, it is farther than drawn again, but nearer than another kind.",
}
STUDY = "`sketchloss study --preset doodles --out study` (in the repository: `make study`)"
RESULTS_PAGE = Path("docs", "results.md")
_SHARE: dict[str, Any] = {"percent": True, "digits": 0, "share": True}


def write_report(config: Demo, store: CellStore) -> dict[str, Any]:
    """Write `report.html`, `report.md`, `results.json` and the pictures; return what the JSON holds.

    Args:
        config: settings of the demo.
        store: its steps, all of them done.
    """
    figures = config.out / FIGURES
    shutil.rmtree(figures, ignore_errors=True)
    figures.mkdir()
    found = {cell.name: store.result(cell.name) for cell in store}
    runs = {cell.name: store.place(cell.name) / RUN for cell in store}
    seconds = sum(store.seconds(cell.name) for cell in store)
    for step, name, _ in FIRST:
        shutil.copyfile(runs[step] / name, figures / name)
    questions = _questions(found["questions"])
    sections = {
        "Tuning": _tuning(config, found["tuning"], runs["tuning"]),
        "Search (Table 3)": _search(found["search"], runs["search"]),
        "Kinds (Table 4)": _kinds(found["classes"], runs["classes"]),
        "Photos (Table 1)": _photos(config, runs["pictures"]),
        "Prompts (Table 2)": _prompts(config, runs["pictures"]),
    }
    texts = [f"# {TITLE}", *_opening(seconds), questions.markdown()]
    for title, section in sections.items():
        texts += [f"## {title}", section.markdown(), section.draw(config.out, FIGURES)]
    texts += ["## Read on", *_closing(config)]
    text = "\n\n".join(texts) + "\n"
    with write_atomic(config.out / TEXT) as temporary:
        temporary.write_text(text, encoding="utf-8")
    write_page(text, config.out / PAGE, title=TITLE)
    parts = {"Questions": questions, **sections}
    tables = {title: part.table.as_json() for title, part in parts.items() if part.table}
    results = {"format": "sketchloss demo", "seconds": round(seconds), "tables": tables, "steps": found}
    write_json(config.out / RESULTS, results)
    return results


# The first screen ----------------------------------------------------------------------------------------------------


def _opening(seconds: float) -> Iterator[str]:
    yield (
        "`SketchLoss` is a number that says how different two drawings look. This machine computed everything on this "
        f"page in {format_seconds(seconds)} minutes, from drawings and weights that are in the package."
    )
    yield " ".join(f"![{words}]({FIGURES}/{name})" for _, name, words in FIRST)


def _questions(found: Mapping[str, Any]) -> Section:
    distances = found["right"]
    values = {
        statement: {name: {0: right[trick]} for name, right in distances.items()}
        for trick, statement in STATEMENTS.items()
    }
    return Section(
        # Nothing is ranked: a column is a distance, and its statements are not better or worse than each other.
        Table([Measure(name, name, **_SHARE, ranked=False) for name in distances], values, corner="statement"),
        caption=f"**How often is a statement true, by four distances?** *It* is one of {found['drawings']} drawings.",
        after=(
            "A network that draws, and is trained with a distance to which an empty page is near, learns to draw too "
            "little. *VGG loss*: the usual loss of a network that was trained on photos. *Drawn again*: by another "
            "hand, with another pen."
        ),
    )


# The tables ----------------------------------------------------------------------------------------------------------


def _tuning(config: Demo, found: Mapping[str, Any], run: Path) -> Section:
    values = {
        f"before: {config.photo}": {"nearest": {config.seed: found[steps.BEFORE]}},
        "after": {"nearest": {config.seed: found[steps.AFTER]}},
    }
    share: dict[str, Any] = {**_SHARE, "digits": 1, "trials": found["held_out"]}
    return Section(
        Table([Measure("nearest", "the nearest drawing is of the same kind", **share)], values, corner="network"),
        caption=(
            f"The network that was trained on photos learned to name {found['kinds']} kinds of drawings, in "
            f"{found['steps']} steps on {found['learnt']} drawings. Then it names {found['accuracy']:.0%} of "
            f"{found['held_out']} drawings that it never saw; a guess is right for {1 / found['kinds']:.0%}. Each of "
            "these drawings also looks for the drawing with the most similar features:"
        ),
        after=(
            "The weights in the package, `sketch` and `sketch-plain`, were made in the same way: on 21,625 drawings by "
            "people, in an hour and a half each."
        ),
        figures={"curves.png": Figure("Training and held-out drawings", partial(shutil.copyfile, run / "curves.png"))},
    )


def _search(found: Mapping[str, Any], run: Path) -> Section:
    made = retrieval_section([found])
    after = (
        f"The paper's four networks, by the weights in the package: {PROPOSED} and {REFERENCE} stand for networks that "
        "the study tunes anew for each seed. A *head* is a small network on top of the features, trained here to bring "
        "drawings of one kind together."
    )
    caption = f"Drawings, and the five nearest by the first head of {PROPOSED}"
    figures = {"nearest.png": Figure(caption, partial(shutil.copyfile, run / "nearest.png"))}
    return Section(made.table, caption=made.caption, notes=made.notes, after=after, figures=figures)


def _kinds(found: Mapping[str, Any], run: Path) -> Section:
    made = separation_section([found])
    figure = Figure("Distance across kinds divided by the distance within", partial(shutil.copyfile, run / "ratio.png"))
    return made.with_figures({"ratio.png": figure})


def _photos(config: Demo, run: Path) -> Section:
    figure = Figure(
        f"Built-in photos, and what `{config.stylizer}` draws from them",
        partial(shutil.copyfile, run / steps.MORE_PHOTOS),
    )
    return Section(
        None,
        caption=(
            f"`sketchloss style apply {config.stylizer} photo.jpg --out sketch.png` does this with your photos. Table "
            "1 is left out: it compares networks that were each trained with another loss, and these trainings take "
            f"longer than the demo. {STUDY} trains them."
        ),
        figures={steps.MORE_PHOTOS: figure},
    )


def _prompts(config: Demo, run: Path) -> Section:
    figure = Figure(
        f"What the network {config.base} draws of six prompts, each twice",
        partial(shutil.copyfile, run / steps.PROMPTS),
    )
    return Section(
        None,
        caption=(
            f"`sketchloss lora sample --base {config.base} --prompts 'a photo of a cat' --out drawn` draws your "
            "prompts. The model `tiny` draws photos; `sketchloss lora train` teaches it to sketch. Table 2 is left "
            "out: it compares LoRAs that were each trained with another loss, and these trainings take longer than the "
            "demo. `sketchloss lora table --preset small --out prompts` trains them."
        ),
        figures={steps.PROMPTS: figure},
    )


def _closing(config: Demo) -> Iterator[str]:
    page = Path(__file__).parents[4] / RESULTS_PAGE
    place = f"`{RESULTS_PAGE.as_posix()}` in the repository"
    if page.is_file():  # not in an installed package
        place = f"[{RESULTS_PAGE.as_posix()}]({Path(os.path.relpath(page, config.out)).as_posix()})"
    yield "\n".join(
        [
            f"- {place}: every table of the paper on drawings by people, beside the paper's numbers, and what is still "
            "undecided.",
            f"- {STUDY}: all tables of the paper on built-in drawings. It tunes each network itself, and takes longer.",
            "- `sketchloss compare a.png b.png --map map.png` compares two drawings of yours. `sketchloss --help` "
            "lists all commands.",
            f"- `{RESULTS}` beside this page: every number. `{steps.FEATURES}` and `cells` hold what the page was made "
            "from; you can delete them.",
        ]
    )
