"""A gallery that two processes make. Oracle: the gallery that one process makes of the same files."""

import shutil
import signal
import socket
from pathlib import Path

import numpy as np
import pytest
import torch

from sketchloss import Backbone, save_backbone
from sketchloss.cli import main
from sketchloss.data.doodles.kinds import doodle
from sketchloss.gallery import Gallery, searching
from sketchloss.system.processes import ENDED
from two_processes import both_started, launched

FILES = 30
#: Two pictures a batch, so that a round is of 2 times 8 files; every file that was seen is written.
SCRIPT = """
import os, resource, signal, sys
from sketchloss.cli import main
from sketchloss.gallery import adding, searching
searching.BATCH_PIXELS = (2 * 32**2, 2 * 32**2)
adding.COMMIT_SECONDS = 0.0
here, calls = os.environ["RANK"], []

def interrupt(owner, name, rank, after, what):
    real = getattr(owner, name)
    def counted(*arguments):
        calls.append(name)
        if len(calls) > after and here == rank:
            what()
        return real(*arguments)
    setattr(owner, name, counted)

{moment}
sys.exit(main(sys.argv[1:]))
"""
MOMENTS = {
    "unbroken": "",
    "helper killed": (
        'interrupt(searching.SearchableGallery, "embed", "1", 4, lambda: os.kill(os.getpid(), signal.SIGKILL))'
    ),
    "leader killed": 'interrupt(adding.Adding, "_commit", "0", 9, lambda: os.kill(os.getpid(), signal.SIGKILL))',
    "disk full": (
        'interrupt(adding.Adding, "_commit", "0", 9, lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (700, 700)))'
    ),
}


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """Weights, and drawings: two labels, two copies that lie in shares of different processes, and a damaged file."""
    folder = tmp_path_factory.mktemp("shared")
    torch.manual_seed(0)
    save_backbone(Backbone(width=0.1), folder / "weights")
    for seed in range(FILES):
        path = folder / "drawings" / ("cat", "house")[seed % 2] / f"{seed:02d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        doodle(path.parent.name, seed).sketch(32).save(path)
    shutil.copy(folder / "drawings/cat/02.png", folder / "drawings/cat/20.png")
    (folder / "drawings/house/11.png").write_bytes(b"no picture")
    for name, moment in MOMENTS.items():
        (folder / f"{name}.py").write_text(SCRIPT.format(moment=moment))
    return folder


@pytest.fixture(autouse=True)
def small_batches(monkeypatch):
    monkeypatch.setattr(searching, "BATCH_PIXELS", (2 * 32**2, 2 * 32**2))


@pytest.fixture
def build(place, tmp_path) -> list[str]:
    settings = ["--weights", str(place / "weights"), "--image-size", "32"]
    return ["gallery", "build", str(tmp_path / "shared"), str(place / "drawings"), *settings]


def contents(folder: Path) -> tuple[list, np.ndarray]:
    rows, vectors = Gallery.open(folder).table.vectors()
    return [(row.path, row.hash, row.size, row.label) for row in rows], vectors


def assert_same_as_one(shared: Path, build: list[str], capsys, *, rows_in_order: bool = True) -> list[str]:
    """Compare a gallery with that of one process; return what the one process said."""
    alone = shared.with_name("alone")
    assert main([*build[:2], str(alone), *build[3:]]) == 0
    said = capsys.readouterr().out.replace(str(alone), str(shared)).splitlines()
    (found, vectors), (expected, expected_vectors) = contents(shared), contents(alone)
    order = range(len(found)) if rows_in_order else np.argsort([path for path, *_ in found])
    assert [found[place] for place in order] == (expected if rows_in_order else sorted(expected))
    assert vectors[np.argsort([path for path, *_ in found])] == pytest.approx(
        expected_vectors[np.argsort([path for path, *_ in expected])], abs=1e-6
    )
    assert Gallery.open(shared).settings == Gallery.open(alone).settings
    return said


def test_two_processes_of_accelerate_make_the_gallery_that_one_makes(place, build, tmp_path, capsys):
    done = launched(place / "unbroken.py", *build)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    said = assert_same_as_one(tmp_path / "shared", build, capsys)
    without_rate = [line.partition(" (")[0] if "a second" in line else line for line in done.stdout.splitlines()]
    assert without_rate == [line.partition(" (")[0] if "a second" in line else line for line in said]
    (copy,) = Gallery.open(tmp_path / "shared").search_like(place / "drawings/cat/20.png", k=1)
    assert (copy[0].path.name, copy[0].similarity) == ("02.png", pytest.approx(1, abs=1e-6))


@pytest.mark.parametrize(("moment", "who"), [("helper killed", 1), ("leader killed", 0), ("disk full", None)])
def test_what_was_written_outlives_a_process_and_a_full_disk(moment, who, place, build, tmp_path, capsys):
    with both_started(place / f"{moment}.py", *build) as children:
        codes = [child.exit_code() for child in children]
        said = [child.complaints().splitlines() for child in children]
    shared = tmp_path / "shared"
    if who is None:
        (line,) = said[0]
        assert line == (
            f"sketchloss gallery build: {shared}: no space left on the disk; free some and run this again, what was "
            "committed is kept"
        )
        assert (codes, said[1]) == ([2, 0], [])
    else:
        assert codes[who] == -signal.SIGKILL
        assert codes[1 - who] == 1 + who
        assert said[1 - who] == [f"sketchloss gallery build: {ENDED}" if who else f"sketchloss: {ENDED}"]
        assert said[who] == []
    kept = [row.id for row in Gallery.open(shared).table.known()]
    assert 0 < len(kept) < FILES - 1
    assert main(build) == 0
    assert f"{len(kept):,} there already" in capsys.readouterr().out
    assert {row.id for row in Gallery.open(shared).table.known()} > set(kept)
    assert_same_as_one(shared, build, capsys, rows_in_order=False)


def test_a_killed_helper_is_one_line_under_the_launcher_too(place, build, tmp_path):
    done = launched(place / "helper killed.py", *build)
    assert done.returncode == 1
    assert [line for line in done.stderr.splitlines() if line.startswith("sketchloss")][:1] == [
        f"sketchloss gallery build: {ENDED}"
    ]
    assert Gallery.open(tmp_path / "shared").table.count() > 0


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"WORLD_SIZE": "x"}, "the environment variable WORLD_SIZE is 'x': set a whole number, or unset it"),
        ({"WORLD_SIZE": "2", "RANK": "-1"}, "the environment variable RANK is '-1'"),
        (
            {"WORLD_SIZE": "2", "RANK": "0", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "{taken}"},
            "the processes cannot",
        ),
        ({"WORLD_SIZE": "2", "RANK": "0"}, "the processes cannot meet at : (Error initializing torch.distributed"),
    ],
)
def test_wrong_variables_of_a_launcher_are_one_line(variables, said, build, tmp_path, capsys, monkeypatch):
    for name in ("MASTER_ADDR", "MASTER_PORT", "RANK", "WORLD_SIZE", "TORCHELASTIC_USE_AGENT_STORE"):
        monkeypatch.delenv(name, raising=False)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        for name, value in variables.items():
            monkeypatch.setenv(name, value.format(taken=taken.getsockname()[1]))
        assert main(build) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert said in err
    assert not list(tmp_path.iterdir())


def test_empty_variables_of_a_launcher_are_none(build, tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "")
    assert main(build) == 0


def test_mistakes_are_said_once(place, build, tmp_path):
    damaged = [*build[:3], str(tmp_path / "nowhere"), *build[4:]]
    with both_started(place / "unbroken.py", *damaged) as children:
        assert [child.exit_code() for child in children] == [2, 0]
        complaints = [child.complaints() for child in children]
    assert complaints == [f"sketchloss gallery build: {tmp_path / 'nowhere'} does not exist: check the path\n", ""]
    assert not list(tmp_path.iterdir())
