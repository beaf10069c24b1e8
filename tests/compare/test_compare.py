"""Oracle: each pair measured by hand with `SketchLoss`, one at a time."""

import csv
import json
import math
import statistics
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw, ImageOps

from foreign_files import pdf, svg
from sketchloss import Backbone, SketchLoss
from sketchloss.cli import main
from sketchloss.compare.command import compare
from sketchloss.compare.measuring import BATCH_PIXELS, PairDistance, measure, picture_differences
from sketchloss.compare.pairing import Pair, match_folders
from sketchloss.compare.settings import Compare
from sketchloss.data.doodles.kinds import doodle
from sketchloss.figures.difference import INK_A, INK_B
from sketchloss.system.images import fit_square, open_picture, to_tensor

SIZE = 64
LINES = {"left": (8, 8, 8, 56), "top": (8, 8, 56, 8), "slope": (10, 50, 50, 14), "right": (56, 20, 56, 56)}


def draw(*names: str, size: int = SIZE) -> Image.Image:
    """A drawing made of the named lines."""
    picture = Image.new("L", (SIZE, SIZE), "white")
    for name in names:
        ImageDraw.Draw(picture).line(LINES[name], fill=0, width=2)
    return picture if size == SIZE else picture.resize((size, size))


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """Two folders: four pairs of several formats, sizes and depths, two pictures without a partner, one damaged."""
    monkeypatch.chdir(tmp_path)
    for name, picture in {
        "ours/one.png": draw("left", "top"),
        "ours/two.png": draw("left"),
        "ours/deep/three.png": draw("slope", size=100),
        "ours/deep/4.v2.png": draw("slope", "right"),
        "ours/alone.png": draw("top"),
        "ours/damaged.png": draw("top"),
        "theirs/one.jpg": draw("left", "top", size=80),
        "theirs/two.webp": draw("right"),
        "theirs/deep/three.png": draw("slope", size=50),
        "theirs/deep/4.v2.bmp": draw("slope"),
        "theirs/lonely.png": draw("top"),
        "theirs/damaged.png": draw("top"),
    }.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        picture.save(path)
    damaged = tmp_path / "theirs/damaged.png"
    damaged.write_bytes(damaged.read_bytes()[:60])
    return tmp_path


def by_hand(loss: SketchLoss, a, b, size: int = SIZE) -> float:
    images = [to_tensor(fit_square(open_picture(path), size))[None] for path in (a, b)]
    return loss(*images).item()


def refuse(command: str, capsys, *said: str) -> None:
    assert main(["compare", *command.split()]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    for words in said:
        assert words in err


# Library -------------------------------------------------------------------------------------------------------------


def test_folders_are_matched_by_name_without_suffix(folders):
    pairs, only_a, only_b = match_folders("ours", "theirs")
    assert [(pair.name, pair.a.name, pair.b.name) for pair in pairs] == [
        ("damaged", "damaged.png", "damaged.png"),
        ("deep/4.v2", "4.v2.png", "4.v2.bmp"),
        ("deep/three", "three.png", "three.png"),
        ("one", "one.png", "one.jpg"),
        ("two", "two.png", "two.webp"),
    ]
    assert (only_a, only_b) == (["alone"], ["lonely"])


@pytest.mark.parametrize("metric", ["l1", "l2", "cosine"])
def test_pairs_are_measured_as_one_by_one(metric, folders, loss):
    one_by_one = SketchLoss(loss.backbone, layers={"relu1_2": 1.0, "relu3_3": 3.0}, metric=metric)
    batched = SketchLoss(
        loss.backbone, layers={"relu1_2": 1.0, "relu3_3": 3.0}, metric=metric, reduction="sum", style_weight=1.0
    )
    pairs, _, _ = match_folders("ours", "theirs")
    distances, left_out = measure(batched, pairs, size=SIZE)
    assert [distance.pair for distance in distances] == pairs[1:]
    for distance in distances:
        assert distance.total == pytest.approx(by_hand(one_by_one, distance.pair.a, distance.pair.b), rel=1e-4)
        assert distance.total == pytest.approx((distance.per_tap["relu1_2"] + 3 * distance.per_tap["relu3_3"]) / 4)
    assert [left.pair for left in left_out] == pairs[:1]
    assert left_out[0].reason.startswith("theirs/damaged.png: damaged")
    assert batched.reduction == "sum"  # the caller's loss stays as it was


def test_more_pairs_than_a_batch_keep_their_order(folders, loss, monkeypatch):
    monkeypatch.setattr("sketchloss.compare.measuring.BATCH_PIXELS", (2 * SIZE**2, 2 * SIZE**2))
    pairs = match_folders("ours", "theirs")[0][1:] * 2
    distances, _ = measure(loss, pairs, size=SIZE)
    assert [distance.pair for distance in distances] == pairs
    again, _ = measure(loss, reversed(pairs), size=SIZE)
    assert [d.total for d in reversed(again)] == pytest.approx([d.total for d in distances], rel=1e-5)


def test_own_sizes_are_kept_and_unequal_ones_left_out(folders, loss):
    assert min(BATCH_PIXELS) >= 256**2
    pairs, _, _ = match_folders("ours", "theirs")
    distances, left_out = measure(loss, pairs, size=0)
    assert [distance.pair.name for distance in distances] == ["deep/4.v2", "two"]
    assert any(
        "three.png is 100x100" in line and "three.png is 50x50" in line for line in (left.reason for left in left_out)
    )
    two = pairs[4]
    assert distances[1].total == pytest.approx(by_hand(loss, two.a, two.b, SIZE), rel=1e-4)


def test_light_on_dark_is_measured_as_its_negative(tmp_path, loss):
    # Not square: the paper that is put around them must be the drawing's own.
    pictures = {"a": draw("left").crop((0, 0, 64, 40)), "b": draw("slope").crop((0, 0, 40, 64))}
    for name, picture in pictures.items():
        picture.save(tmp_path / f"{name}.png")
        ImageOps.invert(picture).save(tmp_path / f"{name}-dark.png")
    light = Pair("x", tmp_path / "a.png", tmp_path / "b.png")
    dark = Pair("x", tmp_path / "a-dark.png", tmp_path / "b-dark.png")
    (expected,), _ = measure(loss, [light], size=SIZE)
    (found,), _ = measure(loss, [dark], size=SIZE, invert=True)
    assert found.total == expected.total


def test_a_loss_for_another_range_is_refused(folders, loss):
    ranged = SketchLoss(loss.backbone, layers=loss.layers, value_range=(-1, 1))
    with pytest.raises(ValueError, match=r"value_range is \(-1.0, 1.0\): it must be \(0, 1\), that of pictures here"):
        measure(ranged, [], size=SIZE)


def test_a_distance_that_is_no_number_is_refused(folders):
    backbone = Backbone(width=1 / 16)
    with torch.no_grad():
        backbone.features[0].weight.fill_(math.nan)
    pairs = match_folders("ours", "theirs")[0]
    with pytest.raises(ValueError, match="is nan: are these weights"):
        measure(SketchLoss(backbone, check=False), pairs, size=SIZE)


def test_the_map_is_hot_where_the_one_changed_line_is(tmp_path):
    draw("left", "top").save(tmp_path / "a.png")
    draw("left", "top", "slope").save(tmp_path / "b.png")
    loss = SketchLoss("imagenet", check=False)
    pair = Pair("x", tmp_path / "a.png", tmp_path / "b.png")
    heat = loss.map(*(to_tensor(fit_square(open_picture(path), SIZE))[None] for path in (pair.a, pair.b)))[0, 0]
    row, column = divmod(int(heat.argmax()), SIZE)
    added = np.asarray(draw("slope")) == 0
    assert added[max(0, row - 3) : row + 4, max(0, column - 3) : column + 4].any()

    distances, _ = measure(loss, [pair], size=SIZE)
    (picture,) = picture_differences(loss, distances, size=SIZE, weights="imagenet")
    panels = np.asarray(picture)[44:492, 956 : 956 + 448].astype(int)
    ink_b = (np.abs(panels - INK_B).sum(-1) < 60).reshape(SIZE, 7, SIZE, 7).mean((1, 3)) > 0.5
    assert ink_b[~added].mean() < 0.02  # the added line is B's ink, and nothing else is
    assert ink_b[added].mean() > 0.5
    assert not (np.abs(panels - INK_A).sum(-1) < 60).any()


def test_pictures_drawn_together_share_a_scale(folders, loss):
    pairs = match_folders("ours", "theirs")[0]
    distances, _ = measure(loss, pairs, size=SIZE)
    together = picture_differences(loss, distances, size=SIZE)
    alone = [picture_differences(loss, [distance], size=SIZE)[0] for distance in distances]
    same = [one.tobytes() == other.tobytes() for one, other in zip(together, alone, strict=True)]
    assert same.count(True) == 1  # the one that holds the greatest difference


# Command -------------------------------------------------------------------------------------------------------------


def test_two_pictures_as_text_and_json_and_table(folders, weights, capsys):
    loss = SketchLoss(weights)
    expected = by_hand(loss, "ours/one.png", "ours/two.png")
    line = f"compare ours/one.png ours/two.png --weights {weights} --size {SIZE} --csv table.csv"
    assert main(line.split()) == 0
    out, err = capsys.readouterr()
    assert err == ""
    first = out.splitlines()[0].split()
    assert (first[0], float(first[1])) == ("distance", pytest.approx(expected, rel=1e-3))
    assert [row.split()[0] for row in out.splitlines()[1:]] == list(loss.layers)

    assert main([*line.split(), "--json", "--map", "map.png"]) == 0
    out, err = capsys.readouterr()
    found = json.loads(out)
    assert err == ""
    assert found["distance"] == pytest.approx(expected, rel=1e-5)
    assert found["distance"] == pytest.approx(statistics.fmean(found["per_tap"].values()))
    assert {name: found[name] for name in ("weights", "metric", "layers", "size", "map")} == {
        "weights": weights,
        "metric": "ink",
        "layers": list(loss.layers),
        "size": SIZE,
        "map": "map.png",
    }
    assert open_picture("map.png").width > 1000
    with Path("table.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert row["name"] == "one two"
    assert {name: float(row[name]) for name in loss.layers} == found["per_tap"]


def test_identical_pictures_are_at_distance_zero(folders, weights, capsys):
    assert main(f"compare ours/one.png ours/one.png --weights {weights} --json --map same.png".split()) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["distance"] == 0
    assert set(found["per_tap"].values()) == {0}


def test_two_folders_as_text(folders, weights, capsys):
    line = f"compare ours theirs --weights {weights} --size {SIZE} --worst 2 --csv table.csv --map maps"
    assert main(line.split()) == 0
    out, err = capsys.readouterr()
    assert err == ""
    pairs = match_folders("ours", "theirs")[0][1:]
    expected = {pair.name: by_hand(SketchLoss(weights), pair.a, pair.b) for pair in pairs}
    rows = [line.split() for line in out.splitlines()]
    assert rows[0][:2] == ["name", "distance"]
    assert {row[0]: float(row[1]) for row in rows[1:5]} == pytest.approx(expected, rel=1e-3)
    mean, deviation = statistics.fmean(expected.values()), statistics.stdev(expected.values())
    assert (float(rows[6][1]), float(rows[6][3])) == pytest.approx((mean, deviation), rel=1e-3)
    worst = sorted(expected, key=expected.__getitem__, reverse=True)[:2]
    assert out.splitlines()[8].startswith(f"farthest: {worst[0]} (")
    assert "1 only in ours: alone\n1 only in theirs: lonely\n" in out
    assert "1 left out:\n  theirs/damaged.png: damaged" in out
    assert sorted(
        path.relative_to(folders / "maps").with_suffix("").as_posix() for path in (folders / "maps").rglob("*.png")
    ) == sorted(worst)
    with Path("table.csv").open(newline="") as file:
        table = {row["name"]: float(row["distance"]) for row in csv.DictReader(file) if row["distance"]}
    assert table == pytest.approx(expected, rel=1e-4)


def test_two_folders_as_json(folders, weights, capsys):
    assert main(f"compare ours theirs --weights {weights} --size {SIZE} --json --worst 1 --invert".split()) == 0
    out, err = capsys.readouterr()
    found = json.loads(out)
    assert err == ""
    distances = {pair["name"]: pair["distance"] for pair in found["pairs"]}
    assert found["distance"] == pytest.approx(statistics.fmean(distances.values()))
    assert found["standard_deviation"] == pytest.approx(statistics.stdev(distances.values()))
    assert found["worst"] == [max(distances, key=distances.__getitem__)]
    assert (found["only_in_a"], found["only_in_b"], found["maps"]) == (["alone"], ["lonely"], [])
    assert found["invert"] is True
    assert len(found["left_out"]) == 1


def test_one_pair_has_no_deviation(folders, weights, capsys):
    assert main(f"compare ours/deep theirs/deep --weights {weights} --size 0 --json".split()) == 0
    out = capsys.readouterr().out
    assert json.loads(out)["standard_deviation"] is None
    assert "NaN" not in out


def test_the_library_refuses_as_the_command_does(folders):
    with pytest.raises(ValueError, match="ours is a folder"):
        compare(Compare(folders / "ours", folders / "ours/one.png"))
    with pytest.raises(ValueError, match="worst is -1"):
        Compare(folders, folders, worst=-1)
    assert PairDistance(Pair("x", folders, folders), 0.5, {}).total == 0.5


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("ours ours/one.png", ("ours is a folder and ours/one.png a file", "two pictures or two folders")),
        ("ours/one.png nowhere.png", ("nowhere.png does not exist",)),
        ("ours/deep theirs/one.jpg", ("ours/deep is a folder",)),
        ("ours/one.png theirs/damaged.png", ("theirs/damaged.png: damaged",)),
        ("ours/one.png theirs/one.jpg --size 0", ("one.png is 64x64", "one.jpg is 80x80", "--size")),
        ("ours/one.png theirs/one.jpg --size 4", ("size is 4", "at least 8")),
        ("ours/one.png theirs/one.jpg --size 100000", ("size is 100000", "8192 pixels at most")),
        ("ours/one.png theirs/one.jpg --layers relu9_9", ("layer 'relu9_9' is unknown", "relu1_1")),
        ("ours/one.png theirs/one.jpg --weights foto", ("weights 'foto' are unknown", "imagenet")),
        ("ours/one.png theirs/one.jpg --map nowhere/map.png", ("nowhere/map.png", "does not exist")),
        ("ours/one.png theirs/one.jpg --map map.txt", ("map.txt has no picture's suffix",)),
        ("ours/one.png theirs/one.jpg --map ours", ("ours is a folder", "ours/map.png")),
        ("ours/one.png theirs/one.jpg --map ours/one.png", ("ours/one.png is one of the drawings",)),
        ("ours/one.png theirs/one.jpg --csv theirs/one.jpg", ("theirs/one.jpg is one of the drawings",)),
        ("ours/one.png theirs/one.jpg --csv nowhere/table.csv", ("the folder nowhere does not exist",)),
        ("ours/one.png theirs/one.jpg --csv ours", ("ours is a folder",)),
        ("ours theirs --map ours/one.png", ("ours/one.png lies in ours", "write elsewhere")),
        ("ours theirs --map theirs", ("theirs is one of the drawings",)),
        ("ours ours/deep", ("no picture of ours has the name of one of ours/deep", "alone", "4.v2")),
        ("ours empty", ("empty holds no pictures",)),
        ("double theirs", ("double holds both one.jpg and one.png",)),
        ("broken broken", ("none of the 1 pairs could be compared", "broken/x.png: not a picture")),
    ],
)
def test_mistakes(line, said, folders, weights, capsys):
    for name in ("empty", "double", "broken"):
        (folders / name).mkdir()
    draw("left").save("double/one.png")
    draw("left").save("double/one.jpg")
    (folders / "broken/x.png").write_bytes(b"no picture")
    before = {path: path.stat().st_mtime_ns for path in folders.rglob("*") if path.is_file()}
    extra = "" if "--weights" in line else f" --weights {weights}"
    refuse(line + extra, capsys, *said)
    assert {path: path.stat().st_mtime_ns for path in folders.rglob("*") if path.is_file()} == before


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_a_mistake(folders, weights, capsys):
    refuse(f"ours theirs --weights {weights} --device cuda", capsys, "device is cuda", "--device cpu")


def test_nothing_is_written_among_the_compared_pictures(tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        doodle("cat", 1).sketch(32).save(tmp_path / folder / "cat.png")
    before = (tmp_path / "a" / "cat.png").read_bytes()
    for output in ({"csv": tmp_path / "a" / "cat.png"}, {"map": tmp_path / "b" / "maps"}):
        with pytest.raises(ValueError, match="whose pictures are compared: write elsewhere"):
            compare(Compare(tmp_path / "a", tmp_path / "b", weights="imagenet", **output))
    assert (tmp_path / "a" / "cat.png").read_bytes() == before


def test_names_that_are_written_otherwise_pair(tmp_path):
    for folder, name in (("one", "caf\u00e9.png"), ("two", "cafe\u0301.png")):
        (tmp_path / folder).mkdir()
        doodle("cat", 1).sketch(64).save(tmp_path / folder / name)
    pairs, ours, theirs = match_folders(tmp_path / "one", tmp_path / "two")
    assert ([pair.name for pair in pairs], ours, theirs) == (["caf\u00e9"], [], [])


def test_a_files_name_cannot_steer_the_terminal(folders, weights, capsys, tmp_path):
    name = "bad\x1b[31m\r\ndistance 0.png"
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        doodle("cat", 1).sketch(64).save(tmp_path / folder / name)
    (tmp_path / "a" / "worse\x1b[2J.png").write_bytes(b"")
    (tmp_path / "b" / "worse\x1b[2J.png").write_bytes(b"")
    assert main(["compare", str(tmp_path / "a"), str(tmp_path / "b"), "--weights", str(weights)]) == 0
    out, _ = capsys.readouterr()
    assert "bad\\x1b[31m" in out
    assert not set(out) & set("\x1b\r")
    assert not [line for line in out.splitlines() if line.startswith("distance 0 ")]
    assert main(["compare", str(tmp_path / "a" / name), str(tmp_path / "nowhere\x1b.png")]) == 2
    err = capsys.readouterr().err
    assert "nowhere\\x1b.png does not exist" in err
    assert "\x1b" not in err


def test_pages_and_drawings_without_pixels_are_compared(weights, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    half, third = "0 0 150 600 re f", "0 0 300 200 re f"
    Path("two.pdf").write_bytes(pdf([(300, 600, half), (300, 600, third)]))
    Path("half.svg").write_bytes(
        svg('<rect width="150" height="600"/>', 'width="600" height="1200" viewBox="0 0 300 600"')
    )
    run = ["compare", "--weights", weights, "--size", "32", "--json"]
    distances = []
    for a, b in (("two.pdf", "half.svg"), ("two.pdf#page=2", "half.svg"), ("two.pdf", "two.pdf#page=2")):
        assert main([*run, a, b]) == 0
        found = json.loads(capsys.readouterr().out)
        distances.append(found["distance"])
        assert len(found.get("passed_over", [])) == ("two.pdf" in (a, b))
    assert distances[0] == pytest.approx(0, abs=1e-3)
    assert distances[1] == pytest.approx(distances[2], abs=1e-3)
    assert distances[1] > 0.01
    assert main([*run, "two.pdf#page=3", "half.svg"]) == 2
    assert "two.pdf#page=3: it has 2 pages, and no page 3; name one that is there" in capsys.readouterr().err
    assert main([*run, "one.pdf#page=2", "half.svg"]) == 2
    assert "one.pdf#page=2 does not exist: check the path" in capsys.readouterr().err
    assert main([*run, "two.pdf", "half.svg", "--map", "map.svg"]) == 2
    assert "map.svg has no picture's suffix: name a picture for --map, such as map.png" in capsys.readouterr().err
