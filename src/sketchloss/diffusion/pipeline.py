"""Text-to-image pipelines of Stable Diffusion's kind: opening, building a small one from nothing, saving.

    pipeline = load_text_to_image("stable-diffusion-v1-5/stable-diffusion-v1-5")
    pipeline = load_text_to_image("tiny")            # in the package: 64 pixels, knows the built-in doodles
    pipeline = build_tiny(["a photo of a cat"])      # the same untrained

All are a plain `diffusers.StableDiffusionPipeline`.
"""

import json
import shutil
from collections.abc import Iterable, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.modeling_utils import ModelMixin
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from diffusers.schedulers.scheduling_ddpm import DDPMScheduler
from jaxtyping import Int64
from safetensors import SafetensorError
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from torch import Tensor
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from sketchloss.diffusion.bases import DEFAULT_BASE, INDEX, find_base, one_line, weights_variant
from sketchloss.diffusion.bases import TINY as TINY
from sketchloss.diffusion.quiet import StableDiffusionPipeline, quiet
from sketchloss.diffusion.schedules import noise_schedule
from sketchloss.networks.fitting import check_values
from sketchloss.system.files import contents, write_json

#: How long the prompts of the small model may be, in tokens.
TINY_TOKENS = 16
TINY_WIDTH = 96
# What Stable Diffusion 1.x adds noise by.
NOISE_SCHEDULE: dict[str, Any] = {
    **{"num_train_timesteps": 1000, "beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"},
    **{"clip_sample": False, "steps_offset": 1, "timestep_spacing": "leading", "set_alpha_to_one": False},
}


# Opening -------------------------------------------------------------------------------------------------------------


def load_text_to_image(
    base: str | Path = DEFAULT_BASE, *, dtype: torch.dtype = torch.float32
) -> StableDiffusionPipeline:
    """Open a Stable Diffusion 1.x or 2.x pipeline on the CPU, without its safety checker.

    Only safetensors are read, and no code that comes with them.

    Args:
        base: as for `find_base`: `tiny`, a folder saved by diffusers, a run folder, or a name of the hub.
        dtype: number type of all weights, whatever is on disk.

    Returns:
        The pipeline, its networks in eval mode.

    Raises:
        ValueError: as `find_base`, or if a part is damaged or incomplete; in one line that names it.
        FileNotFoundError: as `find_base`.
    """
    folder = find_base(base)
    with quiet():
        networks = {
            name: _load_network(base, folder, name, kind, dtype)
            for name, kind in {
                "unet": UNet2DConditionModel,
                "vae": AutoencoderKL,
                "text_encoder": CLIPTextModel,
            }.items()
        }
        tokenizer = _load_tokenizer(base, folder)
        try:
            pipeline = StableDiffusionPipeline.from_pretrained(
                folder,
                **networks,
                tokenizer=tokenizer,
                **dict.fromkeys(("safety_checker", "feature_extractor", "image_encoder")),
                requires_safety_checker=False,
            )
        except Exception as error:  # noqa: BLE001 (of the scheduler and the index: their values may be anything)
            raise ValueError(f"{base} cannot be read ({one_line(error)}): fetch or copy {folder} again") from None
    if len(tokenizer) > pipeline.text_encoder.config.vocab_size:
        raise ValueError(
            f"the tokenizer of {base} knows {len(tokenizer):,} tokens and its text_encoder only "
            f"{pipeline.text_encoder.config.vocab_size:,}: fetch or copy {folder} again"
        )
    return pipeline


def _load_network(base: str | Path, folder: Path, name: str, kind: Any, dtype: torch.dtype) -> Any:
    try:
        network, report = kind.from_pretrained(
            folder / name,
            variant=weights_variant(base, folder),
            use_safetensors=True,
            output_loading_info=True,
            **{"dtype" if kind is CLIPTextModel else "torch_dtype": dtype},
        )
    except Exception as error:  # noqa: BLE001 (damaged files lead the two libraries into errors of any kind)
        raise ValueError(
            f"the {name} of {base} cannot be read ({one_line(error)}): fetch or copy {folder / name} again"
        ) from None
    # note: transformers gives these random values and would say so in a message only
    absent = sorted(report["missing_keys"])
    if absent:
        raise ValueError(
            f"the {name} of {base} lacks {len(absent)} tensors, first {absent[0]}: fetch or copy {folder / name} again"
        )
    try:
        check_values(network.state_dict(), zeros_in=("",))  # some layers start as zeros, and may stay so
    except ValueError as error:
        raise ValueError(f"the {name} of {base}: {error}") from None
    return network


def _load_tokenizer(base: str | Path, folder: Path) -> CLIPTokenizer:
    place = folder / "tokenizer"
    if not (place / "tokenizer.json").is_file() and not all(
        (place / n).is_file() for n in ("vocab.json", "merges.txt")
    ):
        raise ValueError(f"{base} has no tokenizer/vocab.json and merges.txt: fetch or copy {place} again")
    try:
        return CLIPTokenizer.from_pretrained(place)
    except Exception as error:  # noqa: BLE001 (the library behind it, in Rust, raises Exception itself)
        raise ValueError(
            f"the tokenizer of {base} cannot be read ({one_line(error)}): fetch or copy {place} again"
        ) from None


def training_scheduler(pipeline: StableDiffusionPipeline) -> DDPMScheduler:
    """Return the noise schedule that a pipeline is trained with, as `noise_schedule`, whatever its own scheduler."""
    scheduler = pipeline.scheduler
    return noise_schedule({**scheduler.config, "_class_name": type(scheduler).__name__})


def tokenize(pipeline: StableDiffusionPipeline, prompts: Sequence[str]) -> Int64[Tensor, "n t"]:
    """Return the tokens of prompts, each padded or cut to the pipeline's length t, as the pipeline itself does."""
    tokenizer = pipeline.tokenizer
    return tokenizer(
        list(prompts), padding="max_length", max_length=tokenizer.model_max_length, truncation=True, return_tensors="pt"
    ).input_ids


# Building ------------------------------------------------------------------------------------------------------------


def checked_tiny_size(image_size: int) -> int:
    """Return the side of the small model's pictures in pixels; ValueError if it cannot have it."""
    if image_size < 16 or image_size % 16:
        raise ValueError(f"image_size is {image_size}: the tiny model takes multiples of 16 pixels")
    return image_size


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
    checked_tiny_size(image_size)
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
            bos_token_id=tokenizer.bos_token_id,  # pyright: ignore[reportArgumentType]
            eos_token_id=tokenizer.eos_token_id,  # pyright: ignore[reportArgumentType]
            pad_token_id=tokenizer.pad_token_id,  # pyright: ignore[reportArgumentType]
        )
    )
    autoencoder = AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 3,  # pyright: ignore[reportArgumentType] - of one only, it says
        up_block_types=("UpDecoderBlock2D",) * 3,  # pyright: ignore[reportArgumentType]
        block_out_channels=(32, 48, 64),  # pyright: ignore[reportArgumentType]
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


def assemble(
    unet: Any, autoencoder: Any, text_encoder: Any, tokenizer: Any, scheduler: Any = None
) -> StableDiffusionPipeline:
    """Return a pipeline of these parts; by default it samples by DDIM from Stable Diffusion 1.x's noise schedule."""
    return StableDiffusionPipeline(
        vae=autoencoder,
        text_encoder=text_encoder,
        tokenizer=tokenizer,
        unet=unet,
        scheduler=scheduler or DDIMScheduler(**NOISE_SCHEDULE),  # pyright: ignore[reportArgumentType] - an enumeration
        safety_checker=None,  # pyright: ignore[reportArgumentType] - may be left out
        feature_extractor=None,  # pyright: ignore[reportArgumentType]
        requires_safety_checker=False,
    )


def build_tokenizer(texts: Iterable[str], *, merges: int = 1500) -> CLIPTokenizer:
    """Learn a CLIP tokenizer: byte pairs of the words of some texts, and every byte, so that no word is unknown.

    Args:
        texts: what it shall write in few tokens.
        merges: bounds the pairs that are joined: so many and at most 256 more.
    """
    texts = list(texts)
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    frame = CLIPTokenizer().backend_tokenizer  # for its normaliser and its idea of a word
    learner = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    learner.normalizer, learner.pre_tokenizer = frame.normalizer, frame.pre_tokenizer
    found = {word for text in texts for word, _ in _split_words(frame, text)}
    trainer = trainers.BpeTrainer(
        vocab_size=2 * len(letters) + merges,
        initial_alphabet=letters,
        # note: numbered first, in order. Otherwise they are numbered as a hash table has them, and the numbers decide
        # between pairs that are equally common: every process would learn another tokenizer.
        special_tokens=sorted({f"{word[-1]}</w>" for word in found}),
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


def _split_words(frame: Tokenizer, text: str) -> list[tuple[str, tuple[int, int]]]:
    return frame.pre_tokenizer.pre_tokenize_str(frame.normalizer.normalize_str(text))


# Saving --------------------------------------------------------------------------------------------------------------


def save_pipeline(pipeline: StableDiffusionPipeline, folder: str | Path, *, dtype: torch.dtype = torch.float16) -> None:
    """Write a folder that `StableDiffusionPipeline.from_pretrained` opens: safetensors and configurations.

    Args:
        pipeline: on any device; stays as it is.
        folder: made if missing; a pipeline that was there is replaced once the new is whole.
        dtype: number type of the weights on disk.

    Raises:
        ValueError: if the folder holds something else, or a weight is not finite in `dtype`.
        OSError: if it cannot be written; then what was there is still there.
    """
    folder = Path(folder)
    if folder.exists() and not (folder / INDEX).is_file() and not (folder.is_dir() and not contents(folder)):
        raise ValueError(f"{folder} holds something else than a pipeline: choose another folder")
    partial, previous = (folder.with_name(f".{folder.name}.{state}") for state in ("partial", "previous"))
    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        with quiet():
            unet, vae, text_encoder = (
                _copy(part, dtype) for part in (pipeline.unet, pipeline.vae, pipeline.text_encoder)
            )
            copy = assemble(unet, vae, text_encoder, pipeline.tokenizer, pipeline.scheduler)
            copy.save_pretrained(partial)
        # transformers would open its part as it lies on disk, diffusers the others in float32, and they do not mix
        config = partial / "text_encoder" / "config.json"
        write_json(config, json.loads(config.read_text(encoding="utf-8")) | {"dtype": "float32"})
        mode = (partial / INDEX).stat().st_mode
        for path in partial.rglob("*.safetensors"):
            path.chmod(mode)  # safetensors lets only the owner read its files
        if folder.exists():
            # A folder cannot be renamed onto a full one. Killed between the two renames, the old is left as `previous`.
            shutil.rmtree(previous, ignore_errors=True)
            folder.rename(previous)
        partial.rename(folder)
        shutil.rmtree(previous, ignore_errors=True)
    except SafetensorError as error:  # what a full disk is called there
        raise OSError(f"cannot write {folder} ({one_line(error)}): free some space, or write elsewhere") from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _copy(network: Any, dtype: torch.dtype) -> Any:
    copy = deepcopy(network).to("cpu", dtype)
    if isinstance(copy, ModelMixin):  # of diffusers: it would write down where it was opened
        copy.register_to_config(_name_or_path=None)
    broken = [name for name, tensor in copy.state_dict().items() if not tensor.isfinite().all()]
    if broken:
        raise ValueError(f"{len(broken)} tensors are not finite in {dtype}, first {broken[0]}: not saved")
    return copy
