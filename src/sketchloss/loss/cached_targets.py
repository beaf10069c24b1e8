"""Features of a training set's targets, computed once and found again by index, in memory or in a folder.

    cache = CachedTargets(loss, "runs/targets")
    for indices, inputs, targets in batches:
        loss(network(inputs), cache.get(indices, targets)).backward()

Targets that come in every epoch are then evaluated only once, which saves half of the loss's work.
"""

import os
from collections.abc import Iterable, Iterator
from operator import index as as_index
from pathlib import Path
from typing import Any, SupportsIndex, overload

import numpy as np
import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.numpy import load_file
from torch import Tensor

from sketchloss.loss.loss import SketchLoss
from sketchloss.loss.target_features import KeptFeatures, differences
from sketchloss.system.files import read_json, write_json, write_tensors
from sketchloss.system.image_contract import check_images

RECIPE = "targets.json"
FORMAT = "sketchloss targets"
# What is kept beside the taps, to tell whether a target is still the same.
SIZE, THUMBNAIL = "target/size", "target/thumbnail"
THUMBNAIL_SIDE = 8
# The least change of a thumbnail's pixel, as a share of the range, that counts: rounding to bfloat16 stays below it.
CHANGE = 0.004

Entry = dict[str, np.ndarray]


class CachedTargets:
    """Features of targets by their index in the training set, as float16, for `loss(pred, features)`.

    Features are much larger than pictures: with the default taps 15.7 MB for a picture of 256 pixels, 1 MB for one of
    64. In memory each process keeps its own. In a folder, all processes on a machine share them, trainers under DDP and
    workers of a `DataLoader` alike, and so do later runs; each target is one file, written whole or not at all.

    A target must be the same each time. Augment only the inputs, or give every variant an index of its own (such as
    `2 * index + flipped`). A target that looks different from the one that was kept is refused: its size, or its ink
    seen at 8×8 pixels. So a moved, flipped, or brighter target is found; a change of a few pixels may not be.

    It can be pickled, and forked: copies read what is kept, and do not compute. A copy in memory knows what was kept
    when it was made.

    Args:
        loss: loss that computes the features, on its own device.
        folder: folder to keep the features in, made if missing; None: in memory.

    Raises:
        ValueError: if the folder holds features of another loss (weights, their type, taps, `value_range`, `invert`),
            or anything else.
    """

    def __init__(self, loss: SketchLoss, folder: str | Path | None = None) -> None:
        if not isinstance(loss, SketchLoss):
            raise ValueError(f"loss is of type {type(loss).__name__}: give the SketchLoss whose targets these are")
        self._loss: SketchLoss | None = loss
        self._process = os.getpid()
        self._recipe = loss.features_recipe()
        self._kept = _Memory() if folder is None else _Folder(Path(folder), self._recipe)

    def get(self, indices: Iterable[SupportsIndex] | Tensor, images: Tensor) -> KeptFeatures:
        """Return the features of targets, and compute those that are not kept yet.

        Args:
            indices: n integers ≥ 0, each target's place in the training set; a list, or a tensor as a `DataLoader`
                collates it.
            images: the targets, float n×{1,3}×h×w, as the loss takes them.

        Returns:
            float16 features by tap, n×c×h×w, on the images' device.

        Raises:
            ValueError: if a target is not the one that was kept under its index; a feature is beyond float16; this is a
                copy in another process, and something is not kept yet; the loss has changed; or as the loss.
            OSError: if the folder cannot be written to.
        """
        numbers = _as_numbers(indices)
        low, high = self._recipe["value_range"]
        seen = _describe(images, len(numbers), (low, high))
        missing: dict[int, int] = {}  # number -> where in the batch it comes first
        for place, number in enumerate(numbers):
            if number not in self._kept:
                missing.setdefault(number, place)
        if missing:
            taps = self._compute(images[[*missing.values()]])
            for row, (number, place) in enumerate(missing.items()):
                self._kept.write(number, {tap: values[row].copy() for tap, values in taps.items()} | seen[place])
        entries = [self._kept.read(number) for number in numbers]
        for number, entry, found in zip(numbers, entries, seen, strict=True):
            _check_same(number, entry, found)
        return self._stack(entries).to(images.device)

    @overload
    def __getitem__(self, indices: SupportsIndex) -> KeptFeatures: ...

    @overload
    def __getitem__(self, indices: Iterable[SupportsIndex] | Tensor) -> KeptFeatures: ...

    def __getitem__(self, indices: SupportsIndex | Iterable[SupportsIndex] | Tensor) -> KeptFeatures:
        """Return kept features without looking at the targets: what a dataset gives to a `DataLoader`.

        Args:
            indices: n integers, or one.

        Returns:
            float16 features by tap on the CPU, n×c×h×w, or of one index c×h×w.

        Raises:
            ValueError: if a target is not kept yet.
        """
        single = _as_number(indices)
        numbers = _as_numbers(indices if single is None else [single])
        features = self._stack([self._kept.read(number) for number in numbers])
        if single is None:
            return features
        return KeptFeatures({tap: values[0] for tap, values in features.items()}, features.recipe, features.size)

    def __contains__(self, index: object) -> bool:
        number = _as_number(index)
        return number is not None and number in self._kept

    def __len__(self) -> int:
        return len(self._kept)

    def __iter__(self) -> Iterator[int]:
        """Go through the indices that are kept, in no order."""
        return iter(self._kept)

    def __getstate__(self) -> dict[str, Any]:
        # A copy reads. With the loss in it, each worker would hold one, and a worker is no place to compute.
        return self.__dict__ | {"_loss": None}

    def _compute(self, images: Tensor) -> dict[str, np.ndarray]:
        if self._loss is None or os.getpid() != self._process:
            raise ValueError("a copy of a cache of targets only reads: compute them in the process that made the cache")
        differing = differences(self._recipe, self._loss.features_recipe())
        if differing:
            raise ValueError(f"the loss has changed since the cache was made ({differing}): make another cache")
        taps = {}
        for tap, features in self._loss.extract(images).items():
            halves = features.half()
            if not halves.isfinite().all():
                greatest = features.abs().max().item()
                raise ValueError(f"a feature of {tap} is {greatest:.3g}, beyond float16: give the loss the targets")
            taps[tap] = halves.cpu().contiguous().numpy()
        return taps

    def _stack(self, entries: list[Entry]) -> KeptFeatures:
        sizes = {tuple(entry[SIZE].tolist()) for entry in entries}
        if len(sizes) != 1:
            given = ", ".join(sorted("x".join(map(str, size)) for size in sizes)) or "none"
            raise ValueError(f"the targets of a batch must be of one size, and these are {given}")
        taps = self._recipe["taps"]
        features = {tap: torch.from_numpy(np.stack([entry[tap] for entry in entries])) for tap in taps}
        ((height, width),) = sizes
        return KeptFeatures(features, self._recipe, (height, width))


class _Memory:
    """Entries of one process."""

    def __init__(self) -> None:
        # note: arrays, because tensors would be sent to a worker through a file handle each, and there are not enough.
        self._entries: dict[int, Entry] = {}

    def read(self, number: int) -> Entry:
        if number not in self._entries:
            raise _not_kept(number)
        return self._entries[number]

    def write(self, number: int, entry: Entry) -> None:
        self._entries[number] = entry

    def __contains__(self, number: int) -> bool:
        return number in self._entries

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[int]:
        return iter(list(self._entries))


class _Folder:
    """Entries as files, a thousand to a folder, which any number of processes may read and write."""

    def __init__(self, folder: Path, recipe: dict[str, Any]) -> None:
        if folder.exists() and not folder.is_dir():
            raise ValueError(f"{folder} is a file: give a folder to keep features in")
        folder.mkdir(parents=True, exist_ok=True)
        about = folder / RECIPE
        if not about.exists():
            foreign = [path.name for path in folder.iterdir() if not path.name.startswith(".")]
            if foreign and not about.exists():  # another process may just have written it
                raise ValueError(f"{folder} holds {foreign[0]}, which no cache of targets made: give another folder")
            write_json(about, {"format": FORMAT, "version": 1, **recipe})
        differing = differences(_read_recipe(about), recipe)
        if differing:
            raise ValueError(f"{folder} holds features of another loss ({differing}): give another folder")
        self._folder = folder.absolute()
        self._taps = recipe["taps"]

    def read(self, number: int) -> Entry:
        path = self._path(number)
        try:
            entry = load_file(path)
        except FileNotFoundError:
            raise _not_kept(number) from None
        except SafetensorError as error:
            reason = " ".join(str(error).split())
            raise ValueError(f"{path} is damaged ({reason}): remove it, and it is computed again") from None
        if not {SIZE, THUMBNAIL, *self._taps} <= entry.keys():
            raise ValueError(f"{path} holds {', '.join(entry)}: remove it, and it is computed again")
        return entry

    def write(self, number: int, entry: Entry) -> None:
        path = self._path(number)
        path.parent.mkdir(exist_ok=True)
        write_tensors(path, {name: torch.from_numpy(values) for name, values in entry.items()})

    def __contains__(self, number: int) -> bool:
        return self._path(number).exists()

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __iter__(self) -> Iterator[int]:
        return (int(path.stem) for path in self._folder.glob("*/[0-9]*.safetensors"))

    def _path(self, number: int) -> Path:
        return self._folder / str(number // 1000) / f"{number}.safetensors"


def _read_recipe(path: Path) -> dict[str, Any]:
    try:
        about = read_json(path)
        if about.pop("format") != FORMAT or about.pop("version") != 1:
            raise ValueError("of another format")
    except (ValueError, KeyError) as error:
        raise ValueError(f"{path} does not describe a cache of targets ({error}): give another folder") from None
    return about


def _not_kept(number: int) -> ValueError:
    return ValueError(f"the features of target {number} are not kept yet: compute them with get(indices, images)")


def _as_number(index: object) -> int | None:
    """Return one index as an integer; None for what is no single integer."""
    if isinstance(index, bool) or (isinstance(index, Tensor | np.ndarray) and index.ndim):
        return None
    try:
        return as_index(index)  # pyright: ignore[reportArgumentType]
    except TypeError:
        return None


def _as_numbers(indices: object) -> list[int]:
    listed = indices.tolist() if isinstance(indices, Tensor | np.ndarray) else indices
    items = list(listed) if isinstance(listed, Iterable) and not isinstance(listed, str | bytes) else [listed]
    numbers = [_as_number(item) for item in items]
    wrong = [item for item, number in zip(items, numbers, strict=True) if number is None or number < 0]
    if wrong:
        raise ValueError(f"index {wrong[0]!r} of a target: give integers from 0, one for each target")
    return [number for number in numbers if number is not None]


def _describe(images: Tensor, count: int, value_range: tuple[float, float]) -> list[Entry]:
    """Return what tells each image from another: its size, and its grey thumbnail in [0, 1]."""
    images = check_images(images, name="target", value_range=value_range, check=False)
    if len(images) != count:
        raise ValueError(f"there are {count} indices and {len(images)} targets: give an index for each target")
    low, high = value_range
    grey = (images.detach().float().mean(1, keepdim=True) - low) / (high - low)
    thumbnails = F.adaptive_avg_pool2d(grey, THUMBNAIL_SIDE)[:, 0].cpu().numpy()
    size = np.array(images.shape[-2:], dtype=np.int64)
    return [{SIZE: size, THUMBNAIL: thumbnail} for thumbnail in thumbnails]


def _check_same(number: int, entry: Entry, found: Entry) -> None:
    kept_size, size = ("x".join(map(str, each[SIZE].tolist())) for each in (entry, found))
    mend = "a target must be the same each time; augment only inputs, or give each variant its own index"
    if kept_size != size:
        raise ValueError(f"target {number} is {size} pixels and was {kept_size} when it was kept: {mend}")
    change = float(np.abs(entry[THUMBNAIL] - found[THUMBNAIL]).max())
    if not change <= CHANGE:
        raise ValueError(f"target {number} has changed since it was kept (by {change:.2g} at 8x8 pixels): {mend}")
