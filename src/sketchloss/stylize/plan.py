"""Plan of which picture becomes which file: all that can be refused is refused before the first one is made."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from PIL import Image

from sketchloss.stylize.pictures import has_alpha
from sketchloss.system.files import check_writable
from sketchloss.system.images import open_header
from sketchloss.system.optional_readers import optional_suffixes
from sketchloss.system.passed_over import later_pages, no_pictures, other_kinds
from sketchloss.system.picture_files import FORMATS, find_pictures, picture_suffixes
from sketchloss.system.picture_pages import split_page

Alpha = Literal["flatten", "keep"]
STANDARD = "-"  # stdin as an input, stdout as an output
# GIF has a single transparent colour, which smooth edges do not survive; BMP and PPM lose it in Pillow.
FORMATS_WITH_ALPHA = ("PNG", "WEBP", "TIFF", "JPEG2000", "AVIF")


@dataclass(frozen=True)
class Job:
    """A picture to be made."""

    source: Path | None
    """Path of the picture to read; None: stdin."""
    out: Path | None
    """Path of the sketch to write; None: stdout, as PNG."""

    @property
    def name(self) -> str:
        """Name of the picture in messages."""
        return "standard input" if self.source is None else str(self.source)


@dataclass(frozen=True)
class Plan:
    """Sketches to be made, in order."""

    jobs: list[Job]
    skipped: int
    """Number of sketches that are there already and stay as they are."""
    single: bool
    """Whether one picture was named, rather than a folder or several."""
    passed_over: list[str]
    """Lines about pictures that are not read: files of kinds that cannot be read, and later pages of files."""


def plan_pictures(
    inputs: Sequence[str],
    out: str,
    *,
    alpha: Alpha = "flatten",
    force: bool = False,
    skip_existing: bool = False,
) -> Plan:
    """Decide what is read and what is written.

    Args:
        inputs: paths of pictures, or the path of one folder, or only `-`.
        out: a file for one picture, a folder for a folder or several pictures, or `-`.
        alpha: `keep` asks for formats that can hold transparency, where the picture has any.
        force: files that are there may be replaced, unless they are inputs.
        skip_existing: those that are there are left out of the plan.

    Raises:
        FileNotFoundError: if an input does not exist.
        ValueError: for anything else that is in the way, naming it.
    """
    if force and skip_existing:
        raise ValueError("--force replaces what is there and --skip-existing keeps it: give one of them")
    if not inputs:
        raise ValueError("no picture is given: name files, a folder, or - for standard input")
    for name in inputs:
        if name != STANDARD and not split_page(name)[0].exists():
            raise FileNotFoundError(f"{name} does not exist: check the path")
    if len(inputs) == 1 and not Path(inputs[0]).is_dir():
        source = None if inputs[0] == STANDARD else Path(inputs[0])
        jobs, single = [_plan_one(source, out, alpha)], True
    else:
        jobs, single = _plan_many(inputs, out), False
        _check_formats(jobs, alpha)
    _check_not_inputs(jobs)
    there = {job.out for job in jobs if job.out is not None and job.out.exists()}
    for path in sorted(path for path in there if path is not None):
        if path.is_dir():
            raise ValueError(f"{path} is a folder, where a picture is to go: move it, or choose another --out")
        if not force and not skip_existing:
            more = f" and {len(there) - 1:,} more" if len(there) > 1 else ""
            raise ValueError(f"{path}{more} exists: add --force to replace, or --skip-existing to keep, what is there")
    left = [job for job in jobs if not (skip_existing and job.out in there)]
    unread = other_kinds(inputs[0]) if Path(inputs[0]).is_dir() else []
    unread += later_pages(job.source for job in left if job.source)
    return Plan(left, len(jobs) - len(left), single, unread)


def _plan_one(source: Path | None, out: str, alpha: Alpha) -> Job:
    if out == STANDARD:
        return Job(source, None)
    path = Path(out)
    example = f"such as {path / (_name_of_sketch(source) if source else 'sketch.png')}"
    if path.is_dir() or out.endswith("/"):
        raise ValueError(f"--out {out} is a folder, and one picture is given: name a file, {example}")
    check_writable(path)
    kind = writable_format(path)
    if kind is None:
        raise ValueError(f"--out {path} has no suffix that can be written: use .png, .jpg, .webp or .tif")
    if alpha == "keep" and kind not in FORMATS_WITH_ALPHA and (source is None or _has_alpha(source)):
        raise ValueError(f"--out {path}: {kind} holds no transparency; use .png, or --alpha flatten")
    return Job(source, path)


def _plan_many(inputs: Sequence[str], out: str) -> list[Job]:
    folder = Path(out)
    if out == STANDARD:
        raise ValueError("--out - takes one picture, and several are given: name a folder")
    if STANDARD in inputs:
        raise ValueError("standard input (-) is one picture of several: give it alone")
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"--out {folder} is a file, and several pictures are given: name a folder")
    if not folder.exists() and folder.suffix.lower() in picture_suffixes():
        raise ValueError(f"--out {folder} is named as a picture, and several are given: name a folder")
    if len(inputs) > 1:
        if within := [name for name in inputs if Path(name).is_dir()]:
            raise ValueError(f"{within[0]} is a folder among other inputs: give only one folder, or files")
        return _check_distinct(Job(Path(name), folder / _name_of_sketch(Path(name))) for name in inputs)
    root = Path(inputs[0])
    if folder.resolve().is_relative_to(root.resolve()):
        raise ValueError(f"--out {folder} lies in {root}, whose pictures are the inputs: choose another --out")
    pictures = find_pictures(root)
    if not pictures:
        raise ValueError(no_pictures(root))
    places = ((path, path.relative_to(root).with_name(_name_of_sketch(path))) for path in pictures)
    return _check_distinct(Job(path, folder / place) for path, place in places)


def _name_of_sketch(source: Path) -> str:
    """Return the name of a picture's sketch: the same, with `.png` after it for a page or what cannot be written."""
    file, page = split_page(source)
    as_it_is = page == 1 and file.suffix.lower() not in optional_suffixes(installed=True)
    return source.name if as_it_is else f"{source.name}.png"


def _check_distinct(jobs: Iterable[Job]) -> list[Job]:
    by_output: dict[Path | None, Job] = {}
    for job in jobs:
        if other := by_output.get(job.out):
            raise ValueError(f"{other.name} and {job.name} would both become {job.out}: make them one after the other")
        by_output[job.out] = job
    return list(by_output.values())


def _check_formats(jobs: Collection[Job], alpha: Alpha) -> None:
    for job in jobs:
        kind = writable_format(job.out) if job.out else "PNG"
        if kind is None:
            raise ValueError(f"{job.name} has no suffix that can be written: rename it, or give it alone with --out")
        if alpha == "keep" and kind not in FORMATS_WITH_ALPHA and job.source and _has_alpha(job.source):
            raise ValueError(
                f"{job.name} has transparency, which a new {kind} would lose: convert it to .png, or --alpha flatten"
            )


def _has_alpha(path: Path) -> bool:
    try:
        with open_header(path) as picture:
            return has_alpha(picture)
    except Exception:  # noqa: BLE001 (damaged in whatever way: reading it will say so)
        return False


def _check_not_inputs(jobs: Collection[Job]) -> None:
    """Compare files and not names: links may lead from one to the other."""
    named = [(split_page(job.source)[0], job.name) for job in jobs if job.source is not None]
    sources = {_identity(file): name for file, name in named if file.exists()}
    for job in jobs:
        if job.out is not None and job.out.exists() and (name := sources.get(_identity(job.out))):
            raise ValueError(f"{job.out} is an input ({name}): write elsewhere, inputs are never replaced")


def _identity(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_dev, found.st_ino


def writable_format(path: Path) -> str | None:
    """Return Pillow's name of the format that a suffix stands for, if it can be written here."""
    Image.init()
    kind = Image.registered_extensions().get(path.suffix.lower())
    return kind if kind in FORMATS and kind in Image.SAVE else None
