"""Oracles, on a small random CLIP: CLIPModel's own logits, transformers' image processor, torchmetrics' CLIPScore."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from torchmetrics.multimodal.clip_score import CLIPScore
from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPModel, CLIPProcessor, CLIPTokenizer

from sketchloss.diffusion.pipeline import build_tokenizer
from sketchloss.metrics.clip_score import ClipScorer, ClipSimilarity, prepare_images
from sketchloss.system.images import to_picture

SIDE, LONGEST = 32, 20
TEXTS = ["a cat", "a sketch of a house", "a cat", "tree"]
TOWER = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A CLIP model of 50,000 parameters, saved by transformers as the published ones are."""
    torch.manual_seed(0)
    place = tmp_path_factory.mktemp("models") / "small-clip"
    tokenizer = build_tokenizer(TEXTS)
    special = {name: getattr(tokenizer, name) for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
    text = {**TOWER, "vocab_size": len(tokenizer), "max_position_embeddings": LONGEST, **special}
    vision = {**TOWER, "image_size": SIDE, "patch_size": 8}
    CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=16)).save_pretrained(place)
    tokenizer.save_pretrained(place)
    size = {"shortest_edge": SIDE}, {"height": SIDE, "width": SIDE}
    CLIPImageProcessorPil(size=size[0], crop_size=size[1]).save_pretrained(place)
    return place


@pytest.fixture(scope="module")
def scorer(folder):
    return ClipScorer(folder)


@pytest.fixture
def images():
    return torch.rand(4, 3, 40, 56, generator=torch.Generator().manual_seed(1))


@pytest.fixture(autouse=True)
def no_setting(monkeypatch):
    monkeypatch.delenv("SKETCHLOSS_CLIP", raising=False)


# What is measured ----------------------------------------------------------------------------------------------------


@torch.no_grad()
def by_transformers(folder, images, texts):
    """The diagonal of the model's logits without their scale."""
    model = CLIPModel.from_pretrained(folder).eval()
    tokens = CLIPTokenizer.from_pretrained(folder)(
        texts, padding="max_length", truncation=True, max_length=LONGEST, return_tensors="pt"
    )
    seen = CLIPImageProcessorPil.from_pretrained(folder)([to_picture(image) for image in images], return_tensors="pt")
    return 100 * model(**tokens, **seen).logits_per_image.diag() / model.logit_scale.exp()


def test_a_score_is_the_models_logit_without_its_scale(folder, scorer, images):
    found = scorer.score(images, TEXTS)
    expected = by_transformers(folder, images, TEXTS)
    assert found.dtype == torch.float32
    assert expected.std() > 1  # or they would all be alike
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)


class OfTensors(CLIPModel):
    """As torchmetrics expects it: transformers 5 returns the features inside of an output."""

    def get_image_features(self, *args, **kwargs):
        return super().get_image_features(*args, **kwargs).pooler_output

    def get_text_features(self, *args, **kwargs):
        return super().get_text_features(*args, **kwargs).pooler_output


def test_the_mean_is_torchmetrics_clip_score(folder, scorer, images):
    processor = CLIPProcessor(CLIPImageProcessorPil.from_pretrained(folder), CLIPTokenizer.from_pretrained(folder))
    metric = CLIPScore(lambda: (OfTensors.from_pretrained(folder), processor))
    metric.update([(image * 255).round().to(torch.uint8) for image in images], TEXTS)
    assert scorer.measure(images, TEXTS).mean == pytest.approx(metric.compute().item(), abs=1e-3)
    assert metric.compute() > 1  # it cuts negative means


def test_many_images_score_as_each_alone(scorer):
    # More than are embedded at once, of images and of distinct texts.
    images = torch.rand(67, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(2))
    texts = [f"cat {number}" for number in range(66)] + ["cat 3"]
    each = torch.cat([scorer.score(images[i : i + 1], texts[i : i + 1]) for i in range(67)])
    torch.testing.assert_close(scorer.score(images, texts), each, rtol=0, atol=1e-4)


@pytest.mark.parametrize("size", [(64, 64), (64, 91), (300, 225), (7, 3)])
@pytest.mark.parametrize("side", [SIDE, 224])
def test_images_are_prepared_as_by_transformers(size, side):
    images = torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(3))
    processor = CLIPImageProcessorPil(size={"shortest_edge": side}, crop_size={"height": side, "width": side})
    expected = processor([to_picture(image) for image in images], return_tensors="pt").pixel_values
    torch.testing.assert_close(prepare_images(images, side), expected, rtol=0, atol=1e-5)


def test_a_measurement_is_mean_and_deviation_of_the_scores(folder, scorer, images):
    scores = scorer.score(images, TEXTS).double()
    found = scorer.measure(images, TEXTS)
    assert (found.name, found.count, found.truncated) == ("CLIP (small-clip)", 4, 0)
    assert (found.mean, found.deviation) == pytest.approx((scores.mean().item(), scores.std().item()))
    assert scorer.measure(images[:1], TEXTS[:1]).deviation is None


def test_a_measurement_reads_as_in_a_table():
    found = ClipSimilarity("CLIP (a/b)", 27.186, 2.314, 300, 0)
    assert str(found) == found.describe() == "CLIP (a/b) 27.19 ± 2.31"
    assert str(ClipSimilarity("CLIP (a/b)", 27.186, None, 1, 1)) == "CLIP (a/b) 27.19, 1 of 1 texts cut off"


def test_long_texts_are_cut_counted_and_nothing_is_said(folder, scorer, images, capfd):
    # "cat" is a token of this vocabulary; begin and end take one each.
    fits, longer = ("cat " * (LONGEST - 2)).strip(), ("cat " * (LONGEST - 1)).strip()
    texts = [fits, longer, longer + " and much more", longer]
    assert scorer.measure(images, texts).truncated == 3
    assert scorer.measure(images, [fits] * 4).truncated == 0
    torch.testing.assert_close(scorer.score(images, texts), by_transformers(folder, images, texts), rtol=0, atol=1e-4)
    capfd.readouterr()
    ClipScorer(folder).measure(images, texts)
    assert capfd.readouterr() == ("", "")


def test_the_model_is_frozen_and_in_float32(folder, scorer, images):
    assert not scorer.model.training
    assert not any(parameter.requires_grad for parameter in scorer.model.parameters())
    assert {parameter.dtype for parameter in scorer.model.parameters()} == {torch.float32}
    assert not scorer.score(images.requires_grad_(), TEXTS).requires_grad


# Where it comes from -------------------------------------------------------------------------------------------------


def test_the_environment_names_a_folder_and_an_argument_goes_first(folder, scorer, images, monkeypatch, tmp_path):
    monkeypatch.setenv("SKETCHLOSS_CLIP", str(folder))
    assert torch.equal(ClipScorer().score(images, TEXTS), scorer.score(images, TEXTS))
    with pytest.raises(FileNotFoundError, match="elsewhere"):
        ClipScorer(tmp_path / "elsewhere")


@pytest.mark.parametrize("name", [None, "openai/clip-vit-large-patch14", "no/such/folder", "absent"])
def test_a_model_out_of_reach_is_told_in_one_line_with_the_way(name):
    with pytest.raises(FileNotFoundError) as raised:  # the tests run without a network
        ClipScorer(name)
    message = str(raised.value)
    assert message.startswith(name or "openai/clip-vit-base-patch16")
    assert "`hf download openai/clip-vit-base-patch16 --local-dir FOLDER`" in message
    assert "--clip-model FOLDER" in message
    assert "SKETCHLOSS_CLIP=FOLDER" in message
    assert "\n" not in message


def test_a_hub_name_is_the_name_of_the_result(folder, monkeypatch):
    monkeypatch.setattr("sketchloss.metrics.clip_score.snapshot_download", lambda name, allow_patterns: str(folder))
    assert ClipScorer().name == "CLIP (openai/clip-vit-base-patch16)"


def test_a_file_is_no_folder(folder):
    with pytest.raises(FileNotFoundError, match=r"model\.safetensors is a file: give the folder"):
        ClipScorer(folder / "model.safetensors")


def test_positions_in_older_files_are_passed_over(folder, scorer, images, tmp_path):
    copy = copy_of(folder, tmp_path)
    tensors = load_file(copy / "model.safetensors")
    tensors["text_model.embeddings.position_ids"] = torch.arange(LONGEST)[None]
    save_file(tensors, copy / "model.safetensors")
    assert torch.equal(ClipScorer(copy).score(images, TEXTS), scorer.score(images, TEXTS))


def copy_of(folder, place):
    for file in folder.iterdir():
        (place / file.name).write_bytes(file.read_bytes())
    return place


def of_a_kind(folder, kind):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "model_type": kind}))


def without_a_tensor(folder):
    tensors = load_file(folder / "model.safetensors")
    tensors.pop("visual_projection.weight")
    save_file(tensors, folder / "model.safetensors")


def pickled(folder):
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


def with_another_tokenizer(folder):
    build_tokenizer(["the quick brown fox jumps over the lazy dog"]).save_pretrained(folder)


def cut_off(folder):
    (folder / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes()[:-9])


DAMAGES = {
    "another model": (lambda folder: of_a_kind(folder, "clip_text_model"), "says 'clip_text_model' and not 'clip'"),
    "no config": (lambda folder: (folder / "config.json").unlink(), "config.json"),
    "no JSON": (lambda folder: (folder / "config.json").write_text("{"), "config.json"),
    "pickled": (pickled, "pickled weights may be code"),
    "no tokenizer": (lambda folder: (folder / "tokenizer.json").unlink(), "holds no tokenizer.json, nor vocab.json"),
    "a tensor missing": (without_a_tensor, "visual_projection.weight"),
    "cut off": (cut_off, "no whole safetensors file"),
    "another tokenizer": (with_another_tokenizer, "its text model fewer"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_folder_that_is_no_whole_clip_model_is_named_in_one_line(folder, tmp_path, damage):
    copy = copy_of(folder, tmp_path)
    spoil, words = DAMAGES[damage]
    spoil(copy)
    with pytest.raises(ValueError, match="is no whole CLIP model") as raised:
        ClipScorer(copy)
    message = str(raised.value)
    assert message.startswith(str(tmp_path))
    assert words in message
    assert "\n" not in message
    assert len(message) < 600


# What it is given ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("images", "texts", "message"),
    [
        (torch.zeros(2, 3, 8, 8), ["a cat"], "1 texts for 2 images: give a list with one text for each"),
        (torch.zeros(3, 3, 8, 8), "cat", "one string for 3 images: give a list"),
        (torch.zeros(0, 3, 8, 8), [], "the batch is empty"),
        (torch.full((1, 3, 8, 8), 255.0), ["a cat"], "divide by 255"),
    ],
)
def test_what_breaks_the_contract_is_refused(scorer, images, texts, message):
    for method in (scorer.score, scorer.measure):
        with pytest.raises(ValueError, match=message):
            method(images, texts)
