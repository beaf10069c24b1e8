"""`scripts/leaked_copies.py`. Oracles: counts by hand, and a copy that is the drawing itself."""

import json
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

SCRIPT = str(Path(__file__).parent.parent / "scripts" / "leaked_copies.py")


@pytest.fixture(scope="module")
def script() -> dict:
    return runpy.run_path(SCRIPT)


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_top_1_grows_by_the_share_of_copies(script, share):
    # No held-out drawing is found, and every copy of either kind is.
    right = {"clean": torch.zeros(8, dtype=torch.bool), **dict.fromkeys("ab", torch.ones(8, dtype=torch.bool))}
    assert script["mix"](right, share, 0) == [share] * 20


def test_copies_are_flipped_and_turned_on_white_paper(script):
    drawing = Image.new("L", (40, 40), 255)
    ImageDraw.Draw(drawing).line((5, 20, 20, 20), fill=0, width=2)
    pixels = np.asarray(drawing)
    flipped = np.asarray(script["copy_of"](drawing, "flipped", np.random.default_rng(0)).convert("L"))
    assert (flipped == pixels[:, ::-1]).all()
    turned = np.asarray(script["copy_of"](drawing, "turned", np.random.default_rng(0)).convert("L"))
    assert (turned[[0, 0, -1, -1], [0, -1, 0, -1]] == 255).all()
    assert (turned != pixels).any()
    down, across = np.nonzero(turned < 128)
    slope = np.degrees(np.arctan(np.polyfit(across, down, 1)[0]))
    assert 3 <= abs(slope) <= 10.5


def test_a_table_and_the_numbers_behind_it(narrow, few_classes, tmp_path, monkeypatch, capsys):
    out = tmp_path / "numbers.json"
    options = ("--data", few_classes, "--weights", narrow, "--image-size", "16", "--held-out", "0.4", "--per-class")
    monkeypatch.setattr(sys, "argv", [SCRIPT, *options, "5", "--json", str(out)])
    runpy.run_path(SCRIPT, run_name="__main__")
    found = json.loads(out.read_text())
    assert found["by_share"]["0.0"] == pytest.approx(found["queries"]["held-out drawings"])
    assert "| copies, flipped and turned |" in capsys.readouterr().out
