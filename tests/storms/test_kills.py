"""Commands that are killed, before their n-th change of a file or at any time. Oracle: the unbroken command."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from random import Random

import numpy as np
import pytest
from safetensors.numpy import load_file

from sketchloss.data.doodles.kinds import doodle
from sketchloss.gallery import Gallery

#: A file that was begun, beside the one that it was to become.
BEGUN = re.compile(r"\..+\.[0-9a-f]{16}(\.\w+)?")
WAYS = ("change", "time")


@pytest.fixture(scope="module")
def drawings(tmp_path_factory) -> Path:
    """Two folders, `first` and `second`, of two classes each."""
    place = tmp_path_factory.mktemp("drawings")
    for number, kind in enumerate(("cat", "star", "cat", "star")):
        folder = place / ("first", "second")[number // 2] / kind
        folder.mkdir(parents=True)
        for seed in range(4):
            doodle(kind, 4 * number + seed).sketch(32).save(folder / f"{seed}.png")
    return place


def moment(way: str, random: Random, whole) -> dict[str, float]:
    """Draw when a command is killed that ran whole as this one did; a start of Python is not worth a kill."""
    if way == "change":
        return {"change": random.randint(1, whole.changes)}
    return {"seconds": random.uniform(0.2, 1.1) * whole.seconds}


def files(folder: Path) -> set[str]:
    """Names of all files, TensorBoard's numbered ones apart."""
    found = (str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    return {name for name in found if "events.out" not in name}


# Trainings -----------------------------------------------------------------------------------------------------------


def trained(folder: Path) -> dict[str, np.ndarray | str]:
    """Everything that a training leaves, but for how fast it was."""
    left: dict[str, np.ndarray | str] = {}
    for path in sorted(folder.rglob("*.safetensors")):
        place = path.relative_to(folder)
        left |= {f"{place} {name}": tensor for name, tensor in load_file(path).items()}
    for line in map(json.loads, (folder / "metrics.jsonl").read_text().splitlines()):
        left |= {f"{line['step']} {key}": str(line[key]) for key in line if "loss" in key or "accuracy" in key}
    return left | dict.fromkeys(files(folder), "")


def difference(one: dict, other: dict) -> str:
    names = sorted(one.keys() ^ other.keys())
    return ", ".join(names or [name for name in one if not np.array_equal(one[name], other[name])])


def kill_trainings(storm, start: Callable, tmp_path: Path, *, small: int, full: int) -> None:
    whole = start(tmp_path / "whole", "")
    assert whole.code == 0, str(whole)
    expected = trained(tmp_path / "whole")
    for way, case, random in storm.cases(WAYS, small=small, full=full):
        folder = tmp_path / case.replace(" ", "-")
        kills = 0
        for last in range(random.randint(1, 2), -1, -1):  # killed once or twice, and then left in peace
            resume = "--resume" if (folder / "config.json").exists() else ""
            ended = start(folder, resume, **(moment(way, random, whole) if last else {}))
            kills += ended.was_killed
            if ended.code > 0 or (ended.code and not last):
                storm.lose(case, str(ended))
                break
        else:
            if differs := difference(trained(folder), expected):
                storm.lose(case, f"after {kills} kills another result than the unbroken run: {differs}")
            storm.note(("ended before the kill", "killed once and resumed", "killed twice and resumed")[kills])
    storm.end()


def test_killed_finetune(storm, commands, drawings, narrow, tmp_path):
    def start(folder: Path, resume: str, **kill: float):
        return commands.run(
            *("finetune", "--data", drawings / "first", "--out", folder, "--weights", narrow, "--licence", "MIT"),
            *("--image-size", 24, "--image-sizes", 24, "--held-out", 0.5, "--batch-size", 2, "--epochs", 2),
            *("--warmup", 1, "--workers", 0, "--precision", "no", "--checkpoint-every", 1, "--log-every", 1),
            *filter(None, [resume]),
            folder=folder,
            **kill,
        )

    kill_trainings(storm, start, tmp_path, small=2, full=40)


def test_killed_style_training(storm, commands, drawings, narrow, tmp_path):
    def start(folder: Path, resume: str, **kill: float):
        return commands.run(
            *("style", "train", "--content", "doodles", "--style", drawings / "first" / "cat", "--out", folder),
            *("--arm", "tuning", "--tuning", narrow, "--image-size", 16, "--width", 0.125, "--blocks", 0, "--limit", 8),
            *("--style-limit", 2, "--style-layers", "relu1_2", "--content-layer", "relu1_2", "--balance-batches", 1),
            *("--steps", 3, "--batch-size", 2, "--shown", 1, "--sample-every", 2, "--checkpoint-every", 1),
            *("--log-every", 1, "--workers", 0, "--precision", "no"),
            *filter(None, [resume]),
            folder=folder,
            **kill,
        )

    kill_trainings(storm, start, tmp_path, small=1, full=20)


# Galleries -----------------------------------------------------------------------------------------------------------


def rows(folder: Path) -> dict[bytes, tuple]:
    return {row.path: (row.hash, row.label, row.embedding.tobytes()) for row in Gallery.open(folder).table.rows()}


def test_killed_gallery(storm, commands, drawings, narrow, tmp_path):
    def build(folder: Path, **kill: float):
        return commands.run("gallery", "build", folder, drawings / "first", *SETTINGS, folder=folder, **kill)

    def add(folder: Path, **kill: float):
        return commands.run("gallery", "add", folder, drawings / "second", folder=folder, **kill)

    SETTINGS = ("--weights", narrow, "--image-size", 32)  # noqa: N806
    whole = tmp_path / "whole"
    unbroken = build(whole), add(whole)
    assert [ended.code for ended in unbroken] == [0, 0], unbroken
    expected = rows(whole)
    for way, case, random in storm.cases(WAYS, small=1, full=24):
        folder = tmp_path / case.replace(" ", "-")
        killed = []
        for command, whole_run in zip((build, add), unbroken, strict=True):
            killed.append(command(folder, **moment(way, random, whole_run)).was_killed)
            again = command(folder)
            done = "is a gallery of 8 drawings already" in again.said  # it was killed after its last change
            if again.code and not done:
                storm.lose(case, f"{command.__name__}: {again}")
        if rows(folder) != expected:
            storm.lose(case, f"{len(rows(folder))} rows, or others than the {len(expected)} of the unbroken commands")
        elif beside := {path.name for path in folder.iterdir()} ^ {path.name for path in whole.iterdir()}:
            storm.lose(case, f"other files than after the unbroken commands: {beside}")
        storm.note(f"built and added to, killed {sum(killed)} times")
    storm.end()


# Tables --------------------------------------------------------------------------------------------------------------


def test_killed_compare(storm, commands, drawings, narrow, tmp_path):
    def compare(folder: Path, **kill: float):
        table = folder / "table.csv"
        given = ("--csv", table, "--weights", narrow, "--size", 32, "--layers", "relu1_2")
        return commands.run("compare", drawings / "first", drawings / "second", *given, folder=folder, **kill)

    (tmp_path / "whole").mkdir()
    whole = compare(tmp_path / "whole")
    assert whole.code == 0, str(whole)
    expected = (tmp_path / "whole" / "table.csv").read_text()
    for way, case, random in storm.cases(WAYS, small=1, full=30):
        folder = tmp_path / case.replace(" ", "-")
        folder.mkdir()
        (folder / "table.csv").write_text("an older table")
        killed = compare(folder, **moment(way, random, whole)).was_killed
        found = (folder / "table.csv").read_text()
        if found not in ("an older table", expected):
            storm.lose(case, f"a table in parts: {found!r}")
        again = compare(folder)
        if again.code or (folder / "table.csv").read_text() != expected:
            storm.lose(case, f"not made by the same command again: {again}")
        beside = [name for name in files(folder) if name != "table.csv"]
        if len(beside) > killed or not all(map(BEGUN.fullmatch, beside)):
            storm.lose(case, f"more than one begun file: {beside}")
        storm.note("killed, whole" + ", a begun file beside it" * len(beside) if killed else "ended before the kill")
    storm.end()
