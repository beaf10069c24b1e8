"""How much ink is on a page. Oracle: pages whose ink is known by construction."""

import csv
import json
import math

import numpy as np
import pytest
from PIL import Image

from sketchloss.cli import main
from sketchloss.metrics.ink_amount import ink_amount, nearly_blank


def _page(rows: int, *, ink: int = 0, paper: int = 255) -> Image.Image:
    """A page of 100 by 100 pixels with so many rows of ink."""
    pixels = np.full((100, 100), paper, np.uint8)
    pixels[20 : 20 + rows] = ink
    return Image.fromarray(pixels)


def test_it_is_the_share_of_the_page_whatever_the_paper():
    assert ink_amount(_page(0)) == 0
    assert ink_amount(_page(4)) == pytest.approx(0.04)
    assert ink_amount(_page(4, paper=200)) == pytest.approx(0.04)
    assert ink_amount(_page(4, ink=128)) == pytest.approx(0.04 * 127 / 255)
    grain = np.random.default_rng(0).integers(250, 256, (100, 100), dtype=np.uint8)
    assert ink_amount(Image.fromarray(grain)) == 0


@pytest.mark.parametrize(
    ("first", "second", "said"),
    [
        (0.0, 0.0, "Both pages are blank"),
        (0.0, 0.1, "The first page is blank"),
        (0.1, 0.0, "The second page is blank"),
        (1e-5, 2e-5, "Both pages have nearly no ink"),
        (1e-5, 0.1, "The first page has nearly no ink"),
        (math.nan, 0.1, "The first page is mostly dark: light lines on dark paper need the setting invert"),
        (math.nan, math.nan, "Both pages are mostly dark: light lines on dark paper need the setting invert"),
        (0.1, 0.004, "The second page has nearly no ink"),
        (0.1, 0.006, ""),
        (0.1, 0.1, ""),
    ],
)
def test_what_is_said_of_two_pages(first, second, said):
    assert nearly_blank(first, second) == said


@pytest.mark.parametrize("metric", ["l1", "ink"])
def test_compare_says_that_a_page_is_blank_with_and_without_known_pairs(metric, tmp_path, capsys):
    _page(4).save(tmp_path / "drawn.png")
    _page(0).save(tmp_path / "blank.png")
    paths = [str(tmp_path / f"{name}.png") for name in ("drawn", "blank")]
    assert main(["compare", *paths, "--metric", metric]) == 0
    assert "The second page is blank" in capsys.readouterr().out


def test_of_a_dark_page_nobody_knows_what_is_ink(tmp_path, capsys):
    assert math.isnan(ink_amount(_page(4, ink=255, paper=0)))
    assert math.isnan(ink_amount(_page(0, paper=127)))
    _page(4).save(tmp_path / "drawn.png")
    _page(4, ink=255, paper=0).save(tmp_path / "chalk.png")
    assert main(["compare", str(tmp_path / "chalk.png"), str(tmp_path / "drawn.png")]) == 0
    assert "The first page is mostly dark: light lines on dark paper need the setting invert" in capsys.readouterr().out


def test_of_two_folders_the_blank_pages_are_named(tmp_path, capsys):
    for folder, rows in (("made", (4, 0, 4)), ("wanted", (4, 4, 4))):
        (tmp_path / folder).mkdir()
        for number, count in enumerate(rows):
            _page(count).save(tmp_path / folder / f"{number}.png")
    folders = [str(tmp_path / "made"), str(tmp_path / "wanted")]
    assert main(["compare", *folders, "--csv", str(tmp_path / "table.csv")]) == 0
    assert "1 pair is not of two drawings: 1 (The first page is blank)" in capsys.readouterr().out.splitlines()
    with (tmp_path / "table.csv").open(encoding="utf-8", newline="") as file:
        assert [row["words"] for row in csv.DictReader(file)] == ["", "The first page is blank", ""]
    assert main(["compare", *folders, "--json"]) == 0
    pairs = json.loads(capsys.readouterr().out)["pairs"]
    assert [pair.get("words") for pair in pairs] == [None, "The first page is blank", None]
