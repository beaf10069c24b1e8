"""The retrieval head: from a frozen backbone's features to a 512-d embedding and class logits (Seo 2025, 4.2.1)."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from sketchloss.networks.fitting import load_fitting
from sketchloss.networks.weights import CONFIG, TENSORS, read_tensors
from sketchloss.system.files import write_json, write_tensors
from sketchloss.system.stored import build_config, check_range, read_described

FORMAT = "sketchloss embedder"
Rows = Float[Tensor, "n f"] | Float[np.ndarray, "n f"]
# Features turned into embeddings at once: 2^24 float32 are 64 MiB.
CHUNK_ELEMENTS = 2**24


@dataclass(frozen=True)
class EmbedderConfig:
    """Settings that an embedder is built from, and what it expects; stored beside its weights.

    Raises:
        ValueError: for a size that is none, or fewer than two classes.
    """

    features: int
    """Number of features that come in for each sketch."""
    classes: tuple[str, ...]
    """Names of the classes it was trained to tell apart."""
    hidden: int = 1024
    """Width of the layer in between."""
    size: int = 512
    """Number of values of an embedding."""
    scale: float = 16.0
    """Factor on the unit embedding, before the classifier sees it."""
    weights: str = ""
    """Digest of the backbone whose features it was trained on (`features.weights_digest`)."""
    layer: str = ""
    """Layer that the features were taken from."""
    grid: int = 7
    """Largest number of positions, each way, that the features were averaged onto."""
    image_size: int = 0
    """Side in pixels of the images that the embedder was trained on."""
    precision: str = "no"
    """Arithmetic in which the backbone was evaluated."""

    def __post_init__(self) -> None:
        check_range(self, ("features", "hidden", "size", "grid"), 1, 10**7)
        if not 0 < self.scale <= 10**6:
            raise ValueError(f"scale is {self.scale}: it must be above 0, and {10**6:,} at most")
        if len(self.classes) < 2:
            raise ValueError(f"classes are {self.classes}: at least two are needed")


class Embedder(nn.Module):
    """Two linear layers to an L2-normalised embedding, and a linear classifier beside it for the cross-entropy.

    Args:
        config: see `EmbedderConfig`.
    """

    def __init__(self, config: EmbedderConfig) -> None:
        super().__init__()
        self.config = config
        self.layers = nn.Sequential(
            nn.Linear(config.features, config.hidden), nn.ReLU(), nn.Dropout(), nn.Linear(config.hidden, config.size)
        )
        self.classifier = nn.Linear(config.size, len(config.classes))

    def forward(self, features: Float[Tensor, "n f"]) -> tuple[Float[Tensor, "n d"], Float[Tensor, "n classes"]]:
        """Return L2-normalised embeddings, and the class logits that see them scaled."""
        embeddings = F.normalize(self.layers(features), dim=1)
        return embeddings, self.classifier(embeddings * self.config.scale)

    @torch.inference_mode()
    def embed(self, features: Rows) -> Float[Tensor, "n d"]:
        """Return embeddings of many rows, on the CPU, in evaluation mode and a bounded number of rows at a time.

        Args:
            features: n×f, a tensor or an array (which may be mapped from disk) of any float type.

        Returns:
            L2-normalised float32 n×512.

        Raises:
            ValueError: if f is not what the embedder was made for.
        """
        if features.ndim != 2 or features.shape[1] != self.config.features:
            shape = tuple(features.shape)
            raise ValueError(f"features have shape {shape}: this embedder needs rows of {self.config.features}")
        was_training = self.training
        self.eval()
        try:
            chunks = [self(chunk)[0].cpu() for chunk in self._chunks(features)]
            return torch.cat(chunks) if chunks else torch.empty(0, self.config.size)
        finally:
            self.train(was_training)

    def _chunks(self, features: Rows) -> Iterator[Tensor]:
        place = self.classifier.weight
        rows = max(1, CHUNK_ELEMENTS // self.config.features)
        for start in range(0, len(features), rows):
            chunk = features[start : start + rows]
            # note: copied, because a tensor cannot share memory that is read-only, as a cached file's is
            yield (chunk if isinstance(chunk, Tensor) else torch.from_numpy(chunk.copy())).to(place)


def save_embedder(embedder: Embedder, folder: str | Path) -> None:
    """Write a folder for `load_embedder`: `model.safetensors` (float16) and `config.json`, each whole or not at all."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {name: tensor.detach().half().cpu().contiguous() for name, tensor in embedder.state_dict().items()}
    write_tensors(folder / TENSORS, tensors)
    write_json(folder / CONFIG, {"format": FORMAT, "version": 1, **asdict(embedder.config)})


def load_embedder(folder: str | Path) -> Embedder:
    """Load an embedder that `sketchloss retrieval` trained, on the CPU and in evaluation mode.

    Args:
        folder: a folder such as `RUN/heads/tuning/0`.

    Raises:
        FileNotFoundError: if it is not there.
        ValueError: if the folder holds something else, or is damaged.
    """
    folder = Path(folder)
    if not (folder / CONFIG).is_file() or not (folder / TENSORS).is_file():
        raise FileNotFoundError(
            f"{folder} holds no {TENSORS} with its {CONFIG}: give a folder such as RUN/heads/tuning/0"
        )
    try:
        config = build_config(EmbedderConfig, read_described(folder / CONFIG, FORMAT), CONFIG)
        return load_fitting(lambda: Embedder(config), read_tensors(folder / TENSORS))
    except ValueError as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"{folder} holds no whole retrieval head ({reason}): train it again") from None
