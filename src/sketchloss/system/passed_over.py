"""Lines about what is not read in a folder of pictures: other kinds of files, later pages, folders without access.

Each function returns no line if there is nothing to say, else one: how many, which, and how to fix it.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path, PurePath

from sketchloss.system.optional_readers import INSTALL, optional_suffixes
from sketchloss.system.picture_files import find_files, picture_suffixes, plain_suffixes
from sketchloss.system.picture_pages import has_later_pages

#: Suffixes of pictures and drawings, whether they can be read here or not.
DRAWINGS = frozenset(
    """
    .ai .apng .avif .avifs .bmp .cdr .clip .dib .djvu .emf .eps .exr .fig .gif .hdr .heic .heics .heif .heifs .hif .icns
    .ico .j2k .jfif .jp2 .jpe .jpeg .jpf .jpg .jpx .jxl .jxr .kra .ora .pbm .pcx .pdf .pgm .pict .png .pnm .ppm .ps .psb
    .psd .procreate .sketch .svg .svgz .tga .tif .tiff .wdp .webp .wmf .xbm .xcf .xpm
    .3fr .arw .cr2 .cr3 .dng .erf .nef .nrw .orf .pef .raf .raw .rw2 .srw .x3f
    """.split()  # noqa: SIM905 (one on a line would fill a page)
)
#: Suffixes of kinds that may hold several pictures. Of an animation named .png only the first frame is taken.
PAGED = frozenset(
    ".apng .avif .avifs .gif .heic .heics .heif .heifs .hif .pdf .tif .tiff .webp".split()  # noqa: SIM905 (as above)
)
NAMED = 3


def passed_over(folder: str | Path, pictures: Iterable[str | Path]) -> list[str]:
    """Say what of a folder is not read, in a line for other kinds of files and one for later pages.

    Args:
        folder: it and its subfolders are looked through, as `find_pictures` does.
        pictures: those that are read.
    """
    return [*other_kinds(folder), *later_pages(pictures)]


def other_kinds(folder: str | Path) -> list[str]:
    """Say which pictures in a folder are of kinds that cannot be read, and which subfolders may not be listed."""
    closed: list[Path] = []
    lines = say_other_kinds(folder, find_files(folder, DRAWINGS - picture_suffixes(), closed=closed))
    if closed:
        names = _list([path.relative_to(folder).as_posix() for path in closed])
        what, their = ("1 folder", "its") if len(closed) == 1 else (f"{len(closed):,} folders", "their")
        lines.append(in_one_line(f"{folder}: no permission to list {what} in it: {names}; change {their} permissions"))
    return lines


def say_other_kinds(place: str | Path, paths: Iterable[PurePath], *, extra: bool = True) -> list[str]:
    """Say which of some files in a place are pictures of kinds that cannot be read: a line for each way to fix it.

    Args:
        place: what is said to hold them.
        paths: paths of files of any kind.
        extra: whether kinds count as readable that an extra reads.
    """
    readable = picture_suffixes() if extra else plain_suffixes()
    mendable = optional_suffixes(installed=False) if extra else frozenset()
    unread = [path for path in paths if path.suffix.lower() in DRAWINGS - readable]
    to_install = [path.name for path in unread if path.suffix.lower() in mendable]
    to_save = [path.name for path in unread if path.suffix.lower() not in mendable]
    lines = []
    if to_install:
        what, _ = _files_of_kinds(to_install)
        lines.append(
            in_one_line(f"{place}: {what} that a library not installed here reads: {_list(to_install)}; {INSTALL}")
        )
    if to_save:
        what, them = _files_of_kinds(to_save)
        lines.append(in_one_line(f"{place}: {what} that cannot be read: {_list(to_save)}; save {them} as PNG"))
    return lines


def _files_of_kinds(names: Sequence[str]) -> tuple[str, str]:
    return ("1 file of a kind", "it") if len(names) == 1 else (f"{len(names):,} files of kinds", "them")


def later_pages(pictures: Iterable[str | Path]) -> list[str]:
    """Say which pictures have further pages or frames; only the first one is read."""
    names = [
        path.name for path in map(Path, pictures) if path.suffix.lower() in PAGED and has_later_pages(path)
    ]  # fmt: skip
    if not names:
        return []
    what, first = "1 file has", "its first"
    if len(names) > 1:
        what, first = f"{len(names):,} files have", "the first of each"
    another = f"name another one as {names[0]}#page=2, or save it as PNG"
    return [in_one_line(f"{what} more pages or frames: {_list(names)}; {first} was read; {another}")]


def no_pictures(folder: str | Path) -> str:
    """Return the line for a folder without a picture that can be read."""
    return "; ".join([f"{folder} holds no pictures (.png, .jpg and the like): check the path", *other_kinds(folder)])


def _list(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMED:,} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


def in_one_line(text: str) -> str:
    """Return a text in one line; what of a file's name is no text is spelt out."""
    return " ".join(text.split()).encode("utf-8", "backslashreplace").decode()
