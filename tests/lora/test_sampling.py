"""Oracle: the pipeline of diffusers, called for one picture at a time."""

import numpy as np
import pytest
import torch
from diffusers.schedulers.scheduling_ddpm import DDPMScheduler
from PIL import Image

from sketchloss.diffusion.pipeline import StableDiffusionPipeline, build_tiny
from sketchloss.lora import Drawing, draw, find_cut

PROMPTS = ["a cat", "a dog", "two dogs on a mat"]


@pytest.fixture(scope="module")
def pipeline() -> StableDiffusionPipeline:
    torch.manual_seed(0)
    return build_tiny(PROMPTS, image_size=16)


def pixels(drawings) -> dict[tuple[str, int], np.ndarray]:
    return {(drawing.prompt, drawing.seed): np.asarray(drawing.picture).astype(int) for drawing in drawings}


@pytest.mark.parametrize(("guidance", "negative"), [(1.0, None), (4.0, None), (4.0, "a mat")])
def test_each_is_what_diffusers_draws_alone(pipeline, guidance, negative):
    drawn = list(draw(pipeline, PROMPTS, [8, 0], steps=3, guidance=guidance, negative_prompt=negative, batch_size=4))
    assert [(drawing.prompt, drawing.seed) for drawing in drawn] == [(p, seed) for p in PROMPTS for seed in (8, 0)]
    for drawing in drawn:
        assert isinstance(drawing, Drawing)
        assert (drawing.picture.mode, drawing.picture.size) == ("RGB", (16, 16))
        plain = pipeline(
            drawing.prompt,
            num_inference_steps=3,
            guidance_scale=guidance,
            negative_prompt=negative,
            generator=torch.Generator().manual_seed(drawing.seed),
        ).images[0]
        assert isinstance(plain, Image.Image)
        assert np.abs(np.asarray(drawing.picture).astype(int) - np.asarray(plain)).max() <= 1
    images = list(pixels(drawn).values())
    assert min(np.abs(a - b).max() for a in images for b in images if a is not b) > 1


@pytest.mark.parametrize("noisy", [False, True])
def test_neighbours_and_order_make_no_difference(pipeline, noisy):
    """Also where noise is added at every step."""
    given = pipeline.scheduler
    if noisy:
        pipeline.scheduler = DDPMScheduler.from_config(given.config)
    first = pixels(draw(pipeline, PROMPTS, [0, 1, 2], steps=3, batch_size=4))
    again = pixels(draw(pipeline, PROMPTS[::-1], [2, 5, 0], steps=3, batch_size=1))
    pipeline.scheduler = given
    shared = first.keys() & again.keys()
    assert len(shared) == 6
    for key in shared:
        assert np.abs(first[key] - again[key]).max() <= 1


def test_the_noise_is_of_float32_whatever_the_weights(pipeline):
    """In bfloat16 the picture is that of float32, but for rounding."""
    exact = pixels(draw(pipeline, PROMPTS[:1], [3], steps=3))
    halved = build_tiny(PROMPTS, image_size=16)
    for name in ("unet", "vae", "text_encoder"):
        part = getattr(halved, name)
        part.load_state_dict(getattr(pipeline, name).state_dict())
        part.to(torch.bfloat16)
    rounded = pixels(draw(halved, PROMPTS[:1], [3], steps=3))
    other = pixels(draw(pipeline, PROMPTS[:1], [4], steps=3))
    assert 0 < np.abs(exact["a cat", 3] - rounded["a cat", 3]).mean() < 4
    assert np.abs(exact["a cat", 3] - other["a cat", 4]).mean() > 20


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
def test_a_gpu_draws_what_the_cpu_draws(pipeline):
    expected = pixels(draw(pipeline, PROMPTS[:1], [3], steps=3))
    found = pixels(draw(pipeline.to("cuda"), PROMPTS[:1], [3], steps=3))
    pipeline.to("cpu")
    assert np.abs(expected["a cat", 3] - found["a cat", 3]).mean() < 2


def test_sizes(pipeline):
    (drawing,) = draw(pipeline, ["a cat"], [0], steps=1, size=24)
    assert drawing.picture.size == (24, 24)
    for size, near in ((20, 16), (21, 24), (0, 8), (-8, 8)):
        with pytest.raises(
            ValueError, match=f"image size is {size}: it must be a multiple of 8 pixels, such as {near}$"
        ):
            draw(pipeline, ["a cat"], [0], size=size)


def test_progress_adds_up_to_the_number_of_pictures(pipeline):
    told: list[float] = []
    drawings = draw(pipeline, PROMPTS, [0], steps=4, batch_size=2, progress=told.append)
    seen = [sum(told) for _ in drawings]
    assert seen == pytest.approx([2, 2, 3])
    assert len(told) == 8


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"prompts": []}, "prompts is empty"),
        ({"seeds": []}, "seeds is empty"),
        ({"seeds": [1, -1]}, "seed is -1: it must be at least 0"),
        ({"seeds": [2**63]}, "seed is 9223372036854775808: it must be at least 0 and below"),
        ({"steps": 0}, "steps is 0: it must be at least 1"),
        ({"steps": 1000}, "steps is 1000: the pipeline's scheduler has 999 at most"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"guidance": float("nan")}, "guidance is nan: it must be finite and not negative"),
        ({"guidance": -1.0}, "guidance is -1.0"),
        ({"guidance": 1.0, "negative_prompt": "x"}, "guidance is 1.0, which leaves no use for a negative prompt"),
    ],
)
def test_mistakes_are_named_at_once(pipeline, settings, said):
    with pytest.raises(ValueError, match=said):
        draw(pipeline, **{"prompts": ["a cat"], "seeds": [0], **settings})


def test_what_is_not_finite_is_named(pipeline):
    """A float16 UNet overflows where its attention does; here a weight does it."""
    bias = pipeline.unet.conv_out.bias
    kept = bias.detach().clone()
    try:
        bias.data[0] = float("nan")
        with pytest.raises(
            ValueError, match="the picture of 'a cat' with seed 7 is not finite in float32: the model, or its LoRA"
        ):
            next(draw(pipeline, ["a cat"], [7], steps=1))
    finally:
        bias.data.copy_(kept)


def test_what_is_cut_off_has_no_effect(pipeline, capfd):
    """Drawn with another end, the picture is the same; with another start, it is not."""
    words = ["a", "cat", "and", "a", "dog", "and", "two", "dogs", "on", "a", "mat"]
    longest = max(count for count in range(len(words)) if not find_cut(pipeline, [" ".join(words[:count])]))
    assert 5 < longest < len(words)
    start, prompt = " ".join(words[:longest]), " ".join(words)
    cut = find_cut(pipeline, ["a cat", start, prompt])
    assert list(cut) == [prompt]
    assert cut[prompt] == " ".join(words[longest:])
    other = f"{start} 猫 and more"
    drawn = pixels(draw(pipeline, [prompt, other, f"the {start}"], [0], steps=2))
    assert np.array_equal(drawn[prompt, 0], drawn[other, 0])
    assert not np.array_equal(drawn[prompt, 0], drawn[f"the {start}", 0])
    assert capfd.readouterr() == ("", "")
