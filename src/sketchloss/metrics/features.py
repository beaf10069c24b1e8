"""Features of many sketches in one matrix, computed once and kept on disk for the next time.

A cached file is named by a digest of the weights, of every pixel, and of how the one was applied to the other. So
changed weights or pictures never meet an older file, and a file that is not whole has another name.
"""

import hashlib
import json
import os
import re
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Float16
from torch import Tensor
from tqdm import tqdm

from sketchloss.data.captions.captioned import Captioned
from sketchloss.data.loading import HeldPictures, HeldSketches, load_batches, to_unit_range
from sketchloss.data.sources import Sketches
from sketchloss.networks.backbone import Backbone
from sketchloss.networks.weights import weights_digest
from sketchloss.system.device import Precision, in_bfloat16
from sketchloss.system.files import write_atomic, write_json

# Raise when what is computed from the same weights and pixels changes, so that older files are not met again.
FORMAT = 1
# What a killed run left behind is removed after so long; until then somebody may be writing to it.
STALE_SECONDS = 24 * 3600
# The temporary name that `write_atomic` gives a file whose name is a key.
UNFINISHED = re.compile(r"\.[0-9a-f]{32}\.[0-9a-f]{16}\.(npy|json)")


def embed_sketches(
    backbone: Backbone,
    sketches: Sketches | HeldSketches,
    *,
    layer: str | None = None,
    batch_size: int = 64,
    workers: int | None = None,
    progress: bool = False,
) -> Float[Tensor, "n d"]:
    """Return one L2-normalised float32 row per sketch, on the CPU, in their order.

    Args:
        backbone: on the device to compute on.
        sketches: at their own image size.
        layer: layer whose features are averaged over positions; None: the backbone's `embedding_layer`.
        batch_size: images at once.
        workers: as for `load_batches`.
        progress: show a bar.

    Raises:
        ValueError: if the sketches are too small for the layer, or a file is unreadable.
    """
    batches = _evaluate(backbone, sketches, layer or backbone.embedding_layer, 1, "no", batch_size, workers, progress)
    return F.normalize(torch.cat(list(batches)), dim=1)


def cached_features(
    backbone: Backbone,
    sketches: Sketches | HeldSketches,
    *,
    layer: str | None = None,
    grid: int = 1,
    folder: str | Path | None = None,
    precision: Precision = "no",
    batch_size: int = 64,
    workers: int | None = None,
    progress: bool = False,
    name: str = "",
) -> Float16[np.ndarray, "n f"]:
    """Return the features of sketches, from the disk if they were computed before.

    Args:
        backbone: on the device to compute on.
        sketches: at their own image size. Their pixels are looked at each time, to see that they are the same; what is
            held in memory is quicker.
        layer: any layer name; None: the backbone's `embedding_layer`.
        grid: average the layer's map onto at most so many positions each way, and flatten it: f is channels x grid x
            grid at most; with 1, the channels.
        folder: where the files are kept; by default as `cache_folder` says. It may be emptied at any time.
        precision: `bf16`: under autocast, about three times as fast on CPUs that have it.
        batch_size: images at once.
        workers: as for `load_batches`.
        progress: show a bar on a terminal while computing.
        name: what the bar calls them.

    Returns:
        A read-only array that is mapped into memory, not read.

    Raises:
        ValueError: if the sketches are too small for the layer, the grid is below 1, a file is unreadable, or a feature
            is beyond float16.
        OSError: if the folder cannot be written to.
    """
    if grid < 1:
        raise ValueError(f"grid is {grid}: it must be at least 1")
    layer = layer or backbone.embedding_layer
    folder = cache_folder() if folder is None else Path(folder)
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder} is a file: give a folder to keep features in")
    pixels = pixels_digest(sketches, workers=workers)
    recipe = {
        "format": FORMAT,
        "weights": weights_digest(backbone),
        "dtype": str(backbone.mean.dtype),
        "pixels": pixels,
        "layer": layer,
        "grid": grid,
        "precision": precision,
    }
    key = hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()[:32]
    path = folder / f"{key}.npy"
    found = _read(path, len(sketches))
    if found is not None:
        return found
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OSError(f"cannot keep features in {folder} ({str(error.strerror).lower()}): {_MEND}") from None
    _remove_stale(folder)
    seen = _start_digest(sketches)
    rows = _evaluate(backbone, sketches, layer, grid, precision, batch_size, workers, progress, name, seen)
    try:
        with write_atomic(path) as temporary, temporary.open("wb") as file:
            _write_rows(file, rows, len(sketches))
            if seen.hexdigest() != pixels:
                raise ValueError("some sketches were changed while their features were computed: run this again")
    except OSError as error:  # of a full disk, say, which does not tell where
        raise OSError(error.errno, error.strerror, error.filename or str(folder)) from error
    write_json(path.with_suffix(".json"), {"sketches": len(sketches), "name": name, **recipe})  # for people
    found = _read(path, len(sketches))
    assert found is not None
    return found


def cache_folder() -> Path:
    """Return where features are kept: `$SKETCHLOSS_CACHE/features`, else `~/.cache/sketchloss/features`.

    Raises:
        ValueError: if there is no home folder.
    """
    base = os.environ.get("SKETCHLOSS_CACHE") or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache", "sketchloss")
    try:
        return Path(base).expanduser() / "features"
    except RuntimeError:  # a user without a home folder, as in some containers
        raise ValueError(f"there is no home folder to keep features in: {_MEND}") from None


_MEND = "set SKETCHLOSS_CACHE to a folder that can be written to"


def pixels_digest(pictures: Sketches | Captioned | HeldPictures, *, workers: int | None = None) -> str:
    """Return the SHA-256 of every picture's pixels, in order: of what a network sees, whatever file it came from."""
    digest = _start_digest(pictures)
    for batch in load_batches(pictures, batch_size=256, workers=workers):
        digest.update(batch["image"].contiguous().numpy().tobytes())
    return digest.hexdigest()


# ---------------------------------------------------------------------------------------------------------------------


def _start_digest(sketches: Sketches | Captioned | HeldPictures) -> "hashlib._Hash":
    # All sketches of a set are squares of one size, so that the bytes and their number say everything.
    return hashlib.sha256(f"{len(sketches)} sketches".encode())


def _evaluate(
    backbone: Backbone,
    sketches: Sketches | HeldSketches,
    layer: str,
    grid: int,
    precision: Precision,
    batch_size: int,
    workers: int | None,
    progress: bool,
    name: str = "",
    seen: "hashlib._Hash | None" = None,
) -> Iterator[Tensor]:
    """Yield float32 rows on the CPU, a batch at a time, and add the pixels they are of to a digest."""
    device = next(backbone.buffers()).device
    batches = load_batches(sketches, batch_size=batch_size, workers=workers)
    hidden = None if progress else True  # None: shown on a terminal only
    with tqdm(total=len(sketches), desc=f"features {name}".rstrip(), unit=" sketches", disable=hidden) as bar:
        for batch in batches:
            if seen is not None:
                seen.update(batch["image"].contiguous().numpy().tobytes())
            images = to_unit_range(batch["image"].to(device))
            # note: inside the loop, since what is around a `yield` also holds for the caller
            with torch.inference_mode(), in_bfloat16(device.type, wanted=precision == "bf16"):
                features = backbone(images, (layer,))[layer].float()
                height, width = (min(grid, side) for side in features.shape[2:])
                rows = F.adaptive_avg_pool2d(features, (height, width)).flatten(1)
            yield rows.cpu()
            bar.update(len(images))


def _write_rows(file: BinaryIO, batches: Iterator[Tensor], count: int) -> None:
    # note: written, not mapped: a full disk is then an error and not a bus error.
    for number, rows in enumerate(batches):
        halves = rows.half()
        if not halves.isfinite().all():
            raise ValueError(f"a feature is {rows.abs().max():g}, which float16 cannot hold: check the weights")
        if not number:
            kind = np.lib.format.dtype_to_descr(np.dtype(np.float16))
            header = {"descr": kind, "fortran_order": False, "shape": (count, rows.shape[1])}
            np.lib.format.write_array_header_1_0(file, header)
        file.write(halves.contiguous().numpy().tobytes())


def _read(path: Path, count: int) -> np.ndarray | None:
    """Map a cached file, or return None if there is none that is whole."""
    try:
        rows = np.lib.format.open_memmap(path, mode="r")
    except (OSError, ValueError, EOFError):
        return None
    return rows if rows.ndim == 2 and len(rows) == count and rows.dtype == np.float16 else None


def _remove_stale(folder: Path) -> None:
    for path in folder.iterdir():
        if UNFINISHED.fullmatch(path.name):
            with suppress(OSError):  # another process has just finished it, or it is another user's
                if time.time() - path.stat().st_mtime > STALE_SECONDS:
                    path.unlink()
