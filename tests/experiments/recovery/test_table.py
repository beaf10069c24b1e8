"""Oracles: statsmodels' and scipy's formulas in closed form, on results that were written here."""

import pytest
from scipy.stats import binomtest

from sketchloss.experiments.guiding_losses import PERCEPTUAL
from sketchloss.experiments.recovery.table import by_size, comparison_table, loss_title, steps_table, table

IMAGENET_L1, SKETCH_L1, IMAGENET, SKETCH = PERCEPTUAL


def result(right: int, count: int = 20, steps: tuple[float, ...] = (30.0, 50.0, 40.0)):
    return {"recovered": [place < right for place in range(count)], "after": [0.5] * count, "steps": steps}


def test_titles_are_words():
    assert [loss_title(name) for name in ("pixels", "pixels+ssim", SKETCH_L1, f"pixels+{IMAGENET}", "a.py:b")] == [
        "pixels",
        "pixels + SSIM",
        "sketch, the paper's l1",
        "pixels + imagenet, ink",
        "a.py:b",
    ]


def test_shares_have_wilson_s_interval():
    found = {"pixels": {"dots": result(5)}, SKETCH: {"dots": result(19)}}
    text = table(found, ["dots"], seed=0).markdown()
    low, high = binomtest(5, 20).proportion_ci(method="wilson")
    assert f" 25 [{low * 100:.0f}, {high * 100:.0f}]" in text
    assert "**95 [" in text


def test_steps_are_medians_and_missing_starts_are_dashes():
    found = {"pixels": {"dots": result(0, steps=())}, SKETCH: {"dots": result(3), "blurred": result(3)}}
    lines = [line.split("|") for line in steps_table(found, ["dots", "blurred"]).splitlines()]
    rows = {cells[1].strip(): [cell.strip() for cell in cells[2:-1]] for cells in lines}
    assert rows["pixels"] == ["0.50 / -", "-"]
    assert rows["sketch, ink"] == ["0.50 / 40", "0.50 / 40"]


def test_the_certain_differences_are_mcnemar_s():
    """12 drawings part the two, all in favour of one: p = 2 / 2^12, and there is one test."""
    found = {SKETCH: {"dots": result(16)}, IMAGENET: {"dots": result(4)}}
    text = comparison_table(found, ["dots"])
    assert "sketch, ink against imagenet, ink" in text
    assert "+60 * (0.0005)" in text or "+60 * (<0.001)" in text
    reverse = comparison_table({SKETCH: {"dots": result(4)}, IMAGENET: {"dots": result(16)}}, ["dots"])
    assert "-60 †" in reverse


def test_undecided_differences_say_what_would_have_been_seen():
    text = comparison_table({SKETCH: {"dots": result(11)}, IMAGENET: {"dots": result(10)}}, ["dots"])
    # (1.96 + 0.84)^2 / 20 = 39 points is more than 2.8 / sqrt(20) * sqrt(0.05) = 14.
    assert "+5 (39)" in text
    assert comparison_table({"pixels": {"dots": result(11)}}, ["dots"]) == ""


def test_starts_are_parted_by_size():
    assert by_size(["dots", "displaced:4@128", "blurred"]) == {64: ["dots", "blurred"], 128: ["displaced:4@128"]}


@pytest.mark.parametrize("kind", ["steps", "chamfer"])
def test_what_is_not_shown_is_in_the_csv(kind):
    rows = list(table({"pixels": {"dots": result(5)}}, ["dots"], seed=3).csv_rows("64 px"))
    assert [row[4] for row in rows if row[2] == f"dots, {kind}"] == [{"steps": 40, "chamfer": 0.5}[kind]]
