"""Searching a gallery: the pictures most like a given one, and what is in the gallery."""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Tensor

from sketchloss.gallery.labels import label_condition
from sketchloss.gallery.looking import content_hash
from sketchloss.gallery.neighbours import nearest_of_all
from sketchloss.gallery.paths import as_text, is_gone, is_one_of, to_bytes, to_path
from sketchloss.gallery.places import Place, count_bytes
from sketchloss.gallery.reading import read
from sketchloss.gallery.settings import Settings, Weights, load_matching
from sketchloss.gallery.table import Known, PictureTable
from sketchloss.networks.backbone import Backbone
from sketchloss.system.device import Device, Precision, in_bfloat16
from sketchloss.system.files import open_input
from sketchloss.system.picture_pages import split_page, with_page
from sketchloss.system.visible_ink import Picture

#: How often `search(rotations=True)` turns a query by 90 degrees, among them not at all.
TURNS = 4

# Pixels embedded at once, on a CPU and on a GPU: 16 pictures at 128, and 256. More are no faster.
BATCH_PIXELS = (16 * 128**2, 256 * 128**2)


@dataclass(frozen=True)
class Match:
    """A picture of the gallery that a search found."""

    path: Path
    """Absolute path of the picture's file at the time when it was added; of a later page, `file.pdf#page=2`, which
    `open_picture` takes."""
    similarity: float
    """Cosine of the angle between the embeddings, in [-1, 1]; 1 for the same picture."""
    label: str | None
    size: int
    """Size of the file in bytes."""
    hash: str
    """SHA-256 of the file; of a later page, of that hash and the page's number."""
    copies: tuple[Path, ...] = ()
    """Other files of the gallery with the same content; empty where a search makes each of them a match of its own."""


@dataclass(frozen=True)
class Info:
    """Contents of a gallery."""

    folder: Place
    rows: int
    labels: dict[str | None, int]
    """Label -> how many pictures, the most frequent first; None: pictures without a label."""
    weights: str
    fingerprint: str
    image_size: int
    layer: str
    dimension: int
    """Number of values in an embedding."""
    exact: bool
    """Whether a search compares all rows; otherwise it uses an approximate index."""
    disk_bytes: int
    missing: tuple[Path, ...]
    """Pictures whose files are gone."""
    built: bool
    """Whether `Gallery.build` has ended; False if it was interrupted."""
    clean: bool
    """Whether pictures and queries are cleaned."""
    precision: Precision


@dataclass(frozen=True, eq=False)
class Query:
    """A picture to search with, read once by `Gallery.read`."""

    image: Float[Tensor, "3 s s"]


class SearchableGallery:
    """What reads a gallery: searches it, and lists what is in it. `Gallery` makes galleries and changes them."""

    def __init__(self, folder: Place, settings: Settings, weights: Weights | None, device: Device) -> None:
        self.folder, self.settings = folder, settings
        self.table = PictureTable(folder, settings.exact_below)
        self._weights = weights
        self._device: Device = device

    def __len__(self) -> int:
        return self.table.count()

    def holds(self, path: str | Path) -> bool:
        """Tell whether a file is a picture of the gallery, or holds one, also where a link gives it another path."""
        files = {split_page(to_path(row))[0] for row in self.table.known()}
        return bool(self.table.at(to_bytes(path))) or is_one_of(path, files)

    # Searching -------------------------------------------------------------------------------------------------------

    def search(
        self,
        pictures: Picture | Query | Sequence[Picture | Query],
        k: int = 10,
        *,
        label: str | None = None,
        min_similarity: float | int | None = None,
        exact: bool = False,
        copies: bool = False,
        invert: bool = False,
        rotations: bool = False,
    ) -> list[list[Match]]:
        """Return for each picture the k most similar of the gallery, the most similar first.

        A file whose content is in the gallery is not embedded: its embedding is there already.

        Args:
            pictures: one, or a list of several, of what `open_picture` takes or `read` returns; dark ink on light
                paper, unless inverted.
            k: number of pictures to find for each, at least 1; there may be fewer.
            label: find only pictures with this label, such as `birds`, or in this path of folders, such as
                `birds/owl`, where `birds` is a label.
            min_similarity: least similarity of the pictures found, in [-1, 1].
            exact: compare all rows, even if there is an index.
            copies: make each file a match of its own; otherwise files with the same content are one match, and k
                matches are k different pictures.
            invert: invert the pictures, which are light on dark. Refused by a gallery that cleans its pictures.
            rotations: search with each picture as it is and turned by 90, 180 and 270 degrees; the similarity is the
                greatest of the four. Four times the work.

        Raises:
            ValueError: for a k or similarity out of range, an unknown label, a query that is no picture
                (`UnreadablePicture`), weights that are not the gallery's, an empty or damaged gallery.
        """
        self.check_search(k, label, min_similarity)
        queries = [pictures] if isinstance(pictures, Picture | Query) else list(pictures)
        files = [] if invert or rotations else [query for query in queries if isinstance(query, str | Path)]
        stored = self.stored(files)
        turned = [stored.get(query) if isinstance(query, str | Path) else None for query in queries]
        new = [place for place, vectors in enumerate(turned) if vectors is None]
        embedded = self.embed_pictures([queries[place] for place in new], invert=invert, rotations=rotations)
        for place, vectors in zip(new, embedded, strict=True):
            turned[place] = vectors
        whole = [vectors for vectors in turned if vectors is not None]
        return self.search_vectors(whole, k, label=label, min_similarity=min_similarity, exact=exact, copies=copies)

    def search_vectors(
        self,
        turned: Sequence[Float32[np.ndarray, "t d"]],
        k: int = 10,
        *,
        label: str | None = None,
        min_similarity: float | int | None = None,
        exact: bool = False,
        copies: bool = False,
    ) -> list[list[Match]]:
        """Return what `search` does, for embeddings of this gallery's kind, unit rows of d numbers.

        Args:
            turned: for each query one embedding, or one for each way it is turned: the greatest similarity counts.
            k: as for `search`; so are the others.

        Raises:
            ValueError: as `search`.
        """
        self.check_search(k, label, min_similarity)
        found = []
        for vectors in turned:
            best: dict[str, tuple[Known, float]] = {}
            for vector in vectors:
                for row, similarity in self.table.nearest(vector, k, label=label, exact=exact, contents=not copies):
                    if row.id not in best or similarity > best[row.id][1]:
                        best[row.id] = (row, similarity)
            pairs = sorted(best.values(), key=lambda pair: (-pair[1], pair[0].path))
            found.append(make_matches(pairs, k, min_similarity=min_similarity, copies=copies))
        return found

    def search_like(
        self,
        paths: str | Path | Sequence[str | Path],
        k: int = 10,
        *,
        label: str | None = None,
        min_similarity: float | int | None = None,
        exact: bool = False,
        copies: bool = False,
    ) -> list[list[Match]]:
        """Return for each of some pictures of the gallery the k others most like it, as `search` does.

        No network is loaded, and the files may be gone. A picture is not in its own results; a copy of it is.

        Args:
            paths: paths of pictures of the gallery, one or several.
            k: as for `search`; so are the others.

        Raises:
            ValueError: as `search`, or for a path that is not in the gallery; names the closest.
        """
        self.check_search(k, label, min_similarity)
        listed = [paths] if isinstance(paths, str | Path) else list(paths)
        rows = [self.row_of(path) for path in listed]
        vectors = self.table.embeddings(sorted({row.hash for row in rows}))
        found = []
        for row in rows:
            # One more, because the picture itself is among them.
            pairs = self.table.nearest(vectors[row.hash], k + 1, label=label, exact=exact, contents=not copies)
            others = [pair for pair in pairs if pair[0].id != row.id]
            found.append(make_matches(others, k, min_similarity=min_similarity, copies=copies))
        return found

    def search_all(
        self,
        k: int = 10,
        *,
        label: str | None = None,
        min_similarity: float | int | None = None,
        copies: bool = False,
    ) -> list[tuple[Path, list[Match]]]:
        """Return for every picture of the gallery the k others most like it, as `search_like` does, in one pass.

        All rows are compared, also where there is an index. Every embedding is held in memory.

        Args:
            k: as for `search`; so are the others. `label` chooses what is found, not what is searched with.

        Returns:
            Each picture's path with its matches, in the order of the paths.

        Raises:
            ValueError: as `search`.
        """
        self.check_search(k, label, min_similarity)
        rows, vectors = self.table.vectors()
        order = sorted(range(len(rows)), key=lambda place: rows[place].path)
        allowed = None if label is None else {row.id for row in self.table.known(label_condition(label))}
        pairs = nearest_of_all(
            [rows[place] for place in order], vectors[order], k, allowed=allowed, contents=not copies
        )
        return [
            (to_path(row), make_matches(found, k, min_similarity=min_similarity, copies=copies)) for row, found in pairs
        ]

    def check_search(self, k: int, label: str | None, min_similarity: float | int | None) -> None:
        """Refuse what no search can do; raises as `search`."""
        if k < 1:
            raise ValueError(f"k is {k}: it must be at least 1")
        if min_similarity is not None and not -1 <= min_similarity <= 1:
            raise ValueError(f"min_similarity is {min_similarity}: a cosine is in [-1, 1], 1 for the same picture")
        self.check_filled()
        if label is not None:
            self.table.check_label(label)

    def check_filled(self) -> None:
        """Raise ValueError if the gallery is empty."""
        if not len(self):
            mend = (
                ": add drawings first"
                if self.settings.built
                else ", building it was interrupted: run `sketchloss gallery build` again"
            )
            raise ValueError(f"the gallery {self.folder} is empty{mend}")

    def row_of(self, path: str | Path) -> Known:
        """Return the row of a picture of the gallery, also where a link gives it another path.

        Raises:
            ValueError: if it is not in the gallery; names the closest.
        """
        place = with_page(*split_page(path))  # the first page of a file is known by the file's own path
        rows = self.table.at(to_bytes(place)) or [row for row in self.table.known() if is_one_of(place, [row.path])]
        if rows:
            return rows[0]
        names = {as_text(to_path(row).name): row for row in self.table.known()}
        near = get_close_matches(as_text(Path(path).name), names, n=1)
        mend = f"did you mean {as_text(names[near[0]].path)}?" if near else "`sketchloss gallery add` adds drawings"
        raise ValueError(f"{as_text(path)} is not in the gallery {self.folder}: {mend}")

    def info(self) -> Info:
        """Return what is in the gallery; looks for every picture's file, and embeds nothing."""
        rows = self.table.known()
        labels = self.table.labels()
        settings = self.settings
        return Info(
            folder=self.folder,
            rows=len(rows),
            labels=dict(sorted(labels.items(), key=lambda item: (-item[1], item[0] or ""))),
            weights=settings.weights,
            fingerprint=settings.fingerprint,
            image_size=settings.image_size,
            layer=settings.layer,
            built=settings.built,
            clean=settings.clean,
            precision=settings.precision,
            dimension=self.table.dimension,
            exact=not self.table.uses_index(),
            disk_bytes=count_bytes(self.folder),
            missing=tuple(sorted(to_path(row) for row in rows if is_gone(row.path))),
        )

    # Embedding -------------------------------------------------------------------------------------------------------

    @cached_property
    def backbone(self) -> Backbone:
        """The gallery's weights, loaded when first asked for.

        Raises:
            ValueError: if they are not those that the gallery was made with.
        """
        return load_matching(self.settings, self._weights, self._device, self.folder)

    @property
    def batch(self) -> int:
        """Number of pictures that are embedded at once."""
        pixels = BATCH_PIXELS[self.backbone.mean.device.type == "cuda"]
        return max(1, pixels // self.settings.image_size**2)

    def read(self, picture: Picture | Query, *, invert: bool = False) -> Query:
        """Read a picture as the gallery embeds it, to search with it later; one that is read already stays as it is.

        Args:
            picture: as for `search`.
            invert: as for `search`.

        Raises:
            UnreadablePicture: if it is no picture or, in a gallery that cleans, no drawing is to be seen on it.
            ValueError: as `search`.
        """
        if isinstance(picture, Query):
            return picture
        return Query(read(picture, self.settings.image_size, invert=invert, clean=self.settings.clean))

    def embed_pictures(
        self, pictures: Sequence[Picture | Query], *, invert: bool = False, rotations: bool = False
    ) -> Float32[np.ndarray, "n t d"]:
        """Return the embeddings of pictures: one for each, or one for each way it is turned.

        Arguments and errors are those of `search`.
        """
        turns = range(TURNS if rotations else 1)
        found = [np.zeros((0, len(turns), self.table.dimension), np.float32)]
        batch = self.batch if pictures else 1
        for start in range(0, len(pictures), batch):
            images = torch.stack([self.read(one, invert=invert).image for one in pictures[start : start + batch]])
            found.append(np.stack([self.embed(images.rot90(turn, (2, 3))) for turn in turns], axis=1))
        return np.concatenate(found)

    def stored(self, paths: Sequence[str | Path]) -> dict[str | Path, Float32[np.ndarray, "1 d"]]:
        """Return the embeddings that the gallery holds of these files, known by their content; of others none.

        Raises:
            ValueError: if weights were given to `open` that are not the gallery's.
        """
        if self._weights is not None:
            assert self.backbone is not None  # refused also where it has nothing to do
        hashes = {path: found for path in paths if (found := _content(path))}
        vectors = self.table.embeddings(sorted(set(hashes.values())))
        return {path: vectors[found][None] for path, found in hashes.items() if found in vectors}

    def embed(self, images: Float[Tensor, "n 3 h w"]) -> Float32[np.ndarray, "n d"]:
        """Return the embeddings of pictures that are fitted to the gallery's image size, unit rows.

        Raises:
            ValueError: if they are not finite, or the weights are not the gallery's.
        """
        with in_bfloat16(self.backbone.mean.device.type, wanted=self.settings.precision == "bf16"):
            return _embed(self.backbone, images, self.settings.layer)


def make_matches(
    pairs: Sequence[tuple[Known, float]], k: int, *, min_similarity: float | int | None, copies: bool
) -> list[Match]:
    """Return the first k matches of rows with their similarities, the greatest first; arguments as for `search`."""
    found: dict[str, list[tuple[Known, float]]] = {}
    for row, similarity in pairs:
        if min_similarity is None or similarity >= min_similarity:
            found.setdefault(row.id if copies else row.hash, []).append((row, similarity))
    matches = []
    for (row, similarity), *others in list(found.values())[:k]:
        paths = tuple(to_path(other) for other, _ in others)
        matches.append(Match(to_path(row), similarity, row.label, row.size, row.hash, paths))
    return matches


@torch.inference_mode()
def _embed(backbone: Backbone, images: Tensor, layer: str) -> Float32[np.ndarray, "n d"]:
    # Channels last: about half as fast again on a CPU.
    images = images.to(backbone.mean.device).contiguous(memory_format=torch.channels_last)
    vectors = backbone.embed(images, layer).cpu().numpy()
    if not np.isfinite(vectors).all():
        raise ValueError("the embedding of a picture is not finite: are these weights from a diverged run?")
    return vectors


def _content(path: str | Path) -> str | None:
    """Return the SHA-256 of a file, or of a page; None if it cannot be read, or only once."""
    place, page = split_page(path)
    try:
        with open_input(place, pipes=False) as file:
            return content_hash(file, page)
    except OSError:
        return None
