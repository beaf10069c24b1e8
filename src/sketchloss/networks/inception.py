"""The Inception-v3 that the FID is defined by, up to its 2048 pooled features (Szegedy et al. 2016).

The weights are those of the TensorFlow graph that Heusel et al. 2017 used, as pytorch-fid ported them. That graph
differs from the usual Inception-v3 in its pooling: averages leave the padding out, and the last block takes a maximum.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from sketchloss.networks.weights import read_tensors

FILE = "pt_inception-2015-12-05-6726825d.pth"
URL = f"https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/{FILE}"
SHA256 = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"
SIDE = 299  # pixels that the network sees, whatever comes in
FEATURES = 2048
CLASSES = 1008


class Step(NamedTuple):
    """A convolution of a branch. With stride 1 it keeps height and width, with stride 2 it takes no padding."""

    channels: int
    kernel: int | tuple[int, int] = 1
    stride: int = 1


# A branch is a chain of convolutions, pools, and forks: a fork's convolutions see the same and are stacked.
Branch = list[Step | nn.Module | tuple[Step, Step]]
ROW, COLUMN = (1, 7), (7, 1)


def _average() -> nn.Module:
    return nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False)


def _maximum() -> nn.Module:
    return nn.MaxPool2d(3, stride=1, padding=1)


def _halve() -> nn.Module:
    return nn.MaxPool2d(3, stride=2)


# The five kinds of block (Szegedy et al. 2016, figures 5, 10, 6, 10 and 7), each a table of its branches in the order
# in which their outputs are stacked.


def _block_a(pooled: int) -> dict[str, Branch]:
    return {
        "branch1x1": [Step(64)],
        "branch5x5": [Step(48), Step(64, 5)],
        "branch3x3dbl": [Step(64), Step(96, 3), Step(96, 3)],
        "branch_pool": [_average(), Step(pooled)],
    }


def _block_b() -> dict[str, Branch]:
    return {
        "branch3x3": [Step(384, 3, stride=2)],
        "branch3x3dbl": [Step(64), Step(96, 3), Step(96, 3, stride=2)],
        "branch_pool": [_halve()],
    }


def _block_c(inner: int) -> dict[str, Branch]:
    return {
        "branch1x1": [Step(192)],
        "branch7x7": [Step(inner), Step(inner, ROW), Step(192, COLUMN)],
        "branch7x7dbl": [Step(inner), Step(inner, COLUMN), Step(inner, ROW), Step(inner, COLUMN), Step(192, ROW)],
        "branch_pool": [_average(), Step(192)],
    }


def _block_d() -> dict[str, Branch]:
    return {
        "branch3x3": [Step(192), Step(320, 3, stride=2)],
        "branch7x7x3": [Step(192), Step(192, ROW), Step(192, COLUMN), Step(192, 3, stride=2)],
        "branch_pool": [_halve()],
    }


def _block_e(pool: nn.Module) -> dict[str, Branch]:
    fork = (Step(384, (1, 3)), Step(384, (3, 1)))
    return {
        "branch1x1": [Step(320)],
        "branch3x3": [Step(384), fork],
        "branch3x3dbl": [Step(448), Step(384, 3), fork],
        "branch_pool": [pool, Step(192)],
    }


class Convolution(nn.Module):
    """Convolution without bias, batch normalisation, ReLU."""

    def __init__(self, channels: int, step: Step, *, padded: bool = True) -> None:
        super().__init__()
        sides = (step.kernel, step.kernel) if isinstance(step.kernel, int) else step.kernel
        padding = [side // 2 if padded and step.stride == 1 else 0 for side in sides]
        self.conv = nn.Conv2d(channels, step.channels, sides, step.stride, (padding[0], padding[1]), bias=False)
        self.bn = nn.BatchNorm2d(step.channels, eps=0.001)

    def forward(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d h2 w2"]:
        """Return the activations."""
        return F.relu(self.bn(self.conv(images)), inplace=True)


class Block(nn.Module):
    """Branches side by side, their outputs stacked. Convolutions are named as in the weights file: by the branch, and
    by their place in it if it has several (`branch5x5_2`; `branch3x3_2a` and `branch3x3_2b` for a fork).
    """

    def __init__(self, channels: int, branches: dict[str, Branch]) -> None:
        super().__init__()
        #: Of each branch, the names of the modules that run one after the other; those of a fork side by side.
        self.chains: list[list[list[str]]] = []
        self.channels = 0
        for name, branch in branches.items():
            chain: list[list[str]] = []
            width, place = channels, 0
            several = sum(not isinstance(part, nn.Module) for part in branch) > 1
            for part in branch:
                if isinstance(part, nn.Module):
                    chain.append([f"{name}_pooling"])  # without tensors, so that the file knows nothing of it
                    self.add_module(chain[-1][0], part)
                    continue
                place += 1
                steps = [part] if isinstance(part, Step) else list(part)
                own = f"{name}_{place}" if several else name
                chain.append([own] if len(steps) == 1 else [own + letter for letter in "ab"])
                for label, step in zip(chain[-1], steps, strict=True):
                    self.add_module(label, Convolution(width, step))
                width = sum(step.channels for step in steps)
            self.chains.append(chain)
            self.channels += width

    def forward(self, features: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d h2 w2"]:
        """Return the stacked outputs of the branches."""
        outputs = []
        for chain in self.chains:
            output = features
            for names in chain:
                stacked = [self.get_submodule(name)(output) for name in names]
                output = stacked[0] if len(stacked) == 1 else torch.cat(stacked, dim=1)
            outputs.append(output)
        return torch.cat(outputs, dim=1)


class Inception(nn.Module):
    """Inception-v3 with the FID's pooling; parameter names and shapes are those of pytorch-fid's file.

    The classifier `fc` is there because the file has it; it is not evaluated.
    """

    def __init__(self) -> None:
        super().__init__()
        for name, layer in _layers():
            self.add_module(name, layer)

    def forward(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 2048"]:
        """Return the features averaged over positions (`pool3`).

        Args:
            images: RGB in [0, 1], of any size: resized to 299×299 (bilinear, pixel centres aligned, no antialiasing, as
                pytorch-fid does) and scaled to [-1, 1].
        """
        features = F.interpolate(images, size=(SIDE, SIDE), mode="bilinear", align_corners=False) * 2 - 1
        *body, _classifier = self.children()
        for layer in body:
            features = layer(features)
        return features.mean((2, 3))


def _layers() -> Iterator[tuple[str, nn.Module]]:
    yield "Conv2d_1a_3x3", Convolution(3, Step(32, 3, stride=2))
    yield "Conv2d_2a_3x3", Convolution(32, Step(32, 3), padded=False)
    yield "Conv2d_2b_3x3", Convolution(32, Step(64, 3))
    yield "pooling1", _halve()
    yield "Conv2d_3b_1x1", Convolution(64, Step(80))
    yield "Conv2d_4a_3x3", Convolution(80, Step(192, 3), padded=False)
    yield "pooling2", _halve()
    blocks = {
        "5b": _block_a(32),
        "5c": _block_a(64),
        "5d": _block_a(64),
        "6a": _block_b(),
        "6b": _block_c(128),
        "6c": _block_c(160),
        "6d": _block_c(160),
        "6e": _block_c(192),
        "7a": _block_d(),
        "7b": _block_e(_average()),
        "7c": _block_e(_maximum()),
    }
    channels = 192
    for name, branches in blocks.items():
        block = Block(channels, branches)
        channels = block.channels
        yield f"Mixed_{name}", block
    yield "fc", nn.Linear(channels, CLASSES)


def load_inception(path: str | Path) -> Inception:
    """Load the FID Inception, on the CPU, frozen and in eval mode.

    Args:
        path: path of pytorch-fid's `pt_inception-2015-12-05-6726825d.pth` (96 MB), under any name that ends in `.pth`.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is another file, by its SHA-256, or does not hold the network's tensors.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path} is no file: fetch the FID Inception's weights from {URL}")
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != SHA256:
        raise ValueError(f"{path} has SHA-256 {found}, the FID Inception's is {SHA256}: fetch it again from {URL}")
    tensors = read_tensors(path)
    with torch.device("meta"):  # nothing is drawn only to be overwritten
        model = Inception()
    try:
        model.load_state_dict(tensors, assign=True)
    except RuntimeError as error:  # its values are known, by the SHA-256
        reason = " ".join(str(error).split())[:200]
        raise ValueError(f"{path} does not hold the FID Inception ({reason}): fetch it from {URL}") from None
    return model.requires_grad_(False).eval()
