"""Oracles: what was written by `json`, by `csv` and by hand, and a path walked one part at a time."""

import csv
import json
from pathlib import Path

import pytest
from datasets import ClassLabel, Dataset, Features, Value
from hypothesis import given, settings
from hypothesis import strategies as st

from sketchloss.data.captions.written import choose_columns, first_text, named_path, read_caption, read_metadata

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("metadata")


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(TEXTS.filter(str.strip), TEXTS), min_size=1, max_size=4))
def test_any_text_is_read_as_it_was_written(folder, rows):
    expected = [text if text.strip() else None for _, text in rows]
    with (folder / "metadata.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, quoting=csv.QUOTE_ALL).writerows([("file_name", "text"), *rows])
    for ascii_only in (True, False):
        lines = [json.dumps({"file_name": name, "text": text}, ensure_ascii=ascii_only) + "\n" for name, text in rows]
        (folder / "metadata.jsonl").write_text("".join(lines), encoding="utf-8")
        for kind in ("jsonl", "csv"):
            table, places, faults = read_metadata(folder / f"metadata.{kind}")
            assert table[:]["file_name"] == [name for name, _ in rows]
            assert table[:]["text"] == expected
            assert faults == []
            assert len(places) == len(rows)
    assert places[0].startswith(f"{folder / 'metadata.csv'}:")


def test_a_column_without_text_is_told_from_one_that_is_empty(tmp_path):
    rows = [{"file_name": "a.png", "empty": None, "size": 0}, {"file_name": "b.png", "empty": " ", "box": [1, 2]}]
    (tmp_path / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    table, _, _ = read_metadata(tmp_path / "metadata.jsonl")
    types = {column: kind.dtype for column, kind in table.features.items()}
    assert types == {"file_name": "string", "empty": "string", "size": "null", "box": "null"}


def test_half_a_character_becomes_one_that_can_be_written():
    assert first_text(json.loads('"a\\ud800b"')) == "a?b"


@settings(max_examples=200)
@given(st.lists(st.sampled_from(["a", "..", ".", "", "b.png", "some", "root"]), min_size=1, max_size=6).map("/".join))
def test_a_name_stays_in_the_folder_or_is_refused(name):
    place = [] if name.startswith("/") else ["some", "root"]
    for part in name.split("/"):
        place = place[:-1] if part == ".." else [*place, part] if part not in ("", ".") else place
    if place[:2] == ["some", "root"]:
        assert named_path(Path("/some/root"), name).parts == ("/", *place)
    else:
        with pytest.raises(ValueError, match="lies outside /some/root; copy it into the folder"):
            named_path(Path("/some/root"), name)


def test_the_first_line_that_is_not_blank_is_the_caption(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbf\r\n  a   cat\tasleep \r\nmore\r\n")
    assert read_caption(tmp_path / "a.txt") == "a cat asleep"
    (tmp_path / "b.txt").mkdir()
    with pytest.raises(ValueError, match=r"b\.txt: cannot be read \(Is a directory\); fix it or remove it"):
        read_caption(tmp_path / "b.txt")


@pytest.mark.parametrize(
    ("columns", "captions", "chosen"),
    [
        ({"text": "string"}, None, ("text", None)),
        ({"prompt": "string", "caption": "large_string"}, None, ("caption", None)),  # the better name
        ({"text": "string", "word": "string"}, None, (None, "word")),
        ({"text": "string", "word": "string"}, "text", ("text", "word")),
        ({"text": "string", "word": "string"}, "word", ("word", None)),
        ({"text": "string", "url": "string"}, None, ("text", None)),
        ({"text": "string", "label": "int64"}, None, ("text", None)),
        ({"text": "string", "kind": ClassLabel(names=["a"])}, None, (None, "kind")),
        ({"word": "string", "kind": ClassLabel(names=["a"])}, None, (None, "kind")),
        ({"breed": "string"}, None, (None, "breed")),
        ({"breed": "string"}, "breed", ("breed", None)),
    ],
)
def test_which_columns_are_taken(columns, captions, chosen):
    features = Features({name: kind if isinstance(kind, ClassLabel) else Value(kind) for name, kind in columns.items()})
    rows = Dataset.from_dict({name: [] for name in columns}, features=features)
    assert choose_columns("set", rows, captions, only_text_is_class=True) == chosen


def test_a_column_with_half_a_character_in_its_name_is_a_column(tmp_path):
    path = tmp_path / "metadata.jsonl"
    path.write_text('{"file_name": "0.png", "text": "a cat", "\\ud800": "x"}\n')
    rows, _, faults = read_metadata(path)
    assert rows.column_names == ["file_name", "text", "?"]
    assert faults == []
