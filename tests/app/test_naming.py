"""What visitors may read of files. Oracle: names that were chosen here."""

import os
from pathlib import Path

import pytest

from sketchloss.app.naming import LONGEST, Called, called, write_names
from sketchloss.app.settings import App


@pytest.mark.parametrize(
    ("path", "label", "below"),
    [
        ("/home/me/drawings/cat/1.png", "cat", "cat/1.png"),
        ("/home/me/drawings/cat/old/1.png", "cat", "cat/old/1.png"),
        ("/home/me/drawings/1.png", None, "1.png"),
        ("/home/me/drawings/1.png", "cat", "1.png"),  # a label that it had in another place
        ("/home/cat/drawings/cat/1.png", "cat", "cat/1.png"),
        ("/srv/a\nb/1\x1b[31m.png", r"a\nb", r"a\nb/1\x1b[31m.png"),
    ],
)
def test_the_path_of_a_shared_drawing_is_whole_only_where_nobody_else_comes(path, label, below):
    name = below.rpartition("/")[2]
    assert called(Path(path), label, own=False, full_paths=False) == Called(name, below)
    whole = called(Path(path), label, own=False, full_paths=True).path
    assert whole == path.replace("\n", r"\n").replace("\x1b", r"\x1b")


def test_bytes_that_are_no_text_are_shown_as_such():
    path = Path(os.fsdecode(b"/drawings/caf\xe9.png"))
    assert called(path, None, own=False, full_paths=True) == Called(r"caf\xe9.png", r"/drawings/caf\xe9.png")


@pytest.mark.parametrize("full_paths", [True, False])
def test_a_drawing_of_an_archive_has_the_name_that_it_has_there(tmp_path, full_paths):
    names = ["mine/cat/one cat.png", "mine\\cat\\two\n.png", "x" * 1000 + ".png", "<b>.png"]
    write_names(tmp_path, names)
    said = ["mine/cat/one cat.png", r"mine/cat/two\n.png", ("x" * 1000 + ".png")[-LONGEST:], "<b>.png"]
    for number, name in enumerate(said):
        for folder in ("drawings", "drawings/cat"):
            path = tmp_path / folder / f"{number:05}.png"
            assert called(path, None, own=True, full_paths=full_paths) == Called(name.rpartition("/")[2], name)
    (tmp_path / "names.txt").unlink()
    assert called(tmp_path / "drawings" / "00000.png", None, own=True, full_paths=True).path == "00000.png"


def test_a_page_that_others_may_open_is_not_for_this_computer_alone(monkeypatch):
    monkeypatch.delenv("SKETCHLOSS_AUTH", raising=False)
    assert App().only_here()
    assert App(host="localhost").only_here()
    assert not App(host="0.0.0.0", auth="me:secret").only_here()
    assert not App(auth="me:secret").only_here()
    monkeypatch.setenv("SKETCHLOSS_AUTH", "me:secret")
    assert not App().only_here()
