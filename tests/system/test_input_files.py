"""Whatever a path leads to, reading it ends: pipes, devices, sockets. Oracle: the same bytes in a file."""

import os
import socket
import sys
import threading
from contextlib import suppress
from pathlib import Path

import pytest

import sketchloss.system.files
from child_process import finished
from sketchloss.cli import main
from sketchloss.data.doodles.kinds import doodle
from sketchloss.data.quickdraw.ndjson import read_ndjson
from sketchloss.data.sources import open_sketches
from sketchloss.system.files import NoFile, open_input
from sketchloss.system.images import UnreadablePicture, open_picture, probe_picture

pytestmark = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")


@pytest.fixture
def picture(tmp_path) -> Path:
    doodle("cat", 1).sketch(64).save(tmp_path / "cat.png")
    return tmp_path / "cat.png"


@pytest.fixture
def pipe(tmp_path) -> Path:
    os.mkfifo(tmp_path / "pipe.png")
    return tmp_path / "pipe.png"


def _write(pipe: Path, parts: list[bytes]) -> threading.Thread:
    def write() -> None:
        with suppress(BrokenPipeError), pipe.open("wb", buffering=0) as file:
            for part in parts:
                file.write(part)

    thread = threading.Thread(target=write, daemon=True)
    thread.start()
    return thread


def test_a_pipe_is_read_whole(picture):
    script = "from sketchloss.system.images import open_picture; import sys; print(open_picture(sys.argv[1]).size)"
    parts = f'head -c 99 "{picture}"; sleep 1; tail -c +100 "{picture}"'
    command = ["bash", "-c", f'"{sys.executable}" -c "{script}" <({parts})']
    done = finished(command)
    assert done.stdout == "(64, 64)\n", done.stderr


def test_more_than_enough_from_a_pipe_is_refused(pipe, monkeypatch):
    monkeypatch.setattr(sketchloss.system.files, "MOST_PIPED", 2**20)
    descriptor = os.open(pipe, os.O_RDWR)  # so that the writer finds a reader
    thread = _write(pipe, [bytes(2**20)] * 3)
    with pytest.raises(UnreadablePicture, match=r"pipe\.png: a pipe with more than 1 MB; write it to a file first"):
        open_picture(pipe)
    os.close(descriptor)
    thread.join(20)


def test_a_pipe_without_an_end_is_left(pipe, monkeypatch):
    monkeypatch.setattr(sketchloss.system.files, "PATIENCE", 0.2)
    descriptor = os.open(pipe, os.O_RDWR)
    with pytest.raises(UnreadablePicture, match="nothing came for 0 seconds"):
        open_picture(pipe)
    os.close(descriptor)


def test_what_is_no_file_is_named(pipe, tmp_path):
    (tmp_path / "zero.png").symlink_to("/dev/zero")
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(tmp_path / "socket.png"))
        for name, said in (
            ("pipe.png", "a pipe that nobody writes to; give a file"),
            ("zero.png", "no regular file; remove it"),
            ("socket.png", r"(?i)no such device|no regular file"),
        ):
            for read in (open_picture, probe_picture):
                with pytest.raises(UnreadablePicture, match=said) as refused:
                    read(tmp_path / name)
                assert str(refused.value).startswith(str(tmp_path / name))
    with pytest.raises(NoFile):
        open_input(pipe, pipes=False)
    with pytest.raises(IsADirectoryError):
        open_input(tmp_path)


def test_commands_do_not_wait_for_a_pipe(pipe, picture, tmp_path, capsys):
    folder = tmp_path / "drawings"
    for kind in ("cat", "dog"):
        (folder / kind).mkdir(parents=True)
        for number in range(2):
            doodle("cat", number).sketch(64).save(folder / kind / f"{number}.png")
    os.mkfifo(folder / "cat" / "pipe.png")
    (tmp_path / "strokes").mkdir()
    os.mkfifo(tmp_path / "strokes" / "cat.ndjson")
    assert main(["compare", str(picture), str(pipe)]) == 2
    assert "pipe.png: a pipe that nobody writes to" in capsys.readouterr().err
    assert main(["style", "apply", "pencil", str(pipe), "--out", str(tmp_path / "out.png")]) == 2
    assert "pipe that nobody writes to" in capsys.readouterr().err
    (tmp_path / "zero.png").symlink_to("/dev/zero")
    assert main(["style", "apply", "pencil", str(tmp_path / "zero.png"), "--out", str(tmp_path / "out.png")]) == 2
    assert "no regular file" in capsys.readouterr().err
    sketches = open_sketches(folder, 32)
    assert len(sketches) == 4
    assert "pipe that nobody writes to" in " ".join(sketches.unreadable)
    with pytest.raises(ValueError, match=r"cat\.ndjson: a pipe that nobody writes to"):
        list(read_ndjson(tmp_path / "strokes" / "cat.ndjson"))
