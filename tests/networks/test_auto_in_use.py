"""Oracle: what the commands write for backbones of transformers: tuned, kept, compared, searched with, measured."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import Dinov2Config, Dinov2Model, ResNetConfig, ResNetModel

from sketchloss import SketchLoss, load_backbone
from sketchloss.cli import main
from sketchloss.data.doodles.kinds import doodle
from sketchloss.gallery import Gallery
from sketchloss.networks.weights import weights_digest
from sketchloss.system.images import to_tensor

pytestmark = pytest.mark.usefixtures("fresh_accelerate")

TUNING = ("--epochs", "2", "--image-size", "32", "--image-sizes", "32", "--batch-size", "8", "--held-out", "0.34")
#: Each kind of network, with the layer of its embedding, and whether gates have a place in it.
KINDS = {"resnet": ("stage4", True), "dinov2": ("stage4", False)}


@pytest.fixture(scope="module")
def drawings(tmp_path_factory) -> Path:
    """Three classes of eight doodles, as files."""
    folder = tmp_path_factory.mktemp("drawings")
    for kind in ("cat", "ladder", "star"):
        (folder / kind).mkdir()
        for seed in range(8):
            doodle(kind, seed).sketch(48).save(folder / kind / f"{seed}.png")
    return folder


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> Path:
    """Model folders of transformers, tiny and random."""
    place = tmp_path_factory.mktemp("models")
    torch.manual_seed(0)
    resnet = ResNetConfig(embedding_size=8, hidden_sizes=[8, 16, 24, 32], depths=[1, 1, 1, 1], layer_type="basic")
    ResNetModel(resnet).save_pretrained(place / "resnet")
    dinov2 = Dinov2Config(hidden_size=32, num_hidden_layers=4, num_attention_heads=2, image_size=28, patch_size=7)
    Dinov2Model(dinov2).save_pretrained(place / "dinov2")
    return place


def run(*arguments: object) -> None:
    assert main([str(argument) for argument in arguments]) == 0


@pytest.mark.parametrize("kind", KINDS)
def test_a_network_is_tuned_kept_compared_and_searched_with(kind, models, drawings, tmp_path, capsys):
    embedding, takes_gates = KINDS[kind]
    start, tuned = f"transformers:{models / kind}", tmp_path / "tuned"
    rates = ("--lr", "1e-3", "--warmup", "2", "--precision", "no", "--workers", "0", "--log-every", "1")
    arm = "attention+tuning" if takes_gates else "tuning"
    tuning = ("finetune", "--data", drawings, "--weights", start, "--licence", "MIT", *TUNING, *rates)
    run(*tuning, "--arm", arm, "--out", tuned)

    # Kept: in the format of the package, with what it was made from.
    stored = json.loads((tuned / "best" / "config.json").read_text())
    assert (stored["format"], stored["kind"], stored["classes"]) == (
        "sketchloss backbone",
        "transformers",
        ["cat", "ladder", "star"],
    )
    assert (stored["started_from"], stored["licence"], stored["model"]["model_type"]) == (
        f"transformers:{kind}",
        "MIT",
        kind,
    )
    backbone = load_backbone(tuned)
    assert bool(backbone.gates) == takes_gates
    before = load_backbone(start)
    layers = before.taps
    white = torch.ones(1, 3, 32, 32)
    with torch.no_grad():
        moved = [not torch.allclose(backbone(white, (tap,))[tap], before(white, (tap,))[tap]) for tap in layers]
    assert any(moved)

    # Compared.
    capsys.readouterr()
    one, other = drawings / "cat" / "0.png", drawings / "star" / "0.png"
    run("compare", one, other, "--weights", tuned, "--size", "32", "--json")
    said = json.loads(capsys.readouterr().out)
    loss = SketchLoss(tuned)
    pictures = [to_tensor(doodle(name, 0).sketch(48).resize((32, 32)))[None] for name in ("cat", "star")]
    assert said["layers"] == list(loss.layers) == list(backbone.default_layers)
    assert said["weights_digest"] == weights_digest(backbone)
    with torch.no_grad():
        assert 0 < said["distance"] < 2 * loss(*pictures).item() + 1
    run("compare", one, one, "--weights", start, "--size", "32", "--json", "--layers", embedding)
    said = json.loads(capsys.readouterr().out)
    assert (said["distance"], said["layers"]) == (0, [embedding])
    assert main(["compare", str(one), str(one), "--weights", start, "--layers", "relu1_2"]) == 2
    assert "layer 'relu1_2' is unknown: choose from stem, stage1" in capsys.readouterr().err

    # Searched: each drawing finds itself first, and the gallery is opened again by the name of its weights.
    for weights, name in ((start, "start"), (tuned, "tuned")):
        folder = tmp_path / f"gallery of {name}"
        run("gallery", "build", folder, drawings, "--weights", weights, "--image-size", "32")
        gallery = Gallery.open(folder)
        assert gallery.settings.layer == embedding
        assert json.loads((folder / "gallery.json").read_text())["layer"] == embedding
        (found,) = gallery.search(one, k=1)
        assert (found[0].path, round(found[0].similarity, 3)) == (one, 1.0)

    # Its features are measured.
    rows = tmp_path / "rows.json"
    run("neighbours", "--data", drawings, "--weights", start, tuned, "--image-size", "32", "--json", rows)
    found = json.loads(rows.read_text())
    assert [(row["weights"], row["layer"]) for row in found] == [(start, embedding), (str(tuned), embedding)]
    assert all(0 <= row["top_1"] <= row["top_5"] <= 1 for row in found)


def test_attention_is_refused_for_tokens_before_anything_is_trained(models, drawings, tmp_path, capsys):
    start = f"transformers:{models / 'dinov2'}"
    assert main(["finetune", "--data", str(drawings), "--weights", start, "--out", str(tmp_path / "run"), *TUNING]) == 2
    said = capsys.readouterr().err
    assert "has no convolutional stages to put attention gates after" in said
    assert "--arm tuning" in said
    assert not (tmp_path / "run").exists() or not any((tmp_path / "run").glob("best"))


@pytest.mark.parametrize("kind", KINDS)
def test_experiments_name_the_layers_of_the_network(kind, models, drawings, tmp_path):
    embedding, _ = KINDS[kind]
    start = f"transformers:{models / kind}"
    arm = ("--photo", start, "--only", "original", "--image-size", "32")
    run(
        *("retrieval", "--data", drawings, "--out", tmp_path / "retrieval", *arm, "--seeds", "1", "--epochs", "1"),
        *("--hidden", "16", "--held-out", "0.3", "--cache", tmp_path / "cache", "--precision", "no", "--workers", "0"),
    )
    assert json.loads((tmp_path / "retrieval" / "config.json").read_text())["layer"] == embedding
    kept = [json.loads(path.read_text()) for path in (tmp_path / "cache").glob("*.json")]
    assert [one["layer"] for one in kept] == [embedding]

    run("separation", "--data", drawings, "--out", tmp_path / "separation", *arm, "--seeds", "1", "--workers", "0")
    assert json.loads((tmp_path / "separation" / "config.json").read_text())["layer"] == embedding
    results = json.loads((tmp_path / "separation" / "results.json").read_text())
    assert results["embedding"] == f"{embedding}, averaged over positions"
    assert np.isfinite(results["arms"]["original"]["runs"][0]["ratio"])

    run("probe", "--out", tmp_path / "probe", *arm, "--drawings", "4", "--levels", "0.2", "0.4")
    taps = json.loads((tmp_path / "probe" / "config.json").read_text())["taps"]
    assert taps == list(load_backbone(start).stages)
    rows = json.loads((tmp_path / "probe" / "results.json").read_text())["rows"]
    assert {row["kind"] for row in rows if row["group"]} == {"default", "tap", "embed"}  # the paper's are VGG's
