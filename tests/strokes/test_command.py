"""`sketchloss strokes`. Oracles: the picture that was drawn, the numbers in the SVG, Pillow's reader of GIFs."""

import re
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from PIL import Image

from sketchloss.cli import main
from sketchloss.strokes.batch import StrokeBatch
from sketchloss.strokes.chamfer import chamfer_distance, points_along
from sketchloss.strokes.curves import smooth
from sketchloss.strokes.renderer import render
from sketchloss.system.images import to_tensor

CROSS = [np.array([[20.0, 20.0], [70.0, 60.0]]), np.array([[70.0, 20.0], [20.0, 60.0]])]
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def drawing(tmp_path):
    """A cross on a page that is wider than high."""
    picture = render(StrokeBatch.of([CROSS], [3.0]), (80, 120))
    path = tmp_path / "cross.png"
    Image.fromarray((picture[0, 0] * 255).byte().numpy()).save(path)
    return path


def run(weights, *arguments) -> int:
    return main(["strokes", *map(str, arguments), "--weights", str(weights), "--size", "48"])


def test_a_drawing_becomes_strokes(drawing, tmp_path, capsys):
    out, gif = tmp_path / "out.svg", tmp_path / "way.gif"
    assert run("sketch", drawing, "--out", out, "--gif", gif, "--count", 4, "--points", 3, "--steps", 60) == 0
    root = ElementTree.parse(out).getroot()
    assert (root.get("width"), root.get("height")) == ("120", "80")
    paths = list(root.iter(f"{SVG}path"))
    assert 1 <= len(paths) <= 4
    assert f"{len(paths)} strokes, distance 0." in capsys.readouterr().out
    # Every third point of a path is a control point: the curves lie where the drawing's lines do.
    numbers = [np.array(re.findall(r"-?[\d.]+", path.get("d", "")), dtype=float).reshape(-1, 2) for path in paths]
    drawn = smooth(StrokeBatch.of([[one[::3] for one in numbers]], [1.0]))
    (ours,), (lines,) = points_along(drawn), points_along(StrokeBatch.of([CROSS], [3.0]))
    assert chamfer_distance(ours, lines) < 0.75  # pixels of 120
    assert [float(path.get("stroke-width", "")) for path in paths] == pytest.approx([3] * len(paths), rel=0.3)
    picture = to_tensor(Image.open(drawing))[None]
    with Image.open(gif) as moving:
        assert moving.n_frames > 5
        assert moving.size == (320, 213)
        sums = []
        for frame in (0, moving.n_frames - 1):
            moving.seek(frame)
            shown = np.asarray(moving.convert("L").resize((120, 80), Image.Resampling.BOX)) / 255
            sums.append(np.abs(shown - picture[0, 0].numpy()).mean())
    assert sums[1] < sums[0]


def test_light_on_dark(narrow, drawing, tmp_path):
    with Image.open(drawing) as picture:
        picture.point(lambda value: 255 - value).save(tmp_path / "dark.png")
    for name, source, more in (("a", drawing, ()), ("b", tmp_path / "dark.png", ("--invert",))):
        assert run(narrow, source, "--out", tmp_path / f"{name}.svg", "--count", 2, "--steps", 2, *more) == 0
    assert (tmp_path / "a.svg").read_text() == (tmp_path / "b.svg").read_text()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--out", "a.png"), "out is a.png: give a file whose name ends in .svg"),
        (("--out", "a.svg", "--gif", "a.mp4"), "gif is a.mp4: give a file whose name ends in .gif"),
        (("--out", "nowhere/a.svg"), "cannot write nowhere/a.svg: the folder nowhere does not exist; make it first"),
        (("--out", "there.svg"), "there.svg exists: name another file, or use --force to replace it"),
        (("--out", "folder.svg"), "folder.svg is a folder: name a file"),
        (("--out", "a.svg", "--count", "0"), "count is 0: it must be 1 to 1,000"),
        (("--out", "a.svg", "--points", "1"), "points is 1: it must be 2 to 100"),
        (("--out", "a.svg", "--steps", "0"), "steps is 0: it must be 1 to 100,000"),
        (("--out", "a.svg", "--size", "15"), "size is 15: it must be 16 to 1,024"),
        (("--out", "a.svg", "--size", "5000"), "size is 5000: it must be 16 to 1,024"),
        (("--out", "a.svg", "--device", "cuda"), "device is cuda: torch finds no GPU here; use --device cpu"),
    ],
)
def test_mistakes_are_told_before_the_work(drawing, tmp_path, monkeypatch, capsys, arguments, said):
    if "cuda" in said and torch.cuda.is_available():
        pytest.skip("there is a GPU")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there.svg").write_text("kept")
    (tmp_path / "folder.svg").mkdir()
    before = sorted(tmp_path.iterdir())
    assert main(["strokes", drawing.name, *arguments]) == 2
    assert capsys.readouterr().err == f"sketchloss strokes: {said}\n"
    assert sorted(tmp_path.iterdir()) == before
    assert (tmp_path / "there.svg").read_text() == "kept"


def test_pictures_that_are_no_drawings_leave_nothing(narrow, tmp_path, capsys):
    Image.new("L", (40, 30), 255).save(tmp_path / "blank.png")
    Image.linear_gradient("L").save(tmp_path / "photo.png")
    (tmp_path / "text.png").write_text("no picture")
    for name, said in (
        ("blank", "the page is blank: give a picture with lines"),
        ("photo", "of it is light paper, so it is no line drawing"),
        ("text", "not a picture that can be read here"),
        ("missing", "no such file; check the path"),
    ):
        assert run(narrow, tmp_path / f"{name}.png", "--out", tmp_path / "out.svg") == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1
        assert f"{name}.png: " in error
        assert said in error
    assert not (tmp_path / "out.svg").exists()


def test_a_long_strip_and_force(narrow, tmp_path):
    strip = Image.new("L", (2000, 12), 255)
    strip.paste(0, (100, 5, 1900, 7))
    strip.save(tmp_path / "strip.png")
    (tmp_path / "out.svg").write_text("old")
    assert (
        run(narrow, tmp_path / "strip.png", "--out", tmp_path / "out.svg", "--force", "--count", 2, "--steps", 1) == 0
    )
    assert 'viewBox="0 0 2000 12"' in (tmp_path / "out.svg").read_text()


def test_only_the_first_frame_is_drawn_and_that_is_said(narrow, drawing, tmp_path, capsys):
    with Image.open(drawing) as picture:
        picture.save(tmp_path / "two.gif", save_all=True, append_images=[Image.new("L", picture.size, 255)])
    for source, lines in ((drawing, 1), (tmp_path / "two.gif", 2)):
        assert run(narrow, source, "--out", tmp_path / f"{lines}.svg", "--count", 2, "--steps", 1) == 0
        said = capsys.readouterr().out.splitlines()
        assert len(said) == lines
    assert said[1].startswith("1 file has more pages or frames: two.gif; its first was read")
