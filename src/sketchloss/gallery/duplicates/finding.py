"""Copies among the drawings of a gallery: exact ones, and those that were moved, re-encoded or rescaled.

    from sketchloss.gallery import Gallery
    from sketchloss.gallery.duplicates.finding import find_duplicates

    found = find_duplicates(Gallery.open("my-gallery"))
    found.to_remove()

Nothing is removed here. The stored embeddings say which drawings may be copies. Both are then brought into a common
frame (`ink_frame.py`). A map of the ink refuses those that differ at one place, such as by a stroke, and the loss
decides on the rest.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float32

from sketchloss.gallery.duplicates.copy_distance import CopyDistance
from sketchloss.gallery.duplicates.drawing_files import (
    DrawingFile,
    LeftOut,
    Seen,
    as_they_are,
    find_pages,
    look_all,
    without_links,
    without_pages,
)
from sketchloss.gallery.duplicates.options import KEPT, MAX_DISTANCE, MIN_SIMILARITY, NEIGHBOURS, Keep
from sketchloss.gallery.duplicates.stars import Star, find_stars
from sketchloss.gallery.gallery import Gallery
from sketchloss.gallery.paths import to_path
from sketchloss.gallery.table import Known
from sketchloss.metrics.ranking import nearest
from sketchloss.system.device import Device
from sketchloss.system.optional_readers import HEIF_SUFFIXES

#: Suffixes of formats that may lose something of a picture, such as JPEG.
LOSSY = frozenset(
    (".jpg", ".jpeg", ".jpe", ".jfif", ".jp2", ".j2k", ".j2c", ".jpc", ".jpf", ".jpx", ".webp", ".avif", ".avifs")
) | frozenset(HEIF_SUFFIXES)


@dataclass(frozen=True)
class Copy(DrawingFile):
    """A copy of the drawing that is kept."""

    distance: float
    """Distance from the drawing that is kept, by the loss; 0 for an exact copy."""
    exact: bool
    """Whether the file has the same content as the kept one, byte by byte."""


@dataclass(frozen=True)
class Group:
    """A drawing and its copies."""

    kept: DrawingFile
    copies: tuple[Copy, ...]
    """At least one; the exact ones first, then the nearest."""


@dataclass(frozen=True)
class Duplicates:
    """Copies among the drawings of a gallery."""

    groups: tuple[Group, ...]
    """Groups of copies, in the order of the kept paths. A file is in one group at most."""
    compared: tuple[Path, ...]
    """All drawings that were compared, in the order of their paths."""
    left_out: LeftOut
    """Drawings that were not compared."""

    def to_remove(self) -> list[Path]:
        """Return the files that can go: all copies. Each was compared with the one that is kept for it."""
        return [copy.path for group in self.groups for copy in group.copies]

    def mapping(self) -> dict[str, list[tuple[str, float]]]:
        """Return for each compared file its copies with their distances, in the form that imagededup has.

        A file that is kept has all its copies; a copy has the file that is kept for it, with which it was compared.
        """
        found: dict[str, list[tuple[str, float]]] = {str(path): [] for path in self.compared}
        for group in self.groups:
            for copy in group.copies:
                found[str(group.kept.path)].append((str(copy.path), copy.distance))
                found[str(copy.path)].append((str(group.kept.path), copy.distance))
        return found


def find_duplicates(
    gallery: Gallery,
    *,
    keep: Keep = "largest",
    max_distance: float | int = MAX_DISTANCE,
    neighbours: int = NEIGHBOURS,
    min_similarity: float | int = MIN_SIMILARITY,
    device: Device = "auto",
    progress: bool = False,
) -> Duplicates:
    """Find copies among the drawings of a gallery; the files and the gallery stay as they are.

    Args:
        gallery: the gallery; other processes may write to it meanwhile.
        keep: drawing of a group that is kept. `largest`: the one with the most pixels; of equals, one in a format
            without losses, then the one with the most bytes, then the oldest. `oldest`: the one whose file was changed
            the longest time ago; of equals, the largest.
        max_distance: greatest distance of a copy by the loss, in [0, 1].
        neighbours: how many of the most similar drawings are looked at for each, at least 1.
        min_similarity: least similarity of embeddings that is looked at, a cosine in [-1, 1].
        device: device that the loss is computed on; `auto`: the GPU if there is one.
        progress: show bars on stderr, if that is a terminal.

    Raises:
        ValueError: for a setting out of range, an empty or damaged gallery, or a file that changes meanwhile.
    """
    if keep not in KEPT:
        raise ValueError(f"keep is {keep!r}: choose from {', '.join(KEPT)}")
    if not 0 <= max_distance <= 1:
        raise ValueError(f"max_distance is {max_distance}: it must be in [0, 1], 0 for the same drawing")
    if neighbours < 1:
        raise ValueError(f"neighbours is {neighbours}: it must be at least 1")
    if not -1 <= min_similarity <= 1:
        raise ValueError(f"min_similarity is {min_similarity}: a cosine is in [-1, 1], 1 for the same drawing")
    gallery.check_filled()
    rows, vectors = gallery.table.vectors()
    pages = set(find_pages(rows))
    left = [to_path(rows[place]) for place in sorted(pages)]
    alone = [place for place in range(len(rows)) if place not in pages]
    rows, vectors = [rows[place] for place in alone], vectors[alone]
    there, gone, changed = as_they_are(rows)
    rows, vectors = [rows[place] for place in there], vectors[there]

    pairs = _similar_contents(rows, vectors, neighbours, min_similarity)
    counts = Counter(row.hash for row in rows)
    asked = {content for pair in pairs for content in pair} | {one for one, count in counts.items() if count > 1}
    alone_in_file, more = without_pages([row for row in rows if row.hash in asked])
    left += more
    seen, since, unreadable = look_all(alone_in_file, progress=progress)
    seen, links = without_links(seen)

    contents: dict[str, list[Seen]] = {}
    for one in sorted(seen, key=_order(keep)):
        contents.setdefault(one.hash, []).append(one)
    files = list(contents.values())  # in the order in which they are to be kept
    place_of = {content: place for place, content in enumerate(contents)}
    distance = CopyDistance([same[0] for same in files], device, progress=progress)
    known = [(place_of[a], place_of[b]) for a, b in pairs if a in place_of and b in place_of]
    close = [pair for pair in known if distance.may_be_copies(pair[0], pair[1:])]
    with distance.bar:
        stars = find_stars(len(files), close, distance, max_distance)
    left_out = LeftOut(
        gone=tuple(sorted(gone)),
        changed=tuple(sorted([*changed, *since])),
        links=tuple(sorted(links)),
        pages=tuple(sorted(left)),
        unreadable=tuple(unreadable.values()),
    )
    not_compared = {*since, *links, *more, *unreadable}
    compared = sorted(path for path in map(to_path, rows) if path not in not_compared)
    return Duplicates(_groups(files, stars), tuple(compared), left_out)


def _similar_contents(
    rows: Sequence[Known], vectors: Float32[np.ndarray, "n d"], neighbours: int, min_similarity: float | int
) -> list[tuple[str, str]]:
    """Return pairs of hashes of files that differ and whose embeddings are similar."""
    firsts: dict[str, int] = {}
    for place, row in enumerate(rows):
        firsts.setdefault(row.hash, place)
    hashes = list(firsts)
    if len(hashes) < 2:
        return []
    some = torch.from_numpy(vectors[list(firsts.values())])
    similarities, places = nearest(some, some, min(neighbours, len(hashes) - 1), exclude_self=True)
    found = (similarities >= min_similarity).nonzero()
    pairs = {(int(one), int(places[one, rank])) for one, rank in found.tolist()}
    return sorted((hashes[one], hashes[other]) for one, other in {(min(pair), max(pair)) for pair in pairs})


def _order(keep: Keep) -> Callable[[Seen], tuple]:
    """Return the key by which files are sorted, those first that are to be kept."""

    def key(seen: Seen) -> tuple:
        file = seen.file
        is_lossy = file.path.suffix.lower() in LOSSY
        largest, oldest = (-file.width * file.height, is_lossy, -file.size), file.modified
        return (*largest, oldest, file.path) if keep == "largest" else (oldest, *largest, file.path)

    return key


def _groups(files: Sequence[Sequence[Seen]], stars: Sequence[Star]) -> tuple[Group, ...]:
    """Put the files of the same content and those of the copies together."""
    copied = {place for star in stars for place in star.others}
    star_of = {star.kept: star for star in stars}
    groups = []
    for place, (kept, *same) in enumerate(files):
        if place in copied:
            continue
        copies = [Copy(**vars(one.file), distance=0.0, exact=True) for one in same]
        if star := star_of.get(place):
            for other, distance in sorted(zip(star.others, star.distances, strict=True), key=lambda pair: pair[1]):
                copies += [Copy(**vars(one.file), distance=distance, exact=False) for one in files[other]]
        if copies:
            groups.append(Group(kept.file, tuple(copies)))
    return tuple(sorted(groups, key=lambda group: group.kept.path))
