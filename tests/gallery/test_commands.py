"""Oracle: the library's own answers, which `test_gallery.py` holds to brute force; and the error rule."""

import json
import os
import shlex
from dataclasses import asdict
from pathlib import Path

import pytest
import torch

from sketchloss import Backbone, save_backbone
from sketchloss.cli import main
from sketchloss.data.doodles.kinds import doodle
from sketchloss.figures.contact_sheet import draw_contact_sheet
from sketchloss.gallery import Gallery, search_command, small_pictures
from sketchloss.system.images import open_picture

NEWLINE, STRAY = "new\nliné.png", os.fsdecode(b"stray \xe9.png")


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("weights")
    save_backbone(Backbone(width=0.1), folder)
    return folder


@pytest.fixture
def place(tmp_path, monkeypatch, weights) -> Path:
    """A folder with drawings, odd names and a damaged file among them, and a gallery of them."""
    monkeypatch.chdir(tmp_path)
    for seed in range(6):
        path = tmp_path / "drawings" / ("it's a cat", "dog")[seed % 2] / f"{seed}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        doodle(("cat", "bird")[seed % 2], seed).sketch(40).save(path)
    for seed, name in enumerate((NEWLINE, STRAY), start=10):
        doodle("house", seed).sketch(40).save(tmp_path / "drawings" / name)
    (tmp_path / "drawings" / "bad.png").write_bytes(b"no picture")
    Gallery.build("gallery", ["drawings"], weights=weights, image_size=32)
    return tmp_path


def run(capsys, line: str) -> str:
    assert main(["gallery", *shlex.split(line)]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return out


def refuse(capsys, line: str, *said: str) -> None:
    assert main(["gallery", *shlex.split(line)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert err.startswith("sketchloss gallery ")
    for words in said:
        assert words in err


def test_search_prints_a_table(place, capsys):
    out = run(capsys, "search gallery drawings/dog/1.png 'drawings/new\nliné.png' -k 3")
    first, second = out.split("\n\n")
    assert first.startswith("query: drawings/dog/1.png\n  rank  similarity  label")
    assert second.startswith("query: drawings/new\\nliné.png\n")
    queries = [Path("drawings/dog/1.png"), Path("drawings", NEWLINE)]
    for text, matches in zip((first, second), Gallery.open("gallery").search(queries, k=3), strict=True):
        rows = text.splitlines()[2:]
        assert len(rows) == 3
        for rank, (row, match) in enumerate(zip(rows, matches, strict=True), start=1):
            number, similarity, rest = row.split(maxsplit=2)
            assert int(number) == rank
            assert float(similarity) == pytest.approx(match.similarity, abs=1e-4)
            assert rest.startswith(match.label or "-")
    assert second.splitlines()[2].endswith("drawings/new\\nliné.png")
    doodle("tree", 5).sketch(40).save(place / "tree.png")
    assert "  nothing as similar as 1\n" in run(capsys, "search gallery tree.png --min-similarity 1")


def test_search_prints_json_and_draws_a_sheet(place, capsys):
    line = "search gallery drawings --k 4 --min-similarity 0.2 --json --sheet sheet.png"
    (place / "drawings" / "bad.png").unlink()
    (place / "drawings" / "dog" / "3.png").rename(place / "elsewhere.png")
    out = run(capsys, line)
    assert out.isascii()  # whatever the terminal's encoding, it is JSON
    found = json.loads(out)
    assert found["exact"] is True
    assert found["sheet"] == "sheet.png"
    assert len(found["queries"]) == 7
    queries = [query["query"] for query in found["queries"]]
    answers = Gallery.open("gallery").search(queries, k=4, min_similarity=0.2)
    for query, matches in zip(found["queries"], answers, strict=True):
        expected = [{"rank": r, **asdict(m), "path": str(m.path), "copies": []} for r, m in enumerate(matches, start=1)]
        assert query["matches"] == expected
    names = {os.fsencode(Path(match["path"]).name) for query in found["queries"] for match in query["matches"]}
    assert {os.fsencode(NEWLINE), os.fsencode(STRAY)} <= names
    sheet = open_picture("sheet.png")
    assert sheet.height > 7 * 112
    assert sheet.width > 5 * 112


def test_a_sheet_overwrites_no_query_and_no_drawing(place, capsys):
    (place / "queries").mkdir()
    (place / "drawings" / "dog" / "1.png").rename(place / "queries" / "q1.png")
    (place / "link").symlink_to(place / "drawings")
    refuse(capsys, "search gallery queries/ --sheet queries/q1.png", "queries/q1.png is one of the queries")
    refuse(capsys, "search gallery queries --sheet link/dog/3.png", "link/dog/3.png is a drawing of the gallery")
    run(capsys, "search gallery queries --sheet queries/sheet.png")


def test_a_sheet_holds_its_pictures_small_and_is_refused_before_they_are_read(place, capsys, monkeypatch):
    held, read = [], []

    def draw(rows, **settings):
        held.extend(tile.picture.size for query, found in rows for tile in (query, *found))
        return draw_contact_sheet(rows, **settings)

    monkeypatch.setattr("sketchloss.gallery.search_command.draw_contact_sheet", draw)
    doodle("cat", 1).sketch(400).save(place / "large.png")
    run(capsys, "search gallery large.png --sheet sheet.png")
    assert len(held) == 9
    assert max(held) <= (112, 112)

    opener = small_pictures.open_to_show
    monkeypatch.setattr(small_pictures, "open_to_show", lambda path, **how: read.append(path) or opener(path, **how))
    shown = search_command.open_visible
    monkeypatch.setattr(search_command, "open_visible", lambda path, **how: read.append(path) or shown(path, **how))

    def read_query(gallery, picture, **how):
        if isinstance(picture, Path):
            read.append(picture)
        return opened(gallery, picture, **how)

    opened = Gallery.read
    monkeypatch.setattr(Gallery, "read", read_query)
    monkeypatch.setattr("PIL.Image.MAX_IMAGE_PIXELS", 400 * 400)
    refuse(capsys, "search gallery large.png --sheet sheet.png", "a sheet of 1 rows with 8 pictures", "draw fewer rows")
    assert read == [Path("large.png")]  # as a query


def test_a_bad_file_in_a_folder_of_queries_is_left_out_and_named(place, capsys):
    assert main(["gallery", "search", "gallery", "drawings", "--json"]) == 0
    out, err = capsys.readouterr()
    found = json.loads(out)
    assert len(found["queries"]) == 8
    assert "drawings/bad.png" not in {query["query"] for query in found["queries"]}
    assert len(found["unreadable"]) == 1
    assert found["unreadable"][0].startswith("drawings/bad.png: not a picture")
    assert err == f"1 of 9 queries left out:\n  {found['unreadable'][0]}\n"
    refuse(capsys, "search gallery drawings drawings/bad.png", "bad.png: not a picture")


def test_add_tells_of_labels_and_of_an_interrupted_build(place, weights, capsys):
    assert "6 had a label before and keep it\n" in run(capsys, "add gallery drawings --labels none")
    assert "keep it" not in run(capsys, "add gallery drawings")
    settings = json.loads((place / "gallery" / "gallery.json").read_text())
    (place / "gallery" / "gallery.json").write_text(json.dumps(settings | {"built": False}))
    out = run(capsys, "add gallery drawings")
    assert "building it was interrupted: run `sketchloss gallery build` again for the rest\n" in out
    assert json.loads(run(capsys, "add gallery drawings --json"))["built"] is False

    (place / "drawings" / "dog" / "copy.png").write_bytes((place / "drawings" / "dog" / "1.png").read_bytes())
    out = run(capsys, f"build flat drawings/dog --weights {weights} --image-size 32")
    assert "  4 added (1 is a copy of another), 0 there already; 3 embedded (" in out
    assert "no labels: the drawings lie directly in the given folders" in out


@pytest.mark.parametrize(("command", "name"), [("build", "FOLDERS"), ("add", "FOLDERS"), ("search", "[QUERIES]")])
def test_only_what_may_be_left_out_looks_optional(command, name, capsys):
    assert main(["gallery", command, "--help"]) == 0
    assert f" GALLERY {name}\n" in capsys.readouterr().out


def test_labels_with_quotes_are_searched(place, capsys):
    found = json.loads(run(capsys, 'search gallery drawings/dog/1.png --label "it\'s a cat" --json'))
    assert {match["label"] for match in found["queries"][0]["matches"]} == {"it's a cat"}
    assert len(found["queries"][0]["matches"]) == 3


def test_add_tells_what_it_did(place, capsys):
    (place / "drawings" / "dog" / "1.png").unlink()
    (place / "drawings" / "dog" / "3.png").rename(place / "drawings" / "dog" / "four.png")
    doodle("fish", 1).sketch(40).save(place / "drawings" / "fish.png")
    (place / "drawings" / "layers.psd").write_bytes(b"8BPS")
    out = run(capsys, "add gallery drawings")
    assert out.splitlines()[0] == f"9 drawings in {place}/gallery, searched exactly"
    assert out.splitlines()[1].startswith("  1 added, 6 there already; 1 embedded (")
    assert out.splitlines()[2] == "  1 moved, 0 changed, 0 with another label"
    gone = f"1 whose files are gone (--prune takes them out):\n  {place}/drawings/dog/1.png\n"
    assert gone in out
    assert f"1 left out:\n  {place}/drawings/bad.png: not a picture that can be read here" in out
    assert "layers.psd" in out.splitlines()[-1]

    found = json.loads(run(capsys, "add gallery drawings --prune --json"))
    assert (found["added"], found["unchanged"], found["pruned"], found["rows"]) == (0, 8, 1, 8)
    assert found["missing"] == [f"{place}/drawings/dog/1.png"]
    assert len(found["unreadable"]) == 1


def test_build_makes_a_gallery(place, weights, capsys):
    out = run(capsys, f"build deep/new drawings/dog drawings --weights {weights} --image-size 32 --labels none")
    assert out.startswith(f"8 drawings in {place}/deep/new, searched exactly\n  8 added, 0 there already; 8 embedded (")
    assert Gallery.open("deep/new").info().labels == {None: 8}
    found = json.loads(run(capsys, f"build other drawings --weights {weights} --image-size 32 --json"))
    assert (found["added"], found["exact"], found["gallery"]) == (8, True, f"{place}/other")


def test_remove_says_what_it_took_out(place, capsys):
    out = run(capsys, "remove gallery 'drawings/new\nliné.png' --label dog")
    assert "drawings/new\\nliné.png\n" in out
    assert out.endswith("4 taken out, 4 drawings left\n")
    found = json.loads(run(capsys, "remove gallery drawings --json"))
    assert (len(found["removed"]), found["rows"]) == (4, 0)
    refuse(capsys, "search gallery drawings/dog/1.png", "is empty: add drawings first")


def test_info_says_what_is_there(place, weights, capsys):
    (place / "drawings" / "dog" / "1.png").unlink()
    out = run(capsys, "info gallery")
    lines = {line.split(maxsplit=1)[0]: line.split(maxsplit=1)[-1] for line in out.splitlines()}
    assert lines["drawings"] == "8"
    assert lines["labels"] == "2: dog (3), it's a cat (3); 2 drawings have none"
    assert lines["search"] == "compares all drawings (an index from 50,000 on)"
    assert lines["weights"].startswith(f"{weights} (fingerprint ")
    assert lines["embedding"] == "51 numbers from relu5_3 at 32 pixels"
    assert out.endswith(f"files gone  1\n  {place}/drawings/dog/1.png\n")
    found = json.loads(run(capsys, "info gallery --json"))
    assert (found["rows"], found["exact"], found["missing"]) == (8, True, [f"{place}/drawings/dog/1.png"])
    assert {"label": None, "rows": 2} in found["labels"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("build gallery drawings", ("gallery is a gallery of 8 drawings already", "`sketchloss gallery add`")),
        ("build new nowhere", ("nowhere does not exist", "check the path")),
        ("build new", ("no folder is given",)),
        ("build new empty", ("empty holds no pictures",)),
        ("build new drawings --weights foto", ("weights 'foto' are unknown",)),
        ("build new drawings --image-size 4", ("image_size is 4", "at least 16")),
        ("build new drawings --image-size 50000", ("image_size is 50000", "2048 pixels at most")),
        ("build drawings drawings", ("drawings is there and is no empty folder",)),
        ("add nowhere drawings", ("nowhere does not exist", "sketchloss gallery build")),
        ("add drawings drawings", ("drawings is no gallery", "sketchloss gallery build")),
        ("add gallery drawings --weights imagenet", ("made with the weights", "these are imagenet")),
        ("add gallery drawings --prunee", ("unknown option --prunee", "did you mean --prune?")),
        ("remove gallery", ("nothing is named",)),
        ("remove gallery drawings/nowhere.png", ("nowhere.png is not in the gallery",)),
        ("search gallery", ("no query is given",)),
        ("search gallery empty", ("empty holds no pictures",)),
        ("search gallery nowhere.png", ("nowhere.png: no such file",)),
        ("search gallery drawings/bad.png", ("bad.png: not a picture",)),
        ("search gallery drawings/dog/1.png -k 0", ("k is 0", "at least 1")),
        ("search gallery drawings/dog/1.png --min-similarity 2", ("min_similarity is 2", "[-1, 1]")),
        ("search gallery drawings/dog/1.png --label dgo", ("'dgo'", "did you mean 'dog'?")),
        ("search gallery drawings/dog/1.png --weights imagenet", ("made with the weights", "these are imagenet")),
        ("search gallery drawings/dog/1.png --sheet sheet.txt", ("sheet.txt has no suffix that --sheet can write",)),
        ("search gallery drawings/dog/1.png --sheet no/sheet.png", ("the folder no does not exist",)),
        ("search gallery drawings/dog/1.png --sheet empty", ("empty is a folder", "empty/sheet.png")),
        ("search gallery drawings/dog/1.png --sheet drawings/dog/1.png", ("is one of the queries",)),
        ("search gallery drawings/dog/1.png --sheet drawings/dog/3.png", ("is a drawing of the gallery",)),
        ("info drawings", ("drawings is no gallery",)),
    ],
)
def test_mistakes(line, said, place, capsys):
    (place / "empty").mkdir()
    before = sorted(place.rglob("*"))
    refuse(capsys, line, *said)
    after = [path for path in sorted(place.rglob("*")) if path.name != "writing.lock"]
    assert after == [path for path in before if path.name != "writing.lock"]
