"""Oracle: the rules themselves: what becomes what, and one line for each thing that is in the way."""

import os
from pathlib import Path

import pytest
from PIL import Image

from foreign_files import pdf, svg
from sketchloss.stylize.plan import FORMATS_WITH_ALPHA, plan_pictures, writable_format


@pytest.fixture
def place(tmp_path, monkeypatch) -> Path:
    """Photos in a folder and below it, one of them transparent."""
    monkeypatch.chdir(tmp_path)
    for name in ("a.png", "b.jpg", "cats/a.png", "cats/big/c.webp"):
        Path("photos", name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 6), "red").save(Path("photos", name))
    return tmp_path


def pairs(*inputs: str, out: str, **settings) -> list[tuple[str, str]]:
    jobs = plan_pictures(inputs, out, **settings).jobs
    return [(str(job.source or "-"), str(job.out or "-")) for job in jobs]


def refused(*inputs: str, out: str, **settings) -> str:
    with pytest.raises((ValueError, FileNotFoundError), match=r"^[^\n]+$") as caught:
        plan_pictures(inputs, out, **settings)
    return str(caught.value)


def test_one_picture_becomes_a_file(place):
    assert pairs("photos/a.png", out="sketch.webp") == [("photos/a.png", "sketch.webp")]
    assert pairs("photos/a.png", out="-") == [("photos/a.png", "-")]
    assert pairs("-", out="sketch.JPG") == [("-", "sketch.JPG")]
    assert pairs("-", out="-") == [("-", "-")]
    Path("photos/b.jpg").rename("-")
    assert pairs("./-", out="sketch.png") == [("-", "sketch.png")]
    assert plan_pictures(["./-"], "sketch.png").jobs[0].source == Path("-")  # a file of that name, not stdin
    assert plan_pictures(["-"], "sketch.png").single


def test_a_folder_keeps_names_and_subfolders(place):
    names = ("a.png", "b.jpg", "cats/a.png", "cats/big/c.webp")
    assert pairs("photos", out="new/sketches") == [(f"photos/{name}", f"new/sketches/{name}") for name in names]
    assert not Path("new").exists()  # nothing is made by a plan
    assert not plan_pictures(["photos"], "new").single


def test_several_pictures_keep_their_names(place):
    assert pairs("photos/b.jpg", "photos/cats/a.png", out="new") == [
        ("photos/b.jpg", "new/b.jpg"),
        ("photos/cats/a.png", "new/a.png"),
    ]
    said = refused("photos/a.png", "photos/cats/a.png", out="new")
    assert said.startswith("photos/a.png and photos/cats/a.png would both become new/a.png")


def test_nothing_is_replaced_unasked(place):
    Path("new").mkdir()
    Path("new/b.jpg").write_text("mine")
    assert refused("photos", out="new").startswith("new/b.jpg exists: add --force")
    Path("new/a.png").write_text("mine")
    assert refused("photos", out="new").startswith("new/a.png and 1 more exists: add --force")
    assert len(pairs("photos", out="new", force=True)) == 4
    plan = plan_pictures(["photos"], "new", skip_existing=True)
    assert [str(job.out) for job in plan.jobs] == ["new/cats/a.png", "new/cats/big/c.webp"]
    assert plan.skipped == 2
    assert "give one of them" in refused("photos", out="new", force=True, skip_existing=True)
    assert refused("photos/a.png", out="new/a.png").startswith("new/a.png exists")


def test_inputs_are_never_replaced(place):
    assert "photos/a.png is an input" in refused("photos/a.png", out="photos/a.png", force=True)
    assert "photos lies in photos" in refused("photos", out="photos", force=True)
    assert "photos/sketches lies in photos" in refused("photos", out="photos/sketches")
    assert "photos/a.png is an input" in refused("photos/a.png", "photos/b.jpg", out="photos", force=True)
    assert "is an input" in refused("photos/a.png", "photos/b.jpg", out="photos", skip_existing=True)
    Path("link.png").symlink_to("photos/a.png")
    assert "link.png is an input (photos/a.png)" in refused("photos/a.png", out="link.png", force=True)
    os.link("photos/b.jpg", "hard.jpg")
    assert "hard.jpg is an input (photos/b.jpg)" in refused("photos/b.jpg", out="hard.jpg", force=True)


@pytest.mark.parametrize(
    ("inputs", "out", "said"),
    [
        ((), "new", "no picture is given"),
        (("gone.png",), "x.png", "gone.png does not exist"),
        (("photos/a.png", "gone"), "new", "gone does not exist"),
        (("photos/a.png",), "photos", "name a file, such as photos/a.png"),
        (("photos/a.png",), "new/", "--out new/ is a folder"),
        (("-",), "photos", "such as photos/sketch.png"),
        (("photos/a.png",), "gone/x.png", "the folder gone does not exist"),
        (("photos/a.png",), "x.txt", "--out x.txt has no suffix that can be written"),
        (("photos/a.png",), "x", "no suffix"),
        (("photos",), "-", "--out - takes one picture"),
        (("photos/a.png", "-"), "new", "give it alone"),
        (("photos",), "photos/b.jpg", "--out photos/b.jpg is a file"),
        (("photos",), "new.png", "named as a picture"),
        (("photos", "photos/a.png"), "new", "photos is a folder among other inputs"),
        (("empty",), "new", "empty holds no pictures"),
        (("photos/a.png", "note.txt"), "new", "note.txt has no suffix that can be written: rename it"),
        (("photos",), "taken", "taken/a.png is a folder"),
    ],
)
def test_what_is_in_the_way_is_named(place, inputs, out, said):
    Path("empty").mkdir()
    Path("note.txt").write_text("no picture")
    Path("taken/a.png").mkdir(parents=True)
    assert said in refused(*inputs, out=out)


def test_alpha_needs_a_format_that_holds_it(place):
    assert len(pairs("photos/a.png", out="x.jpg", alpha="keep")) == 1  # it has none to lose
    Image.new("RGBA", (8, 6)).save("clear.png")
    for source in ("clear.png", "-"):  # what comes on standard input is not known yet
        said = refused(source, out="x.jpg", alpha="keep")
        assert said == "--out x.jpg: JPEG holds no transparency; use .png, or --alpha flatten"
    assert len(pairs("photos", out="new", alpha="keep")) == 4  # b.jpg has none to lose
    Image.new("P", (8, 6)).save("photos/cats/clear.gif", transparency=0)
    assert "photos/cats/clear.gif has transparency, which a new GIF" in refused("photos", out="new", alpha="keep")
    assert len(pairs("photos", out="new", alpha="flatten")) == 5
    Path("photos/cats/clear.gif").write_bytes(b"GIF89a damaged")
    assert len(pairs("photos", out="new", alpha="keep")) == 5  # left to those who read it


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".gif", ".bmp", ".tif", ".ppm", ".jp2", ".avif"])
def test_formats_hold_what_is_said_of_them(tmp_path, suffix):
    # Oracle: Pillow, writing a soft edge and reading it back.
    kind = writable_format(Path(f"x{suffix}"))
    if kind is None:
        pytest.skip(f"this Pillow writes no {suffix}")
    picture = Image.merge("RGBA", [Image.linear_gradient("L")] * 4)
    try:
        picture.save(tmp_path / "x", format=kind)
        with Image.open(tmp_path / "x") as found:
            extremes = found.convert("RGBA").getchannel("A").getextrema()
            middle = found.convert("RGBA").getpixel((128, 100))[3]
        holds = extremes[0] <= 3 and extremes[1] >= 252 and abs(middle - 100) <= 5  # AVIF is lossy
    except OSError:
        holds = False
    assert holds == (kind in FORMATS_WITH_ALPHA)


def test_suffixes_of_other_files_are_none():
    assert writable_format(Path("x.eps")) is None  # Pillow writes it, and it is none of ours
    assert writable_format(Path("x.onnx")) is None
    assert writable_format(Path("x.JPEG")) == "JPEG"


def test_pictures_that_cannot_be_read_here_are_named_and_hidden_ones_are_not(place):
    for name in ("photos/cats/phone.ARW", "photos/raw.dng", "photos/._raw.dng"):
        Path(name).write_bytes(b"of a phone")
    plan = plan_pictures(["photos"], "new")
    said = "photos: 2 files of kinds that cannot be read: phone.ARW, raw.dng; save them as PNG"
    assert plan.passed_over == [said]
    assert plan_pictures(["photos/a.png"], "new.png").passed_over == []


def test_sketches_of_pages_and_of_kinds_that_cannot_be_written_are_png(place):
    Path("photos/a.svg").write_bytes(svg())
    Path("photos/cats/b.pdf").write_bytes(pdf(2 * [(9, 9, "")]))
    made = dict(pairs("photos", out="new"))
    assert made["photos/a.svg"] == "new/a.svg.png"
    assert made["photos/cats/b.pdf"] == "new/cats/b.pdf.png"
    assert made["photos/a.png"] == "new/a.png"
    pages = ["photos/cats/b.pdf", "photos/cats/b.pdf#page=2"]
    assert pairs(*pages, out="new") == [(page, f"new/{Path(page).name}.png") for page in pages]
    assert refused("photos/a.svg", out="photos").endswith("name a file, such as photos/a.svg.png")
    assert refused("photos/c.pdf#page=2", out="x.png") == "photos/c.pdf#page=2 does not exist: check the path"
    Image.new("L", (8, 6)).save("photos/a.svg.png")
    said = "photos/a.svg and photos/a.svg.png would both become new/a.svg.png: make them one after the other"
    assert refused("photos", out="new") == said


def test_a_page_of_a_scan_is_never_replaced_by_its_sketch(place):
    pages = [Image.new("RGB", (8, 6), colour) for colour in ("red", "blue")]
    pages[0].save("scan.tif", save_all=True, append_images=pages[1:])
    said = "scan.tif is an input (scan.tif#page=2): write elsewhere, inputs are never replaced"
    assert refused("scan.tif#page=2", out="scan.tif", force=True) == said
