"""Text-to-image pipelines of Stable Diffusion's kind: opening them, and building a small one from configurations.

    pipeline = load_text_to_image("stable-diffusion-v1-5/stable-diffusion-v1-5")
    pipeline = load_text_to_image("tiny")            # in the package: 64 pixels, knows the built-in doodles
    pipeline = build_tiny(["a photo of a cat"])      # the same untrained

All are a plain `diffusers.StableDiffusionPipeline`.
"""

import json
from collections.abc import Iterable
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

DEFAULT_BASE = "stable-diffusion-v1-5/stable-diffusion-v1-5"
#: Its name as a base, and how long its prompts may be in tokens.
TINY, TINY_TOKENS = "tiny", 16
TINY_WIDTH = 96
INDEX = "model_index.json"
# What Stable Diffusion 1.x adds noise by.
NOISE_SCHEDULE: dict[str, Any] = {
    **{"num_train_timesteps": 1000, "beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"},
    **{"clip_sample": False, "steps_offset": 1, "timestep_spacing": "leading", "set_alpha_to_one": False},
}


def build_tiny(texts: Iterable[str], *, image_size: int = 64) -> StableDiffusionPipeline:
    """Build a complete text-to-image pipeline of about four million parameters, untrained.

    It is Stable Diffusion 1.x made small: an autoencoder to latents of 4 channels at a quarter of the side, a UNet of
    two levels with text attention in both, and a CLIP text encoder whose byte-level vocabulary is learned from the
    texts and can spell any other.

    Args:
        texts: prompts, for the vocabulary.
        image_size: side of its pictures in pixels, a multiple of 16.

    Raises:
        ValueError: for another size.
    """
    if image_size < 16 or image_size % 16:
        raise ValueError(f"image_size is {image_size}: the tiny model takes multiples of 16 pixels")
    tokenizer = build_tokenizer(texts)
    text_encoder = CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=TINY_WIDTH,
            intermediate_size=2 * TINY_WIDTH,
            projection_dim=TINY_WIDTH,
            num_hidden_layers=2,
            num_attention_heads=2,
            max_position_embeddings=TINY_TOKENS,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )
    autoencoder = AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        block_out_channels=(32, 48, 64),
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=8,
        sample_size=image_size,
    )
    unet = UNet2DConditionModel(
        sample_size=image_size // 4,
        down_block_types=("CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
        block_out_channels=(64, 96),
        layers_per_block=1,
        cross_attention_dim=TINY_WIDTH,
        attention_head_dim=2,  # the number of heads, as everywhere in Stable Diffusion 1.x
        norm_num_groups=16,
    )
    return assemble(unet, autoencoder, text_encoder, tokenizer)


def assemble(unet: Any, autoencoder: Any, text_encoder: Any, tokenizer: Any) -> StableDiffusionPipeline:
    """Return a pipeline of these parts, which samples by DDIM from Stable Diffusion's noise schedule."""
    return StableDiffusionPipeline(
        vae=autoencoder,
        text_encoder=text_encoder,
        tokenizer=tokenizer,
        unet=unet,
        scheduler=DDIMScheduler(**NOISE_SCHEDULE),
        safety_checker=None,  # pyright: ignore[reportArgumentType] - may be left out
        feature_extractor=None,  # pyright: ignore[reportArgumentType]
        requires_safety_checker=False,
    )


def build_tokenizer(texts: Iterable[str], *, merges: int = 1500) -> CLIPTokenizer:
    """Learn a CLIP tokenizer: byte pairs of the words of some texts, and every byte, so that no word is unknown.

    Args:
        texts: what it shall write in few tokens.
        merges: pairs to join, at most.
    """
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    frame = CLIPTokenizer().backend_tokenizer  # for its normaliser and its idea of a word
    learner = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    learner.normalizer, learner.pre_tokenizer = frame.normalizer, frame.pre_tokenizer
    trainer = trainers.BpeTrainer(
        vocab_size=2 * len(letters) + merges,
        initial_alphabet=letters,
        end_of_word_suffix="</w>",
        show_progress=False,
    )
    learner.train_from_iterator(texts, trainer)
    learned = [tuple(pair) for pair in json.loads(learner.to_str())["model"]["merges"]]
    words = [*letters, *(f"{letter}</w>" for letter in letters), *("".join(pair) for pair in learned)]
    vocabulary = {word: number for number, word in enumerate(dict.fromkeys(words))}
    for special in ("<|startoftext|>", "<|endoftext|>"):
        vocabulary[special] = len(vocabulary)
    return CLIPTokenizer(vocab=vocabulary, merges=learned, model_max_length=TINY_TOKENS)  # pyright: ignore


def save_pipeline(pipeline: StableDiffusionPipeline, folder: str | Path, *, dtype: torch.dtype = torch.float16) -> None:
    """Write a folder that `StableDiffusionPipeline.from_pretrained` opens: safetensors and configurations.

    Args:
        pipeline: on any device; stays as it is.
        folder: made if missing; what was there is replaced once the new is whole.
        dtype: of the weights on disk.
    """
    unet, vae, text_encoder = (
        deepcopy(part).to("cpu", dtype) for part in (pipeline.unet, pipeline.vae, pipeline.text_encoder)
    )
    assemble(unet, vae, text_encoder, pipeline.tokenizer).save_pretrained(folder)
