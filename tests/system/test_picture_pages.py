"""Pages of picture files. Oracle: the pages that were written."""

import os
from pathlib import Path

import pytest
from PIL import Image

from foreign_files import heic, pdf, svg
from sketchloss.system.images import UnreadablePicture, open_header, open_picture
from sketchloss.system.passed_over import later_pages
from sketchloss.system.picture_pages import count_pages, has_later_pages, split_page, with_page


def test_a_page_is_a_part_of_a_path_unless_a_file_has_that_name(tmp_path):
    assert split_page("a/x.pdf#page=12") == (Path("a/x.pdf"), 12)
    assert split_page(Path("a/x.pdf#page=12#page=3")) == (Path("a/x.pdf#page=12"), 3)
    for page in ("0", "-1", "01", "", "1.5", "9" * 20):
        whole = f"x.pdf#page={page}"
        assert split_page(whole) == (Path(whole), 1), whole
    assert split_page("#page=1") == (Path("#page=1"), 1)
    named = tmp_path / "x.pdf#page=2"
    assert split_page(named) == (tmp_path / "x.pdf", 2)
    named.symlink_to("gone")
    assert split_page(named) == (named, 1)
    odd = os.fsdecode(b"/a\xff\n.pdf")
    assert split_page(f"{odd}#page=2") == (Path(odd), 2)
    assert (with_page("x.pdf", 1), with_page("x.pdf", 2)) == (Path("x.pdf"), Path("x.pdf#page=2"))


def test_pages_are_counted(tmp_path):
    pytest.importorskip("pypdfium2")
    three = pdf(3 * [(99, 99, "")])
    pictures = [Image.new("RGB", (64, 64), colour) for colour in ("red", "blue")]
    (tmp_path / "three.pdf").write_bytes(three)
    (tmp_path / "one.pdf").write_bytes(pdf([(99, 99, "")]))
    (tmp_path / "none.pdf").write_bytes(pdf([]))
    (tmp_path / "cut.pdf").write_bytes(three[:30])
    (tmp_path / "two.heic").write_bytes(heic(*pictures))
    (tmp_path / "one.svg").write_bytes(svg())
    pictures[0].save(tmp_path / "two.tif", save_all=True, append_images=pictures[1:])
    counts = {path.name: count_pages(path) for path in sorted(tmp_path.iterdir())}
    assert {name: count for name, count in counts.items() if count > 1} == {"three.pdf": 3, "two.heic": 2}
    assert count_pages(tmp_path / "gone.pdf") == count_pages(tmp_path) == 1
    later = [path.name for path in sorted(tmp_path.iterdir()) if has_later_pages(path)]
    assert later == ["three.pdf", "two.heic", "two.tif"]
    (line,) = later_pages(sorted(tmp_path.iterdir()))
    assert line.startswith("3 files have more pages or frames: three.pdf, two.heic, two.tif; the first of each was")


def test_a_page_of_a_scan_is_named_too(tmp_path):
    pictures = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    pictures[0].save(tmp_path / "two.tif", save_all=True, append_images=pictures[1:])
    assert open_picture(tmp_path / "two.tif#page=2").getpixel((1, 1)) == (0, 0, 255)
    with open_header(tmp_path / "two.tif#page=2") as picture:
        assert picture.convert("RGB").getpixel((1, 1)) == (0, 0, 255)
    with pytest.raises(UnreadablePicture, match="it has 2 pages, and no page 3; name one that is there"):
        open_picture(tmp_path / "two.tif#page=3")
    pictures[0].save(tmp_path / "one.png")
    with pytest.raises(UnreadablePicture, match="it has 1 page, and no page 2; name one that is there"):
        open_picture(tmp_path / "one.png#page=2")
