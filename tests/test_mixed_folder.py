"""`scripts/mixed_folder.py`. Oracles: drawings whose nearest is known; bad input: one line, exit code 2."""

import json
import runpy
import sys
from pathlib import Path

import pytest
from PIL import Image

from sketchloss.data.doodles.kinds import doodle

SCRIPT = str(Path(__file__).parent.parent / "scripts" / "mixed_folder.py")


@pytest.fixture
def run(monkeypatch, tmp_path):
    """Run the script on two classes, each of one drawing and a copy of it."""
    for kind in ("cat", "house"):
        folder = tmp_path / "drawings" / kind
        folder.mkdir(parents=True)
        for name in ("first", "second"):
            doodle(kind, 1, style="ink").sketch(128).save(folder / f"{name}.png")
    monkeypatch.setenv("SKETCHLOSS_DATA", str(tmp_path))

    def run_script(*arguments: str) -> None:
        monkeypatch.setattr(sys, "argv", [SCRIPT, *arguments])
        runpy.run_path(SCRIPT, run_name="__main__")

    return run_script


SMALL = ("--classes", "2", "--gallery", "1", "--queries", "1", "--image-size", "32")


def test_a_table_and_the_numbers_behind_it(run, narrow, tmp_path, capsys):
    out = tmp_path / "numbers.json"
    run("--data", "drawings", *SMALL, "--weights", narrow, "--kinds", "clean", "inverted", "--out", str(out))
    found = json.loads(out.read_text())["right"]
    assert list(found) == ["clean", "clean, rotations", "inverted"]
    # A copy of each drawing is in the gallery, and is found wherever the kind makes no difference.
    assert found["clean"]["clean gallery, as it came"] == [True, True]
    for kind in found:
        assert found[kind]["clean gallery, cleaned"] == found[kind]["mixed gallery, cleaned"] == [True, True]
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("|")[1].strip() for line in lines[2:]] == list(found)
    assert "| 34 to 100 |" in " ".join(lines[2].split())


def test_a_picture_of_the_kinds(run, tmp_path):
    run("--draw", str(tmp_path / "kinds.png"))
    with Image.open(tmp_path / "kinds.png") as picture:
        assert picture.width > 2 * picture.height


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--data", "nowhere"), "nowhere is no folder: check --data and SKETCHLOSS_DATA"),
        (("--data", "drawings", "--classes", "3"), "has 0 classes of 15 drawings and more: 3 classes cannot be taken"),
        (("--data", "drawings", *SMALL, "--classes", "0"), "has 2 classes of 2 drawings and more: 0 classes"),
        (("--data", "drawings", *SMALL, "--image-size", "0"), "image_size is 0"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(run, arguments, message, capsys):
    with pytest.raises(SystemExit) as left:
        run(*arguments)
    assert left.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("mixed_folder: ")
    assert message in err
    assert err.count("\n") == 1
