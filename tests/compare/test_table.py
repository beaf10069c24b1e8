"""The CSV table and the summary. Oracles: NumPy's quantiles, SSIM by scikit-image's formula, pictures by hand."""

import csv
import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest

from sketchloss.cli import main
from sketchloss.compare.comparison import summarise
from sketchloss.metrics.ssim import ssim
from sketchloss.system.images import fit_square, open_picture, to_tensor

OWN = """
def darker(pred, target):
    return (target - pred).mean((1, 2, 3))

def short(pred, target):
    return pred[:1].mean((1, 2, 3))

def broken(pred, target):
    raise RuntimeError("no such layer")
"""


def rows(file: Path) -> list[dict[str, str]]:
    with file.open(newline="", encoding="utf-8") as text:
        return list(csv.DictReader(text))


def fitted(path: str):
    return to_tensor(fit_square(open_picture(path), 32))[None]


def test_what_could_not_be_compared_has_a_row_with_the_reason(doodles, weights, capsys):
    (doodles / "new" / "tree.png").write_bytes(b"no picture")
    for name in ("old/gone.png", "new/added.png"):
        (doodles / name).write_bytes((doodles / "old" / "cat.png").read_bytes())
    assert main(f"compare old new --weights {weights} --size 32 --csv table.csv".split()) == 0
    table = rows(doodles / "table.csv")
    found = {row["name"]: (bool(row["distance"]), row["a"], row["b"], row["reason"].partition(":")[0]) for row in table}
    assert found == {
        "cat": (True, "old/cat.png", "new/cat.png", ""),
        "house": (True, "old/house.png", "new/house.png", ""),
        "tree": (False, "old/tree.png", "new/tree.png", "new/tree.png"),
        "gone": (False, "", "", "only in old"),
        "added": (False, "", "", "only in new"),
    }
    assert {row["size"] for row in table} == {"32"}  # how it was measured stands in every row
    assert float(table[0]["distance"]) == 0


@pytest.mark.skipif(sys.platform != "linux", reason="names of files are text elsewhere")
def test_a_name_that_is_no_text_is_spelt_out(doodles, weights, capsys):
    os.rename(b"old/house.png", b"old/h\xffuse.png")  # noqa: PTH104 (bytes)
    os.rename(b"new/house.png", b"new/h\xffuse.png")  # noqa: PTH104
    assert main(f"compare old new --weights {weights} --size 32 --csv table.csv".split()) == 0
    assert [row["name"] for row in rows(doodles / "table.csv")] == ["cat", "h\\udcffuse", "tree"]


def test_other_distances_stand_beside_ours(doodles, weights, capsys):
    (doodles / "mine.py").write_text(OWN)
    line = f"compare old new --weights {weights} --size 32 --distance ssim mine.py:darker --csv table.csv".split()
    assert main([*line, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    names = ("cat", "house", "tree")
    pictures = {name: (fitted(f"old/{name}.png"), fitted(f"new/{name}.png")) for name in names}
    expected = {
        "1-ssim": [1 - ssim(*pair).item() for pair in pictures.values()],
        "mine.py:darker": [(b - a).mean().item() for a, b in pictures.values()],
    }
    for name, values in expected.items():
        in_json = [pair["other_distances"][name] for pair in found["pairs"]]
        assert in_json == pytest.approx(values, abs=1e-6)
        assert [float(row[name]) for row in rows(doodles / "table.csv")] == in_json
        summary = found["other_distances"][name]
        assert summary["mean"] == pytest.approx(np.mean(values), abs=1e-6)
        assert summary["quantiles"]["p95"] == pytest.approx(np.quantile(values, 0.95), abs=1e-6)
    assert main(line) == 0
    out = capsys.readouterr().out
    assert out.splitlines()[0].split()[-2:] == ["1-ssim", "mine.py:darker"]
    assert f"1-ssim {np.mean(expected['1-ssim']):#.4g} ± " in out
    single = f"compare old/tree.png new/tree.png --weights {weights} --size 32 --distance ssim".split()
    assert main(single) == 0
    assert capsys.readouterr().out.splitlines()[-1].split() == ["1-ssim", f"{expected['1-ssim'][2]:#.4g}"]
    assert main([*single, "--json"]) == 0
    beside = json.loads(capsys.readouterr().out)["other_distances"]
    assert beside == {"1-ssim": pytest.approx(expected["1-ssim"][2], abs=1e-6)}


@pytest.mark.parametrize(
    ("distance", "said"),
    [
        ("ssmi", "distance 'ssmi' is unknown: use ssim, module:function or file.py:function"),
        ("nowhere.py:x", "distance nowhere.py:x: cannot import nowhere.py"),
        ("mine.py:darkest", "mine.py has no darkest"),
        ("mine.py:short", "distance mine.py:short returned shape (1,) for 3 pairs"),
        ("mine.py:broken", "RuntimeError: no such layer"),
        ("ssim ssim", "distance names ssim twice"),
        ("ssim --size 10", "distance 1-ssim failed"),
    ],
)
def test_mistakes_in_other_distances(distance, said, doodles, weights, capsys):
    (doodles / "mine.py").write_text(OWN)
    line = f"compare old new --weights {weights} --csv table.csv --size 32 --distance {distance}"
    assert main(line.split()) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert said in err
    assert not (doodles / "table.csv").exists()


def test_quantiles_are_numpy_s(doodles, weights, capsys):
    values = [0.4, 0.1, 0.9, 0.2]
    summary = summarise(values)
    assert summary.quantiles == {
        "p5": pytest.approx(np.quantile(values, 0.05)),
        "median": pytest.approx(0.3),
        "p95": pytest.approx(np.quantile(values, 0.95)),
        "worst": 0.9,
    }
    assert summarise([0.4]).deviation is None
    assert main(f"compare old new --weights {weights} --size 32 --json".split()) == 0
    found = json.loads(capsys.readouterr().out)
    totals = [pair["distance"] for pair in found["pairs"]]
    assert list(found["quantiles"].values()) == pytest.approx(np.quantile(totals, [0.05, 0.5, 0.95, 1]))
    assert main(f"compare old new --weights {weights} --size 32".split()) == 0
    said = ", ".join(f"{name} {value:#.4g}" for name, value in found["quantiles"].items())
    assert f"\nquantiles: {said}\n" in capsys.readouterr().out
