"""Similarity of generated sketches to their prompts: the cosine of CLIP's image and text embeddings, times 100.

    scorer = ClipScorer()                       # from the hub; ClipScorer("FOLDER") without a network
    print(scorer.measure(images, prompts))      # CLIP (openai/clip-vit-base-patch16) 27.19 ± 2.31

It is "CLIP similarity" in Seo 2025, Table 2. CLIPScore (Hessel et al. 2021, eq. 1) is 2.5·max(cos, 0) of the same
cosine. Values of different CLIP models do not compare, so that a result carries the model's name.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from huggingface_hub import snapshot_download
from jaxtyping import Float
from PIL import Image
from torch import Tensor
from transformers import CLIPConfig, CLIPModel, CLIPTokenizer
from transformers.utils.constants import OPENAI_CLIP_MEAN, OPENAI_CLIP_STD

from sketchloss.metrics.statistics import spread
from sketchloss.networks.fitting import load_fitting
from sketchloss.networks.weights import CONFIG, TENSORS, read_tensors
from sketchloss.system.images import check_images, to_picture, to_tensor
from sketchloss.system.stored import check_sizes

DEFAULT_CLIP = "openai/clip-vit-base-patch16"
CLIP_PATH = "SKETCHLOSS_CLIP"  # environment variable
VOCABULARY = ("vocab.json", "merges.txt")
# All that a tokenizer may be stored in; `tokenizer.json`, or the vocabulary's two files, is enough.
TOKENIZER = ("tokenizer.json", *VOCABULARY, "tokenizer_config.json", "special_tokens_map.json")
AT_ONCE = 32  # images or texts embedded together


@dataclass(frozen=True)
class ClipSimilarity:
    """Similarity of a set of images to its texts, by one CLIP model."""

    name: str
    """Name of the measure: `CLIP (...)`, with the model."""
    mean: float
    """Mean of 100·cos over the images, in [-100, 100]."""
    deviation: float | None
    """Sample standard deviation over the images; None for a single one."""
    count: int
    """Number of images."""
    truncated: int
    """Number of texts that were too long for the model and were cut off."""

    def describe(self) -> str:
        """Return one line, such as `CLIP (openai/clip-vit-base-patch16) 27.19 ± 2.31`."""
        deviation = "" if self.deviation is None else f" ± {self.deviation:.2f}"
        cut = f", {self.truncated} of {self.count} texts cut off" if self.truncated else ""
        return f"{self.name} {self.mean:.2f}{deviation}{cut}"

    __str__ = describe


class ClipScorer:
    """A CLIP model that compares images with texts, frozen, float32.

    Args:
        model: name of a CLIP model on the hub, or a folder with one: `config.json`, `model.safetensors` and the
            tokenizer. By default what the environment variable SKETCHLOSS_CLIP says, else
            `openai/clip-vit-base-patch16` (fetched once, 600 MB).
        device: the device to compute on.

    Attributes:
        name: such as `CLIP (openai/clip-vit-base-patch16)`; of a folder its own name.

    Raises:
        FileNotFoundError: if there is no such folder, or the hub cannot be reached; the text says how to go on.
        ValueError: if it is no CLIP model, its weights are pickled, or a file is damaged.
    """

    def __init__(self, model: str | Path | None = None, *, device: str | torch.device = "cpu") -> None:
        given = model or os.environ.get(CLIP_PATH) or DEFAULT_CLIP
        folder = _find(given)
        self.name = f"CLIP ({folder.resolve().name if Path(given).exists() else given})"
        self.model, self.tokenizer = _load(folder)
        self.device = torch.device(device)
        self.model.to(self.device)  # pyright: ignore[reportArgumentType] - its decorator hides the signature
        config: Any = self.model.config
        self._side: int = config.vision_config.image_size
        self._longest: int = config.text_config.max_position_embeddings

    @torch.no_grad()
    def score(self, images: Tensor, texts: Sequence[str]) -> Float[Tensor, " n"]:
        """Return 100·cos of each image and its text.

        Args:
            images: n×{1,3}×h×w in [0, 1], on any device. Prepared as CLIP's own are: rounded to 8 bits, the shorter
                side resized to the model's (bicubic), the centre cut out.
            texts: one for each image; those too long for the model (77 tokens) are cut off.

        Returns:
            float32 in [-100, 100], on the CPU.

        Raises:
            ValueError: as `check_images`; if there are more or fewer texts than images.
        """
        images = check_images(images)
        if isinstance(texts, str) or len(texts) != len(images):
            found = "one string" if isinstance(texts, str) else f"{len(texts)} texts"
            raise ValueError(f"{found} for {len(images)} images: give a list with one text for each")
        places = {text: place for place, text in enumerate(dict.fromkeys(texts))}  # prompts come again and again
        seen = torch.cat([self._embed_images(some) for some in images.split(AT_ONCE)])
        read = torch.cat([self._embed_texts(list(places)[i : i + AT_ONCE]) for i in range(0, len(places), AT_ONCE)])
        return 100 * (seen * read[[places[text] for text in texts]]).sum(1).cpu()

    def measure(self, images: Tensor, texts: Sequence[str]) -> ClipSimilarity:
        """Return mean and standard deviation of `score`, which says what is taken and refused."""
        found = spread(self.score(images, texts).tolist())
        lengths = [len(tokens) for tokens in self.tokenizer(list(texts), verbose=False).input_ids]
        cut = sum(length > self._longest for length in lengths)
        return ClipSimilarity(self.name, found.mean, found.deviation, found.count, cut)

    def _embed_images(self, images: Tensor) -> Float[Tensor, "n d"]:
        pixels = prepare_images(images, self._side).to(self.device)
        pooled = self.model.vision_model(pixel_values=pixels).pooler_output
        return F.normalize(self.model.visual_projection(pooled), dim=1)

    def _embed_texts(self, texts: list[str]) -> Float[Tensor, "n d"]:
        tokens = self.tokenizer(
            texts, padding=True, truncation=True, max_length=self._longest, return_tensors="pt", verbose=False
        ).to(self.device)
        pooled = self.model.text_model(tokens.input_ids, attention_mask=tokens.attention_mask).pooler_output
        return F.normalize(self.model.text_projection(pooled), dim=1)


def prepare_images(images: Float[Tensor, "n 3 h w"], side: int) -> Float[Tensor, "n 3 side side"]:
    """Turn images in [0, 1] into what CLIP sees, on the CPU, with Pillow as the published models were trained with.

    The same as `transformers.CLIPImageProcessorPil`, which not every version of transformers has.
    """
    mean, deviation = (torch.tensor(values)[:, None, None] for values in (OPENAI_CLIP_MEAN, OPENAI_CLIP_STD))
    return torch.stack([(to_tensor(_crop(to_picture(image), side)) - mean) / deviation for image in images])


def _crop(picture: Image.Image, side: int) -> Image.Image:
    width, height = (side * length // min(picture.size) for length in picture.size)
    left, top = (width - side) // 2, (height - side) // 2
    return picture.resize((width, height), Image.Resampling.BICUBIC).crop((left, top, left + side, top + side))


def _find(model: str | Path) -> Path:
    """Return the folder that a CLIP model is in, fetched if need be."""
    if Path(model).is_dir():
        return Path(model)
    if Path(model).is_file():
        raise FileNotFoundError(f"{model} is a file: give the folder that the CLIP model is in")
    try:
        return Path(snapshot_download(str(model), allow_patterns=[CONFIG, TENSORS, *TOKENIZER]))
    except Exception as error:  # noqa: BLE001 (the hub's refusals, its HTTP client's, the disk's)
        reason = " ".join(str(error).split())[:200]
        raise FileNotFoundError(
            f"{model} is no folder, and the CLIP model could not be fetched from the hub: where there is a network run "
            f"`hf download {DEFAULT_CLIP} --local-dir FOLDER`, give --clip-model FOLDER, or set {CLIP_PATH}=FOLDER "
            f"({reason})"
        ) from None


def _load(folder: Path) -> tuple[CLIPModel, CLIPTokenizer]:
    # note: not `from_pretrained`, which draws progress bars, logs, and fills missing tensors with random numbers
    try:
        kind = CLIPConfig.get_config_dict(folder, local_files_only=True)[0].get("model_type")
        if kind != CLIPConfig.model_type:
            raise ValueError(f"its {CONFIG} says {kind!r} and not {CLIPConfig.model_type!r}")
        if not (folder / TENSORS).is_file():
            raise ValueError(
                f"it holds no {TENSORS}, and pickled weights may be code; if you trust them, run "
                "CLIPModel.from_pretrained(FOLDER).save_pretrained(FOLDER) of transformers once"
            )
        if not any(all((folder / name).is_file() for name in names) for names in (TOKENIZER[:1], VOCABULARY)):
            raise ValueError(f"it holds no {TOKENIZER[0]}, nor {' and '.join(VOCABULARY)}")
        tokenizer = CLIPTokenizer.from_pretrained(folder, local_files_only=True)
        config: Any = CLIPConfig.from_json_file(folder / CONFIG)
        for part in (config.text_config, config.vision_config):
            check_sizes(part.to_dict(), ("num_hidden_layers", "num_attention_heads", "image_size", "patch_size"), 4096)
        tensors = read_tensors(folder / TENSORS)
        # note: older files hold the numbers of the positions, 0, 1, 2, ..., which the model makes itself
        needed = {name: tensor for name, tensor in tensors.items() if "position_ids" not in name}
        model = load_fitting(lambda: CLIPModel(config), needed)
        if len(tokenizer) > config.text_config.vocab_size:
            raise ValueError(f"its tokenizer knows {len(tokenizer)} tokens, its text model fewer")
    except Exception as error:  # noqa: BLE001 (damaged files lead transformers into errors of any kind)
        reason = " ".join(str(error).split())[:250]
        raise ValueError(
            f"{folder} is no whole CLIP model ({reason}): give a download of {DEFAULT_CLIP}, say"
        ) from None
    return model.requires_grad_(False).eval(), tokenizer
