"""Oracles: transformers' ResNet on the luma by hand, argmax by hand, and the files on disk."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from sketchloss import Backbone, save_backbone
from sketchloss.metrics.extractors import embed_images
from sketchloss.networks import judge as module
from sketchloss.networks.judge import Judge, JudgeConfig, load_judge, save_judge

SMALL = JudgeConfig(
    classes=("cat", "house", "tree"), image_size=16, widths=(8, 16), accuracy=0.75, held=12, data="doodles?tool=ink"
)


def build(config=SMALL):
    torch.manual_seed(0)
    judge = Judge(config)
    judge(torch.rand(64, 3, config.image_size, config.image_size))  # batch norms see something
    return judge.eval()


@pytest.fixture(scope="module")
def judge():
    return build()


def pictures(count, channels=3, side=16):
    return torch.rand(count, channels, side, side, generator=torch.Generator().manual_seed(1))


def test_it_has_about_a_million_parameters():
    count = sum(parameter.numel() for parameter in Judge(JudgeConfig(tuple("abcdefgh" * 4), 64)).parameters())
    assert 1e6 < count < 1.5e6


@torch.no_grad()
def test_probabilities_are_the_networks_on_the_luma_of_the_ink(judge):
    images = pictures(5)
    ink = 1 - (images * torch.tensor([0.299, 0.587, 0.114])[:, None, None]).sum(1, keepdim=True)  # ITU-R BT.601
    expected = judge.network(ink).logits.softmax(1)
    found = judge.classify(images)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)
    assert found.shape == (5, 3)
    assert found.dtype == torch.float32
    assert not torch.allclose(found[0], found[1], atol=1e-4)


def test_grey_and_many_images_are_judged_as_each_alone(judge, monkeypatch):
    monkeypatch.setattr(module, "AT_ONCE", 4)
    images = pictures(9, channels=1)
    each = torch.cat([judge.classify(image[None].expand(1, 3, -1, -1)) for image in images])
    torch.testing.assert_close(judge.classify(images), each, rtol=0, atol=1e-6)


def test_accuracy_is_the_share_of_right_first_guesses(judge):
    images = pictures(8)
    guesses = judge.classify(images).argmax(1)
    labels = guesses.clone()
    assert judge.accuracy_of(images, labels) == 1
    labels[:3] = (labels[:3] + 1) % 3
    assert judge.accuracy_of(images, labels) == 5 / 8


def test_the_extractor_gives_what_the_classifier_sees_and_names_the_data(judge):
    extractor = judge.extractor()
    rows = embed_images(extractor, [pictures(4), pictures(2, channels=1)])
    assert extractor.name == "judge of doodles?tool=ink"
    assert rows.shape == (6, 16)
    torch.testing.assert_close(judge.network.classifier(rows[:4]).softmax(1), judge.classify(pictures(4)))


def test_judging_neither_trains_nor_changes_it():
    judge = build().train()
    before = {name: tensor.clone() for name, tensor in judge.state_dict().items()}
    assert torch.equal(judge.classify(pictures(4)), build().classify(pictures(4)))
    assert judge.training
    assert all(torch.equal(before[name], tensor) for name, tensor in judge.state_dict().items())
    assert not judge.classify(pictures(4).requires_grad_()).requires_grad


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (torch.zeros(2, 3, 16, 20), "images are 16 by 20 pixels, this judge takes 16 by 16: resize them"),
        (torch.zeros(0, 3, 16, 16), "the batch is empty"),
        (torch.full((1, 3, 16, 16), 200.0), "divide by 255"),
    ],
)
def test_images_that_break_the_contract_are_refused(judge, images, message):
    for look in (judge.classify, judge.extractor().embed):
        with pytest.raises(ValueError, match=message):
            look(images)


@pytest.mark.parametrize(
    ("labels", "message"),
    [([0, 1], "2 labels for 3 images"), ([0, 3, 1], "label 3 is no class: .* 0 to 2"), ([0, 1, -1], "label -1")],
)
def test_labels_that_do_not_fit_are_refused(judge, labels, message):
    with pytest.raises(ValueError, match=message):
        judge.accuracy_of(torch.zeros(3, 3, 16, 16), torch.tensor(labels))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"classes": ("cat",)}, "at least two"),
        ({"image_size": 8}, "image_size is 8"),
        ({"widths": ()}, "widths are"),
        ({"widths": (8, 0)}, "widths are"),
    ],
)
def test_settings_out_of_range_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        JudgeConfig(**{"classes": ("cat", "house"), "image_size": 16, **settings})


# Files ---------------------------------------------------------------------------------------------------------------


def test_it_comes_back_as_it_was(judge, tmp_path):
    save_judge(judge, tmp_path / "judge")
    loaded = load_judge(str(tmp_path / "judge"))
    assert loaded.config == SMALL
    assert (loaded.classes, loaded.accuracy) == (("cat", "house", "tree"), 0.75)
    assert not loaded.training
    assert torch.equal(loaded.classify(pictures(4)), judge.classify(pictures(4)))
    assert sorted(path.name for path in (tmp_path / "judge").iterdir()) == ["config.json", "model.safetensors"]


def test_weights_of_another_saving_are_refused(judge, tmp_path):
    # What a process leaves that is killed between the two files.
    save_judge(judge, tmp_path)
    config = (tmp_path / "config.json").read_bytes()
    torch.manual_seed(5)
    save_judge(Judge(SMALL), tmp_path)
    load_judge(tmp_path)
    (tmp_path / "config.json").write_bytes(config)
    with pytest.raises(ValueError, match=r"is not the one that its config\.json was written with"):
        load_judge(tmp_path)


def change(folder, **changes):
    file = folder / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


def without_a_tensor(folder):
    tensors = load_file(folder / "model.safetensors")
    tensors.popitem()
    save_file(tensors, folder / "model.safetensors")
    change(folder, weights=module._digest(folder / "model.safetensors"))


DAMAGES = {
    "no JSON": (lambda folder: (folder / "config.json").write_text("{"), "Expecting property name"),
    "a list": (lambda folder: (folder / "config.json").write_text("[1]"), "must hold an object, {...}"),
    "a backbone": (lambda folder: save_backbone(Backbone(width=0.03), folder), "says 'sketchloss backbone'"),
    "fewer classes": (
        lambda folder: change(folder, classes=["cat", "house"]),
        "this network needs (2, 16)",
    ),
    "no classes": (lambda folder: change(folder, classes=7), "classes is 7: it must be a list of texts"),
    "a wrong type": (lambda folder: change(folder, image_size="wide"), "holds no whole judge"),
    "a tensor missing": (without_a_tensor, " is missing"),
    "empty": (lambda folder: (folder / "model.safetensors").write_bytes(b""), "is not the one"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_foreign_or_damaged_folder_is_named_in_one_line(judge, tmp_path, damage):
    save_judge(judge, tmp_path)
    spoil, words = DAMAGES[damage]
    spoil(tmp_path)
    with pytest.raises(ValueError, match=r"holds no whole judge .*: train it again") as raised:
        load_judge(tmp_path)
    message = str(raised.value)
    assert message.startswith(str(tmp_path))
    assert words in message
    assert "\n" not in message


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_folder_without_a_judge_is_named(judge, tmp_path, name):
    save_judge(judge, tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(FileNotFoundError, match=r"holds no model\.safetensors with its config\.json: give the folder"):
        load_judge(tmp_path)
