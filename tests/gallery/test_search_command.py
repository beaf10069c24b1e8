"""Oracle: the library's own answers, which `test_searching.py` holds to brute force; and the error rule."""

import csv
import html
import json
import os
import re
import shlex
import shutil
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image

from child_process import finished
from sketchloss import Backbone, save_backbone
from sketchloss.cli import main
from sketchloss.data.doodles.kinds import doodle
from sketchloss.gallery import Gallery, copying, result_page
from sketchloss.gallery.copying import safe_name
from sketchloss.gallery.paths import as_text
from sketchloss.system.files import open_input

ODD = "<img src=x onerror=alert(1)>&\n\x1b[31m.png"


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    """A gallery of 9 drawings in folders of two levels, one of them a copy, one with an odd name."""
    place = tmp_path_factory.mktemp("search")
    torch.manual_seed(0)
    save_backbone(Backbone(width=0.1), place / "weights")
    for seed in range(7):
        path = place / "drawings" / ("birds/owl", "birds/hen", "fish")[seed % 3] / f"{seed}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        doodle(("bird", "bird", "fish")[seed % 3], seed).sketch(40).save(path)
    shutil.copy(place / "drawings" / "fish" / "2.png", place / "drawings" / "fish" / "copy.png")
    doodle("house", 9).sketch(40).save(place / "drawings" / "fish" / ODD)
    Gallery.build(place / "gallery", [place / "drawings"], weights=place / "weights", image_size=32)
    return place


@pytest.fixture
def place(built, monkeypatch, tmp_path) -> Path:
    """An empty folder to write into, from which the gallery is named."""
    (tmp_path / "gallery").symlink_to(built / "gallery")
    (tmp_path / "drawings").symlink_to(built / "drawings")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(capsys, line: str) -> str:
    assert main(["gallery", *shlex.split(line)]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return out


def test_a_drawing_of_the_gallery_is_searched_with_by_its_path(place, built, capsys):
    found = json.loads(run(capsys, "search gallery --like drawings/fish/2.png drawings/birds/owl/0.png -k 3 --json"))
    answers = Gallery.open("gallery").search_like(
        [built / "drawings/fish/2.png", built / "drawings/birds/owl/0.png"], 3
    )
    for query, matches in zip(found["queries"], answers, strict=True):
        assert [match["path"] for match in query["matches"]] == [str(match.path) for match in matches]
    assert found["queries"][0]["matches"][0]["path"].endswith("fish/copy.png")
    out = run(capsys, "search gallery --like drawings/birds/owl/3.png --label fish -k 9")
    assert len(re.findall(r"^ +copy  /.*copy\.png$", out, re.MULTILINE)) == 1
    assert out.count("copy.png") == 1


def test_folders_below_a_label_are_searched_and_taken_out(place, built, capsys):
    found = json.loads(run(capsys, "search gallery --all --label birds/owl --json"))
    paths = {match["path"] for query in found["queries"] for match in query["matches"]}
    assert paths == {str(path) for path in (built / "drawings/birds/owl").iterdir()}
    assert {match["label"] for query in found["queries"] for match in query["matches"]} == {"birds"}
    shutil.copytree(built / "gallery", place / "own")
    assert run(capsys, "remove own --label birds/owl").endswith("3 taken out, 6 drawings left\n")
    assert Gallery.open("own").info().labels == {"fish": 4, "birds": 2}


def test_all_by_all_is_written_as_csv(place, capsys):
    run(capsys, "search gallery --all --k 2 --csv all.csv")
    with Path("all.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    answers = Gallery.open("gallery").search_all(2)
    assert len(rows) == sum(len(matches) for _, matches in answers) == 18
    for row, (match, rank) in zip(rows, ((m, r) for _, ms in answers for r, m in enumerate(ms, 1)), strict=True):
        assert (int(row["rank"]), float(row["similarity"])) == (rank, match.similarity)
        assert row["label"] == match.label
        assert row["path"] == as_text(match.path)
        assert row["copies"] == ";".join(map(as_text, match.copies))
    assert "\x1b" not in Path("all.csv").read_text(encoding="utf-8")


def test_the_page_holds_everything_and_no_name_is_markup(place, capsys):
    run(capsys, "search gallery --all -k 3 --copies --html found.html")
    page = Path("found.html").read_text(encoding="utf-8")
    assert page.count('src="data:image/png;base64,') == 9 * 4
    assert re.findall(r'(?:src|href)="(?!data:|#)', page) == []
    assert "<img src=x" not in page
    assert "\x1b" not in page
    assert html.escape("<img src=x onerror=alert(1)>&\\n\\x1b[31m.png", quote=False) in page
    for _, matches in Gallery.open("gallery").search_all(3, copies=True):
        for match in matches:
            assert f"{match.similarity:.3f}" in page


def test_the_page_and_the_sheet_show_what_is_left_of_files_that_are_gone(place, capsys):
    shutil.copytree("drawings", "mine")
    gallery = Gallery.open("gallery")
    Gallery.build("new", ["mine"], weights=gallery.settings.weights, image_size=32)
    shutil.rmtree("mine")
    out = run(capsys, "search new --like mine/fish/2.png -k 3 --html found.html --sheet found.png --label birds")
    assert "html: found.html" in out
    assert Path("found.html").read_text(encoding="utf-8").count("The file is gone.") == 3
    assert main(shlex.split("gallery search new --like mine/fish/2.png -k 3 --label birds --copy-to copied")) == 0
    out, err = capsys.readouterr()
    assert out.endswith("copied: 0 files to copied\n")
    assert err.startswith("3 not copied:\n  ")
    assert err.count("no such file or directory") == 3


def test_what_was_found_is_copied_with_its_rank_and_never_over_a_file(place, built, capsys):
    run(capsys, "search gallery --like drawings/fish/5.png -k 9 --copy-to found")
    (matches,) = Gallery.open("gallery").search_like(built / "drawings/fish/5.png", 9)
    copied = sorted(Path("found").iterdir())
    assert len(copied) == len(matches) == 7
    for rank, (file, match) in enumerate(zip(copied, matches, strict=True), start=1):
        assert file.name.startswith(f"{rank:02}-")
        assert file.name.isprintable()
        assert file.read_bytes() == match.path.read_bytes()
    (Path("found") / copied[0].name).unlink()
    (Path("found") / copied[3].name).write_text("mine")
    before = {file: file.read_bytes() for file in Path("found").iterdir()}
    assert main(shlex.split("gallery search gallery --like drawings/fish/5.png -k 9 --copy-to found")) == 2
    assert "is there already, and nothing is overwritten" in capsys.readouterr().err
    assert {file: file.read_bytes() for file in Path("found").iterdir()} == before
    Path("in-the-way").mkdir()
    Path("in-the-way/2-3").write_text("mine")
    assert main(shlex.split("gallery search gallery drawings/birds/owl -k 1 --copy-to in-the-way")) == 2
    assert "is there already, and nothing is overwritten" in capsys.readouterr().err
    assert [path.name for path in Path("in-the-way").iterdir()] == ["2-3"]
    run(capsys, "search gallery drawings/birds/owl -k 1 --copy-to several")
    assert sorted(str(path.relative_to("several")) for path in Path("several").rglob("*.png")) == [
        "1-0/01-0.png",
        "2-3/01-3.png",
        "3-6/01-6.png",
    ]


def test_a_file_that_another_process_copies_meanwhile_is_not_overwritten(place, built, capsys, monkeypatch):
    def open_late(path, **how):
        Path("found").mkdir(exist_ok=True)
        count.append(path)
        if len(count) == 2:
            for file in planned[1:]:
                (Path("found") / file).write_text("theirs")
        return open_input(path, **how)

    run(capsys, "search gallery --like drawings/fish/5.png -k 3 --copy-to before")
    planned, count = sorted(file.name for file in Path("before").iterdir()), []
    monkeypatch.setattr(copying, "open_input", open_late)
    assert main(shlex.split("gallery search gallery --like drawings/fish/5.png -k 3 --copy-to found")) == 2
    assert f"found/{planned[1]} is there already, and nothing is overwritten" in capsys.readouterr().err
    assert [(Path("found") / file).read_bytes() == b"theirs" for file in planned] == [False, True, True]
    assert sorted(file.name for file in Path("found").iterdir()) == planned


def test_names_are_cut_where_a_file_system_would_refuse_them():
    assert safe_name("01", "a.png") == "01-a.png"
    assert safe_name("01", "a\nb.png") == "01-a\\nb.png"
    long = safe_name("001", "é" * 127 + ".png")
    assert len(os.fsencode(long)) < 230
    assert long.startswith("001-é")
    assert long.endswith("é.png")


def test_a_page_of_too_many_pictures_is_refused(place, capsys, monkeypatch):
    monkeypatch.setattr(result_page, "MOST", 20)
    assert main(shlex.split("gallery search gallery --all -k 5 --html found.html")) == 2
    assert "a page of 54 pictures is too large, 20 at most" in capsys.readouterr().err
    assert not Path("found.html").exists()


def test_a_query_with_light_ink_is_shown_as_it_was_found(place, capsys):
    ink = doodle("cat", 1).sketch(40).convert("L").point(lambda grey: 255 - grey)
    light = Image.new("RGBA", ink.size, "white")
    light.putalpha(ink)
    Path("light").mkdir()
    light.save("light/cat.png")
    Gallery.build(
        "cleaning", ["light"], weights=Path("gallery").resolve().parent / "weights", image_size=32, clean=True
    )
    run(capsys, "search cleaning light/cat.png --sheet cleaned.png --html cleaned.html")
    Gallery.build(
        "inverting", ["light"], weights=Path("gallery").resolve().parent / "weights", image_size=32, invert=True
    )
    run(capsys, "search inverting light/cat.png --sheet known.png")
    run(capsys, "search inverting light/cat.png --invert --sheet inverted.png")
    for name in ("cleaned.png", "known.png", "inverted.png"):
        sheet = Image.open(name).convert("L")
        query, match = sheet.crop((18, 30, 126, 160)), sheet.crop((160, 30, 268, 160))
        assert query.getextrema() == match.getextrema(), name


def test_a_query_from_a_pipe_is_in_the_sheet_as_a_grey_square(place, built):
    line = f"gallery search gallery <(cat {built}/drawings/fish/2.png) -k 2 --sheet found.png --html found.html"
    done = finished(["bash", "-c", f"{shlex.quote(sys.executable)} -m sketchloss {line}"], check=True, seconds=300)
    assert done.stderr == ""
    assert Path("found.png").is_file()
    assert Path("found.html").read_text(encoding="utf-8").count("data:image/png") == 3


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("", ("no query is given", "--like or --all")),
        ("drawings --all", ("QUERIES and --all are given",)),
        ("--like drawings/fish/2.png --all", ("--like and --all are given",)),
        ("--like drawings/fish/2.png --invert", ("--invert is for QUERIES",)),
        ("--like drawings/fish/22.png", ("drawings/fish/22.png is not in the gallery", "did you mean", "fish/2.png?")),
        ("--like drawings/fish", ("drawings/fish is not in the gallery",)),
        ("--all -k 0", ("k is 0",)),
        ("--all --min-similarity 1.5", ("min_similarity is 1.5", "[-1, 1]")),
        ("--all --min-similarity nan", ("min_similarity is nan",)),
        ("--all --label birds/owx", ("lies in 'birds/owx'", "did you mean 'birds/owl'?")),
        ("--all --csv /dev/null", ("/dev/null is no regular file",)),
        ("--all --html found.png", ("found.png has no suffix that --html can write",)),
        ("--all --html drawings", ("drawings is a folder", "drawings/html.html")),
        ("--all --html no/found.html", ("the folder no does not exist",)),
        ("--all --html gallery/found.html", ("lies in the gallery",)),
        ("--all --sheet gallery/found.png", ("lies in the gallery",)),
        ("--all --csv drawings/fish/2.png", ("is a drawing of the gallery",)),
        ("--all --csv new.png", ("new.png has the suffix of a picture", "such as found.csv")),
        ("--all --csv new.PDF", ("new.PDF has the suffix of a picture",)),
        ("--all --csv pipe", ("pipe is no regular file", "such as found.csv")),
        ("new.png --sheet new.png", ("new.png is one of the queries",)),
        ("two.tif#page=2 --sheet two.tif", ("two.tif is one of the queries",)),
        ("--all --html circle/a.html --sheet circle/a.png", ("the folder circle does not exist",)),
        ("--all --html a.html --csv ./a.html", ("a.html is named for both --html and --csv",)),
        ("--all --csv found --copy-to found", ("found is named for both --csv and --copy-to",)),
        ("--all --copy-to new.png", ("new.png is a file: name a folder for --copy-to",)),
        ("--all --copy-to gallery", ("lies in the gallery",)),
        ("--all --copy-to gallery/found", ("lies in the gallery",)),
        ("--all --copy-to drawings", ("drawings holds drawings of the gallery", "name a new folder")),
        ("--all --copy-to drawings/..", ("holds drawings of the gallery",)),
    ],
)
def test_mistakes(line, said, place, built, capsys):
    cats = [doodle("cat", seed).sketch(40) for seed in (1, 2)]
    cats[0].save("new.png")
    cats[0].save("two.tif", save_all=True, append_images=cats[1:])
    os.mkfifo("pipe")
    Path("circle").symlink_to("circle")
    before = sorted([*place.rglob("*"), *built.rglob("*")])
    assert main(["gallery", "search", "gallery", *shlex.split(line)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    for words in said:
        assert words in err
    assert sorted([*place.rglob("*"), *built.rglob("*")]) == before
