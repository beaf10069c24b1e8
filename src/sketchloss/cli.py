"""The command `sketchloss`: one entry a command; the command's config dataclass is its command line (tyro).

A user's mistake ends in one line on stderr and exit code 2, an interruption in one line and 130. Whatever else is
raised is a bug and keeps its traceback; `SKETCHLOSS_DEBUG=1` shows the traceback of mistakes too.
"""

import dataclasses
import errno
import os
import re
import select
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from difflib import get_close_matches
from importlib import import_module
from io import StringIO, TextIOWrapper
from itertools import pairwise
from typing import Annotated, Any, Literal, NamedTuple, cast, get_type_hints

import torch
import tyro

from sketchloss import __version__
from sketchloss.training.guards import TrainingStopped


class Command(NamedTuple):
    """Where a command is found. Its module is imported only when it is chosen."""

    name: str
    """One word, or two such as `style train`."""
    summary: str
    module: str
    function: str
    """Takes one config dataclass; an int that it returns is the exit code. A dictionary `PRESETS` in its module, from
    a name to the defaults that it changes, becomes the flag `--preset`."""
    extra: str = ""
    """The extra with the libraries that it needs beyond the core."""


COMMANDS = (
    Command("compare", "how different two drawings look, or two folders of them", "sketchloss.compare", "compare"),
    Command("finetune", "tune the backbone on sketches", "sketchloss.recipes.finetune", "finetune", "train"),
    Command(
        "neighbours", "how well weights tell drawings apart", "sketchloss.recipes.neighbours", "neighbours", "train"
    ),
    Command(
        "retrieval", "train heads that find sketches by sketch", "sketchloss.recipes.retrieval", "retrieval", "eval"
    ),
    Command(
        *("separation", "how far apart the arms keep the classes"),
        *("sketchloss.recipes.class_separation", "class_separation", "eval"),
    ),
    Command("probe", "whether distances between drawings behave", "sketchloss.recipes.probe", "probe", "eval"),
    Command("tricks", "which tricks fool distances, blank paper first", "sketchloss.recipes.tricks", "tricks", "eval"),
    Command("study", "every table and figure, in a report", "sketchloss.recipes.study", "command", "eval,diffusion"),
    Command(
        *("style train", "train a network that turns photos into sketches"),
        *("sketchloss.recipes.style_transfer", "style_transfer", "train"),
    ),
    Command(
        *("style table", "the arms' sketches against the true ones"),
        *("sketchloss.recipes.style_table", "style_table", "eval"),
    ),
    Command("style apply", "turn pictures into sketches", "sketchloss.stylize.commands", "apply", "onnx"),
    Command("style export", "write a stylizer as an ONNX file", "sketchloss.stylize.commands", "export", "onnx"),
    Command(
        *("lora train", "teach a text-to-image model to sketch"),
        *("sketchloss.recipes.latent_diffusion", "latent_diffusion", "diffusion"),
    ),
    Command("lora sample", "draw prompts", "sketchloss.lora.commands", "sample", "diffusion"),
    Command("lora merge", "put a LoRA into its model", "sketchloss.lora.commands", "merge", "diffusion"),
    Command(
        *("lora table", "what models taught with each arm draw, measured"),
        *("sketchloss.recipes.lora_table", "lora_table", "eval,diffusion"),
    ),
    Command(
        *("lora base", "train a small text-to-image model from nothing"),
        *("sketchloss.recipes.tiny_diffusion", "tiny_diffusion", "diffusion"),
    ),
    Command("gallery build", "make a gallery of drawings to search", "sketchloss.gallery.commands", "build", "gallery"),
    Command("gallery add", "bring a gallery up to date", "sketchloss.gallery.commands", "add", "gallery"),
    Command("gallery remove", "take drawings out of a gallery", "sketchloss.gallery.commands", "remove", "gallery"),
    Command("gallery search", "find drawings by drawing", "sketchloss.gallery.commands", "search", "gallery"),
    Command("gallery info", "what is in a gallery", "sketchloss.gallery.commands", "info", "gallery"),
    Command("app", "a page in the browser for all this", "sketchloss.app.command", "app", "app"),
    Command("doctor", "check this installation", "sketchloss.doctor", "doctor"),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line.

    Args:
        argv: the arguments after the program's name; by default those of the process.

    Returns:
        The exit code: 0, or what the command returned; 2 for a user's mistake, 130 for an interruption.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    command = None
    if isinstance(sys.stdout, TextIOWrapper):
        # A file's name may hold what the terminal's encoding cannot say; stderr is like this from the start.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        if not arguments or arguments[0] in ("-h", "--help", "help"):
            print(_overview(COMMANDS))
            code = 0
        elif arguments[0] == "--version":
            print(f"sketchloss {__version__}")
            code = 0
        elif arguments[-1] in ("-h", "--help") and (group := _group(arguments[0])) and len(arguments) == 2:
            print(_overview(group))
            code = 0
        else:
            command, rest = _choose(arguments)
            code = _run(command, rest)
        sys.stdout.flush()
    except (KeyboardInterrupt, Exception) as error:
        if isinstance(error, BrokenPipeError) and _reader_has_gone():
            return 141  # as the shell reports of any program whose reader left
        line, code = _explain(error, command)
        if line is None or os.environ.get("SKETCHLOSS_DEBUG", "0") not in ("", "0"):
            raise
        print(_spelt_out(f"sketchloss {command.name}: {line}" if command else f"sketchloss: {line}"), file=sys.stderr)
    return code


def _overview(commands: Sequence[Command]) -> str:
    width = max(len(command.name) for command in commands)
    return "\n".join(
        [
            "usage: sketchloss COMMAND [OPTIONS]",
            "",
            "A perceptual loss made for sketches, and what trains and tests it.",
            "",
            *(f"  {command.name:{width}}  {command.summary}" for command in commands),
            "",
            "sketchloss COMMAND --help shows a command's options; sketchloss --version, the version.",
        ]
    )


def _group(word: str) -> list[Command]:
    """Return the commands of two words that begin with this one."""
    return [command for command in COMMANDS if command.name.startswith(f"{word} ")]


def _choose(arguments: list[str]) -> tuple[Command, list[str]]:
    for words in (2, 1):
        for command in COMMANDS:
            if command.name.split() == arguments[:words]:
                return command, arguments[words:]
    first = arguments[0]
    if first.startswith("-"):
        raise ValueError(f"unknown option {first} before the command; sketchloss --help lists the commands")
    if group := _group(first):
        names = ", ".join(command.name.split()[1] for command in group)
        found = f"{arguments[1]!r} is no part of {first}" if len(arguments) > 1 else f"{first} needs a second word"
        raise ValueError(f"{found}: use one of {names}")
    names = list(dict.fromkeys(command.name.split()[0] for command in COMMANDS))
    raise ValueError(f"unknown command {first!r}: {_suggest(first.lower(), names)}choose from {', '.join(names)}")


def _suggest(word: str, known: Sequence[str]) -> str:
    close = get_close_matches(word, known, n=1)
    return f"did you mean {close[0]}? " if close else ""


def _run(command: Command, arguments: list[str]) -> int:
    module = import_module(command.module)
    function: Callable[[Any], Any] = getattr(module, command.function)
    config_type = next(iter(get_type_hints(function).values()))
    try:
        config = parse(
            config_type, arguments, program=f"sketchloss {command.name}", presets=getattr(module, "PRESETS", {})
        )
    except _HelpShown:
        return 0
    with redirect_stdout(cast(Any, _WithoutControls(sys.stdout))):
        result = function(config)
    return result if isinstance(result, int) else 0


class _WithoutControls:
    """A stream on which no name of a file can move the cursor or colour the text: control characters are spelt out."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        return self._stream.write(_spelt_out(text))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _spelt_out(text: str) -> str:
    return re.sub(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", lambda found: f"\\x{ord(found[0]):02x}", text)


# Mistakes ------------------------------------------------------------------------------------------------------------


def _explain(error: BaseException, command: Command | None) -> tuple[str | None, int]:
    """Return the line to say and the exit code; no line for what is no mistake of the user."""
    match error:
        case KeyboardInterrupt():
            return "interrupted", 130
        case ModuleNotFoundError(name=str(name)) if name.partition(".")[0] != "sketchloss":
            missing, extra = name.partition(".")[0], command.extra if command and command.extra else "all"
            return f"{missing} is not installed; this needs the extra: pip install 'sketchloss[{extra}]'", 2
        case torch.OutOfMemoryError():
            return f"{_one_line(error).partition('. ')[0]}: use smaller pictures or batches", 2
        case RuntimeError() if "can't allocate memory" in str(error):  # torch's on a CPU
            return "there is not enough memory: use smaller pictures or batches", 2
        case RuntimeError() if "DataLoader worker" in str(error) and "killed" in str(error):
            return "a process that decodes pictures was killed, most likely for memory: use a smaller image size", 2
        case OSError(strerror=str(reason)) if error.filename is not None:
            mend = _MENDS.get(type(error), "check the path and the disk")
            return f"{error.filename}: {reason[:1].lower()}{reason[1:]}; {mend}", 2
        case OSError(errno=errno.ENOSPC | errno.EDQUOT | errno.EFBIG):
            return f"{str(error.strerror).lower()}: free some space, or write elsewhere; what was written is whole", 2
        case ValueError() | OSError() | TrainingStopped():
            return _one_line(error), 2
    return None, 1


_MENDS = {
    FileNotFoundError: "check the path",
    PermissionError: "change its permissions, or use another path",
    IsADirectoryError: "give the path of a file",
    NotADirectoryError: "give the path of a folder",
    FileExistsError: "remove it, or use another path",
}


def _one_line(error: BaseException) -> str:
    # A worker process passes its error on with the traceback as text: what it says comes last.
    if "in DataLoader worker process" in str(error):
        return str(error).strip().splitlines()[-1].partition(": ")[2]
    return " ".join(str(error).split()) or type(error).__name__


def _reader_has_gone() -> bool:
    """Tell whether it was stdout that broke, and if so keep the interpreter's last flush from complaining."""
    try:
        stdout = sys.stdout.fileno()
    except (OSError, ValueError):  # no file at all: captured, or closed
        return False
    if hasattr(select, "poll"):  # Windows has none
        poll = select.poll()
        poll.register(stdout, 0)
        if not any(event & select.POLLERR for _, event in poll.poll(0)):
            return False
    os.dup2(os.open(os.devnull, os.O_WRONLY), stdout)
    return True


# Command lines -------------------------------------------------------------------------------------------------------


class _HelpShown(Exception):  # noqa: N818 (nothing went wrong)
    """The user asked for help and has it."""


def parse(
    config_type: type, arguments: Sequence[str], *, program: str, presets: dict[str, dict[str, Any]] | None = None
) -> Any:
    """Parse a command line into a config.

    Args:
        config_type: a dataclass.
        arguments: without the program's name.
        program: what to call it in the help.
        presets: name -> defaults that it changes; they become `--preset`.

    Raises:
        ValueError: with one line that names the mistake.
    """
    parsed_type, default = config_type, None
    if presets:
        parsed_type = _with_preset(config_type, presets)
        default = _defaults(parsed_type, presets[(chosen := _find_preset(arguments, presets))] | {"preset": chosen})
    said = StringIO()
    try:
        # Wide, because a line that tyro breaks would have to be put together again; help is read by people.
        with redirect_stderr(said), _columns(None if {"-h", "--help"} & set(arguments) else 10_000):
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
            raise _HelpShown from None
        raise ValueError(_condense(said.getvalue(), parsed_type, arguments, f"see {program} --help")) from None
    if not presets:
        return config
    return config_type(**{item.name: getattr(config, item.name) for item in dataclasses.fields(config_type)})


def _with_preset(config_type: type, presets: dict[str, dict[str, Any]]) -> type:
    help_text = "Which defaults; other options override it. Their help: --preset NAME --help."
    preset = Annotated[Literal[*presets], tyro.conf.arg(help=help_text)]
    frozen = config_type.__dataclass_params__.frozen
    return dataclasses.make_dataclass(
        config_type.__name__, [("preset", preset, next(iter(presets)))], bases=(config_type,), frozen=frozen
    )


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
            near = _suggest(f"--{flag.lstrip('-').replace('_', '-')}", list(flags))
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
        return f"{flag} {value!r} is unknown: {_suggest(value, choices)}choose from {', '.join(choices)}"
    if found := re.match(r"Error parsing (\S+): (.*?) Argument helptext: \1 (\S.*)$", " ".join(body.split())):
        flag, reason, _ = found.groups()
        # The row under "Argument helptext:" is the flag and its placeholders.
        placeholder = rows[rows.index("Argument helptext:") + 1].strip().removeprefix(flag).strip()
        given = _given(flag, arguments)
        return f"{flag} takes {_in_words(placeholder)}, not {given!r}" if given else f"{flag}: {reason}"
    return re.sub(r"^Error parsing \w+: ", "", body)


def _flags(config_type: type) -> list[str]:
    return [f"--{item.name.replace('_', '-')}" for item in dataclasses.fields(config_type)]


def _is_known(argument: str, flags: Sequence[str]) -> bool:
    flag = argument.partition("=")[0].replace("_", "-")
    return flag in flags or re.fullmatch(r"-\d.*", argument) is not None


def _given(flag: str, arguments: Sequence[str]) -> str:
    """Return what was given for a flag, up to the next one."""
    values: list[str] = []
    taking = False
    for argument in arguments:
        name, equals, value = argument.partition("=")
        if argument.startswith("--"):
            taking = name.replace("_", "-") == flag
            values = ([value] if equals else []) if taking else values
        elif taking:
            values.append(argument)
    return " ".join(values)


def _in_words(placeholder: str) -> str:
    kinds = {"INT": "a whole number", "FLOAT": "a number", "{None}": "None"}
    values = [" or ".join(kinds.get(kind, kind) for kind in value.split("|")) for value in placeholder.split()]
    return " and ".join(values)
