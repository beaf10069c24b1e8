"""A gallery: embeddings of many pictures on disk, and the pictures most like a given one.

A gallery is one folder: a LanceDB table with a row for each picture, and `gallery.json`, which says what embedded them.
Paths are kept absolute, so a gallery can be used from anywhere. Where pictures were moved to another place, `add` that
place: they are known by their content.
"""

import functools
import os
import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Float32
from PIL import Image
from torch import Tensor

from sketchloss.gallery.adding import Adding, AddReport, Progress, Walk, as_text, is_below, is_gone, is_one_of, walk
from sketchloss.gallery.options import Labels
from sketchloss.gallery.reading import INVERTS_ITSELF, read
from sketchloss.gallery.settings import (
    FILE,
    Device,
    Settings,
    Weights,
    is_gallery,
    load_matching,
    load_weights,
    name_weights,
    read_settings,
    write_settings,
)
from sketchloss.gallery.table import LOCK, NAME, Known, PictureTable, check_place, writing
from sketchloss.networks.backbone import Backbone
from sketchloss.networks.weights import weights_digest

#: What `open_picture` takes.
Picture = str | Path | bytes | Image.Image | np.ndarray | Tensor

#: How often `search(rotations=True)` turns a query by 90 degrees, among them not at all.
TURNS = 4
EXACT_BELOW = 50_000
LARGEST_SIDE = 2048  # more is a slip of the hand, and takes all memory
# Pixels embedded at once, on a CPU and on a GPU: 16 pictures at 128, and 256. More are no faster.
BATCH_PIXELS = (16 * 128**2, 256 * 128**2)


@dataclass(frozen=True)
class Match:
    """A picture of the gallery that a search found."""

    path: Path
    """Absolute path of the picture's file at the time when it was added."""
    similarity: float
    """Cosine of the angle between the embeddings, in [-1, 1]; 1 for the same picture."""
    label: str | None
    size: int
    """Size of the file in bytes."""
    hash: str
    """SHA-256 of the file."""


@dataclass(frozen=True)
class Info:
    """Contents of a gallery."""

    folder: Path
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


@dataclass(frozen=True, eq=False)
class Query:
    """A picture to search with, read once by `Gallery.read`."""

    image: Float[Tensor, "3 s s"]


class Gallery:
    """A folder with the embeddings of many pictures; made by `create` or `build`, opened by `open`.

    Several processes may search it at once, also while one adds; several that write take turns.
    """

    def __init__(self, folder: Path, settings: Settings, weights: Weights | None, device: Device) -> None:
        self.folder, self.settings = folder, settings
        self.table = PictureTable(folder, settings.exact_below)
        self._weights = weights
        self._device: Device = device

    def __reduce__(self) -> tuple[Callable[..., "Gallery"], tuple[Path]]:
        # note: opened anew where it is sent, because a connection to the table cannot be sent
        return functools.partial(Gallery.open, weights=self._weights, device=self._device), (self.folder,)

    def __len__(self) -> int:
        return self.table.count()

    def holds(self, path: str | Path) -> bool:
        """Tell whether a file is one of the gallery's pictures, also where a link gives it another path."""
        return bool(self.table.at(_to_bytes(path))) or is_one_of(path, (row.path for row in self.table.known()))

    # Making and opening ----------------------------------------------------------------------------------------------

    @classmethod
    def create(
        cls,
        folder: str | Path,
        *,
        weights: Weights = "sketch",
        image_size: int = 128,
        layer: str = "",
        exact_below: int = EXACT_BELOW,
        clean: bool = False,
        device: Device = "auto",
    ) -> "Gallery":
        """Make an empty gallery.

        Args:
            folder: folder to make the gallery in, new or empty.
            weights: as for `load_backbone`, or a backbone.
            image_size: side in pixels of the square that pictures are fitted into.
            layer: layer whose features, averaged over positions, are the embedding; empty: the `embedding_layer`.
            exact_below: number of rows from which on an approximate index is made and used.
            clean: clean every picture that is added, and every query, as `clean_page` does: for scans and photographs.
            device: device to compute on; `auto`: the GPU if there is one.

        Raises:
            ValueError: if the folder holds a gallery or anything else, or a setting is out of range.
        """
        folder = Path(os.path.abspath(folder))  # noqa: PTH100 (not resolved: links keep their names)
        check_place(folder)
        if is_gallery(folder):
            raise ValueError(f"{folder} is a gallery already: open it, or name a new folder")
        if folder.exists() and not PictureTable.can_be_made_in(folder):
            raise ValueError(f"{folder} is there and is no empty folder: name a new folder for the gallery")
        backbone = load_weights(weights, device)
        layer = layer or backbone.embedding_layer
        _check_range(backbone, image_size=image_size, layer=layer, exact_below=exact_below)
        dimension = backbone.channels(layer)
        digest = weights_digest(backbone)
        settings = Settings(name_weights(weights), digest, image_size, layer, exact_below, built=True, clean=clean)
        folder.mkdir(parents=True, exist_ok=True)
        with writing(folder, wait=None):
            if is_gallery(folder):
                raise ValueError(f"{folder} has just become a gallery by another process: add to that one")
            PictureTable.create(folder, dimension, exact_below)
            write_settings(folder, settings)  # last: a folder without it is no gallery yet
        gallery = cls(folder, settings, weights, device)
        gallery.__dict__["backbone"] = backbone  # so that it is not loaded twice
        return gallery

    @classmethod
    def open(cls, folder: str | Path, *, weights: Weights | None = None, device: Device = "auto") -> "Gallery":
        """Open a gallery.

        Args:
            folder: folder of the gallery, as given to `create`.
            weights: weights that it was made with; by default found by the name in its settings. They are loaded, and
                compared with the gallery's fingerprint, when a picture is embedded.
            device: as for `create`.

        Raises:
            ValueError: if the folder is no gallery, or a damaged one.
            FileNotFoundError: if it does not exist.
        """
        folder = Path(os.path.abspath(folder))  # noqa: PTH100 (not resolved: links keep their names)
        return cls(folder, read_settings(folder), weights, device)

    @classmethod
    def build(
        cls,
        folder: str | Path,
        pictures: Sequence[str | Path],
        *,
        labels: Labels = "folder",
        invert: bool = False,
        progress: Progress = False,
        **settings,
    ) -> tuple["Gallery", AddReport]:
        """Make a gallery of the pictures in some folders; continue where an earlier call was interrupted.

        Args:
            folder: new, empty, or a gallery that holds nothing or whose building was interrupted.
            pictures: folders of pictures.
            labels: as for `add`.
            invert: as for `add`.
            progress: as for `add`.
            settings: as for `create`.

        Raises:
            ValueError: if the gallery is there already, as `create`, as `add`, or if no picture can be read, in which
                case a gallery that was not there before is removed again.
        """
        found = walk(pictures, labels)  # a mistake here leaves nothing behind
        is_new = not is_gallery(Path(folder))
        place = Path(os.path.abspath(folder))  # noqa: PTH100 (not resolved: links keep their names)
        made = [path for path in (place, *place.parents) if not path.exists()]
        gallery = cls._begin(folder, settings) if is_new else cls._go_on(folder, settings, progress=progress)
        try:
            report = gallery._add(found, prune=False, wait=None, progress=progress, builds=True, invert=invert)
            if not report.rows:
                count = f"{len(found.labels):,} drawing{'s' * (len(found.labels) != 1)}"
                raise ValueError(f"none of the {count} can be read, first: {report.unreadable[0]}")
        except ValueError:
            if is_new:
                gallery._unmake(made)
            raise
        return gallery, report

    @classmethod
    def _begin(cls, folder: str | Path, settings: dict) -> "Gallery":
        gallery = cls.create(folder, **settings)
        with writing(gallery.folder, wait=None):
            gallery._mark(built=False)
        return gallery

    @classmethod
    def _go_on(cls, folder: str | Path, settings: dict, *, progress: Progress) -> "Gallery":
        """Open a gallery whose building was interrupted; one that holds nothing yet is begun anew."""
        device = settings.get("device", "auto")
        gallery = cls.open(folder, weights=settings.get("weights"), device=device)
        begun = gallery.settings
        if begun.built and len(gallery):
            raise ValueError(
                f"{folder} is a gallery of {len(gallery):,} drawings already: use `sketchloss gallery add` to add "
                "to it, or name a new folder"
            )
        wanted = {name: settings.get(name, getattr(begun, name)) for name in ("image_size", "layer", "exact_below")}
        wanted["layer"] = wanted["layer"] or begun.layer
        _check_range(load_weights(settings["weights"], device) if "weights" in settings else gallery.backbone, **wanted)
        wanted["clean"] = settings.get("clean", begun.clean)
        with writing(gallery.folder, wait=None, tell=progress is True):
            is_empty = not len(gallery)
            if is_empty:
                (gallery.folder / FILE).unlink(missing_ok=True)
        if is_empty:
            return cls._begin(folder, {"weights": begun.weights, **settings, **wanted})
        for name, value in wanted.items():
            if value != getattr(begun, name):
                raise ValueError(
                    f"{folder} was begun with {name} {getattr(begun, name)}, not {value}: "
                    "use that, or name a new folder"
                )
        return gallery

    def _unmake(self, folders: Sequence[Path]) -> None:
        """Remove the files of a gallery that holds nothing, and these folders if they are empty then."""
        with writing(self.folder, wait=None):
            if len(self):  # by another process
                return
            (self.folder / FILE).unlink()
            shutil.rmtree(self.folder / f"{NAME}.lance")
        (self.folder / LOCK).unlink(missing_ok=True)
        with suppress(OSError):
            for folder in folders:
                folder.rmdir()

    def _mark(self, *, built: bool) -> None:
        self.settings = replace(self.settings, built=built)
        write_settings(self.folder, self.settings)

    # Adding and removing ---------------------------------------------------------------------------------------------

    def add(
        self,
        folders: Sequence[str | Path],
        *,
        labels: Labels = "folder",
        prune: bool = False,
        invert: bool = False,
        wait: float | int | None = None,
        progress: Progress = False,
        workers: int | None = None,
        commit_rows: int = 1024,
    ) -> AddReport:
        """Bring the gallery up to date with the pictures in some folders and their subfolders.

        What is there already is known by its content and not embedded again. A picture whose content the gallery has
        under a path that is gone was moved; one whose content is also elsewhere is a copy, with a row of its own.
        Unreadable files are listed and left out.

        Args:
            folders: at least one.
            labels: `folder`: a picture's label is the name of the folder directly below the given one that holds it;
                pictures directly in the given one have none. `none`: no labels. Labels given earlier stay where now
                there is none.
            prune: take out pictures below these folders whose files are gone; otherwise they are only reported.
            invert: invert the new pictures, which are light on dark; pictures that are there already stay as they are.
                Refused by a gallery that cleans its pictures: it inverts them by itself.
            wait: seconds to wait for another process that is writing; None: as long as it takes.
            progress: show a bar on stderr, if that is a terminal; or a function that gets how many drawings
                of how many are done.
            workers: number of threads that read; None: one for each core, 8 at most.
            commit_rows: most rows written at once; they are also written after 10 seconds. Written rows outlive the
                process.

        Raises:
            ValueError: if a folder holds no pictures, the weights are others than the gallery's, another process still
                writes after `wait`, or the gallery is damaged or not to be written to.
            FileNotFoundError: if a folder does not exist.
        """
        if commit_rows < 1:
            raise ValueError(f"commit_rows is {commit_rows}: it must be at least 1")
        found = walk(folders, labels)
        return self._add(
            found,
            prune=prune,
            invert=invert,
            wait=wait,
            progress=progress,
            workers=workers,
            commit_rows=commit_rows,
        )

    def _add(
        self,
        found: Walk,
        *,
        prune: bool,
        wait: float | int | None,
        progress: Progress,
        workers: int | None = None,
        commit_rows: int = 1024,
        builds: bool = False,
        invert: bool = False,
    ) -> AddReport:
        if invert and self.settings.clean:
            raise ValueError(INVERTS_ITSELF)
        assert self.backbone is not None  # refused here, before anybody waits
        with writing(self.folder, wait=wait, tell=progress is True):
            size, clean = self.settings.image_size, self.settings.clean
            adding = Adding(self.table, self.embed, size, self._batch(), commit_rows, invert, clean)
            report = adding.run(found, prune=prune, progress=progress, workers=workers)
            if builds and report.rows:
                self._mark(built=True)
        return report

    def remove(
        self, paths: Sequence[str | Path] = (), *, label: str | None = None, wait: float | int | None = None
    ) -> list[Path]:
        """Take pictures out of the gallery; their files stay.

        Args:
            paths: pictures, and folders with all that is below them; the files may be gone.
            label: take out all pictures with this label, too.
            wait: as for `add`.

        Returns:
            The pictures that were taken out.

        Raises:
            ValueError: if a path or the label is not in the gallery, in which case nothing is taken out.
        """
        if not paths and label is None:
            raise ValueError("nothing is named: give paths or a label to take out of the gallery")
        with writing(self.folder, wait=wait):
            rows = self.table.known()
            if label is not None:
                self.table.check_label(label)
            taken = {row.id: row for row in rows if label is not None and row.label == label}
            for path in paths:
                root = _to_bytes(path)
                below = [row for row in rows if is_below(row.path, (root,))]
                if not below:
                    raise ValueError(f"{as_text(root)} is not in the gallery {self.folder}: check the path")
                taken |= {row.id: row for row in below}
            self.table.delete(list(taken))
            self.table.tidy()
        return [_to_path(row) for row in taken.values()]

    # Searching -------------------------------------------------------------------------------------------------------

    def search(
        self,
        pictures: Picture | Query | Sequence[Picture | Query],
        k: int = 10,
        *,
        label: str | None = None,
        min_similarity: float | int | None = None,
        exact: bool = False,
        invert: bool = False,
        rotations: bool = False,
    ) -> list[list[Match]]:
        """Return for each picture the k most similar of the gallery, the most similar first.

        Args:
            pictures: one, or a list of several, of what `open_picture` takes; dark ink on light paper, unless inverted.
            k: number of pictures to find for each, at least 1; there may be fewer.
            label: find only pictures with this label.
            min_similarity: least similarity of the pictures found, in [-1, 1].
            exact: compare all rows, even if there is an index.
            invert: invert the pictures, which are light on dark. Refused by a gallery that cleans its pictures.
            rotations: search with each picture as it is and turned by 90, 180 and 270 degrees; the similarity is the
                greatest of the four. Four times the work.

        Raises:
            ValueError: for a k or similarity out of range, an unknown label, a query that is no picture
                (`UnreadablePicture`), weights that are not the gallery's, an empty or damaged gallery.
        """
        if k < 1:
            raise ValueError(f"k is {k}: it must be at least 1")
        if min_similarity is not None and not -1 <= min_similarity <= 1:
            raise ValueError(f"min_similarity is {min_similarity}: a cosine is in [-1, 1], 1 for the same picture")
        if not len(self):
            raise ValueError(
                f"the gallery {self.folder} is empty"
                + (
                    ": add drawings first"
                    if self.settings.built
                    else ", building it was interrupted: run `sketchloss gallery build` again"
                )
            )
        if label is not None:
            self.table.check_label(label)
        queries = [pictures] if isinstance(pictures, Picture | Query) else list(pictures)
        batch, found = self._batch(), []
        for start in range(0, len(queries), batch):
            images = torch.stack([self.read(query, invert=invert).image for query in queries[start : start + batch]])
            turned = [self.embed(images.rot90(turn, (2, 3))) for turn in range(TURNS if rotations else 1)]
            for vectors in zip(*turned, strict=True):
                pairs = _best([self.table.nearest(vector, k, label=label, exact=exact) for vector in vectors], k)
                matches = [Match(_to_path(row), value, row.label, row.size, row.hash) for row, value in pairs]
                found.append([m for m in matches if min_similarity is None or m.similarity >= min_similarity])
        return found

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
            dimension=self.table.dimension,
            exact=not self.table.uses_index(),
            disk_bytes=sum(file.stat().st_size for file in self.folder.rglob("*") if file.is_file()),
            missing=tuple(sorted(_to_path(row) for row in rows if is_gone(row.path))),
        )

    # Embedding -------------------------------------------------------------------------------------------------------

    @cached_property
    def backbone(self) -> Backbone:
        """The gallery's weights, loaded when first asked for.

        Raises:
            ValueError: if they are not those that the gallery was made with.
        """
        return load_matching(self.settings, self._weights, self._device, self.folder)

    def _batch(self) -> int:
        pixels = BATCH_PIXELS[self.backbone.mean.device.type == "cuda"]
        return max(1, pixels // self.settings.image_size**2)

    def embed(self, images: Float[Tensor, "n 3 h w"]) -> Float32[np.ndarray, "n d"]:
        """Return the embeddings of pictures that are fitted to the gallery's image size, unit rows.

        Raises:
            ValueError: if they are not finite, or the weights are not the gallery's.
        """
        return _embed(self.backbone, images, self.settings.layer)


def _check_range(backbone: Backbone, *, image_size: int, layer: str, exact_below: int) -> None:
    """Refuse settings out of range."""
    if exact_below < 1:
        raise ValueError(f"exact_below is {exact_below}: it must be at least 1")
    minimum = backbone.minimum_size((layer,))
    if image_size < minimum:
        raise ValueError(f"image_size is {image_size}: {layer} needs at least {minimum} pixels")
    if image_size > LARGEST_SIDE:
        raise ValueError(f"image_size is {image_size}: {LARGEST_SIDE} pixels at most")


@torch.inference_mode()
def _embed(backbone: Backbone, images: Tensor, layer: str) -> Float32[np.ndarray, "n d"]:
    # Channels last: about half as fast again on a CPU.
    images = images.to(backbone.mean.device).contiguous(memory_format=torch.channels_last)
    vectors = backbone.embed(images, layer).cpu().numpy()
    if not np.isfinite(vectors).all():
        raise ValueError("the embedding of a picture is not finite: are these weights from a diverged run?")
    return vectors


def _best(found: Sequence[list[tuple[Known, float]]], k: int) -> list[tuple[Known, float]]:
    """Return the k rows that are nearest in any of some searches, each once."""
    best: dict[str, tuple[Known, float]] = {}
    for row, value in (pair for pairs in found for pair in pairs):
        if row.id not in best or value > best[row.id][1]:
            best[row.id] = (row, value)
    return sorted(best.values(), key=lambda pair: -pair[1])[:k]


def _to_bytes(path: str | Path) -> bytes:
    return os.fsencode(os.path.abspath(path))  # noqa: PTH100 (not resolved: links keep their names)


def _to_path(row: Known) -> Path:
    return Path(os.fsdecode(row.path))
