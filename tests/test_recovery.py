"""`scripts/recovery.py`. Oracles: scipy's Wilson interval, `recover` itself; bad input: one line, exit code 2."""

import json
import runpy
import sys
from pathlib import Path

import pytest
from scipy.stats import binomtest

from sketchloss.data.quickdraw.drawings import open_drawings
from sketchloss.strokes import recover
from sketchloss.strokes.named_losses import pixels_l1

SCRIPT = str(Path(__file__).parent.parent / "scripts" / "recovery.py")


@pytest.fixture
def run(monkeypatch):
    def run_script(*arguments: str) -> None:
        monkeypatch.setattr(sys, "argv", [SCRIPT, *arguments])
        runpy.run_path(SCRIPT, run_name="__main__")

    return run_script


def test_a_table_and_the_numbers_behind_it(run, tmp_path, capsys):
    out = tmp_path / "numbers.json"
    run(
        *("--data", "doodles", "--drawings", "5", "--size", "32", "--steps", "4", "--amount", "1.5", "--seed", "3"),
        *("--starts", "displaced", "half-erased", "--loss", "pixels", "pixels-l2-blurred", "--out", str(out)),
    )
    rows = json.loads(out.read_text())["rows"]
    assert [(row["loss"], row["start"]) for row in rows] == [
        (loss, start) for loss in ("pixels", "pixels-l2-blurred") for start in ("displaced", "half-erased")
    ]
    drawings = open_drawings("doodles", per_class=1, classes=5, seed=3)
    found = recover(pixels_l1, drawings, amount=1.5, size=32, steps=4, seed=3)
    assert rows[0]["before"] == pytest.approx(found.before.tolist())
    assert rows[0]["after"] == pytest.approx(found.after.tolist(), abs=1e-3)
    assert rows[0]["recovered"] == found.recovered.tolist()
    right = sum(rows[0]["recovered"])
    interval = binomtest(right, 5).proportion_ci(0.95, method="wilson")
    line = capsys.readouterr().out.splitlines()[2]
    assert f"{right / 5:.0%} | {interval.low:.0%} to {interval.high:.0%}" in " ".join(line.split())
    assert f"{found.after.mean():.2f}" in line


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--loss", "pixel"), "recovery: loss 'pixel' is unknown"),
        (("--loss", "pixels", "--data", "nowhere"), "recovery: "),
        (("--loss", "pixels", "--drawings", "0"), "recovery: "),
        (("--loss", "pixels", "--drawings", "2", "--size", "0"), "recovery: size is 0"),
        (("--loss", "pixels", "--drawings", "2", "--amount", "-1"), "recovery: amount is -1.0"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(run, arguments, message, capsys):
    with pytest.raises(SystemExit) as left:
        run(*arguments)
    assert left.value.code == 2
    said = capsys.readouterr()
    assert said.err.startswith(message)
    assert said.err.count("\n") == 1
    assert not said.out
