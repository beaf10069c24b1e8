"""One walk over folders of pictures that brings a gallery up to date: what is new, moved, changed, missing, unreadable.

Files are read and embedded (`looking.py`), also by several processes; one of them decides what each file is. Rows are
committed as they come, so that a run that is stopped loses seconds.
"""

import os
import time
import uuid
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float32
from tqdm import tqdm

from sketchloss.gallery.looking import Looking, Seen
from sketchloss.gallery.options import Labels
from sketchloss.gallery.paths import as_text, is_below, is_gone
from sketchloss.gallery.table import Known, PictureTable, Row
from sketchloss.system.passed_over import no_pictures, passed_over
from sketchloss.system.picture_files import find_pictures
from sketchloss.system.picture_pages import PAGE_BY_PAGE, pages_of
from sketchloss.system.processes import share_out

#: Whether a bar is shown on stderr, if that is a terminal; or what is told how many drawings of how many are done.
Progress = bool | Callable[[int, int], object]

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


# Adding --------------------------------------------------------------------------------------------------------------


@dataclass(eq=False)
class Adding:
    """The state of one `add`: what the gallery holds, what waits to be committed."""

    table: PictureTable
    looking: Looking
    commit_rows: int
    check: Callable[[], None]
    """Is called before each write, and raises if this process has lost the right to."""
    by_path: dict[bytes, Known] = field(default_factory=dict)
    rows_with: Counter[str] = field(default_factory=Counter)
    """Content -> how many rows have it."""
    elsewhere: dict[str, deque[Known]] = field(default_factory=dict)
    """Content -> the rows that the walk does not list: their files may have been moved to where it lists them."""
    planned: list[Planned] = field(default_factory=list)
    embeddings: dict[str, Float32[np.ndarray, " d"]] = field(default_factory=dict)
    """Content -> the embedding, for planned rows."""
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(COUNTED, 0))
    unreadable: list[str] = field(default_factory=list)

    def run(self, found: Walk, *, prune: bool, progress: Progress) -> AddReport:
        """Bring the gallery up to date with these pictures; the caller holds the right to write."""
        start = committed = time.monotonic()
        for row in self.table.known():
            self._know(row)
            if row.path not in found.labels:
                self.elsewhere.setdefault(row.hash, deque()).append(row)
        self.looking.hashes = set(self.rows_with)
        looked = share_out(self.looking, found.labels, at_once=self.looking.at_once)
        bar = tqdm(looked, "adding", len(found.labels), unit=" drawings", disable=None if progress is True else True)
        for number, seen in enumerate(bar):
            if callable(progress):
                progress(number, len(found.labels))
            self._plan(seen, found)
            if len(self.planned) >= self.commit_rows or time.monotonic() - committed > COMMIT_SECONDS:
                self._commit()
                committed = time.monotonic()
        self._commit()
        missing = self._missing(found)
        self.check()
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
        is_copy = self.rows_with[row.hash] > 0
        self.planned.append(Planned(row, why, is_copy))
        self._know(row)
        if not is_copy:  # another process may have embedded the same content: copies have one embedding
            self._take(seen)

    def _moved_from(self, content: str) -> Known | None:
        """Return a row whose file is gone; each row is looked at once, however many copies there are."""
        rows = self.elsewhere.get(content, deque())
        while rows:
            row = rows.popleft()
            if is_gone(row.path):
                return row
        return None

    def _take(self, seen: Seen) -> None:
        if seen.embedding is not None:
            self.embeddings[seen.hash] = seen.embedding
            self.counts["embedded"] += 1

    def _commit(self) -> None:
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
        self.check()
        self.table.write(rows[True], rows[False])
        self.planned.clear()
        self.embeddings.clear()

    def _embedding_of(self, row: Known) -> Float32[np.ndarray, " d"] | None:
        if row.hash not in self.embeddings:
            # It was known when it was looked at, and the last row that had it has been overwritten since.
            seen = self.looking.look_again(row.path)
            if seen.embedding is None or seen.hash != row.hash:
                self.unreadable.append(
                    seen.unreadable or f"{as_text(row.path)}: changed while it was read; add it again"
                )
                return None
            self._take(seen)
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
