"""The network that turns a photo into a sketch in one pass (Johnson et al. 2016; their supplement's layer table)."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from sketchloss.networks.fitting import load_fitting
from sketchloss.networks.weights import CONFIG, TENSORS, bundled_folder, read_tensors
from sketchloss.system.files import read_json, write_json, write_tensors
from sketchloss.system.stored import build_config, check_range, read_described, show

FORMAT = "sketchloss stylizer"
#: The one that comes with the package.
IN_PACKAGE = "pencil"
STRIDE = 4  # the bottleneck has a quarter of the image's height and width
SMALLEST = 16  # pixels: smaller images are padded to it, so that every reflection has enough to reflect


@dataclass(frozen=True)
class StylizerConfig:
    """Settings that a stylizer is built from, and how it was trained; stored beside its weights.

    Raises:
        ValueError: for a setting outside its range, naming it.
    """

    width: float = 1.0
    """Factor on the 32, 64 and 128 channels; 0.5 is the half-width variant, a quarter of the arithmetic."""
    blocks: int = 5
    """Number of residual blocks, 100 at most."""
    channels: Literal[1, 3] = 3
    """Channels of the output: 1, grey, or 3, RGB."""
    arm: str = ""
    """Arm of the loss that the stylizer was trained with, for the record."""
    content: str = ""
    """Photos that the stylizer was trained on, for the record."""
    style: str = ""
    """Sketches whose style the stylizer has, for the record."""
    image_size: int = 0
    """Side in pixels of the images that the stylizer was trained on, for the record."""
    steps: int = 0
    """Number of training steps, for the record."""

    def __post_init__(self) -> None:
        if not 0 < self.width <= 8:
            raise ValueError(f"width is {show(self.width)}: it must be above 0, and 8 at most")
        check_range(self, ("blocks",), 0, 100)
        if self.channels not in (1, 3):
            raise ValueError(f"channels is {self.channels}: it must be 1 (grey) or 3 (RGB)")


class Layer(nn.Module):
    """Reflection padding, convolution, instance normalisation and, if asked, ReLU.

    Args:
        inputs: channels that come in.
        outputs: channels that go out.
        kernel_size: odd.
        stride: stride of the convolution.
        enlarge: repeat each pixel this often in both directions first: nearest-neighbour upsampling followed by a
            convolution leaves none of the checkerboards of a transposed one (Odena et al. 2016).
        relu: end with one.
    """

    def __init__(
        self, inputs: int, outputs: int, kernel_size: int, *, stride: int = 1, enlarge: int = 1, relu: bool = True
    ) -> None:
        super().__init__()
        self.enlarge = enlarge
        self.relu = relu
        self.convolution = nn.Conv2d(
            inputs, outputs, kernel_size, stride=stride, padding=kernel_size // 2, padding_mode="reflect"
        )
        # note: not the equal GroupNorm of one channel a group, whose backward pass in bfloat16 is slow on a CPU.
        self.norm = nn.InstanceNorm2d(outputs, affine=True)

    def convolve(self, features: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c2 h2 w2"]:
        """Return what comes before the normalisation."""
        if self.enlarge > 1:
            features = F.interpolate(features, scale_factor=float(self.enlarge), mode="nearest")
        return self.convolution(features)

    def forward(self, features: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c2 h2 w2"]:
        """Return the layer's output."""
        features = self.norm(self.convolve(features))
        return F.relu(features) if self.relu else features


class ResidualBlock(nn.Module):
    """Two 3x3 layers beside the identity; nothing after the sum (Gross & Wilber 2016, as Johnson et al. have it)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = Layer(channels, channels, 3)
        self.second = Layer(channels, channels, 3, relu=False)

    def forward(self, features: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        """Return the features with the block's correction added."""
        return features + self.second(self.first(features))


class Stylizer(nn.Module):
    """c9s1-32, d64, d128, residual blocks of 128, u64, u32, c9s1-3, and a sigmoid that bounds the output.

    Args:
        config: see `StylizerConfig`.
    """

    def __init__(self, config: StylizerConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or StylizerConfig()
        narrow, middle, wide = (max(1, round(channels * config.width)) for channels in (32, 64, 128))
        #: From the image to the bottleneck, a quarter of its height and width.
        self.encoder = nn.Sequential(
            Layer(3, narrow, 9), Layer(narrow, middle, 3, stride=2), Layer(middle, wide, 3, stride=2)
        )
        self.residuals = nn.Sequential(*(ResidualBlock(wide) for _ in range(config.blocks)))
        #: Back to the image's size.
        self.decoder = nn.Sequential(Layer(wide, middle, 3, enlarge=2), Layer(middle, narrow, 3, enlarge=2))
        self.output = nn.Conv2d(narrow, config.channels, 9, padding=4, padding_mode="reflect")

    def forward(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n c h w"]:
        """Turn images into sketches of the same height and width.

        Args:
            images: RGB in [0, 1], any size from 1 pixel up.

        Returns:
            Values in [0, 1], with the config's 1 or 3 channels.
        """
        height, width = images.shape[-2:]
        features = self.residuals(self.encoder(pad_to_stride(images * 2 - 1)))
        return torch.sigmoid(self.output(self.decoder(features)))[..., :height, :width]


def pad_to_stride(images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h2 w2"]:
    """Repeat the last row and column until both sides are multiples of `STRIDE`, and `SMALLEST` at least."""
    height, width = images.shape[-2:]
    # An exported network is told that both sides are at least that. (torch 2.6 tells exports and `compile` not apart.)
    if not getattr(torch.compiler, "is_exporting", torch.compiler.is_compiling)():
        height, width = max(height, SMALLEST), max(width, SMALLEST)
    below, beside = height - images.shape[-2] + -height % STRIDE, width - images.shape[-1] + -width % STRIDE
    return F.pad(images, (0, beside, 0, below), mode="replicate")


def save_stylizer(stylizer: Stylizer, folder: str | Path) -> None:
    """Write a folder for `load_stylizer`: `model.safetensors` (float32) and `config.json`, each whole or not at all."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {name: tensor.detach().float().cpu().contiguous() for name, tensor in stylizer.state_dict().items()}
    write_tensors(folder / TENSORS, tensors)
    write_json(folder / CONFIG, {"format": FORMAT, "version": 1, **asdict(stylizer.config)})


def load_stylizer(path: str | Path) -> Stylizer:
    """Load a stylizer that `sketchloss style train` made, on the CPU and in evaluation mode.

    Args:
        path: the run folder, its `model` folder, or the `model.safetensors` in it; or `pencil`, which comes with the
            package.

    Raises:
        FileNotFoundError: if there is none.
        ValueError: if it is a model of another program, or damaged.
    """
    path = bundled_folder(IN_PACKAGE) if str(path) == IN_PACKAGE and not Path(path).exists() else Path(path)
    folder = path.parent if path.name == TENSORS else path
    folder = folder / "model" if (folder / "model" / CONFIG).is_file() else folder
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist: give the folder that sketchloss style train made")
    if _is_unfinished(folder):
        raise ValueError(f"{path} holds no network yet: its first one is saved with the first checkpoint")
    if not (folder / CONFIG).is_file() or not (folder / TENSORS).is_file():
        raise ValueError(f"{path} is no stylizer: give the folder that sketchloss style train made")
    try:
        config = build_config(StylizerConfig, read_described(folder / CONFIG, FORMAT), CONFIG)
        return load_fitting(lambda: Stylizer(config), read_tensors(folder / TENSORS))
    except ValueError as error:
        reason = " ".join(str(error).split())[:300]
        raise ValueError(
            f"{folder} is no whole stylizer ({reason}): give the folder that sketchloss style train made"
        ) from None


def _is_unfinished(folder: Path) -> bool:
    """Tell whether this is the run folder of a stylizer's training."""
    try:
        return {"content", "style", "arm", "resume"} <= set(read_json(folder / CONFIG))
    except (OSError, ValueError):
        return False
