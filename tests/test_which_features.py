"""`scripts/which_features.py`. Oracles: the backbone's own answers, distances of all pairs by brute force."""

import json
import runpy
import sys
from pathlib import Path
from statistics import mean

import numpy as np
import pytest
import torch

from sketchloss.experiments.retrieval.heads import retrieval
from sketchloss.experiments.retrieval.settings import Retrieval
from sketchloss.networks.embedder import load_embedder
from sketchloss.networks.vgg import VGG

SCRIPT = str(Path(__file__).parent.parent / "scripts" / "which_features.py")


@pytest.fixture(scope="module")
def script() -> dict:
    return runpy.run_path(SCRIPT)


def test_candidates_are_what_the_network_computes(script):
    torch.manual_seed(0)
    backbone = VGG(width=0.0625, classes=("a", "b", "c"), head="vgg").eval()
    images = torch.rand(4, 3, 64, 64)
    found = script["look"](backbone, images)
    with torch.no_grad():
        taps = backbone(images, ("relu5_3", "pool5"))
        logits = backbone.classify(images)
    torch.testing.assert_close(found["conv5 before its ReLU, flat"].clamp(min=0), taps["relu5_3"].flatten(1))
    assert (found["conv5 before its ReLU, flat"] < 0).any()
    torch.testing.assert_close(found["conv5 after its ReLU, averaged"], taps["relu5_3"].mean((2, 3)))
    torch.testing.assert_close(found["pool5, flat"], taps["pool5"].flatten(1))
    torch.testing.assert_close(found["logits"], logits)
    first = backbone.classifier[0](backbone._for_classifier(taps["pool5"]))
    torch.testing.assert_close(found["layer 1 of the classifier"], first)
    assert "layer 3 of the classifier" not in found
    assert not backbone.features[28]._forward_hooks


def test_signs_decide_what_can_be(script):
    rng = np.random.default_rng(0)
    rows, labels = torch.from_numpy(rng.normal(0.3, 1, (30, 5))).float(), torch.arange(30) % 3
    forms = dict(script["changed"]({"x": rows}))
    assert list(forms) == ["x", "x, after a ReLU", "x, centred"]
    assert torch.equal(forms["x, after a ReLU"], rows.clamp(min=0))
    assert forms["x, centred"].mean(0).abs().max() < 1e-6
    assert list(dict(script["changed"]({"y": rows.abs()}))) == ["y", "y, centred"]
    for form in forms.values():
        found = script["measure"](form, labels)
        unit = torch.nn.functional.normalize(form.double(), dim=1)
        away = 1 - unit @ unit.T
        pairs = [(away[i, j].item(), labels[i] == labels[j]) for i in range(30) for j in range(i)]
        assert found["inter"] == pytest.approx(mean(value for value, same in pairs if not same), abs=1e-9)
        assert found["intra"] == pytest.approx(mean(value for value, same in pairs if same), abs=1e-9)
        assert (found["negative"] == 0) == bool((form >= 0).all())


def test_a_run_of_retrieval_is_measured(narrow, few_classes, tmp_path, monkeypatch, capsys):
    given = {"photo": narrow, "tuning": (narrow,), "attention_tuning": (), "cache": tmp_path / "cache", "workers": 0}
    sizes = {"image_size": 32, "per_class": 4, "held_out": 0.3, "epochs": 1, "seeds": 1, "hidden": 8}
    retrieval(Retrieval(data=few_classes, out=tmp_path / "run", **given, **sizes))
    capsys.readouterr()
    line = [SCRIPT, str(tmp_path / "run"), "--cache", str(tmp_path / "cache"), "--json", str(tmp_path / "found.json")]
    monkeypatch.setattr(sys, "argv", line)
    runpy.run_path(SCRIPT, run_name="__main__")
    said = capsys.readouterr().out
    assert all(f"## {arm}\n" in said for arm in ("tuning", "attention", "original"))
    assert "*Seo 2025, ImageNet-Sketch*" in said
    found = json.loads((tmp_path / "found.json").read_text())
    embedding = found["original"]["embedding of the trained head"]
    assert embedding["numbers"] == load_embedder(tmp_path / "run" / "heads" / "original" / "0").config.size
    assert found["original"]["pool5, averaged"] == found["tuning"]["pool5, averaged"], "the same weights"
    assert found["original"]["pool5, averaged"] != found["attention"]["pool5, averaged"]
