"""Oracle: the bytes on disk, before, during and after."""

import json
import os
import stat
import threading
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from sketchloss.system import files
from sketchloss.system.files import claim_folder, clear_left_behind, contents, write_atomic, write_json, write_tensors


@dataclass
class Settings:
    seed: int


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_file_appears_whole_when_the_block_ends(tmp_path):
    path = tmp_path / "drawing.png"
    with write_atomic(path) as temporary:
        temporary.write_bytes(b"first half")
        assert not path.exists()
        assert temporary.parent == path.parent  # a rename across disks would copy
        assert temporary.suffix == ".png"  # writers choose the format by it
    assert path.read_bytes() == b"first half"
    assert names(tmp_path) == ["drawing.png"]


@pytest.mark.parametrize("name", ["n" * 251 + ".png", "é" * 125 + ".png", "n" * 255])
def test_a_name_as_long_as_they_may_be(tmp_path, name):
    with write_atomic(tmp_path / name) as temporary:
        assert temporary.name.endswith(Path(name).suffix)  # Pillow goes by it
        temporary.write_bytes(b"all")
    assert names(tmp_path) == [name]
    assert (tmp_path / name).read_bytes() == b"all"


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_error_keeps_the_earlier_file_and_leaves_nothing_else(tmp_path, error):
    path = tmp_path / "notes.txt"
    path.write_text("earlier")

    def write_half_and_stop():
        with write_atomic(path) as temporary:
            temporary.write_text("half of the la")
            raise error("stopped here")

    with pytest.raises(error, match="stopped here"):
        write_half_and_stop()
    assert path.read_text() == "earlier"
    assert names(tmp_path) == ["notes.txt"]


def test_a_writer_that_removed_its_file_is_an_error_not_a_loss(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("earlier")
    with pytest.raises(FileNotFoundError), write_atomic(path) as temporary:
        temporary.unlink()
    assert path.read_text() == "earlier"


def test_missing_folder_is_named(tmp_path):
    with (
        pytest.raises(FileNotFoundError, match=r"folder .*nowhere does not exist: make it first"),
        write_atomic(tmp_path / "nowhere" / "x.txt"),
    ):
        pytest.fail("the block must not run")
    assert names(tmp_path) == []


def test_devices_pipes_and_what_lies_in_dev_are_never_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "out.csv").symlink_to(tmp_path / "pipe")
    # /dev/stdout is a link, to a regular file where the output goes into one
    for path in (tmp_path / "pipe", tmp_path / "out.csv", "/dev/null", "/dev/stdout", "/dev/of-no-such-name"):
        with pytest.raises(ValueError, match="is no regular file"), write_atomic(path):
            pytest.fail("the block must not run")
    assert names(tmp_path) == ["out.csv", "pipe"]
    assert (tmp_path / "pipe").is_fifo()


@pytest.mark.parametrize("mask", [0o022, 0o077, 0o002])
def test_permissions_are_those_of_any_new_file(tmp_path, mask):
    before = os.umask(mask)
    try:
        (tmp_path / "plain").write_text("x")
        with write_atomic(tmp_path / "atomic") as temporary:
            temporary.write_text("x")
        assert os.umask(mask) == mask  # and the process's own setting is untouched
    finally:
        os.umask(before)
    found = stat.S_IMODE((tmp_path / "atomic").stat().st_mode)
    assert found == stat.S_IMODE((tmp_path / "plain").stat().st_mode) == 0o666 & ~mask


def test_concurrent_writers_and_readers_only_ever_see_whole_files(tmp_path):
    path = tmp_path / "shared.txt"
    path.write_text("0" * 50_000)
    whole = {str(writer) * 50_000 for writer in range(5)}
    seen, done = set(), threading.Event()

    def write(writer: int) -> None:
        for _ in range(20):
            with write_atomic(path) as temporary, temporary.open("w") as file:
                for _ in range(50):
                    file.write(str(writer) * 1000)
                    file.flush()

    def read() -> None:
        while not done.is_set():
            seen.add(path.read_text())

    reader = threading.Thread(target=read, daemon=True)
    writers = [threading.Thread(target=write, args=(writer,), daemon=True) for writer in range(1, 5)]
    reader.start()
    for thread in writers:
        thread.start()
    for thread in writers:
        thread.join(120)
    done.set()
    reader.join(60)
    assert not any(thread.is_alive() for thread in (*writers, reader))
    assert len(seen) > 1
    assert seen <= whole
    assert names(tmp_path) == ["shared.txt"]


def test_tensors_on_a_full_disk_are_one_line_and_the_earlier_file_stays(tmp_path, small_disk):
    path = tmp_path / "model.safetensors"
    write_tensors(path, {"a": torch.ones(3)}, {"about": "three"})
    with small_disk(1000), pytest.raises(OSError, match=r"cannot write .*model.safetensors .*: free some space"):
        write_tensors(path, {"a": torch.zeros(5000)})
    assert load_file(path)["a"].tolist() == [1, 1, 1]
    assert [file.name for file in tmp_path.iterdir()] == ["model.safetensors"]


def test_json_is_indented_utf8_that_reads_back(tmp_path):
    value = {"name": "Bäume 素描", "numbers": [1, 2.5, None, True]}
    write_json(tmp_path / "value.json", value)
    raw = (tmp_path / "value.json").read_bytes()
    assert json.loads(raw) == value
    assert "素描".encode() in raw
    assert raw.endswith(b"\n}\n")


def test_json_has_names_that_are_no_text(tmp_path):
    name = os.fsdecode(b"caf\xe9.png")
    write_json(tmp_path / "x.json", {"name": name})
    assert json.loads((tmp_path / "x.json").read_text("utf-8")) == {"name": name}


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {"deep": [-float("inf")]}])
def test_json_has_no_nan(tmp_path, value):
    path = tmp_path / "value.json"
    write_json(path, 1)
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(path, value)
    assert path.read_text() == "1\n"
    assert names(tmp_path) == ["value.json"]


def test_a_folder_is_claimed_made_anew_only_when_asked_and_only_of_its_own(tmp_path):
    out = tmp_path / "out"
    claim_folder(out, kind="study", made={"results.json", "table.md", "runs"}, again=False)
    with pytest.raises(ValueError, match="add --again to do a study over"):
        claim_folder(out, kind="study", made={"results.json"}, again=False)
    with pytest.raises(ValueError, match="not empty and not a separation"):
        claim_folder(out, kind="separation", made={"results.json"}, again=True)
    (out / "runs").mkdir()
    (out / "runs" / "deep.txt").write_text("made by it")
    # What a killed process left of a file that was being written.
    (out / ".table.0123456789abcdef.md").write_text("half")
    claim_folder(out, kind="study", made={"results.json", "table.md", "runs"}, again=True)
    assert names(out) == ["results.json"]
    (out / ".mine.0123456789abcdef.md").write_text("precious")
    with pytest.raises(ValueError, match=r"holds \.mine\.0123456789abcdef\.md, which no study made"):
        claim_folder(out, kind="study", made={"results.json", "table.md", "runs"}, again=True)
    assert names(out) == [".mine.0123456789abcdef.md", "results.json"]


def test_a_folder_that_is_gone_on_with_keeps_what_is_in_it_and_what_is_not_its_own(tmp_path):
    out = tmp_path / "out"

    def claim(**how):
        claim_folder(out, kind="study", made={"study.json", "cells"}, resume=True, mark="study.json", **how)

    out.mkdir()
    (out / "notes.txt").write_text("precious")
    for again in (False, True):
        with pytest.raises(ValueError, match="not empty and not a study: choose another --out"):
            claim(again=again)
    (out / "notes.txt").unlink()
    claim(again=False, launch="here")
    assert json.loads((out / "study.json").read_text()) == {"format": "sketchloss study", "launch": "here"}
    (out / "cells").mkdir()
    (out / "notes.txt").write_text("precious")
    claim(again=False)
    assert names(out) == ["cells", "notes.txt", "study.json"]
    claim(again=True)
    assert names(out) == ["notes.txt", "study.json"]


def test_a_folder_whose_removal_was_interrupted_can_be_done_over(tmp_path, monkeypatch):
    out = tmp_path / "out"
    made = {"config.json", "results.json", "runs"}
    claim_folder(out, kind="probe", made=made, again=False)
    (out / "runs").mkdir()

    def interrupted(path):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("shutil.rmtree", interrupted)
        with pytest.raises(KeyboardInterrupt):
            claim_folder(out, kind="probe", made=made, again=True)
    claim_folder(out, kind="probe", made=made, again=True)
    assert names(out) == ["results.json"]


def test_a_claim_that_was_interrupted_can_be_done_over(tmp_path, monkeypatch):
    out = tmp_path / "out"
    how = {"kind": "probe", "made": {"config.json", "results.json"}, "settings": Settings(3)}
    write = files.write_json

    def once(path, value):
        write(path, value)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(files, "write_json", once)
        with pytest.raises(KeyboardInterrupt):
            claim_folder(out, again=False, **how)
    claim_folder(out, again=True, **how)
    assert json.loads((out / "config.json").read_text()) == {"seed": 3}


def test_what_a_killed_process_left_is_no_obstacle_and_is_cleared(tmp_path):
    left = [tmp_path / ".curves.0123456789abcdef.png", tmp_path / "model" / ".model.fedcba9876543210.safetensors"]
    (tmp_path / "model").mkdir()
    mine = tmp_path / ".notes.png"
    for path in (*left, mine):
        path.write_bytes(b"x")
    assert contents(tmp_path) == [path for path in tmp_path.iterdir() if path.name in ("model", ".notes.png")]
    clear_left_behind(tmp_path)
    assert [path.exists() for path in (*left, mine)] == [False, False, True]
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / ".results.0123456789abcdef.json").write_text("{")  # killed before it could say whose it is
    claim_folder(tmp_path / "run", kind="probe", made={"results.json"}, again=False)
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["results.json"]
