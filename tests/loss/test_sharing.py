"""A loss that is saved, pushed and read back. Oracle: the values of the loss itself, bit by bit; the files it wrote.

The hub is `pretended_hub`, asked by the hub's own client in a process of its own.
"""

import json
import os
import re
import sys
import textwrap
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import ResNetConfig, ResNetModel

from child_process import finished
from pretended_hub import SHA, TOKEN, pretended_hub
from sketchloss import Backbone, SketchLoss, load_backbone
from sketchloss.cli import main
from sketchloss.data.doodles.kinds import doodle
from sketchloss.networks.backbone import Origin
from sketchloss.networks.weights import save_backbone, weights_digest

SETTINGS = {
    "layers": {"relu1_2": 2.0, "relu3_3": 0.5},
    "metric": "l2",
    "content_weight": 0.25,
    "style_weight": 3.0,
    "reduction": "none",
    "check": False,
    "invert": True,
    "value_range": (-1, 1),
}


def small_loss(**settings) -> SketchLoss:
    torch.manual_seed(0)
    return SketchLoss(Backbone(width=1 / 16, attention=True), **settings)


def pictures() -> tuple[torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(1)
    pred, target = (torch.rand(2, 3, 40, 36, generator=random) for _ in range(2))
    return pred, target


def same(one: SketchLoss, other: SketchLoss) -> bool:
    return torch.equal(one(*pictures()), other(*pictures())) and one.extra_repr() == other.extra_repr()


# A folder ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("settings", [{}, SETTINGS], ids=["default", "all"])
def test_a_loss_comes_back_bit_by_bit(settings, tmp_path):
    loss = small_loss(**settings)
    loss.save_pretrained(tmp_path / "new" / "mine")
    back = SketchLoss.from_pretrained(tmp_path / "new" / "mine")
    assert same(loss, back)
    assert back.check is loss.check
    assert SketchLoss.from_pretrained(str(tmp_path / "new" / "mine"), reduction="sum").reduction == "sum"
    assert {path.name for path in (tmp_path / "new" / "mine").iterdir()} == {
        "model.safetensors", "config.json", "README.md"
    }  # fmt: skip


def test_the_folder_is_a_weights_folder(tmp_path, capsys):
    loss = small_loss(layers=("relu1_2", "relu2_2"))
    loss.save_pretrained(tmp_path / "mine")
    assert weights_digest(load_backbone(tmp_path / "mine")) == weights_digest(loss.backbone)
    for number in range(2):
        doodle("cat", number).sketch(48).save(tmp_path / f"{number}.png")
    line = ["compare", str(tmp_path / "0.png"), str(tmp_path / "1.png"), "--weights", str(tmp_path / "mine")]
    assert main([*line, "--size", "32", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["weights_digest"] == weights_digest(loss.backbone)


def test_weights_are_float16_where_nothing_is_lost(tmp_path):
    small_loss().save_pretrained(tmp_path / "whole")
    assert {tensor.dtype for tensor in load_file(tmp_path / "whole" / "model.safetensors").values()} == {torch.float32}
    save_backbone(Backbone(width=1 / 16), tmp_path / "rounded")
    loss = SketchLoss(tmp_path / "rounded")
    loss.save_pretrained(tmp_path / "half")
    assert {tensor.dtype for tensor in load_file(tmp_path / "half" / "model.safetensors").values()} == {torch.float16}
    assert same(loss, SketchLoss.from_pretrained(tmp_path / "half"))


@pytest.mark.parametrize(
    ("dtype", "metric"),
    [(torch.float16, "l1"), (torch.bfloat16, "cosine"), (torch.float64, "ink"), (torch.float16, "ink")],
)
def test_a_loss_of_another_dtype_is_the_same_again_in_it(dtype, metric, tmp_path):
    loss = small_loss(metric=metric).to(dtype)
    loss.save_pretrained(tmp_path / "mine")
    back = SketchLoss.from_pretrained(tmp_path / "mine")
    assert back.backbone.mean.dtype == torch.float32
    assert loss.backbone.mean.dtype == dtype  # the loss itself stays as it was
    if (dtype, metric) == (torch.float16, "ink"):  # blank paper is looked at before `.half()`
        torch.testing.assert_close(loss(*pictures()), back.half()(*pictures()), rtol=2e-3, atol=0)
    else:
        assert same(loss, back.to(dtype))


def test_a_classifier_is_left_out(tmp_path):
    torch.manual_seed(0)
    loss = SketchLoss(Backbone(width=1 / 16, classes=("cat", "dog")))
    loss.save_pretrained(tmp_path / "mine")
    assert load_backbone(tmp_path / "mine").config.classes == ()
    assert same(loss, SketchLoss.from_pretrained(tmp_path / "mine"))


def test_a_network_of_transformers_comes_back(tmp_path):
    torch.manual_seed(0)
    small = ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic")
    ResNetModel(small).save_pretrained(tmp_path / "resnet")
    loss = SketchLoss(f"transformers:{tmp_path / 'resnet'}")
    loss.save_pretrained(tmp_path / "mine")
    assert same(loss, SketchLoss.from_pretrained(tmp_path / "mine"))


def test_a_later_save_replaces_the_first_and_nothing_else(tmp_path):
    small_loss().save_pretrained(tmp_path)
    (tmp_path / "README.md").write_text("my own words")
    (tmp_path / "notes.txt").write_text("notes")
    loss = small_loss(metric="cosine")
    loss.save_pretrained(tmp_path)
    assert same(loss, SketchLoss.from_pretrained(tmp_path))
    assert (tmp_path / "README.md").read_text() == "my own words"
    assert (tmp_path / "notes.txt").read_text() == "notes"


# Bad input -----------------------------------------------------------------------------------------------------------


def change(folder: Path, **values: object) -> None:
    """Change settings of the loss in a folder; None takes them away."""
    config = json.loads((folder / "config.json").read_text())
    stored = {name: value for name, value in {**config["loss"], **values}.items() if value is not None}
    (folder / "config.json").write_text(json.dumps({**config, "loss": stored}))


DAMAGE = {
    "metric is 'warp': it must be l1 or l2 or cosine or ink": {"metric": "warp"},
    "version is 2: this sketchloss knows 1; update it": {"version": 2},
    "the loss has version 7 of the metric ink, and this sketchloss version 1": {"metric_version": 7},
    "config.json, loss does not say layers": {"layers": None},
    "layers is 'relu1_2': it must be an object": {"layers": "relu1_2"},
    "layers is empty": {"layers": {}},
    "layer 'relu9_9' is unknown": {"layers": {"relu9_9": 1.0}},
    "weight of relu1_2 is -1": {"layers": {"relu1_2": -1.0}},
    "content_weight is 'much'": {"content_weight": "much"},
    "content_weight is nan": {"content_weight": float("nan")},
    "content_weight and style_weight are both 0": {"content_weight": 0.0},
    "invert is 1: it must be true or false": {"invert": 1},
    "value_range is": {"value_range": [1.0, 0.0]},
    "value_range is [0.0]": {"value_range": [0.0]},
}


@pytest.mark.parametrize(("said", "values"), DAMAGE.items(), ids=DAMAGE)
def test_settings_that_cannot_be_are_one_line(said, values, tmp_path):
    small_loss().save_pretrained(tmp_path)
    change(tmp_path, **values)
    with pytest.raises(ValueError, match=re.escape(said)) as caught:
        SketchLoss.from_pretrained(tmp_path)
    assert str(tmp_path / "config.json") in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_wrong_setting_of_the_call_is_not_said_of_the_file(tmp_path):
    small_loss().save_pretrained(tmp_path)
    said = refusal(SketchLoss.from_pretrained, tmp_path, layers=["relu9_9"])
    assert "relu9_9" in said
    assert str(tmp_path) not in said


def refusal(function, *arguments, **settings) -> str:
    with pytest.raises((ValueError, OSError)) as caught:
        function(*arguments, **settings)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_place_without_a_loss_is_one_line(tmp_path):
    loss = small_loss()
    for name in ("plain", "damaged", "pickled", "foreign", "text"):
        loss.save_pretrained(tmp_path / name)
    save_backbone(Backbone(width=1 / 16), tmp_path / "plain")
    assert f"SketchLoss({str(tmp_path / 'plain')!r}) takes its weights" in refusal(
        SketchLoss.from_pretrained, tmp_path / "plain"
    )
    whole = (tmp_path / "damaged" / "model.safetensors").read_bytes()
    (tmp_path / "damaged" / "model.safetensors").write_bytes(whole[:-100])
    assert "is no whole safetensors file" in refusal(SketchLoss.from_pretrained, tmp_path / "damaged")
    (tmp_path / "pickled" / "model.safetensors").rename(tmp_path / "pickled" / "pytorch_model.bin")
    assert "holds no model.safetensors" in refusal(SketchLoss.from_pretrained, tmp_path / "pickled")
    save_file({"bert.weight": torch.zeros(2)}, tmp_path / "foreign" / "model.safetensors")
    assert "these are not VGG-16 weights" in refusal(SketchLoss.from_pretrained, tmp_path / "foreign")
    (tmp_path / "text" / "config.json").write_text("{")
    assert "is no JSON" in refusal(SketchLoss.from_pretrained, tmp_path / "text")
    assert "is a file: give the folder" in refusal(SketchLoss.from_pretrained, tmp_path / "plain" / "model.safetensors")
    for place in (tmp_path / "gone", "gone", "a/b/c", "sketch"):
        assert f"{place} does not exist: give a folder that is there, or a hub repo owner/name" == refusal(
            SketchLoss.from_pretrained, place
        )
    assert "the hub cannot be reached (or HF_HUB_OFFLINE is set)" in refusal(SketchLoss.from_pretrained, "some/loss")


def test_a_folder_of_another_program_stays_as_it_is(tmp_path):
    loss = small_loss()
    for name, text in (("run", '{"arm": "tuning"}'), ("other", '{"model_type": "bert"}')):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text(text)
        assert "config.json of another program, or of a run" in refusal(loss.save_pretrained, tmp_path / name)
        assert [path.name for path in (tmp_path / name).iterdir()] == ["config.json"]
        assert (tmp_path / name / "config.json").read_text() == text
    save_backbone(Backbone(width=1 / 16, classes=("cat", "dog")), tmp_path / "tuned")
    before = {path.name: path.read_bytes() for path in (tmp_path / "tuned").iterdir()}
    assert "holds the weights of a training: save into another" in refusal(loss.save_pretrained, tmp_path / "tuned")
    assert {path.name: path.read_bytes() for path in (tmp_path / "tuned").iterdir()} == before
    (tmp_path / "tensors").mkdir()
    (tmp_path / "tensors" / "model.safetensors").write_bytes(b"mine")
    assert "model.safetensors without config.json" in refusal(loss.save_pretrained, tmp_path / "tensors")
    (tmp_path / "file").write_text("")
    assert "is a file: give a folder to write" in refusal(loss.save_pretrained, tmp_path / "file")
    assert "file" in refusal(loss.save_pretrained, tmp_path / "file" / "below")


def test_what_cannot_be_saved_is_refused_before_anything_is_written(tmp_path):
    loss = small_loss().double()
    loss.backbone.features[0].bias += 1e-12
    assert "features.0.bias is in float64, and float32 cannot hold it" in refusal(loss.save_pretrained, tmp_path / "x")
    loss = small_loss()
    loss.backbone.__class__ = type("Mine", (type(loss.backbone),), {})
    assert "network of your own, Mine," in refusal(loss.save_pretrained, tmp_path / "x")
    for name in ("name", "a/b/c", "a/-b", "", "a b/c"):
        assert "is no hub repo id" in refusal(small_loss().push_to_hub, name)
    assert "could not push to me/mine: " in refusal(small_loss().push_to_hub, "me/mine")
    assert not (tmp_path / "x").exists()


# The card ------------------------------------------------------------------------------------------------------------


def run_folder(folder: Path) -> Path:
    """Make what `finetune` leaves of a short run."""
    backbone = Backbone(width=1 / 16)
    backbone.origin = Origin(started_from="imagenet", licence="CC-BY-4.0")
    save_backbone(backbone, folder / "best")
    config = {"data": "/home/someone/secret/drawings", "out": "/home/someone/runs/mine", "arm": "tuning", "lr": 8e-5}
    (folder / "config.json").write_text(json.dumps({**config, "image_sizes": [48, 64], "epochs": 3}))
    lines = [
        {"step": 10, "epoch": 1, "train_loss": 2.0},
        {"step": 20, "epoch": 1, "validation_accuracy": 0.5, "validation_top5": 0.8},
        {"step": 40, "epoch": 2, "validation_accuracy": 0.625, "validation_top5": 0.9},
        {"step": 60, "epoch": 3, "validation_accuracy": 0.625, "validation_top5": 0.95},
    ]
    (folder / "metrics.jsonl").write_text("\n".join(map(json.dumps, lines)) + '\n{"step": 8')
    return folder


@pytest.mark.parametrize("inside", ["", "best"])
def test_the_card_says_how_the_weights_were_tuned_and_no_path(inside, tmp_path):
    run = run_folder(tmp_path / "runs")
    SketchLoss(run / inside).save_pretrained(tmp_path / "mine")
    card = (tmp_path / "mine" / "README.md").read_text()
    assert card.startswith("---\nlibrary_name: sketchloss\nlicense: cc-by-4.0\n")
    assert "# mine\n" in card
    assert 'SketchLoss.from_pretrained("mine")' in card
    assert "- Made from: imagenet." in card
    assert "- Licence: CC-BY-4.0; name where the weights come from" in card
    assert (
        "Best epoch, 2: 62.5% of the held-out drawings are classified rightly (top-5: 90.0%), after 40 steps." in card
    )
    assert "Drawings: drawings." in card
    assert "| image_sizes | 48, 64 |" in card
    assert "| lr | 8e-05 |" in card
    assert "someone" not in card
    assert str(tmp_path) not in card


def test_the_card_says_what_is_not_known(tmp_path):
    small_loss().save_pretrained(tmp_path)
    card = (tmp_path / "README.md").read_text()
    assert "\nlicense: unknown\n" in card
    assert "- Licence: unknown." in card
    assert "## The training" not in card


def test_a_licence_that_the_hub_does_not_know_is_another_one_with_its_name(tmp_path):
    backbone = Backbone(width=1 / 16)
    backbone.origin = Origin(licence="Our terms: ask us")
    SketchLoss(backbone).save_pretrained(tmp_path)
    card = (tmp_path / "README.md").read_text()
    assert "\nlicense: other\nlicense_name: our-terms-ask-us\ntags:" in card
    assert "- Licence: Our terms: ask us." in card


# The hub -------------------------------------------------------------------------------------------------------------


def asked_of(hub, home: Path, code: str) -> dict:
    """Run code in a new interpreter, since the hub's client reads its settings at import; it prints JSON."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    environment = {**inherited, **hub.environment(home), "OMP_NUM_THREADS": "1"}
    done = finished([sys.executable, "-c", textwrap.dedent(code)], check=True, seconds=300, env=environment)
    return json.loads(done.stdout.splitlines()[-1])


def test_a_loss_goes_to_the_hub_and_comes_back(tmp_path):
    loss = small_loss(**SETTINGS)
    loss.save_pretrained(tmp_path / "mine")
    with pretended_hub() as hub:
        found = asked_of(
            hub,
            tmp_path / "home",
            f"""
            import json, torch
            from sketchloss import SketchLoss
            loss = SketchLoss.from_pretrained({str(tmp_path / "mine")!r})
            commit = loss.push_to_hub("private/mine", private=True, token={TOKEN!r})
            loss.push_to_hub("private/mine", token={TOKEN!r}, revision="second")
            back = SketchLoss.from_pretrained("private/mine", token={TOKEN!r})
            second = SketchLoss.from_pretrained("private/mine", token={TOKEN!r}, revision="second")
            images = torch.rand(2, 3, 40, 36), torch.rand(2, 3, 40, 36)
            equal = [torch.equal(loss(*images), other(*images)) for other in (back, second)]
            print(json.dumps([commit, equal, back.extra_repr()]))
            """,
        )
    commit, equal, said = found
    assert commit == f"{hub.url}/private/mine/commit/{SHA}"
    assert equal == [True, True]
    assert said == loss.extra_repr()
    assert hub.made == {"private/mine": True}
    assert hub.branches == ["second"]
    assert set(hub.tokens) == {f"Bearer {TOKEN}"}
    files = {place.rpartition("/")[2]: body for place, body in hub.files.items() if "/main/" in place}
    assert files["model.safetensors"] == (tmp_path / "mine" / "model.safetensors").read_bytes()
    assert files["config.json"] == (tmp_path / "mine" / "config.json").read_bytes()
    assert set(files) == {"model.safetensors", "config.json", "README.md"}
    assert 'SketchLoss.from_pretrained("private/mine")' in files["README.md"].decode()


def test_what_the_hub_does_not_have_or_refuses_is_one_line(tmp_path):
    small_loss().save_pretrained(tmp_path / "mine")
    with pretended_hub() as hub:
        hub.put("someone/loss", tmp_path / "mine")
        hub.files["/someone/loss/resolve/main/README.md"] = b"their own words"
        config = json.dumps({"model_type": "bert"}).encode()
        hub.files |= {
            "/someone/pickled/resolve/main/config.json": (tmp_path / "mine" / "config.json").read_bytes(),
            "/someone/pickled/resolve/main/pytorch_model.bin": b"pickle",
            "/someone/weights/resolve/main/model.safetensors": b"",
            "/someone/bert/resolve/main/config.json": config,
            "/someone/bert/resolve/main/model.safetensors": b"",
        }
        found = asked_of(
            hub,
            tmp_path / "home",
            f"""
            import json
            from sketchloss import SketchLoss
            loss = SketchLoss.from_pretrained("someone/loss")
            loss.push_to_hub("someone/loss", token={TOKEN!r})
            texts = {{}}
            for repo in ("someone/pickled", "someone/weights", "someone/bert", "private/loss"):
                try:
                    SketchLoss.from_pretrained(repo)
                except (ValueError, FileNotFoundError) as error:
                    texts[repo] = str(error)
            try:
                loss.push_to_hub("someone/loss", token="hf_wrong")
            except OSError as error:
                texts["push"] = str(error)
            print(json.dumps(texts))
            """,
        )
    assert "the repo has no such file; only safetensors are read, no pickles" in found["someone/pickled"]
    assert "/someone/pickled/resolve/main/pytorch_model.bin" not in hub.asked
    for repo in ("someone/weights", "someone/bert"):
        assert f"{repo} holds no settings of a loss in config.json: SketchLoss({repo!r}) takes" in found[repo]
    assert "Repository Not Found" in found["private/loss"]
    assert "could not push to someone/loss: " in found["push"]
    assert "hf auth login" in found["push"]
    assert not any("\n" in text for text in found.values())
    assert hub.files["/someone/loss/resolve/main/README.md"] == b"their own words"


def test_a_loss_needs_no_client_of_the_hub_before_it_asks():
    code = """
    import sys, sketchloss
    sketchloss.SketchLoss().extra_repr()
    assert "huggingface_hub" not in sys.modules
    """
    finished([sys.executable, "-c", textwrap.dedent(code)], check=True, seconds=300)
