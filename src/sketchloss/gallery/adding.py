"""One walk over folders of pictures that brings a gallery up to date: what is new, moved, changed, missing, unreadable.

Files are read, hashed and decoded in threads while the network embeds those before them; rows are committed as they
come, so that a run that is stopped loses seconds.
"""

import hashlib
import os
import time
import uuid
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from io import BufferedReader, BytesIO
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Tensor
from tqdm import tqdm

from sketchloss.gallery.options import Labels
from sketchloss.gallery.paths import as_text, is_below, is_gone
from sketchloss.gallery.reading import read
from sketchloss.gallery.table import Known, PictureTable, Row
from sketchloss.system.ahead import in_threads
from sketchloss.system.files import NoFile, open_input
from sketchloss.system.images import UnreadablePicture
from sketchloss.system.passed_over import no_pictures, passed_over
from sketchloss.system.picture_files import find_pictures
from sketchloss.system.picture_pages import PAGE_BY_PAGE, pages_of, split_page

#: Whether a bar is shown on stderr, if that is a terminal; or what is told how many drawings of how many are done.
Progress = bool | Callable[[int, int], object]
Embed = Callable[[Float[Tensor, "n 3 h w"]], Float32[np.ndarray, "n d"]]

COMMIT_SECONDS = 10.0
COUNTED = ("added", "copies", "unchanged", "moved", "changed", "embedded", "relabelled", "label_kept")


@dataclass(frozen=True)
class AddReport:
    """Result of an `add`. Every picture found is added, unchanged, moved, changed or unreadable."""

    added: int
    """Number of pictures that are new."""
    copies: int
    """Number of added pictures that have the content of another picture of the gallery."""
    unchanged: int
    """Number of pictures that are there already, with the same content under the same path."""
    moved: int
    """Number of pictures that are there already under a path that is gone: the row has the new path."""
    changed: int
    """Number of pictures that have other content than before under the same path."""
    unreadable: tuple[str, ...]
    """A line for each file that cannot be read: which, why, and what to do."""
    passed_over: tuple[str, ...]
    """Lines about pictures that are not read: files of kinds that cannot be read, and later pages of files."""
    embedded: int
    """Number of times that the network ran: copies and moved files need no second time."""
    relabelled: int
    """Number of unchanged pictures that have another label than before."""
    label_kept: int
    """Number of pictures that keep the label that they had, because this walk gives them none."""
    missing: tuple[Path, ...]
    """Pictures of the gallery below the walked folders whose files are gone."""
    pruned: int
    """Number of missing pictures that were taken out of the gallery: none, or all."""
    rows: int
    """Number of pictures in the gallery now."""
    seconds: float


@dataclass(frozen=True)
class Walk:
    """The pictures of some folders."""

    roots: tuple[bytes, ...]
    """Absolute paths of the folders, as the operating system has them."""
    labels: dict[bytes, str | None]
    """Absolute path of each picture -> the name of the folder directly below the root that holds it."""
    passed_over: tuple[str, ...]
    """Lines about pictures that are not read, as in `AddReport`."""


@dataclass(frozen=True, eq=False)
class Seen:
    """A file that was looked at."""

    path: bytes
    hash: str = ""
    size: int = 0
    image: Float[Tensor, "3 s s"] | None = None
    """The picture; None if the content is known already."""
    unreadable: str = ""


@dataclass(frozen=True)
class Planned:
    """A row to be written, once its embedding is there."""

    row: Known
    why: Literal["added", "moved", "changed", "relabelled"]
    is_copy: bool
    """Whether another row has the same content."""


def walk(folders: Sequence[str | Path], labels: Labels) -> Walk:
    """Find the pictures of folders and their subfolders, as `find_pictures` does. Each page of a PDF is one.

    Args:
        folders: at least one. Paths are made absolute, links are kept.
        labels: `folder`: the name of the folder directly below the given one; pictures directly in the given one have
            none. `none`: no picture has a label.

    Raises:
        ValueError: if none or no folder is given, or one holds no pictures.
    """
    if not folders:
        raise ValueError("no folder is given: name at least one folder of drawings")
    roots, found, unread = [], {}, []
    for folder in folders:
        root = Path(os.path.abspath(folder))  # noqa: PTH100 (not resolved: links keep the names that people gave them)
        if not root.exists():
            raise FileNotFoundError(f"{folder} does not exist: check the path")
        pictures = find_pictures(root)
        if not pictures:
            raise ValueError(no_pictures(folder))
        unread += passed_over(folder, [picture for picture in pictures if picture.suffix.lower() not in PAGE_BY_PAGE])
        roots.append(os.fsencode(root))
        for picture in (page for file in pictures for page in pages_of(file)):
            parts = picture.relative_to(root).parts
            label = as_text(parts[0]) if labels == "folder" and len(parts) > 1 else None
            path = os.fsencode(picture)
            found[path] = found.get(path) if label is None else label  # where folders overlap, no label takes none away
    return Walk(tuple(roots), found, tuple(dict.fromkeys(unread)))


# Reading -------------------------------------------------------------------------------------------------------------


def look(
    paths: Iterable[bytes],
    is_known: Callable[[str], bool],
    *,
    image_size: int,
    ahead: int,
    workers: int | None = None,
    invert: bool = False,
    clean: bool = False,
) -> Iterator[Seen]:
    """Read, hash and decode files in threads, in their order.

    Args:
        paths: paths of files.
        is_known: whether the picture with a hash needs no decoding; asked from the threads.
        image_size: side of the square that each picture is fitted into.
        ahead: at most this many are held decoded.
        workers: threads; None: one for each core, 8 at most.
        invert: the drawings are light on dark.
        clean: clean the drawings, as `read` does.
    """
    if workers is None:
        workers = min(8, os.cpu_count() or 1)

    def look_here(path: bytes) -> Seen:
        return look_at(path, is_known, image_size, invert=invert, clean=clean)

    return in_threads(look_here, paths, workers=workers, ahead=ahead)


def content_hash(file: BufferedReader | BytesIO, page: int = 1) -> str:
    """Return the SHA-256 of what is left of an open file; of a later page, of that hash and the page's number."""
    found = hashlib.file_digest(file, "sha256").hexdigest()
    return found if page == 1 else hashlib.sha256(f"{found}#page={page}".encode()).hexdigest()


def look_at(
    path: bytes, is_known: Callable[[str], bool], image_size: int, *, invert: bool = False, clean: bool = False
) -> Seen:
    """Read, hash and, if its content is not known, decode one file."""
    name = os.fsdecode(path)
    file_path, page = split_page(name)
    try:
        with open_input(file_path, pipes=False) as file:
            found, size = content_hash(file, page), file.tell()
            if is_known(found):
                return Seen(path, found, size)
            file.seek(0)
            picture = file if page == 1 else name
            return Seen(path, found, size, read(picture, image_size, name=name, invert=invert, clean=clean))
    except UnreadablePicture as error:
        return Seen(path, unreadable=as_text(str(error)))
    except NoFile as error:
        return Seen(path, unreadable=f"{as_text(path)}: {error}")
    except PermissionError:
        return Seen(path, unreadable=f"{as_text(path)}: no permission to read it; change its permissions")
    except OSError as error:
        return Seen(path, unreadable=f"{as_text(path)}: {(error.strerror or str(error)).lower()}; check the file")


# Adding --------------------------------------------------------------------------------------------------------------


@dataclass(eq=False)
class Adding:
    """The state of one `add`: what the gallery holds, what waits to be embedded, what waits to be committed."""

    table: PictureTable
    embed: Embed
    image_size: int
    batch: int
    """Number of pictures that are embedded at once."""
    commit_rows: int
    invert: bool = False
    """Whether the drawings are light on dark."""
    clean: bool = False
    """Whether the drawings are cleaned."""
    by_path: dict[bytes, Known] = field(default_factory=dict)
    rows_with: Counter[str] = field(default_factory=Counter)
    """Content -> how many rows have it."""
    elsewhere: dict[str, deque[Known]] = field(default_factory=dict)
    """Content -> the rows that the walk does not list: their files may have been moved to where it lists them."""
    hashes: set[str] = field(default_factory=set)
    """Hashes of all content met so far, also of content that was overwritten since; asked from the threads."""
    planned: list[Planned] = field(default_factory=list)
    embeddings: dict[str, Float32[np.ndarray, " d"]] = field(default_factory=dict)
    """Content -> the embedding, for planned rows."""
    images: dict[str, Tensor] = field(default_factory=dict)
    """Content -> the picture, for planned rows that are still to be embedded."""
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(COUNTED, 0))
    unreadable: list[str] = field(default_factory=list)

    def run(self, found: Walk, *, prune: bool, progress: Progress, workers: int | None) -> AddReport:
        """Bring the gallery up to date with these pictures; the caller holds the right to write."""
        start = committed = time.monotonic()
        for row in self.table.known():
            self._know(row)
            if row.path not in found.labels:
                self.elsewhere.setdefault(row.hash, deque()).append(row)
        looked = look(
            found.labels,
            self.hashes.__contains__,
            image_size=self.image_size,
            ahead=2 * self.batch,
            workers=workers,
            invert=self.invert,
            clean=self.clean,
        )
        bar = tqdm(looked, "adding", len(found.labels), unit=" drawings", disable=None if progress is True else True)
        for number, seen in enumerate(bar):
            if callable(progress):
                progress(number, len(found.labels))
            self._plan(seen, found)
            if len(self.images) >= self.batch:
                self._embed()
            if len(self.planned) >= self.commit_rows or time.monotonic() - committed > COMMIT_SECONDS:
                self._commit()
                committed = time.monotonic()
        self._commit()
        missing = self._missing(found)
        if prune:
            self.table.delete([row.id for row in missing])
        self.table.tidy()
        return AddReport(
            **self.counts,
            unreadable=tuple(self.unreadable),
            passed_over=found.passed_over,
            missing=tuple(Path(os.fsdecode(row.path)) for row in missing),
            pruned=len(missing) if prune else 0,
            rows=self.table.count(),
            seconds=time.monotonic() - start,
        )

    def _know(self, row: Known) -> None:
        self.by_path[row.path] = row
        self.rows_with[row.hash] += 1
        self.hashes.add(row.hash)

    def _forget(self, row: Known) -> None:
        del self.by_path[row.path]
        self.rows_with[row.hash] -= 1

    def _plan(self, seen: Seen, found: Walk) -> None:
        if seen.unreadable:
            self.unreadable.append(seen.unreadable)
            return
        label, before, why = found.labels[seen.path], self.by_path.get(seen.path), "changed"
        if before and before.hash == seen.hash:
            self.counts["unchanged"] += 1
            self.counts["label_kept"] += label is None and before.label is not None
            if label in (None, before.label):  # a walk that knows no label takes none away
                return
            why = "relabelled"
        elif before is None:
            before = self._moved_from(seen.hash)
            why = "moved" if before else "added"
        if before:
            self._forget(before)
            if label is None and before.label is not None:
                label = before.label
                self.counts["label_kept"] += 1
        row = Known(before.id if before else uuid.uuid4().hex, seen.path, seen.hash, seen.size, label)
        self.planned.append(Planned(row, why, is_copy=self.rows_with[row.hash] > 0))
        self._know(row)
        if seen.image is not None and seen.hash not in self.embeddings:
            self.images[seen.hash] = seen.image

    def _moved_from(self, content: str) -> Known | None:
        """Return a row whose file is gone; each row is looked at once, however many copies there are."""
        rows = self.elsewhere.get(content, deque())
        while rows:
            row = rows.popleft()
            if is_gone(row.path):
                return row
        return None

    def _embed(self) -> None:
        if self.images:
            vectors = self.embed(torch.stack(list(self.images.values())))
            self.embeddings |= dict(zip(self.images, vectors, strict=True))
            self.counts["embedded"] += len(self.images)
            self.images.clear()

    def _commit(self) -> None:
        self._embed()
        self.embeddings |= self.table.embeddings(
            sorted({plan.row.hash for plan in self.planned} - self.embeddings.keys())
        )
        rows: dict[bool, list[Row]] = {True: [], False: []}
        for plan in self.planned:
            vector = self._embedding_of(plan.row)
            if vector is not None:
                rows[plan.why == "added"].append(Row(**vars(plan.row), embedding=vector))
                self.counts[plan.why] += 1
                self.counts["copies"] += plan.why == "added" and plan.is_copy
        self.table.write(rows[True], rows[False])
        self.planned.clear()
        self.embeddings.clear()

    def _embedding_of(self, row: Known) -> Float32[np.ndarray, " d"] | None:
        if row.hash not in self.embeddings:
            # It was known when it was looked at, and the last row that had it has been overwritten since.
            seen = look_at(row.path, lambda _: False, self.image_size, invert=self.invert, clean=self.clean)
            if seen.image is None or seen.hash != row.hash:
                self.unreadable.append(
                    seen.unreadable or f"{as_text(row.path)}: changed while it was read; add it again"
                )
                return None
            self.images[row.hash] = seen.image
            self._embed()
        vector = self.embeddings[row.hash]
        if not vector.any():
            self.unreadable.append(f"{as_text(row.path)}: the weights see nothing in it; remove it")
            return None
        return vector

    def _missing(self, found: Walk) -> list[Known]:
        return [row for row in self.by_path.values() if is_below(row.path, found.roots) and _is_gone(row, found)]


def _is_gone(row: Known, found: Walk) -> bool:
    # note: what the walk does not list may be there all the same, in a hidden folder that was added by its own name.
    return row.path not in found.labels and is_gone(row.path)
