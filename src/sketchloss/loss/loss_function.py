"""`SketchLoss` as a function: losses of the same settings are built once, and again when their weights change."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, overload

import torch
from torch import Tensor

from sketchloss.loss.loss import SketchLoss, check_layers
from sketchloss.loss.target_features import Features
from sketchloss.networks.backbone import Backbone
from sketchloss.networks.weights import FileIdentity, identify_files


@overload
def sketch_loss(
    pred: Tensor, target: Tensor | Features, *, return_parts: Literal[False] = False, **settings: Any
) -> Tensor: ...


@overload
def sketch_loss(
    pred: Tensor, target: Tensor | Features, *, return_parts: Literal[True], **settings: Any
) -> tuple[Tensor, dict[str, Tensor]]: ...


def sketch_loss(
    pred: Tensor,
    target: Tensor | Features,
    *,
    mask: Tensor | None = None,
    return_parts: bool = False,
    weights: str | Path | Backbone = "sketch",
    layers: Sequence[str] | Mapping[str, float] | None = None,
    **settings: Any,
) -> Tensor | tuple[Tensor, dict[str, Tensor]]:
    """Return the perceptual loss between drawings: `SketchLoss` as a function.

    The weights of a name or path are loaded at the first call with the same settings, and kept on `pred`'s device; the
    files of a path are checked in every call, and loaded again if they have changed. A `Backbone` is copied at every
    call, since its weights may have changed in between: for many calls, build a `SketchLoss` of it.

    Args:
        pred: as for `SketchLoss`.
        target: as for `SketchLoss`.
        mask: as for `SketchLoss`.
        return_parts: as for `SketchLoss`.
        weights: as for `SketchLoss`.
        layers: as for `SketchLoss`.
        settings: the other arguments of `SketchLoss`.

    Returns:
        A float32 scalar, or (n,) with `reduction="none"`; with `return_parts` also the terms.

    Raises:
        ValueError: as `SketchLoss`.
        FileNotFoundError: if the files of a path are gone.
    """
    taps = None if layers is None else tuple(check_layers(layers).items())
    fixed = tuple(
        sorted((name, tuple(value) if isinstance(value, list) else value) for name, value in settings.items())
    )
    device = getattr(pred, "device", None)
    if isinstance(weights, Backbone) or not _is_hashable((weights, fixed)):  # what cannot be kept, or is a mistake
        loss = _build_loss(weights, taps, fixed, device)
    else:
        loss = _build_loss_once(weights, taps, fixed, device, identify_files(weights))
    return loss(pred, target, mask=mask, return_parts=return_parts)


def _is_hashable(value: object) -> bool:
    try:
        hash(value)
    except TypeError:
        return False
    return True


# note: inference mode off, because a loss built in it could not be trained through later.
@torch.inference_mode(False)
def _build_loss(
    weights: str | Path | Backbone,
    taps: tuple[tuple[str, float], ...] | None,
    settings: tuple[tuple[str, object], ...],
    device: torch.device | None,
) -> SketchLoss:
    layers = None if taps is None else dict(taps)
    return SketchLoss(weights, layers=layers, **dict(settings)).to(device)  # pyright: ignore[reportArgumentType]


@lru_cache(maxsize=4)
def _build_loss_once(
    weights: str | Path,
    taps: tuple[tuple[str, float], ...] | None,
    settings: tuple[tuple[str, object], ...],
    device: torch.device | None,
    identity: tuple[FileIdentity, ...],  # noqa: ARG001 (part of the key)
) -> SketchLoss:
    return _build_loss(weights, taps, settings, device)
