"""Pages of PDF files in a gallery. Oracle: the drawings that were put on the pages, embedded one by one."""

import shutil
from io import BytesIO
from pathlib import Path

import pytest
import torch
from PIL import Image

from foreign_files import LOCKED, pdf, svg
from sketchloss import Backbone, load_backbone, save_backbone
from sketchloss.cli import main
from sketchloss.data.doodles.kinds import doodle
from sketchloss.gallery import Gallery
from sketchloss.gallery.duplicates import find_duplicates
from sketchloss.system.images import fit_square, open_picture, to_tensor

pytest.importorskip("pypdfium2")
SIZE = 32
KINDS = ("cat", "house", "fish")


def paged(*kinds: str) -> bytes:
    """A PDF with a drawing on each page."""
    pages = [doodle(kind, 1).sketch(96).convert("RGB") for kind in kinds]
    file = BytesIO()
    pages[0].save(file, "PDF", save_all=True, append_images=pages[1:], resolution=72)
    return file.getvalue()


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("weights")
    save_backbone(Backbone(width=0.1), folder)
    return folder


@pytest.fixture
def book(tmp_path) -> Path:
    """A PDF of three pages in a folder, beside a PNG and an SVG."""
    (tmp_path / "drawings" / "books").mkdir(parents=True)
    book = tmp_path / "drawings" / "books" / "b#1.pdf"
    book.write_bytes(paged(*KINDS))
    doodle("tree", 1).sketch(SIZE).save(tmp_path / "drawings" / "a.png")
    (tmp_path / "drawings" / "c.svg").write_bytes(svg())
    return book


def build(weights: Path, folder: Path) -> Gallery:
    return Gallery.build(folder.parent / "gallery", [folder], weights=weights, image_size=SIZE)[0]


def names(gallery: Gallery) -> set[str]:
    return {Path(row.path.decode()).name for row in gallery.table.known()}


PAGES = {"b#1.pdf", "b#1.pdf#page=2", "b#1.pdf#page=3"}


def test_each_page_is_a_drawing_of_its_own(weights, book, tmp_path):
    gallery, report = Gallery.build(tmp_path / "gallery", [book.parents[1]], weights=weights, image_size=SIZE)
    assert (report.added, report.embedded, report.copies, report.unreadable, report.passed_over) == (5, 5, 0, (), ())
    assert names(gallery) == PAGES | {"a.png", "c.svg"}
    backbone = load_backbone(weights)
    for row in gallery.table.rows():
        picture = open_picture(Path(row.path.decode()))
        with torch.inference_mode():
            by_hand = backbone.embed(to_tensor(fit_square(picture, SIZE))[None])[0]
        by_hand = torch.nn.functional.normalize(by_hand, dim=0).numpy()
        assert row.embedding == pytest.approx(by_hand, abs=1e-3)
        assert row.label == ("books" if b"books" in row.path else None)
        assert len(row.hash) == 64
    for page, kind in enumerate(KINDS, start=1):
        (match,) = gallery.search(doodle(kind, 1).sketch(96), k=1)[0]
        assert match.path.name == ("b#1.pdf" if page == 1 else f"b#1.pdf#page={page}")
    assert gallery.add([book.parents[1]]).unchanged == 5


def test_pages_move_are_copied_and_change_with_their_file(weights, book):
    folder = book.parents[1]
    gallery = build(weights, folder)
    moved = book.rename(folder / "moved.pdf")
    report = gallery.add([folder])
    assert (report.moved, report.added, report.embedded, report.missing) == (3, 0, 0, ())
    shutil.copy(moved, book)
    report = gallery.add([folder])
    assert (report.added, report.copies, report.embedded) == (3, 3, 0)
    book.write_bytes(paged("fish", "house"))
    report = gallery.add([folder])
    # Each page of a file that was written anew has new content, and the third one is gone.
    assert (report.changed, report.embedded) == (2, 2)
    assert [path.name for path in report.missing] == ["b#1.pdf#page=3"]
    assert [path.name for path in gallery.info().missing] == ["b#1.pdf#page=3"]
    report = gallery.add([folder], prune=True)
    assert (report.pruned, report.rows) == (1, 7)
    book.unlink()
    assert {path.name for path in gallery.add([folder]).missing} == {"b#1.pdf", "b#1.pdf#page=2"}


@pytest.mark.parametrize("damage", [b"%PDF-1.4 cut off", pdf([(9, 9, "")], LOCKED)], ids=["damaged", "locked"])
def test_pages_of_a_file_that_cannot_be_read_any_more_stay(weights, book, damage):
    gallery = build(weights, book.parents[1])
    book.write_bytes(damage)
    report = gallery.add([book.parents[1]], prune=True)
    assert (report.pruned, report.rows, len(report.unreadable)) == (0, 5, 1)
    assert "b#1.pdf: " in report.unreadable[0]
    assert gallery.info().missing == ()


def test_a_file_is_taken_out_with_all_its_pages_or_a_page_alone(weights, book):
    gallery = build(weights, book.parents[1])
    assert [path.name for path in gallery.remove([f"{book}#page=2"])] == ["b#1.pdf#page=2"]
    assert {path.name for path in gallery.remove([book])} == PAGES - {"b#1.pdf#page=2"}
    assert names(gallery) == {"a.png", "c.svg"}


def test_the_first_page_can_be_named_by_its_number(weights, book):
    gallery = build(weights, book.parents[1])
    assert gallery.search_like(f"{book}#page=1") == gallery.search_like(book)
    assert [path.name for path in gallery.remove([f"{book}#page=1"])] == ["b#1.pdf"]
    assert names(gallery) == PAGES - {"b#1.pdf"} | {"a.png", "c.svg"}
    with pytest.raises(ValueError, match="not in the gallery"):
        gallery.remove([f"{book}#page=1"])


def test_no_list_is_written_over_a_file_that_has_pages(weights, book, tmp_path, capsys):
    gallery = build(weights, book.parents[1])
    gallery.remove([f"{book}#page=1"])
    assert gallery.holds(book)
    before = book.read_bytes()
    for query in (["--all"], [f"{book}#page=3"]):
        assert main(["gallery", "search", str(gallery.folder), *query, "--csv", str(book)]) == 2
        assert (
            "is one of the queries" if query != ["--all"] else "is a drawing of the gallery"
        ) in capsys.readouterr().err
    assert book.read_bytes() == before


def test_a_file_of_such_a_name_is_itself(weights, book):
    named = book.with_name("b#1.pdf#page=2.png")
    doodle("sun", 1).sketch(SIZE).save(named)
    gallery = build(weights, book.parents[1])
    assert names(gallery) == PAGES | {"a.png", "c.svg", named.name}
    assert gallery.add([book.parents[1]]).unchanged == 6


def test_the_commands_take_and_show_pages(weights, book, tmp_path, capsys):
    gallery = str(tmp_path / "gallery")
    run = ["gallery", "build", gallery, str(book.parents[1]), "--weights", str(weights), "--image-size", str(SIZE)]
    assert main(run) == 0
    assert capsys.readouterr().out.startswith("5 drawings in ")
    search = ["gallery", "search", gallery, f"{book}#page=3", "-k", "5", "--sheet", str(tmp_path / "sheet.png")]
    assert main(search) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0] == f"query: {book}#page=3"
    assert said[2].split()[1:] == ["1.0000", "books", f"{book}#page=3"]
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert min(sheet.size) > 100
    assert main([*search[:-1], str(tmp_path / "sheet.pdf")]) == 2
    assert "sheet.pdf has no suffix that --sheet can write" in capsys.readouterr().err
    copied = tmp_path / "copied"
    assert main([*search[:4], "-k", "1", "--copy-to", str(copied)]) == 0
    (file,) = copied.iterdir()
    assert (file.name, file.read_bytes()) == (f"01-{book.name}", book.read_bytes())


def test_no_page_is_a_copy_that_can_be_removed(weights, book, capsys):
    folder = book.parents[1]
    (folder / "single.pdf").write_bytes(paged("cat"))
    shutil.copy(folder / "single.pdf", folder / "again.pdf")
    shutil.copy(book, folder / "z.pdf")
    gallery = build(weights, folder)
    found = find_duplicates(gallery, min_similarity=-1)
    assert found.to_remove() == [folder / "single.pdf"] or found.to_remove() == [folder / "again.pdf"]
    assert {path.name for path in found.left_out.pages} == PAGES | {"z.pdf", "z.pdf#page=2", "z.pdf#page=3"}
    assert main(["gallery", "duplicates", str(gallery.folder), "--list", "lines"]) == 0
    said = capsys.readouterr()
    assert "#page=" not in said.out
    assert "6 drawings: pages of files with several, left out (a page cannot be removed alone): " in said.err + said.out
