"""From the classes of a data set to what a text-to-image model is asked for."""

from collections.abc import Sequence
from functools import cache
from importlib import resources
from string import Formatter

TEMPLATE = "a sketch of a {}"


@cache
def imagenet_names() -> dict[str, str]:
    """Return ImageNet's 1,000 classes: WordNet id, such as `n02123045`, to its name there, such as `tabby`.

    The first lemma of each synset; the four that would be alike (two cranes, two maillots, the Cardigan corgi) are told
    apart by another.
    """
    text = resources.files("sketchloss.data").joinpath("imagenet_names.txt").read_text(encoding="utf-8")
    return dict(line.split("\t") for line in text.splitlines())


def readable(name: str) -> str:
    """Return what a class is called in a prompt: an ImageNet id by its name, underscores as spaces."""
    return " ".join(imagenet_names().get(name.strip(), name).replace("_", " ").split())


def make_prompts(classes: Sequence[str], template: str = TEMPLATE) -> list[str]:
    """Return a prompt for each class.

    Args:
        classes: names, or ImageNet ids.
        template: with one `{}` where the name goes.

    Raises:
        ValueError: for a template without exactly one `{}`, or a class without a name.
    """
    check_template(template)
    names = [readable(name) for name in classes]
    if not all(names):
        raise ValueError("a class has no name: rename its folder")
    return [template.format(name) for name in names]


def check_template(template: str) -> None:
    """Raise ValueError for a template without exactly one `{}`."""
    try:
        fields = [(field, spec, conversion) for _, field, spec, conversion in Formatter().parse(template)
                  if field is not None]  # fmt: skip
    except ValueError:
        fields = []
    if fields != [("", "", None)]:
        raise ValueError(f"template is {template!r}: write one {{}} where the class goes, as in {TEMPLATE!r}")
