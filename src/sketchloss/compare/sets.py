"""Compare two folders of drawings as sets: are they of one kind, whichever drawing belongs to which?

    sketchloss sets generated/ wanted/
    sketchloss sets generated/ wanted/ --count 500 --json
    sketchloss sets generated/ wanted/ --inception pt_inception-2015-12-05-6726825d.pth      prints FID and KID, too

In Python: `embed_folder`, then `sketchloss.metrics.distances.distribution_distance`.
"""

import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

import torch
from torch import Tensor

from sketchloss.compare.measuring import BATCH_PIXELS
from sketchloss.compare.progress import with_progress
from sketchloss.compare.sets_settings import Sets
from sketchloss.metrics.distances import ENOUGH_IMAGES, SetDistance, distribution_distance
from sketchloss.metrics.extractors import embed_images, open_extractors
from sketchloss.networks.extractor import Extractor
from sketchloss.system.device import pick_device
from sketchloss.system.images import fit_square, to_tensor
from sketchloss.system.passed_over import no_pictures, passed_over
from sketchloss.system.picture_files import find_pictures
from sketchloss.system.visible_ink import open_visible


@dataclass(frozen=True)
class FolderFeatures:
    """Features of the pictures of a folder."""

    rows: list[Tensor]
    """For each extractor float32 (n, d), on the CPU; a row for each picture that could be read."""
    left_out: list[str]
    """A line for each picture that could not be read."""
    passed_over: list[str]
    """Lines about files of other kinds, closed subfolders, and later pages."""


def sets(config: Sets) -> None:
    """Run the command: print the distances of the two folders.

    Raises:
        ValueError: for folders or settings that cannot be compared.
        FileNotFoundError: if a path does not exist.
    """
    pictures = [_find(folder, config) for folder in (config.a, config.b)]  # mistakes before anything takes long
    extractors = open_extractors(
        config.extractors,
        layer=config.layer,
        image_size=config.size,
        inception=config.inception,
        device=pick_device(config.device),
    )
    ours, theirs = (
        embed_folder(
            folder,
            paths,
            extractors,
            size=config.size,
            count=config.count,
            invert=config.invert,
            progress=not config.quiet,
        )
        for folder, paths in zip((config.a, config.b), pictures, strict=True)
    )
    distances = [
        distribution_distance(one, other, extractor_name=extractor.name, bootstrap=config.resamplings, seed=config.seed)
        for extractor, one, other in zip(extractors, ours.rows, theirs.rows, strict=True)
    ]
    say = _as_json if config.json else _as_text
    sys.stdout.write(say(config, distances, ours, theirs) + "\n")


def _find(folder: Path, config: Sets) -> list[Path]:
    """Return the pictures of a folder in the order in which they are taken."""
    if not folder.exists():
        raise FileNotFoundError(f"{folder} does not exist: check the path")
    paths = find_pictures(folder)
    if not paths:
        raise ValueError(no_pictures(folder))
    wanted = config.count or 2
    if len(paths) < wanted:
        raise ValueError(f"{folder} holds {_pictures(len(paths))}, and {wanted:,} are needed: {_mend(config.count)}")
    if config.count is None:
        return paths
    order = torch.randperm(len(paths), generator=torch.Generator().manual_seed(config.seed))
    return [paths[place] for place in order.tolist()]


def embed_folder(
    folder: Path,
    paths: Sequence[Path],
    extractors: Sequence[Extractor],
    *,
    size: int = 256,
    count: int | None = None,
    invert: bool = False,
    progress: bool = False,
) -> FolderFeatures:
    """Compute the features of pictures, each fitted into a square.

    Args:
        folder: the folder that they are in.
        paths: paths of the pictures, in the order in which they are taken.
        extractors: networks that make the features.
        size: side of the square in pixels.
        count: number of pictures that are taken; None: all. Those that cannot be read are not counted.
        invert: whether the pictures are light on dark.
        progress: show on stderr how far this is.

    Raises:
        ValueError: if fewer than `count` pictures can be read, or fewer than 2.
    """
    left_out: list[str] = []
    read: list[Path] = []
    waiting: list[Tensor] = []
    rows: list[list[Tensor]] = [[] for _ in extractors]

    def embed_waiting() -> None:
        if waiting:
            batch = torch.stack(waiting)
            for kept, extractor in zip(rows, extractors, strict=True):
                kept.append(embed_images(extractor, [batch]))
            waiting.clear()

    shown: Iterable[Path] = paths
    if progress:
        shown = with_progress(paths, total=len(paths), unit="picture", command=f"sets {' '.join(str(folder).split())}")
    for path in shown:
        if len(read) == count:
            break
        try:
            waiting.append(to_tensor(fit_square(open_visible(path, invert=invert), size)))
        except ValueError as error:
            left_out.append(str(error))
            continue
        read.append(path)
        if len(waiting) * size**2 >= BATCH_PIXELS[1]:
            embed_waiting()
    embed_waiting()
    wanted = count or 2
    if len(read) < wanted:
        first = f"; first: {left_out[0]}" if left_out else ""
        readable = f"{_pictures(len(read))} that can be read"
        raise ValueError(f"{folder} holds {readable}, and {wanted:,} are needed: {_mend(count)}{first}")
    return FolderFeatures([torch.cat(kept) for kept in rows], left_out, passed_over(folder, read))


def _mend(count: int | None) -> str:
    return "add pictures" if count is None else "name a smaller --count"


def _pictures(number: int) -> str:
    return "1 picture" if number == 1 else f"{number:,} pictures"


# Report --------------------------------------------------------------------------------------------------------------


def _as_text(config: Sets, distances: Sequence[SetDistance], ours: FolderFeatures, theirs: FolderFeatures) -> str:
    width = max(len(name) for distance in distances for name in (distance.name, distance.kernel_name))
    lines = []
    for distance in distances:
        interval = "" if distance.low is None else f"   95 % interval {distance.low:.4g} to {distance.high:.4g}"
        lines.append(f"{distance.name:{width}}  {distance.value:#.4g}{interval}")
        spread = "" if distance.kernel_std is None else f" ± {distance.kernel_std:.2g} over subsets"
        lines.append(f"{distance.kernel_name:{width}}  {distance.kernel:#.4g}{spread}")
    first = distances[0]
    inverted = ", inverted" if config.invert else ""
    lines.append(
        f"{_pictures(first.images[0])} of {config.a}, {first.images[1]:,} of {config.b}; {config.size} pixels{inverted}"
    )
    for distance in distances:
        if distance.bias is not None and distance.bias > 0 and distance.value > 0:
            part = f"about {distance.bias:.3g} or more" if distance.bias < distance.value else "perhaps all"
            lines.append(f"{part} of {distance.name} comes from the small number of pictures")
    if first.small_sample:
        lines.append(
            f"small sample, below {ENOUGH_IMAGES:,}: compare these values only with others of as many pictures "
            "(--count)"
        )
    if left_out := [*ours.left_out, *theirs.left_out]:
        lines += [f"{len(left_out):,} left out:", *(f"  {line}" for line in left_out)]
    # A file's name may have a new line in it, and the rest of it would pass for a line of the report.
    return "\n".join(line.replace("\n", "\\n") for line in [*lines, *ours.passed_over, *theirs.passed_over])


def _as_json(config: Sets, distances: Sequence[SetDistance], ours: FolderFeatures, theirs: FolderFeatures) -> str:
    said = {
        "a": str(config.a),
        "b": str(config.b),
        "images": list(distances[0].images),
        "size": config.size,
        "invert": config.invert,
        "seed": config.seed,
        "sketchloss": version("sketchloss"),
        "distances": [asdict(distance) for distance in distances],
        "left_out": [*ours.left_out, *theirs.left_out],
        "passed_over": [*ours.passed_over, *theirs.passed_over],
    }
    return json.dumps(said, indent=2, ensure_ascii=False, allow_nan=False)
