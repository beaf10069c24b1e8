"""Features in a target's place: what `SketchLoss.extract` returned, what a cache kept, and what they must be."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any, TypeAlias

import torch
from torch import Tensor

from sketchloss.system.func_transforms import inside_transform
from sketchloss.system.image_contract import FLOATS, check_dense

#: Tap name -> n×c×h×w features, as `SketchLoss.extract` returns them.
Features: TypeAlias = Mapping[str, Tensor]


class KeptFeatures(dict[str, Tensor]):
    """Features that know what they are of, so that another loss, or pictures of another size, are refused.

    It is a dictionary from tap name to features, and stays one of this kind when a `DataLoader` collates it, pins it
    and sends it from worker to trainer, and when it is moved with `to`.

    Args:
        features: features by tap.
        recipe: what decided them, as `SketchLoss.features_recipe` says. None: not known, and not checked; libraries
            that move batches may build it anew only from its items.
        size: height and width of the pictures they are of; None if it is not known.
    """

    def __init__(
        self,
        features: Features | Iterable[tuple[str, Tensor]] = (),
        recipe: Mapping[str, Any] | None = None,
        size: tuple[int, int] | None = None,
    ) -> None:
        super().__init__(features)
        self.recipe = recipe
        self.size = size

    def to(self, device: torch.device | str, *, non_blocking: bool = False) -> "KeptFeatures":
        """Return the same features on a device."""
        moved = {name: features.to(device, non_blocking=non_blocking) for name, features in self.items()}
        return KeptFeatures(moved, self.recipe, self.size)


def check_features(features: Features, taps: Collection[str], device: torch.device, *, check: bool = True) -> None:
    """Raise ValueError unless a mapping holds float features of all taps, on the device, and finite.

    Whether shapes fit is known only beside the features of the drawing.

    Args:
        features: features by tap; what else it holds is not looked at.
        taps: those needed.
        device: the drawing's.
        check: False skips the check that values are finite, which waits for the device; it is skipped under
            `torch.compile` and inside transforms of `torch.func`, too.
    """
    mend = "extract them with this loss"
    for tap in taps:
        name = f"target features of {tap}"
        if tap not in features:
            raise ValueError(f"target features lack the tap {tap}: {mend}")
        given = features[tap]
        check_dense(given, name, mend=mend)
        if given.dtype not in FLOATS:
            raise ValueError(f"{name}: expected floating point, got {given.dtype}; {mend}")
        if given.device != device:
            raise ValueError(f"{name} are on {given.device} and pred on {device}: move them to pred's device")
        if given.ndim != 4 or not given.numel():
            raise ValueError(f"{name}: expected shape (n, c, h, w), got {tuple(given.shape)}; {mend}")
    if check and not torch.compiler.is_compiling() and not inside_transform():
        extremes = torch.stack([torch.stack(torch.aminmax(features[tap].detach())).double() for tap in taps])
        if not extremes.isfinite().all():
            raise ValueError(f"target features hold NaN or infinity: {mend}, from a target without either")


def check_kept(features: KeptFeatures, recipe: Mapping[str, Any], size: tuple[int, int]) -> None:
    """Raise ValueError if kept features are of another loss, or of pictures of another size."""
    differing = "" if features.recipe is None else differences(features.recipe, recipe)
    if differing:
        raise ValueError(f"these target features were kept for another loss ({differing}): extract them with this one")
    if features.size is not None and features.size != size:
        kept, found = ("x".join(map(str, sides)) for sides in (features.size, size))
        raise ValueError(f"these target features are of pictures of {kept} pixels and pred is {found}: give one size")


def differences(one: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    """Return in words how two recipes differ; no words if they do not."""
    names = [name for name in {**one, **other} if one.get(name) != other.get(name)]
    return ", ".join(
        "other weights" if name == "weights" else f"{name} {one.get(name)} and not {other.get(name)}" for name in names
    )
