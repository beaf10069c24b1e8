"""Pairs from a CSV file. Oracle: files written here, byte by byte."""

import os
import threading
from pathlib import Path

import pytest

from sketchloss.cli import main
from sketchloss.compare.pairing import read_pairs

CAT = ("old/cat.png", "new/cat.png")


def paths(file: Path) -> list[tuple[str, str]]:
    return [(pair.a.as_posix(), pair.b.as_posix()) for pair in read_pairs(file)]


@pytest.mark.parametrize(
    "content",
    [
        b"old/cat.png,new/cat.png\n",
        b"before,after\nold/cat.png,new/cat.png",
        b"\xef\xbb\xbfbefore;after\r\nold/cat.png;new/cat.png\r\n",
        b"\xef\xbb\xbfold/cat.png\tnew/cat.png\r\n\r\n",
        b'"old/cat.png", "new/cat.png"\n , \n',
        b'a,b\n"old/cat.png","new/cat.png"\n',
        b"\n\nbefore,after\n\nold/cat.png, new/cat.png\n",
        b"\nold/cat.png;new/cat.png\n",
    ],
)
def test_two_paths_a_row(content, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("pairs.csv").write_bytes(content)
    assert paths(Path("pairs.csv")) == [CAT]


def test_paths_are_relative_to_the_file_and_absolute_ones_stay(tmp_path):
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists" / "pairs.csv").write_text('../old/cat.png,/data/cat.png\n"a, b.png",x.png\n')
    lists = tmp_path / "lists"
    assert paths(lists / "pairs.csv") == [
        (f"{lists}/../old/cat.png", "/data/cat.png"),
        (f"{lists}/a, b.png", f"{lists}/x.png"),
    ]
    (lists / "pairs.csv").write_text('"a,b,1.png";x.png\n')
    assert paths(lists / "pairs.csv") == [(f"{lists}/a,b,1.png", f"{lists}/x.png")]


def test_each_pair_has_a_name_of_its_own(tmp_path):
    (tmp_path / "pairs.csv").write_text("a/1.png,b/1.png\na/1.png,b/2.png\nc/1.png,b/1.jpg\nold/caf\u00e9.png,x.png\n")
    names = [pair.name for pair in read_pairs(tmp_path / "pairs.csv")]
    assert names == ["1", "1 2", "1 (line 3)", "caf\u00e9 x"]
    (tmp_path / "pairs.csv").write_text("a/x (line 3).png,b/x (line 3).png\na/x.png,b/x.png\nc/x.png,d/x.png\n")
    assert len({pair.name for pair in read_pairs(tmp_path / "pairs.csv")}) == 3


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "pairs.csv holds no pairs"),
        (b"before,after\r\n", "pairs.csv holds no pairs"),
        (b"\n , \n", "pairs.csv holds no pairs"),
        (b"a.png\nb.png\n", "pairs.csv:1: 1 column: give two paths a row"),
        (b"path\na.png\n", "pairs.csv:2: 1 column"),
        (b"a.png,b.png\n\nc.png,d.png,e.png\n", "pairs.csv:3: 3 columns"),
        (b"a.png,b.png\nc.png,\n", "pairs.csv:2: the second path is empty"),
        (b"a.png,b.png\n,c.png\n", "pairs.csv:2: the first path is empty"),
        (b"a.png,b.png\nc.png,d.png\na.png, b.png\n", "pairs.csv:3: a.png and b.png are in line 1 already"),
        (b'a.png,b.png\n"c.png,d.png\n', r"pairs.csv:2: no CSV \(unexpected end of data\)"),
        (b'"a"x.png,b.png\n', "pairs.csv:1: no CSV"),
        ("a.png,b.png".encode("utf-16"), "pairs.csv is no text in UTF-8"),
        (b"a\x00.png,b.png\n", "pairs.csv is no text in UTF-8"),
        (b"caf\xe9.png,b.png\n", "pairs.csv is no text in UTF-8"),
        (b"a.png," + b"x" * 200_000, r"pairs.csv:1: no CSV \(field larger"),
    ],
)
def test_mistakes_in_the_file_name_the_line(content, said, tmp_path):
    (tmp_path / "pairs.csv").write_bytes(content)
    with pytest.raises(ValueError, match=said) as caught:
        read_pairs(tmp_path / "pairs.csv")
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_what_comes_through_a_pipe_is_relative_to_the_current_folder(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    both = os.open(tmp_path / "pipe", os.O_RDWR)  # so that neither end waits for the other
    os.write(both, b"a.png,b.png\n")
    threading.Timer(0.2, os.close, (both,)).start()  # its end, which the reader waits for
    assert paths(tmp_path / "pipe") == [("a.png", "b.png")]


def test_a_list_of_pairs_is_compared_as_folders_are(doodles, weights, capsys):
    rows = [f"old/{name}.png,new/{name}.png" for name in ("cat", "house", "tree")]
    (doodles / "pairs.csv").write_text("\n".join(["before,after", *rows]))
    assert main(f"compare old new --weights {weights} --size 32".split()) == 0
    folders = capsys.readouterr().out
    assert main(f"compare --pairs pairs.csv --weights {weights} --size 32".split()) == 0
    assert capsys.readouterr().out == folders


def test_pictures_that_are_not_there_are_pairs_that_cannot_be_read(doodles, weights, capsys):
    long = "x" * 300 + ".png"
    rows = ["old/cat.png,new/cat.png", "old/cat.png,nowhere.png", "old,new/cat.png", f"old/cat.png,{long}"]
    (doodles / "pairs.csv").write_text("\n".join(rows))
    line = f"compare --pairs pairs.csv --weights {weights} --size 32".split()
    assert main(line) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert "3 left out:\n  nowhere.png: " in out
    assert main([*line, "--strict"]) == 2
    assert "3 pairs left out, first nowhere.png: " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("--pairs nowhere.csv", "nowhere.csv does not exist"),
        ("--pairs old", "is a directory"),
        ("old new --pairs pairs.csv", "old is given beside --pairs"),
        ("--pairs pairs.csv --fail-on-missing", "fail_on_missing is for two folders"),
        ("--pairs pairs.csv --csv pairs.csv", "pairs.csv is the list of pairs: write elsewhere"),
        ("--pairs pairs.csv --csv old/cat.png", "old/cat.png is one of the drawings"),
        ("--pairs here.csv --map old", "old/cat.png is one of the drawings"),
        ("--pairs gone.csv", "none of the 1 pairs could be compared, first: gone.png"),
        ("--pairs pairs.csv --map pairs.csv", "pairs.csv is the list of pairs"),
        ("--pairs pairs.csv --map here.csv", "here.csv is a file: name a folder for --map"),
    ],
)
def test_mistakes(line, said, doodles, weights, capsys):
    (doodles / "pairs.csv").write_text("old/cat.png,new/house.png\n")
    (doodles / "here.csv").write_text("old/cat.png,new/cat.png\n")
    (doodles / "gone.csv").write_text("gone.png,gone.png\n")
    before = {path: path.read_bytes() for path in doodles.rglob("*") if path.is_file()}
    assert main(["compare", *line.split(), "--weights", weights, "--size", "32"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert said in err
    assert {path: path.read_bytes() for path in doodles.rglob("*") if path.is_file()} == before
