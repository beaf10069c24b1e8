"""Files in and out: nothing that is read can hang, and what is written is there whole or not at all."""

import errno
import json
import os
import re
import secrets
import select
import shutil
import stat
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from io import BufferedReader, BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

#: File in a folder for results that is locked while a process works there; see `hold_run_folder`.
LOCK = ".lock"
#: Names of files that `write_atomic` has begun.
_LEFT_BEHIND = re.compile(r"\.(.+)\.[0-9a-f]{16}(\.\w+)?")
#: Bytes of a file's name that usual file systems allow.
LONGEST_NAME = 255
#: Bytes that are taken from a pipe, and seconds without any of them.
MOST_PIPED, PATIENCE = 2**29, 60.0
#: Bytes of a JSON file that is read: far more than any of settings or results has.
MOST_JSON = 2**26


class NoFile(OSError):  # noqa: N818 (it names what was found)
    """The object at a path cannot be read as a file. The text says what it is, and how to fix it."""


def open_input(path: str | Path, *, pipes: bool = True) -> BufferedReader | BytesIO:
    """Open a file to read from; it can be rewound, and opening and reading it end.

    What comes through a pipe, such as `<(command)` of a shell, is read whole first.

    Args:
        path: path of a file or a pipe.
        pipes: whether a pipe is taken.

    Raises:
        NoFile: for a device, a socket, or a pipe that nobody writes to, with more than `MOST_PIPED` bytes or with
            nothing new for `PATIENCE` seconds.
        OSError: if it cannot be opened, such as FileNotFoundError.
    """
    # Not blocking, because to open a pipe waits for somebody who writes.
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    file = None
    try:
        kind = os.fstat(descriptor).st_mode
        if stat.S_ISDIR(kind):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        if stat.S_ISFIFO(kind) and pipes:
            return BytesIO(_read_pipe(descriptor))
        if not stat.S_ISREG(kind):
            raise NoFile("no regular file; remove it, or give it another suffix")
        file = os.fdopen(descriptor, "rb")
        return file
    finally:
        if file is None:
            os.close(descriptor)


def check_permission(path: str | Path) -> None:
    """Raise PermissionError for a file that is there and may not be read: safetensors says that there is none."""
    effective = os.access in os.supports_effective_ids
    there = os.access(path, os.F_OK, effective_ids=effective)
    if there and not os.access(path, os.R_OK, effective_ids=effective):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))


def _read_pipe(descriptor: int) -> bytes:
    parts: list[bytes] = []
    total = 0
    while total <= MOST_PIPED:
        try:
            part = os.read(descriptor, 2**20)
        except BlockingIOError:  # there is somebody who writes, and has not yet
            if select.select([descriptor], [], [], PATIENCE)[0]:
                continue
            raise NoFile(f"a pipe from which nothing came for {PATIENCE:.0f} seconds; give a file") from None
        if not part:
            if not parts:
                raise NoFile("a pipe that nobody writes to; give a file")
            return b"".join(parts)
        parts.append(part)
        total += len(part)
    raise NoFile(f"a pipe with more than {MOST_PIPED // 2**20} MB; write it to a file first")


def check_replaceable(path: str | Path) -> None:
    """Refuse a path that a file must not be put in the place of: a device, a pipe, a socket, or a link in `/dev`.

    Whoever may write there, such as root, would lose the device.

    Raises:
        ValueError: naming the path.
    """
    path = Path(path)
    if (path.exists() and not path.is_file() and not path.is_dir()) or path.parent.resolve() == Path("/dev"):
        raise ValueError(f"{path} is no regular file, and would be replaced by one: name another file")


def check_writable(path: str | Path) -> None:
    """Refuse a file that could not be written, before there is work to lose.

    Raises:
        ValueError: if its folder does not exist or may not be written to, or as `check_replaceable`; in one line.
    """
    path = Path(path)
    if path.parent.exists() and not path.parent.is_dir():
        raise ValueError(f"cannot write {path}: {path.parent} is a file; name a path in a folder")
    if not path.parent.is_dir():
        raise ValueError(f"cannot write {path}: the folder {path.parent} does not exist; make it first")
    if not os.access(path.parent, os.W_OK):
        raise ValueError(f"cannot write {path}: no permission to write in {path.parent}; write elsewhere")
    check_replaceable(path)


def check_distinct(outputs: Mapping[str, Path | None]) -> None:
    """Refuse a path that two options name, because the second would replace what the first wrote.

    Args:
        outputs: option, such as `--sheet` -> the path that it names, if it is given.

    Raises:
        ValueError: naming the path and both options.
    """
    named: dict[str, str] = {}
    for flag, path in outputs.items():
        if path is None:
            continue
        place = os.path.realpath(path)  # of links in a circle `Path.resolve` makes an error that is no OSError
        if other := named.get(place):
            raise ValueError(f"{path} is named for both {other} and {flag}: give each a name of its own")
        named[place] = flag


@contextmanager
def write_atomic(path: str | Path, *, durable: bool = True) -> Iterator[Path]:
    """Give a temporary path to write to; it becomes `path` when the block ends well, and is removed otherwise.

    Args:
        path: path of a file, replaced if there; its folder must exist.
        durable: wait until it is on the disk, so that it outlives a loss of power.

    Raises:
        FileNotFoundError: if the folder does not exist.
        ValueError: as `check_replaceable`.
    """
    path = Path(path)
    check_replaceable(path)
    if not path.parent.is_dir():
        raise FileNotFoundError(f"folder {path.parent} does not exist: make it first, or write elsewhere")
    # A name of its own for each writer; the suffix stays last, because Pillow and others go by it.
    # A name that is nearly as long as a file system allows is cut, so that there is room for what is added to it.
    room = LONGEST_NAME - len(os.fsencode(path.suffix)) - 18
    stem = path.stem.encode("utf-8", "ignore")[:room].decode("utf-8", "ignore")
    temporary = path.with_name(f".{stem}.{secrets.token_hex(8)}{path.suffix}")
    # note: not tempfile, whose files only their owner may read; these have the permissions of any new file.
    try:
        temporary.open("xb").close()
    except OSError as error:  # which names the temporary path
        raise OSError(error.errno, error.strerror, str(path)) from None
    mode = temporary.stat().st_mode
    try:
        yield temporary
        temporary.chmod(mode)  # safetensors, for one, puts a file of its own in its place
        if durable:
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_tensors(path: str | Path, tensors: dict[str, Tensor], metadata: dict[str, str] | None = None) -> None:
    """Write tensors as safetensors.

    Raises:
        OSError: if it cannot be written; what was there is still there.
    """
    with write_atomic(path) as temporary:
        try:
            save_file(tensors, temporary, metadata)
        except SafetensorError as error:  # what a full disk is called there
            reason = " ".join(str(error).split())[:200]
            raise OSError(f"cannot write {path} ({reason}): free some space, or write elsewhere") from None


def parse_json(text: str | bytes) -> Any:
    """Return what a JSON text says.

    Raises:
        ValueError: if it is none, or nested deeper than anybody writes.
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("brackets in brackets, hundreds deep") from None


def read_json(path: str | Path, kind: type = dict) -> Any:
    """Read a JSON file.

    Args:
        path: path of a file of at most `MOST_JSON` bytes.
        kind: what is in it: `dict` or `list`.

    Raises:
        OSError: if it cannot be read.
        ValueError: in one line with the path, if it is no JSON, something else than `kind`, or too large.
    """
    with open_input(path) as file:
        content = file.read(MOST_JSON + 1)
    try:
        if len(content) > MOST_JSON:
            raise ValueError(f"more than {MOST_JSON // 2**20} MB")
        value = parse_json(content.decode("utf-8"))
    except ValueError as error:  # UnicodeDecodeError among them
        raise ValueError(f"{path} is no JSON ({' '.join(str(error).split())}): copy or make it again") from None
    if not isinstance(value, kind):
        wanted = {dict: "an object, {...}", list: "a list, [...]"}[kind]
        raise ValueError(f"{path} holds {str(value)[:20]!r}: it must hold {wanted}; copy or make it again")
    return value


def write_json(path: str | Path, value: object) -> None:
    """Write a value as indented UTF-8 JSON; NaN and infinities are refused, since JSON has none."""
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    with write_atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")  # JSON's own escape


def claim_folder(
    out: Path,
    *,
    kind: str,
    made: Collection[str],
    again: bool,
    resume: bool = False,
    mark: str = "results.json",
    settings: "DataclassInstance | None" = None,
    **noted: str,
) -> None:
    """Make the folder for an experiment's results, or with `again` remove what an earlier one left, and only that.

    A file in it then says whose the folder is, even if the experiment never ends.

    Args:
        out: the folder.
        kind: name of the experiment, such as `study`.
        made: names of all that such an experiment leaves in its folder, `mark` among them.
        again: do an earlier experiment of this kind over.
        resume: go on with one, which may have other files beside its own.
        mark: name of the file that says whose the folder is.
        settings: settings of the experiment, written as `config.json`.
        noted: in `mark`, too.

    Raises:
        ValueError: as `check_claim`.
    """
    check_claim(out, kind=kind, made=made, again=again, resume=resume, mark=mark)
    out.mkdir(parents=True, exist_ok=True)
    for path in out.iterdir() if again or not resume else ():
        # The mark stays, so that what an interruption leaves is still a folder of this kind.
        if path.name not in (LOCK, mark) and _final_name(path.name) in made:
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    write_json(out / mark, {"format": f"sketchloss {kind}", **noted})
    if settings is not None:
        write_json(out / "config.json", plain_settings(settings))


def check_claim(
    out: Path, *, kind: str, made: Collection[str], again: bool, resume: bool = False, mark: str = "results.json"
) -> None:
    """Refuse a folder that `claim_folder` would refuse, before there is work to lose; its settings are the same.

    Raises:
        ValueError: if `out` is a file or a link, or holds files that are none of an experiment of this kind; without
            `resume` also if it holds one, and not `again`, or others than `made`.
    """
    if out.is_symlink() or (out.exists() and not out.is_dir()):
        raise ValueError(f"{out} is not a folder: choose another --out")
    if not out.exists():
        return
    if contents(out) and not ((again or resume) and _marker(out / mark) == f"sketchloss {kind}"):
        over = again or resume
        mend = "choose another --out" if over else f"choose another --out, or add --again to do a {kind} over"
        raise ValueError(f"{out} is not empty{f' and not a {kind}' if over else ''}: {mend}")
    foreign = [path for path in out.iterdir() if path.name != LOCK and _final_name(path.name) not in made]
    if foreign and not resume:
        raise ValueError(f"{out} holds {foreign[0].name}, which no {kind} made: move it, or choose another --out")


def plain_settings(config: "DataclassInstance") -> dict[str, Any]:
    """Return the settings of a config dataclass as JSON has them."""
    return json.loads(json.dumps(asdict(config), default=str))


def _final_name(name: str) -> str:
    """Return what a file was to become that `write_atomic` began; other names as they are."""
    match = _LEFT_BEHIND.fullmatch(name)
    return f"{match[1]}{match[2] or ''}" if match else name


def contents(folder: Path) -> list[Path]:
    """List what is in a folder, except its lock, and what `write_atomic` began and a killed process left."""
    return [path for path in folder.iterdir() if path.name != LOCK and not _LEFT_BEHIND.fullmatch(path.name)]


def clear_left_behind(folder: Path) -> None:
    """Remove what `write_atomic` began here and below, and killed processes left; nobody else may be writing here."""
    for place, _, names in os.walk(folder):
        for name in filter(_LEFT_BEHIND.fullmatch, names):
            (Path(place) / name).unlink(missing_ok=True)


def _marker(file: Path) -> str | None:
    try:
        return read_json(file)["format"]
    except (OSError, ValueError, KeyError):
        return None
