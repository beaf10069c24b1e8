import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sketchloss.data.quickdraw.ndjson import MARGIN, read_ndjson, to_unit_square

CAT = {"word": "cat", "key_id": "1", "recognized": True, "drawing": [[[0, 10, 255], [5, 6, 7]], [[9], [200]]]}


def write(path, *rows):
    path.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows) + "\n")
    return path


def test_simplified_drawings_are_read_as_they_stand(tmp_path):
    [(word, strokes)] = read_ndjson(write(tmp_path / "cat.ndjson", CAT))
    assert word == "cat"
    assert [stroke.tolist() for stroke in strokes] == [[[0, 5], [10, 6], [255, 7]], [[9, 200]]]
    assert strokes[0].dtype == np.uint8


def test_raw_drawings_are_moved_and_scaled_and_lose_their_times(tmp_path):
    raw = {"word": "cat", "drawing": [[[100.5, 1120.5], [-50.0, 460.0], [0, 16]], [[100.5], [-50.0], [40]]]}
    [(_, strokes)] = read_ndjson(write(tmp_path / "cat.ndjson", raw))
    assert [stroke.tolist() for stroke in strokes] == [[[0, 0], [255, 128]], [[0, 0]]]


BAD_LINES = {
    "cut off": ('{"word": "cat", "draw', "not JSON"),
    "not text": ("\\", "not JSON"),
    "a list": ("[1, 2]", "no 'word'"),
    "no word": ({"drawing": CAT["drawing"]}, "no 'word'"),
    "no drawing": ({"word": "cat"}, "no list of strokes"),
    "empty drawing": ({"word": "cat", "drawing": []}, "the drawing is empty"),
    "empty stroke": ({"word": "cat", "drawing": [[[], []]]}, "as many xs as ys, and at least one"),
    "uneven": ({"word": "cat", "drawing": [[[1, 2], [1]]]}, "as many xs as ys"),
    "one axis": ({"word": "cat", "drawing": [[[1, 2]]]}, "a stroke is not"),
    "a number for a stroke": ({"word": "cat", "drawing": [3]}, "a stroke is not"),
    "beyond 255": ({"word": "cat", "drawing": [[[1, 256], [1, 2]]]}, "integer from 0 to 255"),
    "negative": ({"word": "cat", "drawing": [[[1, -1], [1, 2]]]}, "integer from 0 to 255"),
    "fraction": ({"word": "cat", "drawing": [[[1, 1.5], [1, 2]]]}, "integer from 0 to 255"),
    "text for a coordinate": ({"word": "cat", "drawing": [[["a"], ["b"], [0]]]}, "not a number"),
    "infinite": ('{"word": "cat", "drawing": [[[1, Infinity], [1, 2], [0, 1]]]}', "not finite"),
    "another word": ({"word": "dog", "drawing": CAT["drawing"]}, "'dog' in a file of 'cat'"),
    "deep": ('{"word": "cat", "drawing": ' + "[" * 100_000, ""),
}


@pytest.mark.parametrize(("line", "reason"), BAD_LINES.values(), ids=BAD_LINES.keys())
def test_a_malformed_line_is_named_and_the_others_are_read(tmp_path, line, reason):
    path = write(tmp_path / "cat.ndjson", CAT, line, "", CAT)
    faults = []
    assert [word for word, _ in read_ndjson(path, faults.append)] == ["cat", "cat"]
    [fault] = faults
    assert fault.startswith(f"{path}:2: ")
    assert reason in fault
    assert "\n" not in fault
    with pytest.raises(ValueError, match=r"cat\.ndjson:2: "):
        list(read_ndjson(path))


def test_stray_bytes_and_windows_line_ends(tmp_path):
    path = tmp_path / "cat.ndjson"
    path.write_bytes(b'{"word": "c\xfft"}\r\n' + json.dumps(CAT).encode() + b"\r\n")
    faults = []
    assert len(list(read_ndjson(path, faults.append))) == 1
    assert faults[0].startswith(f"{path}:1: not JSON")


point = st.tuples(st.integers(0, 255), st.integers(0, 255))


@given(st.lists(st.lists(point, min_size=1, max_size=9), min_size=1, max_size=5))
def test_the_unit_square_holds_the_drawing_centred_and_in_proportion(drawing):
    drawing = [np.array(stroke, dtype=np.uint8) for stroke in drawing]
    strokes = to_unit_square(drawing)
    before, after = np.concatenate(drawing).astype(float), np.concatenate(strokes)
    extent = np.ptp(before, axis=0)
    assert [len(stroke) for stroke in strokes] == [len(stroke) for stroke in drawing]
    np.testing.assert_allclose((after.min(axis=0) + after.max(axis=0)) / 2, 0.5, atol=1e-5)
    if extent.max():
        assert np.ptp(after, axis=0).max() == pytest.approx(1 - 2 * MARGIN, abs=1e-5)
        np.testing.assert_allclose(np.ptp(after, axis=0) * extent.max(), extent * (1 - 2 * MARGIN), atol=1e-3)


def test_real_files_are_read_whole(data_folder):
    for name in ("cat", "train", "The Eiffel Tower"):
        path = data_folder / "quickdraw" / f"{name}.ndjson"
        drawings = list(read_ndjson(path))
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        assert len(drawings) == len(rows)
        for (word, strokes), row in zip(drawings, rows, strict=True):
            assert word == name
            assert [stroke.T.tolist() for stroke in strokes] == row["drawing"]
