"""Oracles: the formula by hand; plain diffusers, in a process that knows nothing of this package."""

import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from diffusers.models.attention_processor import Attention
from diffusers.utils.state_dict_utils import convert_state_dict_to_diffusers
from peft import LoraConfig, get_peft_model_state_dict
from safetensors.torch import load_file, save_file
from torch import nn

from child_process import finished
from sketchloss.diffusion.pipeline import StableDiffusionPipeline, build_tiny, load_text_to_image, save_pipeline
from sketchloss.lora import add_lora, draw, find_lora, load_lora, merge_lora, read_about, save_lora
from sketchloss.networks.weights import bundled_folder

FILE = "pytorch_lora_weights.safetensors"
PLAIN = """
import sys, warnings
import numpy as np, torch
from diffusers import StableDiffusionPipeline

torch.set_num_threads(1)
base, out, *jobs = sys.argv[1:]
pictures = {}
for job in jobs:
    kind, _, folder = job.partition("=")
    pipeline = StableDiffusionPipeline.from_pretrained(folder if kind == "merged" else base)
    if kind == "lora":
        pipeline.load_lora_weights(folder)
    pipeline.set_progress_bar_config(disable=True)
    chance = torch.Generator().manual_seed(3)
    pictures[job] = pipeline("a cat", num_inference_steps=3, generator=chance, output_type="np").images[0]
np.savez(out, **pictures)
assert not [name for name in sys.modules if name.startswith("sketchloss")]
"""


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> Path:
    """A pipeline's folder, random, in float32."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("pipelines") / "base"
    save_pipeline(build_tiny(["a cat", "a dog"], image_size=16), folder, dtype=torch.float32)
    return folder


@pytest.fixture
def pipeline(base) -> StableDiffusionPipeline:
    return load_text_to_image(base)


def trained(pipeline: StableDiffusionPipeline, **settings) -> StableDiffusionPipeline:
    """A pipeline with a LoRA whose B is not zero."""
    chance = torch.Generator().manual_seed(5)
    for parameter in add_lora(pipeline.unet, **{"rank": 3, "seed": 1, **settings}):
        parameter.data = 0.3 * torch.randn(parameter.shape, generator=chance)
    return pipeline


@torch.no_grad()
def output(pipeline: StableDiffusionPipeline) -> torch.Tensor:
    """What depends on all of UNet and text encoder."""
    chance = torch.Generator().manual_seed(9)
    latents = torch.randn(2, 4, 4, 4, generator=chance)
    text = pipeline.text_encoder(pipeline.tokenizer(["a cat", "a dog"], return_tensors="pt").input_ids)[0]
    return pipeline.unet(latents, 300, text).sample


def picture(pipeline: StableDiffusionPipeline) -> np.ndarray:
    pipeline.set_progress_bar_config(disable=True)
    chance = torch.Generator().manual_seed(3)
    return pipeline("a cat", num_inference_steps=3, generator=chance, output_type="np").images[0]


# Training ------------------------------------------------------------------------------------------------------------


def test_a_new_adapter_changes_nothing_and_is_all_that_is_trained(pipeline):
    before = output(pipeline)
    parameters = add_lora(pipeline.unet, rank=2, seed=0)
    assert torch.equal(output(pipeline), before)
    pipeline.unet(torch.randn(1, 4, 4, 4), 5, torch.randn(1, 6, 96)).sample.square().mean().backward()
    named = {name: parameter for name, parameter in pipeline.unet.named_parameters() if parameter.requires_grad}
    assert [id(parameter) for parameter in named.values()] == [id(parameter) for parameter in parameters]
    assert all(parameter.grad is None for parameter in pipeline.unet.parameters() if not parameter.requires_grad)
    for name, parameter in named.items():  # the derivative by A has B, which is zero, as a factor
        assert (parameter.grad.abs().max() > 0) == ("lora_B" in name)


@pytest.mark.parametrize("targets", ["attention", "attention+feedforward", "all"])
def test_which_layers_are_adapted(pipeline, targets):
    layers = {
        name: module for name, module in pipeline.unet.named_modules() if isinstance(module, nn.Linear | nn.Conv2d)
    }
    attentions = [module for module in pipeline.unet.modules() if isinstance(module, Attention)]
    inside = [module for attention in attentions for module in attention.modules() if isinstance(module, nn.Linear)]
    expected = {
        "attention": {name for name, layer in layers.items() if layer in inside},
        "attention+feedforward": {name for name, layer in layers.items() if layer in inside or ".ff." in name},
        "all": {name for name in layers if name.startswith(("down_blocks", "mid_block", "up_blocks"))},
    }
    add_lora(pipeline.unet, rank=1, targets=targets, seed=0)
    adapted = {name.partition(".lora_A.")[0] for name, _ in pipeline.unet.named_parameters() if ".lora_A." in name}
    assert adapted == expected[targets]


def test_the_formula(pipeline):
    """(W + alpha / rank · B A) x, for a matrix and for a convolution of stride 2, whose A has its window."""
    trained(pipeline, alpha=5, targets="all")
    layer = pipeline.unet.get_submodule("mid_block.attentions.0.transformer_blocks.0.attn2.to_k")
    down, up = layer.lora_A.default.weight, layer.lora_B.default.weight
    inputs = torch.randn(2, 6, 96)
    expected = F.linear(inputs, layer.base_layer.weight + 5 / 3 * up @ down)
    assert torch.allclose(layer(inputs), expected, atol=1e-5)
    layer = pipeline.unet.get_submodule("down_blocks.0.downsamplers.0.conv")
    down, up = layer.lora_A.default.weight, layer.lora_B.default.weight
    weight = layer.base_layer.weight + 5 / 3 * torch.einsum("or,rihw->oihw", up[..., 0, 0], down)
    images = torch.randn(2, 64, 4, 4)
    expected = F.conv2d(images, weight, layer.base_layer.bias, stride=2, padding=1)
    assert torch.allclose(layer(images), expected, atol=1e-4)


def test_the_start_follows_from_the_seed_alone(base):
    def start(seed: int, dtype: torch.dtype = torch.float32, noise: int = 0) -> list[torch.Tensor]:
        torch.manual_seed(noise)
        before = torch.get_rng_state()
        unet = load_text_to_image(base, dtype=dtype).unet
        torch.set_rng_state(before)
        parameters = add_lora(unet, rank=4, seed=seed)
        assert torch.equal(torch.get_rng_state(), before)
        return [parameter.detach() for parameter in parameters]

    first, again, other = start(1), start(1, torch.bfloat16, noise=7), start(2)
    assert all(map(torch.equal, first, again))
    assert not torch.equal(first[0], other[0])
    downs = torch.cat([parameter.flatten() for parameter in first[::2]])
    assert downs.std().item() == pytest.approx(1 / 4, rel=0.02)
    assert downs.mean().item() == pytest.approx(0, abs=0.005)
    assert all(parameter.dtype == torch.float32 for parameter in again)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("halved", ["weights", "autocast"])
def test_frozen_weights_may_be_of_half_precision(base, pipeline, dtype, halved):
    """The gradient is that of float32, but for rounding."""

    def gradient(unet: nn.Module, inputs: torch.Tensor, text: torch.Tensor) -> torch.Tensor:
        parameters = add_lora(unet, rank=2, seed=0)
        torch.nn.init.normal_(parameters[1], std=0.1, generator=torch.Generator().manual_seed(2))
        unet(inputs, 5, text).sample.float().square().mean().backward()
        assert {parameter.grad.dtype for parameter in parameters} == {torch.float32}
        return torch.cat([parameter.grad.flatten() for parameter in parameters])

    chance = torch.Generator().manual_seed(4)
    inputs, text = torch.randn(1, 4, 4, 4, generator=chance), torch.randn(1, 6, 96, generator=chance)
    exact = gradient(pipeline.unet, inputs, text)
    unet = load_text_to_image(base, dtype=dtype if halved == "weights" else torch.float32).unet
    with torch.autocast("cpu", dtype, enabled=halved == "autocast"):
        given = (inputs.to(dtype), text.to(dtype)) if halved == "weights" else (inputs, text)
        rounded = gradient(unet, *given)
    assert torch.cosine_similarity(exact, rounded, dim=0) > 0.99
    assert not torch.equal(exact, rounded)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"rank": 0}, "rank is 0: it must be at least 1"),
        ({"rank": 2, "alpha": 0}, "alpha is 0: it must be above 0"),
        ({"rank": 2, "alpha": float("nan")}, "alpha is nan"),
    ],
)
def test_settings_out_of_range(pipeline, settings, said):
    with pytest.raises(ValueError, match=said):
        add_lora(pipeline.unet, **settings, seed=0)
    assert all(parameter.requires_grad for parameter in pipeline.unet.parameters())


def test_one_adapter_is_enough(pipeline):
    add_lora(pipeline.unet, rank=1, seed=0)
    with pytest.raises(ValueError, match="has a LoRA already"):
        add_lora(pipeline.unet, rank=1, seed=0)


# Files ---------------------------------------------------------------------------------------------------------------


def test_plain_diffusers_draws_the_same(base, tmp_path):
    """With the file, and with the folder of the merged weights; alpha is not the rank."""
    expected = {f"base={base}": picture(load_text_to_image(base))}
    for targets in ("attention", "all"):
        pipeline = trained(load_text_to_image(base), alpha=7, targets=targets)
        save_lora(pipeline.unet, tmp_path / targets, about={"base": "x"})
        expected[f"lora={tmp_path / targets}"] = picture(pipeline)
        merge_lora(pipeline)
        save_pipeline(pipeline, tmp_path / f"merged {targets}", dtype=torch.float32)
        expected[f"merged={tmp_path / f'merged {targets}'}"] = expected[f"lora={tmp_path / targets}"]
    command = [sys.executable, "-c", PLAIN, str(base), str(tmp_path / "drawn.npz"), *expected]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = finished(command, check=True, seconds=300, env=environment)
    assert "unexpected keys" not in done.stderr
    drawn = np.load(tmp_path / "drawn.npz")
    for job, image in expected.items():
        assert np.abs(drawn[job] - image).max() < 1e-4, job
    distinct = [expected[job] for job in expected if not job.startswith("merged")]
    assert min(np.abs(a - b).mean() for a in distinct for b in distinct if a is not b) > 0.02


def test_saved_and_loaded(base, pipeline, tmp_path):
    expected = output(trained(pipeline, alpha=7))
    about = {"base": "sd/x", "prompt": "une tasse de thé 猫"}
    assert save_lora(pipeline.unet, tmp_path / "run" / "lora", about=about) == tmp_path / "run" / "lora" / FILE
    for path in (tmp_path / "run", tmp_path / "run" / "lora", tmp_path / "run" / "lora" / FILE):
        assert read_about(path) == about
        opened = load_text_to_image(base)
        load_lora(opened, path)
        assert torch.allclose(output(opened), expected, atol=1e-6)
    save_lora(opened.unet, tmp_path / "again", about={}, dtype=torch.float16)
    first, second = (load_file(folder / FILE) for folder in (tmp_path / "run" / "lora", tmp_path / "again"))
    assert {name: tensor.half() for name, tensor in first.items()}.keys() == second.keys()
    assert all(torch.equal(tensor.half(), second[name]) for name, tensor in first.items())


def test_a_full_disk_leaves_the_earlier_file(pipeline, tmp_path, small_disk):
    trained(pipeline)
    save_lora(pipeline.unet, tmp_path, about={})
    before = (tmp_path / FILE).read_bytes()
    for parameter in pipeline.unet.parameters():
        parameter.data += 1
    with small_disk(len(before) // 2), pytest.raises(OSError, match="File too large"):
        save_lora(pipeline.unet, tmp_path, about={})
    assert [path.name for path in tmp_path.iterdir()] == [FILE]
    assert (tmp_path / FILE).read_bytes() == before


def test_what_cannot_be_saved(pipeline, tmp_path):
    with pytest.raises(ValueError, match="the UNet has 0 LoRAs"):
        save_lora(pipeline.unet, tmp_path, about={})
    parameters = add_lora(pipeline.unet, rank=1, seed=0)
    parameters[1].data += 1e5
    with pytest.raises(
        ValueError, match=r"1 tensors are not finite in torch.float16, first unet.down_blocks.0.*lora_B"
    ):
        save_lora(pipeline.unet, tmp_path, about={}, dtype=torch.float16)
    assert list(tmp_path.iterdir()) == []


# On a pipeline -------------------------------------------------------------------------------------------------------


def test_scale(base, pipeline, tmp_path):
    """As B times the scale."""
    plain = output(pipeline)
    trained(pipeline)
    save_lora(pipeline.unet, tmp_path, about={})
    for scale in (0.0, -0.5, 1.6):
        by_hand = trained(load_text_to_image(base))
        for name, parameter in by_hand.unet.named_parameters():
            if ".lora_B." in name:
                parameter.data *= scale
        opened = load_text_to_image(base)
        load_lora(opened, tmp_path, scale=scale)
        assert torch.allclose(output(opened), output(by_hand), atol=1e-5)
        merge_lora(opened)
        assert torch.allclose(output(opened), output(by_hand), atol=1e-5)
        assert torch.allclose(output(opened), plain, atol=1e-5) == (scale == 0)


def test_merged_weights_need_no_adapter(pipeline):
    names = list(pipeline.unet.state_dict())
    expected = output(trained(pipeline, alpha=2, targets="all"))
    merge_lora(pipeline)
    assert torch.allclose(output(pipeline), expected, atol=1e-5)
    assert list(pipeline.unet.state_dict()) == names
    with pytest.raises(ValueError, match="no LoRA to merge"):
        merge_lora(pipeline)


@pytest.mark.parametrize("with_unet", [True, False])
def test_a_lora_of_the_text_encoder(base, pipeline, tmp_path, with_unet):
    """As diffusers' own training script writes it; plain diffusers opens it beside ours."""
    layers = {}
    if with_unet:
        trained(pipeline)
        layers["unet_lora_layers"] = convert_state_dict_to_diffusers(get_peft_model_state_dict(pipeline.unet))
    pipeline.text_encoder.add_adapter(LoraConfig(r=2, init_lora_weights=False, target_modules=["q_proj", "out_proj"]))
    text = convert_state_dict_to_diffusers(get_peft_model_state_dict(pipeline.text_encoder))
    pipeline.save_lora_weights(tmp_path, text_encoder_lora_layers=text, **layers)
    plain, opened = load_text_to_image(base), load_text_to_image(base)
    before = output(plain)
    plain.load_lora_weights(tmp_path)
    load_lora(opened, tmp_path)
    assert torch.equal(output(opened), output(plain))
    assert not torch.allclose(output(opened), before, atol=1e-3)
    merge_lora(opened)
    assert torch.allclose(output(opened), output(plain), atol=1e-5)


def test_a_file_in_the_names_of_other_programs(base, pipeline, tmp_path):
    """Kohya's, with its alphas; and diffusers' older names for a part of the layers."""
    trained(pipeline, alpha=6)
    expected = output(pipeline)
    tensors = load_file(save_lora(pipeline.unet, tmp_path, about={}))
    kohya = {}
    for name, tensor in tensors.items():
        layer, _, which = name.removeprefix("unet.").removesuffix(".weight").rpartition(".")
        stem = "lora_unet_" + layer.replace(".", "_")
        kohya[f"{stem}.{'lora_down' if which == 'lora_A' else 'lora_up'}.weight"] = tensor
        kohya[f"{stem}.alpha"] = torch.tensor(6.0)
    save_file(kohya, tmp_path / "kohya.safetensors")
    opened = load_text_to_image(base)
    load_lora(opened, tmp_path / "kohya.safetensors")
    assert torch.allclose(output(opened), expected, atol=1e-5)

    pipeline = trained(load_text_to_image(base), targets="all")
    mixed = convert_state_dict_to_diffusers(get_peft_model_state_dict(pipeline.unet))
    assert {"lora_A" in name for name in mixed} == {True, False}
    pipeline.save_lora_weights(tmp_path / "mixed", unet_lora_layers=mixed)
    opened = load_text_to_image(base)
    load_lora(opened, tmp_path / "mixed")
    assert torch.allclose(output(opened), output(pipeline), atol=1e-5)


def test_what_is_no_lora_for_the_pipeline(base, pipeline, tmp_path, capfd):
    """Each in one line; the pipeline stays as it was."""
    trained(pipeline)
    good = load_file(save_lora(pipeline.unet, tmp_path / "good", about={"base": "sd/other"}))
    key = "unet.mid_block.attentions.0.transformer_blocks.0.attn2.to_k.lora_A.weight"
    wide = {**good, key: torch.zeros(3, 768)}
    metadata = {
        "lora_adapter_metadata": json.dumps({"unet.r": 5, "unet.lora_alpha": 3, "unet.target_modules": ["to_q"]})
    }
    files = {
        "wide": (wide, {"sketchloss.base": "sd/wide"}),
        "flux": ({f"transformer.{name}": tensor for name, tensor in good.items()}, None),
        "deep": ({name.replace("blocks.0", "blocks.8"): tensor for name, tensor in good.items()}, None),
        "text": ({name.replace("unet.", "text_encoder."): tensor for name, tensor in good.items()}, None),
        "ranks": ({**good, key: torch.zeros(5, 96)}, None),
        "settings": (good, metadata),
        "scalar": ({**good, key: torch.tensor(1.0)}, None),
        "row": ({**good, key: torch.ones(96)}, None),
        "alone": ({name: tensor for name, tensor in good.items() if "lora_A" in name}, None),
        "rankless": ({**good, key: torch.zeros(0, 96)}, None),
        "nan": ({**good, key: good[key] * float("nan")}, None),
        "whole": ({**good, key: good[key].int()}, None),
        "nested": (good, {"lora_adapter_metadata": "[" * 100_000}),
        "backbone": (load_file(bundled_folder("sketch") / "model.safetensors"), None),
        "empty": ({}, None),
    }
    for name, (tensors, about) in files.items():
        save_file(tensors, tmp_path / f"{name}.safetensors", metadata=about)
    content = (tmp_path / "good" / FILE).read_bytes()
    (tmp_path / "cut.safetensors").write_bytes(content[:9000])
    (tmp_path / "text.txt").write_text("a LoRA")
    (tmp_path / "pickled").mkdir()
    (tmp_path / "pickled" / "pytorch_lora_weights.bin").write_bytes(b"cos\nsystem\n")
    (tmp_path / "lora.ckpt").write_bytes(b"cos\nsystem\n")
    (tmp_path / "nothing").mkdir()
    opened = load_text_to_image(base)
    before = output(opened)
    for name, said in {
        "gone": r"gone does not exist: give a LoRA file",
        "nothing": r"nothing holds no pytorch_lora_weights.safetensors",
        "pickled": r"pytorch_lora_weights.bin is a pickle, which may hold code: refused",
        "lora.ckpt": r"lora.ckpt is a pickle",
        "cut.safetensors": r"cut.safetensors is no whole safetensors file \(.*\): fetch or copy it again",
        "text.txt": r"text.txt is no whole safetensors file",
        "empty.safetensors": r"empty.safetensors holds no LoRA \(it is empty\)",
        "backbone.safetensors": r"backbone.safetensors holds no LoRA \(it holds [a-z0-9.]*features",
        "wide.safetensors": r"wide.safetensors is a LoRA of another model \(sd/wide\): its .*attn2.to_k takes 768 "
        rf"values and gives 96, that of {base} takes 96 and gives 96",
        "flux.safetensors": rf"another model: it changes 'transformer', which {base} does not have",
        "deep.safetensors": r"another model: it changes .*_blocks.8.*, which .*base does not have",
        "text.safetensors": r"text.safetensors names the layers of its text_encoder in no known way",
        "ranks.safetensors": r"ranks.safetensors cannot be put on .*base",
        "scalar.safetensors": r"another model: its .*attn2.to_k has no pair of matrices, but \(\) and \(96, 3\)",
        "row.safetensors": r"its .*attn2.to_k has no pair of matrices, but \(96,\) and \(96, 3\)",
        "alone.safetensors": r"has no pair of matrices, but \(3, 64\) and nothing",
        "rankless.safetensors": r"has no pair of matrices, but \(0, 96\) and \(96, 3\)",
        "settings.safetensors": r"settings.safetensors cannot be put on .*base",
        "nan.safetensors": r"nan.safetensors: tensor .*to_k.* holds nan: weights must be finite",
        "whole.safetensors": r"whole.safetensors: tensor .*to_k.* is of torch.int32: it must be of floats",
        "nested.safetensors": r"nested.safetensors is no LoRA for Stable Diffusion \(.*recursion",
    }.items():
        with pytest.raises(ValueError, match=said) as raised:
            load_lora(opened, tmp_path / name)
        assert "\n" not in str(raised.value)
        assert not hasattr(opened.unet, "peft_config")
    for unet_file in (base / "unet").glob("*.safetensors"):
        with pytest.raises(ValueError, match="holds no LoRA"):
            load_lora(opened, unet_file)
    assert torch.equal(output(opened), before)
    with pytest.raises(ValueError, match="scale is inf"):
        load_lora(opened, tmp_path / "good", scale=float("inf"))
    load_lora(opened, tmp_path / "good")
    with pytest.raises(ValueError, match="has a LoRA already"):
        load_lora(opened, tmp_path / "good")
    assert capfd.readouterr() == ("", "")


def test_the_file_of_a_folder_comes_before_that_of_its_lora(pipeline, tmp_path):
    trained(pipeline)
    save_lora(pipeline.unet, tmp_path / "lora", about={})
    assert find_lora(tmp_path) == tmp_path / "lora" / FILE
    save_lora(pipeline.unet, tmp_path, about={})
    assert find_lora(tmp_path) == tmp_path / FILE


def test_drawing_with_a_loaded_lora(base, pipeline, tmp_path):
    trained(pipeline)
    save_lora(pipeline.unet, tmp_path, about={})
    opened = load_text_to_image(base)
    load_lora(opened, tmp_path)
    (drawing,) = draw(opened, ["a cat"], [3], steps=3)
    assert np.abs(np.asarray(drawing.picture) / 255 - picture(pipeline)).max() < 0.51 / 255
