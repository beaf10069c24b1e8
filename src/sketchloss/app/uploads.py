"""Uploads of visitors: pictures and zip archives, read so that none can harm the server or another visitor."""

import re
import shutil
import stat
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import gradio as gr
from gradio.data_classes import FileData, ImageData, ListFiles
from PIL import Image

from sketchloss.system.images import UnreadablePicture, open_picture
from sketchloss.system.optional_readers import HEAD_BYTES, reader_of
from sketchloss.system.passed_over import say_other_kinds
from sketchloss.system.picture_files import plain_suffixes
from sketchloss.system.visible_ink import HiddenInk, open_visible

#: Of a zip archive: files, bytes unpacked in all, and bytes of one file.
MOST_FILES = 20_000
MOST_BYTES = 512 * 2**20
MOST_BYTES_OF_ONE = 64 * 2**20
LOST = "all in it is light on a transparent ground, and lost on white paper"
GONE = "is no longer here: uploads are deleted after a while, so give it again"


def mistake(text: str, title: str = "This does not work") -> gr.Error:
    """Return an error for the visitor: it shows in the page or in the calling program, not on the terminal."""
    return gr.Error(_no_markup(_without_paths(text)), title=title, duration=20, print_exception=False)


def _no_markup(text: str) -> str:
    """Return a text that shows as it is where Gradio takes it for HTML: angle brackets become small quotation marks."""
    return text.translate({ord("<"): "\u2039", ord(">"): "\u203a"})


def in_markdown(text: str) -> str:
    """Return a text that shows unchanged where Gradio reads it as Markdown."""
    return re.sub(r"([!-/:-@\[-`{-~])", r"\\\1", _no_markup(text))


def number_input(value: float, *, label: str, least: float, most: float) -> gr.Number:
    """Make Gradio's number, for programs; a value outside these bounds is an error of one line.

    Args:
        value: taken where a program gives none.
        label: name of the argument.
        least: the smallest number that is taken.
        most: the greatest.
    """
    made = gr.Number(value, label=label)

    def preprocess(payload: object) -> float:
        if isinstance(payload, bool) or not isinstance(payload, int | float) or not least <= payload <= most:
            raise mistake(f"{label} is {payload!r}"[:80] + f": it must be a number, {least:g} to {most:g}")
        return payload

    # note: of the instance, as above
    made.preprocess = preprocess
    return made


def _without_paths(text: str) -> str:
    """Return a text with only the last part of each path of this computer."""
    return re.sub(r"(?<![\w./])(?:/(?:[^\s/:]+/)+|(?:[^\s/:()]+/){2,})([^\s/:]*)", r"\1", text)


def picture_input(*, transparent: bool = False, **settings: Any) -> gr.Image:
    """Make Gradio's image, read by `open_picture`: errors show in the page, in one line that says how to fix them.

    Args:
        transparent: keep transparency; else a picture that is lost on white paper is refused.
        settings: as for `gr.Image`. A function gets the picture upright, on white, `RGB`, or `RGBA` if transparency is
            kept; or None.
    """
    made = gr.Image(type="pil", format="png", **settings)

    def preprocess(payload: ImageData | None) -> Image.Image | None:
        if payload is None:
            return None
        return read_upload(payload.path, payload.orig_name, within=made.GRADIO_CACHE, transparent=transparent)

    # note: of the instance, because for a class of our own Gradio would write a file beside this one.
    made.preprocess = preprocess
    return made


def zip_input(**settings: Any) -> gr.File:
    """Make Gradio's file, for a zip archive.

    Args:
        settings: as for `gr.File`. A function gets the path of the uploaded copy; or None.
    """
    made = gr.File(file_types=[".zip"], **settings)

    def preprocess(payload: ListFiles | FileData | None) -> str | None:
        if payload is None:
            return None
        if not isinstance(payload, FileData) or not is_upload(payload.path, made.GRADIO_CACHE):
            raise mistake(f"the archive {GONE}")
        return payload.path

    made.preprocess = preprocess
    return made


def is_upload(path: str | None, within: str | Path) -> bool:
    """Tell whether a path is that of a file that Gradio has stored.

    A request may name any path: Gradio refuses those of other files only where the request says that it is a file.
    """
    if not path:
        return False
    place = Path(path).resolve()
    return place.is_relative_to(Path(within).resolve()) and place.is_file()


def read_upload(path: str | None, name: str | None, *, within: str | Path, transparent: bool = False) -> Image.Image:
    """Read an uploaded picture.

    Args:
        path: where Gradio has put it.
        name: what the visitor's file was called.
        within: folder of all uploads; nothing else is read.
        transparent: as for `picture_input`.

    Raises:
        gr.Error: if it is no picture, a damaged one, too large, lost on white paper, or deleted by now; with a line for
            the visitor.
    """
    shown = Path(name or "the picture").name
    if not is_upload(path, within):
        raise mistake(f"{shown} {GONE}", title="Gone")
    with Path(str(path)).open("rb") as file:
        check_kind(file.read(HEAD_BYTES), shown)
    try:
        return open_picture(str(path), name=shown, paper=None) if transparent else open_visible(str(path), name=shown)
    except HiddenInk:
        raise mistake(f"{shown}: {LOST}; save it on paper", title="Nothing to see") from None
    except UnreadablePicture as error:
        raise mistake(str(error), title="Not a picture") from None


def check_kind(head: bytes, shown: str) -> None:
    """Refuse a picture of a kind that an extra reads, whatever it is called: strangers could keep its reader at work.

    Args:
        head: the first bytes of the file, `HEAD_BYTES` or all.
        shown: what it is called in the message.

    Raises:
        gr.Error: with a line for the visitor.
    """
    if reader := reader_of(head):
        raise mistake(f"{shown}: {reader.kind} cannot be read here; save it as .png", title="Not a picture")


class BadArchive(ValueError):  # noqa: N818 (it names what was found)
    """A zip archive that is not unpacked. The text is one line: why, and what to do."""


def unpack_drawings(archive: Path, folder: Path, *, most: int = MOST_BYTES) -> list[str]:
    """Unpack the pictures of a zip archive; the folder that holds one becomes its label.

    Nothing is written but below `folder`, under names of our own: what an archive calls its files decides only labels.

    Args:
        archive: the file.
        folder: where to, made if missing. Removed again if anything is wrong.
        most: bytes that it may unpack to.

    Returns:
        What the archive calls each picture, in the order of our own names for them, `00000` and so on.

    Raises:
        BadArchive: for what is no zip archive, a damaged or encrypted one, one whose names lead out of it, one that
            unpacks to more than `most` or `MOST_FILES`, or one without pictures; in one line.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            entries = list(_pictures_in(opened, most))
            folder.mkdir(parents=True, exist_ok=True)
            left = most
            for number, (entry, label) in enumerate(entries):
                place = folder / label if label else folder
                place.mkdir(exist_ok=True)
                suffix = PurePosixPath(entry.filename).suffix.lower()
                file = place / f"{number:05}{suffix}"
                left -= _copy(opened, entry, file, min(left, MOST_BYTES_OF_ONE))
                _empty_if_optional(file)
            return [entry.filename for entry, _ in entries]
    except BadArchive:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    except Exception as error:  # noqa: BLE001 (damaged bytes lead zlib, lzma and zipfile into errors of any kind)
        shutil.rmtree(folder, ignore_errors=True)
        reason = " ".join(str(error).split()) or type(error).__name__
        raise BadArchive(f"the zip archive cannot be read ({reason}): make it again") from None


def _empty_if_optional(file: Path) -> None:
    """Empty a file that an extra would read, as in `check_kind`: it is then one of those that cannot be read."""
    with file.open("rb") as opened:
        head = opened.read(HEAD_BYTES)
    if reader_of(head):
        file.write_bytes(b"")


def not_unpacked(archive: Path) -> list[str]:
    """Say which pictures of an archive that was unpacked are of kinds that cannot be read: no line, or one."""
    with zipfile.ZipFile(archive) as opened:
        return _other_kinds(opened)


def _other_kinds(opened: zipfile.ZipFile) -> list[str]:
    paths = [PurePosixPath(entry.filename.replace("\\", "/")) for entry in opened.infolist()]
    return say_other_kinds("the zip archive", (path for path in paths if not _is_hidden(path)), extra=False)


def _pictures_in(opened: zipfile.ZipFile, most: int) -> Iterator[tuple[zipfile.ZipInfo, str]]:
    """Return the entries that are pictures, each with its label, once the whole list has been found harmless."""
    files = [entry for entry in opened.infolist() if entry.filename and not entry.is_dir()]
    for entry in files:
        path = PurePosixPath(entry.filename.replace("\\", "/"))
        if (
            path.is_absolute()
            or ".." in path.parts
            or ":" in "".join(path.parts[:1])
            or stat.S_ISLNK(entry.external_attr >> 16)
        ):
            raise BadArchive(f"the zip archive leads out of its folder ({entry.filename[:80]!r}): refused")
        if entry.flag_bits & 1:
            raise BadArchive("the zip archive is encrypted: make one without a password")
    wanted = [entry for entry in files if _is_picture(PurePosixPath(entry.filename.replace("\\", "/")))]
    if not wanted:
        why = "the zip archive holds no pictures (.png, .jpg and the like): put some into it"
        raise BadArchive("; ".join([why, *_other_kinds(opened)]))
    if len(wanted) > MOST_FILES:
        raise BadArchive(f"the zip archive holds {len(wanted):,} pictures: {MOST_FILES:,} at most, so split it")
    if (total := sum(entry.file_size for entry in wanted)) > most:
        raise BadArchive(_too_much(total, most))
    labels = [PurePosixPath(entry.filename.replace("\\", "/")).parts[:-1] for entry in wanted]
    depth = 1 if len({parts[:1] for parts in labels}) == 1 and any(len(parts) > 1 for parts in labels) else 0
    for entry, parts in zip(wanted, labels, strict=True):
        yield entry, _safe(parts[depth]) if len(parts) > depth else ""


def _is_picture(path: PurePosixPath) -> bool:
    return path.suffix.lower() in plain_suffixes() and not _is_hidden(path)


def _is_hidden(path: PurePosixPath) -> bool:
    return any(part.startswith(".") or part == "__MACOSX" for part in path.parts)


def _safe(label: str) -> str:
    """Return a name for a folder, one part of a path and not hidden."""
    plain = "".join(character if character.isprintable() else "_" for character in label)[:80]
    return plain.strip(" .") or "_"


def _copy(opened: zipfile.ZipFile, entry: zipfile.ZipInfo, place: Path, most: int) -> int:
    """Unpack one file and return its size; what an archive says of the size is not believed."""
    with opened.open(entry) as source, place.open("wb") as target:
        written = 0
        while chunk := source.read(2**16):
            written += len(chunk)
            if written > most:
                raise BadArchive(_too_much(None))
            target.write(chunk)
    return written


def _too_much(total: int | None, most: int = MOST_BYTES) -> str:
    size = f"to {total / 2**20:,.0f} MB" if total else "to more than it says"
    now = "" if most == MOST_BYTES else " at the moment"
    return f"the zip archive unpacks {size}: {most // 2**20} MB at most{now}, {MOST_BYTES_OF_ONE // 2**20} MB a file"
