"""Folders that two processes compare. Oracle: the output and the bytes of one process."""

import os
import signal
import sys
from pathlib import Path

import pytest

from child_process import finished
from sketchloss.cli import main
from sketchloss.compare.spool import part_of
from sketchloss.data.doodles.kinds import doodle
from sketchloss.system.processes import ENDED
from two_processes import both_started, launched

PAIRS = 40
BLOCKS = (2 * 32**2, 2 * 32**2)
#: A block is of 2 pairs, and a round of 2 times 8 of them. Which process fails in the second round, and how, is said in
#: the environment.
SCRIPT = f"""
import os, signal, sys
from sketchloss.cli import main
from sketchloss.compare import measurer, measuring
measuring.BATCH_PIXELS = {BLOCKS}
measurer.BLOCKS = 4
real, calls = measurer.measure_each, []

def measure_each(loss, pairs, **settings):
    calls.append(list(pairs))
    if len(calls) == 3 and os.environ.get("FAILS") == os.environ["RANK"]:
        os.kill(os.getpid(), signal.SIGKILL)
    return real(loss, calls[-1], **settings)

if "FAILS" in os.environ:
    measurer.measure_each = measure_each
code = main(sys.argv[1:])
from torch import distributed
sys.exit(f"connections of gloo are left, beside the exit code {{code}}" if distributed.is_initialized() else code)
"""


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> Path:
    """Pairs of doodles, one of them damaged, and one that is only in the first folder."""
    place = tmp_path_factory.mktemp("folders")
    for shift, name in enumerate(("old", "new")):
        (place / name).mkdir()
        for number in range(PAIRS):
            doodle("cat", number + shift).sketch(32).save(place / name / f"{number:02d}.png")
    (place / "new" / "04.png").write_bytes(b"no picture")
    doodle("cat", 99).sketch(32).save(place / "old" / "alone.png")
    (place / "script.py").write_text(SCRIPT)
    (place / "own.py").write_text(
        "import os\n"
        "def strict(a, b):\n"
        "    if os.environ.get('RANK') == '1':\n"
        "        raise ValueError('not here')\n"
        "    return (a - b).flatten(1).mean(1)\n"
    )
    return place


@pytest.fixture
def command(folders, weights) -> list[str]:
    return ["compare", str(folders / "old"), str(folders / "new"), "--weights", weights, "--size", "32"]


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    from sketchloss.compare import measuring

    monkeypatch.setattr(measuring, "BATCH_PIXELS", BLOCKS)


def test_two_processes_of_accelerate_write_the_bytes_of_one(command, folders, tmp_path, capsys):
    shared, alone = tmp_path / "shared.csv", tmp_path / "alone.csv"
    assert main([*command, "--rows", str(alone), "--distance", "ssim"]) == 0
    said = capsys.readouterr().out
    done = launched(folders / "script.py", *command, "--rows", shared, "--distance", "ssim")
    assert (done.returncode, done.stdout) == (0, said), done.stderr
    assert shared.read_bytes() == alone.read_bytes()
    assert len(shared.read_bytes().splitlines()) == PAIRS + 2


def test_a_killed_helper_is_one_line_and_the_rows_stay(command, folders, tmp_path, capsys, monkeypatch):
    shared, alone = tmp_path / "shared.csv", tmp_path / "alone.csv"
    monkeypatch.setenv("FAILS", "1")
    with both_started(folders / "script.py", *command, "--rows", shared) as (first, second):
        assert (first.exit_code(), second.exit_code()) == (2, -signal.SIGKILL), first.how_it_ended()
        assert (first.complaints(), second.complaints()) == (f"sketchloss compare: {ENDED}\n", "")
    kept = len(part_of(shared).read_bytes().splitlines()) - 1
    assert kept == 32
    with both_started(folders / "script.py", *command, "--rows", shared, "--quiet") as (first, second):
        assert (first.exit_code(), second.exit_code()) == (0, 0), first.complaints()
        assert second.said() == second.complaints() == ""
    assert main([*command, "--rows", str(alone), "--quiet"]) == 0
    assert shared.read_bytes() == alone.read_bytes()


def test_what_a_helper_cannot_do_is_said_by_the_one_that_leads(command, folders):
    with both_started(folders / "script.py", *command, "--distance", f"{folders / 'own.py'}:strict") as (first, second):
        assert (first.exit_code(), second.exit_code()) == (2, 0), first.how_it_ended()
        assert first.complaints().startswith("sketchloss compare: ")
        assert "not here" in first.complaints()
        assert (first.complaints().count("\n"), second.complaints()) == (1, "")


def test_one_pair_needs_no_other_process(command, folders):
    one = [command[0], *(str(folders / name / "00.png") for name in ("old", "new")), *command[3:]]
    with both_started(folders / "script.py", *one) as (first, second):
        assert (first.exit_code(), second.exit_code()) == (0, 0), first.complaints()
        assert ("distance" in first.said(), second.said()) == (True, "")


def test_a_single_process_of_a_launcher_works_alone(command, folders):
    done = finished(
        ["torchrun", "--nproc_per_node=1", "--master_port=0", folders / "script.py", *command, "--quiet"],
        env={**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("distance ")
