"""Progress in a log. Oracle: the lines that a pipeline wants, at once and not after half a minute."""

import sys
from contextlib import suppress
from pathlib import Path

from sketchloss.cli import main
from sketchloss.compare.pairing import Pair
from sketchloss.compare.progress import with_progress

PAIRS = [Pair(str(number), Path("a"), Path("b")) for number in range(1_200)]


def test_a_line_each_time_that_the_interval_is_over(capsys):
    assert list(with_progress(PAIRS, total=len(PAIRS), every=0.0)) == PAIRS
    lines = capsys.readouterr().err.splitlines()
    assert (lines[0], lines[-1]) == ("compare: 1 of 1,200 pairs", "compare: 1,199 of 1,200 pairs")
    assert len(lines) == 1_199
    assert list(with_progress(PAIRS, total=len(PAIRS), every=3600.0)) == PAIRS
    assert capsys.readouterr().err == ""


def test_the_interval_begins_anew_after_a_line(capsys, monkeypatch):
    clock = iter(range(10_000))
    monkeypatch.setattr("sketchloss.compare.progress.time.monotonic", lambda: float(next(clock)))
    list(with_progress(PAIRS[:9], total=9, every=4.0))
    assert [line.split()[1] for line in capsys.readouterr().err.splitlines()] == ["3", "7"]


def test_a_log_that_is_full_ends_nothing(monkeypatch):
    full = Path("/dev/full").open("w")  # noqa: SIM115 (closing it is an error, too)
    monkeypatch.setattr(sys, "stderr", full)
    assert list(with_progress(PAIRS[:5], total=5, every=0.0)) == PAIRS[:5]
    monkeypatch.undo()
    with suppress(OSError):
        full.close()


def test_the_command_shows_it_unless_it_is_to_be_quiet(doodles, weights, capsys, monkeypatch):
    monkeypatch.setattr("sketchloss.compare.progress.EVERY", 0.0)
    line = f"compare old new --weights {weights} --size 32".split()
    assert main(line) == 0
    usual = capsys.readouterr()
    assert usual.err == "compare: 1 of 3 pairs\ncompare: 2 of 3 pairs\n"
    assert main([*line, "--quiet"]) == 0
    quiet = capsys.readouterr()
    assert quiet.err == ""
    table, _, summary = usual.out.partition("\n\n")
    assert len(table.splitlines()) == 4
    assert quiet.out == summary
    assert main([*line, "--quiet", "--fail-above", "0"]) == 1
    failed = capsys.readouterr()
    assert (failed.out, failed.err.count("\n")) == (summary, 1)
