"""What of Gradio's server is replaced."""

import errno
import threading
from pathlib import Path

import pytest
from gradio import processing_utils
from PIL import Image

from sketchloss.app.server import save_picture_whole
from sketchloss.data.doodles.kinds import doodle


def test_a_picture_that_is_kept_again_can_be_read_meanwhile(tmp_path):
    picture = doodle("cat", 1).sketch(96)
    path = save_picture_whole(picture, str(tmp_path), format="png")
    ended = threading.Event()

    def keep_it_again():
        for _ in range(300):
            assert save_picture_whole(picture, str(tmp_path), format="png") == path
        ended.set()

    thread = threading.Thread(target=keep_it_again)
    thread.start()
    read = set()
    while not ended.is_set():
        read.add(Path(path).read_bytes())
    thread.join(60)
    assert len(read) == 1
    with Image.open(path) as kept:
        assert kept.convert("L").tobytes() == picture.convert("L").tobytes()
    assert [file.name for file in tmp_path.rglob("*.*")] == ["image.png"]


def test_of_a_picture_that_cannot_be_written_nothing_is_left(tmp_path, monkeypatch):
    def full(path, *_):
        path.touch()
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space left"):
        save_picture_whole(doodle("cat", 1).sketch(32), str(tmp_path), format="png")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_picture_lies_where_gradio_would_have_put_it(tmp_path):
    picture = doodle("boat", 2).photo(64)
    settings = {"format": "jpeg", "name": "photo"}
    expected = processing_utils.save_pil_to_cache(picture, str(tmp_path / "gradio"), **settings)
    found = save_picture_whole(picture, str(tmp_path / "ours"), **settings)
    assert found == expected.replace("/gradio/", "/ours/")
    assert Path(found).read_bytes() == Path(expected).read_bytes()


def test_a_png_has_the_same_pixels_and_is_named_by_what_it_holds(tmp_path):
    for picture in (doodle("boat", 2).photo(64), doodle("boat", 2).sketch(64), Image.new("RGBA", (5, 7), (1, 2, 3, 4))):
        kept = Path(save_picture_whole(picture, str(tmp_path), format="png"))
        assert kept.parent.name == processing_utils.hash_bytes(kept.read_bytes())
        with Image.open(kept) as found:
            assert (found.mode, found.tobytes()) == (picture.mode, picture.tobytes())
