"""A config dataclass as a command line (tyro), whose every mistake is one line."""

import dataclasses
import os
import re
import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr
from difflib import get_close_matches
from io import StringIO
from itertools import pairwise
from typing import Annotated, Any, Literal

import tyro
from docstring_parser import parse_from_object


class HelpShown(Exception):  # noqa: N818 (nothing went wrong)
    """The user asked for help and has it."""


def parse(
    config_type: type, arguments: Sequence[str], *, program: str, presets: dict[str, dict[str, Any]] | None = None
) -> Any:
    """Parse a command line into a config.

    Args:
        config_type: a dataclass.
        arguments: without the program's name.
        program: name of the program in the help.
        presets: name -> defaults that it changes; they become `--preset`.

    Raises:
        ValueError: with one line that names the mistake.
    """
    _refuse_twice(config_type, arguments)
    parsed_type, default = config_type, None
    if presets:
        parsed_type = _with_preset(config_type, presets)
        default = _defaults(parsed_type, presets[(chosen := _find_preset(arguments, presets))] | {"preset": chosen})
    wants_help = bool({"-h", "--help"} & set(arguments))
    if wants_help:
        parsed_type = _with_whole_texts(parsed_type)
        if default is not None:
            default = _defaults(parsed_type, vars(default))
    said = StringIO()
    try:
        # Wide, because a line that tyro breaks would have to be put together again; help is read by people.
        with redirect_stderr(said), _columns(None if wants_help else 10_000):
            config = tyro.cli(
                parsed_type,
                prog=program,
                description=(config_type.__doc__ or "").partition("\n\n")[0],
                args=list(arguments),
                default=tyro.MISSING_NONPROP if default is None else default,
                config=(tyro.conf.FlagCreatePairsOff, tyro.conf.PositionalMetavarFromFieldName),
            )
    except SystemExit as end:
        if not end.code:
            raise HelpShown from None
        raise ValueError(_condense(said.getvalue(), parsed_type, arguments, f"see {program} --help")) from None
    if not presets:
        return config
    return config_type(**{item.name: getattr(config, item.name) for item in dataclasses.fields(config_type)})


def _refuse_twice(config_type: type, arguments: Sequence[str]) -> None:
    """Refuse an option of any number of values that is given twice: tyro would forget the first one's in silence."""
    given = [argument.partition("=")[0].replace("_", "-") for argument in arguments if argument.startswith("--")]
    for item in dataclasses.fields(config_type):
        flag = f"--{item.name.replace('_', '-')}"
        if ", ...]" in str(item.type) and given.count(flag) > 1:
            raise ValueError(f"{flag} is given twice: give all its values behind one {flag}, with spaces between them")


def _with_preset(config_type: type, presets: dict[str, dict[str, Any]]) -> type:
    help_text = "Set of defaults, which other options override; --preset NAME --help shows them."
    for paragraph in (config_type.__doc__ or "").split("\n\n"):
        if (text := " ".join(paragraph.split())).startswith("Presets: "):
            help_text = f"{help_text} {text.removeprefix('Presets: ')}"
    preset = Annotated[Literal[*presets], tyro.conf.arg(help=help_text)]
    frozen = config_type.__dataclass_params__.frozen
    return dataclasses.make_dataclass(
        config_type.__name__, [("preset", preset, next(iter(presets)))], bases=(config_type,), frozen=frozen
    )


def _with_whole_texts(config_type: type) -> type:
    """Return the dataclass with each field's docstring in one line: tyro would keep its line breaks in the help."""
    texts = {}
    for base in reversed(config_type.__mro__[:-1]):
        texts |= {said.arg_name: said.description for said in parse_from_object(base).params if said.description}
    items: list[tuple[str, Any, Any]] = []
    for item in dataclasses.fields(config_type):
        kind: Any = item.type
        if text := texts.get(item.name):
            kind = Annotated[kind, tyro.conf.arg(help=" ".join(text.split()))]
        value = dataclasses.field(default=item.default, default_factory=item.default_factory, kw_only=item.kw_only)
        items.append((item.name, kind, value))
    return dataclasses.make_dataclass(config_type.__name__, items)


def _find_preset(arguments: Sequence[str], presets: dict[str, dict[str, Any]]) -> str:
    # note: the preset that changes nothing is what the dataclass's own defaults are, so it is the one without a flag.
    chosen = next((name for name, changes in presets.items() if not changes), next(iter(presets)))
    for argument, following in pairwise([*arguments, ""]):
        name, equals, value = argument.partition("=")
        value = value if equals else following
        if name == "--preset" and value in presets:  # an unknown one is refused by the parser
            chosen = value
    return chosen


def _defaults(config_type: type, changes: dict[str, Any]) -> Any:
    """Return an instance to take defaults from, its required fields missing; so it must not check itself."""
    instance = object.__new__(config_type)
    for item in dataclasses.fields(config_type):
        value = tyro.MISSING
        if item.default is not dataclasses.MISSING:
            value = item.default
        elif item.default_factory is not dataclasses.MISSING:
            value = item.default_factory()
        object.__setattr__(instance, item.name, changes.get(item.name, value))
    return instance


@contextmanager
def _columns(width: int | None) -> Iterator[None]:
    if width is None:
        yield
        return
    before = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = str(width)
    try:
        yield
    finally:
        if before is None:
            del os.environ["COLUMNS"]
        else:
            os.environ["COLUMNS"] = before


def _condense(box: str, config_type: type, arguments: Sequence[str], see_help: str) -> str:
    """Say in one line what tyro says in a box; words that are not known here are passed on as they are."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", box)
    # The first line is a title. Where the terminal knows no box-drawing characters, the frame is blank.
    rows = [line[2:].rstrip("│ ") for line in text.splitlines()[1:]]
    rows = [row for row in rows if row.strip("╰─╯- ")]
    footer = next((index for index, row in enumerate(rows) if row.startswith("For full helptext")), len(rows))
    rows = rows[:footer]
    body = " ".join(row.strip() for row in rows) or " ".join(text.split())
    flags = _flags(config_type)

    if "Unrecognized options:" in body:
        unknown = body.partition("Unrecognized options:")[2].strip()
        given = [argument for argument in arguments if argument.startswith("-") and not _is_known(argument, flags)]
        if given:
            flag = given[0].partition("=")[0]
            near = suggest(f"--{flag.lstrip('-').replace('_', '-')}", list(flags))
            return f"unknown option {flag}: {near or see_help}".strip()
        return f"{shlex.quote(unknown.split(', ')[0])} is one argument too many; {see_help}"
    if body.startswith("Missing from"):
        missing = [row.strip() for row in rows if re.match(r" {4}\S", row)]
        return f"missing {' and '.join(missing)}; {see_help}"
    if found := re.match(r"Missing value for argument '(\S+)'. Expected (\d+) value", body):
        flag, count = found.groups()
        given = _given(flag, arguments)
        wanted = "a value" if count == "1" else f"{count} values"
        return f"{flag} needs {wanted}, {f'got only {given!r}' if given else 'none is given'}"
    if found := re.match(r"invalid choice '(.*)' for argument '(\S+)'. Expected one of \((.*?),?\)\.?$", body):
        value, flag, listed = found.groups()
        choices = [choice.strip("' ") for choice in listed.split(",")]
        if "None" in choices:  # it stands for leaving the option out; the others come in no order then
            choices = sorted(set(choices) - {"None"})
        return f"{flag} {value!r} is unknown: {suggest(value, choices)}choose from {', '.join(choices)}"
    if found := re.match(r"Error parsing (?:(-\w)/)?(\S+): (.*?) Argument helptext:", " ".join(body.split())):
        short, flag, reason = found.groups()
        # The row under "Argument helptext:" is the flag and its placeholders, after a short flag and its own.
        row = rows[rows.index("Argument helptext:") + 1]
        placeholder = row.strip().rpartition(", ")[2].removeprefix(flag).strip()
        given = _given(flag, arguments, short)
        return f"{flag} takes {_in_words(placeholder)}, not {given!r}" if given else f"{flag}: {reason}"
    return re.sub(r"^Error parsing \w+: ", "", body)


def _flags(config_type: type) -> list[str]:
    return [f"--{item.name.replace('_', '-')}" for item in dataclasses.fields(config_type)]


def _is_known(argument: str, flags: Sequence[str]) -> bool:
    flag = argument.partition("=")[0].replace("_", "-")
    return flag in flags or re.fullmatch(r"-\d.*", argument) is not None


def _given(flag: str, arguments: Sequence[str], short: str | None = None) -> str:
    """Return what was given for a flag, up to the next one; `short` is its name of one letter, such as `-k`."""
    values: list[str] = []
    taking = False
    for argument in arguments:
        name, equals, value = argument.partition("=")
        if short and argument.startswith(short):  # -k 3, -k=3, -k3
            taking, value = True, argument.removeprefix(short).removeprefix("=")
            values = [value] if value else []
        elif argument.startswith("--"):
            taking = name.replace("_", "-") == flag
            values = ([value] if equals else []) if taking else values
        elif taking:
            values.append(argument)
    return " ".join(values)


def _in_words(placeholder: str) -> str:
    kinds = {"INT": "a whole number", "FLOAT": "a number", "{None}": "None"}
    values = [" or ".join(kinds.get(kind, kind) for kind in value.split("|")) for value in placeholder.split()]
    return " and ".join(values)


def suggest(word: str, known: Sequence[str]) -> str:
    """Return the question whether the nearest of the known words was meant; nothing if none is near."""
    close = get_close_matches(word, known, n=1)
    return f"did you mean {close[0]}? " if close else ""
