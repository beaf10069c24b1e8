"""What the pairs of a task are: inputs, true drawings, and the parts to learn from, to choose by and to test on."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image
from torch import Tensor

from sketchloss.data.joined import plain_name
from sketchloss.data.left_out import say_left_out
from sketchloss.data.pairs import Pairs, open_pairs
from sketchloss.data.quickdraw.drawings import StrokeDrawing, open_drawings
from sketchloss.experiments.pairs.damage import rough, scan
from sketchloss.experiments.pairs.settings import FACES, PairData

#: Of drawings: shares of each class that are for the test and for choosing. Of faces the test part is the set's own,
#: and a share of its training part is for choosing.
TEST_SHARE, CHOOSE_SHARE, FACES_CHOOSE_SHARE = 0.25, 0.15, 0.2
#: Inputs made of each drawing that is learned from.
VERSIONS = 4
#: Fewest pairs of faces in the training part of a set.
FEWEST_FACES = 2


@dataclass(frozen=True, eq=False)
class PairPart:
    """Pairs of one part."""

    inputs: UInt8[Tensor, "n v 3 s s"]
    """Inputs; of each pair v versions."""
    targets: UInt8[Tensor, "n 3 s s"]
    """True drawings."""
    labels: tuple[str, ...] = ()
    """Class of each drawing; of faces none."""

    def __len__(self) -> int:
        return len(self.targets)


@dataclass(frozen=True, eq=False)
class PairParts:
    """Pairs of a task: three parts that share no drawing and no face."""

    train: PairPart
    choose: PairPart
    """Validation part: pulls are chosen by it."""
    test: PairPart


@lru_cache(maxsize=4)
def open_parts(data: PairData) -> PairParts:
    """Open and draw the pairs of a task; the same settings give the same pairs, which are kept in memory.

    Raises:
        ValueError: for a source that is not there, holds something else, or too few drawings of a class.
    """
    return _faces(data) if data.task in FACES else _drawings(data)


def check_parts(data: PairData, say: Callable[[str], object]) -> None:
    """Look whether the data of a task are there, without decoding or drawing all of them; say what is left out.

    Raises:
        ValueError: as `open_parts`.
    """
    if data.task in FACES:
        say_left_out(data.source, _open_faces(data)[0].problems, say=say)
    else:
        faults: list[str] = []
        _open_drawings(data, faults)
        say_left_out(data.source, faults, say=say)


# Faces ---------------------------------------------------------------------------------------------------------------


def _open_faces(data: PairData) -> tuple[Pairs, Pairs]:
    train, test = open_pairs(data.source, part="train"), open_pairs(data.source, part="test")
    if len(train) < FEWEST_FACES:
        raise ValueError(f"{data.source} has {len(train)} training pairs: one is for choosing, so give two or more")
    return train, test


def _faces(data: PairData) -> PairParts:
    train, test = _open_faces(data)
    mixed = np.random.default_rng(data.data_seed).permutation(len(train))
    count = max(1, round(FACES_CHOOSE_SHARE * len(train)))
    choose, learned = np.sort(mixed[:count]), np.sort(mixed[count:])
    part = _decoded(train.select(learned), data.image_size)
    # Each face also as in a mirror: sets of faces are small.
    mirrored = PairPart(
        torch.cat([part.inputs, part.inputs.flip(-1)]), torch.cat([part.targets, part.targets.flip(-1)])
    )
    return PairParts(mirrored, _decoded(train.select(choose), data.image_size), _decoded(test, data.image_size))


def _decoded(pairs: Pairs, size: int) -> PairPart:
    photos, sketches = (
        torch.stack([side[index]["image"] for index in range(len(pairs))])
        for side in (pairs.photos(size), pairs.sketches(size))
    )
    return PairPart(photos[:, None], sketches)


# Drawings ------------------------------------------------------------------------------------------------------------


def _open_drawings(data: PairData, faults: list[str]) -> list[StrokeDrawing]:
    found = open_drawings(
        data.source, per_class=data.per_class, classes=data.classes, seed=data.data_seed, faults=faults
    )
    counts = Counter(plain_name(drawing.label) for drawing in found)  # a file's name may differ from the word in it
    for name in data.classes:
        if (count := counts[plain_name(name)]) < 3:
            raise ValueError(
                f"{data.source} has {count} drawings of {name} that are rich enough: each class needs 3, to "
                "learn from, to choose by and for the test"
            )
    return found


def _drawings(data: PairData) -> PairParts:
    found = _open_drawings(data, [])
    learned: list[StrokeDrawing] = []
    choose: list[StrokeDrawing] = []
    test: list[StrokeDrawing] = []
    rng = np.random.default_rng(data.data_seed)
    for name in data.classes:
        mine = [drawing for drawing in found if plain_name(drawing.label) == plain_name(name)]
        mine = [mine[int(index)] for index in rng.permutation(len(mine))]
        tested, chosen = (max(1, round(share * len(mine))) for share in (TEST_SHARE, CHOOSE_SHARE))
        test += mine[:tested]
        choose += mine[tested : tested + chosen]
        learned += mine[tested + chosen :]
    return PairParts(_drawn(learned, data, VERSIONS), _drawn(choose, data, 1), _drawn(test, data, 1))


def _drawn(drawings: Sequence[StrokeDrawing], data: PairData, versions: int) -> PairPart:
    make = {"rough": rough, "scan": scan}[data.task]
    inputs = [
        _stacked([make(drawing, data.image_size, version=version, seed=data.data_seed) for version in range(versions)])
        for drawing in drawings
    ]
    targets = _stacked([drawing.picture(data.image_size) for drawing in drawings])
    return PairPart(torch.stack(inputs), targets, tuple(drawing.label for drawing in drawings))


def _stacked(pictures: Sequence[Image.Image]) -> UInt8[Tensor, "n 3 s s"]:
    grey = torch.from_numpy(np.stack([np.asarray(picture) for picture in pictures]))
    return grey[:, None].expand(-1, 3, -1, -1)
