"""What of a folder is not read, and that each command says so. Oracle: the files that were put there by hand."""

import json
import os
import zipfile
from pathlib import Path

import pytest
from PIL import Image

from sketchloss.app.uploads import BadArchive, not_unpacked, unpack_drawings
from sketchloss.cli import main
from sketchloss.data.captions.captioned import open_captioned
from sketchloss.data.doodles.kinds import doodle
from sketchloss.data.pairs import open_pairs
from sketchloss.data.photos import open_photos
from sketchloss.data.sources import open_sketches
from sketchloss.system.passed_over import DRAWINGS, NAMED, PAGED, no_pictures, other_kinds, passed_over
from sketchloss.system.picture_files import find_pictures, picture_suffixes, plain_suffixes

KINDS = "3 files of kinds that cannot be read: a.ai, b.ARW, c.psd; save them as PNG"
PAGES = (
    "2 files have more pages or frames: moving.gif, scan.tif; the first of each was read; "
    "name another one as moving.gif#page=2, or save it as PNG"
)


def drawings(folder: Path, count: int = 4) -> Path:
    """A folder with two classes of drawings."""
    for kind in ("cat", "fish"):
        (folder / kind).mkdir(parents=True)
        for number in range(count):
            doodle(kind, number).sketch(64).save(folder / kind / f"{number}.png")
    return folder


def add_what_is_not_read(folder: Path) -> None:
    """Three pictures of other kinds, two with more pages and two with one."""
    for name in ("a.ai", "b.ARW", "c.psd"):
        (folder / "cat" / name).write_bytes(b"of a program")
    for name in ("._d.ai", "notes.txt", "Makefile"):
        (folder / "cat" / name).write_bytes(b"x")
    first, second = (doodle("cat", number).sketch(64) for number in (8, 9))
    first.save(folder / "cat" / "scan.tif", save_all=True, append_images=[second])
    first.save(folder / "cat" / "moving.gif", save_all=True, append_images=[second])
    first.save(folder / "cat" / "page.tif")
    first.save(folder / "cat" / "still.gif")


@pytest.fixture
def mixed(tmp_path) -> Path:
    add_what_is_not_read(drawings(tmp_path / "mixed"))
    return tmp_path / "mixed"


def test_other_kinds_and_later_pages_are_counted_and_named(mixed):
    found = find_pictures(mixed)
    assert passed_over(mixed, found) == [f"{mixed}: {KINDS}", PAGES]
    (mixed / "fish" / "d.xcf").write_bytes(b"gimp")
    assert other_kinds(mixed)[0].endswith("4 files of kinds that cannot be read: a.ai, b.ARW, c.psd and 1 more; "
                                          "save them as PNG")  # fmt: skip
    assert other_kinds(mixed / "fish") == [
        f"{mixed / 'fish'}: 1 file of a kind that cannot be read: d.xcf; save it as PNG"
    ]
    assert passed_over(mixed / "fish", [mixed / "fish" / "0.png"])[1:] == []


def test_every_kind_is_read_or_named(tmp_path):
    picture = Image.new("RGB", (8, 8))
    for suffix in DRAWINGS | picture_suffixes():
        (tmp_path / f"x{suffix}").write_bytes(b"")
    (line,) = other_kinds(tmp_path)
    assert f"{len(DRAWINGS - picture_suffixes())} files" in line
    assert len(find_pictures(tmp_path)) == len(picture_suffixes())
    assert f"and {len(DRAWINGS - picture_suffixes()) - NAMED} more" in line
    for suffix in PAGED & plain_suffixes():
        several = tmp_path / f"several{suffix}"
        more = [Image.new("RGB", (8, 8), color) for color in ("red", "blue")]
        kind = {"format": "PNG"} if suffix == ".apng" else {}
        picture.save(several, save_all=True, append_images=more, **kind)
        assert len(passed_over(tmp_path, [several])) == 2, suffix
    cut = tmp_path / "cut.gif"
    cut.write_bytes((tmp_path / "several.gif").read_bytes()[:40])
    assert len(passed_over(tmp_path, [cut, tmp_path / "gone.tif"])) == 1, "reading these says what is wrong"


def test_names_stay_in_one_line_of_text(tmp_path):
    (tmp_path / os.fsdecode(b"a\n\xff.ai")).write_bytes(b"")
    assert other_kinds(tmp_path)[0].endswith(r": a \udcff.ai; save it as PNG")


def test_sources_name_what_they_pass_over_and_strict_refuses_it(mixed, tmp_path):
    expected = [f"{mixed}: {KINDS}", PAGES]
    assert open_sketches(mixed, 32).passed_over == expected
    assert open_sketches(mixed, 32).unreadable == []
    assert open_photos(mixed, 32).passed_over == expected
    assert open_captioned(mixed, 32).passed_over == expected
    for opener in (open_sketches, open_photos, open_captioned):
        with pytest.raises(ValueError, match=r"files of kinds that cannot be read: a\.ai") as refused:
            opener(mixed, 32, strict=True)
        assert "\n" not in str(refused.value)
    more = drawings(tmp_path / "more")
    assert open_sketches(f"{more},{mixed}", 32).passed_over == expected
    assert open_sketches(more, 32, strict=True).passed_over == []
    (mixed / "cat" / "metadata.jsonl").write_text('{"file_name": "0.png", "text": "a cat"}\n')
    assert open_captioned(mixed / "cat", 32).passed_over == [f"{mixed / 'cat'}: {KINDS}", PAGES]


def test_pairs_name_what_they_pass_over(tmp_path):
    for side in ("photos", "sketches"):
        (tmp_path / "train" / side).mkdir(parents=True)
        doodle("cat", 0).sketch(64).save(tmp_path / "train" / side / "0.png")
        (tmp_path / "train" / side / "1.arw").write_bytes(b"of a phone")
    problems = open_pairs(f"cufs:{tmp_path}").problems
    assert [problem.partition("train/")[2] for problem in problems] == [
        f"{side}: 1 file of a kind that cannot be read: 1.arw; save it as PNG" for side in ("photos", "sketches")
    ]


def test_a_folder_with_nothing_else_says_what_is_in_it(tmp_path, capsys):
    (tmp_path / "phone" / "cat").mkdir(parents=True)
    (tmp_path / "phone" / "cat" / "1.arw").write_bytes(b"of a phone")
    said = "1 file of a kind that cannot be read: 1.arw; save it as PNG"
    assert no_pictures(tmp_path / "phone").endswith(said)
    phone = str(tmp_path / "phone")
    for opener in (open_sketches, open_photos):
        with pytest.raises(ValueError, match=r"1\.arw; save it as PNG"):
            opener(phone, 32)
    for command in (
        ["gallery", "build", str(tmp_path / "gallery"), phone],
        ["compare", phone, phone],
        ["style", "apply", "pencil", phone, "--out", str(tmp_path / "out")],
    ):
        assert main(command) == 2
        assert said in capsys.readouterr().err
    with zipfile.ZipFile(tmp_path / "phone.zip", "w") as archive:
        archive.writestr("cat/1.arw", b"of a phone")
    with pytest.raises(BadArchive, match=r"1\.arw; save it as PNG"):
        unpack_drawings(tmp_path / "phone.zip", tmp_path / "unpacked")


def test_an_archive_names_what_is_not_unpacked(tmp_path):
    doodle("cat", 0).sketch(64).save(tmp_path / "0.png")
    with zipfile.ZipFile(tmp_path / "mixed.zip", "w") as archive:
        archive.write(tmp_path / "0.png", "cat/0.png")
        archive.writestr("cat/1.arw", b"of a phone")
        archive.writestr("__MACOSX/cat/._2.arw", b"x")
        archive.writestr("cat/notes.txt", b"x")
    assert unpack_drawings(tmp_path / "mixed.zip", tmp_path / "unpacked") == ["cat/0.png"]
    assert not_unpacked(tmp_path / "mixed.zip") == [
        "the zip archive: 1 file of a kind that cannot be read: 1.arw; save it as PNG"
    ]


def test_galleries_say_it(mixed, tmp_path, capsys):
    gallery = str(tmp_path / "gallery")
    assert main(["gallery", "build", gallery, str(mixed), "--image-size", "32"]) == 0
    assert capsys.readouterr().out.endswith(f"\n{mixed}: {KINDS}\n{PAGES}\n")
    assert main(["gallery", "add", gallery, str(mixed), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["passed_over"] == [f"{mixed}: {KINDS}", PAGES]
    assert main(["gallery", "search", gallery, str(mixed), "-k", "1", "--json"]) == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["passed_over"] == [f"{mixed}: {KINDS}", PAGES]
    assert said.err == f"note: {mixed}: {KINDS}\nnote: {PAGES}\n"


def test_comparing_says_it(mixed, tmp_path, capsys):
    clean = drawings(tmp_path / "clean")
    doodle("cat", 8).sketch(64).save(clean / "cat" / "scan.png")
    assert main(["compare", str(mixed), str(clean), "--size", "32"]) == 0
    page = (
        "1 file has more pages or frames: scan.tif; its first was read; name another one as scan.tif#page=2, or save "
        "it as PNG"
    )
    assert capsys.readouterr().out.endswith(f"\n{mixed}: {KINDS}\n{page}\n")
    assert main(["compare", str(mixed), str(clean), "--size", "32", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["passed_over"] == [f"{mixed}: {KINDS}", page]
    two = [str(mixed / "cat" / name) for name in ("scan.tif", "still.gif")]
    assert main(["compare", *two, "--size", "32"]) == 0
    assert capsys.readouterr().out.endswith(f"\n{page}\n")
    assert main(["compare", *two, "--size", "32", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["passed_over"] == [page]


def test_stylizing_says_it(mixed, tmp_path, capsys):
    assert main(["style", "apply", "pencil", str(mixed), "--out", str(tmp_path / "out")]) == 0
    assert capsys.readouterr().err == f"note: {mixed}: {KINDS}\nnote: {PAGES}\n"


def test_a_recipe_says_it_and_names_damaged_lines(mixed, tmp_path, capsys):
    (mixed / "fish" / "bad.png").write_bytes(b"bad")
    assert main(["neighbours", "--data", str(mixed), "--weights", "imagenet", "--image-size", "32"]) == 0
    said = capsys.readouterr().out
    assert said.startswith(f"skipped {mixed}/fish/bad.png: not a picture that can be read here")
    assert f"\nnot read: {mixed}: {KINDS}\nnot read: {PAGES}\n" in said
    strokes = tmp_path / "strokes"
    strokes.mkdir()
    for word in ("cat", "fish"):
        line = json.dumps({"word": word, "drawing": [[[0, 255], [0, 255]]]}) + "\n"
        (strokes / f"{word}.ndjson").write_text(6 * line)
    (strokes / "cat.ndjson").write_text((strokes / "cat.ndjson").read_text() + 7 * "{\n")
    doodle("cat", 0).sketch(64).save(strokes / "cat.png")
    settings = ["--weights", "imagenet", "--image-size", "32", "--json", str(tmp_path / "numbers.json")]
    assert main(["neighbours", "--data", str(strokes), *settings]) == 0
    said = capsys.readouterr().out
    assert said.count("\nskipped ") + said.startswith("skipped ") == 6
    assert f"skipped 7 of {strokes} in all\n" in said
    assert f"not read: {strokes}: 1 picture beside .ndjson files; put it into another folder\n" in said
    assert json.loads((tmp_path / "numbers.json").read_text())[0]["unreadable"] == 7
