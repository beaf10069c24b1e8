"""What gates do. Oracles: gates whose weights are set by hand, and features divided by what went in."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from transformers import ResNetConfig, ResNetModel

from sketchloss.data.doodles.kinds import doodle
from sketchloss.data.sources import Sketches, open_sketches
from sketchloss.experiments.tuning.finetune import finetune
from sketchloss.experiments.tuning.gates import (
    NUMBERS,
    PICTURE,
    as_on_disk,
    draw_gates,
    measure_gates,
    report_gates,
    weigh,
)
from sketchloss.experiments.tuning.settings import Finetune
from sketchloss.networks.backbone import Backbone
from sketchloss.networks.weights import load_backbone

pytestmark = pytest.mark.usefixtures("fresh_accelerate")


@pytest.fixture(scope="module")
def drawings(tmp_path_factory) -> str:
    """Two classes of eight doodles, as files."""
    folder = tmp_path_factory.mktemp("drawings")
    for kind in ("cat", "star"):
        (folder / kind).mkdir()
        for seed in range(8):
            doodle(kind, seed).sketch(32).save(folder / kind / f"{seed}.png")
    return str(folder)


@pytest.fixture
def sketches(drawings) -> Sketches:
    return open_sketches(drawings, 32)


def gated(**settings) -> Backbone:
    torch.manual_seed(0)
    return Backbone(width=0.125, attention=True, **settings).eval()


def logit(weight: float) -> float:
    return math.log(weight / (1 - weight))


@pytest.mark.parametrize("order", ["channel_spatial", "spatial_channel", "parallel"])
@pytest.mark.parametrize("downsample", ["none", "dilated"])
def test_weights_are_what_features_are_multiplied_by(order, downsample):
    backbone, images = gated(gate_order=order, downsample=downsample), torch.rand(9, 3, 16, 16)
    found = weigh(backbone, images)
    assert list(found) == ["features.4", "features.9"]
    with torch.no_grad():
        taps = backbone(images, ("relu1_2", "pool1", "relu2_2", "pool2"))
    for name, before, behind in (("features.4", "relu1_2", "pool1"), ("features.9", "relu2_2", "pool2")):
        weights = found[name].channel[:, :, None, None] * found[name].spatial[:, None]
        torch.testing.assert_close(taps[before] * weights, taps[behind])
    assert not any(gate._forward_pre_hooks for gate in backbone.gates.values()), "nothing is left behind"


def test_gates_of_a_network_of_transformers_are_measured(tmp_path):
    settings = ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic")
    ResNetModel(settings).save_pretrained(tmp_path / "resnet")
    backbone = load_backbone(f"transformers:{tmp_path / 'resnet'}", attention=True, gate_init="half")
    found = list(weigh(backbone, torch.rand(3, 3, 32, 32)).values())
    assert [weights.channel.shape for weights in found] == [(3, 8), (3, 16)]
    assert all((part == 0.5).all() for weights in found for part in weights)


def test_numbers_of_gates_that_are_set_by_hand():
    start, images = gated(gate_init="half"), torch.rand(5, 3, 16, 16)
    end = gated(gate_init="half")
    first, second = end.gates.values()
    with torch.no_grad():
        # Half of the channels at 0.2, half at 0.6; the spatial gate at 0.9 everywhere.
        middle = len(first.channel.expand.bias) // 2
        first.channel.expand.bias[:middle] = logit(0.2) / 2  # Eq. 1 adds it twice
        first.channel.expand.bias[middle:] = logit(0.6) / 2
        second.spatial.conv.bias.fill_(logit(0.9))
    found = measure_gates(start, end, weigh(start, images), weigh(end, images))
    still = {"mean": 0.5, "within": 0.0, "between": 0.0}
    for name, gate in found.items():
        assert gate["start"] == pytest.approx(still, abs=1e-6)
        if name not in ("gate 1, channel", "gate 2, spatial"):
            assert gate["end"] == pytest.approx(still, abs=1e-6)
            assert gate["distance"] == 0
    assert found["gate 1, channel"]["end"] == pytest.approx({"mean": 0.4, "within": 0.2, "between": 0.0}, abs=1e-5)
    assert found["gate 2, spatial"]["end"] == pytest.approx({"mean": 0.9, "within": 0.0, "between": 0.0}, abs=1e-5)
    assert found["gate 2, spatial"]["distance"] == pytest.approx(logit(0.9), rel=1e-5)
    assert found["gate 2, spatial"]["norm"] == 0
    moved = math.sqrt(middle * (logit(0.2) / 2) ** 2 + middle * (logit(0.6) / 2) ** 2)
    assert found["gate 1, channel"]["distance"] == pytest.approx(moved, rel=1e-5)
    assert found["gate 1, channel"]["norm"] == pytest.approx(
        torch.cat([part.flatten() for part in start.gates["features.4"].channel.parameters()]).norm().item(), rel=1e-6
    )


def test_deviations_over_drawings_and_within_one_are_told_apart():
    backbone = gated(gate_init="half")
    first = backbone.gates["features.4"]
    with torch.no_grad():
        nn.init.constant_(first.spatial.conv.weight, 0.01)  # weights follow the ink
    alike = torch.rand(1, 3, 16, 16).expand(4, -1, -1, -1)
    plain = torch.linspace(0.2, 1, 4).view(4, 1, 1, 1).expand(4, 3, 16, 16)
    of_alike = measure_gates(backbone, backbone, *[weigh(backbone, alike)] * 2)["gate 1, spatial"]["end"]
    assert of_alike["between"] == pytest.approx(0, abs=1e-6)
    assert of_alike["within"] > 0.001
    weights = weigh(backbone, plain)["features.4"].spatial
    found = measure_gates(backbone, backbone, *[weigh(backbone, plain)] * 2)["gate 1, spatial"]["end"]
    assert found["between"] == pytest.approx(weights.flatten(1).numpy().std(0).mean(), rel=1e-4)
    assert found["within"] == pytest.approx(weights.flatten(1).numpy().std(1).mean(), rel=1e-4)


def test_a_report_is_written_and_said_in_one_line(sketches, tmp_path):
    start = as_on_disk(gated(gate_init="half"))
    said = report_gates(start, gated(gate_init="open"), sketches, tmp_path)
    assert "\n" not in said
    assert "gate 2, spatial 0.500 to 0.993" in said  # sigmoid(5)
    assert str(tmp_path / PICTURE) in said
    found = json.loads((tmp_path / NUMBERS).read_text())
    assert (found["drawings"], found["image_size"], len(found["gates"])) == (16, 32, 4)
    with Image.open(tmp_path / PICTURE) as picture:
        assert picture.height > 10 * 144  # ten rows


def test_places_that_let_more_through_are_of_a_stronger_colour():
    weights = np.zeros((1, 8, 8), dtype=np.float32)
    weights[0, :, 4:] = 0.5
    sheet = np.asarray(draw_gates([Image.new("L", (32, 32), 255)], ["blank"], [weights + 0.2]))
    tile = sheet[60:160, -150:-20]  # of the gate, at the right
    left, right = tile[:, :40].reshape(-1, 3).mean(0), tile[:, -40:].reshape(-1, 3).mean(0)
    assert left.min() > 250
    assert right[2] < 60


def test_a_run_with_gates_leaves_the_report_and_one_without_leaves_none(narrow, drawings, tmp_path, capsys):
    config = Finetune(
        **{"data": drawings, "out": tmp_path / "gated", "weights": narrow, "image_size": 16, "image_sizes": (16,)},
        **{"held_out": 0.5, "epochs": 1, "batch_size": 4, "workers": 0, "precision": "no", "gate_lr_factor": 0.0},
    )
    finetune(config)
    assert "weights of gates, start to end: gate 1, channel 0.500 to 0.500" in capsys.readouterr().out
    found = json.loads((config.out / NUMBERS).read_text())["gates"]
    assert {gate["distance"] for gate in found.values()} == {0}, "gates that were held fixed"
    finetune(replace(config, out=tmp_path / "resumed", gate_lr_factor=10.0, lr=1e-3))
    moved = json.loads((tmp_path / "resumed" / NUMBERS).read_text())["gates"]
    assert all(gate["distance"] > 0 for gate in moved.values())
    finetune(replace(config, out=tmp_path / "plain", arm="tuning"))
    assert not (tmp_path / "plain" / NUMBERS).exists()
    assert not Path(tmp_path / "plain" / PICTURE).exists()
