"""Oracles: the list itself; the class names that the data sets have."""

import pytest

from sketchloss.data.doodles.kinds import doodle
from sketchloss.data.joined import plain_name
from sketchloss.data.sources import open_sketches
from sketchloss.data.synonyms import KINDS_BY_NAME, same_kind


@pytest.mark.parametrize("name", ["car", "Car", "car_(sedan)", "sedan"])
def test_a_kind_has_all_its_names_whichever_is_given(name):
    assert {"car", "car (sedan)", "sedan"} <= same_kind(name)
    assert same_kind(name) == same_kind("car")


def test_a_name_without_synonyms_stands_for_itself():
    assert same_kind("Hot_Air-Balloon") == {"hot air balloon"}


def test_no_name_is_on_two_lines():
    names = [plain_name(name) for line in KINDS_BY_NAME.strip().splitlines() for name in line.split(",")]
    assert sorted(names) == sorted(set(names))
    assert all(name == plain_name(name) for name in names)


def test_left_out_means_in_every_source_under_every_name(tmp_path):
    for source, names in (("one", ("car", "cat", "dog")), ("two", ("Car_(Sedan)", "dog")), ("three", ("sedan", "dog"))):
        for name in names:
            (tmp_path / source / name).mkdir(parents=True)
            for number in range(2):
                doodle("cat", number).sketch(16).save(tmp_path / source / name / f"{number}.png")
    together = open_sketches(",".join(str(tmp_path / source) for source in ("one", "two", "three")), 16)
    assert together.classes == ["car", "car (sedan)", "cat", "dog", "sedan"]
    for name in ("car", "sedan", "car (sedan)", "automobile"):
        rest = together.select_classes([name], leave_out=True)
        assert rest.classes == ["cat", "dog"]
        assert len(rest) == 8
    assert together.select_classes(["sedan"]).classes == ["sedan"]  # what is kept is what was named


def test_of_all_real_sources_together_no_spelling_is_left(data_folder):
    sources = ("quickdraw", "quickdraw_more", "tuberlin", "sketchy", "pacs_sketch", "toronto_scenes")
    together = open_sketches(",".join(str(data_folder / source) for source in sources), 32)
    left_out = ("horse", "car (sedan)", "hotdog", "bird", "mountain", "light bulb", "jack-o-lantern")
    rest = together.select_classes(left_out, leave_out=True)
    gone = set(together.classes) - set(rest.classes)
    assert gone == {
        *("horse", "car", "car (sedan)", "police car", "hot dog", "hotdog", "bird", "songbird", "seagull"),
        *("wading bird", "mountain", "mountains", "light bulb", "lightbulb", "jack o lantern"),
    }
    assert len(rest) == sum(together.classes[label] not in gone for label in together.labels)
