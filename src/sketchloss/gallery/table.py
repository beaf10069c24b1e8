"""The rows of a gallery on disk: one LanceDB table, written by one process at a time, its damage told in one line.

Every write is one atomic commit of whole rows: a process killed in the middle leaves what it had committed.
"""

import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import lancedb
import numpy as np
import pyarrow as pa
from filelock import FileLock, Timeout
from jaxtyping import Float32
from lancedb.index import IvfFlat
from lancedb.query import LanceVectorQueryBuilder
from lancedb.table import Table
from tqdm import tqdm

from sketchloss.gallery.damage import GalleryError, reason_of, told
from sketchloss.gallery.labels import did_you_mean, folders_below, label_condition, quoted, split_label
from sketchloss.gallery.lease import StillHeldError, leased
from sketchloss.gallery.places import Bucket, Place, names, remove, within
from sketchloss.system.files import clear_left_behind, contents

NAME = "pictures"
TABLE = f"{NAME}.lance"
LOCK = "writing.lock"
VECTOR = "embedding"
INDEX = f"{VECTOR}_idx"
# Share of the index's partitions that a search looks into; benchmarks/gallery.py measures what that finds.
PROBED = 1 / 8
LEAST_PROBED = 16
# Small commits are merged when there are so many; more only slow down searching.
MOST_FRAGMENTS = 32
# Rows that the index does not have are searched one by one; beyond this share of all, the index is made anew.
UNINDEXED = 0.05
# What only older versions of the table need is removed after this time; a search takes seconds.
KEPT = timedelta(hours=1)
IDS_AT_ONCE = 1000
# Rows asked for beyond those wanted, so that copies at the end seldom need a second search.
SPARE = 16


@dataclass(frozen=True)
class Known:
    """Columns of a row that are known without reading its embedding."""

    id: str
    """Identifier of the row; it stays the same when a file is moved or changed."""
    path: bytes
    """Absolute path, as the operating system has it: file names need not be text. Of a PDF's later page with `#page=2`
    after it."""
    hash: str
    """SHA-256 of the file; of a later page, of that hash and the page's number."""
    size: int
    """Size of the file in bytes."""
    label: str | None


@dataclass(frozen=True, eq=False)
class Row(Known):
    """A whole row."""

    embedding: Float32[np.ndarray, " d"]


class PictureTable:
    """The rows of one gallery.

    Args:
        folder: place of the gallery; holds the table.
        exact_below: with fewer rows, every search compares all of them; from there on an index is made and used.

    Raises:
        ValueError: from every method, if the table is damaged or the disk refuses, in one line.
    """

    def __init__(self, folder: Place, exact_below: int) -> None:
        self.folder, self.exact_below = folder, exact_below
        with told(folder):
            # Searches see what other processes have written since.
            database = lancedb.connect(str(folder), read_consistency_interval=timedelta(0))
            self.table: Table = database.open_table(NAME)
            self.count()

    @classmethod
    def create(cls, folder: Place, dimension: int, exact_below: int) -> "PictureTable":
        """Make an empty table for embeddings of this many numbers."""
        fields = [
            pa.field("id", pa.string(), nullable=False),
            pa.field("path", pa.binary(), nullable=False),
            pa.field("hash", pa.string(), nullable=False),
            pa.field("size", pa.int64(), nullable=False),
            pa.field("label", pa.string()),
            pa.field(VECTOR, pa.list_(pa.float32(), dimension), nullable=False),
        ]
        with told(folder):
            database = lancedb.connect(str(folder))
            remove(folder, TABLE)
            database.create_table(NAME, schema=pa.schema(fields))
        return cls(folder, exact_below)

    @staticmethod
    def can_be_made_in(folder: Place) -> bool:
        """Tell whether a folder is empty, or holds only what is left where making a gallery was interrupted."""
        if isinstance(folder, Path) and not folder.is_dir():
            return False
        found = {entry.name for entry in contents(folder)} if isinstance(folder, Path) else names(folder)
        if found - {TABLE, LOCK}:
            return False
        if TABLE not in found:
            return True
        try:
            return PictureTable(folder, 1).count() == 0
        except GalleryError:
            return not names(within(folder, f"{TABLE}/data"))

    @property
    def dimension(self) -> int:
        """Number of values in an embedding."""
        return self.table.schema.field(VECTOR).type.list_size

    # Reading ---------------------------------------------------------------------------------------------------------

    def count(self) -> int:
        """Return the number of rows."""
        with told(self.folder):
            return self.table.count_rows()

    def known(self, where: str | None = None) -> list[Known]:
        """Return all rows, or those that an SQL condition holds for, without their embeddings."""
        columns = ["id", "path", "hash", "size", "label"]
        return [Known(**row) for row in self._read(columns, where).to_pylist()]

    def version(self) -> int:
        """Return a number that changes with every commit."""
        with told(self.folder):
            return self.table.version

    def at(self, path: bytes) -> list[Known]:
        """Return the row of a file: one or none."""
        return self.known(f"path = X'{path.hex()}'")  # in hexadecimal nothing needs a quote

    def labels(self) -> Counter[str | None]:
        """Return how many rows have each label."""
        return Counter(self._read(["label"], None).column("label").to_pylist())

    def check_label(self, label: str) -> None:
        """Refuse a label that no row has, and a path of folders that no row with it lies in; name the closest."""
        first, *below = split_label(label)
        known = sorted(name for name in self.labels() if name is not None)
        if first not in known:
            mend = did_you_mean(first, known) or "its drawings have no labels"
            raise ValueError(f"no drawing of the gallery {self.folder} has the label {first!r}: {mend}")
        if below and not self.known(label_condition(label)):
            folders = folders_below(first, (row.path for row in self.known(label_condition(first))))
            mend = did_you_mean(label, folders) or f"those with the label {first!r} lie in no folders below it"
            raise ValueError(f"no drawing of the gallery {self.folder} lies in {label!r}: {mend}")

    def embeddings(self, hashes: Sequence[str]) -> dict[str, Float32[np.ndarray, " d"]]:
        """Return the embeddings of these file contents, of those that are in the table."""
        found: dict[str, np.ndarray] = {}
        for some in _in_parts(hashes):
            rows = self._read(["hash", VECTOR], f"hash IN ({_listed(some)})")
            vectors = _to_matrix(rows.column(VECTOR))
            found |= dict(zip(rows.column("hash").to_pylist(), vectors, strict=True))
        return found

    def vectors(self) -> tuple[list[Known], Float32[np.ndarray, "n d"]]:
        """Return every row and, in the same order, the embeddings; all of them are held in memory."""
        rows = self._read(["id", "path", "hash", "size", "label", VECTOR], None)
        return [Known(**row) for row in rows.drop_columns([VECTOR]).to_pylist()], _to_matrix(rows.column(VECTOR))

    def rows(self) -> list[Row]:
        """Return every row whole; for small tables."""
        return [Row(**vars(row), embedding=vector) for row, vector in zip(*self.vectors(), strict=True)]

    def _read(self, columns: Sequence[str], where: str | None) -> pa.Table:
        with told(self.folder):
            query = self.table.search().select(list(columns)).limit(max(1, self.table.count_rows()))
            return (query.where(where) if where else query).to_arrow()

    # Searching -------------------------------------------------------------------------------------------------------

    def nearest(
        self,
        vector: Float32[np.ndarray, " d"],
        k: int,
        *,
        label: str | None = None,
        exact: bool = False,
        contents: bool = False,
    ) -> list[tuple[Known, float]]:
        """Return the k rows most similar to a vector and their cosine similarity, the greatest first.

        Rows that are equally similar, such as copies, are in the order of their paths. Where all rows are compared,
        a smaller k gives the beginning of what a greater one gives.

        Args:
            vector: vector of unit length.
            k: at least 1; a smaller table gives all its rows.
            label: only rows with this label, or in this path of folders. They are always compared one by one.
            exact: compare all rows even where there is an index.
            contents: the k most similar contents of files, and every row of each.
        """
        count = max(1, self.count())
        k, approximate = min(k, count), label is None and not exact and self.uses_index()
        # LanceDB cuts in the middle of rows that are equally similar: ask until all of them are there.
        asked = min(k + SPARE, count)
        found = self._nearest(vector, asked, label=label, exact=not approximate)
        while len(found) < count and not _are_whole(found, k, contents):
            if len(found) < asked:
                if not approximate:
                    break
                approximate = False  # the part of the index that is looked into holds no more
            else:
                asked = min(4 * asked, count)
            found = self._nearest(vector, asked, label=label, exact=not approximate)
        pairs = [(row, 1.0 - row.pop("_distance")) for row in found]
        pairs.sort(key=lambda pair: (-pair[1], pair[0]["path"]))
        if contents:
            kept = set(list(dict.fromkeys(row["hash"] for row, _ in pairs))[:k])
            pairs = [pair for pair in pairs if pair[0]["hash"] in kept]
        else:
            pairs = pairs[:k]
        return [(Known(**row), min(1.0, max(-1.0, similarity))) for row, similarity in pairs]

    def _nearest(self, vector: Float32[np.ndarray, " d"], k: int, *, label: str | None, exact: bool) -> list[dict]:
        columns = ["id", "path", "hash", "size", "label", "_distance"]
        with told(self.folder):
            query = self.table.search(vector, vector_column_name=VECTOR)
            assert isinstance(query, LanceVectorQueryBuilder)
            query = query.distance_type("cosine").limit(k)
            if label is not None:
                query = query.where(label_condition(label), prefilter=True)
            if exact:
                query = query.bypass_vector_index()
            else:
                query = query.nprobes(max(LEAST_PROBED, round(_partitions(self.count()) * PROBED)))
            return query.select(columns).to_arrow().to_pylist()

    def uses_index(self) -> bool:
        """Tell whether searches go by the index: there is one, and the rows are many enough."""
        return self.count() >= self.exact_below and self._indexed() is not None

    def _indexed(self) -> int | None:
        with told(self.folder):
            statistics = self.table.index_stats(INDEX)
        return None if statistics is None else statistics.num_indexed_rows

    # Writing; the caller holds `writing` -----------------------------------------------------------------------------

    def write(self, new: Sequence[Row], replaced: Sequence[Row] = ()) -> None:
        """Commit rows: new ones, and others in place of those with their id."""
        with told(self.folder):
            if replaced:
                self.table.merge_insert("id").when_matched_update_all().execute(self._to_arrow(replaced))
            if new:
                self.table.add(self._to_arrow(new))

    def delete(self, ids: Sequence[str]) -> None:
        """Remove the rows with these ids."""
        with told(self.folder):
            for some in _in_parts(ids):
                self.table.delete(f"id IN ({_listed(some)})")

    def tidy(self) -> bool:
        """Merge small commits, and make the index where the rows are many enough for one.

        Returns:
            Whether an index was made.
        """
        count, indexed = self.count(), self._indexed()
        wants_index = count >= self.exact_below
        with told(self.folder):
            fragments = cast(dict, self.table.stats())["fragment_stats"]["num_fragments"]
            outdated = wants_index and (indexed is None or count - indexed > UNINDEXED * count)
            if fragments <= MOST_FRAGMENTS and not outdated:
                return False
            self.table.optimize(cleanup_older_than=KEPT)
            # note: made anew after every optimize, which takes new rows into the index but merges its partitions, so
            # that a search would look into all of them.
            if wants_index:
                config = IvfFlat(distance_type="cosine", num_partitions=_partitions(count))
                self.table.create_index(VECTOR, config=config, replace=True)
        return wants_index

    def _to_arrow(self, rows: Sequence[Row]) -> pa.Table:
        columns: Mapping[str, list] = {name: [getattr(row, name) for row in rows] for name in self.table.schema.names}
        vectors = np.stack(columns[VECTOR]).astype(np.float32, copy=False)
        arrays = [
            pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), vectors.shape[1])
            if field.name == VECTOR
            else pa.array(columns[field.name], type=field.type)
            for field in self.table.schema
        ]
        return pa.Table.from_arrays(arrays, schema=self.table.schema)


@contextmanager
def writing(folder: Place, *, wait: float | int | None, tell: bool = False) -> Iterator[Callable[[], None]]:
    """Hold the right to write to a gallery; in a folder it ends with the process, however that ends (see `lease`).

    What a killed writer had begun is removed first.

    Args:
        folder: place of the gallery.
        wait: seconds to wait for another writer; None: as long as it takes.
        tell: say on stderr that it waits.

    Yields:
        A function to call before each write, which raises GalleryError if another process has taken the right over.

    Raises:
        ValueError: if another process still writes after that time, or the folder may not be written to.
    """

    def waits() -> None:
        if tell:
            tqdm.write(f"{folder}: another process is writing to this gallery; waiting for it", file=sys.stderr)

    with ExitStack() as held:
        try:
            if isinstance(folder, Bucket):
                check = held.enter_context(leased(folder, LOCK, wait=wait, waits=waits))
            else:
                check = held.enter_context(_locked(folder, wait, waits))
        except (Timeout, StillHeldError):
            raise ValueError(
                f"{folder}: another process is writing to this gallery; try again when it is done"
            ) from None
        except OSError as error:
            raise ValueError(f"{folder}: {reason_of(error)}") from None
        yield check


@contextmanager
def _locked(folder: Path, wait: float | int | None, waits: Callable[[], None]) -> Iterator[Callable[[], None]]:
    lock = FileLock(folder / LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        waits()
        lock.acquire(timeout=-1 if wait is None else wait)
    try:
        clear_left_behind(folder)
        yield lambda: None
    finally:
        lock.release()


def check_place(folder: Place) -> None:
    """Refuse a place that LanceDB cannot open: its name must be text without control characters.

    Raises:
        ValueError: naming the folder.
    """
    text = str(folder)
    if not all(character.isprintable() or character.isspace() for character in text) or "\n" in text or "\r" in text:
        raise ValueError(f"{text!r} cannot hold a gallery, because of the characters in its name: choose another")


def _are_whole(found: Sequence[Mapping[str, Any]], k: int, contents: bool) -> bool:
    """Tell whether rows, the nearest first, hold the k nearest (or the k nearest contents) and all that are as near."""
    if contents:
        seen: set[str] = set()
        for row in found:
            seen.add(row["hash"])
            if len(seen) == k:
                return found[-1]["_distance"] > row["_distance"]
        return False
    return len(found) > k and found[-1]["_distance"] > found[k - 1]["_distance"]


def _partitions(count: int) -> int:
    return max(1, round(count**0.5))


def _to_matrix(column: pa.ChunkedArray) -> Float32[np.ndarray, "n d"]:
    size = column.type.list_size
    parts = [chunk.flatten().to_numpy(zero_copy_only=False).reshape(-1, size) for chunk in column.chunks]
    return np.concatenate(parts) if parts else np.zeros((0, size), np.float32)


def _in_parts(values: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(values), IDS_AT_ONCE):
        yield values[start : start + IDS_AT_ONCE]


def _listed(texts: Sequence[str]) -> str:
    return ", ".join(map(quoted, texts))
