"""Exit codes of `sketchloss compare`. Oracle: distances given by hand, and what the same command says of itself."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from sketchloss.cli import main
from sketchloss.compare.comparison import Comparison
from sketchloss.compare.measuring import LeftOut, PairDistance
from sketchloss.compare.pairing import Pair
from sketchloss.compare.settings import Compare
from sketchloss.compare.tally import Tally
from sketchloss.compare.verdict import judge

A, B = Path("old"), Path("new")


def pair(name: str) -> Pair:
    return Pair(name, A / f"{name}.png", B / f"{name}.png")


def found(*totals: float, single: bool = False, left_out: Sequence[LeftOut] = (), **more) -> Comparison:
    """Pairs p0, p1 ... at these distances."""
    tally = Tally(1, keep_all=True)
    for number, total in enumerate(totals):
        tally.add(PairDistance(pair(f"p{number}"), total, {}))
    for left in left_out:
        tally.add(left)
    parts = {"only_a": [], "only_b": [], "unread": [], "maps": [], **more}
    return Comparison(single, tally, **parts)


# By hand -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("at", "limit", "line"),
    [
        ("mean", 0.5, None),  # exactly at the limit
        ("mean", 0.49, "failed: the mean distance is 0.5, above the limit 0.49; the farthest pair is p3 (1)"),
        ("worst", 1.0, None),
        ("worst", 0.9, "failed: the worst distance is 1, above the limit 0.9; the farthest pair is p3 (1)"),
        ("p95", 0.95, None),
        ("p95", 0.94, "failed: the p95 distance is 0.95, above the limit 0.94; the farthest pair is p3 (1)"),
        (None, 0.0, "failed: the mean distance is 0.5, above the limit 0; the farthest pair is p3 (1)"),
    ],
)
def test_a_limit_holds_for_the_number_that_is_named(at, limit, line):
    config = Compare(A, B, fail_above=limit, at=at)
    # Five distances, whose 95 % lies a fifth of a step below the greatest: 0.25 · 0.8 + 0.75.
    verdict = judge(config, found(0.25, 0.5, 0.75, 1.0, 0.0))
    assert (verdict.exit_code, verdict.failures) == ((1, [line]) if line else (0, []))


def test_two_pictures_have_one_number_whatever_is_named():
    for at in ("mean", "p95", "worst"):
        verdict = judge(Compare(A, B, fail_above=0.2, at=at), found(0.3, single=True))
        said = "failed: the distance is 0.3, above the limit 0.2: old/p0.png and new/p0.png"
        assert (verdict.exit_code, verdict.failures) == (1, [said])


def test_what_is_missing_or_not_read_passes_unless_it_must_not():
    left = [LeftOut(pair("x"), "new/x.png: damaged")]
    everything = found(0.3, left_out=left, only_a=["a", "b"], only_b=["c"], unread=["old: 1 file of a kind"])
    assert judge(Compare(A, B), everything).exit_code == 0
    missing = judge(Compare(A, B, fail_on_missing=True), everything)
    said = "failed: pictures without a partner: 2 only in old, first a; 1 only in new, first c"
    assert (missing.exit_code, missing.failures) == (1, [said])
    strict = judge(Compare(A, B, strict=True), everything)
    said = "not all could be read: 1 pair left out, first new/x.png: damaged; old: 1 file of a kind"
    assert (strict.exit_code, strict.failures) == (2, [said])
    both = judge(Compare(A, B, fail_on_missing=True, strict=True, fail_above=0.1), everything)
    assert both.exit_code == 2
    assert [line[:20] for line in both.failures] == [
        "failed: the mean dis",
        "failed: pictures wit",
        "not all could be rea",
    ]


def test_nothing_missing_and_all_read_passes():
    assert judge(Compare(A, B, fail_on_missing=True, strict=True, fail_above=1.0), found(0.3)).exit_code == 0


# In the shell --------------------------------------------------------------------------------------------------------


def test_the_exit_code_and_a_line_say_that_a_distance_is_too_great(doodles, weights, capsys):
    line = f"compare old new --weights {weights} --size 32 --json".split()
    assert main(line) == 0
    before = json.loads(capsys.readouterr().out)
    assert (before["exit_code"], before["failures"]) == (0, [])
    for at, value in (("mean", before["distance"]), *before["quantiles"].items()):
        if at in ("p5", "median"):
            continue
        assert main([*line, "--fail-above", str(value), "--at", at]) == 0
        assert capsys.readouterr().err == ""
        assert main([*line, "--fail-above", str(value * 0.99), "--at", at]) == 1
        out, err = capsys.readouterr()
        (said,) = err.splitlines()
        assert said.startswith(f"sketchloss compare: failed: the {at} distance is {value:.6g}, above the limit ")
        assert f"the farthest pair is {before['worst'][0]} (" in said
        after = json.loads(out)
        assert (after["exit_code"], [f"sketchloss compare: {text}" for text in after["failures"]]) == (1, [said])


def test_two_pictures_can_fail(doodles, weights, capsys):
    line = f"compare old/house.png new/house.png --weights {weights} --size 32".split()
    assert main([*line, "--fail-above", "2"]) == 0
    passed = capsys.readouterr()
    assert main([*line, "--fail-above", "0.001"]) == 1
    failed = capsys.readouterr()
    assert (passed.out, passed.err) == (failed.out, "")
    assert failed.err.count("\n") == 1
    assert "old/house.png and new/house.png" in failed.err


def test_strict_loses_nothing(doodles, weights, capsys):
    damaged, animated = doodles / "new" / "tree.png", doodles / "old" / "cat.gif"
    damaged.write_bytes(damaged.read_bytes()[:80])
    (doodles / "new" / "extra.psd").write_text("8BPS")
    outputs = "--csv table.csv --map maps --worst 1"
    line = f"compare old new --weights {weights} --size 32 {outputs}".split()
    assert main(line) == 0
    usual, table = capsys.readouterr(), (doodles / "table.csv").read_text()
    (doodles / "table.csv").unlink()
    (doodles / "maps" / "house.png").unlink()
    assert main([*line, "--strict"]) == 2
    strict = capsys.readouterr()
    assert strict.out == usual.out
    assert (doodles / "table.csv").read_text() == table
    assert (doodles / "maps" / "house.png").is_file()
    assert strict.err.count("\n") == 1
    assert "1 pair left out, first new/tree.png: damaged" in strict.err
    assert "extra.psd" in strict.err
    assert not animated.exists()


def test_later_pages_are_not_read_and_strict_says_so(doodles, weights, capsys):
    from PIL import Image

    with Image.open(doodles / "old" / "cat.png") as page:
        page.save(doodles / "animated.gif", save_all=True, append_images=[page.rotate(90)])
    line = f"compare animated.gif old/cat.png --weights {weights} --size 32".split()
    assert main(line) == 0
    capsys.readouterr()
    assert main([*line, "--strict"]) == 2
    assert "not all could be read: 1 file has more pages or frames: animated.gif" in capsys.readouterr().err


def test_a_file_s_name_cannot_steer_the_terminal_from_stderr(doodles, weights, capsys):
    (doodles / "old" / "cat.png").rename(doodles / "old" / "evil\x1b[2J\r\n.png")
    line = f"compare old new --weights {weights} --size 32 --fail-on-missing".split()
    assert main(line) == 1
    err = capsys.readouterr().err
    assert "evil\\x1b[2J" in err
    assert err.count("\n") == 1
    assert not set(err) & set("\x1b\r")
