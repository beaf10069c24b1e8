"""Where a comparison may write. Oracle: the files before and after."""

import pytest

from sketchloss.cli import main


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("old new --csv /dev/null", "/dev/null is no regular file, and would be replaced by one"),
        ("old/cat.png new/cat.png --csv out.png --map out.png", "out.png is named for both --csv and --map"),
        ("old new --csv out --map out", "out is named for both --csv and --map: give each a name of its own"),
        ("old new --rows out.csv --map out.csv", "out.csv is named for both --rows and --map"),
        ("old new --map .", "inner/cat.png is one of the drawings to compare: write elsewhere"),
        ("old new --csv new/table.csv", "new/table.csv lies in new"),
        ("old new --csv linked/table.csv", "linked/table.csv lies in old"),
        ("old new --csv circle/table.csv", "cannot write circle/table.csv: the folder circle does not exist"),
        ("old new --rows circle", "circle"),
        ("old new --fail-above nan", "fail_above is nan: it must be a number from 0 up"),
        ("old new --fail-above inf", "fail_above is inf"),
        ("old new --fail-above -0.1", "fail_above is -0.1"),
        ("old new --fail-above", "--fail-above needs a value"),
        ("old new --fail-above much", "--fail-above takes a number, not 'much'"),
        ("old new --at p95", "at is p95, and there is no limit: give --fail-above too"),
        ("old new --at p99 --fail-above 1", "--at 'p99' is unknown: did you mean p95? choose from mean, p95, worst"),
        ("old/cat.png new/cat.png --fail-on-missing", "fail_on_missing is for two folders"),
        ("old", "missing B: give two pictures, two folders, or --pairs"),
        ("", "missing A and B"),
        ("--distance ssim old new", "distance 'old' is unknown: use ssim, module:function or file.py:function"),
    ],
)
def test_mistakes(line, said, doodles, weights, capsys):
    # A picture of `inner` has the name of a map of the folders around it.
    for folder in ("old", "new"):
        (doodles / folder / folder).mkdir()
        (doodles / folder / "inner").mkdir()
        (doodles / folder / "inner" / "cat.png").write_bytes((doodles / folder / "cat.png").read_bytes())
    (doodles / "inner").symlink_to(doodles / "old" / "inner")
    (doodles / "linked").symlink_to(doodles / "old")
    (doodles / "circle").symlink_to("circle")
    before = {path: path.read_bytes() for path in doodles.rglob("*") if path.is_file()}
    assert main(["compare", *line.split(), "--weights", weights, "--size", "32"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert said in err
    assert {path: path.read_bytes() for path in doodles.rglob("*") if path.is_file()} == before
