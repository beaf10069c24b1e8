"""Which folders and names pass for a base. Oracles: configurations of a real small pipeline, each spoilt in one place.

Weights are empty files here: none may be read before the rest is known to be right.
"""

import json
import re
from pathlib import Path

import pytest
import torch
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from huggingface_hub import constants
from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

from sketchloss.diffusion import bases
from sketchloss.diffusion.arithmetic import cumulative_alphas
from sketchloss.diffusion.bases import DEFAULT_BASE, find_base, weights_variant
from sketchloss.diffusion.pipeline import build_tiny
from sketchloss.diffusion.schedules import noise_schedule

WEIGHTS = ("unet/diffusion_pytorch_model", "vae/diffusion_pytorch_model", "text_encoder/model")


@pytest.fixture(scope="module")
def configurations() -> dict[str, str]:
    pipeline = build_tiny(["a cat"], image_size=16)
    texts = {"model_index.json": pipeline.to_json_string(), "tokenizer/tokenizer.json": "{}"}
    texts["scheduler/scheduler_config.json"] = pipeline.scheduler.to_json_string()
    texts |= {f"{name}/config.json": getattr(pipeline, name).to_json_string() for name in ("unet", "vae")}
    return texts | {"text_encoder/config.json": pipeline.text_encoder.config.to_json_string(use_diff=False)}


@pytest.fixture
def base(configurations, tmp_path) -> Path:
    return write_base(configurations, tmp_path / "base")


def write_base(configurations, folder) -> Path:
    for name, text in configurations.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    for stem in WEIGHTS:
        (folder / f"{stem}.safetensors").touch()
    return folder


def change(path, **values):
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def refusal(base) -> str:
    with pytest.raises((ValueError, FileNotFoundError)) as error:
        find_base(base)
    assert str(base) in str(error.value)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_folder_and_a_run_folder_with_a_model_in_it(base, tmp_path, monkeypatch):
    assert find_base(base) == find_base(str(base)) == base
    run = tmp_path / "run"
    run.mkdir()
    (run / "config.json").write_text("{}")
    base.rename(run / "model")
    assert find_base(run) == run / "model"
    monkeypatch.chdir(tmp_path)
    assert find_base("run/model") == Path("run/model")


def test_the_one_in_the_package_is_found_or_said_to_be_missing(base, monkeypatch):
    monkeypatch.setattr(bases, "bundled_folder", lambda name: base.parent / name)
    message = refusal("tiny")
    assert "reinstall it, or make one with `sketchloss lora base --out RUN`" in message
    base.rename(base.parent / "tiny")
    assert find_base("tiny") == base.parent / "tiny"


def test_paths_that_are_not_there(tmp_path):
    for path in (tmp_path / "gone", "./gone", "gone", "a/b/c", tmp_path / "a" / "b"):
        assert "does not exist: give 'tiny', a folder saved by diffusers, or a name of the hub" in refusal(path)


def test_a_single_file_is_told_how_to_become_a_folder(tmp_path):
    path = tmp_path / "v1-5-pruned.safetensors"
    path.touch()
    assert f"from_single_file({str(path)!r}).save_pretrained(FOLDER), and give FOLDER" in refusal(path)


def test_a_folder_of_something_else(tmp_path, base):
    assert "holds no model_index.json: give a folder that a StableDiffusionPipeline" in refusal(tmp_path)
    for text in ("", "[]", '{"_class', "[" * 100_000, '{"a":' * 100_000):
        (base / "model_index.json").write_text(text)
        assert "model_index.json is" in refusal(base)


@pytest.mark.parametrize(
    "kind",
    ["StableDiffusionXLPipeline", "StableDiffusion3Pipeline", "FluxPipeline", "StableDiffusionInpaintPipeline", None],
)
def test_other_pipelines(base, kind):
    change(base / "model_index.json", _class_name=kind)
    assert f"is a {kind}: only Stable Diffusion 1.x and 2.x (StableDiffusionPipeline) will do" in refusal(base)


@pytest.mark.parametrize(
    ("file", "values", "reason"),
    [
        ("model_index", {"unet": ["my_code", "MyUNet"]}, "has a MyUNet as its unet: only a UNet2DConditionModel"),
        ("model_index", {"vae": [None, None]}, "has a None as its vae"),
        ("unet/config", {"in_channels": 9}, "has in_channels=9 for latents of 4 channels: models for inpainting"),
        ("unet/config", {"out_channels": 8}, "has out_channels=8 for latents of 4 channels"),
        ("vae/config", {"latent_channels": 16}, "has in_channels=4 for latents of 16 channels"),
        ("unet/config", {"class_embed_type": "timestep"}, "class_embed_type='timestep': give a model that takes"),
        ("unet/config", {"num_class_embeds": 1000}, "has num_class_embeds=1000"),
        ("unet/config", {"addition_embed_type": "text_time"}, "has addition_embed_type='text_time'"),
        ("unet/config", {"cross_attention_dim": 1024}, "unet takes texts of 1024 channels, its text_encoder gives 96"),
        ("unet/config", {"layers_per_block": 10**9}, "layers_per_block is 1000000000: it must be a whole number"),
        ("unet/config", {"block_out_channels": [32, "a"]}, "block_out_channels is [32, 'a']: it must be a whole"),
        ("text_encoder/config", {"num_hidden_layers": -1}, "num_hidden_layers is -1: it must be a whole number"),
        ("scheduler/scheduler_config", {"num_train_timesteps": 10**10}, "num_train_timesteps is 10000000000: it must"),
        ("scheduler/scheduler_config", {"prediction_type": "sample"}, "predicts 'sample': only epsilon and v_"),
        ("scheduler/scheduler_config", {"rescale_betas_zero_snr": True}, "its last step has no signal"),
        (
            "scheduler/scheduler_config",
            {"_class_name": "FlowMatchEulerDiscreteScheduler"},
            "its scheduler is a FlowMatchEulerDiscreteScheduler: one of noise or velocity is needed",
        ),
        ("scheduler/scheduler_config", {"beta_schedule": "wavy"}, "wavy"),
        ("scheduler/scheduler_config", {"num_train_timesteps": "many"}, "will not do"),
        ("vae/config", {"shift_factor": 0.1}, "has shift_factor=0.1, which StableDiffusionPipeline passes over"),
        ("scheduler/scheduler_config", {"_class_name": "system"}, "its scheduler is a system"),
    ],
)  # fmt: skip
def test_parts_that_will_not_do(base, file, values, reason):
    change(base / f"{file}.json", **values)
    assert reason in refusal(base)


def test_missing_and_damaged_configurations(base):
    path = base / "unet" / "config.json"
    path.write_text(path.read_text()[:40])
    assert "unet/config.json is missing or damaged" in refusal(base)
    path.unlink()
    assert "unet/config.json is missing or damaged" in refusal(base)


def test_weights_are_safetensors_in_one_file_or_several_in_either_precision(base):
    assert weights_variant(base, base) is None
    (base / "unet" / "diffusion_pytorch_model.safetensors").rename(
        base / "unet" / "diffusion_pytorch_model.safetensors.index.json"
    )
    assert weights_variant(base, base) is None
    for stem in WEIGHTS:
        (base / f"{stem}.fp16.safetensors").touch()
    assert weights_variant(base, base) is None
    (base / "unet" / "diffusion_pytorch_model.safetensors.index.json").unlink()
    assert weights_variant(base, base) == "fp16"
    assert find_base(base) == base
    (base / "vae" / "diffusion_pytorch_model.fp16.safetensors").unlink()
    assert "has no unet/diffusion_pytorch_model.safetensors: fetch or copy" in refusal(base)


def test_pickles_are_refused(base):
    (base / "vae" / "diffusion_pytorch_model.safetensors").rename(base / "vae" / "diffusion_pytorch_model.bin")
    assert "has the weights of its vae as a pickle, which may hold code" in refusal(base)


def test_the_noise_for_training_keeps_its_schedule_whatever_samples_from_it():
    settings = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
    times = torch.arange(1000)
    for kind in ("DDIMScheduler", "PNDMScheduler", "EulerDiscreteScheduler", "UniPCMultistepScheduler"):
        plain = noise_schedule({"_class_name": kind, **settings})
        assert torch.equal(cumulative_alphas(plain, times), DDIMScheduler(**settings).alphas_cumprod)  # pyright: ignore
        velocity = settings | {"prediction_type": "v_prediction", "rescale_betas_zero_snr": True}
        zero = cumulative_alphas(noise_schedule({"_class_name": kind, **velocity}), times)
        assert torch.equal(zero, DDIMScheduler(**velocity).alphas_cumprod)  # pyright: ignore[reportArgumentType]
        assert zero[-1] == 0 < zero[-2]


# The hub, with its own client, which the tests keep off the network -------------------------------------------------


def test_a_name_in_the_cache_is_found_without_a_network(configurations):
    place = Path(constants.HF_HUB_CACHE) / "models--someone--small"
    (place / "refs").mkdir(parents=True, exist_ok=True)
    (place / "refs" / "main").write_text("0" * 40)
    folder = write_base(configurations, place / "snapshots" / ("0" * 40))
    assert find_base("someone/small") == folder


def test_a_hub_out_of_reach_is_told_with_a_way_on():
    message = refusal("nobody/nothing")
    assert "the hub cannot be reached" in message
    assert "run `hf download nobody/nothing --local-dir FOLDER` and give FOLDER" in message
    with pytest.raises(ValueError, match=re.escape("'no body/no~thing' is no name of the hub")):
        find_base("no body/no~thing")


@pytest.fixture
def hub(base, monkeypatch):
    """A hub that holds the base, and what was asked of it."""
    asked: list[str] = []

    def one_file(name, file):
        asked.append(file)
        return str(base / file)

    def several(name, allow_patterns):
        asked.extend(allow_patterns)
        return str(base)

    monkeypatch.setattr(bases, "hf_hub_download", one_file)
    monkeypatch.setattr(bases, "snapshot_download", several)
    return asked


def test_nothing_large_is_fetched_for_a_wrong_base(hub, base):
    change(base / "model_index.json", _class_name="FluxPipeline")
    assert "owner/flux is a FluxPipeline" in refusal("owner/flux")
    assert hub == ["model_index.json"]
    hub.clear()
    change(base / "model_index.json", _class_name="StableDiffusionPipeline")
    change(base / "unet" / "config.json", in_channels=9)
    assert "in_channels=9" in refusal("owner/inpainting")
    assert not any("safetensors" in pattern for pattern in hub)


def test_what_is_fetched_of_a_right_base(hub, base):
    assert find_base(DEFAULT_BASE) == base
    weights = [Path(pattern).name for pattern in hub if "safetensors" in pattern]
    assert "diffusion_pytorch_model.safetensors" in weights
    large = {pattern for pattern in hub if "safetensors" in pattern}
    fits = lambda name: any(Path(name).match(pattern) for pattern in large)  # noqa: E731
    assert all(fits(f"{stem}.safetensors") for stem in WEIGHTS)
    assert fits("unet/diffusion_pytorch_model-00001-of-00002.safetensors")
    assert not fits("unet/diffusion_pytorch_model.fp16.safetensors")
    assert not fits("unet/diffusion_pytorch_model.non_ema.safetensors")
    assert not fits("unet/diffusion_pytorch_model.bin")
    assert not fits("safety_checker/model.safetensors")
    assert not fits("v1-5-pruned.safetensors")


def test_float16_is_fetched_where_there_is_nothing_else(hub, base):
    stems = {"unet": "diffusion_pytorch_model", "vae": "diffusion_pytorch_model", "text_encoder": "model"}
    for part, stem in stems.items():
        (base / part / f"{stem}.safetensors").rename(base / part / f"{stem}.fp16.safetensors")
    assert find_base("owner/half") == base
    assert any(Path("unet/diffusion_pytorch_model.fp16.safetensors").match(pattern) for pattern in hub)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (EntryNotFoundError("404"), "has no model_index.json on the hub"),
        (LocalEntryNotFoundError("offline"), "the hub cannot be reached"),
        (OSError(28, "No space left on device"), "could not be fetched: .*No space left on device"),
        (RuntimeError("one\ntwo" + 300 * "x"), "could not be fetched: one two"),
    ],
)
def test_refusals_of_the_hub_are_one_line(monkeypatch, error, reason):
    def refuse(*_, **__):
        raise error

    monkeypatch.setattr(bases, "hf_hub_download", refuse)
    message = refusal("owner/name")
    assert re.search(reason, message)
    assert len(message) < 600
