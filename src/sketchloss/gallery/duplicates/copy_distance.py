"""How far apart two drawings are in their common frame: first by maps of their ink, then by the loss."""

import math
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from tqdm import tqdm

from sketchloss.gallery.duplicates.drawing_files import Seen
from sketchloss.gallery.duplicates.ink_frame import InkFrame, bring_together, find_frame, local_differences, open_page
from sketchloss.gallery.settings import load_weights
from sketchloss.loss.loss import SketchLoss
from sketchloss.system.device import Device
from sketchloss.system.images import UnreadablePicture, to_tensor

#: Greatest difference of two copies at one place, as `local_differences` gives it: scripts/planted_copies.py shows what
#: it lets through.
MOST_LOCAL = 0.2
PAIRS_AT_ONCE = 8


class CopyDistance:
    """The distance between drawings of a list.

    Args:
        drawings: the drawings, each by one of its files.
        device: device that the loss is computed on. Its weights are loaded when the first pair gets so far.
        progress: show on stderr how many pairs were compared by the loss, if that is a terminal.
    """

    def __init__(self, drawings: Sequence[Seen], device: Device, *, progress: bool) -> None:
        self.drawings = drawings
        self.device: Device = device
        self.bar = tqdm(desc="comparing", unit=" pairs", disable=None if progress else True)

    @cached_property
    def loss(self) -> SketchLoss:
        """The loss as the package's calibration has it."""
        return SketchLoss(load_weights("sketch", self.device), reduction="none")

    def may_be_copies(self, first: int, others: Sequence[int]) -> list[int]:
        """Return those of some drawings whose ink lies where the first one's does."""
        ink = self.drawings[first].ink
        inked = [(other, there) for other in others if (there := self.drawings[other].ink) is not None]
        if ink is None or not inked:
            return []
        differences = local_differences(ink, np.stack([there for _, there in inked]))
        return [other for (other, _), value in zip(inked, differences, strict=True) if value <= MOST_LOCAL]

    def __call__(self, first: int, others: Sequence[int]) -> list[float]:
        """Return the distance of each of some drawings from the first one; infinite for no copies.

        Raises:
            ValueError: if a file can no longer be read.
        """
        distances = dict.fromkeys(others, math.inf)
        near = self.may_be_copies(first, others)
        for start in range(0, len(near), PAIRS_AT_ONCE):
            some = near[start : start + PAIRS_AT_ONCE]
            distances |= dict(zip(some, self._measure(first, some), strict=True))
            self.bar.update(len(some))
        return list(distances.values())

    @torch.inference_mode()
    def _measure(self, first: int, others: Sequence[int]) -> list[float]:
        kept = _open(self.drawings[first].file.path)
        pairs = [bring_together(kept, _open(self.drawings[other].file.path)) for other in others]
        device = self.loss.backbone.mean.device
        ours, theirs = (
            torch.stack([to_tensor(page) for page in pages]).to(device) for pages in zip(*pairs, strict=True)
        )
        return self.loss(theirs, ours).tolist()


def _open(path: Path) -> tuple[Image.Image, InkFrame]:
    page, _ = open_page(path)
    frame = find_frame(page)
    if frame is None:
        raise UnreadablePicture(f"{path}: changed while it was compared; run this again")
    return page, frame
