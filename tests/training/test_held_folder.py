"""Two processes and one folder for results. Oracles: the folder's files, byte for byte, and what the commands say."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from child_process import PIPE, started
from sketchloss.cli import main
from sketchloss.data.doodles.kinds import doodle
from sketchloss.experiments.study import Study
from sketchloss.experiments.study.whole import _open_folder
from sketchloss.gallery import Gallery
from sketchloss.training.held_folder import hold_run_folder

HOLD = (
    "import sys; from sketchloss.training.held_folder import hold_run_folder\n"
    "with hold_run_folder(sys.argv[1]):\n"
    "    print('held', flush=True); sys.stdin.read()"
)
COMMANDS = (
    ["finetune", "--data", "doodles", "--out", "OUT"],
    ["retrieval", "--data", "doodles", "--out", "OUT"],
    ["separation", "--data", "doodles", "--out", "OUT"],
    ["probe", "--data", "doodles", "--out", "OUT"],
    ["tricks", "--data", "doodles", "--out", "OUT"],
    ["style", "train", "--content", "doodles", "--style", "doodles", "--out", "OUT"],
    ["style", "table", "--content", "doodles", "--sets", "doodles", "--out", "OUT"],
    ["lora", "train", "--data", "doodles", "--out", "OUT"],
    ["lora", "table", "--data", "doodles", "--out", "OUT"],
    ["lora", "base", "--data", "doodles", "--out", "OUT"],
    ["lora", "sample", "--classes", "cat", "--out", "OUT"],
)


@pytest.fixture(scope="module")
def held(tmp_path_factory) -> Iterator[Path]:
    """A folder in which another process is at work."""
    folder = tmp_path_factory.mktemp("held") / "run"
    with started([sys.executable, "-c", HOLD, folder], seconds=1200, stdin=PIPE) as child:
        child.wait_until(lambda: child.said() == "held\n")
        (folder / "notes.txt").write_text("of the other process")
        yield folder
        assert child.process.poll() is None


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_no_command_works_in_a_folder_where_another_process_does(held, capsys, command):
    before = {path: path.read_bytes() for path in held.rglob("*")}
    assert main([part.replace("OUT", str(held)) for part in command]) == 2
    said = capsys.readouterr().err
    assert f"another process is working in {held}: wait until it is done, or choose another --out\n" in said
    assert said.count("\n") == 1
    assert {path: path.read_bytes() for path in held.rglob("*")} == before


def test_a_study_is_not_done_over_while_a_process_is_at_one_of_its_cells(tmp_path, held):
    out = tmp_path / "study"
    (out / "cells").mkdir(parents=True)
    (out / "study.json").write_text('{"format": "sketchloss study"}')
    (out / "cells" / "tuning-0").symlink_to(held)
    with pytest.raises(ValueError, match=r"another process is working in .*study: wait until"):
        _open_folder(Study(out=out, again=True), "")
    assert (held / "notes.txt").is_file()
    (out / "cells" / "tuning-0").unlink()
    (out / "cells" / "tuning-0").mkdir()
    (out / "cells" / "tuning-0" / ".lock").touch()  # as a killed process leaves it
    _open_folder(Study(out=out, again=True), "")
    assert not (out / "cells").exists()


def test_a_folder_that_is_refused_stays_as_it_was(tmp_path):
    out = tmp_path / "thesis"
    out.mkdir()
    (out / ".notes.0123456789abcdef.md").write_text("precious")
    (out / "thesis.tex").write_text("precious")
    with hold_run_folder(out):
        pass
    assert sorted(path.name for path in out.iterdir()) == [".notes.0123456789abcdef.md", "thesis.tex"]
    with pytest.raises(RuntimeError), hold_run_folder(tmp_path / "new" / "deep"):
        raise RuntimeError
    assert [path.name for path in tmp_path.iterdir()] == ["thesis"]
    with pytest.raises(ValueError, match=r"thesis\.tex is not a folder: choose"), hold_run_folder(out / "thesis.tex"):
        pass


def test_two_processes_that_build_one_gallery_make_it_once(tmp_path):
    for number in range(6):
        (tmp_path / "drawings").mkdir(exist_ok=True)
        doodle("cat", number).sketch(64).save(tmp_path / "drawings" / f"{number}.png")
    line = [sys.executable, "-m", "sketchloss", "gallery", "build", "gallery", "drawings", "--image-size", "32"]
    with started(line, seconds=240, cwd=tmp_path) as first, started(line, seconds=240, cwd=tmp_path) as second:
        codes = [child.exit_code() for child in (first, second)]
        for child in (first, second):
            assert child.complaints().count("\n") <= 1, child.complaints()  # that it waits, or that the other made it
    assert sorted(codes) in ([0, 0], [0, 2])
    assert len(Gallery.open(tmp_path / "gallery")) == 6
    assert Gallery.open(tmp_path / "gallery").settings.built
