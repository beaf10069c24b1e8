"""Oracles: a gallery whose embeddings are put there, in groups that are known; and the error rule."""

import json
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from sketchloss import Backbone
from sketchloss.cli import main
from sketchloss.data.doodles.kinds import doodle
from sketchloss.gallery import Gallery
from sketchloss.gallery.clusters.command import cluster_gallery
from sketchloss.gallery.table import Row
from sketchloss.system.images import open_picture

#: Label -> how many drawings; each label is a group of its own.
GROUPS = {"cat": 9, "house": 6, "it's a fish": 3}
STRAY = "new\nline.png"


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    """A gallery with groups of embeddings, and two copies of a cat."""
    place = tmp_path_factory.mktemp("clusters")
    torch.manual_seed(0)
    gallery = Gallery.create(place / "gallery", weights=Backbone(width=0.1), image_size=32)
    generator, rows = np.random.default_rng(0), []
    for group, (label, count) in enumerate(GROUPS.items()):
        for number in range(count):
            path = place / "drawings" / label / (STRAY if label == "house" and number == 0 else f"{number}.png")
            path.parent.mkdir(parents=True, exist_ok=True)
            doodle("cat", number).sketch(32).save(path)
            vector = np.eye(51)[group] + 0.02 * (number + 1) * generator.normal(size=51)
            vector = (vector / np.linalg.norm(vector)).astype(np.float32)
            rows.append(Row(f"{label}{number}", bytes(path), f"{len(rows):064x}", 1, label, vector))
    for name in ("copy1.png", "copy2.png"):
        path = place / "drawings" / "cat" / name
        shutil.copy(place / "drawings" / "cat" / "3.png", path)
        rows.append(Row(name, bytes(path), rows[3].hash, 1, "cat", rows[3].embedding))
    gallery.table.write(rows)
    return place


@pytest.fixture
def place(built, monkeypatch, tmp_path) -> Path:
    (tmp_path / "gallery").symlink_to(built / "gallery")
    (tmp_path / "drawings").symlink_to(built / "drawings")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(capsys, line: str) -> str:
    assert main(["gallery", "clusters", *shlex.split(line)]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return out


def test_clusters_are_printed_with_their_labels_and_the_most_central_drawings(place, capsys):
    out = run(capsys, "gallery")
    lines = out.splitlines()
    assert lines[0] == "20 drawings in 3 clusters"
    assert [line.split(": ")[0].split() for line in lines[1:]] == [
        ["1", "11", "drawings", "cat", "(9)"],
        ["2", "6", "drawings", "house", "(6)"],
        ["3", "3", "drawings", "it's", "a", "fish", "(3)"],
    ]
    clusters = cluster_gallery(Gallery.open("gallery"))
    for line, cluster in zip(lines[1:], clusters, strict=True):
        named = line.split(": ")[1].removesuffix(", ...").split(", ")
        label = cluster.rows[0].label
        assert named == [f"{label}/{Path(row.path.decode()).name}".replace("\n", "\\n") for row in cluster.rows[:4]]
    assert "\nline.png" not in out
    assert run(capsys, "gallery --count 1").startswith("20 drawings in 1 cluster\n")


def test_json_names_every_drawing_once(place, built, capsys):
    found = json.loads(run(capsys, "gallery --json --count 3"))
    assert [cluster["size"] for cluster in found["clusters"]] == [11, 6, 3]
    assert [cluster["copies"] for cluster in found["clusters"]] == [2, 0, 0]
    assert found["clusters"][1]["labels"] == [{"label": "house", "drawings": 6}]
    paths = [path for cluster in found["clusters"] for path in cluster["paths"]]
    files = {str(path) for path in (built / "drawings").rglob("*.png") if not path.name.startswith("copy")}
    assert sorted(paths) == sorted(files)
    assert len(json.loads(run(capsys, "gallery --json --count 18"))["clusters"]) == 18


def test_sheets_show_each_cluster_also_where_files_are_gone(place, built, capsys):
    assert run(capsys, "gallery --sheets deep/sheets").endswith("sheets: deep/sheets\n")
    names = ["cluster-1.png", "cluster-2.png", "cluster-3.png", "overview.png"]
    assert sorted(path.name for path in Path("deep/sheets").iterdir()) == names
    overview = open_picture("deep/sheets/overview.png")
    assert overview.width > 9 * 112
    assert 3 * 112 < overview.height < 4 * 150
    first, third = (open_picture(f"deep/sheets/cluster-{number}.png") for number in (1, 3))
    assert first.width > 3 * third.width / 2
    run(capsys, "gallery --count 18 --sheets single")
    assert open_picture("single/cluster-18.png").width > 4 * 96  # one drawing, and room for its title
    (built / "drawings").rename(built / "away")
    try:
        run(capsys, "gallery --sheets gone")
    finally:
        (built / "away").rename(built / "drawings")
    assert len(list(Path("gone").iterdir())) == 4


def test_an_interruption_leaves_no_sheets(place, monkeypatch):
    def stop(*_, **__):
        if Path("shared").exists():
            Path("shared/mine").write_text("mine")
            Path("shared/folder").mkdir()
        raise KeyboardInterrupt

    monkeypatch.setattr("sketchloss.gallery.clusters.command.draw_contact_sheet", stop)
    Path("empty").mkdir()
    for folder in ("new", "empty"):
        assert main(shlex.split(f"gallery clusters gallery --sheets {folder}")) == 130
    assert not Path("new").exists()
    assert list(Path("empty").iterdir()) == []
    Path("shared").mkdir()
    assert main(shlex.split("gallery clusters gallery --sheets shared")) == 130
    assert sorted(file.name for file in Path("shared").iterdir()) == ["folder", "mine"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("gallery --count 0", ("count is 0", "1 to 18, the number of different drawings")),
        ("gallery --count 19", ("count is 19",)),
        ("gallery --count -3", ("count is -3",)),
        ("nowhere", ("nowhere does not exist",)),
        ("drawings", ("drawings is no gallery",)),
        ("none", ("none is empty: add drawings first",)),
        ("gallery --sheets file", ("file is a file: name a folder for --sheets",)),
        ("gallery --sheets full", ("full is not empty, and nothing is overwritten",)),
        ("gallery --sheets gallery/sheets", ("lies in the gallery",)),
        ("gallery --sheets drawings/cat", ("drawings/cat holds drawings of the gallery",)),
        ("gallery --sheets drawings", ("drawings holds drawings of the gallery",)),
    ],
)
def test_mistakes(line, said, place, built, capsys):
    Path("file").write_text("mine")
    Path("full").mkdir()
    Path("full/mine").write_text("mine")
    Gallery.create("none", weights=Backbone(width=0.1), image_size=32)
    before = sorted([*place.rglob("*"), *built.rglob("*")])
    assert main(["gallery", "clusters", *shlex.split(line)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    for words in said:
        assert words in err
    assert sorted([*place.rglob("*"), *built.rglob("*")]) == before
