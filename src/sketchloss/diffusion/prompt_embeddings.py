"""Embeddings of prompts, each text computed once."""

import hashlib
import json
from collections.abc import Sequence

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from sketchloss.diffusion.pipeline import tokenize
from sketchloss.diffusion.quiet import StableDiffusionPipeline


class PromptEmbeddings:
    """The embeddings of captions; the text encoder is not needed after they are computed.

    Args:
        pipeline: whose tokenizer and text encoder are used, on its device and in its dtype.
        captions: in the order that they are asked for by; those too long for the tokenizer are cut.
        batch_size: texts at once.
    """

    @torch.no_grad()
    def __init__(self, pipeline: StableDiffusionPipeline, captions: Sequence[str], *, batch_size: int = 32) -> None:
        texts = ["", *dict.fromkeys(captions)]
        number = {text: index for index, text in enumerate(texts)}
        self._texts = texts
        # Of each caption, and last, where -1 points to, of none.
        self._rows = torch.tensor([*(number[caption] for caption in captions), 0])
        encoder, tokens = pipeline.text_encoder, tokenize(pipeline, texts)
        self._device = encoder.device
        # On the CPU: 50,000 captions of Stable Diffusion's are 6 GB.
        self._embedded = torch.cat([encoder(part.to(self._device))[0].cpu() for part in tokens.split(batch_size)])

    def __len__(self) -> int:
        """Return how many different captions there are."""
        return len(self._texts) - 1

    def embeddings(self, rows: Int64[Tensor, " n"]) -> Float[Tensor, "n t d"]:
        """Return the embeddings of the captions at these places, of the empty one for -1, on the encoder's device."""
        return self._embedded[self._rows[rows]].to(self._device)

    def digest(self) -> str:
        """Return a digest of the captions in their order."""
        return hashlib.sha256(json.dumps([self._texts, self._rows.tolist()]).encode()).hexdigest()[:16]
