"""Rows for folders of any size. Oracle: the same command without a break, byte by byte, and the CSV table."""

import csv
import json
import os
from pathlib import Path

import pyarrow.parquet
import pytest
from PIL import Image, ImageDraw

from child_process import forked
from sketchloss.cli import main
from sketchloss.compare import measuring
from sketchloss.compare.measurer import Measurer
from sketchloss.compare.measuring import measure
from sketchloss.compare.pairing import match_folders
from sketchloss.compare.rows import finish_rows, measure_into_rows
from sketchloss.compare.settings import Compare
from sketchloss.compare.spool import part_of
from sketchloss.compare.tally import Tally

PAIRS = 20
BLOCKS = (4 * 32**2, 4 * 32**2)
SUFFIXES = (".csv", ".jsonl", ".parquet")
SLOW = f"""
import sys, time
from sketchloss.cli import main
from sketchloss.compare import measuring
measuring.BATCH_PIXELS = {BLOCKS}
real = measuring._measure_block
def slow(*arguments):
    time.sleep(0.1)
    return real(*arguments)
measuring._measure_block = slow
sys.exit(main(sys.argv[1:]))
"""


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> Path:
    """Twenty pairs, the fifth of them damaged, and a picture that is only in `old`."""
    place = tmp_path_factory.mktemp("folders")
    for name in ("old", "new"):
        (place / name).mkdir()
        for number in range(PAIRS):
            picture = Image.new("L", (32, 32), "white")
            end = (number, 30 if name == "old" else 24 - number)
            ImageDraw.Draw(picture).line((4, 4, *end), fill=0, width=2)
            picture.save(place / name / f"{number:02d}.png")
    (place / "new" / "04.png").write_bytes(b"no picture")
    (place / "old" / "alone.png").write_bytes((place / "old" / "00.png").read_bytes())
    return place


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(measuring, "BATCH_PIXELS", BLOCKS)


@pytest.fixture
def command(folders, weights) -> list[str]:
    return ["compare", str(folders / "old"), str(folders / "new"), "--weights", weights, "--size", "32"]


def read(file: Path) -> list[dict]:
    if file.suffix == ".parquet":
        return pyarrow.parquet.read_table(file).to_pylist()
    if file.suffix == ".jsonl":
        return [json.loads(line) for line in file.read_text().splitlines()]
    with file.open(newline="") as text:
        return list(csv.DictReader(text))


def test_all_formats_say_what_the_table_says(command, tmp_path, capsys):
    assert main([*command, "--quiet", "--csv", str(tmp_path / "table.csv"), "--distance", "ssim"]) == 0
    usual = capsys.readouterr()
    expected = sorted(read(tmp_path / "table.csv"), key=lambda row: row["name"])
    for suffix in SUFFIXES:
        file = tmp_path / f"rows{suffix}"
        assert main([*command, "--quiet", "--rows", str(file), "--distance", "ssim"]) == 0
        assert capsys.readouterr() == usual  # the summary, from numbers alone
        found = [{name: "" if value is None else str(value) for name, value in row.items()} for row in read(file)]
        assert found == expected  # whose names are in the order of the pairs
        assert [path.name for path in tmp_path.iterdir() if "rows" in path.name] == [file.name]
        file.unlink()


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_killed_run_goes_on_and_ends_with_the_same_bytes(suffix, command, tmp_path, capsys):
    unbroken, file = tmp_path / f"unbroken{suffix}", tmp_path / f"rows{suffix}"
    assert main([*command, "--rows", str(unbroken)]) == 0
    summary = capsys.readouterr().out
    part = part_of(file)
    with forked(SLOW, *command, "--rows", file) as child:
        child.wait_until(lambda: part.exists() and part.read_bytes().count(b"\n") > 8)
        child.kill()
    assert not file.exists()
    done = part.read_bytes().count(b"\n") - 1
    assert 8 <= done < PAIRS
    with part.open("ab") as lines:
        lines.write(b'{"name": "to')  # as if the last line had been half written
    assert main([*command, "--rows", str(file)]) == 0
    out, err = capsys.readouterr()
    assert err == f"compare: {done} of 20 pairs are in {part} already\n"
    assert out == summary
    assert file.read_bytes() == unbroken.read_bytes()
    assert not part.exists()


def test_a_full_disk_loses_no_row(command, tmp_path, small_disk, capsys):
    unbroken, file = tmp_path / "unbroken.csv", tmp_path / "rows.csv"
    assert main([*command, "--quiet", "--rows", str(unbroken)]) == 0
    capsys.readouterr()
    with small_disk(7_000):
        assert main([*command, "--quiet", "--rows", str(file)]) == 2
    out, err = capsys.readouterr()
    part = part_of(file)
    kept = err.partition("it goes on after the ")[2].partition(" ")[0]
    assert (out, err) == (
        "",
        f"sketchloss compare: cannot write {part} (file too large): free some space, and give the same command again; "
        f"it goes on after the {kept} rows that are there\n",
    )
    assert int(kept) in (4, 8, 12)
    before = part.read_bytes()
    assert main([*command, "--quiet", "--rows", str(file), "--precision", "bf16"]) == 2
    assert 'was begun with precision "no", which is "bf16" now: repeat it, or remove' in capsys.readouterr().err
    assert part.read_bytes() == before
    assert main([*command, "--quiet", "--rows", str(file)]) == 0
    assert file.read_bytes() == unbroken.read_bytes()


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_full_disk_at_the_end_keeps_all_rows(suffix, folders, weights, tmp_path, small_disk):
    file = tmp_path / f"rows{suffix}"
    config = Compare(folders / "old", folders / "new", rows=file, weights=weights, size=32, quiet=True)
    pairs, only_a, only_b = match_folders(folders / "old", folders / "new")
    measurer = Measurer(config)
    table, spool = measure_into_rows(measurer, pairs, tally=Tally(1, keep_all=False))
    with small_disk(1_000), pytest.raises(OSError, match=r"cannot write .*; all rows are kept in .*\.part$"):
        finish_rows(file, table, spool, only_a, only_b)
    assert [path.name for path in tmp_path.iterdir()] == [part_of(file).name]
    tally = Tally(1, keep_all=True)
    assert measure_into_rows(measurer, pairs, tally=tally)[1].count == PAIRS
    finish_rows(file, table, spool, only_a, only_b)
    assert len(read(file)) == PAIRS + 1
    distances, left_out = measure(measurer.loss, pairs, size=32)
    assert (tally.distances, tally.left_out) == (distances, left_out)  # read back, to the last digit


def test_changed_pictures_are_refused(command, folders, tmp_path, small_disk, capsys):
    file = tmp_path / "rows.jsonl"
    with small_disk(7_000):
        assert main([*command, "--quiet", "--rows", str(file)]) == 2
    capsys.readouterr()
    picture = folders / "old" / "03.png"
    facts = picture.stat()
    os.utime(picture, (facts.st_atime, facts.st_mtime + 5))
    assert main([*command, "--quiet", "--rows", str(file)]) == 2
    err = capsys.readouterr().err
    assert (err.count("\n"), "the pictures have changed since" in err) == (1, True)
    os.utime(picture, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    assert main([*command, "--quiet", "--rows", str(file)]) == 0


def test_limits_hold_and_json_has_no_pairs(command, tmp_path, capsys):
    file = tmp_path / "rows.csv"
    line = [*command, "--rows", str(file), "--quiet"]
    assert main([*line, "--json", "--fail-above", "0", "--at", "worst", "--worst", "2"]) == 1
    out, err = capsys.readouterr()
    found = json.loads(out)
    assert err.startswith("sketchloss compare: failed: the worst distance is ")
    rows = sorted((row for row in read(file) if row["distance"]), key=lambda row: -float(row["distance"]))
    assert found["worst"] == [row["name"] for row in rows[:2]]
    assert (found["rows"], found["pairs"], found["compared"], found["left_out_count"]) == (str(file), [], 19, 1)
    assert main([*line, "--strict"]) == 2


def test_threads_and_blocks_change_no_digit(folders, loss):
    pairs = match_folders(folders / "old", folders / "new")[0]
    expected = measure(loss, pairs, size=32, workers=2)
    for workers in (2, 3, 5):
        assert measure(loss, pairs, size=32, workers=workers) == expected
    with pytest.raises(ValueError, match="workers is 0: it must be at least 1"):
        measure(loss, pairs, size=32, workers=0)


@pytest.mark.usefixtures("cpu_with_bfloat16")
def test_bfloat16_is_near(folders, loss):
    pairs = match_folders(folders / "old", folders / "new")[0]
    exact, near = (measure(loss, pairs, size=32, precision=precision)[0] for precision in ("no", "bf16"))
    assert [one.total for one in near] == pytest.approx([one.total for one in exact], rel=0.03, abs=1e-3)
    assert [one.total for one in near] != [one.total for one in exact]


def test_mistakes(command, folders, tmp_path, capsys):
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "taken.csv.part").mkdir()
    (tmp_path / "mine.csv.part").write_text("mine\n")
    (tmp_path / "closed").mkdir(mode=0o555)
    one, other = folders / "old" / "00.png", folders / "new" / "00.png"
    for line, said in (
        (
            [*command, "--rows", "rows.txt"],
            "rows.txt has an unknown suffix: name a file that ends in .csv",
        ),
        ([*command, "--rows", "rows"], "rows has an unknown suffix"),
        ([*command, "--rows", "rows.csv", "--csv", "table.csv"], "csv is table.csv and rows is rows.csv: give one"),
        ([*command, "--rows", str(folders / "old" / "rows.csv")], "whose pictures are compared: write elsewhere"),
        ([*command, "--rows", str(tmp_path / "folder.csv")], "folder.csv is a folder: name another file for --rows"),
        ([*command, "--rows", str(tmp_path / "taken.csv")], "taken.csv.part is a folder: name another file"),
        ([*command, "--rows", str(tmp_path / "mine.csv")], "mine.csv.part is there, and not begun by this command"),
        ([*command, "--rows", str(tmp_path / "nowhere" / "rows.csv")], "nowhere does not exist; make it first"),
        ([*command, "--rows", "/dev/rows.csv"], "/dev/rows.csv is no regular file"),
        (["compare", str(one), str(other), "--rows", "rows.csv"], "is a picture: use --csv or --json"),
        (["compare", str(other.parent / "04.png"), str(other), "--precision", "fp8"], "--precision 'fp8' is unknown"),
    ):
        assert main(line) == 2
        out, err = capsys.readouterr()
        assert (out, err.count("\n")) == ("", 1)
        assert said in err
    assert (tmp_path / "mine.csv.part").read_text() == "mine\n"
    if os.geteuid():  # root may write everywhere
        assert main([*command, "--rows", str(tmp_path / "closed" / "rows.csv")]) == 2
        assert "no permission to write in" in capsys.readouterr().err


def test_nothing_comparable_leaves_nothing(tmp_path, weights, capsys):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x.png").write_bytes(b"no picture")
    file = tmp_path / "rows.csv"
    assert main(["compare", str(tmp_path / "a"), str(tmp_path / "b"), "--weights", weights, "--rows", str(file)]) == 2
    assert "none of the 1 pairs could be compared" in capsys.readouterr().err
    assert not list(tmp_path.glob("rows*"))
