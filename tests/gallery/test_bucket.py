"""Galleries in object storage, of a real S3 server on this machine. Oracle: the same gallery in a folder."""

import json
import os
import pickle
import signal
import threading
import time
from pathlib import Path
from urllib.request import Request, urlopen

import numpy as np
import pytest
import torch

from child_process import forked
from sketchloss import Backbone, save_backbone
from sketchloss.cli import main
from sketchloss.data.doodles.kinds import doodle
from sketchloss.gallery import Gallery, lease
from sketchloss.gallery.places import Bucket, count_bytes, names
from sketchloss.gallery.settings import write_settings
from sketchloss.gallery.table import LOCK, PictureTable, writing

KEYS = {"AWS_ACCESS_KEY_ID": "me", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "us-east-1"}
PLACE = "s3://drawings/of/mine"


@pytest.fixture(scope="module")
def server():
    """Its address; a server in a thread, which forgets all at the end."""
    moto = pytest.importorskip("moto.server")
    server = moto.ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    yield "http://{}:{}".format(*server.get_host_and_port())
    server.stop()


@pytest.fixture(autouse=True)
def bucket(server, monkeypatch) -> Bucket:
    """An empty bucket, and the variables of its server."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in {**KEYS, "AWS_ENDPOINT_URL": server, "AWS_ALLOW_HTTP": "true"}.items():
        monkeypatch.setenv(name, value)
    post(f"{server}/moto-api/reset-auth", b"inf")
    post(f"{server}/moto-api/reset")
    with urlopen(Request(f"{server}/drawings", method="PUT"), timeout=30):
        return Bucket(PLACE)


def post(address: str, data: bytes = b"") -> None:
    with urlopen(Request(address, data=data, headers={"Content-Type": "text/plain"}), timeout=30):
        pass


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("bucket")
    torch.manual_seed(0)
    save_backbone(Backbone(width=0.1), folder / "weights")
    for seed in range(8):
        path = folder / "drawings" / ("cat", "house")[seed % 2] / f"{seed}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        doodle(path.parent.name, seed).sketch(32).save(path)
    (folder / "drawings/cat/copy.png").write_bytes((folder / "drawings/cat/0.png").read_bytes())
    Gallery.build(folder / "mine", [folder / "drawings"], weights=folder / "weights", image_size=32)
    return folder


@pytest.fixture
def build(place) -> list[str]:
    settings = ["--weights", str(place / "weights"), "--image-size", "32"]
    return ["gallery", "build", PLACE, str(place / "drawings"), *settings]


def said(capsys, *line: str | Path, code: int = 0) -> str:
    """Return what a command prints; its mistake, if that is what is expected, must be one line."""
    assert main([str(word) for word in line]) == code
    out, err = capsys.readouterr()
    if code:
        assert (out, err.count("\n")) == ("", 1), err
    return err if code else out


def test_every_command_says_what_it_says_of_a_folder(place, build, bucket, capsys, tmp_path):
    said(capsys, *build)
    there, here = Gallery.open(PLACE), Gallery.open(place / "mine")
    (rows, vectors), (expected, others) = there.table.vectors(), here.table.vectors()
    assert [(row.path, row.hash, row.label) for row in rows] == [(row.path, row.hash, row.label) for row in expected]
    assert np.array_equal(vectors, others)
    assert there.settings == here.settings
    assert names(bucket) == {"gallery.json", "pictures.lance"}
    query = place / "drawings" / "house" / "3.png"
    for command in (
        ["search", query, "--k", "3"],
        ["search", "--like", query, "--label", "cat"],
        ["search", "--all", "--k", "2"],
        ["clusters", "--count", "2"],
        ["duplicates"],
        ["info"],
        ["add", place / "drawings"],
        ["remove", query],
    ):
        lines = [said(capsys, "gallery", command[0], where, *command[1:]) for where in (PLACE, place / "mine")]
        a, b = ([line for line in text.splitlines() if "on disk" not in line] for text in lines)
        assert [line.replace(str(place / "mine"), PLACE) for line in b] == a, command
    Gallery.open(place / "mine").add([place / "drawings"])
    found = json.loads(said(capsys, "gallery", "info", PLACE, "--json"))
    assert (found["folder"], found["rows"], found["disk_bytes"]) == (PLACE, 8, count_bytes(bucket))
    assert said(capsys, "gallery", "search", PLACE, query, "--sheet", tmp_path / "sheet.png")
    assert (tmp_path / "sheet.png").exists()
    assert len(pickle.loads(pickle.dumps(there))) == 8
    assert Gallery.open(Path(PLACE)).folder == there.folder  # a path of it has one slash less


def test_what_is_interrupted_goes_on(place, build, bucket, capsys, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("sketchloss.gallery.table.PictureTable.tidy", interrupted)
        with pytest.raises(KeyboardInterrupt):
            Gallery.build(PLACE, [place / "drawings"], weights=place / "weights", image_size=32)
    assert not Gallery.open(PLACE).settings.built
    assert "building it was interrupted" in said(capsys, "gallery", "info", PLACE)
    assert "9 there already" in said(capsys, *build)
    assert Gallery.open(PLACE).settings.built
    assert f"{PLACE} is a gallery of 9 drawings already" in said(capsys, *build, code=2)


def interrupted(_) -> None:
    raise KeyboardInterrupt


def test_nothing_is_left_where_nothing_could_be_read(place, bucket, tmp_path, capsys):
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "x.png").write_bytes(b"no picture")
    line = ["gallery", "build", PLACE, tmp_path / "bad", "--weights", place / "weights", "--image-size", "32"]
    assert "none of the 1 drawing can be read" in said(capsys, *line, code=2)
    assert names(bucket) == set()


def test_two_writers_take_turns(place, build, bucket, capsys, monkeypatch):
    monkeypatch.setattr(lease, "LOOK", 0.05)
    said(capsys, *build)
    gallery = Gallery.open(PLACE)
    with writing(bucket, wait=0), pytest.raises(ValueError, match="another process is writing to this gallery; try"):
        gallery.remove(label="cat", wait=0)
    with writing(bucket, wait=0):
        thread = threading.Thread(target=gallery.remove, kwargs={"label": "cat"})
        thread.start()
        thread.join(0.3)
        assert (thread.is_alive(), len(gallery)) == (True, 9)
    thread.join(60)
    assert (thread.is_alive(), len(gallery)) == (False, 4)
    assert LOCK not in names(bucket)


HELD = """
import os, signal, sys, time
from sketchloss.gallery.places import Bucket
from sketchloss.gallery.table import writing
with writing(Bucket(sys.argv[1]), wait=0):
    print("writing", flush=True)
    time.sleep(100)
"""


def test_a_killed_writers_turn_ends_after_a_while(bucket, monkeypatch):
    with forked(HELD, PLACE) as child:
        child.wait_until(lambda: "writing" in child.said())
        os.kill(child.process.pid, signal.SIGKILL)
        child.exit_code()
    assert LOCK in names(bucket)
    monkeypatch.setattr(lease, "LOOK", 0.05)
    with pytest.raises(ValueError, match="another process is writing"), writing(bucket, wait=0.5):
        pass
    monkeypatch.setattr(lease, "GONE", 0.5)
    with writing(bucket, wait=30):
        monkeypatch.setattr(lease, "GONE", 60.0)
        with pytest.raises(ValueError, match="another process is writing"), writing(bucket, wait=0.2):
            pass


def test_a_writer_that_renews_its_right_keeps_it(bucket, monkeypatch):
    monkeypatch.setattr(lease, "RENEWED", 0.05)
    monkeypatch.setattr(lease, "LOOK", 0.05)
    monkeypatch.setattr(lease, "GONE", 1.0)
    with (
        writing(bucket, wait=0),
        pytest.raises(ValueError, match="another process is writing"),
        writing(bucket, wait=3),
    ):
        pass
    with writing(bucket, wait=0):
        pass


class Storage:
    """The store of a bucket, of which something goes wrong once."""

    def __init__(self, bucket: Bucket, monkeypatch) -> None:
        self.store, self.lost = bucket.store, 0
        monkeypatch.setattr("sketchloss.gallery.places._store", lambda _: self)

    def __getattr__(self, name: str):
        return getattr(self.store, name)


def test_a_lost_answer_to_a_renewal_loses_no_right(bucket, monkeypatch):
    from obstore.exceptions import GenericError

    class Cut(Storage):
        def put(self, name, content, *, mode):
            found = self.store.put(name, content, mode=mode)
            if isinstance(mode, dict) and not self.lost:
                self.lost += 1
                raise GenericError("connection reset before the answer came")
            return found

    monkeypatch.setattr(lease, "RENEWED", 0.05)
    monkeypatch.setattr(lease, "LOOK", 0.05)
    monkeypatch.setattr(lease, "GONE", 1.0)
    storage = Cut(bucket, monkeypatch)
    with writing(bucket, wait=0) as check:
        with pytest.raises(ValueError, match="another process is writing"), writing(bucket, wait=3):
            pass
        assert storage.lost == 1
        check()
    assert LOCK not in names(bucket)


def test_a_right_whose_making_was_not_answered_is_taken_at_once(bucket, monkeypatch):
    from obstore.exceptions import AlreadyExistsError

    class TriesAgain(Storage):
        def put(self, name, content, *, mode):
            found = self.store.put(name, content, mode=mode)
            if mode == "create" and not self.lost:
                self.lost += 1
                raise AlreadyExistsError("what a second try gets")
            return found

    storage = TriesAgain(bucket, monkeypatch)
    with writing(bucket, wait=0) as check:
        check()
    assert (storage.lost, LOCK in names(bucket)) == (1, False)


def test_a_writer_whose_right_was_taken_over_writes_no_more(place, build, bucket, capsys, monkeypatch):
    """It was stopped, say, for longer than others wait."""
    said(capsys, *build)
    gallery = Gallery.open(PLACE)
    known = PictureTable.known

    def stopped(table, where=None):
        if not (found := known(table, where)):
            return found
        bucket.store.put(LOCK, b"another 0")
        monkeypatch.setattr(lease, "GONE", 0.0)  # so much time has passed
        return found

    monkeypatch.setattr(PictureTable, "known", stopped)
    message = "another process writes to this gallery now, because this one was stopped or cut off"
    with pytest.raises(ValueError, match=message):
        gallery.remove(label="cat")
    with pytest.raises(ValueError, match=message):
        gallery.add([place / "drawings"], prune=True)
    assert len(gallery) == 9
    assert bytes(bucket.store.get(LOCK).bytes()) == b"another 0"  # whoever has it now keeps it


def test_a_right_that_is_lost_is_not_taken_back(bucket, monkeypatch):
    monkeypatch.setattr(lease, "RENEWED", 0.02)
    with writing(bucket, wait=0) as check:
        bucket.store.put(LOCK, b"another 0")
        time.sleep(0.5)  # many renewals
        assert bytes(bucket.store.get(LOCK).bytes()) == b"another 0"
        with pytest.raises(ValueError, match="another process writes to this gallery now"):
            check()
    assert bytes(bucket.store.get(LOCK).bytes()) == b"another 0"


NO_RIGHTS = "no rights for this; check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, and what they may do with the bucket"


def test_without_rights_every_command_says_so(place, build, server, capsys):
    said(capsys, *build)
    gallery = Gallery.open(PLACE)
    post(f"{server}/moto-api/reset-auth", b"0")  # from here on, the keys of nobody are refused
    for line in (build, ["gallery", "info", PLACE], ["gallery", "search", PLACE, str(place / "drawings/cat/0.png")]):
        assert said(capsys, *line, code=2) == f"sketchloss gallery {line[1]}: {PLACE}: {NO_RIGHTS}\n"
    for act in (
        lambda: len(gallery),
        lambda: gallery.remove(label="cat"),
        lambda: write_settings(gallery.folder, gallery.settings),
    ):
        with pytest.raises(ValueError, match=NO_RIGHTS):
            act()


def test_mistakes(place, build, server, capsys, monkeypatch):
    for address, reason in (
        ("s3://", "names no folder in a bucket: use an address such as s3://bucket/my-gallery"),
        ("s3://drawings", "s3://drawings names no folder in a bucket"),
        (
            "s3://drawings/a#b",
            "s3://drawings/a#b has '#' in it, which means something else in an address: leave it out",
        ),
        ("s3://drawings/a?b", "has '?' in it"),
        ("s3://drawings/a%20b", "has '%' in it"),
        ("s3://nobody/mine", "s3://nobody/mine: there is no such bucket; check the address and AWS_ENDPOINT_URL"),
        ("s3://drawings/nothing", "s3://drawings/nothing is no gallery: check the path, or make one with"),
    ):
        assert reason in said(capsys, "gallery", "info", address, code=2)
    with urlopen(Request(f"{server}/drawings/other/file.txt", data=b"x", method="PUT"), timeout=30):
        pass
    line = [*build[:2], "s3://drawings/other", *build[3:]]
    assert "s3://drawings/other is there and is no empty folder" in said(capsys, *line, code=2)
    with urlopen(Request(f"{server}/drawings/other/gallery.json", data=b"{", method="PUT"), timeout=30):
        pass
    assert "s3://drawings/other/gallery.json is damaged" in said(
        capsys, "gallery", "info", "s3://drawings/other", code=2
    )
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    expected = "the server does not answer; check AWS_ENDPOINT_URL"
    assert expected in said(capsys, "gallery", "info", "s3://drawings/elsewhere", code=2)
    monkeypatch.delenv("AWS_ALLOW_HTTP")
    expected = "s3://drawings/bare: AWS_ENDPOINT_URL is not encrypted; to allow that, set AWS_ALLOW_HTTP=true"
    assert expected in said(capsys, "gallery", "info", "s3://drawings/bare", code=2)
