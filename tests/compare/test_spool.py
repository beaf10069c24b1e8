"""Rows that a run has so far. Oracle: the rows that were given, and the bytes of the file."""

import pytest

from sketchloss.compare.spool import Spool, part_of

ROWS = [{"name": f"p{number}", "distance": number / 7} for number in range(10)]
SETTINGS = {"size": 32, "pictures": "abc"}


@pytest.fixture
def file(tmp_path):
    return tmp_path / "rows.csv"


def open_spool(file, **settings) -> Spool:
    return Spool(file, {**SETTINGS, **settings}, total=10, at_once=4)


@pytest.mark.parametrize("torn", [b"", b'{"name": "p', b'{"name": "p8"}', b"\0\0", b"\0\n", b"[]\n", b"\xff\n{}\n"])
def test_whole_blocks_are_kept_and_torn_lines_cut(torn, file):
    open_spool(file).append(ROWS[:8])
    whole = part_of(file).read_bytes()
    part_of(file).write_bytes(whole + torn)
    again = open_spool(file)
    assert (again.count, list(again.rows())) == (8, ROWS[:8])
    assert part_of(file).read_bytes() == whole
    again.append(ROWS[8:])
    ended = open_spool(file)
    assert (ended.count, list(ended.rows())) == (10, ROWS)  # the last block is smaller


def test_a_block_that_is_not_whole_is_made_again(file):
    open_spool(file).append(ROWS[:7])
    assert list(open_spool(file).rows()) == ROWS[:4]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (
            {"size": 64},
            r"rows.csv.part was begun with size 32, which is 64 now: repeat it, or remove .*part to begin",
        ),
        ({"pictures": "abd"}, "the pictures have changed since .*rows.csv.part was begun: remove"),
    ],
)
def test_rows_of_something_else_are_refused_and_stay(settings, said, file):
    open_spool(file).append(ROWS[:4])
    before = part_of(file).read_bytes()
    with pytest.raises(ValueError, match=said):
        open_spool(file, **settings)
    assert part_of(file).read_bytes() == before


@pytest.mark.parametrize("content", [b"", b"mine\n", b"[1]\n", b'{"format": "other"}\n'])
def test_another_file_is_refused_and_stays(content, file):
    part_of(file).write_bytes(content)
    with pytest.raises(ValueError, match="is there, and not begun by this command: move it, or give another --rows"):
        open_spool(file)
    assert part_of(file).read_bytes() == content


def test_two_writers_do_not_mix(file):
    first, second = open_spool(file), open_spool(file)
    first.append(ROWS[:4])
    with pytest.raises(ValueError, match="was written by another process, too: give each its own --rows"):
        second.append(ROWS[:4])
    assert list(open_spool(file).rows()) == ROWS[:4]
