"""What weights say about where they come from. Oracle: the `config.json` beside them."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from sketchloss.data.doodles.kinds import doodle
from sketchloss.experiments.tuning.finetune import finetune
from sketchloss.experiments.tuning.settings import Finetune
from sketchloss.networks.backbone import Backbone, Origin
from sketchloss.networks.weights import load_backbone, save_backbone, weights_digest

pytestmark = pytest.mark.usefixtures("fresh_accelerate")


@pytest.fixture
def start(tmp_path) -> Path:
    """A weights folder called `start` that does not name its licence."""
    save_backbone(Backbone(width=0.0625), tmp_path / "start")
    return tmp_path / "start"


@pytest.fixture
def config(start, tmp_path) -> Finetune:
    for kind in ("cat", "star"):
        (tmp_path / "drawings" / kind).mkdir(parents=True)
        for seed in range(4):
            doodle(kind, seed).sketch(24).save(tmp_path / "drawings" / kind / f"{seed}.png")
    settings = {"image_size": 16, "image_sizes": (16,), "held_out": 0.3, "epochs": 1, "workers": 0, "precision": "no"}
    return Finetune(data=str(tmp_path / "drawings"), out=tmp_path / "run", weights=str(start), **settings)


def name_licence(folder: Path, licence: object) -> None:
    written = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**written, "licence": licence}))


def written_by(config: Finetune) -> tuple[str, str]:
    finetune(config)
    written = json.loads((config.out / "best" / "config.json").read_text())
    return written["started_from"], written["licence"]


def test_where_weights_come_from_is_stored_and_comes_back(tmp_path):
    backbone = Backbone(width=0.125)
    save_backbone(backbone, tmp_path / "unknown")
    assert load_backbone(tmp_path / "unknown").origin == Origin()
    assert "licence" not in json.loads((tmp_path / "unknown" / "config.json").read_text())
    backbone.origin = Origin(started_from="vgg16-imagenet", licence="CC-BY-4.0")
    save_backbone(backbone, tmp_path / "known")
    written = json.loads((tmp_path / "known" / "config.json").read_text())
    assert (written["started_from"], written["licence"]) == ("vgg16-imagenet", "CC-BY-4.0")
    assert load_backbone(tmp_path / "known").origin == backbone.origin
    assert weights_digest(load_backbone(tmp_path / "known")) == weights_digest(load_backbone(tmp_path / "unknown"))


def test_tuning_takes_the_licence_from_the_weights(config, start, capsys):
    name_licence(start, "CC-BY-4.0")
    assert written_by(config) == ("start", "CC-BY-4.0")
    assert "name their licence" not in capsys.readouterr().out


@pytest.mark.parametrize("entry", [None, "", "unknown", 4])
def test_tuning_says_in_one_line_if_they_name_none(config, start, capsys, entry):
    name_licence(start, entry)
    assert written_by(config) == ("start", "unknown")
    said = [line for line in capsys.readouterr().out.splitlines() if "their licence" in line]
    assert len(said) == 1
    assert said[0].startswith(f"warning: the weights {start} do not name their licence")
    assert said[0].endswith("or give --licence")


def test_tuning_takes_the_users_word_where_they_name_none_and_hands_it_on(config, tmp_path, capsys):
    assert written_by(replace(config, licence="CC-BY-4.0")) == ("start", "CC-BY-4.0")
    assert "name their licence" not in capsys.readouterr().out
    again = replace(config, weights=str(config.out), out=tmp_path / "again")
    assert written_by(again) == ("run", "CC-BY-4.0")


def test_tuning_refuses_another_licence_than_they_name(config, start):
    name_licence(start, "CC-BY-4.0")
    with pytest.raises(ValueError, match=r"licence is MIT, but the weights .*start are under CC-BY-4\.0: leave"):
        finetune(replace(config, licence="MIT"))
    assert not config.out.exists()
