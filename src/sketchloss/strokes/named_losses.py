"""Losses by name, for experiments that are told on the command line which losses to compare."""

import re
from pathlib import Path
from typing import NamedTuple, cast, get_args

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from sketchloss.loss.loss import Features, Metric, SketchLoss
from sketchloss.networks.weights import NAMES
from sketchloss.strokes.recovery import Loss
from sketchloss.system.command_line import suggest
from sketchloss.system.device import in_bfloat16
from sketchloss.system.own_function import load_function

#: Losses of pixels that `named_loss` knows.
PIXEL_LOSSES = ("pixels", "pixels-l2-blurred", "ssim")
#: Standard deviation of `pixels-l2-blurred`'s Gaussian, as a share of the side: 2 pixels at 64.
BLUR = 1 / 32


def named_loss(name: str, *, bfloat16: bool = False) -> Loss:
    """Return a loss for `recover`.

    Args:
        name: `pixels` (mean absolute difference); `pixels-l2-blurred` (mean squared difference of blurred pictures);
            `ssim` (1 minus structural similarity); `WEIGHTS:METRIC` or `WEIGHTS:METRIC:LAYER,LAYER` (a `SketchLoss`,
            such as `sketch:l1` or `runs/mine:cosine:relu3_3,relu4_3`); `MODULE:FUNCTION` or `FILE.py:FUNCTION`, a
            function of your own.
        bfloat16: compute a `SketchLoss` under autocast.

    Raises:
        ValueError: for a name of another form, a metric that is none, or as `load_function`.
        FileNotFoundError: for weights that are not there.
    """
    if name == "pixels":
        return pixels_l1
    if name == "pixels-l2-blurred":
        return pixels_l2_blurred
    if name == "ssim":
        return ssim_loss
    if found := network_of(name):
        loss = SketchLoss(found.weights, layers=found.layers, metric=found.metric, reduction="none", check=False)
        return _InBfloat16(loss) if bfloat16 else loss
    first, _, rest = name.partition(":")
    known = f"{', '.join(PIXEL_LOSSES)}, WEIGHTS:METRIC, MODULE:FUNCTION or FILE.py:FUNCTION"
    if not first or not rest:
        raise ValueError(f"loss {name!r} is unknown: {suggest(name, PIXEL_LOSSES)}use {known}")
    if first in NAMES or (Path(first).is_dir() and not _is_module(first)):
        metric, metrics = rest.partition(":")[0], get_args(Metric)
        raise ValueError(
            f"loss {name!r}: metric {metric!r} is unknown: {suggest(metric, metrics)}use {', '.join(metrics)}"
        )
    return cast(Loss, load_function(name, "loss"))


class NamedNetwork(NamedTuple):
    """What the name of a `SketchLoss` says."""

    weights: str
    metric: Metric
    layers: tuple[str, ...] | None
    """Taps; None: the network's default ones."""


def network_of(name: str) -> NamedNetwork | None:
    """Return what the name of a loss says of its network; None for a loss without one."""
    found = re.fullmatch(rf"(.+):({'|'.join(get_args(Metric))})(?::([\w.,]+))?", name)
    if found is None or _is_module(found[1]):  # a function may be called as a metric is
        return None
    return NamedNetwork(found[1], cast(Metric, found[2]), tuple(found[3].split(",")) if found[3] else None)


def _is_module(name: str) -> bool:
    """Tell whether a name is that of Python code: a file, or a module or package in the current folder.

    Of a folder of weights and a module of one name, the folder is meant.
    """
    if name.endswith(".py"):
        return True
    if name in NAMES:
        return False
    return (Path(name, "__init__.py") if Path(name).is_dir() else Path(f"{name}.py")).is_file()


def pixels_l1(pred: Float[Tensor, "n c h w"], target: Float[Tensor, "n c h w"]) -> Float[Tensor, " n"]:
    """Return the mean absolute difference of pixels."""
    return (pred - target).abs().mean((1, 2, 3))


def pixels_l2_blurred(pred: Float[Tensor, "n c h w"], target: Float[Tensor, "n c h w"]) -> Float[Tensor, " n"]:
    """Return the mean squared difference of pictures that a Gaussian of `BLUR` has blurred."""
    from kornia.filters import gaussian_blur2d  # in an extra

    deviation = BLUR * pred.shape[-1]
    radius = max(1, round(3 * deviation))
    # note: blurring is linear, so one blur of the difference does; beyond the picture both are white
    difference = F.pad(pred - target, [radius] * 4)
    blurred = gaussian_blur2d(difference, 2 * radius + 1, (deviation, deviation))
    return blurred.square().sum((1, 2, 3)) / pred[0].numel()


def ssim_loss(pred: Float[Tensor, "n c h w"], target: Float[Tensor, "n c h w"]) -> Float[Tensor, " n"]:
    """Return 1 minus the structural similarity of pictures, window and constants as in `metrics.ssim`."""
    from kornia.metrics import ssim  # in an extra

    # note: kornia's own eps is in the denominator of what is 0 / 0 on flat black paper alone; its constants do for it
    values = ssim(pred.float(), target.float(), 11, max_val=1.0, padding="same")
    return 1 - values.mean((1, 2, 3))


class _InBfloat16:
    """A `SketchLoss` whose network computes in bfloat16."""

    def __init__(self, loss: SketchLoss) -> None:
        self.loss = loss

    def extract(self, target: Tensor) -> dict[str, Tensor]:
        with in_bfloat16(target.device.type):
            return self.loss.extract(target)

    def __call__(self, pred: Tensor, target: Tensor | Features) -> Float[Tensor, " n"]:
        with in_bfloat16(pred.device.type):
            return self.loss(pred, target)
