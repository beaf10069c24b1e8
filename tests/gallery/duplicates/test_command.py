"""Oracle: what `find_duplicates` returns, which `test_duplicates.py` tests; and the error rule."""

import json
import os
import shlex
from pathlib import Path

import pytest
import torch
from PIL import Image

from sketchloss import Backbone, save_backbone
from sketchloss.cli import main
from sketchloss.data.doodles.kinds import doodle
from sketchloss.gallery import Gallery
from sketchloss.gallery.duplicates import command as duplicates_command
from sketchloss.gallery.duplicates import find_duplicates
from sketchloss.system.images import open_picture

NEWLINE, STRAY = "a new\nliné.png", os.fsdecode(b"a stray \xe9.png")


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("weights")
    save_backbone(Backbone(width=0.1), folder)
    return folder


@pytest.fixture
def place(tmp_path, monkeypatch, weights) -> Path:
    """A cat with two exact copies, whose names are odd, and a bird; and a gallery of them."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "drawings").mkdir()
    for name in ("a cat.png", NEWLINE, STRAY):
        doodle("cat", 1).sketch(40).save(tmp_path / "drawings" / name)
    for age, name in enumerate((STRAY, NEWLINE, "a cat.png"), start=1):
        os.utime(tmp_path / "drawings" / name, (age, age))
    doodle("bird", 1).sketch(40).save(tmp_path / "drawings" / "bird.png")
    Gallery.build("gallery", ["drawings"], weights=weights, image_size=32)
    return tmp_path


def run(capfdbinary, line: str) -> tuple[bytes, bytes]:
    assert main(["gallery", "duplicates", *shlex.split(line)]) == 0
    return capfdbinary.readouterr()


def test_the_table_says_what_to_keep(place, capfdbinary):
    out, err = run(capfdbinary, "gallery --min-similarity 1")
    first, *copies, empty, total = out.decode().splitlines()
    size = (place / "drawings" / STRAY).stat().st_size
    assert first == f"keep      {place}/drawings/a stray \\xe9.png  40x40, {size:,} bytes"
    assert copies == [
        f"  exact   {place}/drawings/a new\\nliné.png  40x40, {size:,} bytes",
        f"  exact   {place}/drawings/a cat.png  40x40, {size:,} bytes",
    ]
    assert empty == ""
    assert total == "2 copies of 1 drawing among 4: 2 exact, 0 near; 0.00 MiB. No file was removed"
    assert err == b""


def test_no_copies_are_no_failure(place, capfdbinary):
    for name in (NEWLINE, STRAY):
        (place / "drawings" / name).unlink()
    out, err = run(capfdbinary, "gallery --min-similarity 1 --sheet sheet.png")
    assert out == b"no copies among 2 drawings\n"
    gone, sheet = err.decode().splitlines()
    assert gone.startswith("note: 2 drawings: gone since they were added, left out")
    assert gone.endswith("/drawings/a new\\nliné.png, " + f"{place}/drawings/a stray \\xe9.png")
    assert sheet == "note: no sheet is written to sheet.png, because there are no copies"
    assert not (place / "sheet.png").exists()


def test_json_has_groups_and_the_mapping(place, capfdbinary):
    out, _ = run(capfdbinary, "gallery --min-similarity 1 --json --keep oldest")
    values = json.loads(out)
    found = find_duplicates(Gallery.open("gallery"), min_similarity=1, keep="oldest")
    assert values["to_remove"] == [str(path) for path in found.to_remove()]
    assert values["duplicates"] == {path: [list(pair) for pair in some] for path, some in found.mapping().items()}
    (group,) = values["groups"]
    assert group["kept"]["path"] == str(place / "drawings" / STRAY)
    assert group["copies"][0] | {"modified": 2, "exact": True, "distance": 0, "width": 40} == group["copies"][0]
    assert (values["compared"], values["gone"], values["sheet"]) == (4, [], None)


def test_the_list_survives_odd_names(place, capfdbinary):
    out, _ = run(capfdbinary, "gallery --min-similarity 1 --list zero")
    assert out.split(b"\0") == [os.fsencode(place / "drawings" / name) for name in (NEWLINE, "a cat.png")] + [b""]
    assert main(shlex.split("gallery duplicates gallery --min-similarity 1 --list lines --sheet sheet.png")) == 2
    out, err = capfdbinary.readouterr()
    assert out == b""
    assert b"new\\nlin\xc3\xa9.png has a line break in its name: use --list zero" in err
    assert not (place / "sheet.png").exists()
    (place / "drawings" / NEWLINE).unlink()
    out, _ = run(capfdbinary, "gallery --min-similarity 1 --list lines")
    assert out == os.fsencode(place / "drawings" / "a cat.png") + b"\n"


def test_a_sheet_shows_each_group(place, capfdbinary, monkeypatch):
    run(capfdbinary, "gallery --min-similarity 1 --sheet sheet.png")
    sheet = open_picture("sheet.png")
    assert sheet.width > 3 * 112
    assert sheet.height > 112
    monkeypatch.setattr(duplicates_command, "MOST_ROWS", 1)
    for name in ("bird 2.png", "bird 3.png"):
        (place / "drawings" / name).write_bytes((place / "drawings" / "bird.png").read_bytes())
    Gallery.open("gallery").add(["drawings"])
    _, err = run(capfdbinary, "gallery --min-similarity 1 --sheet sheet.png")
    assert err == b"note: the sheet shows the first 1 of 2 groups\n"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("nowhere", ("nowhere does not exist", "sketchloss gallery build")),
        ("drawings", ("drawings is no gallery",)),
        ("empty", ("empty is no gallery",)),
        ("drawings/bird.png", ("bird.png is no gallery",)),
        ("gallery --max-distance 1.5", ("max_distance is 1.5", "[0, 1]")),
        ("gallery --max-distance nan", ("max_distance is nan",)),
        ("gallery --max-distance much", ("--max-distance",)),
        ("gallery --neighbours 0", ("neighbours is 0",)),
        ("gallery --min-similarity -2", ("min_similarity is -2",)),
        ("gallery --keep newest", ("--keep", "newest")),
        ("gallery --json --list zero", ("--json and --list are both given",)),
        ("gallery --sheet sheet.txt", ("sheet.txt has no suffix that --sheet can write",)),
        ("gallery --sheet no/sheet.png", ("the folder no does not exist",)),
        ("gallery --sheet empty", ("empty is a folder", "empty/sheet.png")),
        ("gallery --sheet drawings/bird.png", ("is a drawing of the gallery",)),
    ],
)
def test_mistakes(line, said, place, capfdbinary):
    (place / "empty").mkdir()
    before = sorted(place.rglob("*"))
    assert main(["gallery", "duplicates", *shlex.split(line)]) == 2
    out, err = capfdbinary.readouterr()
    assert out == b""
    assert err.count(b"\n") == 1
    for words in said:
        assert words in err.decode()
    assert sorted(place.rglob("*")) == before


def test_a_picture_that_changes_meanwhile_leaves_its_tile_empty(place, monkeypatch):
    (place / "drawings" / "bird.png").write_bytes(b"no picture")
    file = duplicates_command.DrawingFile(place / "drawings" / "bird.png", 1, 1, 1, 1.0)
    tile = duplicates_command._tile(file, "bird")
    assert tile.caption == "bird (file gone)"
    assert isinstance(tile.picture, Image.Image)
