"""Settings in users' files: everything is checked before a network is built from them.

A file may come from anywhere. What it says wrongly is one line with the key, the value and what is right, and costs
neither time nor memory.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import MISSING, fields
from numbers import Integral, Real
from pathlib import Path
from reprlib import Repr
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from sketchloss.system.files import read_json

Config = TypeVar("Config")

_SHORT = Repr()
_SHORT.maxlevel, _SHORT.maxdict, _SHORT.maxstring, _SHORT.maxother = 2, 3, 60, 60
#: Kind of a value -> what it is, in words; one, and several.
_WORDS: dict[Any, tuple[str, str]] = {
    bool: ("true or false", "true or false"),
    int: ("a whole number", "whole numbers"),
    float: ("a number", "numbers"),
    str: ("a text", "texts"),
}


def show(value: object) -> str:
    """Return a value as an error names it: on one line, and cut where it is long."""
    return _SHORT.repr(value)


def read_described(path: Path, format_name: str, *, version: int = 1) -> dict[str, Any]:
    """Read the settings of a folder that says what it holds, with the keys `format` and `version`.

    Args:
        path: path of the JSON file.
        format_name: what `format` must be.
        version: what `version` must be, if it is said.

    Raises:
        OSError: if it cannot be read.
        ValueError: if it is no JSON object, another program's, or of another version.
    """
    stored = read_json(path)
    if stored.get("format") != format_name:
        raise ValueError(f"its {path.name} says {show(stored.get('format'))} and not {format_name!r}")
    check_version(stored, version, path.name)
    return stored


def check_version(stored: Mapping[str, Any], version: int, file: str) -> None:
    """Raise ValueError if settings say that they are of another version than this one."""
    found = stored.get("version", version)
    if found != version:
        raise ValueError(f"{file}: version is {show(found)}: this sketchloss knows {version}; update it")


def build_config(kind: type[Config], stored: Mapping[str, Any], file: str) -> Config:
    """Build a config dataclass from what a file says; keys that are no fields are passed over.

    Args:
        kind: a dataclass of plain values and tuples of them.
        stored: key -> value, as JSON has them: lists become tuples.
        file: how to call the file in errors.

    Raises:
        ValueError: for a key that is missing, or a value of the wrong type or outside its range.
    """
    items = {item.name: item for item in fields(kind)}  # pyright: ignore[reportArgumentType] - a dataclass
    for name, item in items.items():
        if name not in stored and item.default is MISSING and item.default_factory is MISSING:
            raise ValueError(f"{file} does not say {name}")
    settings = {name: value for name, value in stored.items() if name in items}
    try:
        check_types(kind, settings)
        return kind(**{name: tuple(v) if isinstance(v, list) else v for name, v in settings.items()})
    except (ValueError, OverflowError) as error:  # the latter: a whole number with hundreds of digits
        raise ValueError(f"{file}: {error}") from None


def check_types(kind: type, settings: Mapping[str, Any]) -> None:
    """Raise ValueError for the first setting that is not of the type of its field in a dataclass."""
    hints = get_type_hints(kind)
    for name, value in settings.items():
        if not _is(value, hints[name]):
            raise ValueError(f"{name} is {show(value)}: it must be {_in_words(hints[name])}")


def check_range(settings: object, names: Collection[str], least: float | int, most: float | int) -> None:
    """Raise ValueError for the first named setting of a config that is not a number from `least` to `most`.

    Of a tuple each number is checked; nan is in no range.
    """
    for name in names:
        value = getattr(settings, name)
        for number in value if isinstance(value, tuple) else (value,):
            if not least <= number <= most:
                raise ValueError(f"{name} is {show(value)}: it must be from {least:,} to {most:,}")


def check_sizes(settings: Mapping[str, Any], names: Collection[str], most: int) -> None:
    """Raise ValueError for the first named setting of another program that is no size: a whole number from 1.

    Args:
        settings: key -> value; of a list each number is checked, and null and what is not there pass.
        names: keys.
        most: the greatest size.
    """
    for name in names:
        value = settings.get(name)
        for number in value if isinstance(value, list) else (value,):
            if number is not None and not (_is(number, int) and 1 <= number <= most):
                raise ValueError(f"{name} is {show(value)}: it must be a whole number from 1 to {most:,}")


def _is(value: object, kind: Any) -> bool:
    origin, inner = get_origin(kind), get_args(kind)
    if origin is Literal:
        return any(value == choice and type(value) is type(choice) for choice in inner)
    if origin in (Union, UnionType):
        return any(_is(value, one) for one in inner)
    if origin is tuple:
        if not isinstance(value, list | tuple):
            return False
        kinds = [inner[0]] * len(value) if inner[-1] is Ellipsis else inner
        return len(value) == len(kinds) and all(map(_is, value, kinds))
    if origin is Sequence:
        return isinstance(value, list | tuple) and all(_is(one, inner[0]) for one in value)
    if origin is Mapping:
        return isinstance(value, Mapping) and all(_is(one, inner[1]) for one in value.values())
    if kind in (int, float):  # NumPy's numbers are some, too
        return isinstance(value, Integral if kind is int else Real) and not isinstance(value, bool)
    return isinstance(value, kind if isinstance(kind, type) else object)


def _in_words(kind: Any) -> str:
    origin, inner = get_origin(kind), get_args(kind)
    if origin is Literal:
        return " or ".join(str(choice) for choice in inner)
    if origin in (Union, UnionType):
        return " or ".join("null" if one is NoneType else _in_words(one) for one in inner)
    if origin is tuple:
        count = "" if inner[-1] is Ellipsis else f"{len(inner)} "
        return f"a list of {count}{_WORDS.get(inner[0], ('', 'values'))[1]}"
    if origin is Sequence:
        return f"a list of {_WORDS.get(inner[0], ('', 'values'))[1]}"
    if origin is Mapping:
        return f"an object, each of whose values is {_in_words(inner[1])}"
    return _WORDS.get(kind, (getattr(kind, "__name__", "of another kind"), ""))[0]


def is_finite(value: object) -> bool:
    """Tell whether a value of JSON is a finite number."""
    return _is(value, float) and math.isfinite(value)  # pyright: ignore[reportArgumentType]
