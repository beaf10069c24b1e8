"""Pictures by a text-to-image pipeline, each of which depends only on its prompt and seed."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image

from sketchloss.diffusion.quiet import StableDiffusionPipeline, quiet
from sketchloss.lora.options import check_settings
from sketchloss.system.images import to_picture


@dataclass(frozen=True)
class Drawing:
    """A picture, with the prompt and seed that it was drawn from."""

    picture: Image.Image
    """The picture, of mode `RGB`."""
    prompt: str
    seed: int


def draw(
    pipeline: StableDiffusionPipeline,
    prompts: Sequence[str],
    seeds: Sequence[int],
    *,
    steps: int = 30,
    guidance: float | int = 7.5,
    negative_prompt: str | None = None,
    size: int | None = None,
    batch_size: int = 4,
    progress: Callable[[float], object] = lambda _: None,
) -> Iterator[Drawing]:
    """Draw every prompt with every seed.

    A picture does not depend on the others: its noise comes from a generator of its own, on the CPU and in float32, so
    that a seed gives the same noise on any device. In other batches the same sums are added in another order, which
    moves values by rounding errors.

    Args:
        pipeline: used where it is, in the type that it has; its own progress bar is turned off.
        prompts: at least one; what is too long for the text encoder is cut, see `find_cut`.
        seeds: at least one, each at least 0 and below 2⁶³.
        steps: number of denoising steps, by the pipeline's scheduler.
        guidance: weight of classifier-free guidance (Ho & Salimans 2021); up to 1: none, in half the time.
        negative_prompt: what to guide away from.
        size: side of the pictures in pixels, a multiple of `size_step`; by default what the UNet was trained on.
        batch_size: pictures at once.
        progress: is told after each step how many pictures' worth of work it was; in all, the number of pictures.

    Returns:
        The drawings as they are done: the first prompt with each seed, then the second.

    Raises:
        ValueError: at once, for an argument outside its range; while drawing, for a picture whose values are not
            numbers.
    """
    size = default_size(pipeline) if size is None else size
    check_settings(seeds, steps=steps, guidance=guidance, negative_prompt=negative_prompt, batch_size=batch_size)
    if not prompts:
        raise ValueError("prompts is empty: give at least one")
    most = pipeline.scheduler.config.num_train_timesteps - 1
    if steps > most:
        raise ValueError(f"steps is {steps}: the pipeline's scheduler has {most:,} at most")
    multiple = size_step(pipeline)
    if size < 1 or size % multiple:
        nearest = multiple * max(1, round(size / multiple))
        raise ValueError(f"image size is {size}: it must be a multiple of {multiple} pixels, such as {nearest}")
    pipeline.set_progress_bar_config(disable=True)
    wanted = [(prompt, seed) for prompt in prompts for seed in seeds]
    batches = [wanted[start : start + batch_size] for start in range(0, len(wanted), batch_size)]
    settings = {"num_inference_steps": steps, "guidance_scale": guidance, "height": size, "width": size}
    return _draw_batches(pipeline, batches, settings, negative_prompt, progress)


def _draw_batches(
    pipeline: StableDiffusionPipeline,
    batches: Sequence[Sequence[tuple[str, int]]],
    settings: dict[str, Any],
    negative_prompt: str | None,
    progress: Callable[[float], object],
) -> Iterator[Drawing]:
    shape = (pipeline.unet.config.in_channels, *[settings["height"] // pipeline.vae_scale_factor] * 2)
    for batch in batches:
        # Each goes on to serve schedulers that add noise at every step.
        generators = [torch.Generator().manual_seed(seed) for _, seed in batch]
        noise = torch.stack([torch.randn(shape, generator=generator) for generator in generators])

        def step_done(_pipeline: Any, _step: int, _time: Any, state: Any, count: int = len(batch)) -> Any:
            progress(count / pipeline.num_timesteps)
            return state

        given: dict[str, Any] = {"latents": noise.to(pipeline.unet.dtype), "callback_on_step_end": step_done}
        with quiet():  # of prompts that are cut
            drawn: Any = pipeline(
                [prompt for prompt, _ in batch],
                negative_prompt=None if negative_prompt is None else [negative_prompt] * len(batch),
                generator=generators,
                output_type="pt",
                **given,
                **settings,
            )
        for image, (prompt, seed) in zip(drawn.images, batch, strict=True):
            if not image.isfinite().all():
                dtype = str(pipeline.unet.dtype).removeprefix("torch.")
                mend = (
                    "use bfloat16 or float32"
                    if dtype == "float16"
                    else "the model, or its LoRA, has diverged: use an earlier one"
                )
                raise ValueError(f"the picture of {prompt!r} with seed {seed} is not finite in {dtype}: {mend}")
            yield Drawing(to_picture(image), prompt, seed)


def size_step(pipeline: StableDiffusionPipeline) -> int:
    """Return what a picture's side must be a multiple of: all that autoencoder and UNet halve, 64 in SD 1.x."""
    return pipeline.vae_scale_factor * 2 ** (len(pipeline.unet.config.block_out_channels) - 1)


def default_size(pipeline: StableDiffusionPipeline) -> int:
    """Return the side in pixels of the pictures that a pipeline's UNet was trained on."""
    return pipeline.unet.config.sample_size * pipeline.vae_scale_factor


def find_cut(pipeline: StableDiffusionPipeline, prompts: Sequence[str]) -> dict[str, str]:
    """Return the prompts that are too long for the text encoder, each with its end that has no effect.

    CLIP's text encoder reads 77 tokens, two of which mark start and end.
    """
    tokenizer = pipeline.tokenizer
    cut = {}
    for prompt in prompts:
        tokens = tokenizer(prompt, add_special_tokens=False, truncation=False, verbose=False).input_ids
        left = tokens[tokenizer.model_max_length - tokenizer.num_special_tokens_to_add() :]
        if left:
            cut[prompt] = tokenizer.decode(left).strip("\ufffd ")  # half a letter may be left at the start
    return cut
