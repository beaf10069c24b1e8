"""Prompts for a text-to-image model from the classes of a data set."""

from collections.abc import Sequence
from functools import cache
from importlib import resources
from string import Formatter

TEMPLATE = "a sketch of a {}"


@cache
def imagenet_names() -> dict[str, str]:
    """Return ImageNet's 1,000 classes: WordNet id, such as `n02123045`, to its name there, such as `tabby`.

    The first lemma of each synset; four that would be like another's (both cranes, a maillot, the Cardigan corgi) have
    another.
    """
    text = resources.files("sketchloss.data").joinpath("imagenet_names.txt").read_text(encoding="utf-8")
    return dict(line.split("\t") for line in text.splitlines())


def readable(name: str) -> str:
    """Return the name of a class for a prompt: an ImageNet id becomes its name, underscores become spaces."""
    return " ".join(imagenet_names().get(name.strip(), name).replace("_", " ").split())


def make_prompts(classes: Sequence[str], template: str = TEMPLATE) -> list[str]:
    """Return a prompt for each class.

    Args:
        classes: names, or ImageNet ids.
        template: a text with one `{}` where the name goes.

    Raises:
        ValueError: for a template without exactly one `{}`, or a class without a name, or with one that is not UTF-8.
    """
    check_template(template)
    names = [readable(name) for name in classes]
    if not all(names):
        raise ValueError(f"class {classes[names.index('')]!r} has no name to write in a prompt: rename it")
    for name in names:
        if any("\ud800" <= letter <= "\udfff" for letter in name):  # how Python writes a file name's stray bytes
            raise ValueError(f"class {name!r} has a name that is not UTF-8: rename it")
    return [template.format(name) for name in names]


def check_template(template: str) -> None:
    """Raise ValueError for a template without exactly one `{}`."""
    try:
        fields = [field for _, *field in Formatter().parse(template) if field[0] is not None]
    except ValueError:
        fields = []
    if fields != [["", "", None]]:  # name, format and conversion: one bare {}
        raise ValueError(f"template is {template!r}: write one {{}} where the class goes, as in {TEMPLATE!r}")
