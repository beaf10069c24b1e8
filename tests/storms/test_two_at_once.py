"""Two processes at once in one gallery, one run folder, one file. Oracle: what one process makes alone."""

from pathlib import Path
from random import Random

import pytest
from PIL import Image

from sketchloss.data.doodles.kinds import doodle
from sketchloss.gallery import Gallery

#: Exit codes of a command that did what it should, and of one that was told in a line why it did not.
DONE, REFUSED = 0, 2


@pytest.fixture(scope="module")
def drawings(tmp_path_factory) -> Path:
    """Three folders, `0` to `2`, of two classes each."""
    place = tmp_path_factory.mktemp("drawings")
    for number in range(3):
        for kind in ("cat", "star"):
            (place / f"{number}" / kind).mkdir(parents=True)
            for seed in range(3):
                doodle(kind, 3 * number + seed).sketch(32).save(place / f"{number}" / kind / f"{seed}.png")
    return place


def run_well(storm, case: str, commands, *arguments, folder: Path) -> bool:
    """Run one command alone, which must do its work; say what happened if it does not."""
    ended = commands.run(*arguments, folder=folder)
    if ended.code != DONE:
        storm.lose(case, f"{' '.join(map(str, arguments[:2]))}, alone: {ended}")
    return ended.code == DONE


def both(commands, random: Random, first: list, second: list, folder: Path):
    """Run two commands at once, in either order; the second is started a moment later."""
    order = [first, second] if random.random() < 0.5 else [second, first]
    begun = [commands.start(*arguments, folder=folder) for arguments in order]
    ended = [commands.wait(*process) for process in begun]
    return ended if order[0] is first else ended[::-1]


def check(storm, case: str, ended, refusals: tuple[str, ...]) -> None:
    """Each must have done its work, or have been refused in one line with one of these words."""
    for one, other in (ended, ended[::-1]):
        last = (one.said.strip().splitlines() or [""])[-1]
        if one.code != DONE and not (one.code == REFUSED and any(words in last for words in refusals)):
            storm.lose(case, f"one: {one}\n    the other: {other}")


def test_one_gallery_for_two(storm, commands, drawings, narrow, tmp_path):
    settings = ["--weights", narrow, "--image-size", 32]
    whole = tmp_path / "whole"
    Gallery.build(whole, [drawings / "0"], weights=narrow, image_size=32)[0].add([drawings / "1", drawings / "2"])
    expected = {row.path: row.embedding.tobytes() for row in Gallery.open(whole).table.rows()}
    for kind, case, random in storm.cases(("build", "add"), small=2, full=16):
        folder = tmp_path / case.replace(" ", "-")
        building = ["gallery", "build", folder, drawings / "0", *settings]
        if kind == "build":
            refusals = ("is a gallery of", "has just become a gallery", "is no empty folder")
            check(storm, case, both(commands, random, building, building, folder), refusals)
        else:
            if not run_well(storm, case, commands, *building, folder=folder):
                continue
            adding = [["gallery", "add", folder, drawings / name] for name in "12"]
            check(storm, case, both(commands, random, *adding, folder), ())
        afterwards = ["gallery", "add", folder, *(drawings / name for name in "012")]
        if not run_well(storm, case, commands, *afterwards, folder=folder):
            continue
        gallery = Gallery.open(folder)
        found = {row.path: row.embedding.tobytes() for row in gallery.table.rows()}
        if found != expected:
            storm.lose(case, f"{len(found)} rows, or others than the {len(expected)} that one process makes")
        gallery.search(Image.new("L", (32, 32), "white"), 1)
        storm.note("two at once in a gallery")
    storm.end()


def test_one_run_folder_for_two(storm, commands, drawings, narrow, tmp_path):
    def training(folder: Path) -> list:
        return [
            *("finetune", "--data", drawings / "0", "--out", folder, "--weights", narrow, "--licence", "MIT"),
            *("--image-size", 24, "--image-sizes", 24, "--held-out", 0.5, "--batch-size", 2, "--epochs", 2),
            *("--warmup", 1, "--workers", 0, "--precision", "no", "--checkpoint-every", 1, "--log-every", 1),
        ]

    whole = tmp_path / "whole"
    alone = commands.run(*training(whole), folder=whole)
    assert alone.code == DONE, str(alone)
    expected = (whole / "best" / "model.safetensors").read_bytes()
    last = (whole / "checkpoints" / "last" / "model.safetensors").read_bytes()
    refusals = ("another process is working in", "already holds a run", "holds no run to resume")
    for kind, case, random in storm.cases(("new", "resumed"), small=1, full=10):
        folder = tmp_path / case.replace(" ", "-")
        line = training(folder)
        if kind == "resumed":
            killed = commands.run(*line, folder=folder, change=random.randint(20, 60))
            if killed.code > 0:
                storm.lose(case, f"to be killed: {killed}")
            line += ["--resume"] * (folder / "config.json").exists()
        check(storm, case, both(commands, random, line, line, folder), refusals)
        afterwards = [*training(folder), *["--resume"] * (folder / "config.json").exists()]
        if not run_well(storm, case, commands, *afterwards, folder=folder):
            continue
        if (folder / "best" / "model.safetensors").read_bytes() != expected:
            storm.lose(case, "other best weights than one process makes")
        if (folder / "checkpoints" / "last" / "model.safetensors").read_bytes() != last:
            storm.lose(case, "other last weights than one process makes")
        storm.note("two at once in a run folder")
    storm.end()


def test_one_table_for_two(storm, commands, drawings, narrow, tmp_path):
    def comparing(table: Path, name: str) -> list:
        given = ["--csv", table, "--weights", narrow, "--size", 32, "--layers", "relu1_2"]
        return ["compare", drawings / "0", drawings / name, *given]

    tables = {}
    for name in "12":
        alone = commands.run(*comparing(tmp_path / f"{name}.csv", name), folder=tmp_path)
        assert alone.code == DONE, str(alone)
        tables[name] = (tmp_path / f"{name}.csv").read_text()
    for _, case, random in storm.cases(["table"], small=1, full=10):
        folder = tmp_path / case.replace(" ", "-")
        folder.mkdir()
        lines = [comparing(folder / "table.csv", name) for name in "12"]
        check(storm, case, both(commands, random, *lines, folder), ())
        table = folder / "table.csv"
        if not table.exists() or table.read_text() not in tables.values():
            storm.lose(case, "neither the one table nor the other")
        if left := [path.name for path in folder.iterdir() if path.name != "table.csv"]:
            storm.lose(case, f"left beside it: {left}")
        storm.note("one of two tables, whole")
    storm.end()
