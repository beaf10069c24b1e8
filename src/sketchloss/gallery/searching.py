"""Searching a gallery: the pictures most like a given one, and what is in the gallery."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Float32
from PIL import Image
from torch import Tensor

from sketchloss.gallery.adding import is_gone, is_one_of
from sketchloss.gallery.settings import Device, Settings, Weights, load_matching
from sketchloss.gallery.table import Known, PictureTable
from sketchloss.networks.backbone import Backbone
from sketchloss.system.images import fit_square, to_tensor
from sketchloss.system.visible_ink import open_visible

#: What `open_picture` takes.
Picture = str | Path | bytes | Image.Image | np.ndarray | Tensor


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


class SearchableGallery:
    """What reads a gallery: searches it, and lists what is in it. `Gallery` makes galleries and changes them."""

    def __init__(self, folder: Path, settings: Settings, weights: Weights | None, device: Device) -> None:
        self.folder, self.settings = folder, settings
        self.table = PictureTable(folder, settings.exact_below)
        self._weights = weights
        self._device: Device = device

    def __len__(self) -> int:
        return self.table.count()

    def holds(self, path: str | Path) -> bool:
        """Tell whether a file is one of the gallery's pictures, also where a link gives it another path."""
        return bool(self.table.at(to_bytes(path))) or is_one_of(path, (row.path for row in self.table.known()))

    # Searching -------------------------------------------------------------------------------------------------------

    def search(
        self,
        pictures: Picture | Sequence[Picture],
        k: int = 10,
        *,
        label: str | None = None,
        min_similarity: float | int | None = None,
        exact: bool = False,
        invert: bool = False,
    ) -> list[list[Match]]:
        """Return for each picture the k most similar of the gallery, the most similar first.

        Args:
            pictures: one, or a list of several, of what `open_picture` takes; dark ink on light paper, unless inverted.
            k: number of pictures to find for each, at least 1; there may be fewer.
            label: find only pictures with this label.
            min_similarity: least similarity of the pictures found, in [-1, 1].
            exact: compare all rows, even if there is an index.
            invert: invert the pictures, which are light on dark.

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
        queries = [pictures] if isinstance(pictures, Picture) else list(pictures)
        batch, found = self._batch(), []
        for start in range(0, len(queries), batch):
            images = torch.stack([self._read(query, invert) for query in queries[start : start + batch]])
            for vector in self.embed(images):
                pairs = self.table.nearest(vector, k, label=label, exact=exact)
                matches = [Match(to_path(row), value, row.label, row.size, row.hash) for row, value in pairs]
                found.append([m for m in matches if min_similarity is None or m.similarity >= min_similarity])
        return found

    def _read(self, query: Picture, invert: bool) -> Float[Tensor, "3 s s"]:
        return to_tensor(fit_square(open_visible(query, invert=invert), self.settings.image_size))

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
            dimension=self.table.dimension,
            exact=not self.table.uses_index(),
            disk_bytes=sum(file.stat().st_size for file in self.folder.rglob("*") if file.is_file()),
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

    def _batch(self) -> int:
        pixels = BATCH_PIXELS[self.backbone.mean.device.type == "cuda"]
        return max(1, pixels // self.settings.image_size**2)

    def embed(self, images: Float[Tensor, "n 3 h w"]) -> Float32[np.ndarray, "n d"]:
        """Return the embeddings of pictures that are fitted to the gallery's image size, unit rows.

        Raises:
            ValueError: if they are not finite, or the weights are not the gallery's.
        """
        return _embed(self.backbone, images, self.settings.layer)


@torch.inference_mode()
def _embed(backbone: Backbone, images: Tensor, layer: str) -> Float32[np.ndarray, "n d"]:
    # Channels last: about half as fast again on a CPU.
    images = images.to(backbone.mean.device).contiguous(memory_format=torch.channels_last)
    vectors = backbone.embed(images, layer).cpu().numpy()
    if not np.isfinite(vectors).all():
        raise ValueError("the embedding of a picture is not finite: are these weights from a diverged run?")
    return vectors


def to_bytes(path: str | Path) -> bytes:
    """Return the absolute path of a file as a gallery keeps it: as the operating system has it."""
    return os.fsencode(os.path.abspath(path))  # noqa: PTH100 (not resolved: links keep their names)


def to_path(row: Known) -> Path:
    """Return the path of a row's file."""
    return Path(os.fsdecode(row.path))
