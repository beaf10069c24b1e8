"""Kinds that libraries of an extra read. Oracle: files of each kind, and the same with the libraries hidden."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from child_process import finished
from foreign_files import heic, pdf, svg
from sketchloss import doctor
from sketchloss.cli import main
from sketchloss.system.images import UnreadablePicture, open_picture, probe_picture
from sketchloss.system.optional_readers import HEAD_BYTES, READERS, optional_suffixes, reader_of
from sketchloss.system.passed_over import DRAWINGS, no_pictures, other_kinds, say_other_kinds
from sketchloss.system.picture_files import find_pictures, picture_suffixes, plain_suffixes, readable_kinds

LIBRARIES = [reader.library for reader in READERS]
INSTALL = "pip install 'sketchloss[readers]'"


@pytest.fixture
def without_libraries(monkeypatch) -> Iterator[None]:
    """As where the extra is not installed."""
    for library in LIBRARIES:
        monkeypatch.setitem(sys.modules, library, None)
    optional_suffixes.cache_clear()
    yield
    optional_suffixes.cache_clear()


def one_of_each(folder: Path) -> Path:
    """A folder with a file of each kind, written without the libraries, and a PNG."""
    folder.mkdir()
    (folder / "a.svg").write_bytes(svg())
    (folder / "b.PDF").write_bytes(pdf([(100, 100, "0 0 50 100 re f")]))
    (folder / "c.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    Image.new("L", (8, 8), 99).save(folder / "d.png")
    return folder


def test_a_file_is_recognised_by_its_content():
    kinds = {"SVG": svg(), "PDF": pdf([]), "HEIF": heic(Image.new("RGB", (64, 64)))}
    for kind, data in kinds.items():
        reader = reader_of(data[:HEAD_BYTES])
        assert reader is not None
        assert reader.kind == kind
    for other in (b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"<html><svg/>", b"\0\0\0\x18ftypavif\0\0\0\0mif1avif",
                  b"\0\0\0\x18ftypmif1\0\0\0\0avifmif1", b"\x1f\x8b broken", b"no %PDF-1.4", b"\xff\xfe<"):  # fmt: skip
        assert reader_of(other) is None, other


def test_nothing_is_imported_or_started_before_a_file_of_that_kind_is_met(tmp_path):
    Image.new("L", (8, 8)).save(tmp_path / "x.png")
    (tmp_path / "x.svg").write_bytes(svg())
    (tmp_path / "x.pdf").write_bytes(pdf([(9, 9, "")]))
    code = f"""
import sys
from sketchloss.system.images import open_picture
from sketchloss.system.passed_over import passed_over
from sketchloss.system.picture_files import find_pictures
from sketchloss.system.reading_process import reading_process
assert len(find_pictures(sys.argv[1])) == 3
open_picture(sys.argv[1] + "/x.png")
passed_over(sys.argv[1], [sys.argv[1] + "/x.png"])
assert reading_process._process is None
open_picture(sys.argv[1] + "/x.svg"), open_picture(sys.argv[1] + "/x.pdf")
assert reading_process._process is not None
assert not set(sys.modules) & set({LIBRARIES!r})
"""
    finished([sys.executable, "-W", "error", "-c", code, tmp_path], check=True)


def test_without_a_library_a_file_says_how_to_get_it(tmp_path, without_libraries, capsys):
    folder = one_of_each(tmp_path / "drawings")
    for name, package in (("a.svg", "resvg-py"), ("b.PDF", "pypdfium2"), ("c.heic", "pillow-heif")):
        for read in (open_picture, probe_picture):
            with pytest.raises(UnreadablePicture) as refused:
                read(folder / name)
            kind = {"a": "SVG", "b": "PDF", "c": "HEIF"}[name[0]]
            said = f"to read {kind} needs {package}; {INSTALL}, or save it as PNG"
            assert str(refused.value) == f"{folder / name}: {said}"
    assert main(["compare", str(folder / "a.svg"), str(folder / "d.png"), "--size", "32"]) == 2
    assert f"{INSTALL}, or save it as PNG" in capsys.readouterr().err


def test_without_a_library_a_folder_says_how_to_get_it(tmp_path, without_libraries):
    folder = one_of_each(tmp_path / "drawings")
    assert picture_suffixes() == plain_suffixes()
    assert not {"SVG", "PDF", "HEIF"} & set(readable_kinds())
    assert find_pictures(folder) == [folder / "d.png"]
    said = f"{folder}: 3 files of kinds that a library not installed here reads: a.svg, b.PDF, c.heic; {INSTALL}"
    assert other_kinds(folder) == [said]
    (folder / "e.psd").write_bytes(b"8BPS")
    assert other_kinds(folder) == [said, f"{folder}: 1 file of a kind that cannot be read: e.psd; save it as PNG"]
    (folder / "d.png").unlink()
    assert no_pictures(folder).startswith(f"{folder} holds no pictures (.png, .jpg and the like): check the path; ")
    assert said in no_pictures(folder)


def test_with_the_libraries_a_folder_is_read(tmp_path):
    folder = one_of_each(tmp_path / "drawings")
    assert [path.name for path in find_pictures(folder)] == ["a.svg", "b.PDF", "c.heic", "d.png"]
    assert other_kinds(folder) == []
    assert optional_suffixes(installed=True) == {suffix for reader in READERS for suffix in reader.suffixes} <= DRAWINGS
    assert {"SVG", "PDF", "HEIF"} <= set(readable_kinds())
    assert say_other_kinds("here", [Path("a.svg")]) == []
    page = "here: 1 file of a kind that cannot be read: a.svg; save it as PNG"
    assert say_other_kinds("here", [Path("a.svg")], extra=False) == [page]


def test_the_check_of_an_installation_names_them(monkeypatch, capsys):
    requires = [f"{reader.package}>=1; extra == 'readers'" for reader in READERS]
    monkeypatch.setattr(doctor.metadata, "requires", lambda _: requires)
    monkeypatch.setattr(doctor.metadata, "metadata", lambda _: type("", (), {"get_all": lambda *_: ["readers"]})())
    monkeypatch.setattr(doctor, "_version", lambda name: None if name == "resvg-py" else "9")
    monkeypatch.setattr(doctor, "run_self_test", list)
    assert main(["doctor", "--json"]) == 0
    readers = json.loads(capsys.readouterr().out)["libraries"]["readers"]
    assert not readers["complete"]
    assert "pip install --upgrade 'sketchloss[readers]'" in readers.values()
    assert readers["libraries"]["resvg-py"]["installed"] is None
