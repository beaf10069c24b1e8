"""Building, saving, opening. Oracles: diffusers' own opening and prompt encoding, the weights that were saved."""

import shutil
from pathlib import Path

import pytest
import torch
from diffusers.schedulers.scheduling_euler_discrete import EulerDiscreteScheduler
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from sketchloss.data.captions.prompts import imagenet_names, make_prompts, readable
from sketchloss.data.doodles.kinds import KINDS
from sketchloss.diffusion import pipeline as module
from sketchloss.diffusion.arithmetic import cumulative_alphas
from sketchloss.diffusion.pipeline import (
    build_tiny,
    build_tokenizer,
    load_text_to_image,
    save_pipeline,
    tokenize,
    training_scheduler,
)
from sketchloss.diffusion.quiet import StableDiffusionPipeline

NETWORKS = ("unet", "vae", "text_encoder")
PROMPTS = make_prompts(KINDS)


@pytest.fixture(scope="module")
def tiny() -> StableDiffusionPipeline:
    torch.manual_seed(0)
    return build_tiny(PROMPTS, image_size=16)


@pytest.fixture(scope="module")
def saved(tiny, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("saved") / "model"
    save_pipeline(tiny, folder, dtype=torch.float32)
    return folder


@pytest.fixture
def folder(saved, tmp_path) -> Path:
    """A copy to spoil."""
    return Path(shutil.copytree(saved, tmp_path / "model"))


def weights(pipeline) -> dict[str, torch.Tensor]:
    return {
        f"{part}.{name}": tensor for part in NETWORKS for name, tensor in getattr(pipeline, part).state_dict().items()
    }


def same(one, other) -> bool:
    a, b = weights(one), weights(other)
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


# Building ------------------------------------------------------------------------------------------------------------


def test_the_small_model_keeps_its_make():
    """Golden: saved models depend on it. Counted when the recipe was first run."""
    pipeline = build_tiny(["a"], image_size=64)
    counts = [sum(tensor.numel() for tensor in getattr(pipeline, part).parameters()) for part in NETWORKS[:2]]
    assert counts == [2_802_404, 835_047]
    assert (pipeline.unet.config.sample_size, pipeline.vae_scale_factor, pipeline.vae.config.latent_channels) == (
        16,
        4,
        4,
    )


def test_it_draws_at_its_size_the_same_for_the_same_seed(tiny):
    def draw(prompt, seed):
        chance = torch.Generator().manual_seed(seed)
        return tiny(prompt, num_inference_steps=2, generator=chance, output_type="pt").images

    tiny.set_progress_bar_config(disable=True)
    first = draw("a sketch of a cat", 0)
    assert first.shape == (1, 3, 16, 16)
    assert torch.equal(first, draw("a sketch of a cat", 0))
    assert not torch.equal(first, draw("a sketch of a cat", 1))
    assert not torch.equal(first, draw("a sketch of a house", 0))


@pytest.mark.parametrize("image_size", [0, -16, 8, 40])
def test_other_sizes_are_refused(image_size):
    with pytest.raises(ValueError, match=f"image_size is {image_size}: the tiny model takes multiples of 16"):
        build_tiny(PROMPTS, image_size=image_size)


# Tokens --------------------------------------------------------------------------------------------------------------


def words(tokenizer, text) -> list[int]:
    return tokenizer(text, add_special_tokens=False).input_ids


def test_every_letter_of_any_script_is_known(tiny):
    end = tiny.tokenizer.eos_token_id
    assert tiny.tokenizer.unk_token_id == tiny.tokenizer.pad_token_id == end
    for start in (*range(0x21, 0x3000, 0x400), 0x4E00, 0xAC00, 0x1F600, 0x10FF00):
        for letter in map(chr, range(start, start + 32)):
            assert end not in words(tiny.tokenizer, letter), f"U+{ord(letter):X}"


@settings(deadline=None)
@given(text=st.text("abcxyz éßñжλ漢字🙂!?.,-'\"&0189", max_size=40))
def test_no_text_is_unknown_and_it_comes_back(tiny, text):
    tokens = words(tiny.tokenizer, text)
    assert not {tiny.tokenizer.eos_token_id, tiny.tokenizer.bos_token_id} & set(tokens)
    back = tiny.tokenizer.decode(tokens)
    assert "".join(back.split()) == "".join(text.split())  # spaces are put about signs


@given(text=st.lists(st.sampled_from([*map(readable, KINDS), "Zebra", "QUILT", "a", "of"]), max_size=4).map(" ".join))
def test_prompts_come_back_in_small_letters(tiny, text):
    assert tiny.tokenizer.decode(words(tiny.tokenizer, text)).strip() == text.lower()


def test_what_was_learnt_takes_one_token_a_word_and_fits(tiny):
    for prompt in PROMPTS:
        assert len(words(tiny.tokenizer, prompt)) == len(prompt.split())
    frame = tiny.tokenizer("a sketch of a cat").input_ids
    assert (frame[0], frame[-1]) == (tiny.tokenizer.bos_token_id, tiny.tokenizer.eos_token_id)


def test_the_same_texts_give_the_same_tokenizer():
    names = list(imagenet_names().values())  # many pairs in them are equally common
    few, many, again = (build_tokenizer(names, merges=merges) for merges in (10, 600, 600))
    assert many.backend_tokenizer.to_str() == again.backend_tokenizer.to_str()
    assert 2 * 256 + 10 <= len(few) - 2 <= 2 * 256 + 10 + 256
    assert 2 * 256 + 600 <= len(many) - 2 <= 2 * 256 + 600 + 256


def test_tokens_are_those_the_pipeline_makes(tiny):
    prompts = ["a sketch of a cat", "", " ".join(["a very long prompt"] * 20)]
    tokens = tokenize(tiny, prompts)
    assert tokens.shape == (3, tiny.tokenizer.model_max_length)
    with torch.no_grad():
        ours = tiny.text_encoder(tokens)[0]
        theirs, _ = tiny.encode_prompt(prompts, "cpu", 1, do_classifier_free_guidance=False)
    assert torch.equal(ours, theirs)


# Saving and opening --------------------------------------------------------------------------------------------------


def test_what_is_saved_is_opened(tiny, saved):
    opened = load_text_to_image(saved)
    assert same(opened, tiny)
    assert not any(getattr(opened, part).training for part in NETWORKS)
    assert opened.safety_checker is opened.feature_extractor is None
    assert opened.scheduler.to_json_string() == tiny.scheduler.to_json_string()
    assert opened.tokenizer.backend_tokenizer.to_str() == tiny.tokenizer.backend_tokenizer.to_str()
    assert torch.equal(tokenize(opened, PROMPTS), tokenize(tiny, PROMPTS))
    plain = StableDiffusionPipeline.from_pretrained(saved)
    assert same(opened, plain)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_weights_lie_in_float16_and_are_opened_in_any_precision(tiny, tmp_path, dtype):
    save_pipeline(tiny, tmp_path / "model")
    plain = StableDiffusionPipeline.from_pretrained(tmp_path / "model")
    assert plain.unet.dtype == plain.text_encoder.dtype == torch.float32, "or it could not draw"
    on_disk = load_file(tmp_path / "model" / "unet" / "diffusion_pytorch_model.safetensors")
    assert {tensor.dtype for tensor in on_disk.values()} == {torch.float16}
    before, opened = weights(tiny), weights(load_text_to_image(tmp_path / "model", dtype=dtype))
    for name, tensor in before.items():
        if tensor.is_floating_point():
            assert tensor.dtype == torch.float32, "the pipeline stays as it is"
            assert torch.equal(opened[name], tensor.half().to(dtype)), name
            assert opened[name].dtype == dtype


def test_files_can_be_read_by_all_who_can_read_the_index_and_name_no_place(saved, tmp_path):
    save_pipeline(load_text_to_image(saved), tmp_path / "again")
    modes = {path.stat().st_mode for path in (tmp_path / "again").rglob("*") if path.is_file()}
    assert len(modes) == 1
    for path in (tmp_path / "again").rglob("*.json"):
        assert str(saved.parent) not in path.read_text(encoding="utf-8"), path


def test_a_pipelines_own_scheduler_is_kept_and_gives_the_noise_to_train_with(tiny, tmp_path):
    zero = {"prediction_type": "v_prediction", "rescale_betas_zero_snr": True}
    other = StableDiffusionPipeline(
        **tiny.components | {"scheduler": EulerDiscreteScheduler.from_config(tiny.scheduler.config, **zero)},
        requires_safety_checker=False,
    )
    save_pipeline(other, tmp_path / "model")
    opened = load_text_to_image(tmp_path / "model")
    assert isinstance(opened.scheduler, EulerDiscreteScheduler)
    schedule = training_scheduler(opened)
    assert schedule.config["prediction_type"] == "v_prediction"
    assert cumulative_alphas(schedule, torch.tensor([999])).item() == 0
    times = torch.tensor([0, 500, 998])
    plain = cumulative_alphas(training_scheduler(tiny), times)
    assert torch.equal(plain, cumulative_alphas(tiny.scheduler, times))
    assert (cumulative_alphas(schedule, times) < plain)[1:].all()


def test_a_pipeline_is_replaced_only_by_a_whole_one(tiny, folder, monkeypatch):
    def fill_the_disk(self, folder):
        Path(folder).mkdir()
        (Path(folder) / "model_index.json").write_text("{")
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(StableDiffusionPipeline, "save_pretrained", fill_the_disk)
        with pytest.raises(OSError, match="No space left"):
            save_pipeline(tiny, folder)
    assert same(load_text_to_image(folder), tiny)
    assert [path.name for path in folder.parent.iterdir()] == ["model"]
    (folder / "old").touch()
    save_pipeline(tiny, folder, dtype=torch.float32)
    assert same(load_text_to_image(folder), tiny)
    assert not (folder / "old").exists()
    assert [path.name for path in folder.parent.iterdir()] == ["model"]


def test_other_folders_are_left_alone(tiny, tmp_path):
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(ValueError, match="holds something else than a pipeline: choose another folder"):
        save_pipeline(tiny, tmp_path)
    with pytest.raises(ValueError, match="holds something else"):
        save_pipeline(tiny, tmp_path / "thesis.tex")
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_weights_that_are_not_finite_are_not_saved(tmp_path):
    pipeline = build_tiny(["a"], image_size=16)
    with torch.no_grad():
        pipeline.vae.quant_conv.bias[0] = 1e6
    with pytest.raises(ValueError, match=r"1 tensors are not finite in torch\.float16, first quant_conv\.bias"):
        save_pipeline(pipeline, tmp_path / "model")
    assert not list(tmp_path.iterdir())


# Damage --------------------------------------------------------------------------------------------------------------


def truncated(folder, part, path):
    path.write_bytes(path.read_bytes()[:-1000])


def pointer(folder, part, path):
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3\n")


def incomplete(folder, part, path):
    tensors = load_file(path)
    del tensors[sorted(tensors)[0]]
    save_file(tensors, path, {"format": "pt"})


def foreign(folder, part, path):
    save_file({"weight": torch.zeros(3)}, path, {"format": "pt"})


def misshapen(folder, part, path):
    tensors = load_file(path)
    tensors[sorted(tensors)[0]] = torch.zeros(3, 1)
    save_file(tensors, path, {"format": "pt"})


@pytest.mark.parametrize("part", NETWORKS)
@pytest.mark.parametrize("damage", [truncated, pointer, incomplete, foreign, misshapen])
def test_damaged_weights_are_named_in_one_line(folder, part, damage):
    path = next((folder / part).glob("*.safetensors"))
    damage(folder, part, path)
    with pytest.raises(ValueError, match=f"the {part} of .* fetch or copy .*{part} again") as error:
        load_text_to_image(folder)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("part", NETWORKS)
def test_weights_that_are_not_finite_are_refused(folder, part):
    path = next((folder / part).glob("*.safetensors"))
    tensors = load_file(path)
    name = sorted(tensors)[0]
    save_file(tensors | {name: torch.full_like(tensors[name], float("nan"))}, path, {"format": "pt"})
    with pytest.raises(ValueError, match=f"the {part} of .*: tensor .* holds nan: weights must be finite"):
        load_text_to_image(folder)


def test_a_damaged_tokenizer_is_named(folder):
    path = folder / "tokenizer" / "tokenizer.json"
    path.write_text(path.read_text()[:500])
    with pytest.raises(ValueError, match=r"the tokenizer of .* cannot be read .* fetch or copy .*tokenizer again"):
        load_text_to_image(folder)
    path.unlink()
    with pytest.raises(ValueError, match=r"has no tokenizer/vocab\.json and merges\.txt"):
        load_text_to_image(folder)
    build_tokenizer(["many words that are not known to the other"]).save_pretrained(folder / "tokenizer")
    assert load_text_to_image(folder), "fewer tokens than the text encoder knows are in order"
    larger = build_tokenizer([*PROMPTS, "surely a zebra quilt"])
    larger.save_pretrained(folder / "tokenizer")
    with pytest.raises(ValueError, match=r"the tokenizer of .* knows [\d,]+ tokens and its text_encoder only [\d,]+"):
        load_text_to_image(folder)


def test_float16_files_are_taken_where_there_are_no_others(folder, tiny):
    for part in NETWORKS:
        path = next((folder / part).glob("*.safetensors"))
        path.rename(path.with_suffix(".fp16.safetensors"))
    assert same(load_text_to_image(folder), tiny)


def test_names_are_looked_up_and_errors_are_those_of_bases(tmp_path):
    with pytest.raises(ValueError, match=r"holds no model_index\.json"):
        load_text_to_image(tmp_path)
    with pytest.raises(FileNotFoundError, match="does not exist: give 'tiny'"):
        load_text_to_image(tmp_path / "gone")
    assert (module.TINY, module.DEFAULT_BASE) == ("tiny", "stable-diffusion-v1-5/stable-diffusion-v1-5")
