"""The recipe on a few doodles with narrow backbones. Oracles: `SketchLoss` and pixels asked apart from the recipe, runs
of parts that must make up the whole, and the files themselves."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from sketchloss import Backbone, SketchLoss, cli, load_backbone, save_backbone
from sketchloss.data.quickdraw.drawings import open_drawings
from sketchloss.experiments.probe import make_trials, probe_distance
from sketchloss.experiments.probe.asking import MADE, PER_CLASS, probe, split_in_halves
from sketchloss.experiments.probe.figure import draw_probe
from sketchloss.experiments.probe.measures import in_plain
from sketchloss.experiments.probe.settings import PRESETS, Probe
from sketchloss.experiments.probe.table import sections
from sketchloss.experiments.table import CSV_HEADER
from sketchloss.loss.tap_distance import METRICS
from sketchloss.system.images import fit_square, open_picture, to_tensor

SMALL = {"drawings": 8, "image_size": 32, "levels": (0.2, 0.6), "taps": ("relu2_2", "relu3_3"), "triplet_size": 32}


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """Weights of the arms, judgments with pictures, and a user's losses."""
    folder = tmp_path_factory.mktemp("probe")
    torch.manual_seed(0)
    for name, attention in (("photo", False), ("tuned", False), ("tuned_attention", True)):
        save_backbone(Backbone(width=0.06, attention=attention), folder / name)
    rng = np.random.default_rng(0)
    (folder / "pictures").mkdir()
    for name in "abcdef":
        Image.fromarray(rng.integers(0, 256, (20, 24), dtype=np.uint8)).save(folder / "pictures" / f"{name}.png")
    lines = [f"{','.join(rng.permutation(list('abcdef'))[:3])},p{number % 4}" for number in range(30)]
    (folder / "triplets.csv").write_text("\n".join(["reference,closer,farther,participant", *lines]) + "\n")
    (folder / "losses.py").write_text(
        "def ink(pred, target):\n    return (pred.mean((1, 2, 3)) - target.mean((1, 2, 3))).abs()\n"
        "def one_number(pred, target):\n    return (pred - target).abs().mean()\n"
    )
    return folder


@pytest.fixture(scope="module")
def settings(place) -> dict:
    weights = {"photo": str(place / "photo"), "attention_tuning": (str(place / "tuned_attention"),)}
    return {**SMALL, **weights, "tuning": (str(place / "tuned"),)}


@pytest.fixture(scope="module")
def whole(place, settings):
    """The config and the results of a run of everything."""
    config = Probe(
        out=place / "whole",
        triplets=place / "triplets.csv",
        distance=(f"{place}/losses.py:ink",),
        weights=(str(place / "tuned"),),
        **settings,
    )
    return config, probe(config)


@pytest.fixture(scope="module")
def halves():
    drawings = open_drawings("doodles", per_class=PER_CLASS, classes=2, seed=0)
    return [make_trials(part, 32, count=4, levels=(0.2, 0.6)) for part in split_in_halves(drawings, 0)]


def rows_of(results):
    return {row["name"]: row for row in results["rows"]}


# Measures ------------------------------------------------------------------------------------------------------------


def test_every_distance_has_a_row(whole, place):
    config, results = whole
    mine = str(place / "tuned")
    of_weights = [
        f"{name}, {what}"
        for name in ("attention+tuning", "tuning", "attention", "original", mine)
        for what in ("default taps", "the paper's l1", "relu2_2", "relu3_3", "embed")
    ]
    names = ["pixel l1", "pixel l2", "ssim", config.distance[0], *of_weights]
    assert [row["name"] for row in results["rows"]] == names
    rows = rows_of(results)
    assert rows["tuning, relu2_2"]["taps"] == {"relu2_2": 1}
    assert {rows[f"tuning, {what}"]["arm"] for what in ("default taps", "embed")} == {"tuning"}
    assert rows["tuning, embed"]["weights"] == config.tuning[0]
    assert (rows[f"{mine}, embed"]["arm"], rows[f"{mine}, embed"]["group"]) == (None, mine)
    assert [rows[name]["kind"] for name in names[:4]] == ["baseline"] * 3 + ["own"]
    assert sum(rows["original, default taps"]["taps"].values()) == pytest.approx(1)


def test_measures_are_those_of_the_distance_asked_by_itself(whole, place, halves):
    config, results = whole
    rows = rows_of(results)
    backbone = load_backbone(place / "tuned", classes=())
    asked = {
        "pixel l2": lambda pred, target: (pred - target).square().mean((1, 2, 3)),
        config.distance[0]: lambda pred, target: (pred.mean((1, 2, 3)) - target.mean((1, 2, 3))).abs(),
        "tuning, default taps": SketchLoss(backbone, reduction="none"),
        "tuning, relu3_3": SketchLoss(backbone, layers=("relu3_3",), reduction="none"),
        "tuning, embed": lambda pred, target: 1 - (backbone.embed(pred) * backbone.embed(target)).sum(1),
    }
    for name, distance in asked.items():
        for half, trials in zip(("choose", "report"), halves, strict=True):
            found, expected = rows[name][half], in_plain(probe_distance(distance, trials))
            assert found["growth"] == pytest.approx(expected["growth"]), name
            assert found["ratio"] == pytest.approx(expected["ratio"], rel=1e-3), name
            assert found["choice"] == expected["choice"], name
            assert found["score"] == pytest.approx(expected["score"], abs=1e-6), name


def test_pixels_choose_wrongly_in_both_halves(whole):
    row = rows_of(whole[1])["pixel l1"]
    for half in ("choose", "report"):
        assert {share["value"] for share in row[half]["choice"].values() if share} <= {0.0}


def test_halves_share_no_drawing_and_hold_every_class(halves):
    drawings = open_drawings("doodles", per_class=7, classes=3)
    choose, report = split_in_halves(drawings, 5)
    assert not set(map(id, choose)) & set(map(id, report))
    assert len(choose) + len(report) == 21
    assert {one.label for one in choose} == {one.label for one in report}
    counts = [[one.label for one in part].count(drawings[0].label) for part in (choose, report)]
    assert counts == [3, 4]
    assert [one.number for one in split_in_halves(drawings, 6)[0]] != [one.number for one in choose]
    pictures = [{picture.numpy().tobytes() for picture in half.references} for half in halves]
    assert not pictures[0] & pictures[1]


def test_people_are_asked_apart_from_the_recipe(whole, place):
    _, results = whole
    backbone = load_backbone(place / "tuned", classes=())
    loss = SketchLoss(backbone, layers=("relu3_3",))

    def picture(name):
        return to_tensor(fit_square(open_picture(place / "pictures" / f"{name}.png"), 32))[None]

    with (place / "triplets.csv").open() as file:
        judgments = list(csv.DictReader(file))
    right = []
    for row in judgments:
        reference, one, other = (picture(row[name]) for name in ("reference", "closer", "farther"))
        with torch.no_grad():
            right.append(float(loss(one, reference) < loss(other, reference)))
    found = rows_of(results)["tuning, relu3_3"]["people"]
    assert found["value"] == pytest.approx(np.mean(right))
    assert (found["judgments"], found["participants"]) == (30, 4)
    assert found["low"] <= found["value"] <= found["high"]
    assert results["triplets"]["judgments"] == 30
    assert results["triplets"]["published"] is False


def test_taps_are_chosen_for_the_arm_with_both(whole, settings):
    _, results = whole
    (chosen,) = results["chosen"]
    assert (chosen["group"], chosen["weights"]) == ("attention+tuning", settings["attention_tuning"][0])
    assert chosen["candidates"] == (2 + 4) * len(METRICS)
    default = rows_of(results)["attention+tuning, default taps"]
    assert chosen["default"]["report"] == default["report"]
    assert chosen["default"]["people"] == default["people"]
    assert chosen["best"]["choose"]["score"] == max(one["choose"] for one in chosen["tried"])
    assert chosen["best"]["people"]["judgments"] == 30
    # The metric of the single taps' rows is among those tried: the search saw the same distances.
    single = next(one for one in chosen["tried"] if (one["taps"], one["metric"]) == (["relu3_3"], "ink"))
    assert single["report"] == pytest.approx(rows_of(results)["attention+tuning, relu3_3"]["report"]["score"])


# Runs of parts -------------------------------------------------------------------------------------------------------


def test_runs_of_single_arms_make_up_the_whole(whole, place, settings):
    _, results = whole
    parts = [
        probe(Probe(out=place / f"only {arm}", only=(arm,), baselines=arm == "original",
                    triplets=place / "triplets.csv", **settings))
        for arm in ("original", "attention+tuning")
    ]  # fmt: skip
    rows = [row for part in parts for row in part["rows"]]
    expected = [
        row for row in results["rows"] if row["arm"] in ("original", "attention+tuning") or row["kind"] == "baseline"
    ]
    assert sorted(rows, key=lambda row: row["name"]) == sorted(expected, key=lambda row: row["name"])
    assert [part["chosen"] for part in parts] == [[], results["chosen"]]
    merged = {**parts[0], "rows": rows, "chosen": parts[1]["chosen"]}
    text = "\n\n".join(section.markdown() for section in sections(merged))
    assert "- original. For" in text
    assert "Chosen for attention+tuning" in text
    draw_probe(merged, place / "merged.png")
    with Image.open(place / "merged.png") as picture:
        assert picture.width > 1000


def test_the_same_again_and_other_weights_to_choose_for(whole, place, settings):
    _, results = whole
    mine = str(place / "tuned")
    config = Probe(out=place / "again", only=("original",), baselines=False, weights=(mine,), choose=mine, **settings)
    again = probe(config)
    (chosen,) = again["chosen"]
    assert (chosen["group"], chosen["best"]["people"]) == (mine, None)
    assert rows_of(again)["original, embed"]["report"] == rows_of(results)["original, embed"]["report"]


# Files ---------------------------------------------------------------------------------------------------------------


def test_files_hold_the_results(whole):
    config, results = whole
    assert {path.name for path in config.out.iterdir()} == MADE
    assert json.loads((config.out / "results.json").read_text()) == results
    text = (config.out / "table.md").read_text()
    assert all(section.markdown() in text for section in sections(results))
    with (config.out / "table.csv").open(newline="") as file:
        header, *lines = csv.reader(file)
    assert tuple(header) == CSV_HEADER
    (score,) = [line for line in lines if line[:3] == ["every distance", "ssim", "score"]]
    assert float(score[CSV_HEADER.index("mean")]) == rows_of(results)["ssim"]["report"]["score"]
    stored = json.loads((config.out / "config.json").read_text())
    assert stored["drawings"] == 8
    for name in ("figure.png", "trials.png"):
        with Image.open(config.out / name) as picture:
            assert min(picture.size) > 500


def test_presets_fit_the_config():
    assert set(PRESETS) == {"demo", "small"}
    for changes in PRESETS.values():
        Probe(out=Path("x"), **changes)


def test_quickdraw_and_its_faults(tmp_path, settings):
    square = [[[0, 255, 255, 0, 0], [0, 0, 255, 255, 0]], [[50, 200], [50, 200]]]
    for number, word in enumerate(("box", "frame")):
        drawing = [[[x // (1 + number) for x in xs], ys] for xs, ys in square]
        lines = [json.dumps({"word": word, "drawing": drawing})] * 6
        (tmp_path / f"{word}.ndjson").write_text("\n".join([*lines, "no drawing"]) + "\n")
    config = Probe(out=tmp_path / "out", data=str(tmp_path), only=("original",), **{**settings, "drawings": 4})
    results = probe(config)
    assert (results["unreadable"], results["classes"], results["drawings"]) == (2, 2, 2)
    assert "2 lines that are no drawings were left out" in (config.out / "table.md").read_text()


# Mistakes ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"drawings": 3}, "drawings is 3: each half needs 2"),
        ({"levels": (0.5, 0.2)}, "levels are"),
        ({"image_size": 8}, "image_size is 8: it must be 16 to 8192 pixels"),
        ({"triplet_size": 9000}, "triplet_size is 9000"),
        ({"seed": -1}, "seed is -1"),
        ({"taps": ("a",) * 9}, "taps names 9 layers: name 8 at most"),
        ({"weights": ("a", "a")}, "weights names a twice"),
        ({"weights": ("tuning",), "tuning": ("x",)}, "weights names tuning, which is what an arm is called"),
        ({"distance": ("a:b", "a:b")}, "distance names a:b twice"),
        ({"choose": "tuning", "tuning": ()}, "choose is 'tuning', which is not measured: choose from attention"),
        ({"kind": "random"}, "kind is random, and there are no judgments: give --triplets too"),
        ({"pictures": Path("here")}, "pictures is here, and there are no judgments"),
        ({"tuning": ("a", "b")}, "tuning has 2 weights for one seed: give one$"),
        ({"only": ("tuning",), "tuning": ()}, "only names tuning, which has no weights"),
    ],
)
def test_settings_out_of_range(changes, words):
    with pytest.raises(ValueError, match=words):
        Probe(out=Path("x"), **changes)


@pytest.mark.parametrize(
    ("taps", "words"),
    [
        (("relu3_3", "relu2_2"), "taps are relu3_3, relu2_2: name each once, from shallow to deep"),
        (("relu2_2", "relu2_2"), "name each once"),
        (("relu9_1",), r"^[a-z+]+: layer 'relu9_1' is unknown: choose from relu1_1"),
    ],
)
def test_taps_that_a_network_does_not_have_so(taps, words, settings, tmp_path):
    with pytest.raises(ValueError, match=words):
        probe(Probe(out=tmp_path / "out", **{**settings, "taps": taps}))
    assert not (tmp_path / "out").exists()


@pytest.fixture
def at(place, tmp_path, monkeypatch):
    """In a folder of its own, and a command line with narrow weights."""
    monkeypatch.chdir(tmp_path)
    return ["probe", "--out", "out", "--drawings", "4", "--image-size", "32", "--photo", str(place / "photo"),
            "--attention-tuning", str(place / "tuned_attention"), "--only", "original"]  # fmt: skip


def said(capsys):
    return capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "words"),
    {
        "--data {place}/pictures": "holds pictures, and what differs between two pictures is not known",
        "--data nowhere": "nowhere does not exist",
        "--distance ink": "distance 'ink' is not module:function",
        "--distance {place}/losses.py:blot": "losses.py has no blot",
        "--distance no_such_module:f": "cannot import no_such_module (ModuleNotFoundError",
        "--distance {place}/losses.py:one_number": "one_number returned shape () for 2 pairs: it must return (2,)",
        "--triplets no.csv": "no.csv does not exist",
        "--triplets {place}/losses.py": "losses.py:1: no column reference",
        "--triplets {place}/triplets.csv --pictures no": "no is not a folder",
        "--triplets {place}/triplets.csv --kind easy": "no judgment of kind 'easy'",
        "--weights {place}/nothing": "nothing",
        "--photo {place}/tuned_attention": "have attention gates: --photo takes weights without any",
        "--image-size 16 --downsample none --taps relu5_3 pool5": "image_size is 16: the taps of original need 32",
        "--levels 0.5": "levels are (0.5,)",
        "--taps relu3_4": "layer 'relu3_4' is unknown",
        "--drawings many": "--drawings takes a whole number, not 'many'",
        "--baselines maybe": "--baselines 'maybe' is unknown",
        "--preset large": "--preset 'large' is unknown",
    }.items(),
)
def test_mistakes_are_one_line_and_leave_nothing_behind(at, place, capsys, options, words):
    assert cli.main([*at, *options.format(place=place).split()]) == 2
    error = said(capsys)
    assert error.count("\n") == 1
    assert words in error
    assert not Path("out").exists()


def test_the_command_runs_and_does_not_overwrite(at, capsys):
    more = ["--levels", "0.2", "0.6", "--taps", "relu2_2", "--baselines", "False"]
    assert cli.main([*at, *more]) == 0
    printed = capsys.readouterr().out
    assert "| original, relu2_2" in printed
    assert "pixel l1 " not in printed.split("- Edits")[0]
    assert cli.main([*at, *more]) == 2
    assert "out is not empty: choose another --out, or add --again to do a probe over" in said(capsys)
    assert cli.main([*at, *more, "--again"]) == 0


def test_a_hand_written_distance_stands_beside_the_others(at, place, capsys):
    options = ["--distance", f"{place}/losses.py:ink", "--levels", "0.2", "0.6", "--taps", "relu2_2"]
    assert cli.main([*at, *options]) == 0
    assert "losses.py:ink" in capsys.readouterr().out
