"""A sheet of what the probe asks: some drawings with their edits, the changes that people ignore, and the choices."""

import numpy as np
from PIL import Image

from sketchloss.data.quickdraw.edits import EDITS
from sketchloss.data.quickdraw.ignorable import CHANGES
from sketchloss.experiments.probe.trials import Trials
from sketchloss.figures.grid import draw_grid

SIDE = 96
SHOWN = 5


def draw_trials(trials: Trials, *, shown: int = SHOWN) -> Image.Image:
    """Draw the trials of a few drawings in three blocks, one below the other.

    Args:
        trials: of which those with valid choices come first, and as many classes as there are.
        shown: number of drawings to show.

    Returns:
        An `RGB` picture.
    """
    rows = _examples(trials, shown)
    names = [trials.drawings[row].label for row in rows]
    levels = len(trials.levels)
    some, most = trials.levels[_second(trials)], trials.levels[-1]
    edits = [(edit, place) for edit in range(len(EDITS)) for place in (_second(trials), levels - 1)]
    first_change = len(EDITS) * levels + 1
    blocks = {
        f"Edits of known size: {100 * some:g} % and {100 * most:g} % of the strokes": (
            [edit * levels + place for edit, place in edits],
            [f"{EDITS[edit]} {100 * trials.levels[place]:g} %" for edit, place in edits],
        ),
        "What people ignore; and what it is measured by": (
            [first_change + place for place in range(len(CHANGES))] + [len(EDITS) * levels, -4],
            [*CHANGES, "removed 20 %", "same class"],
        ),
        "Which is closer? (crossed: not asked)": (
            [-3, -2, -1],
            ["redrawn", "same class", "other class"],
        ),
    }
    sheets = []
    for title, (columns, column_names) in blocks.items():
        pictures = [
            [trials.references[row].numpy(), *(_picture(trials, row, column) for column in columns)] for row in rows
        ]
        sheets.append(
            draw_grid(
                [[Image.fromarray(picture) for picture in row] for row in pictures],
                side=SIDE,
                row_names=names,
                column_names=["drawing", *column_names],
                title=title,
            )
        )
    canvas = Image.new("RGB", (max(sheet.width for sheet in sheets), sum(sheet.height for sheet in sheets)), "white")
    top = 0
    for sheet in sheets:
        canvas.paste(sheet, (0, top))
        top += sheet.height
    return canvas


def _examples(trials: Trials, shown: int) -> list[int]:
    """Return drawings of different classes as far as there are, those with both choices first."""
    order = np.argsort(-trials.valid.sum(1), kind="stable").tolist()
    seen: set[str] = set()
    first = [row for row in order if not (trials.drawings[row].label in seen or seen.add(trials.drawings[row].label))]
    asked = [row for row in first if trials.valid[row].all()]
    if len(asked) > shown:  # not only the first of the alphabet
        return [asked[place] for place in np.linspace(0, len(asked) - 1, shown).round().astype(int)]
    return (first + [row for row in order if row not in first])[:shown]


def _second(trials: Trials) -> int:
    return 1 if len(trials.levels) > 2 else 0


def _picture(trials: Trials, row: int, column: int) -> np.ndarray:
    picture = trials.variants[row, column].numpy()
    if column in (-2, -1) and not trials.valid[row, column + 2]:
        picture = picture.copy()
        side = len(picture)
        np.fill_diagonal(picture, 128)
        picture[np.arange(side), side - 1 - np.arange(side)] = 128
    return picture
