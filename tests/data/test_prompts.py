"""Oracles: published pairs of ImageNet's ids and names; templates filled in by hand."""

import os
import re
from importlib import resources

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sketchloss.data.captions.prompts import TEMPLATE, check_template, imagenet_names, make_prompts, readable


def test_the_thousand_classes_come_with_the_package_and_are_told_apart():
    assert resources.files("sketchloss").joinpath("data", "imagenet_names.txt").is_file()
    names = imagenet_names()
    assert len(names) == 1000
    assert all(re.fullmatch(r"n\d{8}", wnid) for wnid in names)
    assert len({name.lower() for name in names.values()}) == 1000
    assert list(names) == sorted(names)  # as ImageNet numbers its classes
    assert all(name == name.strip() and not set(name) & set("_,\t") for name in names.values())


@pytest.mark.parametrize(
    ("wnid", "name"),
    [
        ("n01440764", "tench"),
        ("n02123045", "tabby"),
        ("n02099601", "golden retriever"),
        ("n02504458", "African elephant"),
        ("n04557648", "water bottle"),
        ("n15075141", "toilet tissue"),
    ],
)
def test_published_names(wnid, name):
    assert imagenet_names()[wnid] == name
    assert readable(wnid) == readable(f" {wnid} ") == name


@pytest.mark.parametrize(
    ("one", "other"),
    [("n03126707", "n02012849"), ("n03710637", "n03710721"), ("n02963159", "n02113186")],  # cranes, maillots, cardigans
)
def test_namesakes_are_told_apart(one, other):
    assert readable(one) != readable(other)
    assert make_prompts([one, other])[0] != make_prompts([one, other])[1]


def test_other_classes_keep_their_names():
    assert make_prompts(["hot_air_balloon", " The  Eiffel Tower", "n99999999"]) == [
        "a sketch of a hot air balloon",
        "a sketch of a The Eiffel Tower",
        "a sketch of a n99999999",
    ]
    assert make_prompts(["cat"], "{}, {{drawn}}") == ["cat, {drawn}"]


@given(before=st.text("abc ,.", max_size=9), after=st.text("abc ,.", max_size=9), name=st.text("dog", min_size=1))
def test_a_template_keeps_its_words(before, after, name):
    assert make_prompts([name], f"{before}{{}}{after}") == [f"{before}{name}{after}"]


@pytest.mark.parametrize(
    "template", ["", "a sketch", "{} and {}", "{0}", "{name}", "{!r}", "{:>9}", "{", "a {} }", "{{}}", "{}{x}"]
)
def test_templates_without_one_place_are_refused(template):
    with pytest.raises(ValueError, match=r"write one \{\} where the class goes, as in ") as error:
        check_template(template)
    assert repr(template) in str(error.value)
    assert "\n" not in str(error.value)
    with pytest.raises(ValueError, match="template is"):
        make_prompts(["cat"], template)


def test_a_class_without_a_name_is_refused():
    check_template(TEMPLATE)
    for name in ("", " ", "_"):
        with pytest.raises(ValueError, match=f"class {name!r} has no name to write in a prompt: rename it"):
            make_prompts(["cat", name])
    with pytest.raises(ValueError, match="has a name that is not UTF-8: rename it"):
        make_prompts(["cat", os.fsdecode(b"caf\xe9")])
