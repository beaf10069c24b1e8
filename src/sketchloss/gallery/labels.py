"""What a label in a search means: the folder directly below the given one, or a path of folders that begins there.

A drawing's label stays the first folder, as in every labelled source of the package: `birds` for `birds/owl/1.png`. So
classes, colours and counts do not change with the depth of a collection. `birds/owl` chooses among the drawings of the
label `birds` by their paths, which every gallery keeps, also one made by an earlier version.
"""

import os
from collections.abc import Iterable, Sequence
from difflib import get_close_matches

LISTED = 10


def split_label(label: str) -> list[str]:
    """Return the names of the folders in a label: `birds/owl/` -> `["birds", "owl"]`."""
    return [name for name in label.split("/") if name] or [""]


def label_condition(label: str) -> str:
    """Return the SQL condition of the rows of a gallery's table that have a label, or lie in that path of folders."""
    first, *below = split_label(label)
    condition = f"label = {quoted(first)}"
    if below:
        # In hexadecimal, where nothing needs a quote; pairs of digits, so that no match begins in the middle of a byte.
        # The last folder of the label's name counts: one above the folder that was added may have it, too.
        start, inside = (os.fsencode(text).hex() for text in (f"/{first}/", "/".join([*below, ""])))
        condition += f" AND starts_with(regexp_replace(encode(path, 'hex'), '^(..)*{start}', ''), '{inside}')"
    return condition


def folders_below(label: str, paths: Iterable[bytes]) -> list[str]:
    """Return the paths of folders, from a label's on, that hold some of these pictures: `birds/owl`, `birds/owl/snowy`.

    Args:
        label: name of the folder directly below the given one.
        paths: absolute paths of pictures with this label.
    """
    found = set()
    for path in paths:
        folders = os.fsdecode(path).split("/")[:-1]
        if label in folders:
            start = len(folders) - 1 - folders[::-1].index(label)  # as in `label_condition`
            found |= {"/".join(folders[start:end]) for end in range(start + 2, len(folders) + 1)}
    return sorted(found)


def did_you_mean(name: str, known: Sequence[str]) -> str:
    """Return which of some names may have been meant, or the names to choose from; empty if there are none."""
    near = get_close_matches(name, known, n=1) or get_close_matches(name.lower(), known, n=1)
    listed = f"choose from {', '.join(known[:LISTED])}" + (", ..." if len(known) > LISTED else "")
    return f"did you mean {near[0]!r}?" if near else listed if known else ""


def quoted(text: str) -> str:
    """Return a text as SQL has it."""
    return "'" + text.replace("'", "''") + "'"
