"""Batches of stored pictures: decoding in workers, pictures held in memory."""

import hashlib
import os
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, overload

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from sketchloss.data.captions.captioned import Captioned
from sketchloss.data.pictures import PictureItem, Pictures
from sketchloss.data.sources import Item, Sketches


def load_batches(
    pictures: "Sketches | Pictures | Captioned | HeldPictures",
    *,
    batch_size: int,
    shuffle: bool = False,
    workers: int | None = None,
    seed: int = 0,
    order: Sampler[int] | None = None,
) -> DataLoader:
    """Return batches `{"image": uint8 n×3×s×s, "index": int64 (n,)}`, of sketches also `"label": int64 (n,)`.

    Args:
        pictures: decoded in worker processes, at their own image size; what is held in memory needs none.
        batch_size: n; the last batch may be smaller.
        shuffle: in an order that the seed gives.
        workers: processes that decode; None: one for each core but one, 8 at most.
        seed: random seed of that order.
        order: another one, instead of `shuffle` and its seed.
    """
    if isinstance(pictures, HeldPictures):
        workers = 0
    elif workers is None:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        workers = min(8, max(1, cores - 1))
    return DataLoader(
        pictures,  # pyright: ignore[reportArgumentType] - a map-style dataset by its methods
        batch_size=batch_size,
        shuffle=shuffle and order is None,
        sampler=order,
        num_workers=workers,
        pin_memory=torch.cuda.is_available(),
        generator=torch.Generator().manual_seed(seed),
    )


# Above this many bytes pictures are decoded anew for every batch.
MEMORY_LIMIT = 2**30


class HeldPictures(Dataset):
    """Pictures decoded once and held in memory, with the items of the `Pictures` or `Captioned` they came from."""

    def __init__(self, pictures: Pictures | Captioned | Sketches, *, workers: int | None = None) -> None:
        batches = load_batches(pictures, batch_size=64, workers=workers)
        self.images = torch.cat([batch["image"] for batch in batches])

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> PictureItem:
        return {"image": self.images[index], "index": int(index)}


class HeldSketches(HeldPictures):
    """Sketches decoded once and held in memory, with the items of the `Sketches` they came from."""

    def __init__(self, sketches: Sketches, *, workers: int | None = None) -> None:
        super().__init__(sketches, workers=workers)
        self.labels = sketches.labels

    def __getitem__(self, index: int) -> Item:
        return {"image": self.images[index], "label": int(self.labels[index]), "index": int(index)}


@overload
def hold_if_small(pictures: Sketches, *, workers: int | None = None) -> Sketches | HeldSketches: ...


@overload
def hold_if_small(pictures: Pictures, *, workers: int | None = None) -> Pictures | HeldPictures: ...


@overload
def hold_if_small(pictures: Captioned, *, workers: int | None = None) -> Captioned | HeldPictures: ...


def hold_if_small(
    pictures: Sketches | Pictures | Captioned, *, workers: int | None = None
) -> Sketches | Pictures | Captioned | HeldPictures:
    """Decode pictures into memory, if they take no more than 1 GiB: a training meets them many times."""
    if len(pictures) * 3 * pictures.image_size**2 > MEMORY_LIMIT:
        return pictures
    key = _what_is_shown(pictures) if _remembered is not None else None
    if key is not None and _remembered is not None and key in _remembered:
        _remembered.move_to_end(key)
        return _remembered[key]
    hold = HeldSketches if isinstance(pictures, Sketches) else HeldPictures
    held = hold(pictures, workers=workers)  # pyright: ignore[reportArgumentType] - each takes its own kind
    if key is not None and _remembered is not None:
        _remembered[key] = held
        while sum(other.images.nbytes for other in _remembered.values()) > MEMORY_LIMIT and len(_remembered) > 1:
            _remembered.popitem(last=False)
    return held


# What `hold_if_small` decoded inside `remember_pictures`, the longest unused first.
_remembered: OrderedDict[tuple[Any, ...], HeldPictures] | None = None


@contextmanager
def remember_pictures() -> Iterator[None]:
    """Inside, have `hold_if_small` decode the same pictures once, however often they are opened, up to 1 GiB.

    For experiments that run several recipes on one set. Files must not change meanwhile: they are not looked at again.
    """
    global _remembered
    before, _remembered = _remembered, OrderedDict() if _remembered is None else _remembered
    try:
        yield
    finally:
        _remembered = before


def _what_is_shown(pictures: Sketches | Pictures | Captioned) -> tuple[Any, ...] | None:
    """Return what decides the pixels of a set, or None if that is not known."""
    if isinstance(pictures, Captioned):
        shown = _what_is_shown(pictures.sketches)
        return shown and ("captioned", *shown)
    tables = getattr(pictures.rows, "tables", (pictures.rows,))
    # note: of a table of files these are its names, and no look at the files
    prints = [getattr(table, "_fingerprint", None) for table in tables]
    if None in prints:
        return None
    how = (getattr(pictures, "line_width", None), getattr(pictures, "seed", None), repr(pictures.paint))
    order, labels = np.asarray(pictures.order), np.asarray(getattr(pictures, "labels", ()))
    places = hashlib.sha256(order.tobytes() + b" " + labels.tobytes()).hexdigest()
    return (type(pictures).__name__, *prints, *how, pictures.image_size, places)


def to_unit_range(images: UInt8[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 h w"]:
    """Turn stored bytes into float32 in [0, 1], on the device they are on."""
    return images.float().div_(255).contiguous(memory_format=torch.channels_last)
