"""Table 1 on a few doodles with a narrow backbone. Oracles: SSIM and distances computed anew from the saved networks,
the printed table of the paper, and the files that a resumed run leaves alone."""

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from sketchloss import ARMS, Backbone, load_backbone, save_backbone
from sketchloss.cli import main
from sketchloss.data.names import short_name
from sketchloss.data.pairs import open_pairs
from sketchloss.experiments.style.drawings import style_table
from sketchloss.experiments.style.settings import PRESETS, StyleTable
from sketchloss.experiments.style.table import PAPER, sections
from sketchloss.experiments.table import CSV_HEADER
from sketchloss.metrics.distances import frechet_distance
from sketchloss.metrics.ssim import ssim
from sketchloss.metrics.statistics import spread
from sketchloss.networks.stylizer import load_stylizer
from sketchloss.system.images import open_picture, to_tensor

SETS = ("doodles?tool=ink&count=40", "doodles?tool=pencil&count=40")
REFERENCES = ["grey photo", "other true sketches"]


pytestmark = pytest.mark.usefixtures("fresh_accelerate")


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("weights")
    torch.manual_seed(0)
    for name, attention in (("plain", False), ("gated", True)):
        save_backbone(Backbone(width=0.125, attention=attention), folder / name)
    return folder


@pytest.fixture
def config(weights, tmp_path) -> StyleTable:
    plain, gated = str(weights / "plain"), str(weights / "gated")
    return StyleTable(
        **{"content": "doodles?count=20", "sets": SETS, "out": tmp_path / "out", "photo": plain, "tuning": (plain,)},
        **{"attention_tuning": (gated,), "extractors": (plain,), "image_size": 32, "width": 0.125, "blocks": 1},
        **{"steps": 2, "pairs": 9, "bootstrap": 20, "shown": 2, "examples": 2, "precision": "no", "workers": 0},
    )


@pytest.fixture(scope="module")
def whole(weights, tmp_path_factory) -> tuple[StyleTable, dict]:
    """The config and the results of a whole table, whose folder nobody writes to."""
    done = config.__wrapped__(weights, tmp_path_factory.mktemp("whole"))
    return done, style_table(done)


def test_the_table_says_what_the_saved_networks_draw(whole, weights):
    config, results = whole
    assert list(results["sets"]) == list(SETS)
    backbone = load_backbone(weights / "plain")
    for source, of_set in results["sets"].items():
        assert list(of_set["rows"]) == [*ARMS, *REFERENCES]
        assert (of_set["pairs"], of_set["compared"]) == (9, 9)
        pairs = open_pairs(source, part="test")
        pairs = pairs.select(np.sort(np.random.default_rng(0).permutation(len(pairs))[:9]))
        photos, true = (
            torch.stack([to_tensor(side(index, 32).convert("RGB")) for index in range(9)])
            for side in (pairs.photo, pairs.sketch)
        )
        network = load_stylizer(config.out / "runs" / of_set["folder"] / "tuning")
        with torch.no_grad():
            drawn = (network(photos) * 255).round() / 255
            ours, theirs = (backbone(images, ["relu5_3"])["relu5_3"].mean((2, 3)) for images in (drawn, true))
        row = of_set["rows"]["tuning"]
        # A value at the edge of rounding to 8 bits may fall to either side.
        assert row["ssim"]["mean"] == pytest.approx(ssim(drawn, true).mean().item(), abs=1e-3)
        assert row["distances"][0]["value"] == pytest.approx(frechet_distance(ours, theirs), rel=1e-2)
        grey = photos.mean(1, keepdim=True)
        assert of_set["rows"]["grey photo"]["ssim"]["mean"] == pytest.approx(
            ssim(grey, true[:, :1]).mean().item(), abs=1e-5
        )
    on_disk = json.loads((config.out / "results.json").read_text())
    assert on_disk == json.loads(json.dumps(results))
    table = (config.out / "table.md").read_text()
    assert all(f"| {name} " in table for name in ("attention+tuning", "grey photo"))
    assert all(section.markdown() in table for section in sections([results]))
    with (config.out / "table.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert tuple(lines[0]) == CSV_HEADER
    # SSIM with its deviation, of all but the other true sketches; both distances, and the bias of Fréchet's.
    counts = {name: sum(line["set"] == name for line in lines) for name in (*SETS, "average")}
    assert counts == {**dict.fromkeys(SETS, 5 * (2 + 3) + 3), "average": 5 * (1 + 2) + 2}
    found = results["sets"][SETS[0]]["rows"]["tuning"]["distances"][0]
    (line,) = [line for line in lines if [*line.values()][:3] == [SETS[0], "tuning", found["name"]]]
    assert [float(line[name]) for name in ("mean", "low", "high")] == [found[name] for name in ("value", "low", "high")]
    # Photo, true sketch and four arms beside one another, two examples of each set below.
    figure = open_picture(config.out / "figure.png")
    assert figure.width > 6 * 128
    assert figure.height > 4 * 128


def test_a_resumed_table_trains_what_is_missing_and_nothing_else(config, whole, capsys):
    shutil.copytree(whole[0].out, config.out)
    models = {path: path.stat().st_mtime_ns for path in config.out.glob("runs/*/*/model/model.safetensors")}
    assert len(models) == 8
    first = json.loads((config.out / "results.json").read_text())
    unfinished = config.out / "runs" / "doodles-tool-ink-count-40" / "original"
    (unfinished / "result.json").unlink()
    capsys.readouterr()
    with pytest.raises(ValueError, match="add --resume"):
        style_table(config)
    assert json.loads(json.dumps(style_table(replace(config, resume=True)))) == first
    said = capsys.readouterr().out
    assert said.count("network in") == 1, said
    for path, before in models.items():
        assert path.stat().st_mtime_ns == before or unfinished in path.parents
    # What is measured may change, and is then in config.json.
    again = style_table(replace(config, resume=True, bootstrap=25, pairs=8))
    assert {of_set["pairs"] for of_set in again["sets"].values()} == {8}
    assert json.loads((config.out / "config.json").read_text())["bootstrap"] == 25
    with pytest.raises(ValueError, match=r"was started with lr=0\.001"):
        style_table(replace(config, resume=True, lr=2e-3))


def test_single_arms_are_trained_alone_and_others_can_follow(config, tmp_path, capsys):
    plain = replace(config, sets=SETS[:1], tuning=(), attention_tuning=())
    alone = style_table(replace(plain, only=("original",)))
    rows = alone["sets"][SETS[0]]["rows"]
    assert list(rows) == ["original", *REFERENCES]
    assert list(alone["weights"]) == ["original"]
    assert "left out" not in (config.out / "table.md").read_text()
    network = config.out / "runs" / "doodles-tool-ink-count-40" / "original" / "model" / "model.safetensors"
    before = network.stat().st_mtime_ns
    assert "only" not in json.loads((network.parents[1] / "config.json").read_text())
    capsys.readouterr()
    both = style_table(replace(plain, resume=True))
    assert list(both["sets"][SETS[0]]["rows"]) == ["attention", "original", *REFERENCES]
    assert both["sets"][SETS[0]]["rows"]["original"] == rows["original"]
    assert capsys.readouterr().out.count("network in") == 1
    assert network.stat().st_mtime_ns == before
    assert "- tuning: left out, no weights given (--tuning)." in (config.out / "table.md").read_text()
    last = style_table(replace(plain, resume=True, only=("attention",)))
    assert last["sets"][SETS[0]]["rows"]["attention"] == both["sets"][SETS[0]]["rows"]["attention"]
    assert json.loads((config.out / "config.json").read_text())["only"] == ["attention"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"sets": ()}, "sets is empty"),
        ({"only": ("original", "tuning"), "tuning": ()}, "only names tuning, which has no weights: give --tuning"),
        ({"sets": ("doodles", "doodles")}, "share a folder"),
        ({"sets": ("cufs:/no/such",)}, "/no/such"),
        ({"sets": ("fs2k:here?style=4",)}, "style"),
        ({"pairs": 1}, "pairs is 1: it must be at least 2"),
        ({"bootstrap": 1}, "bootstrap is 1"),
        ({"examples": 0}, "examples is 0"),
        ({"extractors": ("typo",)}, "typo"),
        ({"extractor_layer": "relu9_9"}, "relu9_9"),
        ({"inception": Path("nowhere.pth")}, r"nowhere\.pth"),
        ({"attention_tuning": ("plain",)}, "attention gates"),
        ({"content": "no/such/folder/"}, "no/such/folder/"),
    ],
)
def test_a_mistake_is_said_before_anything_is_trained(config, weights, tmp_path, monkeypatch, changes, said):
    monkeypatch.chdir(weights)  # where `plain` is
    with pytest.raises((ValueError, FileNotFoundError), match=said):
        style_table(replace(config, **changes))
    assert not list(tmp_path.rglob("metrics.jsonl"))


def test_the_command_line_says_a_mistake_in_one_line(capsys, tmp_path):
    out = str(tmp_path / "out")
    for arguments, words in (
        (["--preset", "demo", "--out", out, "--sets", "ck:there"], "ck"),
        (["--preset", "demo", "--out", out, "--pairs", "few"], "--pairs takes a whole number"),
        (["--preset", "dmo", "--out", out], "did you mean demo?"),
        (["--content", "doodles", "--out", out], "sets"),
    ):
        assert main(["style", "table", *arguments]) == 2
        error = capsys.readouterr().err
        assert len(error.splitlines()) == 1
        assert words in error
    assert PRESETS["demo"]["content"] == "doodles"


def test_the_papers_averages_are_those_of_its_rows():
    # Table 1 prints 0.4480/89.40, 0.4150/116.16, 0.4259/201.43, 0.4444/96.15; the second FID is a slip for 116.44.
    for arm, (similarity, distance) in PAPER["average"].items():
        rows = np.array([PAPER[name][arm] for name in PAPER if name != "average"])
        printed = 116.44 if arm == "tuning" else distance
        assert rows.mean(0) == pytest.approx([similarity, printed], abs=0.01)


def distance(value: float) -> dict:
    found = {"name": "FD (x)", "value": value, "low": value - 1, "high": value + 1, "bias": 0.5, "images": [9, 9]}
    return found | {"small_sample": True, "kernel_name": "KD (x)", "kernel": value / 100, "kernel_std": None}


def made_up() -> dict:
    """Results on the paper's four sets."""
    sets = {}
    for number, folder in enumerate(name for name in PAPER if name != "average"):
        rows = {
            arm: {"ssim": spread([0.1 * number, 0.1 * number + 0.02]).__dict__, "distances": [distance(10.0 + number)]}
            for arm in ARMS
        }
        rows["other true sketches"] = {"ssim": None, "distances": [distance(1234.5)]}
        kind, _, style = folder.partition("-style-")
        sets[f"{kind}:/data/{kind}" + (f"?style={style}" if style else "")] = {
            "folder": folder,
            "pairs": 12,
            "compared": 9,
            "rows": rows,
        }
    results = {"sets": sets, "width": 0.5, "steps": 1500, "photos": 1829, "batch_size": 4, "image_size": 96, "seed": 0}
    results |= {"weights": dict.fromkeys(ARMS, "/here/w"), "content": "/data/photos", "sketches": {"a": 88, "b": 350}}
    balance = {"balance": "initial", "content_weight": 1.0, "style_weight": 5.0, "variation_weight": 0.3}
    return results | {"balance": balance}


def rows_of(text: str) -> dict[str, list[str]]:
    """The cells of a table, by those of the first column."""
    table = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("|")]
    return {cells[0]: cells for cells in table}


def csv_rows_of(results: list[dict]) -> dict[tuple[str, str, str], dict]:
    lines = [line for section in sections(results) if section.table for line in section.table.csv_rows(section.source)]
    rows = [dict(zip(CSV_HEADER, line, strict=True)) for line in lines]
    return {(row["set"], row["row"], row["measure"]): row for row in rows}


def test_the_report_averages_over_sets_and_stands_beside_the_paper():
    results = made_up()
    made = {short_name(section.source): section.markdown() for section in sections([results])}
    assert list(made) == ["", "cufs", "fs2k?style=1", "fs2k?style=2", "fs2k?style=3", "average"]
    # 0.20 and 0.22: mean 0.21, and on either side 12.706 standard errors of 0.01 (t of one degree of freedom)
    rows = rows_of(made["fs2k?style=2"])
    assert rows["loss of the arm"] == ["loss of the arm", "SSIM ↑", "FD (x) ↓ ‡", "KD (x) ↓", "FID ↓"]
    assert rows["tuning"] == ["tuning", "0.210 [0.083, 0.337]", "12.0 [11.0, 13.0]", "0.120", "-"]
    name = "*tuning (Seo 2025, other data)*"
    assert rows[name] == [name, "*0.2396*", "-", "-", "*77.60*"]
    rows = rows_of(made["average"])
    assert rows["attention"] == ["attention", "0.160", "11.5", "0.115", "-"]
    name = "*attention (Seo 2025, other data)*"
    assert rows[name] == [name, "*0.4259*", "-", "-", "*201.43*"]
    rows = rows_of(made["cufs"])
    assert rows["other true sketches"][1:3] == ["-", f"{1234.5:.0f} [{1233.5:.0f}, {1235.5:.0f}]"]
    text = "\n\n".join(made.values())
    assert "12 test pairs, 9 of them for the distances" in text
    assert "Small samples" in text
    assert text.count("mean style of 88 to 350 sketches") == 1
    assert "/data" not in text
    assert "/here" not in text


def test_rows_for_csv_are_of_every_set_row_and_measure():
    found = csv_rows_of([made_up()])
    # Of an arm SSIM and its deviation, both distances and the bias; of other sketches no SSIM; averages of columns.
    assert len(found) == 4 * (4 * 5 + 3) + 4 * 3 + 2
    similarity = found["cufs:/data/cufs", "attention+tuning", "ssim"]
    assert [similarity[name] for name in ("mean", "low", "high", "paper_mean")] == pytest.approx(
        [0.01, 0.01 - 0.12706, 0.01 + 0.12706, 0.5308], abs=1e-5
    )
    assert found["cufs:/data/cufs", "tuning", "ssim_deviation"]["mean"] == pytest.approx(0.02 / 2**0.5)
    fd = found["fs2k:/data/fs2k?style=3", "original", "FD (x)"]
    assert [fd[name] for name in ("seeds", "mean", "low", "high")] == [1, 13.0, 12.0, 14.0]
    assert found["fs2k:/data/fs2k?style=3", "original", "FD (x), bias"]["mean"] == 0.5
    average = found["average", "original", "FD (x)"]
    assert [average[name] for name in ("mean", "low", "high")] == [11.5, None, None]


def test_a_part_of_the_papers_sets_has_no_average_of_the_paper():
    results = made_up()
    results["sets"].popitem()
    *_, average = sections([results])
    assert "Seo" not in average.table.markdown()
    assert rows_of(average.markdown())["attention"][1] == "0.110"
    for row in results["sets"]["cufs:/data/cufs"]["rows"].values():  # a large set does not make the others large
        row["distances"][0]["small_sample"] = False
    _, large, small, *_, average = (section.markdown() for section in sections([results]))
    assert ["Small samples" in text for text in (large, small, average)] == [False, True, True]
    results["sets"] = dict(list(results["sets"].items())[:1])
    assert [section.source for section in sections([results])] == ["", "cufs:/data/cufs"]


def test_several_seeds_have_deviations_and_the_references_one_value_with_its_interval():
    first, second = made_up(), made_up()
    second["seed"] = 1
    for of_set in second["sets"].values():
        of_set["rows"]["tuning"] = {"ssim": spread([0.5, 0.7]).__dict__, "distances": [distance(20.0)]}
        of_set["rows"]["other true sketches"]["distances"] = [distance(99.0)]
    rows = rows_of(sections([first, second])[1].markdown())
    # 0.01 and 0.60; 10 and 20
    assert rows["tuning"][1:3] == ["**0.305 ± 0.417**", "15.0 ± 7.1"]
    assert rows["other true sketches"][2] == f"{1234.5:.0f} [{1233.5:.0f}, {1235.5:.0f}]"  # of the first seed
    found = csv_rows_of([first, second])
    assert [found["cufs:/data/cufs", "tuning", "ssim"][name] for name in ("seeds", "low", "high")] == [2, None, None]
    reference = found["cufs:/data/cufs", "other true sketches", "FD (x)"]
    assert [reference[name] for name in ("seeds", "mean", "low", "high")] == [1, 1234.5, 1233.5, 1235.5]
    text = "\n".join(section.markdown() for section in sections([first, second]))
    assert "Too few seeds for a verdict against tuning: 2 of 5" in text
    assert "the intervals do not cover a second one" not in text


def test_extractors_of_one_name_are_refused(config, tmp_path):
    for folder in ("a", "b"):
        save_backbone(Backbone(width=0.125), tmp_path / folder / "best")
    with pytest.raises(ValueError, match="two would have one name"):
        style_table(replace(config, extractors=(str(tmp_path / "a/best"), str(tmp_path / "b/best"))))


def test_a_set_with_one_training_pair_is_refused_before_training(config, tmp_path):
    for part, count in (("train", 1), ("test", 3)):
        for side in ("photos", "sketches"):
            (tmp_path / "cufs" / part / side).mkdir(parents=True)
            for number in range(count):
                Image.new("RGB", (40, 50), (number, 99, 99)).save(tmp_path / "cufs" / part / side / f"{number}.png")
    with pytest.raises(ValueError, match="has 1 training and 3 test pairs: at least two are needed"):
        style_table(replace(config, sets=(f"cufs:{tmp_path / 'cufs'}",)))
    assert not (config.out / "runs").exists()


def test_pictures_of_unequal_sizes_are_cut_alike(config, tmp_path):
    folder = tmp_path / "cufs"
    rng = np.random.default_rng(0)
    for part in ("train", "test"):
        for side in ("photos", "sketches"):
            (folder / part / side).mkdir(parents=True)
            for number in range(2 if part == "train" else 3):
                pixels = rng.integers(0, 255, (60, 48, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / part / side / f"{number}.png")
    results = style_table(replace(config, sets=(f"cufs:{folder}",), pairs=None))
    of_set = results["sets"][f"cufs:{folder}"]
    # All rows are compared in equal numbers: there are only two other true sketches.
    assert (of_set["pairs"], of_set["compared"]) == (3, 2)
    assert {tuple(row["distances"][0]["images"]) for row in of_set["rows"].values()} == {(2, 2)}
