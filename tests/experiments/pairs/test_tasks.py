"""The pairs of a task. Oracles: the drawings' own names, pixels of the sources, and errors of one line."""

import pytest
import torch

from sketchloss.data.pairs import open_pairs
from sketchloss.data.quickdraw.drawings import open_drawings
from sketchloss.experiments.pairs.settings import PairData
from sketchloss.experiments.pairs.tasks import VERSIONS, check_parts, open_parts

DRAWINGS = PairData(task="rough", source="doodles", classes=("house", "cat"), per_class=8, image_size=16)


def rows(part) -> set[bytes]:
    return {target.numpy().tobytes() for target in part.targets}


@pytest.fixture(scope="module")
def faces(tmp_path_factory) -> str:
    """A set laid out as CUFS: five training and three test pairs of plain colours, each its own."""
    from PIL import Image

    folder = tmp_path_factory.mktemp("faces")
    for part, count in (("train", 5), ("test", 3)):
        for side, grey in (("photos", 40), ("sketches", 140)):
            (folder / part / side).mkdir(parents=True)
            for number in range(count):
                picture = Image.new("RGB", (20, 25), (grey + number * 10 + (part == "test") * 5,) * 3)
                picture.paste((255, 0, 0) if side == "photos" else (0, 0, 0), (0, 8, 5, 14))  # at the left
                picture.save(folder / part / side / f"{number}.png")
    return f"cufs:{folder}"


def test_the_parts_share_no_drawing_and_each_class_is_in_each_part():
    parts = open_parts(DRAWINGS)
    # of 8 of a class: a quarter, and 15 % of 8 is one
    assert [len(part) for part in (parts.train, parts.choose, parts.test)] == [10, 2, 4]
    for part in (parts.train, parts.choose, parts.test):
        assert set(part.labels) == {"cat", "house"}
    train, choose, test = map(rows, (parts.train, parts.choose, parts.test))
    assert train.isdisjoint(choose | test)
    assert choose.isdisjoint(test)
    assert parts.train.inputs.shape == (10, VERSIONS, 3, 16, 16)
    assert parts.test.inputs.shape == (4, 1, 3, 16, 16)
    drawn = open_drawings("doodles", per_class=8, classes=("cat", "house"))
    wanted = {torch.tensor(list(one.picture(16).tobytes()), dtype=torch.uint8).numpy().tobytes() for one in drawn}
    assert {
        target[0].numpy().tobytes() for part in (parts.train, parts.choose, parts.test) for target in part.targets
    } == wanted


def test_another_seed_is_another_part_and_the_same_settings_are_kept():
    assert open_parts(DRAWINGS) is open_parts(PairData(**vars(DRAWINGS)))
    other = open_parts(PairData(**{**vars(DRAWINGS), "data_seed": 1}))
    assert rows(other.test) != rows(open_parts(DRAWINGS).test)


def test_faces_are_tested_on_the_sets_own_part_and_learned_also_as_in_a_mirror(faces):
    parts = open_parts(PairData(task="faces-cufs", source=faces, image_size=16))
    assert [len(part) for part in (parts.train, parts.choose, parts.test)] == [8, 1, 3]
    test = open_pairs(faces, part="test")
    assert torch.equal(parts.test.inputs[1, 0], test.photos(16)[1]["image"])
    assert torch.equal(parts.test.targets[1], test.sketches(16)[1]["image"])
    assert torch.equal(parts.train.inputs[4:], parts.train.inputs[:4].flip(-1))
    assert torch.equal(parts.train.targets[4:], parts.train.targets[:4].flip(-1))
    assert not torch.equal(parts.train.targets[4:], parts.train.targets[:4])
    assert rows(parts.train).isdisjoint(rows(parts.choose))


def test_too_few_drawings_of_a_class_are_one_line():
    few = PairData(**{**vars(DRAWINGS), "per_class": 2})
    with pytest.raises(ValueError, match="doodles has 2 drawings of house that are rich enough: each class needs 3"):
        open_parts(few)


def test_an_unknown_class_is_named_with_the_nearest():
    wrong = PairData(**{**vars(DRAWINGS), "classes": ("cat", "hous")})
    with pytest.raises(ValueError, match="doodles has no class 'hous': did you mean 'house'"):
        check_parts(wrong, print)


def test_a_missing_folder_and_a_single_face_are_one_line(faces, tmp_path):
    with pytest.raises(ValueError, match="gone does not exist; give the folder of the set"):
        check_parts(PairData(task="faces-cufs", source=f"cufs:{tmp_path}/gone"), print)
    with pytest.raises(ValueError, match="has 1 training pairs"):
        open_parts(PairData(task="faces-cufs", source="doodles?count=1"))
    said: list[object] = []
    check_parts(PairData(task="faces-cufs", source=faces), said.append)
    assert said == []
