"""The demo in small, on narrow networks. Oracles: the public functions that its tables are made with, and the pictures
that its page holds."""

import base64
import io
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from sketchloss import Backbone, SketchLoss, save_backbone
from sketchloss.cli import main
from sketchloss.data.sources import open_sketches
from sketchloss.experiments.cells import RESULT, CellStore
from sketchloss.experiments.demo import demo, steps
from sketchloss.experiments.demo.demo import MADE, command
from sketchloss.experiments.demo.report import STATEMENTS
from sketchloss.experiments.demo.settings import Demo
from sketchloss.experiments.probe.trick_drawings import make_tricks
from sketchloss.experiments.probe.trick_verdicts import fooled, open_halves
from sketchloss.metrics.features import embed_sketches
from sketchloss.metrics.ranking import top_k_accuracy
from sketchloss.networks.stylizer import Stylizer, StylizerConfig, save_stylizer
from sketchloss.networks.weights import load_backbone

pytestmark = pytest.mark.usefixtures("fresh_accelerate")


@pytest.fixture(scope="module")
def config(tmp_path_factory, narrow, untrained_base) -> Demo:
    place = tmp_path_factory.mktemp("demo")
    torch.manual_seed(0)
    save_backbone(Backbone(width=0.125, attention=True, gate_init="open"), place / "gated")
    save_stylizer(Stylizer(StylizerConfig(width=0.2, blocks=1)), place / "stylizer")
    return Demo(
        **{"out": place / "out", "photo": narrow, "tuning": (narrow,), "attention_tuning": (str(place / "gated"),)},
        **{"stylizer": str(place / "stylizer"), "base": untrained_base, "drawing_steps": 2, "image_size": 32},
        **{"per_class": 4, "held_out": 0.5, "epochs": 1, "heads": 1, "asked": 2},
    )


@pytest.fixture(scope="module")
def results(config) -> dict:
    """What the finished demo has written."""
    assert command(config) == 0
    return json.loads((config.out / "results.json").read_text())


def values(results: dict, table: str) -> dict[str, dict[str, float]]:
    return {
        row: {name: found["mean"] for name, found in of_row.items()}
        for row, of_row in next(found for title, found in results["tables"].items() if table in title).items()
    }


def test_the_first_table_says_what_the_distances_answer(config, results):
    tricked = make_tricks(open_halves("doodles", seed=0)[1], 32, count=2, seed=0)
    for name, distance in steps.distances(config).items():
        found = fooled(distance, tricked)
        for trick, statement in STATEMENTS.items():
            share = found.shares[trick]
            assert share
            assert values(results, "Questions")[statement][name] == pytest.approx(1 - share.value), (name, statement)
    assert isinstance(steps.distances(config)[steps.OURS], SketchLoss)


def test_pixels_prefer_the_empty_page(results):
    assert values(results, "Questions")[STATEMENTS["blank page"]]["pixels"] == 0


def test_before_and_after_are_of_drawings_that_were_held_out(config, results):
    learnt, asked = open_sketches("doodles", 32, per_class=4, seed=0).split(0.5, seed=0)
    run = next((config.out / "cells").glob("tuning-*/run"))
    for row, weights in ((f"before: {config.photo}", config.photo), ("after", run)):
        backbone = load_backbone(weights, classes=())
        queries, gallery = (embed_sketches(backbone, part, workers=0) for part in (asked, learnt))
        labels = [torch.from_numpy(part.labels) for part in (asked, learnt)]
        expected = top_k_accuracy(queries, labels[0], gallery, labels[1], k=(1,))[1]
        assert values(results, "Tuning")[row]["nearest"] == pytest.approx(expected)


def test_the_tables_of_the_paper_are_those_of_the_commands(config, results):
    for step, title, measure in (("search", "Table 3", "top_1"), ("classes", "Table 4", "ratio")):
        run = next((config.out / "cells").glob(f"{step}-*/run"))
        of_command = json.loads((run / "results.json").read_text())["arms"]
        assert set(of_command) == {"attention+tuning", "tuning", "attention", "original"}
        for arm, found in of_command.items():
            assert values(results, title)[arm][measure] == pytest.approx(found["runs"][0][measure])


def test_the_page_holds_every_picture_and_none_is_blank(config, results):
    page, text = ((config.out / name).read_text() for name in ("report.html", "report.md"))
    named = re.findall(r"\]\((figures/[^)]+)\)", text)
    assert len(named) == 8
    held = re.findall(r'src="data:image/png;base64,([^"]+)"', page)
    assert len(held) == len(named) == len(re.findall("<img", page))
    assert [base64.b64decode(data) for data in held] == [(config.out / name).read_bytes() for name in named]
    for data in held:
        assert np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("L")).std() > 5
    assert not re.search(r'(src|href)="(https?:)?//', page), "nothing is loaded from elsewhere"
    first = page.index("<table>")
    assert page.count("<img", 0, first) == 3, "three pictures stand before the first table"
    assert {path.name for path in config.out.iterdir()} <= MADE


def test_the_link_to_the_results_leads_there(config, results):
    (link,) = re.findall(r"\]\(([^)]*results\.md)\)", (config.out / "report.md").read_text())
    assert (config.out / link).resolve() == Path(__file__).parents[3] / "docs" / "results.md"


def test_the_same_command_computes_nothing_again(config, results, capsys):
    def times() -> dict[str, int]:
        return {path.parent.name: path.stat().st_mtime_ns for path in config.out.glob(f"cells/*/{RESULT}")}

    before = times()
    assert command(config) == 0
    assert times() == before
    assert capsys.readouterr().out.count("there already") == len(before) == 5


def test_what_fails_is_said_with_its_reason_and_done_again(config, results, tmp_path, monkeypatch, capsys):
    def full(*_):
        raise OSError(28, "No space left on device")

    here = replace(config, out=tmp_path / "out")
    with monkeypatch.context() as patch:
        patch.setattr(steps, "ask", full)
        assert command(here) == 1
        assert "questions failed: [Errno 28] No space left on device" in capsys.readouterr().err
    assert not (here.out / "report.html").exists()

    monkeypatch.setattr(demo, "write_report", lambda *_: None)
    store = CellStore(here.out / "cells", steps.cells(replace(here, out=here.out.absolute())), started=0)
    monkeypatch.setattr(demo, "cells", lambda _: [store.cells["questions"]])
    assert command(here) == 0, "the same command tries it again"


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--epochs", "0"], "epochs is 0"),
        (["--heads", "-1"], "heads is -1"),
        (["--asked", "0"], "asked is 0"),
        (["--drawing-steps", "0"], "drawing_steps is 0"),
        (["--per-class", "1"], "per_class is 1 and held_out 0.3"),
        (["--per-class", "3"], "per_class is 3 and held_out 0.3"),
        (["--held-out", "nan"], "held_out is nan"),
        (["--held-out", "1"], "held_out is 1"),
        (["--image-size", "8"], "image_size is 8"),
        (["--image-size", "10000000"], "image_size is 10000000"),
        (["--seed", "-1"], "seed is -1"),
        (["--seed", "4294967296"], "seed is 4294967296"),
        (["--tuning"], "tuning, which has no weights"),
        (["--tuning", "imagenet", "sketch-plain"], "tuning has 2 weights for one seed"),
    ],
)
def test_settings_out_of_range_are_refused(options, complaint, tmp_path, capsys):
    assert main(["demo", "--out", str(tmp_path / "out"), *options]) == 2
    said = capsys.readouterr().err
    assert complaint in said
    assert said.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_place_that_is_none_for_a_demo_is_refused(tmp_path, capsys):
    file, used, study = tmp_path / "file", tmp_path / "used", tmp_path / "study"
    file.write_text("mine")
    for folder in (used, study):
        folder.mkdir()
    (used / "mine.txt").write_text("mine")
    (study / "study.json").write_text('{"format": "sketchloss study"}')
    for place, complaint in ((file, "not a folder"), (used, "not a demo"), (study, "not a demo")):
        for again in ([], ["--again"]):
            assert main(["demo", "--out", str(place), *again]) == 2
            assert complaint in capsys.readouterr().err
    assert file.read_text() == (used / "mine.txt").read_text() == "mine"
    assert [path.name for path in study.iterdir()] == ["study.json"]


def test_a_folder_that_cannot_be_written_is_named(tmp_path, capsys):
    locked = tmp_path / "file" / "demo"
    locked.parent.write_text("in the way")
    assert main(["demo", "--out", str(locked)]) == 2
    assert str(locked.parent) in capsys.readouterr().err
