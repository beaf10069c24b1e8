"""Features of blank paper, and of a dot on it: the zero and the least amount of `ink_distance`."""

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from sketchloss.loss.ink_distance import Floor
from sketchloss.networks.backbone import Backbone
from sketchloss.system.func_transforms import inside_transform

#: Side in pixels of the page that the dot is on, where the backbone takes pages so small, and of the dot.
PAGE, DOT = 64, 2
#: Sizes of pages whose features are kept, as far as they have room in so many bytes; the last one always.
KEPT, ROOM = 4, 2**28


@dataclass(frozen=True, eq=False)
class Paper:
    """Blank paper at one tap, for pictures of one size."""

    blank: Float[Tensor, "1 c h w"]
    """Features of a white page."""
    floor: Floor
    """Amount of ink that counts as none."""


class BlankPaper:
    """Blank paper as a backbone sees it, computed once for each size, device and type.

    Args:
        backbone: asked again when it is moved or its weights' type changes; its weights must stay.
        layers: names of the taps.
    """

    def __init__(self, backbone: Backbone, layers: Iterable[str]) -> None:
        self._backbone = backbone
        self._layers = tuple(layers)
        self._page = max(PAGE, backbone.minimum_size(self._layers))
        self._floors: dict[str, Floor] | None = None
        self._kept: OrderedDict[object, dict[str, Tensor]] = OrderedDict()

    def seen(self, height: int, width: int) -> dict[str, Paper]:
        """Return each tap's view of a white page, as float32 or the type that autocast makes it, without gradient.

        Args:
            height: height in pixels.
            width: width in pixels.
        """
        like = self._backbone.mean
        kind = like.device.type
        autocast = torch.get_autocast_dtype(kind) if kind != "meta" and torch.is_autocast_enabled(kind) else None
        key = height, width, like.device, like.dtype, autocast
        # note: other threads keep and forget pages meanwhile, so what is found is looked up once
        found = self._kept.pop(key, None)
        if found is None:
            found = self._look(like.new_ones((1, 3, height, width)))
            if torch.compiler.is_compiling() or inside_transform() or type(found[self._layers[0]]) is not Tensor:
                return self._papers(found, height, width)  # what is traced is no value to keep
        self._kept[key] = found  # the last one again
        while len(self._kept) > KEPT or (len(self._kept) > 1 and sum(map(_bytes, list(self._kept.values()))) > ROOM):
            self._kept.popitem(last=False)
        return self._papers(found, height, width)

    def __getstate__(self) -> dict[str, Any]:
        """Return what a copy or a file holds: no pages."""
        return {**self.__dict__, "_kept": OrderedDict()}

    def forget(self) -> None:
        """Compute everything anew the next time."""
        self._kept.clear()

    def measure_floors(self) -> None:
        """Look at the dot. Done once, by itself where it is needed; before compiling, since it waits for the device."""
        if self._floors is not None:
            return
        page = self._backbone.mean.new_ones((2, 3, self._page, self._page))
        middle = slice((self._page - DOT) // 2, (self._page + DOT) // 2)
        page[1, :, middle, middle] = 0
        with torch.autocast(page.device.type, enabled=False):
            found = self._look(page)
        self._floors = {tap: Floor.of(seen[1:].float() - seen[:1].float()) for tap, seen in found.items()}

    def _look(self, page: Float[Tensor, "n 3 h w"]) -> dict[str, Tensor]:
        # note: inference mode off, because what is made in it could not be used where gradients are wanted.
        with torch.inference_mode(False), torch.no_grad():
            return self._backbone(page, self._layers)

    def floors(self, height: int, width: int) -> dict[str, Floor]:
        """Return each tap's floor, for pictures of this size in pixels."""
        self.measure_floors()
        assert self._floors is not None
        factor = (height * width) ** 0.5 / self._page
        return {tap: self._floors[tap].times(factor) for tap in self._layers}

    def _papers(self, blank: dict[str, Tensor], height: int, width: int) -> dict[str, Paper]:
        return {tap: Paper(blank[tap], floor) for tap, floor in self.floors(height, width).items()}


def _bytes(features: dict[str, Tensor]) -> int:
    return sum(one.nbytes for one in features.values())
