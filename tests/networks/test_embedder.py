"""The retrieval head. Oracles: its layers applied by hand in float64, and the files on disk."""

import json

import numpy as np
import pytest
import torch

from sketchloss.networks import embedder as module
from sketchloss.networks.embedder import Embedder, EmbedderConfig, load_embedder, save_embedder

CONFIG = EmbedderConfig(features=20, classes=("cat", "dog", "fish"), hidden=16, size=8, scale=5.0, layer="relu4_3")


@pytest.fixture
def embedder() -> Embedder:
    torch.manual_seed(0)
    return Embedder(CONFIG)


def by_hand(embedder: Embedder, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    weights = {name: tensor.detach().double().numpy() for name, tensor in embedder.state_dict().items()}
    hidden = np.maximum(rows @ weights["layers.0.weight"].T + weights["layers.0.bias"], 0)
    out = hidden @ weights["layers.3.weight"].T + weights["layers.3.bias"]
    unit = out / np.linalg.norm(out, axis=1, keepdims=True)
    return unit, 5.0 * unit @ weights["classifier.weight"].T + weights["classifier.bias"]


def test_embedding_is_the_unit_row_and_the_classifier_sees_it_scaled(embedder):
    rows = np.random.default_rng(0).normal(size=(7, 20))
    unit, logits = by_hand(embedder, rows)
    found, found_logits = embedder.eval()(torch.from_numpy(rows).float())
    np.testing.assert_allclose(found.detach(), unit, atol=1e-6)
    np.testing.assert_allclose(found_logits.detach(), logits, atol=1e-5)


@pytest.mark.parametrize("kind", [np.float16, np.float32, "tensor"])
def test_many_rows_are_embedded_a_chunk_at_a_time_without_dropout(embedder, monkeypatch, kind):
    monkeypatch.setattr(module, "CHUNK_ELEMENTS", 60)  # three rows
    rows = np.random.default_rng(0).normal(size=(10, 20)).astype(np.float16)
    rows.flags.writeable = False
    given = torch.from_numpy(rows.copy()) if kind == "tensor" else rows.astype(kind)
    embedder.train()
    np.testing.assert_allclose(embedder.embed(given), by_hand(embedder, rows.astype(float))[0], atol=1e-6)
    assert embedder.training, "it is left as it was"


def test_rows_of_another_width_are_refused(embedder):
    with pytest.raises(ValueError, match=r"shape \(4, 21\): this embedder needs rows of 20"):
        embedder.embed(torch.zeros(4, 21))


@pytest.mark.parametrize(
    ("change", "message"),
    [({"features": 0}, "features is 0"), ({"scale": 0.0}, "scale is 0.0"), ({"classes": ("cat",)}, "at least two")],
)
def test_a_config_that_makes_no_sense_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        EmbedderConfig(**{"features": 20, "classes": ("cat", "dog"), **change})


def test_round_trip(embedder, tmp_path):
    save_embedder(embedder, tmp_path / "heads" / "0")
    found = load_embedder(tmp_path / "heads" / "0")
    assert found.config == CONFIG
    assert not found.training
    rows = torch.randn(5, 20)
    torch.testing.assert_close(found.embed(rows), embedder.embed(rows), atol=2e-3, rtol=0)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / "config.json").write_text("{"), "no whole retrieval head"),
        (lambda folder: (folder / "config.json").write_text("[]"), "no whole retrieval head"),
        (
            lambda folder: (folder / "config.json").write_text('{"format": "sketchloss backbone"}'),
            "sketchloss backbone",
        ),
        (lambda folder: (folder / "model.safetensors").write_bytes(b"half"), "no whole safetensors file"),
        (lambda folder: _narrower(folder), r"has shape \(16, 20\): this network needs \(3, 20\)"),
    ],
)
def test_a_damaged_or_foreign_folder_is_named(embedder, tmp_path, damage, message):
    save_embedder(embedder, tmp_path)
    damage(tmp_path)
    with pytest.raises(ValueError, match=message) as caught:
        load_embedder(tmp_path)
    assert str(tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value)


def _narrower(folder) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"hidden": 3}))


def test_a_missing_folder_says_what_to_give(tmp_path):
    with pytest.raises(FileNotFoundError, match="give a folder such as RUN/heads/tuning/0"):
        load_embedder(tmp_path / "no")
