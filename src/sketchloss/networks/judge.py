"""A judge of generated drawings: a small classifier, trained from scratch on true drawings and on nothing else.

    judge = load_judge("runs/judge")                      # made by `train_judge`
    judge.accuracy_of(images, labels)                     # class accuracy of generated drawings
    embed_images(judge.extractor(), batches)              # features for a Fréchet distance

It stands in where CLIP cannot be had, and favours none of the arms, since it shares no weights with them. It is a
ResNet (He et al. 2016) of 1.2 million parameters with one basic block a stage.
"""

import hashlib
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from jaxtyping import Float, Int64
from kornia.color import rgb_to_grayscale
from torch import Tensor, nn
from transformers import ResNetConfig, ResNetForImageClassification

from sketchloss.networks.extractor import Extractor
from sketchloss.networks.fitting import load_fitting
from sketchloss.networks.weights import CONFIG, TENSORS, read_tensors
from sketchloss.system.files import write_json, write_tensors
from sketchloss.system.images import LARGEST_SIDE, check_images
from sketchloss.system.stored import build_config, check_range, read_described

FORMAT = "sketchloss judge"
AT_ONCE = 256  # images judged together


@dataclass(frozen=True)
class JudgeConfig:
    """Settings that a judge is built from, and how it was trained; stored beside its weights.

    Raises:
        ValueError: for a setting outside its range, naming it.
    """

    classes: tuple[str, ...]
    """Classes that the judge tells apart, in the order of its outputs."""
    image_size: int
    """Side in pixels of the drawings that the judge was trained on, and takes."""
    widths: tuple[int, ...] = (32, 64, 128, 256)
    """Channels of the stages, each of half the height and width of the one before."""
    accuracy: float = 0.0
    """Share of held-out true drawings that the judge classifies rightly."""
    held: int = 0
    """Number of those held-out drawings, for the record."""
    data: str = ""
    """Drawings that the judge was trained on, for the record."""
    pixels: str = ""
    """SHA-256 of every pixel of the training drawings (`features.pixels_digest`), for the record."""
    steps: int = 0
    """Number of training steps, for the record."""
    seed: int = 0
    """Random seed of the training, for the record."""

    def __post_init__(self) -> None:
        if len(self.classes) < 2:
            raise ValueError(f"classes are {self.classes}: at least two are needed")
        if not 16 <= self.image_size <= LARGEST_SIDE:
            raise ValueError(f"image_size is {self.image_size}: it must be at least 16, {LARGEST_SIDE:,} at most")
        if not 1 <= len(self.widths) <= 10 or min(self.widths) < 1 or max(self.widths) > 8192:
            raise ValueError(f"widths are {self.widths}: give the channels of each of 1 to 10 stages, from 1 to 8,192")
        check_range(self, ("accuracy",), 0, 1)


class Judge(nn.Module):
    """The classifier. It sees the luma of a drawing, as ink on nothing: colour counts for nothing else.

    Args:
        config: see `JudgeConfig`.
    """

    def __init__(self, config: JudgeConfig) -> None:
        super().__init__()
        self.config = config
        self.network = ResNetForImageClassification(
            ResNetConfig(
                num_channels=1,
                embedding_size=config.widths[0],
                hidden_sizes=list(config.widths),
                depths=[1] * len(config.widths),
                layer_type="basic",
                num_labels=len(config.classes),  # pyright: ignore[reportCallIssue] - an argument of its base class
            )
        )

    @property
    def classes(self) -> tuple[str, ...]:
        """Classes that the judge tells apart, in the order of its outputs."""
        return self.config.classes

    @property
    def accuracy(self) -> float:
        """Share of held-out true drawings that the judge classifies rightly; no generator should do better."""
        return self.config.accuracy

    def forward(self, images: Float[Tensor, "n 3 s s"]) -> tuple[Float[Tensor, "n d"], Float[Tensor, "n classes"]]:
        """Return the pooled features and the class logits of RGB images in [0, 1]."""
        return self.look(self.ink(images))

    @staticmethod
    def ink(images: Float[Tensor, "n 3 s s"]) -> Float[Tensor, "n 1 s s"]:
        """Return how dark RGB images in [0, 1] are: 0 is white paper."""
        return 1 - rgb_to_grayscale(images)

    def look(self, ink: Float[Tensor, "n 1 s s"]) -> tuple[Float[Tensor, "n d"], Float[Tensor, "n classes"]]:
        """Return the pooled features and the class logits of what `ink` returned."""
        features = self.network.resnet(ink).pooler_output
        return features.flatten(1), self.network.classifier(features)

    def classify(self, images: Tensor) -> Float[Tensor, "n classes"]:
        """Return the probability of each class.

        Args:
            images: n×{1,3}×s×s in [0, 1], of the size that it was trained on, on any device.

        Returns:
            float32, on the CPU; each row adds up to 1.

        Raises:
            ValueError: as `check_images`, and for images of another size.
        """
        return self._evaluate(images)[1].softmax(1)

    def accuracy_of(self, images: Tensor, labels: Int64[Tensor, " n"]) -> float:
        """Return the share of images whose most probable class is the one that they were meant to be.

        Args:
            images: as for `classify`.
            labels: class of each image, an index into `classes`.

        Raises:
            ValueError: as `classify`; for more or fewer labels than images, or one that is no class.
        """
        if len(labels) != len(images):
            raise ValueError(f"{len(labels)} labels for {len(images)} images: give one for each")
        wrong = labels[(labels < 0) | (labels >= len(self.classes))]
        if len(wrong):
            raise ValueError(f"label {wrong[0].item()} is no class: this judge knows 0 to {len(self.classes) - 1}")
        return (self.classify(images).argmax(1) == labels.cpu()).double().mean().item()

    def extractor(self) -> Extractor:
        """Return it as the network of a distance between sets: its pooled features, 256 numbers.

        The name is such as `judge of doodles?tool=ink`, so that distances read `FD (judge of doodles?tool=ink)`.
        """
        return Extractor(f"judge of {self.config.data}", lambda images: self._evaluate(images)[0])

    @torch.no_grad()
    def _evaluate(self, images: Tensor) -> tuple[Float[Tensor, "n d"], Float[Tensor, "n classes"]]:
        """Return features and logits on the CPU, in evaluation mode and so many images at a time."""
        images = check_images(images)
        side = self.config.image_size
        if images.shape[2:] != (side, side):
            found = " by ".join(str(length) for length in images.shape[2:])
            raise ValueError(f"images are {found} pixels, this judge takes {side} by {side}: resize them to that")
        place, was_training = next(self.parameters()).device, self.training
        self.eval()
        try:
            found = [self(some.to(place)) for some in images.split(AT_ONCE)]
        finally:
            self.train(was_training)
        features, logits = (torch.cat(parts).float().cpu() for parts in zip(*found, strict=True))
        return features, logits


def save_judge(judge: Judge, folder: str | Path) -> None:
    """Write a folder for `load_judge`: `model.safetensors` (float32) and `config.json`, each whole or not at all.

    The configuration knows the digest of the weights, so that no mixture of two judges is ever loaded.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in judge.state_dict().items()}
    write_tensors(folder / TENSORS, tensors)
    digest = _digest(folder / TENSORS)
    write_json(folder / CONFIG, {"format": FORMAT, "version": 1, "weights": digest, **asdict(judge.config)})


def load_judge(folder: str | Path) -> Judge:
    """Load a judge that `save_judge` wrote, on the CPU and in evaluation mode.

    Raises:
        FileNotFoundError: if there is none.
        ValueError: if the folder holds something else, or is damaged.
    """
    folder = Path(folder)
    if not (folder / CONFIG).is_file() or not (folder / TENSORS).is_file():
        raise FileNotFoundError(f"{folder} holds no {TENSORS} with its {CONFIG}: give the folder of a judge")
    try:
        stored = read_described(folder / CONFIG, FORMAT)
        config = build_config(JudgeConfig, stored, CONFIG)
        if _digest(folder / TENSORS) != stored.get("weights"):
            raise ValueError(f"its {TENSORS} is not the one that its {CONFIG} was written with")
        return load_fitting(lambda: Judge(config), read_tensors(folder / TENSORS))
    except ValueError as error:
        reason = " ".join(str(error).split())[:300]
        raise ValueError(f"{folder} holds no whole judge ({reason}): train it again") from None


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
