"""The recipe on a few doodles and pictures. Oracles: `fooled` asked apart from the recipe, and the files themselves."""

import csv
import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from sketchloss import Backbone, SketchLoss, cli, load_backbone, save_backbone
from sketchloss.data.quickdraw.drawings import open_drawings
from sketchloss.experiments.probe import fooled, open_halves
from sketchloss.experiments.probe.tricks import MADE, tricks
from sketchloss.experiments.probe.tricks_settings import PRESETS, Tricks
from sketchloss.experiments.probe.tricks_table import ALL, sections
from sketchloss.experiments.table import CSV_HEADER
from sketchloss.loss.loss import PAPER_LAYERS

SMALL = {"image_sizes": (32, 40), "drawings": (3, 2), "metrics": ("l1",)}


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """Narrow weights, a folder of pictures, and a user's losses."""
    folder = tmp_path_factory.mktemp("tricks")
    torch.manual_seed(0)
    save_backbone(Backbone(width=0.06), folder / "tuned")
    for drawing in open_drawings("doodles", per_class=4, classes=2, seed=0):
        (folder / "pictures" / drawing.label).mkdir(parents=True, exist_ok=True)
        drawing.picture(60).save(folder / "pictures" / drawing.label / f"{drawing.number}.png")
    (folder / "losses.py").write_text(
        "def ink(pred, target):\n    return (pred.mean((1, 2, 3)) - target.mean((1, 2, 3))).abs()\n"
        "def one_number(pred, target):\n    return (pred - target).abs().mean()\n"
        "def nothing(pred, target):\n    return ink(pred, target) / 0 * 0\n"
    )
    return folder


@pytest.fixture(scope="module")
def whole(place):
    """The config and the results of a run of everything."""
    config = Tricks(
        out=place / "whole",
        data=("doodles", str(place / "pictures")),
        weights=(str(place / "tuned"),),
        distance=(f"{place}/losses.py:ink",),
        **SMALL,
    )
    return config, tricks(config)


def row_of(results, distance, source, size):
    (row,) = [
        row
        for row in results["rows"]
        if (row["distance"], row["source"], row["image_size"]) == (distance, source, size)
    ]
    return row


def test_every_distance_has_a_row_for_each_source_and_size(whole, place):
    config, results = whole
    tuned = str(place / "tuned")
    names = ["pixel l1", "pixel l2", "ssim", f"{tuned} l1, default taps", f"{tuned} l1, paper taps", *config.distance]
    assert [(row["image_size"], row["source"], row["distance"]) for row in results["rows"]] == [
        (size, source, name) for size in (32, 40) for source in (*config.data, ALL) for name in names
    ]
    counts = {(row["image_size"], row["source"]): row["drawings"] for row in results["rows"]}
    assert counts == {
        **{(32, source): 3 for source in config.data},
        **{(40, source): 2 for source in config.data},
        **{(32, ALL): 6, (40, ALL): 4},
    }


@pytest.mark.parametrize("half", [0, 1], ids=["choose", "report"])
def test_what_is_found_is_what_the_distance_asked_by_itself_says(half, whole, place, tmp_path):
    config, results = whole
    if not half:
        changes = {"half": "choose", "baselines": False, "distance": (), "taps": ("paper",), "data": config.data[1:]}
        results = tricks(Tricks(**{**asdict(config), "out": tmp_path / "out", **changes}))
    source = str(place / "pictures")
    loss = SketchLoss(load_backbone(place / "tuned"), layers=PAPER_LAYERS, metric="l1", reduction="none")
    found = fooled(loss, open_halves(source)[half], image_size=32, count=3)
    row = row_of(results, f"{place / 'tuned'} l1, paper taps", source, 32)
    assert {name: row[name] for name in asdict(found)} == asdict(found)


def test_all_sources_together_are_the_mean_over_their_drawings(whole):
    config, results = whole
    for distance in ("pixel l1", "ssim"):
        parts = [row_of(results, distance, source, 32)["shares"] for source in config.data]
        together = row_of(results, distance, ALL, 32)["shares"]
        for name in ("blank page", "half gone", "quarter shift"):
            expected = np.mean([part[name]["value"] for part in parts])  # as many drawings of each
            assert together[name]["value"] == pytest.approx(expected), name
            assert together[name]["trials"] == 6


def test_files_hold_the_results(whole):
    config, results = whole
    assert {path.name for path in config.out.iterdir()} == MADE
    assert json.loads((config.out / "results.json").read_text()) == results
    text = (config.out / "table.md").read_text()
    assert all((one.markdown() in text) == one.printed for one in sections(results))
    with (config.out / "table.csv").open(newline="") as file:
        header, *lines = csv.reader(file)
    assert tuple(header) == CSV_HEADER
    start = ["doodles at 40 pixels", "ssim"]
    found = {line[2]: dict(zip(header, line, strict=True)) for line in lines if line[:2] == start}
    share = row_of(results, "ssim", "doodles", 40)["shares"]["half gone"]
    cells = [found["fooled by half gone"][name] for name in ("mean", "low", "high")]
    cells.append(found["trials of fooled by half gone"]["mean"])
    assert [float(cell) for cell in cells] == [share[name] for name in ("value", "low", "high", "trials")]
    assert float(found["drawings"]["mean"]) == 2
    assert json.loads((config.out / "config.json").read_text())["drawings"] == [3, 2]
    for name in ("figure.png", "tricks.png"):
        with Image.open(config.out / name) as picture:
            assert min(picture.size) > 400


def test_presets_and_defaults_fit_the_config():
    for changes in ({}, *PRESETS.values()):
        config = Tricks(out=Path("x"), **changes)
        assert list(config.counts()) == list(config.image_sizes)


# Mistakes ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"data": ()}, "data names nothing"),
        ({"data": ("doodles", "doodles")}, "data names doodles twice"),
        ({"image_sizes": (96, 8)}, "image_sizes has 8: each must be 16 to 8192 pixels"),
        ({"drawings": (4, 4)}, "drawings has 2 numbers for 5 sizes: give one, or one for each"),
        ({"drawings": (0,)}, "drawings has 0: ask about one at least"),
        ({"seed": -1}, "seed is -1"),
        ({"weights": ("a", "a")}, "weights names a twice"),
        ({"weights": (), "baselines": False}, "there is no distance to ask"),
    ],
)
def test_settings_out_of_range(changes, words):
    with pytest.raises(ValueError, match=words):
        Tricks(out=Path("x"), **changes)


@pytest.mark.parametrize(
    ("options", "words"),
    {
        "--data nowhere": "nowhere does not exist",
        "--data {place}/tuned": "holds no pictures",
        "--distance ink": "distance 'ink' is not module:function",
        "--distance {place}/losses.py:one_number": "one_number returned shape () for",
        "--distance {place}/losses.py:nothing": "nothing returned nan for a pair",
        "--weights {place}/nothing": "nothing",
        "--metrics l3": "--metrics 'l3' is unknown",
        "--taps shallow": "--taps 'shallow' is unknown",
        "--half third": "--half 'third' is unknown",
    }.items(),
)
def test_mistakes_are_one_line_and_leave_nothing_behind(place, tmp_path, monkeypatch, capsys, options, words):
    monkeypatch.chdir(tmp_path)
    start = ["tricks", "--out", "out", "--image-sizes", "32", "--drawings", "1"]
    rest = options.format(place=place).split()
    usual = {"--data": f"{place}/pictures", "--weights": f"{place}/tuned"}
    others = [word for option in usual.items() if option[0] not in rest for word in option]
    code = cli.main([*start, *others, *rest])
    error = capsys.readouterr().err
    assert (code, error.count("\n")) == (2, 1), error
    assert words in error
    assert not Path("out").exists()


def test_the_command_runs_and_does_not_overwrite(place, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    command = ["tricks", "--out", "out", "--image-sizes", "32", "--drawings", "1", "--weights"]
    command += ["--data", f"{place}/pictures"]
    assert cli.main(command) == 0
    assert "| pixel l1 |" in capsys.readouterr().out
    assert cli.main(command) == 2
    assert "out is not empty: choose another --out, or add --again to do a tricks run over" in capsys.readouterr().err
    assert cli.main([*command, "--again"]) == 0
