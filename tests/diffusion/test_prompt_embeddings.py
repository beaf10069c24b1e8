"""Embeddings of captions. Oracle: the pipeline's own `encode_prompt`."""

import pytest
import torch

from sketchloss.diffusion.pipeline import build_tiny
from sketchloss.diffusion.prompt_embeddings import PromptEmbeddings

CAPTIONS = ["a sketch of a cat", "a house", "a sketch of a cat", "a very long caption " * 9]


@pytest.fixture(scope="module")
def pipeline():
    torch.manual_seed(0)
    return build_tiny(CAPTIONS, image_size=16)


def test_each_caption_has_the_embedding_that_the_pipeline_gives_it(pipeline):
    prompts = PromptEmbeddings(pipeline, CAPTIONS, batch_size=2)
    found = prompts.embeddings(torch.tensor([3, 0, 2, -1, 1]))
    for embedding, text in zip(found, [CAPTIONS[3], CAPTIONS[0], CAPTIONS[2], "", CAPTIONS[1]], strict=True):
        wanted, _ = pipeline.encode_prompt(text, "cpu", 1, False)
        torch.testing.assert_close(embedding, wanted[0])
    assert not found.requires_grad


def test_each_text_is_computed_once(pipeline):
    rows = []
    hook = pipeline.text_encoder.register_forward_pre_hook(lambda _, arguments: rows.append(len(arguments[0])))
    prompts = PromptEmbeddings(pipeline, CAPTIONS)
    hook.remove()
    assert sum(rows) == 4  # three captions, and none
    assert len(prompts) == 3


def test_the_digest_tells_captions_and_their_order_apart(pipeline):
    digests = {PromptEmbeddings(pipeline, captions).digest() for captions in (CAPTIONS, CAPTIONS[::-1], CAPTIONS[:2])}
    assert len(digests) == 3
    assert PromptEmbeddings(pipeline, CAPTIONS).digest() in digests
