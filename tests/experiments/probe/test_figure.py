"""The probe's figure and its sheet of trials. Oracles: pixels on the sheet, and the numbers that Matplotlib got."""

import numpy as np
import pytest
from PIL import Image

from sketchloss.data.quickdraw.drawings import open_drawings
from sketchloss.experiments.probe import figure as probe_figure
from sketchloss.experiments.probe.figure import PANELS, draw_probe
from sketchloss.experiments.probe.sheet import SIDE, draw_trials
from sketchloss.experiments.probe.trials import make_trials

TAPS = ("relu1_2", "relu3_3")


def row(name, kind, group, score, taps=(), people=None):
    interval = {"low": score - 0.05, "high": score + 0.05}
    share = {"value": score, **interval, "trials": 9}
    return {
        **{"name": name, "kind": kind, "group": group, "taps": dict.fromkeys(taps, 1.0)},
        "report": {
            **{"score": score, **interval, "growth": {"mean": score}, "ignoring": {"mean": score}},
            "choice": {"same class": share, "other class": share},
        },
        "people": people and {"value": people, "low": people, "high": people},
    }


def make(names, people=None, published=False):
    rows = [row("pixel l1", "baseline", None, 0.3, people=people)]
    for number, name in enumerate(names):
        rows.append(row(f"{name}, default taps", "default", name, 0.5 + number / 10, TAPS, people))
        rows += [row(f"{name}, {tap}", "tap", name, 0.4 + number / 10, [tap], people) for tap in TAPS]
        rows.append(row(f"{name}, embed", "embed", name, 0.6 + number / 10, (), people))
    return {
        **{"data": "doodles", "drawings": 10, "classes": 3, "image_size": 64, "rows": rows, "chosen": []},
        "triplets": people and {"published": published},
    }


@pytest.fixture
def drawn(monkeypatch, tmp_path):
    """Draw, and return the figure that was written."""
    figures = []

    class Watched(probe_figure.Figure):
        def __init__(self, *args, **settings):
            super().__init__(*args, **settings)
            figures.append(self)

    monkeypatch.setattr(probe_figure, "Figure", Watched)

    def draw(results):
        draw_probe(results, tmp_path / "figure.png")
        with Image.open(tmp_path / "figure.png") as picture:
            assert picture.width > 600
            assert np.asarray(picture.convert("L")).std() > 5
        return figures[-1]

    return draw


def test_each_measure_has_a_panel_and_each_weights_a_line(drawn):
    figure = drawn(make(["original", "tuning"]))
    panels = [axes for axes in figure.axes if axes.axison]
    assert [axes.get_title(loc="left") for axes in panels] == list(PANELS)[:5]
    for axes in panels:
        assert [label.get_text() for label in axes.get_xticklabels()] == ["default", *TAPS, "embed"]
        joined = [line.get_ydata() for line in axes.lines if len(line.get_xdata()) == 2 and line.get_marker() == "None"]
        assert [0.4, 0.4] in [list(values) for values in joined]
        assert [0.5, 0.5] in [list(values) for values in joined]
        assert [0.3, 0.3] in [list(values) for values in joined]  # pixels: a line across
        single = [float(line.get_ydata()[0]) for line in axes.lines if len(line.get_xdata()) == 1]
        assert {0.5, 0.6, 0.7} <= {round(value, 6) for value in single}
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["original", "tuning", "pixel l1"]


def test_people_have_a_panel_of_their_own_with_chance_and_their_own_agreement(drawn):
    figure = drawn(make(["original"], people=0.6, published=True))
    axes = figure.axes[-1]
    assert axes.get_title(loc="left") == "agrees with people"
    assert [text.get_text() for text in axes.texts] == ["chance", "people among themselves"]
    figure = drawn(make(["original"], people=0.6))
    assert [text.get_text() for text in figure.axes[-1].texts] == ["chance"]


def test_pixels_alone_can_be_drawn(drawn):
    figure = drawn(make([]))
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["pixel l1"]


def test_more_weights_than_colours_can_be_drawn(drawn):
    figure = drawn(make([f"weights {number}" for number in range(8)]))
    (legend,) = figure.legends
    assert len(legend.get_texts()) == 9


def test_the_sheet_shows_the_trials_that_there_are():
    trials = make_trials(open_drawings("doodles", per_class=3, classes=3), SIDE, count=6, levels=(0.1, 0.3, 0.6))
    sheet = draw_trials(trials, shown=2)
    pixels = np.asarray(sheet.convert("L"))

    def holds(picture):
        """Whether the picture lies on the sheet as it is."""
        windows = np.lib.stride_tricks.sliding_window_view(pixels, picture.shape)
        ink = np.argwhere(picture < 255)[::40]  # some pixels first, because there are a million places
        hits = np.ones(windows.shape[:2], dtype=bool)
        for y, x in ink:
            hits &= windows[:, :, y, x] == picture[y, x]
        return any((windows[y, x] == picture).all() for y, x in np.argwhere(hits))

    rows = [row for row in range(6) if holds(trials.variants[row].numpy()[-3])]
    assert len({trials.drawings[row].label for row in rows}) == 2
    assert trials.valid[rows].sum() >= np.sort(trials.valid.sum(1))[-2:].sum() - 1
    others = {trials.references[row].numpy().tobytes() for row in rows}
    others |= {trials.variants[row, -4].numpy().tobytes() for row in rows}
    for row in rows:
        assert holds(trials.references[row].numpy())
        shown = trials.variants[row].numpy()
        for column in (1, 2, 4, 5, 16, 21, -4, -3):  # removed 30 and 60 %, added, changes, another, redrawn
            assert holds(shown[column])
        for rival in (0, 1):
            # A rival may be there for another reason, too: as a drawing, or as the other one of its class.
            elsewhere = shown[rival - 2].tobytes() in others
            assert holds(shown[rival - 2]) == (trials.valid[row, rival] or elsewhere)
