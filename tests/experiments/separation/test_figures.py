"""Oracles: what the figures were given, read back from the figures themselves; clusters that stay clusters."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from sketchloss.experiments.separation import figures
from sketchloss.experiments.separation.figures import RatioBar, ratio_bars
from sketchloss.experiments.separation.table import measures
from sketchloss.experiments.table import Table
from sketchloss.metrics.distance_histogram import DistanceHistogram
from sketchloss.metrics.embedding_map import Sample, choose_sample, map_to_plane
from sketchloss.metrics.statistics import Spread

BARS = [
    RatioBar("attention+tuning", Spread(7.0, 0.5, 5), mark="*", paper=7.59),
    RatioBar("original", Spread(1.5, None, 1), paper=1.26),
]


@pytest.fixture
def drawn(monkeypatch):
    """The figures, kept from being written."""
    kept = []
    monkeypatch.setattr(figures, "_finish", lambda figure, title, path: kept.append(figure))
    return kept


def test_bars_are_those_of_the_table():
    near_one = [1.0, 1.01, 0.99, 1.0, 1.005]
    ratios = {
        "attention+tuning": [3 * one for one in near_one[::-1]],
        "tuning": [2 * one for one in near_one],
        "attention": near_one[::-1],
        **{"original": [1.5], "mine": [2.0, 2.2]},
    }
    values = {arm: {"ratio": dict(enumerate(of_arm)), "top_1": {0: 0.5}} for arm, of_arm in ratios.items()}
    values["collapsed"] = {"top_1": {0: 0.5}}
    bars = ratio_bars(Table(measures(35), values))
    assert [(bar.arm, bar.mark, bar.paper) for bar in bars] == [
        ("attention+tuning", "*", 7.59),
        ("tuning", "", 3.85),
        ("attention", "†", 2.14),
        ("original", "", 1.26),
        ("mine", "", None),
    ]
    for bar in bars:
        assert bar.ratio.mean == pytest.approx(np.mean(ratios[bar.arm]))
        assert bar.ratio.count == len(ratios[bar.arm])
    assert bars[4].ratio.deviation == pytest.approx(np.std([2.0, 2.2], ddof=1))
    assert bars[3].ratio.deviation is None


def test_bars_error_bars_and_stars_are_what_was_given(drawn, tmp_path):
    figures.draw_ratios(BARS, tmp_path / "ratio.png", title="")
    axes = drawn[0].axes[0]
    assert sorted(patch.get_height() for patch in axes.patches) == [1.26, 1.5, 7.0, 7.59]
    errors = [line.get_segments()[0][:, 1].tolist() for line in axes.collections]
    assert errors == [[6.5, 7.5]]  # a single repeat has none
    assert [text.get_text() for text in axes.texts] == ["*\n7.00 ± 0.50", "7.59", "1.50", "1.26"]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["attention+tuning", "original"]
    assert keys(drawn[0]) == [
        "here, mean ± standard deviation over seeds",
        "Seo 2025, other data (Table 4, ImageNet-Sketch)",
        "* better than tuning, p < 0.05",
    ]


def keys(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_a_worse_arm_has_a_dagger_and_a_single_repeat_no_deviation(drawn, tmp_path):
    figures.draw_ratios([RatioBar("original", Spread(1.5, 0.1, 3), mark="†")], tmp_path / "ratio.png", title="")
    assert [text.get_text() for text in drawn[0].axes[0].texts] == ["†\n1.50 ± 0.10"]
    assert keys(drawn[0]) == ["here, mean ± standard deviation over seeds", "† worse than tuning, p < 0.05"]
    figures.draw_ratios([RatioBar("original", Spread(1.5, None, 1))], tmp_path / "ratio.png", title="")
    assert keys(drawn[1]) == ["here"]


def test_shares_on_the_axis_are_written_as_they_are(drawn, tmp_path):
    counts = np.full(6, 10)
    found = DistanceHistogram(np.linspace(0, 1, 7), counts, counts, 10)
    figures.draw_distances({"original": found}, tmp_path / "distances.png", title="")
    drawn[0].canvas.draw()
    axes = drawn[0].axes[0]
    assert any(tick * 100 % 1 for tick in axes.get_yticks())  # 2.5 %, say
    for tick, label in zip(axes.get_yticks(), axes.get_yticklabels(), strict=True):
        assert float(label.get_text().rstrip("%")) == pytest.approx(tick * 100)


def test_histograms_are_shares_of_the_pairs(drawn, tmp_path):
    edges = np.linspace(0, 1, 6)
    found = DistanceHistogram(edges, np.array([3, 1, 0, 0, 0]), np.array([0, 0, 0, 1, 7]), 10)
    figures.draw_distances({"original": found}, tmp_path / "distances.png", title="")
    axes = drawn[0].axes[0]
    filled = [patch.get_data().values.tolist() for patch in axes.patches if patch.get_fill()]
    assert filled == [[0.75, 0.25, 0, 0, 0], [0, 0, 0, 0.125, 0.875]]
    means = [0.1 * 0.75 + 0.3 * 0.25, 0.7 * 0.125 + 0.9 * 0.875]
    assert [line.get_xdata()[0] for line in axes.lines] == pytest.approx(means)
    assert [text.get_text() for text in axes.get_legend().get_texts()] == [
        "within a class, mean 0.15",
        "across classes, mean 0.875",
    ]


def test_a_long_tail_is_cut_off_and_a_set_without_pairs_within_is_drawn(drawn, tmp_path):
    across = np.zeros(100, np.int64)
    across[[10, 99]] = 100_000, 1
    found = DistanceHistogram(np.linspace(0, 1, 101), np.zeros(100, np.int64), across, 10)
    figures.draw_distances({"original": found}, tmp_path / "distances.png", title="")
    assert drawn[0].axes[0].get_xlim() == (0, pytest.approx(0.11))
    assert len(drawn[0].axes[0].get_legend().get_texts()) == 1


def test_a_map_has_every_sketch_once_and_names_the_coloured_classes(drawn, tmp_path):
    sample = Sample(np.arange(6), np.array([0, 0, 1, 2, 2, 2]), coloured=(0, 2))
    places = np.arange(12.0).reshape(6, 2)
    figures.draw_map(
        {"tuning": places, "original": None}, sample, ["cat", "dog", "owl"], tmp_path / "map.png", title=""
    )
    one, other = drawn[0].axes
    points = np.concatenate([part.get_offsets() for part in one.collections])
    assert sorted(points.tolist()) == places.tolist()
    assert [part.get_label() for part in one.collections] == ["other classes", "cat", "owl"]
    assert one.collections[2].get_offsets().tolist() == places[3:].tolist()
    assert [text.get_text() for text in drawn[0].legends[0].get_texts()] == ["other classes", "cat", "owl"]
    assert [text.get_text() for text in other.texts] == ["all embeddings are alike"]


def test_a_figure_is_written_and_not_blank(tmp_path):
    figures.draw_ratios(BARS, tmp_path / "ratio.png", title="Class separation")
    with Image.open(tmp_path / "ratio.png") as picture:
        assert min(picture.size) > 400
        colours = {colour for _, colour in picture.convert("RGB").getcolors(1 << 20)}
    assert {(0x00, 0x72, 0xB2), (0xC9, 0xC9, 0xC9)} <= colours
    assert [path.name for path in tmp_path.iterdir()] == ["ratio.png"]


@settings(deadline=None)
@given(labels=arrays(np.int64, st.integers(1, 80), elements=st.integers(0, 12)), classes=st.integers(1, 10))
def test_a_sample_is_within_its_bounds_and_colours_the_largest(labels, classes):
    found = choose_sample(labels, classes=classes, most=30)
    assert len(found.rows) <= 30
    assert (np.diff(found.rows) > 0).all()
    assert (labels[found.rows] == found.labels).all()
    assert len(found.rows) == min(30, len(labels))
    mine = np.isin(labels, found.coloured)
    if min(mine.sum(), (~mine).sum()) >= 15:
        assert np.isin(found.labels, found.coloured).sum() == 15
    values, counts = np.unique(labels, return_counts=True)
    assert len(set(found.coloured)) == min(classes, len(values))
    least = min(counts[values == label] for label in found.coloured)
    assert (np.sort(counts)[::-1][: len(found.coloured)][-1] <= least).all()


def test_a_map_keeps_neighbours_together_and_stays_the_same():
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], 12)
    # Lengths differ a hundredfold: only directions may count.
    rows = (np.eye(8)[labels] + 0.05 * rng.normal(size=(36, 8))) * rng.uniform(0.1, 10, size=(36, 1))
    places = map_to_plane(rows)
    assert places is not None
    distances = np.linalg.norm(places[:, None] - places[None], axis=2) + np.diag(np.full(36, np.inf))
    assert (labels[distances.argmin(1)] == labels).all()
    assert (places == map_to_plane(rows)).all()


@pytest.mark.parametrize("rows", [np.ones((3, 4)) * np.arange(1, 4)[:, None], np.ones((50, 4)), np.eye(3)])
def test_rows_without_a_map(rows):
    assert map_to_plane(rows) is None


def test_the_smallest_map():
    places = map_to_plane(np.eye(4))
    assert places is not None
    assert np.isfinite(places).all()
