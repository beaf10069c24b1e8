"""Which drawings the probe's sheet shows. Oracle: the labels and the valid choices that trials were given here."""

from dataclasses import replace

import numpy as np
import pytest

from sketchloss.data.quickdraw.drawings import open_drawings
from sketchloss.experiments.probe import sheet
from sketchloss.experiments.probe.sheet import draw_trials
from sketchloss.experiments.probe.trials import Trials, make_trials

BOTH, ONE, NEITHER = (True, True), (True, False), (False, False)


@pytest.fixture(scope="module")
def nine() -> Trials:
    """Three drawings of each of three classes."""
    return make_trials(open_drawings("doodles", per_class=3, classes=3), 32, levels=(0.1, 0.3))


@pytest.fixture
def shown(monkeypatch):
    """Draw the sheet, and return which of the trials stand on it, in order."""
    grids = []

    def watch(rows, **settings):
        grids.append(([np.asarray(row[0]).tobytes() for row in rows], list(settings["row_names"])))
        return draw_grid(rows, **settings)

    draw_grid = sheet.draw_grid
    monkeypatch.setattr(sheet, "draw_grid", watch)

    def draw(trials: Trials, count: int) -> list[int]:
        grids.clear()
        draw_trials(trials, shown=count)
        assert grids == [grids[0]] * 3, "the blocks show different drawings"
        pictures, names = grids[0]
        known = {picture.numpy().tobytes(): row for row, picture in enumerate(trials.references)}
        rows = [known[picture] for picture in pictures]
        assert names == [trials.drawings[row].label for row in rows]
        return rows

    return draw


def trials_of(nine: Trials, *valid: tuple[tuple[bool, bool], tuple[bool, bool], tuple[bool, bool]]) -> Trials:
    """The nine drawings by class, with these valid choices of each class's three."""
    order = np.argsort([drawing.label for drawing in nine.drawings], kind="stable").tolist()
    drawings = tuple(nine.drawings[row] for row in order)
    flags = np.array([flag for of_class in valid for flag in of_class])
    return replace(
        nine, drawings=drawings, references=nine.references[order], variants=nine.variants[order], valid=flags
    )


def test_each_class_comes_before_a_second_drawing_of_one(nine, shown):
    trials = trials_of(nine, (BOTH, BOTH, BOTH), (ONE, NEITHER, ONE), (NEITHER, NEITHER, NEITHER))
    assert shown(trials, 2) == [0, 3]
    assert shown(trials, 3) == [0, 3, 6]
    # Then those with more of their choices.
    assert shown(trials, 5) == [0, 3, 6, 1, 2]
    assert shown(trials, 6) == [0, 3, 6, 1, 2, 5]
    assert shown(trials, 20) == [0, 3, 6, 1, 2, 5, 4, 7, 8]


def test_of_a_class_the_drawing_with_both_choices_is_shown(nine, shown):
    trials = trials_of(nine, (NEITHER, BOTH, ONE), (NEITHER, NEITHER, ONE), (ONE, NEITHER, BOTH))
    assert shown(trials, 3) == [1, 8, 5]
    assert shown(trials, 2) == [1, 8]


def test_of_more_classes_than_there_is_room_for_the_first_and_the_last_are_shown(nine, shown):
    trials = trials_of(nine, (BOTH, BOTH, ONE), (BOTH, BOTH, BOTH), (BOTH, NEITHER, BOTH))
    assert shown(trials, 2) == [0, 6]
    assert shown(trials, 3) == [0, 3, 6]
