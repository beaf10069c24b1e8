"""Oracle: paths looked through one by one."""

import numpy as np
import pytest

from sketchloss.gallery.labels import folders_below, label_condition, split_label
from sketchloss.gallery.table import PictureTable, Row

#: Path -> label, as a gallery of the folder /r has them; one of them with its own name below a folder of another.
PATHS = {
    b"/r/birds/1.png": "birds",
    b"/r/birds/owl/2.png": "birds",
    b"/r/birds/owl/snowy/3\xe9.png": "birds",
    b"/r/birds/owlet/4.png": "birds",
    b"/r/birds/deep/owl/5.png": "birds",
    b"/r/it's/a \xc3\xa9/6.png": "it's",
    b"/r/fish/birds/owl/7.png": "fish",
    b"/r/8.png": None,
    b"/keys/car/r/keys/9.png": "keys",
    b"/keys/car/r/keys/car/0.png": "keys",
}


@pytest.fixture(scope="module")
def table(tmp_path_factory) -> PictureTable:
    table = PictureTable.create(tmp_path_factory.mktemp("labels"), 4, exact_below=100)
    vectors = np.random.default_rng(0).normal(size=(len(PATHS), 4)).astype(np.float32)
    table.write([Row(f"{i}", path, f"{i:064x}", 1, PATHS[path], vectors[i]) for i, path in enumerate(PATHS)])
    return table


@pytest.mark.parametrize(
    ("label", "names"),
    [
        ("birds", {"1", "2", "3", "4", "5"}),
        ("birds/", {"1", "2", "3", "4", "5"}),
        ("birds/owl", {"2", "3"}),
        ("birds/owl/", {"2", "3"}),
        ("birds/owl/snowy", {"3"}),
        ("birds/deep/owl", {"5"}),
        ("it's/a é", {"6"}),
        ("fish/birds", {"7"}),
        ("keys", {"9", "0"}),
        ("keys/car", {"0"}),  # and not by the folders above the one that was added
    ],
)
def test_a_path_of_folders_begins_at_the_label(table, label, names):
    table.check_label(label)
    found = {row.path for row in table.known(label_condition(label))}
    first, *below = split_label(label)
    inside = "".join(f"{name}/" for name in below).encode()
    own = {path: path.rpartition(f"/{first}/".encode())[2] for path, label in PATHS.items() if label == first}
    assert found == {path for path, rest in own.items() if rest.startswith(inside)}
    assert {path.split(b"/")[-1][:1].decode() for path in found} == names
    nearest = table.nearest(np.float32([1, 0, 0, 0]), 9, label=label)
    assert {row.path for row, _ in nearest} == found


@pytest.mark.parametrize(
    ("label", "said"),
    [
        ("owl", "has the label 'owl': choose from birds, fish, it's"),
        ("brids/owl", "has the label 'brids': did you mean 'birds'"),
        ("birds/owk", "lies in 'birds/owk': did you mean 'birds/owl'"),
        ("fish/x", "lies in 'fish/x': did you mean 'fish/birds'|choose from fish/birds"),
        ("", "has the label ''"),
        ("/", "has the label ''"),
    ],
)
def test_what_is_not_there_is_told_with_what_is(table, label, said):
    with pytest.raises(ValueError, match=said):
        table.check_label(label)


def test_folders_below_a_label():
    birds = [path for path, label in PATHS.items() if label == "birds"]
    expected = ["birds/deep", "birds/deep/owl", "birds/owl", "birds/owl/snowy", "birds/owlet"]
    assert folders_below("birds", birds) == expected
    assert folders_below("birds", [b"/elsewhere/x.png"]) == []
