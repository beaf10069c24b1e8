"""Marks on fields of a config dataclass that say what they decide: `x: int = field(default=3, metadata=PLACE)`.

A run folder asks which settings may differ when a run is resumed; a study asks which settings are part of a cell's key,
and which of them name files whose change makes the cell another one.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, TypeAlias

Metadata: TypeAlias = dict[str, Any]
#: The setting says where and how the work is done, and decides no result.
PLACE: Metadata = {"in_key": False, "may_change": True}
#: The setting may differ between the parts of a run: it decides what is noted or measured, not what is trained.
MEASURED: Metadata = {"may_change": True}
#: In a study, the cells that a cell needs say the same.
NEEDED: Metadata = {"in_key": False}
#: The setting came after studies had been computed without it: at its default it is no part of a key.
LATER: Metadata = {"later": True}
#: The setting names weights, or several.
WEIGHTS: Metadata = {"names": "weights"}
#: The setting names data or other files, or several.
FILES: Metadata = {"names": "files"}
#: The setting names a loss, or several, which may be a function in a file: FILE.py:FUNCTION. Of MODULE:FUNCTION it is
#: not known whether it has changed.
LOSS: Metadata = {"names": "loss"}


def own_layers(choose: Callable[[Any], Any], *, of: str = "") -> Metadata:
    """Return the metadata of a setting that names layers, which are by default the network's own.

    Args:
        choose: gives the layers of a `Backbone` that are meant when the setting is empty.
        of: the setting that names the network's weights; empty: the network that the experiment measures.
    """
    return {"own_layers": choose, "layers_of": of}


def decides_result(item: "dataclasses.Field[Any]") -> bool:
    """Tell whether a setting decides the result of a cell and is not said by the cells that it needs."""
    return item.metadata.get("in_key", True)


def may_change(item: "dataclasses.Field[Any]") -> bool:
    """Tell whether a setting may differ when a run is resumed."""
    return item.metadata.get("may_change", False)
