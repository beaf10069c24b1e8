"""Photos with their true sketches: CUFS, FS2K, and the built-in doodles.

pairs = open_pairs("fs2k:~/data/fs2k?style=1", part="test")
pairs.photo(0, 256), pairs.sketch(0, 256), pairs.photos(256)[0]["image"]
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from datasets import Dataset
from jaxtyping import Int64
from PIL import ExifTags, Image

from sketchloss.data.doodles.kinds import KINDS, STYLES, doodle
from sketchloss.data.options import parse_options
from sketchloss.data.pictures import Pictures, pictures_from_files
from sketchloss.system.files import read_json
from sketchloss.system.images import UnreadablePicture, open_header, probe_picture
from sketchloss.system.passed_over import other_kinds
from sketchloss.system.picture_files import find_pictures
from sketchloss.system.stored import show

Part = Literal["train", "test"]

DOODLE_PAIRS = 350  # ten of each kind
MOST_DOODLES = 1_000_000
FIRST_TEST_SEED = 900_000  # above the training part, below the doodles of another seed (`find_doodles`)
ASPECT_TOLERANCE = 0.02  # of width / height: rounding when a pair was resized, no crop


@dataclass(frozen=True, eq=False)
class Pairs:
    """Photos and the sketches that were drawn from them, in one order. Made by `open_pairs`; picklable."""

    name: str
    """Source that the pairs were opened from."""
    part: Part
    names: list[str]
    """Name of each pair."""
    problems: list[str]
    """Pictures left out at opening, each with its reason."""
    _photos: Pictures
    _sketches: Pictures

    def __len__(self) -> int:
        return len(self.names)

    def photo(self, index: int, size: int) -> Image.Image:
        """Return a photo as `RGB`, `size`×`size` pixels, cut by `fill_square`.

        Raises:
            UnreadablePicture: if its file turns out to be damaged.
            IndexError: beyond the end.
        """
        return self.photos(size).picture(index)

    def sketch(self, index: int, size: int) -> Image.Image:
        """Return a photo's true sketch, as `photo` does."""
        return self.sketches(size).picture(index)

    def photos(self, size: int) -> Pictures:
        """All photos at a size in pixels, as a dataset for `load_batches`."""
        return self._photos.with_size(size)

    def sketches(self, size: int) -> Pictures:
        """All sketches at a size in pixels, as a dataset for `load_batches`."""
        return self._sketches.with_size(size)

    def select(self, indices: Sequence[int] | Int64[np.ndarray, " m"]) -> "Pairs":
        """Return the set with only these pairs, in this order."""
        photos, sketches = self._photos.select(indices), self._sketches.select(indices)
        names = [self.names[index] for index in indices]
        return replace(self, names=names, _photos=photos, _sketches=sketches)


def open_pairs(source: str | Path, *, part: Part = "train", strict: bool = False) -> Pairs:
    """Open photos with their true sketches.

    Args:
        source: one of

            - `cufs:PATH`: a folder with `train` and `test`, in each `photos` and `sketches`, under the same file names
              (the suffix may differ);
            - `fs2k:PATH`: FS2K as released (`anno_train.json`, `anno_test.json`, `photo/photo1/image0110.jpg`,
              `sketch/sketch1/sketch0110.jpg`); `fs2k:PATH?style=1` of style 1, 2 or 3 only, as the papers count: the
              annotation's `style` plus one. The number of a folder is where its photos came from, not the style;
            - `doodles`: built in; `doodles?tool=ink&count=350` drawn with `pencil`, `ink` or `brush` (each with its
              own, if none is given), so many pairs in all.

            Options follow the last `?`, joined by `&`. `~` is the home folder.
        part: `train` or `test`, as the set is divided; the two share no doodle.
        strict: refuse missing and mismatched pairs rather than leave them out.

    Returns:
        The pairs, opened but not decoded. Left out and named in `.problems`: a photo without its sketch or the reverse,
        an annotation without files, a file whose header or end is damaged, and a photo and sketch whose aspect ratios
        differ by more than 2 %.

    Raises:
        ValueError: in one line, for a source of another form, a folder that is missing or laid out otherwise, when no
            pair is left, and with `strict` for any problem.
    """
    kind, place, options = _parse(str(source))
    match kind:
        case "doodles":
            return _doodles(str(source), part, options)
        case "cufs":
            folder = _folder(kind, place, f"{part}/photos", f"{part}/sketches")
            found, sides = _cufs(folder / part), (folder / part / "photos", folder / part / "sketches")
        case _:
            folder = _folder(kind, place, f"anno_{part}.json", "photo", "sketch")
            found = _fs2k(folder, folder / f"anno_{part}.json", options.get("style"))
            sides = folder / "photo", folder / "sketch"
    unread = [line for side in sides for line in other_kinds(side)]
    if not found:
        which = f" of style {options['style']}" if "style" in options else ""
        lines = [f"{source}: there is no pair{which} in its {part} part; give another style or folder", *unread]
        raise ValueError("; ".join(lines))
    whole: dict[str, tuple[Path, Path]] = {}
    problems = list(unread)
    for name, files in found.items():
        problem = files if isinstance(files, str) else _mismatch(*files)
        if problem is not None:
            problems.append(" ".join(f"{name}: {problem}".split()))  # a file's name may hold a line break
        elif not isinstance(files, str):
            whole[name] = files
    if problems and strict:
        raise ValueError(f"{source}: {_first_of(problems)}; fix or remove them, or leave strict off")
    if not whole:
        raise ValueError(f"{source}: no pair is left; {_first_of(problems)}; fix them, or fetch the set again")
    photos, sketches = (
        pictures_from_files(str(source), folder, side, 256, problems, drawings=drawings)
        for drawings, side in zip((False, True), zip(*whole.values(), strict=True), strict=True)
    )
    return Pairs(str(source), part, list(whole), problems, photos, sketches)


def _first_of(problems: Sequence[str], most: int = 5) -> str:
    more = f"; and {len(problems) - most} more" if len(problems) > most else ""
    return f"{len(problems)} cannot be used: {'; '.join(problems[:most])}{more}"


# ---------------------------------------------------------------------------------------------------------------------
# What a source says

PAIR_SOURCES = "cufs:PATH, fs2k:PATH?style=1, or doodles?tool=ink"
_OPTIONS: dict[str, dict[str, Sequence[str] | None]] = {  # of each kind, its options and what each may be
    "cufs": {},
    "fs2k": {"style": ("1", "2", "3")},
    "doodles": {"tool": STYLES, "count": None},
}


def is_pair_source(source: str | Path) -> bool:
    """Tell whether a text asks for pairs: `cufs:`, `fs2k:` or `doodles`, rightly written or not."""
    return re.match(r"(cufs|fs2k):|doodles($|[?:])", str(source)) is not None


def pair_layout(folder: Path) -> str | None:
    """Name the pair set that a folder is laid out as, `cufs` or `fs2k`; None if neither."""
    if any((folder / part / "photos").is_dir() and (folder / part / "sketches").is_dir() for part in ("train", "test")):
        return "cufs"
    annotated = any((folder / f"anno_{part}.json").is_file() for part in ("train", "test"))
    return "fs2k" if annotated and (folder / "photo").is_dir() else None


def _parse(source: str) -> tuple[str, str, dict[str, str]]:
    """Take a source apart into its kind, its path and its options."""
    head, _, query = source.rpartition("?") if "?" in source else (source, "", "")
    kind, colon, place = head.partition(":")
    if kind not in _OPTIONS or (kind == "doodles" and colon) or (kind != "doodles" and not place.strip()):
        layout = pair_layout(Path(source)) if Path(source).is_dir() else None
        mend = f"give {layout}:{source}" if layout else f"give {PAIR_SOURCES}"
        raise ValueError(f"{source!r} does not say which pairs: {mend}")
    options = parse_options(source, query, kind, _OPTIONS[kind])
    return kind, place, options


def _folder(kind: str, place: str, *needed: str) -> Path:
    try:
        folder = Path(place).expanduser()
    except RuntimeError as error:
        raise ValueError(f"{kind}:{place}: that user has no home folder; write the path in full") from error
    if not folder.is_dir():
        what = "is a file, not a folder" if folder.exists() else "does not exist"
        raise ValueError(f"{folder} {what}; give the folder of the set, {kind}:PATH")
    missing = [name for name in needed if not (folder / name).exists()]
    if missing:
        layout = pair_layout(folder)
        mend = f"give {layout}:{folder}" if layout not in (None, kind) else f"give the folder with {', '.join(needed)}"
        raise ValueError(f"{folder} is not laid out as {kind}, it has no {' and no '.join(missing)}; {mend}")
    return folder


# ---------------------------------------------------------------------------------------------------------------------
# The kinds of pairs. Those in folders give, of each pair by name, its photo and sketch, or what is wrong with it


def _cufs(folder: Path) -> dict[str, tuple[Path, Path] | str]:
    photos, sketches = _by_stem(folder / "photos"), _by_stem(folder / "sketches")
    return {name: _pair_up(photos.get(name, []), sketches.get(name, [])) for name in sorted({*photos, *sketches})}


def _fs2k(folder: Path, list_file: Path, style: str | None) -> dict[str, tuple[Path, Path] | str]:
    photos, sketches = _by_stem(folder / "photo"), _by_stem(folder / "sketch")
    found: dict[str, tuple[Path, Path] | str] = {}
    for number, annotation in enumerate(_annotations(list_file), start=1):
        where = f"{list_file.name}, annotation {number}"
        values = annotation if isinstance(annotation, Mapping) else {}
        name, counted = values.get("image_name"), values.get("style")
        place = re.fullmatch(r"photo(\w+)/image(\w+)", name) if isinstance(name, str) else None
        if place is None:
            found[where] = f"image_name is {show(name)}, not like 'photo1/image0110'"
        elif type(counted) is not int or counted not in (0, 1, 2):
            found[where] = f"the style of {place[0]} is {show(counted)}, not 0, 1 or 2"
        elif style is None or int(style) == counted + 1:
            sketch = f"sketch{place[1]}/sketch{place[2]}"
            files = _pair_up(photos.get(place[0], []), sketches.get(sketch, []))
            found[where if place[0] in found else place[0]] = f"{name} came before" if place[0] in found else files
    return found


def _annotations(path: Path) -> list[Any]:
    try:
        return read_json(path, list)
    except OSError as error:
        raise ValueError(f"{path} cannot be read ({' '.join(str(error).split())}); fetch it again") from error


def _by_stem(folder: Path) -> dict[str, list[Path]]:
    """The pictures below a folder, by their path in it without the suffix."""
    found: dict[str, list[Path]] = {}
    for path in find_pictures(folder):
        found.setdefault(path.relative_to(folder).with_suffix("").as_posix(), []).append(path)
    return found


def _pair_up(photos: Sequence[Path], sketches: Sequence[Path]) -> tuple[Path, Path] | str:
    match photos, sketches:
        case [photo], [sketch]:
            return photo, sketch
        case [], []:
            return "annotation without file, neither photo nor sketch"
        case _, []:
            return f"photo without sketch ({photos[0]})"
        case [], _:
            return f"sketch without photo ({sketches[0]})"
        case _:
            return f"several files of one name ({', '.join(map(str, (*photos, *sketches)))})"


def _mismatch(photo: Path, sketch: Path) -> str | None:
    """Return why a pair cannot be used, by a look at headers and ends; None if it can."""
    try:
        (width, height), (other_width, other_height) = _upright_size(photo), _upright_size(sketch)
    except UnreadablePicture as error:
        return str(error)
    if abs(width * other_height / (other_width * height) - 1) > ASPECT_TOLERANCE:
        sizes = f"{width}x{height} and {other_width}x{other_height}"
        return f"photo and sketch differ in aspect ratio, {sizes} ({photo}, {sketch})"
    return None


def _upright_size(path: Path) -> tuple[int, int]:
    probe_picture(path)
    with open_header(path) as picture:
        width, height = picture.size
        try:
            turned = picture.getexif().get(ExifTags.Base.Orientation) in (5, 6, 7, 8)
        except Exception:  # noqa: BLE001 (Pillow raises whatever a damaged EXIF block leads it into)
            turned = False
    return (height, width) if turned else (width, height)


def _doodles(source: str, part: Part, options: Mapping[str, str]) -> Pairs:
    wanted, tool = options.get("count", str(DOODLE_PAIRS)), options.get("tool")
    if not re.fullmatch("[0-9]{1,7}", wanted) or not 1 <= int(wanted) <= MOST_DOODLES:
        raise ValueError(f"{source!r}: count is {wanted!r}; give a number of pairs from 1 to {MOST_DOODLES}")
    count, first = int(wanted), FIRST_TEST_SEED if part == "test" else 0
    kinds = [KINDS[index % len(KINDS)] for index in range(count)]  # in turn, so that a few are of different kinds
    seeds = [first + index // len(KINDS) for index in range(count)]
    names = [f"{kind} {seed}" for kind, seed in zip(kinds, seeds, strict=True)]
    photos = Pictures(
        name=source,
        names=[f"{name}, photo" for name in names],
        sizes=np.zeros(count, dtype=np.int64),
        image_size=256,
        unreadable=[],
        rows=Dataset.from_dict({"kind": kinds, "seed": seeds}),
        order=np.arange(count),
        paint=_paint_doodle_photo,
    )
    drawn = [f"{name}, {tool or 'its own tool'}" for name in names]
    sketches = replace(photos, names=drawn, paint=partial(_paint_doodle_sketch, tool=tool))
    return Pairs(source, part, names, [], photos, sketches)


def _paint_doodle_photo(row: dict[str, Any], size: int) -> Image.Image:
    return doodle(row["kind"], row["seed"]).photo(size)


def _paint_doodle_sketch(row: dict[str, Any], size: int, *, tool: str | None) -> Image.Image:
    return doodle(row["kind"], row["seed"]).sketch(size, style=tool)
