"""The command `sketchloss`, with one entry for each command; a command's config dataclass is its command line.

A user's mistake ends in one line on stderr and exit code 2, an interruption in one line and 130. Whatever else is
raised is a bug and keeps its traceback; `SKETCHLOSS_DEBUG=1` shows the traceback of mistakes too.

note: what takes long to import, torch and tyro among it, is imported when it is known to be needed. So commands are
chosen here and not by tyro's subcommands, which want every command's config, and with it torch, Gradio and the rest.
"""

import errno
import gc
import os
import select
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout, suppress
from importlib import import_module
from io import TextIOWrapper
from typing import Any, cast, get_type_hints

from sketchloss import __version__
from sketchloss.commands import COMMANDS, Command
from sketchloss.system.control_characters import spelt_out
from sketchloss.system.interrupts import ended_by_interrupts
from sketchloss.system.processes import helps, run_shared
from sketchloss.training.guards import TrainingStopped


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line.

    Args:
        argv: the arguments after the program's name; by default those of the process.

    Returns:
        The exit code: 0, or what the command returned; 2 for a user's mistake; 130 for an interruption.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    command = None
    _open_missing_streams()
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
        _drop_what_cannot_be_written()
        if command and command.shared and helps():  # the process that leads says it
            return code
        with suppress(OSError):  # that stderr is a full disk, or a pipe whose reader has gone
            said = f"sketchloss {command.name}: {line}" if command else f"sketchloss: {line}"
            print(spelt_out(said), file=sys.stderr, flush=True)
    return code


def _overview(commands: Sequence[Command]) -> str:
    width = max(len(command.name) for command in commands)
    return "\n".join(
        [
            "usage: sketchloss COMMAND [OPTIONS]",
            "",
            "A perceptual loss made for sketches, and the commands that train and test it.",
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
    from sketchloss.system.command_line import suggest

    names = list(dict.fromkeys(command.name.split()[0] for command in COMMANDS))
    raise ValueError(f"unknown command {first!r}: {suggest(first.lower(), names)}choose from {', '.join(names)}")


def _run(command: Command, arguments: list[str]) -> int:
    with _collecting_no_garbage():
        with ended_by_interrupts():
            from sketchloss.system.command_line import HelpShown, parse

            settings = import_module(command.settings or command.module, "sketchloss")
        if command.settings:
            config_type = getattr(settings, command.config)
        else:
            config_type = next(iter(get_type_hints(getattr(settings, command.function)).values()))
        try:
            config = parse(
                config_type, arguments, program=f"sketchloss {command.name}", presets=getattr(settings, "PRESETS", {})
            )
        except HelpShown:
            return 0
        with ended_by_interrupts():
            function: Callable[[Any], Any] = getattr(import_module(command.module, "sketchloss"), command.function)
    with redirect_stdout(cast(Any, _WithoutControls(sys.stdout))):
        result = run_shared(lambda: function(config)) if command.shared else function(config)
    return result if isinstance(result, int) else 0


@contextmanager
def _collecting_no_garbage() -> Iterator[None]:
    """Load libraries without looking for garbage, which they do not make: each look at torch takes a tenth of a second.

    What is loaded by then is never looked at again.
    """
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if not gc.get_freeze_count():  # once a process: a test runs many commands in one
            gc.freeze()
        if collecting:
            gc.enable()


class _WithoutControls:
    """A stream on which no name of a file can move the cursor or colour the text: control characters are spelt out."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        return self._stream.write(spelt_out(text))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


# Mistakes ------------------------------------------------------------------------------------------------------------


def _explain(error: BaseException, command: Command | None) -> tuple[str | None, int]:
    """Return the line to print and the exit code; the line is None if the error is no mistake of the user."""
    match error:
        case KeyboardInterrupt():
            return str(error) or "interrupted", 130
        case ModuleNotFoundError(name=str(name)) if name.partition(".")[0] != "sketchloss":
            missing, extra = name.partition(".")[0], command.extra if command and command.extra else "all"
            return f"{missing} is not installed; this needs the extra: pip install 'sketchloss[{extra}]'", 2
        case RuntimeError() if type(error).__name__ == "OutOfMemoryError":  # torch's, which need not be loaded
            return f"{_one_line(error).partition('. ')[0]}: use smaller pictures or batches", 2
        case RuntimeError() if "can't allocate memory" in str(error):  # torch's on a CPU
            return "there is not enough memory: use smaller pictures or batches", 2
        case RuntimeError() if "DataLoader worker" in str(error) and "killed" in str(error):
            return "a process that decodes pictures was killed, most likely for memory: use a smaller image size", 2
        case FileNotFoundError() if "No usable temporary directory" in str(error):
            return "no folder for temporary files can be written to: set TMPDIR to one that can", 2
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


# Standard streams ----------------------------------------------------------------------------------------------------


def _open_missing_streams() -> None:
    """Replace standard streams that were closed before the start, as `>&-` and services do, by empty ones.

    So writing to them is no error, and no file that is opened later gets their number, and with it what libraries say.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115, PTH123 (until the end)


def _drop_what_cannot_be_written() -> None:
    """Write out what stdout holds; where that is impossible, keep the interpreter from trying again at its end."""
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        _write_nowhere()


def _write_nowhere() -> None:
    with suppress(OSError, ValueError):  # no file at all: captured, or closed
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def _reader_has_gone() -> bool:
    """Tell whether it was stdout that broke, and if so write nothing more to it."""
    try:
        stdout = sys.stdout.fileno()
    except (OSError, ValueError):  # no file at all: captured, or closed
        return False
    if hasattr(select, "poll"):  # Windows has none
        poll = select.poll()
        poll.register(stdout, 0)
        if not any(event & select.POLLERR for _, event in poll.poll(0)):
            return False
    _write_nowhere()
    return True
